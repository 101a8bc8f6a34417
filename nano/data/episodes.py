"""What the embedded model learns from: the oracle's episodes on the phone, as questions about screens.

Each screen of an episode gives several questions: what the oracle does next for the episode's goal; what it would do
there for other goals; where a label stands; what stands at a place. Some actions are noise (a wrong app, a stray tap),
so that the oracle's way back is seen too. All words come from the training vocabulary.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from homeostat import actions as a
from homeostat.agent.prompts import PromptStyle, act_prompt, describe, plan_prompt
from homeostat.envs.mobile_use import format_action
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.envs.phone.tasks.joined import Joined, draw_joined
from homeostat.envs.phone.tasks.oracle import SCROLL_DOWN, SCROLL_UP, cell
from homeostat.envs.phone.tasks.rules import RULES, Rule, draw_rules
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split, is_drawn
from homeostat.nano.data.compositions import composition, conditional, loosely
from homeostat.nano.data.invented_apps import inventions
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt

__all__ = [
    "Mix",
    "Question",
    "ScreenExample",
    "fitting_templates",
    "plan_examples",
    "screen_examples",
    "with_inventions",
]

Templates = Mapping[str, Template]
_TRAIN = templates_of("train")
_MORE = tuple(app for app in APPS if app not in BASIC)


@dataclass(frozen=True)
class Mix:
    """How many questions of each kind a screen gets, and the shares of what else there is.

    ``phrasings``: of the episode's own goal (a joined one is asked once, the last step in every way); ``away``: of
    other goals that lead out of the screen (another app, or back), this share is asked: they are many and easy;
    ``noise``: of steps, a stray action; ``reminders``: of questions; ``joined``, ``adverts``: of episodes;
    ``forbidden``, ``ruled``: of episodes, those with a rule that forbids the task (one step long, so they need a larger
    share than in a suite) and with one that doesn't; ``whole``: of phones, those with every app; ``invented``: those
    with three invented apps, which most of their tasks are about; ``conditional``, ``loose``: of goals, those said as
    one side of a condition, and those said in few words (``compositions.loosely``).
    """

    phrasings: int = 1
    other_goals: int = 2
    away: float = 1.0
    where: int = 2
    what: int = 1
    noise: float = 0.1
    joined: float = 0.06
    forbidden: float = 0.3
    ruled: float = 0.3
    whole: float = 0.75
    conditional: float = 0.05
    invented: float = 0.35
    loose: float = 0.25
    adverts: float = 0.2
    reminders: float = 0.08


@dataclass(frozen=True)
class Question:
    """A prompt and the assistant's answer. ``kind``: act, where, find (where, of a word drawn for this phone), what,
    plan or watch.
    """

    kind: str
    prompt: Prompt
    answer: str


@dataclass
class ScreenExample:
    """One screen, what is written on its patches, and its questions.

    ``patches``: (column, row) -> the patch's word from its start to the end of the patch: ``al``, ``alar`` and
    ``alarm`` for ``alarm``; None where nobody knows, as of a page whose words stand anywhere.
    """

    screenshot: NDArray[np.uint8]
    patches: dict[tuple[int, int], str] | None
    questions: list[Question] = field(default_factory=list)


def _patches(device: Device) -> dict[tuple[int, int], str]:
    cells = {}
    for p in device.placed():
        for r in p.runs:
            for i in range(0, len(r.word), 2):
                cells[r.column + i // 2, r.row] = r.word[: i + 2]
    return cells


def _noise(rng: random.Random, device: Device) -> a.Action:
    """A move that a straying agent makes, without lasting effect: navigation, scrolling, a field's focus."""
    taps = [
        a.Click(point=cell(*p.anchor))
        for p in device.placed()
        if p.runs and (p.widget.role == "field" or (p.widget.tap or [""])[0] in ("go", "back"))
    ]
    roll = rng.random()
    if taps and roll < 0.6:
        return rng.choice(taps)
    if roll < 0.75:
        return a.Open(app=rng.choice(sorted(device.apps)))
    return rng.choice((a.SystemButton(button="Back"), a.SystemButton(button="Home"), SCROLL_DOWN, SCROLL_UP))


