"""Mines preference pairs from traces: what the loop keeps correcting becomes training data.

There are three sources, and a pair's ``kind`` names its source:

- ``corrected``: at one step, an attempt raised an alarm or held no action (rejected), and a later attempt was acted on
  (chosen). In a conversation, rejected is an answer that a controller had written again, and chosen the answer that
  was given in its place, also if the sensor's alarm lasted: there, many sensors read the request, which stays the same.
- ``drift``: the method DRIFT (arXiv 2510.02341), which learns from dissatisfaction. An attempt drew a complaint: a
  controller's reminder, or an answer of the user. That attempt is rejected. Chosen is a new sample of the current
  model, which is shown the complaint and the rejected action. The source has nothing to do with the drift of attention
  that sensors and ``homeostat localize`` measure.
- ``loop`` (ours): in episodes that reached their goal with plans, reminders or steering, the bare model is asked the
  whole goal at every step. Where it would act otherwise, its answer is rejected and the loop's action chosen. A
  conversation in which no controller decided anything gives no pairs.

The stored prompt is always the bare one: it holds no reminder, no complaint and no plan. The pairs therefore train the
model as it runs without the loop. An answer in a conversation that was cut off at its longest length is never chosen,
because nobody would end there. Each source can leave out feedback that is probably noise
(:mod:`homeostat.alignment.preference.noise`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from homeostat import actions as a
from homeostat.agent.events import Decide, Sense
from homeostat.agent.models.batching import answer_all
from homeostat.agent.models.protocol import Model
from homeostat.agent.prompts import PromptStyle
from homeostat.agent.trace import Trace
from homeostat.alignment.preference.noise import NoiseFilter
from homeostat.alignment.preference.pairs import Pair
from homeostat.alignment.preference.steps import Step, steps_of
from homeostat.controllers.decisions import Proceed

__all__ = ["SOURCES", "complaint_pairs", "corrected_pairs", "loop_pairs"]

SOURCES = ("corrected", "drift", "loop")
"""The names of the sources, which are also the kinds of the pairs."""
_DRAWS = 4
_ALL = NoiseFilter(dwell=None, burst=None)


def corrected_pairs(trace: Trace, style: PromptStyle, noise: NoiseFilter = _ALL) -> Iterator[Pair]:
    """Finds steps at which a failed attempt was followed by one that was acted on.

    Args:
        trace: A trace.
        style: How the prompts of the model are written.
        noise: What is left out: steps in a burst, and steps whose action was taken back. By default nothing is.

    Yields:
        Pairs of the kind ``corrected``.
    """
    steps = steps_of(trace, style)
    for step, brief, burst in zip(steps, noise.brief(steps), noise.bursts(steps), strict=True):
        if not step.was_done or len(step.attempts) < 2 or brief or burst:
            continue
        *before, last = step.attempts
        if last.action is None or _is_unfit(step, last):
            continue
        for place, attempt in enumerate(before):
            alarmed = any(r.alarm for r in attempt.readings) if step.conversation is None else place in step.corrected
            failed = attempt.unparsable is not None or alarmed
            if failed and attempt.action != last.action and attempt.text.strip():
                yield step.pair(last.text, attempt.text, "corrected")


def _is_unfit(step: Step, last: Sense) -> bool:
    """Whether the attempt that was acted on is no example to follow."""
    if step.conversation is not None:
        return last.finish == "length"
    return any(r.alarm for r in last.readings)


def complaint_pairs(
    trace: Trace, style: PromptStyle, model: Model, seed: int = 0, noise: NoiseFilter = _ALL
) -> Iterator[Pair]:
    """Finds attempts that drew a complaint, and samples a better answer to each.

    Args:
        trace: A trace.
        style: How the prompts of the model are written.
        model: The current model. It answers greedily first, then at temperature 0.7, up to four times in all, until
            an answer holds another action.
        seed: The random seed of the samples.
        noise: What is left out: steps in a burst, and new answers with an action that was done and taken back. By
            default nothing is.

    Yields:
        Pairs of the kind ``drift``.
    """
    steps = steps_of(trace, style)
    for step, brief, burst in zip(steps, noise.brief(steps), noise.bursts(steps), strict=True):
        if burst:
            continue
        undone = step.act.action if brief and step.act is not None else None
        for place, complaint in step.complaints.items():
            attempt = step.attempts[place]
            if not attempt.text.strip():
                continue
            action = step.describe(attempt.action) if attempt.action is not None else "no tool call"
            prompt = step.prompt(reminder=f"{complaint}; not {action}")
            for draw in range(_DRAWS):
                fresh = model.generate(prompt, temperature=0.0 if draw == 0 else 0.7, watch=False, seed=seed + draw)[0]
                better = step.parse(fresh.text)
                cut_off = step.conversation is not None and fresh.finish == "length"
                if better is not None and better not in (attempt.action, undone) and not cut_off:
                    yield step.pair(fresh.text, attempt.text, "drift")
                    break


def loop_pairs(traces: Sequence[Trace], style: PromptStyle, model: Model, noise: NoiseFilter = _ALL) -> Iterator[Pair]:
    """Compares what the loop did with what the bare model would do, in episodes that reached their goal.

    Args:
        traces: Traces.
        style: How the prompts of the model are written.
        model: The bare model, which is asked the whole goal, with the history of the whole episode.
        noise: What is left out: steps whose action was taken back. By default nothing is.

    Yields:
        Pairs of the kind ``loop``.
    """
    done = [
        acted
        for trace in traces
        if trace.finish is not None and trace.finish.success
        for acted in _acted(trace, style, noise)
    ]
    prompts = [step.whole_goal_prompt() for step, _ in done]
    answers = answer_all(model, prompts)
    for (step, action), prompt, text in zip(done, prompts, answers, strict=True):
        if text.strip() and step.parse(text) != action:
            higher = ("goal",) if step.conversation is None else step.higher(prompt)
            yield Pair(prompt, step.write(action), text, "loop", step.task_name, higher)


def _acted(trace: Trace, style: PromptStyle, noise: NoiseFilter) -> Iterator[tuple[Step, a.Action]]:
    """Yields the steps of the whole goal with their actions; a ``terminate`` before the last step ends a subtask."""
    every = steps_of(trace, style)
    if every and every[0].conversation is not None:
        if all(isinstance(event.decision, Proceed) for event in trace.events if isinstance(event, Decide)):
            return
        every = [step for step in every if not step.attempts or step.attempts[-1].finish != "length"]
    steps = [(step, brief) for step, brief in zip(every, noise.brief(every), strict=True) if step.was_done]
    for number, (step, brief) in enumerate(steps):
        assert step.act is not None
        action = step.act.action
        if action is None or brief or (isinstance(action, a.Terminate) and number < len(steps) - 1):
            continue
        yield step, action
