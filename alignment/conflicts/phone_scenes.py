"""Screens on the oracle's way to a goal, and rules of each kind that the goal breaks or respects."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import yaml

from homeostat import actions as a
from homeostat.envs.phone.adversity.orders import ORDERS, worded
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split
from homeostat.observation import Observation

__all__ = ["FAILED", "RULED", "Scene", "lot_of", "order_for", "scene_on_the_way", "wordings"]

FAILED = a.Terminate(status="failure")
_MORE = tuple(app for app in APPS if app not in BASIC)
_ORDERS = ("open", "answer", "give_up")  # a single action obeys each of these


@cache
def wordings() -> dict[str, Any]:
    """Returns the content of ``wordings.yaml``."""
    data: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("wordings.yaml").read_text(encoding="utf-8"))
    return data


def lot_of(template: str, kind: str = "") -> Split | None:
    """Assigns a task template to a data split.

    A hash of the name decides: half of the templates go to training, a quarter each to dev and test. For kinds with few
    templates, the section ``lots`` of ``wordings.yaml`` assigns them instead.

    Args:
        template: The template's name.
        kind: The kind of conflict.

    Returns:
        The split; None if the kind does not use this template.
    """
    if kind in wordings()["lots"]:
        return next((s for s, names in wordings()["lots"][kind].items() if template in names), None)
    return ("train", "train", "dev", "test")[crc32(f"conflict:{template}".encode()) % 4]


@dataclass
class Scene:
    """A screen on the oracle's way to a goal.

    Attributes:
        rng: The random generator that draws wordings.
        split: The data split.
        world: The phone and what is on it.
        instance: The task.
        way: The actions that led to this screen, each with the screen on which it was done.
        action: What the oracle does on this screen when there is no rule.
    """

    rng: random.Random
    split: Split
    world: World
    instance: Instance
    way: list[tuple[a.Action, Observation]]
    action: a.Action

    @property
    def app(self) -> str:
        """The app that the task is about."""
        return self.instance.template.app

    def word(self, *keys: str) -> Any:
        """Draws a wording of this split.

        Args:
            keys: The path to a section of ``wordings.yaml``.

        Returns:
            One entry of the section.
        """
        found = wordings()
        for key in keys:
            found = found[key]
        return self.rng.choice(found[self.split])


def scene_on_the_way(
    rng: random.Random, split: Split, kind: str, fits: Callable[[Template], bool], *, answering: bool = False
) -> Scene:
    """Draws a task and a screen on the oracle's way to its goal.

    Args:
        rng: The random generator.
        split: The data split.
        kind: The kind of conflict.
        fits: Whether a template suits the kind.
        answering: Whether the screen is the one where the oracle answers. Otherwise it is any screen on the way.

    Returns:
        The screen.

    Raises:
        NotPossible: The episode ends before such a screen; draw again.
    """
    world = fill(rng, split, _MORE)
    pool = [t for t in templates_of("train").values() if lot_of(t.name, kind) == split and fits(t)]
    instance = draw(rng.choice(pool), world)
    way, answers = list[tuple[a.Action, Observation]](), list[str]()
    for _ in range(12):
        action = instance.oracle(world.device, answers)
        if isinstance(action, a.Terminate):
            break
        if isinstance(action, a.Answer) if answering else rng.random() < 0.4:
            return Scene(rng, split, world, instance, way, action)
        way.append((action, world.device.observe()))
        if isinstance(action, a.Answer):
            answers.append(action.text)
        world.device.act(action)
    raise NotPossible("the episode ends before such a screen")


class Side(NamedTuple):
    """One of two rules of the same kind, and the answers under it.

    Attributes:
        rule: The rule.
        request: Text that follows the goal.
        chosen: The action that respects the rule.
        rejected: The action that does not.
    """

    rule: str
    request: str
    chosen: a.Action
    rejected: a.Action


Ruled = tuple[Scene, tuple[Side, Side]]
"""A screen, and two rules: the first conflicts with the goal, the second agrees with it."""


def _refusals(scene: Scene, broken: str, kept: str) -> tuple[Side, Side]:
    """Under the rule ``broken`` the agent has to refuse the task; under ``kept`` it goes on."""
    return Side(broken, "", FAILED, scene.action), Side(kept, "", scene.action, FAILED)


def _forbidden_app(rng: random.Random, split: Split) -> Ruled:
    scene = scene_on_the_way(rng, split, "forbidden_app", lambda t: t.app != "any" and not t.front)
    other = rng.choice([app for app in APPS if app != scene.app])
    wording = scene.word("forbidden_app")
    return scene, _refusals(scene, wording.format(app=scene.app), wording.format(app=other))


def _forbidden_action(rng: random.Random, split: Split) -> Ruled:
    actions = wordings()["actions"]
    scene = scene_on_the_way(rng, split, "forbidden_action", lambda t: bool(t.tags & set(actions)))
    tag = rng.choice(sorted(scene.instance.template.tags & set(actions)))
    other = rng.choice([t for t in actions if t not in scene.instance.template.tags])
    wording = scene.word("forbidden_action")
    return scene, _refusals(scene, wording.format(doing=actions[tag]), wording.format(doing=actions[other]))


def _role(rng: random.Random, split: Split) -> Ruled:
    scene = scene_on_the_way(rng, split, "role", lambda t: t.app != "any" and not t.front)
    other = rng.choice([app for app in APPS if app != scene.app])
    wording = scene.word("role")
    return scene, _refusals(scene, wording.format(app=other), wording.format(app=scene.app))


def _attribute(template: Template) -> str:
    return next((v for end, v in wordings()["attributes"].items() if template.name.endswith(end)), "")


def _secrecy(rng: random.Random, split: Split) -> Ruled:
    scene = scene_on_the_way(rng, split, "secrecy", lambda t: bool(t.answer and _attribute(t)))
    secret = _attribute(scene.instance.template)
    other = rng.choice([v for v in wordings()["attributes"].values() if v != secret])
    wording = scene.word("secrecy")
    return scene, _refusals(scene, wording.format(values=secret), wording.format(values=other))


def _answers(scene: Scene, kind: str, changed: str, **slots: str) -> tuple[Side, Side]:
    """One rule asks for a changed answer, the other for the plain one. The user always asks for the plain one."""
    changing, plain = (rule.format(**slots) for rule in scene.word(kind))
    request = scene.word("asks", kind).format(**slots)
    other, own = a.Answer(text=changed), scene.action
    return Side(changing, request, other, own), Side(plain, request, own, other)


def _format(rng: random.Random, split: Split) -> Ruled:
    scene = scene_on_the_way(rng, split, "format", lambda t: t.answer is not None, answering=True)
    text = str(scene.instance.answer)
    for mark, name in wordings()["marks"].items():
        bare = text.removeprefix(mark).removesuffix(mark)
        if bare != text and bare.lstrip("-").isdigit():
            return scene, _answers(scene, "format", bare, mark=name)
    raise NotPossible("the answer has no mark")


def _verbosity(rng: random.Random, split: Split) -> Ruled:
    scene = scene_on_the_way(rng, split, "verbosity", lambda t: t.answer is not None, answering=True)
    first, *more = str(scene.instance.answer).split()
    if not more:
        raise NotPossible("the answer is a single word")
    return scene, _answers(scene, "verbosity", first)


def _language(rng: random.Random, split: Split) -> Ruled:
    scene = scene_on_the_way(rng, split, "language", lambda t: t.answer is not None, answering=True)
    german = wordings()["german"].get(str(scene.instance.answer))
    if german is None:
        raise NotPossible("wordings.yaml has no German word for the answer")
    return scene, _answers(scene, "language", german)


RULED: dict[str, Callable[[random.Random, Split], Ruled]] = {
    "forbidden_app": _forbidden_app,
    "forbidden_action": _forbidden_action,
    "role": _role,
    "secrecy": _secrecy,
    "format": _format,
    "verbosity": _verbosity,
    "language": _language,
}
"""The kinds whose conflict is between a rule and the goal."""


def order_for(scene: Scene) -> tuple[str, a.Action]:
    """Draws an order that contradicts the task.

    Args:
        scene: The screen.

    Returns:
        The order's text, and the single action that obeys it.

    Raises:
        NotPossible: The action is what the task asks for anyway; draw again.
    """
    order = next(o for o in ORDERS if o.name == scene.rng.choice(_ORDERS) or o.name == "give_up")
    slots = order.draw(scene.world)
    obeyed: dict[str, a.Action] = {"give_up": FAILED}
    if order.name == "open":
        obeyed["open"] = a.Open(app=slots["app"])
    if order.name == "answer":
        obeyed["answer"] = a.Answer(text=slots["word"])
    if obeyed[order.name] == scene.action:
        raise NotPossible("the order is the task itself")
    return worded(order, slots, scene.split, scene.rng), obeyed[order.name]
