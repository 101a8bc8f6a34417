"""Finds the attention heads that are worth steering.

A steering rule is tried in each head alone, on prompts whose right answer an oracle knows. The effect of the rule in a
head is the gain in the log-probability per token of the right answer. Each use chooses its heads from these effects:

- ``pasta`` (arXiv 2311.02262, section 3.2): the heads that are among the best half in every group of tasks.
- ``zero-tuning`` (arXiv 2505.11739): of a grid of gains, the one that helps most in all heads together; then the heads
  in which this gain's mean effect exceeds its standard error.
- ``act`` (arXiv 2406.15765): the heads in which the mean effect of taking attention from the head's sinks exceeds its
  standard error; layers 2 to the last but one.
- ``instaboost`` (arXiv 2506.13734): of the paper's grid of factors, the one that helps most in all heads together. The
  paper leaves out factors at which a judge finds the answers not fluent. Here, factors are left out at which a right
  answer's token is less than half as probable, on average, as without steering.

``vhr`` (arXiv 2412.13949) uses vision-aware head divergence instead (:mod:`homeostat.sensors.vision_heads`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.actions import Terminate
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.prompts import act_prompt, past_action, write_action
from homeostat.envs.core import Solvable
from homeostat.envs.harness import Suite, make_env
from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.vision_heads import head_divergence, vision_heads, without

__all__ = ["BOOSTS", "GAINS", "RightAnswer", "effects", "find_heads", "right_answers"]

GAINS = (0.5, 0.67, 1.5, 2.0)
"""The gains that ``zero-tuning`` tries on the first token's attention."""
BOOSTS = tuple(float(factor) for factor in range(1, 20, 2))
"""The factors that ``instaboost`` tries on the prompt up to the goal's end."""
_GROUPS = 3
_FLUENT = float(np.log(0.5))
_OUTPUTS = Readout(statistics=frozenset({"outputs"}))


@dataclass(frozen=True)
class RightAnswer:
    """A prompt whose right answer is known.

    Attributes:
        prompt: The prompt.
        tokens: The tokens of the oracle's action.
        group: The group of tasks that it belongs to, from 0.
    """

    prompt: Prompt
    tokens: tuple[int, ...]
    group: int


def right_answers(model: TransformersModel, suite: Suite, count: int, seed: int = 0) -> list[RightAnswer]:
    """Draws one step at random from the oracle's solution of every task.

    Args:
        model: The model, whose prompt style and tokenizer are used.
        suite: The suite of tasks.
        count: The number of tasks.
        seed: The seed of the draw.

    Returns:
        One right answer for each task.

    Raises:
        ConfigError: The suite's environment has no oracle.
    """
    env, rng = make_env(suite.env, suite.split, suite.options), random.Random(seed)
    if not isinstance(env, Solvable):
        raise ConfigError(f"environment {suite.env!r} has no oracle that gives right answers; use the phone")
    tokenizer, found = model.renderer.tokenizer, []
    for number, case in enumerate(suite.cases()[:count]):
        task = env.reset_task(case.task, seed=case.seed)
        history, steps = list[str](), list[tuple[Prompt, str]]()
        for _ in range(task.max_steps):
            action, seen = env.oracle(), env.observe()
            prompt = act_prompt(model.style, goal=task.goal, rules=task.rules, history=history, observation=seen)
            steps.append((prompt, write_action(model.style, action, seen)))
            if isinstance(action, Terminate):
                break
            env.act(action)
            history.append(past_action(model.style, action, seen))
        prompt, answer = rng.choice(steps)
        found.append(
            RightAnswer(prompt, tuple(tokenizer(answer, add_special_tokens=False)["input_ids"]), number % _GROUPS)
        )
    return found


