"""Screens with questions, from the oracle's episodes on the phone.

Each screen of an episode gives several questions: the oracle's next action for the episode's goal, its next action for
other goals, where a label is, and which label is at a place. Some actions are noise (a wrong app, a stray tap), so that
the training data also show how the oracle finds its way back. With the split ``train``, all words come from the
training vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from homeostat import actions as a
from homeostat.agent.prompts import PromptStyle, past_action
from homeostat.envs.phone.recordings.record import cells_of
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.envs.phone.tasks.base import NotPossible, Template
from homeostat.envs.phone.tasks.instance import Instance
from homeostat.envs.phone.tasks.joined import Joined
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.examples import Question, ScreenExample
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.questions import QuestionWriter
from homeostat.nano.data.situations import Situation, draw_situation, draw_task, stray_action
from homeostat.observation import Observation

__all__ = ["screen_examples"]

_MAX_STEPS = 30
_LAST_PHRASINGS = 4  # an episode has only one last step, so it is asked in more phrasings than the others


def _phrasings(rng: random.Random, task: Instance | Joined, n: int) -> list[str]:
    """The task's goal and up to ``n`` − 1 other phrasings of it."""
    if isinstance(task, Joined):
        return [task.goal]
    others = [w for g in task.template.goals if (w := g.format(**task.slots)) != task.goal]
    return [task.goal, *rng.sample(others, min(n - 1, len(others)))]


def _other_goals(
    writer: QuestionWriter, situation: Situation, history: Sequence[str], seen: Observation
) -> list[Question]:
    """Asks for the next action that other goals need on this screen."""
    rng, mix, questions = writer.rng, writer.mix, list[Question]()
    device, rules, fitting = situation.world.device, situation.rules, situation.templates
    here = [t for t in fitting if t.app == device.app] or fitting
    for _ in range(5 * mix.other_goals):
        if len(questions) == mix.other_goals:
            break
        pool = here if rng.random() < 0.65 else fitting
        if rules and rng.random() < 0.2:
            pool = [t for t in fitting if any(r.forbids(t) for r in rules)] or fitting
        try:
            other = draw_task(rng, mix, rng.choice(pool), situation.world, rules, fitting)
        except NotPossible:
            continue
        action = other.oracle(device, ())
        leaves = isinstance(action, a.Open | a.SystemButton)
        # A menu does not show which item it belongs to, so the screen can't tell whether to leave it.
        undecidable = leaves and device.dialog and other.template.app == device.app
        if undecidable or (leaves and rng.random() >= mix.away):
            continue
        shown_history = history if rng.random() < 0.4 else []
        questions.append(writer.act(other.goal, rules, shown_history, seen, action))
    return questions


def screen_examples(
    rng: random.Random,
    style: PromptStyle,
    mix: Mix,
    split: Split = "train",
    templates: Mapping[str, Template] | None = None,
) -> Iterator[ScreenExample]:
    """Generates screens without end, episode after episode.

    Args:
        rng: The random generator.
        style: The prompt style.
        mix: How many questions of each kind there are, and the shares of special episodes.
        split: The split that words come from.
        templates: The templates that tasks come from, besides those of invented apps. None: all training templates.

    Yields:
        Each screen of each episode, with its questions.
    """
    templates = templates_of("train") if templates is None else templates
    writer = QuestionWriter(rng, style, mix)
    while True:
        situation = draw_situation(rng, mix, split, templates)
        device, task, rules = situation.world.device, situation.task, situation.rules
        history, answers = list[str](), list[str]()
        advert_at = rng.randint(0, 6) if rng.random() < mix.adverts else -1
        for step in range(_MAX_STEPS):
            if step == advert_at and not device.dialog:
                pop_up(rng, device)
            action = task.oracle(device, answers)
            seen = device.observe()
            example = ScreenExample(seen.screenshot, cells_of(device))
            n = _LAST_PHRASINGS if isinstance(action, a.Terminate) else mix.phrasings
            example.questions += [writer.act(goal, rules, history, seen, action) for goal in _phrasings(rng, task, n)]
            example.questions += _other_goals(writer, situation, history, seen)
            example.questions += writer.labels(device, rules, seen)
            yield example
            if isinstance(action, a.Terminate):
                break
            if rng.random() < mix.noise and not device.dialog:
                action = stray_action(rng, device)
            if isinstance(action, a.Answer):
                answers.append(action.text)
            device.act(action)
            history.append(past_action(style, action, seen))
