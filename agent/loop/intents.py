"""Write-ahead intents: what the loop is about to do to the environment, on disk before it does it.

A process can die after an action has changed a real device and before the checkpoint says so. The log holds a line for
every action before it is carried out (an *intent*) and another one with its outcome. A run that is resumed finds an
intent without an outcome, and never carries the action out a second time on a guess.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.actions import Action
from homeostat.errors import CheckpointError

__all__ = ["Intent", "IntentLog"]

_FILE = "intents.jsonl"


class Intent(BaseModel):
    """One action that the loop was about to carry out.

    Attributes:
        step: The number of the environment step.
        action: The action.
        screen: The fingerprint of the screen before it.
        outcome: ``"open"`` until the environment has returned, then what came of it.
        error: Why the environment refused the action; "" otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    action: Action
    screen: str
    outcome: Literal["open", "done", "refused"] = "open"
    error: str = ""


class IntentLog:
    """The intents of one run's folder, oldest first."""

    def __init__(self, folder: Path) -> None:
        """Opens the log, and makes it where it does not exist.

        Args:
            folder: The run's folder.

        Raises:
            CheckpointError: The file can't be written.
        """
        self._path = folder / _FILE
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            # A line that a killed process left unfinished says nothing: its action was not begun, or stays open.
            data = self._path.read_bytes()
            os.ftruncate(self._file, data.rfind(b"\n") + 1)
        except OSError as error:
            raise self._unwritable(error) from None

    def begin(self, step: int, action: Action, screen: str) -> Intent:
        """Writes an intent, durably: it survives a power cut.

        Args:
            step: The number of the environment step.
            action: The action that is about to be carried out.
            screen: The fingerprint of the present screen.

        Returns:
            The intent.

        Raises:
            CheckpointError: The file can't be written. The action must not be carried out then.
        """
        intent = Intent(step=step, action=action, screen=screen)
        self._append(intent)
        return intent

    def close_intent(self, intent: Intent, error: str = "") -> None:
        """Writes what came of an intent.

        Args:
            intent: The intent.
            error: Why the environment refused the action; "" where it was carried out.

        Raises:
            CheckpointError: The file can't be written.
        """
        self._append(intent.model_copy(update={"outcome": "refused" if error else "done", "error": error}))

    def last(self) -> Intent | None:
        """The newest intent with the newest that is known of it; None without one.

        Raises:
            CheckpointError: The last line is damaged.
        """
        lines = self._path.read_bytes().splitlines()
        if not lines:
            return None
        try:
            return Intent.model_validate_json(lines[-1])
        except ValidationError:
            raise CheckpointError(f"{str(self._path)!r}, line {len(lines)}, is damaged; start the run anew") from None

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    def _append(self, intent: Intent) -> None:
        data = intent.model_dump_json().encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fdatasync(self._file)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> CheckpointError:
        return CheckpointError(f"can't write {str(self._path)!r}: {error.strerror}; free the disk, then resume")
