"""Simple Concatenation on music, camera, gallery, recorder, drawing and calculator."""

from homeostat.envs.phone.tasks.composed.core import Subtask, concatenation

__all__ = ["TEMPLATES"]


TEMPLATES = (
    concatenation(
        "concat_photo_walk",
        {
            "a": Subtask("settings_turn_off"),
            "b": Subtask("camera_flash_photo"),
            "c": Subtask("maps_start"),
            "d": Subtask("notes_add"),
        },
        "turn off {a.key}, take a photo with the flash on, start the route to the place {c.name}, way {c.way}, and write a note {d.title} saying {d.text}",
        "a walk: {a.key} off, one photo with flash, then a trip to the place {c.name} (way {c.way}), then the note {d.title}: {d.text}",
        "first disable {a.key}. next use the flash and take a photo. next take me to {c.name} in maps, i {c.way}. last note {d.text} under {d.title}",
        "switch {a.key} off, shoot a photo with the flash, begin the route to the place {c.name} by the way {c.way} and add a note {d.title} with the text {d.text}",
        "i want {a.key} off, then a photo with flash, then the way {c.way} to the place {c.name} in maps, then a new note {d.title} that says {d.text}",
    ),
    concatenation(
        "concat_music_setup",
        {
            "a": Subtask("music_new_list"),
            "b": Subtask("music_like"),
            "c": Subtask("music_play"),
            "d": Subtask("settings_volume"),
        },
        "make a new list {a.list} in music, like the song {b.title}, play the song {c.title} and set the volume to {d.value}",
        "music: a new list {a.list}, a like for {b.title}, {c.title} playing. and the volume at {d.value}",
        "create a music list called {a.list}, mark the song {b.title} as liked, start the song {c.title}, change the volume to {d.value}",
        "first i need the music list {a.list}, then the song {b.title} should be liked, then put on the song {c.title}, then make the volume {d.value}",
        "in music add the list {a.list}, give the song {b.title} a like and let the song {c.title} play; after that the volume should be {d.value}",
    ),
    concatenation(
        "concat_sort_pictures",
        {
            "a": Subtask("gallery_choose_album"),
            "b": Subtask("gallery_favourite"),
            "c": Subtask("gallery_delete"),
            "d": Subtask("gallery_rename"),
        },
        "move the picture {a.name} to the album {a.new}, make the picture {b.name} a favourite, delete the picture {c.name} and rename the picture {d.name} to {d.new}",
        "sort my gallery: {a.name} into the album {a.new}, {b.name} a favourite, {c.name} away, {d.name} called {d.new}",
        "put the picture {a.name} into the album {a.new}; add the picture {b.name} to my favourites; erase the picture {c.name}; give the picture {d.name} the name {d.new}",
        "in gallery the picture {a.name} belongs in the album {a.new}, {b.name} is a favourite, {c.name} can go and {d.name} should be {d.new}",
        "first {a.name} goes to the album {a.new}. then mark the picture {b.name} as a favourite. then remove the picture {c.name}. then call the picture {d.name} {d.new}",
    ),
    concatenation(
        "concat_interview",
        {
            "a": Subtask("calendar_add"),
            "b": Subtask("recorder_quality"),
            "c": Subtask("recorder_record"),
            "d": Subtask("mail_write"),
        },
        "add the event {a.title} on {a.day} at {a.time}, set the recorder to {b.new}, record a memo, and write a mail to {d.name} about {d.subject} that says {d.text}",
        "an interview: {a.title} in the calendar, {a.day} {a.time}; the recorder in {b.new}; one memo recorded; then a mail to {d.name}, subject {d.subject}, text {d.text}",
        "put {a.title} into the calendar for {a.day}, {a.time}. change the quality of the recorder to {b.new}. make a recording. mail {d.text} to {d.name}, the subject is {d.subject}",
        "first create the event {a.title}, {a.day} at {a.time}, second switch the recorder to {b.new}, third record something and stop, fourth send {d.name} a mail {d.subject} with {d.text}",
        "i need {a.title} on {a.day} at {a.time} in the calendar, {b.new} in the recorder, a new memo, and a mail called {d.subject} to {d.name} that says {d.text}",
    ),
    concatenation(
        "concat_picture_to_paint",
        {
            "a": Subtask("drawing_clear"),
            "b": Subtask("drawing_paint"),
            "c": Subtask("drawing_save"),
            "d": Subtask("tasks_complete"),
        },
        "clear the canvas, paint the cell {b.cell} {b.colour}, save the drawing as {c.name} and mark the task {d.title} as done",
        "in drawing wipe the canvas, make the cell {b.cell} {b.colour} and keep the drawing as {c.name}; then tick off the task {d.title}",
        "i want a blank canvas, then the cell {b.cell} in {b.colour}, then the drawing saved under the name {c.name}; the task {d.title} is done with that",
        "first empty the canvas; next colour the cell {b.cell} {b.colour}; next store the drawing as {c.name}; last complete the task {d.title}",
        "erase everything that is painted, take the {b.colour} pen to the cell {b.cell}, save what is painted as {c.name}, and finish the task {d.title}",
    ),
    concatenation(
        "concat_tidy_media",
        {
            "a": Subtask("music_delete"),
            "b": Subtask("recorder_delete"),
            "c": Subtask("drawing_delete"),
            "d": Subtask("gallery_unfavourite"),
        },
        "delete the song {a.title}, the memo {b.name} and the drawing {c.name}, and take the picture {d.name} off my favourites",
        "make room: the song {a.title}, the memo {b.name} and the drawing {c.name} can go, and the picture {d.name} is no favourite any more",
        "erase the song {a.title} in music, the memo {b.name} in the recorder, the drawing {c.name}; then the picture {d.name} should not be a favourite",
        "first get rid of the song {a.title}, then of the memo {b.name}, then of the drawing {c.name}; after that unmark the picture {d.name} as a favourite",
        "i no longer need the song {a.title}, the memo {b.name} and the drawing {c.name}, delete them; remove the picture {d.name} from my favourites",
    ),
    concatenation(
        "concat_party_music",
        {
            "a": Subtask("music_add_entry"),
            "b": Subtask("music_add_entry"),
            "c": Subtask("music_shuffle_on"),
            "d": Subtask("messages_compose"),
        },
        "add the song {a.title} to the list {a.list}, add the song {b.title} to the list {b.list}, turn shuffle on in music and start a chat with {d.name} saying {d.text}",
        "party music: {a.title} into {a.list}, {b.title} into {b.list}, shuffle on; then {d.text} to {d.name} in a new chat",
        "put the song {a.title} into the list {a.list} and the song {b.title} into the list {b.list}; switch shuffle on; open a new chat to {d.name} with {d.text}",
        "the list {a.list} should have the song {a.title}, the list {b.list} the song {b.title}; i want shuffle on when music plays; and {d.name} gets {d.text} in a new chat",
        "first the song {a.title} goes into {a.list}, then the song {b.title} into {b.list}, then set shuffle to on, then send {d.text} to {d.name} in a new chat",
    ),
    concatenation(
        "concat_studio",
        {
            "a": Subtask("recorder_record"),
            "b": Subtask("recorder_choose_tag"),
            "c": Subtask("recorder_keep"),
            "d": Subtask("music_pause"),
        },
        "record a memo, give the memo {b.name} the tag {b.new}, keep the memo {c.name} and pause the music",
        "in the recorder: a new memo, the tag {b.new} for {b.name}, keep on for {c.name}. then pause what plays in music",
        "take a short memo; tag the memo {b.name} as {b.new}; mark the memo {c.name} to be kept; pause the player",
        "first make a new recording, next set the tag of the memo {b.name} to {b.new}, next the memo {c.name} should be kept, last halt the song",
        "i want something recorded, the memo {b.name} tagged {b.new}, the memo {c.name} kept, and the music paused",
    ),
    concatenation(
        "concat_camera_ready",
        {
            "a": Subtask("camera_timer"),
            "b": Subtask("clock_add_alarm"),
            "c": Subtask("gallery_favourite"),
            "d": Subtask("music_shuffle_off"),
        },
        "set the timer of the camera to {a.new}, set an alarm for {b.time} labelled {b.label}, make the picture {c.name} a favourite and turn shuffle off in music",
        "get ready: camera timer {a.new}; alarm {b.time} with the label {b.label}; picture {c.name} a favourite; shuffle off",
        "make the timer in camera {a.new}, then add an alarm at {b.time} called {b.label}, then mark the picture {c.name} as a favourite, then switch shuffle off",
        "first the camera's timer should be {a.new}; after that wake me at {b.time}, label {b.label}; the picture {c.name} goes to my favourites; i want shuffle off when music plays",
        "in camera choose the timer {a.new}; in clock a new alarm for {b.time} that is called {b.label}; in gallery {c.name} becomes a favourite; in music shuffle should be off",
    ),
    concatenation(
        "concat_file_twice",
        {
            "a": Subtask("gallery_choose_album", {"new": "=work"}),
            "b": Subtask("tasks_add", {"title": "a.name"}),
            "c": Subtask("gallery_choose_album", {"new": "=work"}),
            "d": Subtask("tasks_add", {"title": "c.name"}),
        },
        "to file a picture means: move it to the album work and add a task with its name. file {a.name}, then file {c.name}",
        "filing is two things, the album work for the picture and a task of the same name. do it for the pictures {a.name} and {c.name}",
        "file the pictures {a.name} and {c.name}, one after the other: put it into the album work, then make a task called like it",
        "for the picture {a.name} and after it for the picture {c.name}: album work, and a new task with the name of the picture",
        "whatever is filed goes to the album work and gets a task of its name. the picture {a.name} is filed first, the picture {c.name} second",
    ),
)
