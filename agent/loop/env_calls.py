"""The loop's calls of the environment: they are bounded in time, and errors name the environment."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from homeostat.actions import Action, is_repeatable
from homeostat.components import component
from homeostat.envs.core import Checked, Env, Repeating, Restoring, SelfEnding
from homeostat.errors import EnvTimeout
from homeostat.observation import Observation

__all__ = ["GRACE", "EnvCalls", "restores"]

_T = TypeVar("_T")
GRACE = 5.0
"""Seconds that a hung call is waited for after the process was asked to end."""
_POLL = 0.1


def restores(env: Env) -> bool:
    """Tells whether an environment can be put back into an earlier state.

    Args:
        env: The environment.

    Returns:
        What the environment says of itself; False where it says nothing.
    """
    return isinstance(env, Restoring) and env.restores


class EnvCalls:
    """Calls one environment.

    An environment that says that it can't be put back may hang on a device or a network. Its calls run in a thread of
    their own, which is abandoned when the time is up. Any other environment is called directly.

    Attributes:
        env: The environment.
        name: Its class, for messages.
    """

    def __init__(self, env: Env, seconds: float | None) -> None:
        """Wraps an environment.

        Args:
            env: The environment.
            seconds: The most seconds of one call; None for no bound.
        """
        self.env, self.name = env, type(env).__name__
        self._seconds = seconds if isinstance(env, Restoring) and not env.restores else None
        self._asked_to_end: float | None = None
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]] | None = None

    def observe(self) -> Observation:
        """The present screen.

        Raises:
            EnvError: The environment failed, or did not return in time.
            ComponentError: It raised an error that is none of its contract's.
        """
        return self._call("observe", self.env.observe)

    def act(self, action: Action) -> None:
        """Carries an action out.

        Args:
            action: The action.

        Raises:
            ActionError: The environment refuses the action.
            EnvError: The environment failed, or did not return in time.
            ComponentError: It raised an error that is none of its contract's.
        """
        self._call("act", lambda: self.env.act(action))

    def repeatable(self, action: Action) -> bool:
        """Tells whether an action may be carried out twice in a row, by its kind or by the environment's word.

        Args:
            action: The action.

        Returns:
            True where twice has the same effect as once.
        """
        env = self.env
        return is_repeatable(action) or (isinstance(env, Repeating) and env.repeatable(action))

    def success(self) -> bool:
        """Whether the task's check holds."""
        return self._call("success", self.env.success)

    def snapshot(self) -> dict[str, Any]:
        """The environment's state, as JSON-able data."""
        return self._call("snapshot", self.env.snapshot)

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Puts the environment back, as far as it can be.

        Args:
            snapshot: What :meth:`snapshot` returned.
        """
        self._call("restore", lambda: self.env.restore(snapshot))

    @property
    def ended(self) -> str:
        """Why the environment ended the episode by itself; "" where it did not."""
        env = self.env
        return self._call("ended", lambda: env.ended) if isinstance(env, SelfEnding) else ""

    def subtasks(self) -> tuple[tuple[bool, ...], tuple[str, ...]] | None:
        """For every subtask, whether it is done and in which app; None where the environment does not know."""
        env = self.env
        if not isinstance(env, Checked):
            return None
        return self._call("subtasks", lambda: (env.subtasks(), env.subtask_apps()))

    def end_soon(self) -> None:
        """The process was asked to end: a call that does not return within :data:`GRACE` seconds is abandoned."""
        self._asked_to_end = time.monotonic()

    def _call(self, what: str, call: Callable[[], _T]) -> _T:
        with component("environment", self.name):
            return call() if self._seconds is None else self._bounded(what, call, self._seconds)

    def _bounded(self, what: str, call: Callable[[], _T], seconds: float) -> _T:
        if self._work is None:
            self._work = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(self._work,), name="homeostat-env", daemon=True).start()
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        here = contextvars.copy_context()  # so that spans of the environment find their parent
        self._work.put((lambda: here.run(call), answer))
        begun = time.monotonic()
        while True:
            try:
                kind, value = answer.get(timeout=_POLL)
            except queue.Empty:
                now = time.monotonic()
                why = f"within {seconds:g} s" if now - begun > seconds else ""
                if self._asked_to_end is not None and now - self._asked_to_end > GRACE:
                    why = f"within {GRACE:g} s of the signal to end"
                if why:
                    self._work = None  # the thread hangs: it is left alone, and the next call gets another one
                    raise EnvTimeout(
                        f"environment {self.name!r} did not return from {what} {why}; check the device, then resume"
                    ) from None
                continue
            if kind == "error":
                raise value
            result: _T = value
            return result


def _serve(work: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]]) -> None:
    """Makes one call after the other, for ever."""
    while True:
        call, answer = work.get()
        try:
            answer.put(("value", call()))
        except BaseException as error:  # handed to the caller, whatever it is
            answer.put(("error", error))
