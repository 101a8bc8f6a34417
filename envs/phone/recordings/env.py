"""A question about a screen recording as an environment: all frames at once, one answer, and the episode is over."""

from __future__ import annotations

import random
from string import ascii_lowercase
from typing import Any

import numpy as np
from gymnasium import spaces

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymnasiumAdapter
from homeostat.envs.phone.recordings.questions import QUESTION_KINDS, RecordingQuestion, recording_question
from homeostat.envs.phone.recordings.record import FEWEST, MOST, spread
from homeostat.envs.phone.tasks.instance import same_text
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.observation import Observation

__all__ = ["RecordingEnv", "asked", "task_kind", "task_names"]

_PREFIX = "recording_"
_APP = "recording"
_SHAPE = (256, 144, 3)  # the shape of a frame
_MAX_STEPS = 3


def task_names() -> tuple[str, ...]:
    """Returns the tasks: one for each kind of question.

    Returns:
        The names.
    """
    return tuple(f"{_PREFIX}{kind}" for kind in QUESTION_KINDS)


def task_kind(name: str) -> str:
    """Returns the kind of a task, which is the task itself.

    Args:
        name: The task's name.

    Returns:
        The same name.
    """
    return name


def asked(question: RecordingQuestion) -> str:
    """Formats a question and its options as a goal: ``… a) mail; b) notes; c) clock; d) maps``.

    Args:
        question: The question.

    Returns:
        The goal.
    """
    options = (f"{letter}) {option}" for letter, option in zip(ascii_lowercase, question.options, strict=False))
    return f"{question.question} {'; '.join(options)}"


class RecordingEnv(GymnasiumAdapter):
    """The agent watches 8 to 32 frames of a phone episode and answers a multiple-choice question about it.

    The answer is an option's text or its letter. It ends the episode, and so does ``terminate``; every other action is
    refused. Observations hold all frames besides the last screen (``"frames"`` in Gymnasium's observations).

    Args:
        task: ``recording_order``, ``recording_count``, ``recording_value`` or ``recording_cause``.
        split: The split of the words and phrasings.
        most: The maximum number of frames, 8 to 32. A longer recording is thinned evenly, its first and last frame
            included, and may then lack what the question is about.
        render_mode: Gymnasium's render mode: ``"rgb_array"`` or None.

    Raises:
        UnknownName: The task or split does not exist.
        ConfigError: ``most`` is out of range.
    """

    restores = True

    def __init__(
        self,
        task: str = "recording_order",
        *,
        split: Split = "test",
        most: int = MOST,
        render_mode: str | None = None,
    ) -> None:
        if task not in task_names():
            raise UnknownName.of("task", task, task_names())
        if split not in ("train", "dev", "test"):
            raise UnknownName.of("split", split, ("train", "dev", "test"))
        if not FEWEST <= most <= MOST:
            raise ConfigError(f"most {most!r} frames are out of range; choose {FEWEST} to {MOST}")
        self.task, self.split, self.most = task, split, most
        self.info = TaskInfo(name=task, goal="", optimal_steps=1, max_steps=_MAX_STEPS)
        self.question: RecordingQuestion | None = None
        self._frames: tuple[np.ndarray[Any, np.dtype[np.uint8]], ...] = ()
        self._status, self._answer = "", ""
        self.steps = 0
        self._declare(_SHAPE[1], _SHAPE[0], render_mode)
        frame = spaces.Box(0, 255, _SHAPE, np.uint8)
        self.observation_space = spaces.Dict(
            {**self.observation_space.spaces, "frames": spaces.Sequence(frame)}  # type: ignore[attr-defined]
        )

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Records an episode for a question of the task's kind.

        Raises:
            UnknownName: The task does not exist.
        """
        name = task if task is not None else self.task
        if name not in task_names():
            raise UnknownName.of("task", name, task_names())
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self.question = recording_question(self.split, name.removeprefix(_PREFIX), seed)
        frames = self.question.recording.frames
        self._frames = tuple(frames[i] for i in spread(len(frames), self.most))
        self._status, self._answer, self.steps = "", "", 0
        goal = asked(self.question)
        self.info = TaskInfo(name=name, goal=goal, seed=seed, optimal_steps=1, max_steps=_MAX_STEPS, parts=(goal,))
        return self.info

    @property
    def ended(self) -> str:
        """The reason why the episode is over; "" while it goes on."""
        return self._status

    def over(self) -> bool:
        """Returns whether the question was answered or the agent terminated."""
        return bool(self._status)

    def observe(self) -> Observation:
        """Returns all frames. The last one is the screen."""
        if not self._frames:
            raise EnvError("there is no recording yet; reset the environment first")
        return Observation(self._frames[-1], (), _APP, self._frames)

    def act(self, action: a.Action) -> None:
        """Answers the question, or terminates.

        Raises:
            ActionError: It is any other action, or the episode is over.
        """
        if self._status:
            raise ActionError(f"{action.kind!r} after the end: {self._status}; reset first")
        match action:
            case a.Answer(text=text):
                self._status, self._answer = f"the question was answered with {text!r}", text
            case a.Terminate(status=status):
                self._status = f"the agent terminated with {status!r}"
            case _:
                raise ActionError(f"{action.kind!r} does nothing to a recording; answer the question")
        self.steps += 1

    def success(self) -> bool:
        """Returns whether the right option was given, by its text or its letter."""
        if self.question is None or not self._answer:
            return False
        right = self.question.answer
        letter = self._answer.strip().lower().strip("().")
        return same_text(self._answer, self.question.options[right]) or letter == ascii_lowercase[right]

    def oracle(self) -> a.Action:
        """Returns the right answer."""
        return a.Answer(text=self._asked().options[self._asked().answer])

    def guess(self, rng: random.Random) -> a.Action:
        """Returns one of the options at random.

        Args:
            rng: The random generator.

        Returns:
            The answer.
        """
        return a.Answer(text=rng.choice(self._asked().options))

    def _asked(self) -> RecordingQuestion:
        if self.question is None:
            raise EnvError("there is no question yet; reset the environment first")
        return self.question

    def _seen(self) -> dict[str, Any]:
        return {**super()._seen(), "frames": tuple(np.array(f) for f in self._frames)}

    def snapshot(self) -> dict[str, Any]:
        """Returns the data from which the episode can be recorded again."""
        return {
            "task": self.info.name,
            "seed": self.info.seed,
            "split": self.split,
            "most": self.most,
            "answer": self._answer,
            "status": self._status,
            "steps": self.steps,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Records the snapshot's episode again, in this process or another."""
        self.split, self.most = snapshot["split"], snapshot["most"]
        self.reset_task(snapshot["task"], seed=snapshot["seed"])
        self._answer, self._status, self.steps = snapshot["answer"], snapshot["status"], snapshot["steps"]
