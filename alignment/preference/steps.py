"""Reads traces step by step, and writes again the prompt that the model saw at each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from homeostat import actions as a
from homeostat.agent.events import Act, Asked, Decide, Observe, Sense
from homeostat.agent.prompts import PromptStyle, act_prompt, past_action, read_action
from homeostat.agent.trace import Trace, read_trace
from homeostat.alignment.preference.pairs import Pair
from homeostat.controllers.decisions import Dispatch, Reminder
from homeostat.data_files import StrPath
from homeostat.envs.core import TaskInfo
from homeostat.envs.screens import load_screen
from homeostat.errors import ConfigError, TraceError, UnparsableAction
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt

__all__ = ["Step", "read_traces", "steps_of"]


@dataclass
class Step:
    """One step of a trace.

    Attributes:
        task: The episode's task.
        style: How the prompts of the model are written.
        seen: The screen.
        instruction: The goal, or the subtask that was worked on.
        history: Descriptions of the actions that were done before, since this subtask began.
        full_history: The same since the episode began, without ``terminate``, which ended subtasks.
        attempts: The model's answers at this step.
        complaints: The complaint that an attempt drew, by the attempt's place in ``attempts``.
        act: The action that was done; None where the trace ends before.
    """

    task: TaskInfo
    style: PromptStyle
    seen: Observation
    instruction: str
    history: tuple[str, ...]
    full_history: tuple[str, ...]
    attempts: list[Sense] = field(default_factory=list)
    complaints: dict[int, str] = field(default_factory=dict)
    act: Act | None = None

    @property
    def was_done(self) -> bool:
        """Whether the step's action was done."""
        return self.act is not None and self.act.outcome == "done"

    @property
    def task_name(self) -> str:
        """The name under which pairs of the episode stay together when data are split."""
        return f"{self.task.name} {self.task.seed}"

    def prompt(self, reminder: str = "") -> Prompt:
        """Writes the step's prompt.

        Args:
            reminder: A reminder to the model; empty for none.

        Returns:
            The prompt for the step's instruction, without any plan.
        """
        return act_prompt(
            self.style,
            goal=self.instruction,
            rules=self.task.rules,
            history=self.history,
            observation=self.seen,
            reminder=reminder,
        )

    def whole_goal_prompt(self) -> Prompt:
        """Returns the prompt for the whole goal, with the history of the whole episode.

        A ``terminate`` in the history ended a subtask; it is left out, because it is not a step towards the whole goal.
        """
        history = self.full_history
        return act_prompt(
            self.style, goal=self.task.goal, rules=self.task.rules, history=history, observation=self.seen
        )

    def parse(self, text: str) -> a.Action | None:
        """Parses an answer to the step's prompt.

        Args:
            text: The answer.

        Returns:
            The action; None if the text holds none.
        """
        try:
            return read_action(self.style, text, self.seen)
        except UnparsableAction:
            return None

    def describe(self, action: a.Action, said: str = "") -> str:
        """Describes an action as the history lists it.

        Args:
            action: The action.
            said: The model's answer, which held the action.

        Returns:
            A few words, such as ``click [40, 96]``.
        """
        return past_action(self.style, action, self.seen, said)

    def pair(self, chosen: str, rejected: str, kind: str) -> Pair:
        """Makes a preference pair from two answers to the step's prompt.

        Args:
            chosen: The preferred answer.
            rejected: The other answer.
            kind: The pair's kind.

        Returns:
            The pair, on the prompt without a reminder.
        """
        higher = ("rules", "goal") if self.task.rules else ("goal",)
        return Pair(self.prompt(), chosen, rejected, kind, self.task_name, higher)


def read_traces(folders: Iterable[StrPath]) -> list[Trace]:
    """Reads every run in some folders and in the folders below them.

    Args:
        folders: Run folders, or folders that contain run folders.

    Returns:
        The traces.

    Raises:
        ConfigError: A folder does not exist, or no folder holds a trace.
        TraceError: A trace can't be read.
    """
    found = []
    for folder in map(Path, folders):
        if not folder.exists():
            raise ConfigError(f"no traces at {str(folder)!r}; give run folders, or a folder that contains some")
        found += [read_trace(file.parent) for file in sorted(folder.rglob("trace.jsonl"))]
    if not found:
        raise ConfigError("the folders hold no trace.jsonl; record traces with homeostat eval --traces")
    return found


def steps_of(trace: Trace, style: PromptStyle) -> list[Step]:
    """Splits a trace into steps.

    Args:
        trace: The trace.
        style: How the prompts of the model are written.

    Returns:
        The steps, each with all that its prompt needs.

    Raises:
        TraceError: The trace was recorded without screenshots, or is of a conversation.
    """
    found: list[Step] = []
    history: tuple[str, ...] = ()
    full_history: tuple[str, ...] = ()
    task = trace.start.task
    instruction = task.goal
    for event in trace.events:
        match event:
            case Observe(screen="", app="", elements=()):
                raise TraceError(
                    f"trace {str(trace.folder)!r} is of a conversation, which gives no pairs; give traces of screens"
                )
            case Observe(screen=screen, app=app, elements=elements, frames=frames):
                if not screen or frames:
                    raise TraceError(
                        f"trace {str(trace.folder)!r} holds no screenshot of step {event.step}; record it again"
                    )
                pixels = np.asarray(load_screen(trace.folder / "screens", screen))
                seen = Observation(screenshot=pixels, elements=elements, app=app)
                found.append(Step(task, style, seen, instruction, history, full_history))
            case Sense(candidate=None) if found:
                found[-1].instruction = instruction = event.instruction
                found[-1].attempts.append(event)
            case Decide(decision=Reminder(text=text)) if found and found[-1].attempts:
                found[-1].complaints[len(found[-1].attempts) - 1] = text
            case Asked(answer=str(text)) if found and found[-1].attempts:
                found[-1].complaints[len(found[-1].attempts) - 1] = text
            case Decide(decision=Dispatch(instruction=text)):
                instruction, history = text, ()
                if found and not found[-1].attempts:
                    found[-1].instruction, found[-1].history = instruction, ()
            case Act(action=action, outcome=outcome) if found:
                found[-1].act = event
                if action is not None and outcome == "done":
                    done = found[-1].describe(action, event.said)
                    history = (*history, done)
                    full_history = full_history if isinstance(action, a.Terminate) else (*full_history, done)
    return found
