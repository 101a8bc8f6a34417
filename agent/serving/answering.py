"""Answers one choice of a request: runs the agent's loop on it and collects what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from homeostat.actions import Answer, Call, Question, calls_of
from homeostat.agent.agent import Agent
from homeostat.agent.events import Act, Decide, Event, Sense, Started
from homeostat.agent.loop.episode import Episode
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.models.callers import Caller
from homeostat.agent.request_env import RequestEnv
from homeostat.agent.serving.errors import ApiError
from homeostat.controllers.cascade import Cascade
from homeostat.conversation import Conversation
from homeostat.envs.core import TaskInfo
from homeostat.sensors.contracts import Sensor

__all__ = ["Answered", "Asked", "answered"]

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True)
class Asked:
    """One choice of a request, as the loop takes it.

    Attributes:
        conversation: The chat and the tools.
        goal: What the user wants, in words.
        rules: The rules that controllers read: the server's, and the parts that are labelled ``rules``.
        limits: The limits of the episode.
        steps: The most answers that are carried out or refused; a refused one is asked for again.
        seed: The seed of sampling.
        parallel: Whether one answer may call several tools.
    """

    conversation: Conversation
    goal: str
    rules: tuple[str, ...]
    limits: LoopLimits
    steps: int
    seed: int
    parallel: bool = True


@dataclass(frozen=True)
class Answered:
    """The answer of one choice.

    Attributes:
        content: The answer's text; None where there is none.
        calls: The tools that it calls.
        refusal: Why there is no answer, where a controller refused it.
        finish: Why the answer ended.
        logprobs: For each token of the answer its text and its natural-log probability.
        prompt_tokens: The number of the prompt's tokens.
        completion_tokens: The number of the answer's tokens.
        report: The field ``homeostat`` of the response.
    """

    content: str | None
    calls: tuple[Call, ...] = ()
    refusal: str | None = None
    finish: Finish = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprobs: tuple[tuple[str, float], ...] = ()
    report: dict[str, Any] = field(default_factory=dict)


def answered(
    asked: Asked, model: Caller, sensors: Sequence[Sensor], cascade: Cascade, left_out: Mapping[str, str]
) -> tuple[Answered, list[Event]]:
    """Runs the loop on one choice.

    Args:
        asked: The choice.
        model: The model, for this choice.
        sensors: The sensors that read every answer.
        cascade: The controllers.
        left_out: The sensors that the model can't feed, with the reason.

    Returns:
        The answer, and the events of the loop.

    Raises:
        HomeostatError: The model, a sensor or a controller failed, or the time was over before the first token.
    """
    env = RequestEnv(asked.conversation, checks="arguments" if asked.steps > 1 else "names")
    agent = Agent(model, sensors, cascade, limits=asked.limits, allow_degraded=True)
    task = TaskInfo(
        name="request", goal=asked.goal, rules=asked.rules, seed=asked.seed, optimal_steps=0, max_steps=asked.steps
    )
    events: list[Event] = []
    with model:
        run = agent.start(task, env, seed=asked.seed)
        events.extend(run)
    return _outcome(asked, env, events, run.result, left_out, model), events


def _outcome(
    asked: Asked, env: RequestEnv, events: Sequence[Event], episode: Episode, left_out: Mapping[str, str], model: Caller
) -> Answered:
    """What the client gets."""
    senses = [event for event in events if isinstance(event, Sense)]
    acts = [event for event in events if isinstance(event, Act)]
    said = next((s for s in reversed(senses) if acts and s.text == acts[-1].said), senses[-1] if senses else None)
    action, refused = env.action, acts[-1].error if acts and acts[-1].outcome == "refused" else ""
    content: str | None = said.text.strip() if said is not None else None
    calls, refusal = calls_of(action), None
    finish: Finish = said.finish if said is not None else "stop"
    if isinstance(action, Answer | Question):
        content = action.text
    elif calls:
        content = None
    elif episode.ended == "asked":
        content, finish = episode.question, "stop"
    elif episode.ended == "stopped" or (refused and refused != env.problem):
        content, refusal, finish = None, episode.reason if episode.ended == "stopped" else refused, "content_filter"
    elif refused and env.misfit is not None:
        content, calls = None, calls_of(env.misfit)
    elif episode.ended == "budget" and not (said is not None and said.tokens):
        raise ApiError(503, "the time was over before the first token; allow more", type="server_error", code="timeout")
    if calls:
        calls, finish = (calls if asked.parallel else calls[:1]), "tool_calls"
    return Answered(
        content=content,
        calls=calls,
        refusal=refusal,
        finish=finish,
        prompt_tokens=said.prompt_tokens if said is not None else 0,
        completion_tokens=len(said.tokens) if said is not None else 0,
        logprobs=_logprobs(said, model) if said is not None else (),
        report=_report(said, senses, events, episode, left_out, env),
    )


def _logprobs(said: Sense, model: Caller) -> tuple[tuple[str, float], ...]:
    """The tokens of an answer that have a text, with their log-probabilities."""
    found = next((one for one in model.answers if one.text == said.text and one.tokens == said.tokens), None)
    if found is None or len(found.pieces) != len(found.logprobs):
        return ()
    written, pairs = "", []
    for piece, logprob in zip(found.pieces, found.logprobs, strict=True):
        if not said.text.startswith(written + piece):  # the token that ended the answer
            break
        written += piece
        pairs.append((piece, logprob))
    return tuple(pairs)


def _report(
    said: Sense | None,
    senses: Sequence[Sense],
    events: Sequence[Event],
    episode: Episode,
    left_out: Mapping[str, str],
    env: RequestEnv,
) -> dict[str, Any]:
    """The field ``homeostat`` of the response."""
    decisions = []
    for event in events:
        if isinstance(event, Decide) and event.decision.kind != "proceed":
            told = event.decision.model_dump(mode="json", exclude_defaults=True, exclude={"by"})
            at = {"controller": event.controller, "step": event.step, "attempt": event.attempt}
            decisions.append({**at, "kind": event.decision.kind, **told})
    started = next(event for event in events if isinstance(event, Started))
    return {
        "ended": "answered" if env.action is not None else episode.ended,
        "reason": "" if env.action is not None else episode.reason,
        "mass": said.mass if said is not None else {},
        "readings": [_reading(reading) for reading in said.readings] if said is not None else [],
        "decisions": decisions,
        "attempts": [
            {
                "step": one.step,
                "attempt": one.attempt,
                **({"candidate": one.candidate} if one.candidate is not None else {}),
                "text": one.text,
                "reminder": one.reminder,
                "tokens": len(one.tokens),
                "mass": one.mass,
                "readings": [_reading(reading) for reading in one.readings],
            }
            for one in senses
            if len(senses) > 1
        ],
        "sensors_left_out": dict(left_out),
        "rules_left_to_the_model": list(started.unread),
        "cost": {
            "calls": episode.calls,
            "tokens": episode.tokens,
            "prompt_tokens": episode.prompt_tokens,
            "seconds": round(episode.seconds, 4),
        },
    }


def _reading(reading: Any) -> dict[str, Any]:
    shown = reading.model_dump(mode="json", exclude_defaults=True)
    return {"sensor": reading.sensor, "value": reading.value, "alarm": reading.alarm, **shown}