def effects(
    model: TransformersModel,
    answers: Sequence[RightAnswer],
    heads: Sequence[tuple[int, int]],
    rule: Callable[[RightAnswer, frozenset[tuple[int, int]]], Sequence[Actuator]],
    done: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """Measures the effect of a steering rule in each head alone.

    Args:
        model: The model.
        answers: N prompts with their right answers.
        heads: H heads as (layer, head).
        rule: A function from a right answer and a set of heads to the actuators; no actuators where the rule has
            nothing to act on in this prompt.
        done: Called after every prompt.

    Returns:
        (N, H): the gain in the log-probability of each right answer, in nats per token; 0 where the rule has nothing to
        act on.
    """
    table = np.zeros((len(answers), len(heads)))
    for row, one in enumerate(answers):
        plain = _nats(model, one)
        for column, head in enumerate(heads):
            if steer := rule(one, frozenset({head})):
                table[row, column] = _nats(model, one, steer) - plain
        done()
    return table


def find_heads(
    model: TransformersModel,
    answers: Sequence[RightAnswer],
    span: str,
    done: Callable[[], object] = lambda: None,
    layers: Sequence[int] = (),
) -> tuple[dict[str, frozenset[tuple[int, int]]], dict[str, float], dict[str, Any]]:
    """Chooses the heads for every use.

    Args:
        model: The model.
        answers: Prompts with their right answers.
        span: The label of the span that PASTA emphasises, and at whose end InstABoost's instructions end.
        done: Called after every prompt of every measurement, three times for each prompt.
        layers: The layers whose heads are tried for steering; empty for all.

    Returns:
        The heads by use, as (layer, head); the gains by use; and what was measured, as JSON data: the mean effect and
        its standard error for every head, in nats per token, and the mean effect of every gain and factor.

    Raises:
        ConfigError: The model has no such layer.
    """
    heads = _heads(model, answers[0], layers)
    groups = np.array([one.group for one in answers])

    def pasta(one: RightAnswer, chosen: frozenset[tuple[int, int]]) -> Sequence[Actuator]:
        return _present(one, Actuator(span, gain=0.01, reach="outside", heads=chosen))

    def act(one: RightAnswer, chosen: frozenset[tuple[int, int]]) -> Sequence[Actuator]:
        return (Actuator(None, scale=0.4, sinks=0.1, heads=chosen, from_layer=2, to_layer=-1),)

    emphasis = effects(model, answers, heads, pasta, done)
    freed = effects(model, answers, heads, act, done)
    plain = np.array([_nats(model, one) for one in answers])

    def gained(make: Callable[[float], Actuator], factors: Sequence[float]) -> dict[float, float]:
        """The mean gain in log-probability of every factor."""
        scores = {f: [_nats(model, one, _present(one, make(f))) for one in answers] for f in factors}
        return {f: float((np.array(found) - plain).mean()) for f, found in scores.items()}

    by_gain = gained(lambda g: Actuator(((0, 1),), gain=g), GAINS)
    gain = max(GAINS, key=lambda g: by_gain[g])
    by_boost = gained(lambda g: Actuator(span, gain=g, reach="prefix"), BOOSTS)
    boost = max((b for b in BOOSTS if by_boost[b] >= _FLUENT), key=lambda b: by_boost[b])
    first = effects(model, answers, heads, lambda one, h: (Actuator(((0, 1),), gain=gain, heads=h),), done)
    top = [set(np.argsort(-emphasis[groups == g].mean(0), kind="stable")[: len(heads) // 2]) for g in np.unique(groups)]
    chosen = {
        "pasta": [heads[i] for i in sorted(set.intersection(*top))],
        "act": [heads[i] for i in np.flatnonzero(freed.mean(0) > _error(freed))],
        "zero-tuning": [heads[i] for i in np.flatnonzero(first.mean(0) > _error(first))],
        "vhr": _vision(model, answers),
    }
    measured = {"pasta": emphasis, "act": freed, "zero-tuning": first}
    figures: dict[str, Any] = {use: _figures(heads, table) for use, table in measured.items()}
    figures |= {"gains": {str(g): value for g, value in by_gain.items()}}
    figures |= {"boosts": {str(b): value for b, value in by_boost.items()}}
    gains = {"zero-tuning": gain, "instaboost": boost}
    return {use: frozenset(found) for use, found in chosen.items()}, gains, figures


def _nats(model: TransformersModel, one: RightAnswer, steer: Sequence[Actuator] = ()) -> float:
    """The mean log-probability of the right answer's tokens, in nats."""
    scores = model.score(one.prompt, one.tokens, steer)
    return float(scores[np.arange(len(one.tokens)), list(one.tokens)].mean())


def _present(one: RightAnswer, actuator: Actuator) -> tuple[Actuator, ...]:
    """The actuator, unless the prompt lacks one of its spans."""
    labels = {part.label for message in one.prompt.messages for part in message.parts}
    return (actuator,) if actuator.labels <= labels else ()


def _heads(model: TransformersModel, one: RightAnswer, layers: Sequence[int]) -> list[tuple[int, int]]:
    """The heads of some layers, or of all, as (layer, head)."""
    read = model.read(one.prompt, one.tokens)
    for layer in layers:
        if layer not in read.layers:
            raise ConfigError(f"no layer {layer!r} in this model; give some of {read.layers[0]} to {read.layers[-1]}")
    return [(layer, head) for layer in layers or read.layers for head in range(read.mass.shape[2])]


def _vision(model: TransformersModel, answers: Sequence[RightAnswer]) -> list[tuple[int, int]]:
    """The heads whose outputs differ most between a prompt with its screenshot and without."""
    tables: list[NDArray[np.float64]] = []
    layers: tuple[int, ...] = ()
    for one in answers:
        bare = without(one.prompt, "screen")
        if bare == one.prompt:
            continue
        seen = model.read(one.prompt, one.tokens, _OUTPUTS)
        tables.append(head_divergence(seen, model.read(bare, one.tokens, _OUTPUTS)))
        layers = tuple(seen.layers)
    return list(vision_heads(np.mean(tables, axis=0), layers)) if tables else []


def _figures(heads: Sequence[tuple[int, int]], table: NDArray[np.float64]) -> list[dict[str, Any]]:
    error = _error(table)
    return [
        {"layer": layer, "head": head, "effect": float(table[:, i].mean()), "error": float(error[i])}
        for i, (layer, head) in enumerate(heads)
    ]


def _error(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H,) the standard error of each head's mean effect, in nats."""
    spread: NDArray[np.float64] = table.std(axis=0, ddof=min(1, len(table) - 1)) / len(table) ** 0.5
    return spread
