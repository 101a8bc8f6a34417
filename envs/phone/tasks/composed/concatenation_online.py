"""Simple Concatenation on the online apps (mail, browser, maps, weather) and the calculator."""

from homeostat.envs.phone.tasks.composed.core import Subtask, concatenation

__all__ = ["TEMPLATES"]


TEMPLATES = (
    concatenation(
        "concat_mail_morning",
        {"a": Subtask("mail_reply"), "b": Subtask("mail_archive"), "c": Subtask("mail_star")},
        "reply {a.text} to the mail {a.subject}, archive the mail {b.subject} and star the mail {c.subject}",
        "my mail this morning: {a.subject} gets the answer {a.text}, {b.subject} goes to the archive, {c.subject} gets a star",
        "answer the mail {a.subject} with {a.text}, then move the mail {b.subject} to the archive, then mark the mail {c.subject} with a star",
        "first say {a.text} in reply to the mail {a.subject}. next file the mail {b.subject} in the archive. last add a star to the mail {c.subject}",
        "in mail i want {a.text} sent as the answer to {a.subject}, the mail {b.subject} archived and the mail {c.subject} starred",
    ),
    concatenation(
        "concat_announce",
        {"a": Subtask("mail_write"), "b": Subtask("messages_compose"), "c": Subtask("calendar_add")},
        "write a mail to {a.name} about {a.subject} that says {a.text}, start a chat with {b.name} saying {b.text}, and add the event {c.title} on {c.day} at {c.time}",
        "tell everybody: a mail to {a.name}, subject {a.subject}, text {a.text}; a new chat to {b.name}: {b.text}; and {c.title} on {c.day}, {c.time}, in the calendar",
        "send {a.name} a mail with the subject {a.subject} and the text {a.text}; open a chat to {b.name} with {b.text}; put {c.title} into the calendar, {c.day} {c.time}",
        "first mail {a.text} to {a.name}, the subject is {a.subject}. then {b.text} to {b.name} in a new chat. then an event {c.title} for {c.day} at {c.time}",
        "i want {a.name} to get a mail called {a.subject} with {a.text}, {b.name} to get {b.text} in a new chat, and {c.title} to stand in the calendar on {c.day} at {c.time}",
    ),
    concatenation(
        "concat_mail_cleaning",
        {
            "a": Subtask("mail_delete"),
            "b": Subtask("mail_unstar"),
            "c": Subtask("mail_restore"),
            "d": Subtask("browser_clear"),
        },
        "delete the mail {a.subject}, unstar the mail {b.subject}, move the mail {c.subject} from the archive to the inbox, and clear the history of the browser",
        "clean up: the mail {a.subject} can go, the mail {b.subject} loses its star, the archived mail {c.subject} is back in the inbox, the browser forgets its history",
        "erase the mail {a.subject}; take the star off the mail {b.subject}; get the mail {c.subject} back from the archive; empty the history in the browser",
        "first remove the mail {a.subject}, second remove the star from the mail {b.subject}, third put the archived mail {c.subject} into the inbox again, fourth delete my browser history",
        "get rid of the mail {a.subject}, then {b.subject} should have no star, then take {c.subject} out of the mail archive, then wipe the browser history",
    ),
    concatenation(
        "concat_plan_trip",
        {
            "a": Subtask("maps_add"),
            "b": Subtask("weather_add"),
            "c": Subtask("tasks_add"),
            "d": Subtask("settings_turn_on"),
        },
        "save the place {a.name} on the road {a.road} in maps, add the city {b.name} to weather, add a task {c.title} and turn on {d.key}",
        "a trip is coming: new place {a.name}, road {a.road}; new city {b.name} in weather; new task {c.title}; and {d.key} on",
        "create the place {a.name} ({a.road}) in maps, then show the city {b.name} in weather, then make the task {c.title}, then enable {d.key}",
        "i need the place {a.name} with the road {a.road} in maps, the city {b.name} in weather, {c.title} on my task list and {d.key} switched on",
        "put {a.name} on {a.road} into maps and {b.name} into weather; after that {c.title} becomes a task and {d.key} is activated",
    ),
    concatenation(
        "concat_weather_setup",
        {
            "a": Subtask("weather_home"),
            "b": Subtask("weather_alerts_on"),
            "c": Subtask("weather_delete"),
            "d": Subtask("notes_add"),
        },
        "make {a.name} the home city in weather, turn on the alerts for the city {b.name}, delete the city {c.name} and write a note {d.title} saying {d.text}",
        "set up weather: home is {a.name}, the alerts for {b.name} are on, the city {c.name} goes. and add the note {d.title}: {d.text}",
        "in weather change the home city to {a.name}, switch the alerts for {b.name} on and remove the city {c.name}; then create a note {d.title} with the text {d.text}",
        "first {a.name} becomes my home city, then i want alerts for the city {b.name}, then the city {c.name} is erased, and at last note {d.text} under {d.title}",
        "i live in {a.name}, set it as home in weather; activate the weather alerts for {b.name}; get rid of the city {c.name}; and make a note {d.title} that says {d.text}",
    ),
    concatenation(
        "concat_bookmarks",
        {"a": Subtask("browser_mark"), "b": Subtask("browser_unmark"), "c": Subtask("mail_write")},
        "bookmark the page {a.title}, take the page {b.title} off the marks, and write a mail to {c.name} with the subject {c.subject} and the text {c.text}",
        "in the browser the page {a.title} becomes a bookmark and the bookmark {b.title} goes; then mail {c.text} to {c.name} about {c.subject}",
        "mark the page {a.title}, unmark the page {b.title}, and send {c.name} a mail called {c.subject} that says {c.text}",
        "first save {a.title} among the bookmarks, then drop the bookmark {b.title}, then a new mail to {c.name}: subject {c.subject}, text {c.text}",
        "i want the site {a.title} marked and the page {b.title} not marked any more in the browser; {c.name} gets the mail {c.subject} with {c.text}",
    ),
    concatenation(
        "concat_places",
        {
            "a": Subtask("maps_choose_kind"),
            "b": Subtask("maps_rename"),
            "c": Subtask("maps_delete"),
            "d": Subtask("contacts_add"),
        },
        "set the kind of the place {a.name} to {a.new}, rename the place {b.name} to {b.new}, delete the place {c.name} and add the contact {d.name} with {d.phone}",
        "in maps: {a.name} is of the kind {a.new}, {b.name} is called {b.new}, {c.name} is gone. in contacts: {d.name}, {d.phone}",
        "correct the kind of the place {a.name}, it is {a.new}; give the place {b.name} the name {b.new}; remove the place {c.name}; save {d.name} with the number {d.phone}",
        "first make the kind of the place {a.name} {a.new}. then call the place {b.name} {b.new}. then erase the place {c.name}. then a new contact {d.name}, number {d.phone}",
        "the place {a.name} should be a {a.new}, the place {b.name} should be called {b.new}, the place {c.name} can go, and {d.name} with {d.phone} is a new contact",
    ),
    concatenation(
        "concat_forwarding",
        {"a": Subtask("mail_forward"), "b": Subtask("mail_forward"), "c": Subtask("tasks_complete")},
        "forward the mail {a.subject} to {a.name} and the mail {b.subject} to {b.name}, then mark the task {c.title} as done",
        "{a.name} should get the mail {a.subject}, {b.name} should get the mail {b.subject}; when both are forwarded tick off the task {c.title}",
        "pass the mail {a.subject} on to {a.name}; pass the mail {b.subject} on to {b.name}; complete the task {c.title}",
        "first send the mail {a.subject} on to {a.name}, next send the mail {b.subject} on to {b.name}, last finish the task {c.title}",
        "let {a.name} have the mail {a.subject} and {b.name} the mail {b.subject}, forward them, and the task {c.title} is done, mark it",
    ),
    concatenation(
        "concat_deal_with_mail",
        {
            "a": Subtask("mail_reply", {"text": "=received"}),
            "b": Subtask("mail_archive", same={"subject": "a.subject"}),
            "c": Subtask("mail_reply", {"text": "=received"}),
            "d": Subtask("mail_archive", same={"subject": "c.subject"}),
        },
        "to deal with a mail means: reply received to it, then archive it. deal with {a.subject} and then with {c.subject}",
        "dealing with a mail is an answer that says received and a move to the archive. do it for the mail {a.subject}, after that for the mail {c.subject}",
        "let us call this done with: reply received, then file the mail in the archive. be done with {a.subject} and with {c.subject}",
        "deal with the mails {a.subject} and {c.subject}, one after the other: each gets the reply received and goes to the archive",
        "for the mail {a.subject} and then for the mail {c.subject} do this: send received as the answer, put the mail into the archive",
    ),
    concatenation(
        "concat_storm",
        {
            "a": Subtask("weather_alerts_on"),
            "b": Subtask("calendar_delete"),
            "c": Subtask("messages_reply"),
            "d": Subtask("maps_stop"),
        },
        "turn on the alerts for the city {a.name}, delete the event {b.title}, write {c.text} to {c.name} and stop the trip in maps",
        "a storm is coming: alerts for the city {a.name} on, event {b.title} gone, {c.text} to {c.name} in the chat, trip stopped",
        "switch the weather alerts for {a.name} on, remove {b.title} from the calendar, reply {c.text} to {c.name}, and end my trip in maps",
        "first i want alerts for the city {a.name}, then erase the event {b.title}, then tell {c.name} in the chat {c.text}, then cancel the trip that is under way",
        "activate the alerts for {a.name} in weather; the event {b.title} is off, delete it; answer the chat of {c.name} with {c.text}; stop the route that i am on",
    ),
)
