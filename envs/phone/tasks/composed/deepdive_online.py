"""Deep Dive on the online apps: mail, browser, maps, weather."""

from homeostat.envs.phone.tasks.composed.core import Compute, Subtask, deepdive

__all__ = ["TEMPLATES"]


TEMPLATES = (
    deepdive(
        "dive_nearest_place",
        {
            "a": Subtask("maps_read_km"),
            "b": Subtask("maps_read_km"),
            "c": Subtask("maps_start", same={"name": "#near"}),
            "d": Subtask("notes_add", {"title": "#near", "text": "#km"}),
        },
        {
            "near": Compute("name of the smallest", ("a", "a.name", "b", "b.name")),
            "km": Compute("smallest", ("a", "b")),
        },
        "which place is nearer, {a.name} or {b.name}? start the route to it, the way is {c.way}, and write its name and its km into a new note",
        "compare the distances to the places {a.name} and {b.name}; begin a trip to the nearer one, way {c.way}; a note with its name as title should say how many km it is",
        "look up how far the places {a.name} and {b.name} are. i {c.way} to the one that is closer, start the route. then make a note called like it with the km as text",
        "take me to the nearer of the places {a.name} and {b.name}, i will {c.way}; and add a note titled with its name that says its distance in km",
        "find the km to {a.name} and to {b.name} in maps, start the route to the place with fewer km by the way {c.way}, note those km under the name of the place",
    ),
    deepdive(
        "dive_way_there_and_back",
        {
            "a": Subtask("maps_read_km"),
            "b": Subtask("maps_read_km"),
            "c": Subtask("mail_write", {"text": "#sum"}),
            "d": Subtask("tasks_add"),
        },
        {"sum": Compute("sum", ("a", "b"))},
        "add up the km to the places {a.name} and {b.name}, mail the sum to {c.name} with the subject {c.subject}, and add a task {d.title}",
        "how many km are the places {a.name} and {b.name} together? send that to {c.name} in a mail about {c.subject}; then a new task {d.title}",
        "look up the distances to {a.name} and to {b.name} in maps, sum them, write the sum to {c.name} by mail, subject {c.subject}, and put {d.title} on the task list",
        "{c.name} wants to know the km to {a.name} plus the km to {b.name}: work it out, answer with a mail called {c.subject}, and create the task {d.title}",
        "take both distances, {a.name} and {b.name}, from maps; their sum is the text of a mail {c.subject} to {c.name}; after that add the task {d.title}",
    ),
    deepdive(
        "dive_more_humid_city",
        {
            "a": Subtask("weather_read_humid"),
            "b": Subtask("weather_read_humid"),
            "c": Subtask("weather_delete", same={"name": "#wet"}),
            "d": Subtask("messages_compose", {"text": "#wet"}),
        },
        {"wet": Compute("name of the largest", ("a", "a.name", "b", "b.name"))},
        "compare how humid it is in {a.name} and {b.name}, delete the more humid city from weather, and send its name to {d.name} in a new chat",
        "which city is more humid, {a.name} or {b.name}? remove it in weather and tell {d.name} its name in a new chat",
        "look up the humidity in the cities {a.name} and {b.name}. the one with more goes out of weather. start a chat with {d.name} saying which one",
        "erase the more humid of the cities {a.name} and {b.name} in weather; write the name of that city to {d.name} in a new chat",
        "find out whether {a.name} or {b.name} is the more humid city, get rid of it in weather, then let {d.name} know its name in a new chat",
    ),
    deepdive(
        "dive_windy_alerts",
        {
            "a": Subtask("weather_read_gusts"),
            "b": Subtask("weather_alerts_on", same={"name": "a.name"}, when="strong"),
            "c": Subtask("weather_delete", same={"name": "a.name"}, when="not strong"),
            "d": Subtask("notes_add", {"title": "a.name", "text": "a"}),
            "e": Subtask("tasks_add"),
        },
        {"strong": Compute("above", ("a", "limit"))},
        "see how strong the gusts in the city {a.name} are: above {limit} turn on its alerts, otherwise delete the city. keep the speed in a note {a.name} and add a task {e.title}",
        "if the gusts in {a.name} are faster than {limit} its weather alerts should be on, if not the city should go; a note {a.name} should say the speed, and {e.title} is a new task",
        "look up the speed of the gusts in {a.name}. more than {limit}: alerts for that city on. else: remove the city. write the speed into a note {a.name}. then create the task {e.title}",
        "compare the gusts in the city {a.name} with {limit}; switch the alerts for {a.name} on when they are stronger, erase the city in weather when they are not; note the speed under {a.name}; put {e.title} on the task list",
        "are the gusts in {a.name} above {limit}? yes, activate the alerts for the city; no, get rid of the city. afterwards the note {a.name} with the speed and the task {e.title}",
        limit=lambda w: f"{w.rng.randrange(20, 70, 5)}kmh",
    ),
    deepdive(
        "dive_longest_box",
        {
            "a": Subtask("mail_count"),
            "b": Subtask("mail_count"),
            "c": Subtask("messages_compose", {"text": "#gap"}),
            "d": Subtask("mail_star"),
        },
        {"gap": Compute("difference", ("a", "b"))},
        "by how many mails do the boxes {a.box} and {b.box} differ? send the number to {c.name} in a new chat and star the mail {d.subject}",
        "count the mails in the boxes {a.box} and {b.box}, write the difference to {c.name} in a new chat, then mark the mail {d.subject} with a star",
        "look up how many mails {a.box} and {b.box} hold. the difference goes to {c.name} in a new chat. the mail {d.subject} gets a star",
        "work out the difference between the numbers of mails in {a.box} and in {b.box}, start a chat with {c.name} saying it, add a star to the mail {d.subject}",
        "how many mails more has one of the boxes {a.box} and {b.box} than the other? tell {c.name} in a new chat; and star the mail {d.subject}",
    ),
    deepdive(
        "dive_older_page",
        {
            "a": Subtask("browser_read_fact", same={"label": "=year"}),
            "b": Subtask("browser_read_fact", same={"label": "=year"}),
            "c": Subtask("browser_mark", same={"title": "#old"}),
            "d": Subtask("notes_add", {"title": "#old", "text": "#year"}),
        },
        {
            "old": Compute("name of the smallest", ("a", "a.title", "b", "b.title")),
            "year": Compute("smallest", ("a", "b")),
        },
        "compare the years on the pages {a.title} and {b.title}, bookmark the page with the earlier year, and make a note of its title that says the year",
        "which of the pages {a.title} and {b.title} gives the earlier year? mark that page in the browser and write its year into a note titled like it",
        "look up the year on {a.title} and the year on {b.title}. the page with the smaller one becomes a bookmark and the title of a note that says that year",
        "save the older of the sites {a.title} and {b.title}, by the year that they give, as a bookmark, and add a note with its title and its year",
        "read the years on the pages {a.title} and {b.title}; put the page with the earlier one into the marks; note that year under the title of the page",
    ),
)
