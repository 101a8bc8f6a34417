"""Preference pairs out of traces: what the loop keeps correcting becomes training data.

Three sources:

- **corrected**: within a step an attempt alarmed or held no action (rejected), and a later one was acted on (chosen).
- **drift** (DRIFT, arXiv 2510.02341): an attempt drew a complaint (a controller's reminder, a user's word). Rejected is
  that very answer; chosen is a fresh sample of the present policy, which is shown the answer and the complaint.
- **loop**: the loop reached the goal, with plans, reminders or steering. At every step the bare model is asked the
  whole goal; where it would have acted otherwise, its own answer is rejected and the loop's chosen.

The stored prompt is always the bare one: no reminder, no complaint, no plan. So what is trained is the model that runs
without the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from homeostat import actions as a
from homeostat.agent.events import Act, Asked, Decide, Observe, Sense
from homeostat.agent.models.batching import answer_all
from homeostat.agent.models.protocol import Model
from homeostat.agent.prompts import PromptStyle, act_prompt, describe
from homeostat.agent.trace import Trace, read_trace
from homeostat.alignment.preference.pairs import Pair
from homeostat.controllers.core import Dispatch, Reminder
from homeostat.envs.mobile_use import format_action, parse_action
from homeostat.envs.screens import load_screen
from homeostat.errors import ConfigError, TraceError, UnparsableAction
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt

__all__ = ["SOURCES", "Step", "corrected", "drift", "from_loop", "read_traces", "steps_of"]

SOURCES = ("corrected", "drift", "loop")
_DRAWS = 4


@dataclass
class Step:
    """One step of a trace. ``history``: what was done before, in the present part of the goal; ``whole``: in all."""

    seen: Observation
    instruction: str
    history: tuple[str, ...]
    whole: tuple[str, ...]
    attempts: list[Sense] = field(default_factory=list)
    complaints: dict[int, str] = field(default_factory=dict)
    act: Act | None = None


def read_traces(folders: Iterable[Path]) -> list[Trace]:
    """Every run in these folders, or in the folders below them. Raises :class:`ConfigError` where there is none."""
    found = []
    for folder in folders:
        if not folder.exists():
            raise ConfigError(f"no traces at {str(folder)!r}; give run folders, or a folder that holds some")
        found += [read_trace(file.parent) for file in sorted(folder.rglob("trace.jsonl"))]
    if not found:
        raise ConfigError("the folders hold no trace.jsonl; record some with homeostat eval --traces")
    return found


def steps_of(trace: Trace, style: PromptStyle) -> list[Step]:
    """The trace's steps, with what a prompt of each needs. Raises :class:`TraceError` for a missing screenshot."""
    found: list[Step] = []
    history: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    instruction = trace.start.task.goal
    for event in trace.events:
        match event:
            case Observe(screen=screen, app=app, elements=elements, frames=frames):
                if not screen or frames:
                    raise TraceError(
                        f"trace {str(trace.folder)!r} holds no screenshots of step {event.step}; record it anew"
                    )
                pixels = np.asarray(load_screen(trace.folder / "screens", screen))
                seen = Observation(screenshot=pixels, elements=elements, app=app)
                found.append(Step(seen, instruction, history, whole))
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
                    told = describe(action, style.grid(found[-1].seen))
                    history, whole = (*history, told), (*whole, told)
    return found


def corrected(trace: Trace, style: PromptStyle) -> Iterator[Pair]:
    """(rejected: an attempt that alarmed or held no action; chosen: the one of the same step that was acted on)."""
    for number, step in enumerate(steps_of(trace, style)):
        if step.act is None or step.act.outcome != "done" or len(step.attempts) < 2:
            continue
        *before, last = step.attempts
        if last.action is None or any(r.alarm for r in last.readings):
            continue
        for attempt in before:
            failed = attempt.unparsable is not None or any(r.alarm for r in attempt.readings)
            if failed and attempt.action != last.action and attempt.text.strip():
                yield _pair(trace, style, step, number, last.text, attempt.text, "corrected")


def drift(trace: Trace, style: PromptStyle, model: Model, seed: int = 0) -> Iterator[Pair]:
    """DRIFT pairs: a fresh answer of ``model``, shown the complaint and what drew it, over that answer."""
    for number, step in enumerate(steps_of(trace, style)):
        for at, complaint in step.complaints.items():
            bad = step.attempts[at]
            if not bad.text.strip():
                continue
            said = describe(bad.action, style.grid(step.seen)) if bad.action is not None else "no tool call"
            shown = _prompt(trace, style, step, reminder=f"{complaint}; not {said}")
            for draw in range(_DRAWS):
                fresh = model.generate(shown, temperature=0.0 if draw == 0 else 0.7, watch=False, seed=seed + draw)[0]
                action = _action(fresh.text, style, step)
                if action is not None and action != bad.action:
                    yield _pair(trace, style, step, number, fresh.text, bad.text, "drift")
                    break


def from_loop(traces: Sequence[Trace], style: PromptStyle, model: Model) -> Iterator[Pair]:
    """What the loop did over what the bare model would do, in episodes that reached their goal.

    The goal is the whole one, and so is the history; ends of parts are no steps of the whole.
    """
    wanted: list[tuple[Trace, int, Step, a.Action, Prompt]] = []
    for trace in traces:
        if trace.finish is None or not trace.finish.success:
            continue
        steps = [s for s in steps_of(trace, style) if s.act is not None and s.act.outcome == "done"]
        for number, step in enumerate(steps):
            assert step.act is not None
            action: Any = step.act.action
            if action is None or (isinstance(action, a.Terminate) and number < len(steps) - 1):
                continue
            whole = [w for w in step.whole if not w.startswith("terminate")]
            prompt = act_prompt(
                style, goal=trace.start.task.goal, rules=trace.start.task.rules, history=whole, observation=step.seen
            )
            wanted.append((trace, number, step, action, prompt))
    answers = answer_all(model, [w[-1] for w in wanted])
    for (trace, _, step, action, prompt), text in zip(wanted, answers, strict=True):
        if text.strip() and _action(text, style, step) != action:
            chosen = format_action(action, style.grid(step.seen))
            task = f"{trace.start.task.name} {trace.start.task.seed}"
            yield Pair(prompt, chosen, text, "loop", task, ("goal",))


def _action(text: str, style: PromptStyle, step: Step) -> a.Action | None:
    try:
        return parse_action(text, style.grid(step.seen))
    except UnparsableAction:
        return None


def _prompt(trace: Trace, style: PromptStyle, step: Step, reminder: str = "") -> Prompt:
    return act_prompt(
        style,
        goal=step.instruction,
        rules=trace.start.task.rules,
        history=step.history,
        observation=step.seen,
        reminder=reminder,
    )


def _pair(trace: Trace, style: PromptStyle, step: Step, number: int, chosen: str, rejected: str, kind: str) -> Pair:
    task = f"{trace.start.task.name} {trace.start.task.seed}"
    higher = ("rules", "goal") if trace.start.task.rules else ("goal",)
    return Pair(_prompt(trace, style, step), chosen, rejected, kind, task, higher)