class _Asker:
    def __init__(self, rng: random.Random, style: PromptStyle, mix: Mix) -> None:
        self.rng, self.style, self.mix = rng, style, mix
        self._asked = Counter[str]()

    def act(
        self, goal: str, rules: tuple[Rule, ...], history: list[str], seen: Observation, action: a.Action
    ) -> Question:
        rng = self.rng
        reminder = ""
        if rng.random() < self.mix.reminders:
            said = [
                f"the goal is: {goal}",
                "answer with one tool call.",
                *(f"keep to the rule: {r.text}" for r in rules),
            ]
            reminder = rng.choice(said)
        prompt = act_prompt(
            self.style,
            goal=goal,
            rules=[r.text for r in rules],
            history=history,
            observation=seen,
            reminder=reminder,
        )
        return Question("act", prompt, format_action(action, self.style.grid(seen)))

    def labels(self, device: Device, rules: tuple[Rule, ...], seen: Observation) -> list[Question]:
        """Where-is and what-is questions about this screen's labels, seldom asked ones first: a label that stands on
        every phone is soon known by heart, the words that only this phone holds have to be found.
        """
        texts: dict[str, list[tuple[int, int]]] = {}
        for p in device.placed():
            if p.runs and p.widget.text:
                shown = " ".join(r.word for r in p.runs)
                if shown.startswith(p.widget.text):
                    texts.setdefault(p.widget.text, []).append(p.anchor)
        unique = [(text, at[0]) for text, at in texts.items() if len(at) == 1]
        grid = self.style.grid(seen)
        questions = []
        for kind, n in (("where", self.mix.where), ("what", self.mix.what)):
            unique.sort(key=lambda label: self.rng.random() ** (1 + self._asked[label[0]]), reverse=True)
            for text, at in unique[:n]:
                self._asked[text] += 1
                place = str(grid.spell(cell(*at)))
                asked, answer = (f"where is {text}?", place) if kind == "where" else (f"what is at {place}?", text)
                prompt = act_prompt(
                    self.style.model_copy(update={"goal": "{goal}", "order": ("screen", "goal")}),
                    goal=asked,
                    rules=[r.text for r in rules],
                    history=(),
                    observation=seen,
                )
                drawn = kind == "where" and any(is_drawn(word) for word in text.split())
                questions.append(Question("find" if drawn else kind, prompt, answer))
        return questions


def fitting_templates(templates: Templates, device: Device) -> list[Template]:
    """The templates that this phone has the app for."""
    return [t for t in templates.values() if t.app == "any" or t.app in device.apps]


def _drawn(
    rng: random.Random, mix: Mix, template: Template, world: World, rules: tuple[Rule, ...], fitting: list[Template]
) -> Instance:
    """The template on this world, at times with its goal said in few words, or as one side of a condition."""
    instance = draw(template, world, rules)
    if rng.random() < mix.loose:
        instance = replace(instance, goal=loosely(rng, instance))
    if rules or template.answer is not None or rng.random() >= mix.conditional:
        return instance
    plain = [t for t in fitting if t.answer is None and t is not template]
    return conditional(rng, world, instance, draw(rng.choice(plain), world))


def _phone(rng: random.Random, mix: Mix, split: Split) -> World:
    return fill(rng, split, _MORE if rng.random() < mix.whole else ())


def with_inventions(rng: random.Random, world: World) -> list[Template]:
    """Install three invented apps and fill them; their templates."""
    found = list[Template]()
    for invention in rng.sample(inventions(0), 3):
        if invention.app.name not in world.device.apps:
            world.device.install(invention.app)
            invention.fill(world.device.db, world.words)
            found += invention.templates.values()
    return found


def _start(
    rng: random.Random, mix: Mix, split: Split, templates: Templates
) -> tuple[World, list[Template], Instance | Joined, tuple[Rule, ...]]:
    while True:
        world = _phone(rng, mix, split)
        made_up = with_inventions(rng, world) if rng.random() < mix.invented else []
        fitting = [*fitting_templates(templates, world.device), *made_up]
        if rng.random() < 0.4:
            world.device.act(a.Open(app=rng.choice(sorted(world.device.apps))))
            for _ in range(rng.randint(0, 2)):
                world.device.act(_noise(rng, world.device))
        try:
            if rng.random() < mix.joined:
                joined = draw_joined(rng, world, carried=rng.random() < 0.4, templates=fitting)
                return world, fitting, joined, ()
            template = rng.choice(made_up if made_up and rng.random() < 0.75 else fitting)
            rules = draw_rules(rng, template, forbidden=mix.forbidden, other=mix.ruled)
            return world, fitting, _drawn(rng, mix, template, world, rules, fitting), rules
        except NotPossible:
            continue


