"""Context Transition on music, camera, gallery, recorder, drawing and calculator."""

from homeostat.envs.phone.tasks.composed.core import Compute, Subtask, transition

__all__ = ["TEMPLATES"]


TEMPLATES = (
    transition(
        "carry_song_to_chat",
        {
            "a": Subtask("music_read_song"),
            "b": Subtask("messages_compose", {"text": "a"}),
            "c": Subtask("notes_add", {"text": "a"}),
        },
        "find out which song is in the player, send it to {b.name} in a new chat, and write it into a note {c.title}",
        "which song stands in the music player? tell {b.name} in a new chat and keep it in a note {c.title}",
        "look up the present song in music. start a chat with {b.name} saying it. then create a note {c.title} that says it",
        "the song in the player is what {b.name} should get in a new chat and what a note {c.title} should say",
        "see what song the player has, write it to {b.name} in a new chat, and add the note {c.title} with it",
    ),
    transition(
        "carry_singer_to_contact",
        {
            "a": Subtask("music_read_singer"),
            "b": Subtask("contacts_add", {"name": "a"}),
            "c": Subtask("music_like", same={"title": "a.title"}),
        },
        "find out who sings {a.title}, save that person as a contact with the number {b.phone}, and like the song",
        "who is the singer of the song {a.title}? add them to my contacts, number {b.phone}, and give the song a like",
        "look up the singer of {a.title} in music. create a contact of that name with {b.phone}. then mark the song as liked",
        "the singer of the song {a.title} has the number {b.phone}: make that a new contact; after that like the song {a.title}",
        "see who sings {a.title}, put that name with the number {b.phone} into contacts, then the song should be liked",
    ),
    transition(
        "carry_length_to_note",
        {
            "a": Subtask("recorder_read_length"),
            "b": Subtask("notes_add", {"title": "a.name", "text": "a"}),
            "c": Subtask("recorder_delete", same={"name": "a.name"}),
        },
        "look up how long the memo {a.name} is, keep that in a note {a.name}, then delete the memo",
        "how long is the memo {a.name}? a note of the same name should say it; the memo itself can go",
        "find the length of the memo {a.name}, write it into a note {a.name}, and erase the memo {a.name}",
        "before the memo {a.name} is removed note its length in a new note called {a.name}",
        "take the length of the memo {a.name} from the recorder, make the note {a.name} with it, get rid of the memo",
    ),
    transition(
        "carry_day_of_picture",
        {
            "a": Subtask("gallery_read_day"),
            "b": Subtask("calendar_add", {"title": "a.name", "day": "a"}),
            "c": Subtask("gallery_favourite", same={"name": "a.name"}),
        },
        "see on which day the picture {a.name} was taken, add an event {a.name} on that day at {b.time}, and make the picture a favourite",
        "on which day did i take the picture {a.name}? put {a.name} into the calendar then, {b.time}, and mark the picture as a favourite",
        "look up the day of the picture {a.name}. create an event called {a.name} for it at {b.time}. add the picture to my favourites",
        "the day of the picture {a.name} gets an event {a.name} at {b.time}; after that the picture is a favourite",
        "find the day of {a.name} in gallery, enter {a.name} in the calendar on that day at {b.time}, then the picture should be a favourite",
    ),
    transition(
        "carry_album",
        {
            "a": Subtask("gallery_read_album"),
            "b": Subtask("gallery_choose_album", {"new": "a"}),
            "c": Subtask("messages_compose", {"text": "a"}),
        },
        "see in which album the picture {a.name} is, move the picture {b.name} to the same album, and send its name to {c.name} in a new chat",
        "the picture {b.name} belongs in the album of the picture {a.name}: look it up, move it, and tell {c.name} the album in a new chat",
        "look up the album of the picture {a.name}. put the picture {b.name} there too. start a chat with {c.name} saying the album",
        "in which album is the picture {a.name}? that is where {b.name} should go, and what {c.name} should read in a new chat",
        "find the album of the picture {a.name}, set the album of the picture {b.name} to it, write it to {c.name} in a new chat",
    ),
    transition(
        "carry_sum_to_expense",
        {
            "a": Subtask("calculator_read_memory"),
            "b": Subtask("notes_add", {"text": "a"}),
            "c": Subtask("messages_compose", {"text": "a"}),
        },
        "look up what is in the memory of the calculator, write it into a note {b.title}, and send it to {c.name} in a new chat",
        "what does the calculator's memory hold? a note {b.title} should say it, and {c.name} should get it in a new chat",
        "find the number in the calculator's memory. add the note {b.title} with it. open a new chat to {c.name} with it",
        "take the number from the memory of the calculator: it is the text of a new note {b.title} and of a new chat to {c.name}",
        "see the memory of the calculator, keep the number in a note called {b.title}, then write it to {c.name} in a new chat",
    ),
    transition(
        "if_tag_keep",
        {
            "a": Subtask("recorder_read_tag"),
            "b": Subtask("recorder_keep", same={"name": "a.name"}, when="idea"),
            "c": Subtask("recorder_rename", same={"name": "a.name"}, when="not idea"),
            "d": Subtask("tasks_add"),
            "e": Subtask("music_resume"),
        },
        "look at the tag of the memo {a.name}: if it is idea keep the memo, otherwise rename it to {c.new}. then add a task {d.title} and resume the music",
        "if the memo {a.name} is tagged idea it should be kept, if not it should be called {c.new}; afterwards a new task {d.title}, and let the song play on",
        "check how {a.name} is tagged in the recorder. idea means keep it, anything else means give it the name {c.new}. then put {d.title} on the task list and go on playing in music",
        "which tag does the memo {a.name} have? for idea mark it to be kept, else change its name to {c.new}; then create the task {d.title}; then resume the player",
        "depending on the tag of the memo {a.name} keep it (idea) or rename it to {c.new} (all others); then the task {d.title}; at last continue the song in the player",
        idea=Compute("equal", ("a", "=idea")),
    ),
    transition(
        "if_mode_photo",
        {
            "a": Subtask("camera_read_mode"),
            "b": Subtask("camera_video", when="video"),
            "c": Subtask("camera_timer", when="not video"),
            "d": Subtask("notes_add", {"text": "a"}),
            "e": Subtask("settings_turn_on"),
        },
        "see which mode the camera is in: if it is video take a video, if not set the camera's timer to {c.new}. write the mode into a note {d.title} and turn on {e.key}",
        "if the camera is in the mode video shoot one, otherwise its timer should be {c.new}. a note {d.title} should say the mode, and {e.key} should be on",
        "check the mode of the camera. video: take a video. anything else: change the timer of the camera to {c.new}. then the note {d.title} with the mode, then enable {e.key}",
        "is the camera set to video? yes, film a short video; no, make its timer {c.new}. after that keep the mode in a note {d.title} and switch on {e.key}",
        "look up the camera's mode; for video use it for a video, else put its timer to {c.new}; note the mode under {d.title}; activate {e.key}",
        video=Compute("equal", ("a", "=video")),
    ),
)
