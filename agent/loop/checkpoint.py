"""Stores an episode's state between nodes: in SQLite beside the trace, or in memory.

Only types that the state can hold are deserialised (strict msgpack). Only the newest checkpoints are kept: each holds
all the episode's readings, so keeping every one would grow with the square of the episode's length. On request, the
checkpoint at the start of every step stays, too, so that the run can be forked there; a table names them.

Two things that LangGraph hands to a saver are not written, because they bring nothing back: what a node returned, just
before the checkpoint that holds the same values; and the checkpoint after a look at the screen, which a resumed run
takes anew in any case.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from pydantic import BaseModel

from homeostat import actions as _actions
from homeostat.agent.loop import state as _state
from homeostat.controllers import context as _context, decisions as _decisions, plan as _plan
from homeostat.envs import core as _envs
from homeostat.errors import CheckpointError
from homeostat.foreign_text import quoted
from homeostat.sensors import readings as _sensors
from homeostat.sensors.steering.actuators import Actuator, Centric

__all__ = ["FILE", "THREAD", "RunSaver", "memory_saver", "serializer", "sqlite_saver"]

FILE = "checkpoint.sqlite"
"""The checkpoint's name in a run's folder."""
THREAD: RunnableConfig = {"configurable": {"thread_id": "episode"}}
"""LangGraph's name for the one thread that a checkpoint file holds."""
_KEPT = 4
_PRUNE_EVERY = 16
_PATIENCE = 10.0
_STEPS = "kept_steps"
_BRANCH = "branch:"  # LangGraph's channels that say which node is next
_LOOKED = frozenset(("emitted", "told"))  # all that the node ``observe`` changes