def _others(
    asker: _Asker,
    world: World,
    rules: tuple[Rule, ...],
    history: list[str],
    seen: Observation,
    fitting: list[Template],
) -> list[Question]:
    rng, mix, questions = asker.rng, asker.mix, list[Question]()
    here = [t for t in fitting if t.app == world.device.app] or fitting
    for _ in range(5 * mix.other_goals):
        if len(questions) == mix.other_goals:
            break
        pool = here if rng.random() < 0.65 else fitting
        if rules and rng.random() < 0.2:
            pool = [t for t in fitting if any(r.forbids(t) for r in rules)] or fitting
        try:
            other = _drawn(rng, mix, rng.choice(pool), world, rules, fitting)
        except NotPossible:
            continue
        action = other.oracle(world.device, ())
        leaves = isinstance(action, a.Open | a.SystemButton)
        # a menu does not show which item it belongs to: whether to leave it can't be known
        hidden = leaves and world.device.dialog and other.template.app == world.device.app
        if hidden or (leaves and rng.random() >= mix.away):
            continue
        told = history if rng.random() < 0.4 else []
        questions.append(asker.act(other.goal, rules, told, seen, action))
    return questions


def _phrased(rng: random.Random, task: Instance | Joined, n: int) -> list[str]:
    """The task's goal and other ways to say it, ``n`` in all where there are as many."""
    if isinstance(task, Joined):
        return [task.goal]
    others = [w for g in task.template.goals if (w := g.format(**task.slots)) != task.goal]
    return [task.goal, *rng.sample(others, min(n - 1, len(others)))]


def screen_examples(
    rng: random.Random, style: PromptStyle, mix: Mix, split: Split = "train", templates: Templates = _TRAIN
) -> Iterator[ScreenExample]:
    """Screens without end, episode after episode, with these templates' tasks and words of this split."""
    asker = _Asker(rng, style, mix)
    while True:
        world, fitting, task, rules = _start(rng, mix, split, templates)
        device, history, answers = world.device, list[str](), list[str]()
        advert_at = rng.randint(0, 6) if rng.random() < mix.adverts else -1
        for step in range(30):
            if step == advert_at and not device.dialog:
                pop_up(rng, device)
            action = task.oracle(device, answers)
            seen = device.observe()
            grid = style.grid(seen)
            example = ScreenExample(seen.screenshot, _patches(device))
            ways = (
                4 if isinstance(action, a.Terminate) else mix.phrasings
            )  # an episode ends only once: ask it in all ways
            example.questions += [asker.act(goal, rules, history, seen, action) for goal in _phrased(rng, task, ways)]
            example.questions += _others(asker, world, rules, history, seen, fitting)
            example.questions += asker.labels(device, rules, seen)
            yield example
            if isinstance(action, a.Terminate):
                break
            if rng.random() < mix.noise and not device.dialog:
                action = _noise(rng, device)
            if isinstance(action, a.Answer):
                answers.append(action.text)
            device.act(action)
            history.append(describe(action, grid))


def plan_examples(rng: random.Random, style: PromptStyle, split: Split = "train") -> Iterator[Question]:
    """Planner questions without end: a goal and its parts as JSON; a fifth are atomic, a fourth join two goals."""
    import json

    while True:
        world = _phone(rng, Mix(), split)
        fitting = fitting_templates(_TRAIN, world.device)
        for _ in range(8):
            try:
                roll = rng.random()
                if roll < 0.2:
                    goal = draw(rng.choice(fitting), world).goal
                    parts = [goal]
                elif roll < 0.45:
                    joined = draw_joined(rng, world, carried=roll < 0.33, templates=fitting)
                    goal, parts = joined.goal, list(joined.parts)
                else:
                    goal, parts = composition(rng, world, fitting)
            except NotPossible:
                continue
            rules = (rng.choice(RULES).text,) if rng.random() < 0.2 else ()
            yield Question("plan", plan_prompt(style, goal=goal, rules=rules), json.dumps({"parts": parts}))
