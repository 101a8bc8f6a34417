"""Deep Dive on gallery, recorder and calculator."""

from homeostat.envs.phone.tasks.composed.core import Compute, Subtask, deepdive

__all__ = ["TEMPLATES"]


TEMPLATES = (
    deepdive(
        "dive_fuller_album",
        {
            "a": Subtask("gallery_count"),
            "b": Subtask("gallery_count"),
            "c": Subtask("gallery_choose_album", {"new": "#full"}),
            "d": Subtask("notes_add", {"text": "#full"}),
        },
        {"full": Compute("name of the largest", ("a", "a.album", "b", "b.album"))},
        "which of the albums {a.album} and {b.album} holds more pictures? move the picture {c.name} there, and write the name of the album into a note {d.title}",
        "count the pictures in the albums {a.album} and {b.album}; the picture {c.name} goes to the fuller one, and a note {d.title} says which that is",
        "compare how many pictures {a.album} and {b.album} hold. put the picture {c.name} into the album with more. then a note {d.title} with the name of that album",
        "the picture {c.name} belongs in the fuller of the albums {a.album} and {b.album}: find out which it is, move it, and note the album under {d.title}",
        "look up the numbers of pictures in the albums {a.album} and {b.album}, set the album of the picture {c.name} to the one with more, make the note {d.title} with its name",
    ),
    deepdive(
        "dive_albums_together",
        {
            "a": Subtask("gallery_count"),
            "b": Subtask("gallery_count"),
            "c": Subtask("mail_write", {"text": "#sum"}),
            "d": Subtask("camera_photo"),
        },
        {"sum": Compute("sum", ("a", "b"))},
        "how many pictures are in the albums {a.album} and {b.album} together? mail the sum to {c.name} with the subject {c.subject}, then take a photo",
        "count the pictures in {a.album} and in {b.album}, add the two up, send the sum to {c.name} in a mail about {c.subject}, and shoot one photo",
        "look up how many pictures the albums {a.album} and {b.album} have. their sum is the text of a mail {c.subject} to {c.name}. then take a photo with the camera",
        "{c.name} wants to know how many pictures {a.album} and {b.album} hold in all: work it out, answer with a mail called {c.subject}, then use the camera for a photo",
        "take the number of pictures in {a.album} plus that in {b.album}, write it to {c.name} by mail, subject {c.subject}; after that a photo, please",
    ),
    deepdive(
        "dive_price_and_memory",
        {
            "a": Subtask("calculator_read_memory"),
            "b": Subtask("shop_read_price"),
            "c": Subtask("expenses_add", {"name": "b.name", "amount": "#sum"}),
            "d": Subtask("tasks_add", {"title": "b.name"}),
        },
        {"sum": Compute("sum", ("b", "a"))},
        "add the number in the calculator's memory to the price of {b.name} in the shop, enter an expense {b.name} of that sum, and add a task {b.name}",
        "what is the price of {b.name} plus the calculator's memory, in dollars? record it in expenses as {b.name}, then make {b.name} a task",
        "look up the memory of the calculator and what {b.name} costs in the shop; their sum in dollars is the amount of a new expense {b.name}; {b.name} is also a new task",
        "{b.name} costs its price in the shop plus what the calculator's memory holds: work that out, put it into expenses as {b.name}, and put {b.name} on the task list",
        "take the number from the calculator's memory, take the price of {b.name}, sum them up to dollars, add the expense {b.name} with the sum, and create the task {b.name}",
    ),
    deepdive(
        "dive_day_or_not",
        {
            "a": Subtask("gallery_read_day"),
            "b": Subtask("calendar_read_day"),
            "c": Subtask("gallery_choose_album", {"new": "=trips"}, same={"name": "a.name"}, when="same"),
            "d": Subtask("gallery_delete", same={"name": "a.name"}, when="not same"),
            "e": Subtask("recorder_record"),
            "f": Subtask("notes_add", {"text": "b"}),
        },
        {"same": Compute("equal", ("a", "b"))},
        "was the picture {a.name} taken on the day of the event {b.title}? if so move it to the album trips, if not delete it. record a memo, and write the day of {b.title} into a note {f.title}",
        "compare the day of the picture {a.name} with the day of {b.title} in the calendar: equal means the album trips, different means the picture goes. then a new recording and a note {f.title} with the day of the event",
        "look up on which day the picture {a.name} was taken and on which day {b.title} is. put the picture into the album trips when they agree, erase it when they do not. make a recording. note the day of {b.title} under {f.title}",
        "the picture {a.name} belongs in the album trips if it is of the same day as {b.title}, otherwise it can go; after that record something and stop, and create a note {f.title} that says the day of {b.title}",
        "check whether {a.name} in gallery and {b.title} in the calendar have the same day; yes, album trips; no, remove the picture. then take a memo with the recorder and keep the day of the event in a note {f.title}",
    ),
)