def _types() -> list[type]:
    modules = (_state, _plan, _decisions, _context, _actions, _envs, _sensors)
    found = (getattr(module, name) for module in modules for name in module.__all__)
    return [Actuator, Centric, *(t for t in found if isinstance(t, type) and issubclass(t, BaseModel))]


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of LangGraph's serialiser concerns anybody.

    A set of heads comes back as a list of lists, which LangGraph warns of. :class:`Actuator` makes a set of it again.
    """
    return not (record.msg.startswith("Could not reconstruct") and record.args[:2] == ("builtins", "frozenset"))  # type: ignore[index]


logging.getLogger(JsonPlusSerializer.__module__).addFilter(_is_news)


def serializer() -> JsonPlusSerializer:
    """Returns LangGraph's serialiser. It reads only the types that an episode's state can hold (strict msgpack)."""
    return JsonPlusSerializer(allowed_msgpack_modules=_types())


class RunSaver(SqliteSaver):
    """Keeps only the newest checkpoints, perhaps one of every step, and lets the loop wait until one is written.

    Attributes:
        stored: The number of events (``EpisodeState.emitted``) that the newest written state covers.
        failure: Why a checkpoint could not be written; None as long as all could.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Takes over a connection.

        Args:
            connection: The connection to the checkpoint's file. It has to be usable from any thread.
        """
        super().__init__(connection, serde=serializer())
        self.stored = -1
        self._kept_step: int | None = None  # the last step whose checkpoint stays; None keeps no step's
        self.failure: Exception | None = None
        self._puts = 0
        self._news = threading.Condition()

    def wait(self, emitted: int) -> None:
        """Blocks until the checkpoint that covers so many events is written.

        Args:
            emitted: The number of events.

        Raises:
            CheckpointError: The checkpoint can't be written, or is not within 10 seconds.
        """
        with self._news:
            written = self._news.wait_for(lambda: self.failure or self.stored >= emitted, timeout=_PATIENCE)
        if self.failure is not None:
            raise self.error() from self.failure
        if not written:
            raise CheckpointError(f"the checkpoint was not written within {_PATIENCE:g} s; check the disk, then resume")

    def error(self) -> CheckpointError:
        """The failure as an error that says what to do."""
        return CheckpointError(f"can't write the checkpoint ({self.failure}); free or mend the disk, then resume")

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Writes a checkpoint, and now and then deletes all but the newest few.

        Args:
            config: LangGraph's configuration of the thread.
            checkpoint: The checkpoint.
            metadata: LangGraph's metadata of it.
            new_versions: The versions of the channels that changed.

        Returns:
            The configuration that names the checkpoint.
        """
        emitted = checkpoint["channel_values"].get("emitted", -1)
        if self.stored >= 0 and all(name in _LOOKED or name.startswith(_BRANCH) for name in new_versions):
            self._has_stored(emitted)
            return {"configurable": {**config["configurable"], "checkpoint_id": checkpoint["id"]}}
        try:
            stored = super().put(config, checkpoint, metadata, new_versions)
        except Exception as error:
            self._fail(error)
            raise
        self._keep_step(checkpoint)
        self._has_stored(emitted)
        self._puts += 1
        if self._puts % _PRUNE_EVERY:
            return stored
        stay = "" if self._kept_step is None else f" AND checkpoint_id NOT IN (SELECT checkpoint_id FROM {_STEPS})"
        with self.cursor() as cursor:
            newest = "SELECT checkpoint_id FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1 OFFSET ?"
            cursor.execute(newest, (_KEPT,))
            if row := cursor.fetchone():
                cursor.execute(f"DELETE FROM checkpoints WHERE checkpoint_id <= ?{stay}", row)
                cursor.execute("DELETE FROM writes WHERE checkpoint_id <= ?", row)
        return stored

    def keep_steps(self) -> None:
        """Keeps the checkpoint at the start of every step from now on, in this process and in those that resume."""
        with self.cursor() as cursor:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {_STEPS} (step INTEGER PRIMARY KEY, checkpoint_id TEXT)")
            last = cursor.execute(f"SELECT max(step) FROM {_STEPS}").fetchone()[0]
        self._kept_step = -1 if last is None else last

    @property
    def keeps_steps(self) -> bool:
        """Whether the file keeps the checkpoint at the start of every step."""
        with self.cursor(transaction=False) as cursor:
            found = cursor.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (_STEPS,))
            return found.fetchone() is not None

    def steps(self) -> dict[int, str]:
        """Returns the id of the checkpoint at the start of every step that is kept."""
        if not self.keeps_steps:
            return {}
        try:
            with self.cursor(transaction=False) as cursor:
                found = cursor.execute(f"SELECT step, checkpoint_id FROM {_STEPS} ORDER BY step").fetchall()
        except sqlite3.DatabaseError as error:
            raise CheckpointError(f"the checkpoint's list of steps is damaged ({error}); start the run anew") from None
        return {step: name for step, name in found if isinstance(step, int) and isinstance(name, str)}

    def _keep_step(self, checkpoint: Checkpoint) -> None:
        """Notes the checkpoint at a step's start: the one behind which the screen is looked at, or rules are read."""
        values = checkpoint["channel_values"]
        step = values.get("step")
        if self._kept_step is None or step is None or step <= self._kept_step:
            return
        if not any(f"{_BRANCH}to:{node}" in values for node in ("observe", "read_rules")):
            return
        with self.cursor() as cursor:
            cursor.execute(f"INSERT OR REPLACE INTO {_STEPS} VALUES (?, ?)", (step, checkpoint["id"]))
        self._kept_step = step

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Writes questions, answers and errors. What a node returned stands in the checkpoint that follows.

        Args:
            config: LangGraph's configuration of the thread.
            writes: The channels and their values.
            task_id: The node's task.
            task_path: The node's place in the graph.
        """
        if not any(channel in WRITES_IDX_MAP for channel, _ in writes):
            return
        try:
            super().put_writes(config, writes, task_id, task_path)
        except Exception as error:
            self._fail(error)
            raise

    def _has_stored(self, emitted: int) -> None:
        with self._news:
            self.stored = max(self.stored, emitted)
            self._news.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._news:
            self.failure = self.failure or error
            self._news.notify_all()


def memory_saver() -> InMemorySaver:
    """Returns the saver of a run without a folder. A question can be answered, but nothing can be resumed."""
    return InMemorySaver(serde=serializer())


@contextmanager
def sqlite_saver(folder: Path, *, existing: bool = False) -> Iterator[RunSaver]:
    """Opens the saver of a run's folder.

    Args:
        folder: The run's folder.
        existing: Whether the folder has to hold a checkpoint already.

    Yields:
        The saver.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
    """
    path = folder / FILE
    if existing and not path.is_file():
        raise CheckpointError(f"no checkpoint {str(path)!r}; give the folder of a run, such as runs/<id>")
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        saver = RunSaver(connection)
        try:
            saver.setup()
            # In WAL mode a killed process loses nothing; only a power cut could lose the last step.
            connection.execute("PRAGMA synchronous=NORMAL")
            if existing:
                _check(connection, path)
        except sqlite3.DatabaseError as error:
            raise CheckpointError(f"checkpoint {str(path)!r} is damaged ({error}); start the run anew") from None
        yield saver


def _check(connection: sqlite3.Connection, path: Path) -> None:
    # A view or a trigger is a stranger's query, which may never end. No run makes one.
    strange = connection.execute("SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchone()
    if strange is not None:
        raise CheckpointError(
            f"checkpoint {str(path)!r} holds {quoted(strange[0])}, which no run writes; start it anew"
        )
    verdict: Any = connection.execute("PRAGMA quick_check").fetchone()
    if verdict is None or verdict[0] != "ok":
        raise CheckpointError(f"checkpoint {str(path)!r} is damaged ({verdict and verdict[0]!r}); start the run anew")
    if connection.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == 0:
        raise CheckpointError(f"checkpoint {str(path)!r} holds no state; start the run anew")
