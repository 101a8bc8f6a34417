"""Scores a model's answers to conflicts and their aligned twins with CRAS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from homeostat.agent.agent import Agent
from homeostat.agent.models.batching import answer_all
from homeostat.agent.models.protocol import Model
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.chat import CHAT_KINDS, chat_twins
from homeostat.alignment.conflicts.core import Case, cases_of
from homeostat.alignment.conflicts.phone import PHONE_KINDS, phone_twins
from homeostat.alignment.conflicts.team import TEAM_KINDS, team_twins
from homeostat.alignment.diagnosis.agents import agent_answers
from homeostat.alignment.diagnosis.summary import Answered
from homeostat.alignment.diagnosis.verdicts import ask_verdict
from homeostat.data_files import StrPath
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import ConfigError, ModelError
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.role_adherence import truth_scores
from homeostat.sensors.rubric import GENERIC, Judge, ask_scores, parse_scores, write_rubric

__all__ = ["diagnose", "generated"]


def generated(
    model: Model,
    suite: Literal["phone", "chat", "team"],
    split: Split,
    seed: int,
    count: int,
    kinds: Sequence[str] = (),
) -> list[Case]:
    """Generates cases.

    Args:
        model: The model that will answer; prompts of the phone and of teams are written in its style.
        suite: Screens of the phone, chats, or teams of agents.
        split: The data split.
        seed: The random seed.
        count: The number of conflicts; each comes with its aligned twin.
        kinds: The kinds of conflict; empty for all.

    Returns:
        ``2 * count`` cases, each conflict followed by its twin.

    Raises:
        UnknownName: The suite has no such kind.
    """
    if suite == "phone":
        source = phone_twins(model.style, split, seed, tuple(kinds) or tuple(PHONE_KINDS))
    elif suite == "team":
        source = team_twins(model.style, split, seed, tuple(kinds) or tuple(TEAM_KINDS))
    else:
        source = chat_twins(split, seed, tuple(kinds) or tuple(CHAT_KINDS))
    return cases_of(itertools.islice(source, count))


def diagnose(
    model: Model,
    cases: Sequence[Case],
    *,
    agent: Agent | None = None,
    judge: Judge | None = None,
    rubric: Literal["generic", "written"] = "generic",
    max_new_tokens: int = 64,
    batch: int = 16,
    on_progress: Callable[[int], None] = lambda done: None,
    traces: StrPath | None = None,
) -> tuple[list[Answered], int]:
    """Asks a model every case, and scores its answers.

    Args:
        model: The model that answers.
        cases: The cases.
        agent: The agent over the model whose loop, with its sensors and controllers, answers the cases; its own limits
            say how long an answer may be. None asks the bare model.
        judge: A model that scores the answers besides the ground truth; None for none.
        rubric: The judge's rubric. ``written`` asks the judge to write one for each case, at one more call.
        max_new_tokens: The longest answer, in tokens.
        batch: The number of prompts that are answered in one batch.
        on_progress: Called with the number of answered cases.
        traces: With ``agent``: the folder for a trace of each answer, which ``homeostat mine`` reads; None keeps none.

    Returns:
        The answers, and the number of the judge's answers that could not be parsed. A model whose chat template has no
        place for tools does not see their definitions, but sees the messages of their calls and results.

    Raises:
        ConfigError: A case has rules that only a judge can check, and there is no judge; or the folder already holds
            traces.
    """
    if judge is None and any(case.rules for case in cases):
        raise ConfigError("no program can check these cases, but a judge model can; name one with --judge")
    prompts = [_shown(model, case.prompt) for case in cases]
    if agent is None:
        texts = answer_all(model, prompts, batch=batch, max_new_tokens=max_new_tokens, on_progress=on_progress)
    else:
        ended = itertools.count(1)
        texts = agent_answers(
            agent, prompts, batch=batch, on_end=lambda number, episode: on_progress(next(ended)), traces=traces
        )
    found, unparsable = list[Answered](), 0
    for case, text in zip(cases, texts, strict=True):
        truth, measures, judged = case.judge(text), dict(case.measures(text)), None
        if judge is not None and case.rules:
            verdict = ask_verdict(judge, case.prompt, text, case.rules)
            unparsable += verdict is None
            if not verdict:  # as in RealGuardrails' code, an answer that can't be parsed counts against the model
                truth = replace(truth, reached=0.0, broken=(*truth.broken, "guardrails"))
            measures["accuracy"] = float(not truth.broken), 1.0
        elif judge is not None:
            used = write_rubric(judge, case.role, case.query) if rubric == "written" else GENERIC
            scores = parse_scores(ask_scores(judge, case.role, case.query, text, used))
            judged = scores.as_dict() if scores is not None else None
            unparsable += scores is None
        found.append(
            Answered(
                id=case.id,
                kind=case.kind,
                level=case.level,
                aligned=case.aligned,
                text=text,
                kept=not truth.broken,
                right=truth.reached == 1,
                truth=truth_scores(truth),
                judged=judged,
                reference=case.reference,
                variant=case.variant,
                measures=measures,
            )
        )
    return found, unparsable


def _shown(model: Model, prompt: Prompt) -> Prompt:
    """Leaves out the definitions of tools where the model's chat template has no place for them."""
    if prompt.tools and isinstance(model, TransformersModel):
        try:
            model.renderer.render(prompt)
        except ModelError:
            return replace(prompt, tools=())
    return prompt
