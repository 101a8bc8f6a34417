"""Reads traces step by step, and writes again the prompt that the model saw at each step.

A step shows a screen or a conversation. A conversation's prompt is the whole one, also where the model saw less of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from homeostat import actions as a
from homeostat.agent.events import Act, Asked, Decide, Observe, Sense
from homeostat.agent.prompts import (
    PromptStyle,
    act_prompt,
    chat_prompt,
    conversation_prompt,
    past_action,
    read_action,
    write_action,
)
from homeostat.agent.tool_calls import read_turn
from homeostat.agent.trace import Trace, read_trace
from homeostat.alignment.preference.pairs import Pair
from homeostat.controllers.decisions import Dispatch, Reminder, SteerAttention
from homeostat.conversation import Conversation
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
        seen: The screen, or the conversation so far.
        instruction: The goal, or the subtask that was worked on.
        history: Descriptions of the actions that were done before, since this subtask began.
        full_history: The same since the episode began, without ``terminate``, which ended subtasks.
        attempts: The model's answers at this step.
        complaints: The complaint that an attempt drew, by the attempt's place in ``attempts``.
        corrected: The places in ``attempts`` of those that a controller had answered again: with a reminder, with
            steering, or after the user was asked.
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
    corrected: set[int] = field(default_factory=set)
    act: Act | None = None

    @property
    def was_done(self) -> bool:
        """Whether the step's action was done."""
        return self.act is not None and self.act.outcome == "done"

    @property
    def conversation(self) -> Conversation | None:
        """The conversation so far; None on a screen."""
        return self.seen.conversation

    @property
    def task_name(self) -> str:
        """The name under which pairs of the episode stay together when data are split.

        Conversations are named by how they begin, because one task's name stands for all requests of a program.
        """
        if self.conversation is None:
            return f"{self.task.name} {self.task.seed}"
        begun = self.conversation.model_copy(update={"turns": ()}).model_dump_json()
        return f"{self.task.name} {sha256(f'{self.task.goal} {begun}'.encode()).hexdigest()[:16]}"

    def prompt(self, reminder: str = "") -> Prompt:
        """Writes the step's prompt.

        Args:
            reminder: A reminder to the model; empty for none.

        Returns:
            The prompt for the step's instruction, without any plan.
        """
        if self.conversation is not None:
            return self._turn_prompt(self.conversation, self.instruction, reminder)
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
        if self.conversation is not None:
            return self._turn_prompt(self.conversation, self.task.goal)
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
            if self.conversation is not None:
                return read_turn(text, (), thinks=self.style.conversation.thinks)
            return read_action(self.style, text, self.seen)
        except UnparsableAction:
            return None

    def write(self, action: a.Action) -> str:
        """Writes an action as the model would.

        Args:
            action: The action; in a conversation, an answer or a question.

        Returns:
            The text.
        """
        if isinstance(action, a.Answer | a.Question) and self.conversation is not None:
            return action.text
        return write_action(self.style, action, self.seen)

    def describe(self, action: a.Action, said: str = "") -> str:
        """Describes an action as the history lists it.

        Args:
            action: The action.
            said: The model's answer, which held the action.

        Returns:
            A few words, such as ``click [40, 96]``.
        """
        if isinstance(action, a.Answer | a.Question) and self.conversation is not None:
            return f"the answer {action.text!r}"
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
        prompt = self.prompt()
        return Pair(prompt, chosen, rejected, kind, self.task_name, self.higher(prompt))

    def higher(self, prompt: Prompt) -> tuple[str, ...]:
        """Names the spans whose instruction should win.

        Args:
            prompt: The step's prompt.

        Returns:
            Labels: rules and goal; in a conversation the system message and rules, or the user's words where it has
            neither.
        """
        if self.conversation is None:
            return ("rules", "goal") if self.task.rules else ("goal",)
        labels = {part.label for message in prompt.messages for part in message.parts}
        told = tuple(label for label in ("system", "rules") if label in labels)
        return told or tuple(label for label in ("goal", "user") if label in labels)

    def _turn_prompt(self, conversation: Conversation, goal: str, reminder: str = "") -> Prompt:
        style = self.style.conversation
        if conversation.chat:
            return chat_prompt(style, conversation, reminder=reminder)
        return conversation_prompt(
            style, goal=goal, rules=self.task.rules, conversation=conversation, reminder=reminder
        )


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
        TraceError: The trace was recorded without screenshots, or is of a conversation that has tools or images, or
            that an earlier version recorded.
    """
    found: list[Step] = []
    history: tuple[str, ...] = ()
    full_history: tuple[str, ...] = ()
    task = trace.start.task
    instruction = task.goal
    conversation: Conversation | None = None
    for event in trace.events:
        match event:
            case Observe(screen="", app="", elements=()):
                conversation = _continued(conversation, event, trace)
                seen = Observation(conversation=conversation)
                found.append(Step(task, style, seen, instruction, history, full_history))
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
                found[-1].corrected.add(len(found[-1].attempts) - 1)
            case Decide(decision=SteerAttention()) if found and found[-1].attempts:
                found[-1].corrected.add(len(found[-1].attempts) - 1)
            case Asked(answer=str(text)) if found and found[-1].attempts:
                found[-1].complaints[len(found[-1].attempts) - 1] = text
                found[-1].corrected.add(len(found[-1].attempts) - 1)
            case Decide(decision=Dispatch(instruction=text)):
                instruction, history = text, ()
                if found and not found[-1].attempts:
                    found[-1].instruction, found[-1].history = instruction, ()
            case Act(action=action, outcome=outcome) if found:
                found[-1].act = event
                if action is not None and outcome == "done" and conversation is None:
                    done = found[-1].describe(action, event.said)
                    history = (*history, done)
                    full_history = full_history if isinstance(action, a.Terminate) else (*full_history, done)
    return found


def _continued(before: Conversation | None, event: Observe, trace: Trace) -> Conversation:
    """The conversation at an observation, of what the trace holds of it since the one before."""
    turns = before.turns if before is not None else ()
    frame = event.conversation or before
    if frame is None:
        raise TraceError(
            f"trace {str(trace.folder)!r} holds no messages of the conversation, because a message has an image or an "
            "earlier version recorded it; record a conversation in text"
        )
    if frame.tools or any(message.get("tool_calls") or message.get("role") == "tool" for message in frame.chat):
        raise TraceError(
            f"trace {str(trace.folder)!r} is of a conversation with tools, whose calls a preference pair does not "
            "hold; give traces of screens or of conversations without tools"
        )
    return frame.model_copy(update={"turns": (*turns, *event.turns)})
