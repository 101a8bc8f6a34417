"""Screen recordings of phone episodes, and questions about them with known answers."""

from homeostat.envs.phone.recordings.env import RecordingEnv
from homeostat.envs.phone.recordings.files import export_picture, load_recording, save_recording
from homeostat.envs.phone.recordings.phrasings import PHRASINGS
from homeostat.envs.phone.recordings.questions import (
    QUESTION_KINDS,
    RecordingQuestion,
    further_questions,
    recording_question,
    recording_questions,
)
from homeostat.envs.phone.recordings.record import Change, Moment, Recording, Shown, Touch, record

__all__ = [
    "PHRASINGS",
    "QUESTION_KINDS",
    "Change",
    "Moment",
    "Recording",
    "RecordingEnv",
    "RecordingQuestion",
    "Shown",
    "Touch",
    "export_picture",
    "further_questions",
    "load_recording",
    "record",
    "recording_question",
    "recording_questions",
    "save_recording",
]
