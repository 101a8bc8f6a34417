"""Context Transition, on the apps that look outside: mail, browser, maps, weather."""

from homeostat.envs.phone.tasks.composed.core import Composed, Compute, Part

__all__ = ["TEMPLATES"]


def _carry(name: str, parts: dict[str, Part], *goals: str, **computes: Compute) -> Composed:
    return Composed(name, "transition", parts, goals, computes)


TEMPLATES = (
    _carry(
        "carry_mail_to_task",
        {
            "a": Part("mail_read_text"),
            "b": Part("tasks_add", {"title": "a"}),
            "c": Part("mail_archive", same={"subject": "a.subject"}),
            "d": Part("notes_add", {"text": "a"}),
        },
        "read the mail {a.subject}, make its text a task, archive the mail, and keep the text in a note {d.title}",
        "what does the mail {a.subject} say? put that on the task list, move the mail to the archive, then write it into a note {d.title}",
        "the text of the mail {a.subject} is a task, add it. after that file the mail in the archive and add a note {d.title} with the same text",
        "look up the text of the mail {a.subject}; create a task of it; put the mail into the archive; create the note {d.title} that says it",
        "take what the mail {a.subject} says as a new task, archive {a.subject}, and write the same words into a new note called {d.title}",
    ),
    _carry(
        "carry_sender_to_chat",
        {
            "a": Part("mail_read_sender"),
            "b": Part("messages_compose", {"name": "a"}),
            "c": Part("mail_delete", same={"subject": "a.subject"}),
        },
        "find out who sent the mail {a.subject}, start a chat with that person saying {b.text}, and delete the mail",
        "who wrote the mail {a.subject}? write {b.text} to them in a new chat, then remove the mail",
        "look up the sender of the mail {a.subject}. the sender gets {b.text} in a new chat. the mail goes",
        "the person who sent the mail {a.subject} should get {b.text} in a new chat; after that erase the mail {a.subject}",
        "see from whom the mail {a.subject} is, open a chat to them with {b.text}, and get rid of the mail",
    ),
    _carry(
        "carry_number_to_mail",
        {
            "a": Part("contacts_read_phone"),
            "b": Part("mail_write", {"text": "a"}),
            "c": Part("contacts_star", same={"name": "a.name"}),
        },
        "look up the number of {a.name}, mail it to {b.name} with the subject {b.subject}, and star {a.name}",
        "{b.name} needs the number of {a.name}: send it in a mail called {b.subject}; then give {a.name} a star in contacts",
        "find the phone number of {a.name} in contacts. write a mail to {b.name}, subject {b.subject}, with just the number. mark {a.name} with a star",
        "what is the number of {a.name}? mail it to {b.name}, the subject is {b.subject}, and make {a.name} a starred contact",
        "take the number of {a.name}, send {b.name} a mail about {b.subject} that says it, add a star to the contact {a.name}",
    ),
    _carry(
        "carry_page_price",
        {
            "a": Part("browser_read_fact"),
            "b": Part("notes_add", {"title": "a.title", "text": "a"}),
            "c": Part("mail_write", {"text": "a"}),
        },
        "look up the {a.label} on the page {a.title}, write it into a note {a.title}, and mail it to {c.name} with the subject {c.subject}",
        "what {a.label} does the page {a.title} give? keep it in a note called {a.title} and send it to {c.name} in a mail about {c.subject}",
        "find the {a.label} on the site {a.title} in the browser. add a note {a.title} that says it. send {c.name} a mail {c.subject} that says it too",
        "the {a.label} on the page {a.title} goes into a note of the same title and, as the mail {c.subject}, to {c.name}",
        "see which {a.label} stands on the page {a.title}; make the note {a.title} with it; write it to {c.name} by mail, subject {c.subject}",
    ),
    _carry(
        "carry_link_fact",
        {
            "a": Part("browser_follow_fact"),
            "b": Part("messages_compose", {"text": "a"}),
            "c": Part("tasks_add", {"title": "a.other"}),
        },
        "follow the link from the page {a.title} to {a.other}, find the {a.label} there, send it to {b.name} in a new chat, and add the task {a.other}",
        "the page {a.title} links to {a.other}: read the {a.label} on that page, write it to {b.name} in a new chat, then make a task {a.other}",
        "on the site {a.title} open the link to {a.other} and look for the {a.label}. start a chat with {b.name} saying it. create the task {a.other}",
        "which {a.label} does {a.other} give, the page that {a.title} links to? tell {b.name} in a new chat. put {a.other} on the task list",
        "get to {a.other} by the link on {a.title}, take the {a.label} from there, send just that to {b.name} in a new chat; {a.other} is a new task",
    ),
    _carry(
        "carry_address_to_mail",
        {
            "a": Part("browser_read_address"),
            "b": Part("mail_write", {"subject": "a.title", "text": "a"}),
            "c": Part("browser_mark", same={"title": "a.title"}),
        },
        "find the address of the page {a.title}, mail it to {b.name} with the subject {a.title}, and bookmark the page",
        "{b.name} wants the address of the site {a.title}: look it up in the browser, send it by mail, subject {a.title}, then mark the page",
        "what is the address of the page {a.title}? write a mail to {b.name} about {a.title} that says it. then save the page as a bookmark",
        "look up the web address of {a.title}, send {b.name} a mail called {a.title} with the address, and put the page into the marks",
        "mail the address of the page {a.title} to {b.name} under the subject {a.title}; after that the page should be a bookmark",
    ),
    _carry(
        "carry_temperature",
        {
            "a": Part("weather_read_temp"),
            "b": Part("messages_reply", {"text": "a"}),
            "c": Part("weather_alerts_on", same={"name": "a.name"}),
        },
        "look up how warm it is in the city {a.name}, write that to {b.name}, and turn on the alerts for the city {a.name}",
        "{b.name} asks for the temperature in {a.name}: look into weather, answer in the chat with just that, then switch the alerts for {a.name} on",
        "how warm is it in the city {a.name}? reply with it to {b.name}; i also want weather alerts for {a.name}",
        "find the temperature in the city {a.name} in weather. tell {b.name} in the chat. activate the alerts for {a.name}",
        "take the temperature in {a.name} from weather, send it to {b.name} in the chat, turn the alerts for that city on",
    ),
    _carry(
        "carry_distance",
        {
            "a": Part("maps_read_km"),
            "b": Part("expenses_add", {"name": "a.name"}),
            "c": Part("notes_add", {"title": "a.name", "text": "a"}),
        },
        "see how many km it is to the place {a.name}, keep that in a note {a.name}, and add an expense {a.name} of {b.amount}",
        "how far is it to {a.name} in maps? an expense {a.name} with {b.amount} and a note {a.name} that says the km, please",
        "look up the distance to the place {a.name}; enter the expense {a.name}, {b.amount}; write the distance into a note {a.name}",
        "the trip to the place {a.name} cost {b.amount}, put it into expenses as {a.name}. how many km it is goes into a note {a.name}",
        "find the km to {a.name} in maps, then record {b.amount} for {a.name} in expenses, then make the note {a.name} with the km",
    ),
    _carry(
        "carry_home_city",
        {"a": Part("weather_read_home"), "b": Part("mail_write", {"text": "a"}), "c": Part("notes_add", {"text": "a"})},
        "find out which city is home in weather, mail it to {b.name} with the subject {b.subject}, and write it into a note {c.title}",
        "what is my home city in weather? send it to {b.name} in a mail about {b.subject} and keep it in a note {c.title}",
        "look up the home city in the weather app. a mail to {b.name}, subject {b.subject}, should say it, and so should a new note {c.title}",
        "take my home city from weather, write {b.name} the mail {b.subject} with it, then add the note {c.title} with it",
        "which city has weather as home? that is the text of a mail to {b.name}, subject {b.subject}, and of a new note {c.title}",
    ),
    _carry(
        "if_sky_rainy",
        {
            "a": Part("weather_read_sky"),
            "b": Part("calendar_delete", when="rain"),
            "c": Part("maps_start", when="not rain"),
            "d": Part("messages_compose"),
        },
        "look at the sky in the city {a.name}: if it is rainy delete the event {b.title}, if not start the route to the place {c.name}, way {c.way}. then start a chat with {d.name} saying {d.text}",
        "if the weather in {a.name} says rainy the event {b.title} is off, delete it; otherwise begin the trip to the place {c.name}, way {c.way}. in any case write {d.text} to {d.name} in a new chat",
        "check the sky in {a.name}. rainy means remove {b.title} from the calendar, anything else means start the route to the place {c.name} by the way {c.way}. after that a new chat to {d.name}: {d.text}",
        "is the sky in the city {a.name} rainy? yes: erase the event {b.title}. no: take me to the place {c.name}, i {c.way}. then open a chat to {d.name} with {d.text}",
        "depending on the sky in {a.name} delete the event {b.title} (for a rainy one) or start a trip to the place {c.name}, way {c.way} (for all else); and send {d.text} to {d.name} in a new chat",
        rain=Compute("equal", ("a", "=rainy")),
    ),
    _carry(
        "if_place_kind",
        {
            "a": Part("maps_read_kind"),
            "b": Part("maps_read_kind"),
            "c": Part("maps_delete", same={"name": "b.name"}, when="alike"),
            "d": Part("maps_choose_kind", {"new": "a"}, same={"name": "b.name"}, when="not alike"),
            "e": Part("tasks_add"),
        },
        "compare the kinds of the places {a.name} and {b.name}: if they are the same delete {b.name}, if not give {b.name} the kind of {a.name}. then add a task {e.title}",
        "are the places {a.name} and {b.name} of one kind? then remove the place {b.name}. if they are not, make the kind of {b.name} that of {a.name}. finally a task {e.title}",
        "look up of which kind the place {a.name} is, and the place {b.name}. equal kinds: erase {b.name}. different kinds: set {b.name} to the kind of {a.name}. last, the new task {e.title}",
        "if the place {b.name} is of the same kind as {a.name} it can go; otherwise it should get the kind of {a.name}. after that put {e.title} on the task list",
        "check in maps whether {a.name} and {b.name} are of the same kind. yes, delete {b.name}; no, change its kind to that of {a.name}. and create the task {e.title}",
        alike=Compute("equal", ("a", "b")),
    ),
    _carry(
        "if_sender_archive",
        {
            "a": Part("mail_read_sender"),
            "b": Part("mail_read_sender"),
            "c": Part("mail_archive", same={"subject": "b.subject"}, when="same"),
            "d": Part("mail_reply", same={"subject": "b.subject"}, when="not same"),
            "e": Part("calendar_add"),
        },
        "see who sent the mails {a.subject} and {b.subject}. if one person sent both archive {b.subject}, else reply {d.text} to {b.subject}. then add the event {e.title} on {e.day} at {e.time}",
        "are the mails {a.subject} and {b.subject} from the same sender? yes: the mail {b.subject} goes to the archive. no: answer {b.subject} with {d.text}. and put {e.title} into the calendar, {e.day} {e.time}",
        "look up the senders of {a.subject} and {b.subject} in mail; equal means file {b.subject} in the archive, different means send {d.text} as the answer to {b.subject}; then the event {e.title}, {e.day}, {e.time}",
        "compare the sender of the mail {a.subject} with that of {b.subject}: move {b.subject} to the archive when they agree, reply {d.text} to {b.subject} when they do not, and create {e.title} for {e.day} at {e.time}",
        "if {b.subject} comes from the sender of {a.subject} put the mail {b.subject} into the archive, otherwise reply to it with {d.text}; at last add an event {e.title} on {e.day}, {e.time}",
        same=Compute("equal", ("a", "b")),
    ),
)
