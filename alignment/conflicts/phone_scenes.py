"""Screens on the oracle's way, and the rules of each kind that a goal breaks or keeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from homeostat import actions as a
from homeostat.agent.prompts import describe
from homeostat.envs.mobile_use import Grid
from homeostat.envs.phone.adversity.orders import ORDERS, worded
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split

__all__ = ["FAILED", "RULED", "Scene", "lot_of", "order_for", "scene_on_the_way", "wordings"]

FAILED = a.Terminate(status="failure")
_MORE = tuple(app for app in APPS if app not in BASIC)
_ORDERS = ("open", "answer", "give_up")  # those that one action obeys


@cache
def wordings() -> dict[str, Any]:
    """What ``wordings.yaml`` holds."""
    data: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("wordings.yaml").read_text(encoding="utf-8"))
    return data


def lot_of(template: str, kind: str = "") -> Split | None:
    """Which conflicts a template is for: by lot (half training, a quarter each dev and test), or as ``lots`` has it."""
    if kind in wordings()["lots"]:
        return next((s for s, names in wordings()["lots"][kind].items() if template in names), None)
    return ("train", "train", "dev", "test")[crc32(f"conflict:{template}".encode()) % 4]


@dataclass
class Scene:
    """A screen on the way to a goal, and what the oracle does there without rules."""

    rng: random.Random
    split: Split
    world: World
    instance: Instance
    history: list[str]
    action: a.Action

    @property
    def app(self) -> str:
        """The goal's app."""
        return self.instance.template.app

    def word(self, *keys: str) -> Any:
        """A wording of this split."""
        found = wordings()
        for key in keys:
            found = found[key]
        return self.rng.choice(found[self.split])


def scene_on_the_way(
    rng: random.Random, split: Split, kind: str, fits: Callable[[Template], bool], *, answering: bool = False
) -> Scene:
    """``answering``: where the oracle answers, else anywhere on its way. Raises ``NotPossible``."""
    world = fill(rng, split, _MORE)
    pool = [t for t in templates_of("train").values() if lot_of(t.name, kind) == split and fits(t)]
    instance = draw(rng.choice(pool), world)
    history, answers = list[str](), list[str]()
    for _ in range(12):
        action = instance.oracle(world.device, answers)
        if isinstance(action, a.Terminate):
            break
        if isinstance(action, a.Answer) if answering else rng.random() < 0.4:
            return Scene(rng, split, world, instance, history, action)
        seen = world.device.observe()
        history.append(describe(action, Grid(seen.screenshot.shape[1], seen.screenshot.shape[0])))
        if isinstance(action, a.Answer):
            answers.append(action.text)
        world.device.act(action)
    raise NotPossible("the way ends before")


Side = tuple[str, str, a.Action, a.Action]  # rule, what the goal is followed by, chosen, rejected


def _refusals(scene: Scene, broken: str, kept: str) -> tuple[Side, Side]:
    """Under the rule ``broken`` the task is refused; under ``kept`` it goes on."""
    return (broken, "", FAILED, scene.action), (kept, "", scene.action, FAILED)


def _forbidden_app(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    scene = scene_on_the_way(rng, split, "forbidden_app", lambda t: t.app != "any" and not t.front)
    other = rng.choice([app for app in APPS if app != scene.app])
    wording = scene.word("forbidden_app")
    return scene, _refusals(scene, wording.format(app=scene.app), wording.format(app=other))


def _forbidden_action(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    actions = wordings()["actions"]
    scene = scene_on_the_way(rng, split, "forbidden_action", lambda t: bool(t.tags & set(actions)))
    tag = rng.choice(sorted(scene.instance.template.tags & set(actions)))
    other = rng.choice([t for t in actions if t not in scene.instance.template.tags])
    wording = scene.word("forbidden_action")
    return scene, _refusals(scene, wording.format(doing=actions[tag]), wording.format(doing=actions[other]))


def _role(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    scene = scene_on_the_way(rng, split, "role", lambda t: t.app != "any" and not t.front)
    other = rng.choice([app for app in APPS if app != scene.app])
    wording = scene.word("role")
    return scene, _refusals(scene, wording.format(app=other), wording.format(app=scene.app))


def _attribute(template: Template) -> str:
    return next((v for end, v in wordings()["attributes"].items() if template.name.endswith(end)), "")


def _secrecy(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    scene = scene_on_the_way(rng, split, "secrecy", lambda t: bool(t.answer and _attribute(t)))
    secret = _attribute(scene.instance.template)
    other = rng.choice([v for v in wordings()["attributes"].values() if v != secret])
    wording = scene.word("secrecy")
    return scene, _refusals(scene, wording.format(values=secret), wording.format(values=other))


def _said(scene: Scene, kind: str, changed: str, **slots: str) -> tuple[Side, Side]:
    """An answer changed under one rule and plain under the other; the user always asks for the plain one."""
    under, plain = (rule.format(**slots) for rule in scene.word(kind))
    asked = scene.word("asks", kind).format(**slots)
    other, own = a.Answer(text=changed), scene.action
    return (under, asked, other, own), (plain, asked, own, other)


def _format(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    scene = scene_on_the_way(rng, split, "format", lambda t: t.answer is not None, answering=True)
    text = str(scene.instance.answer)
    for mark, name in wordings()["marks"].items():
        bare = text.removeprefix(mark).removesuffix(mark)
        if bare != text and bare.lstrip("-").isdigit():
            return scene, _said(scene, "format", bare, mark=name)
    raise NotPossible("no mark")


def _verbosity(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    scene = scene_on_the_way(rng, split, "verbosity", lambda t: t.answer is not None, answering=True)
    first, *more = str(scene.instance.answer).split()
    if not more:
        raise NotPossible("one word")
    return scene, _said(scene, "verbosity", first)


def _language(rng: random.Random, split: Split) -> tuple[Scene, tuple[Side, Side]]:
    scene = scene_on_the_way(rng, split, "language", lambda t: t.answer is not None, answering=True)
    german = wordings()["german"].get(str(scene.instance.answer))
    if german is None:
        raise NotPossible("no German word known")
    return scene, _said(scene, "language", german)


RULED: dict[str, Callable[[random.Random, Split], tuple[Scene, tuple[Side, Side]]]] = {
    "forbidden_app": _forbidden_app,
    "forbidden_action": _forbidden_action,
    "role": _role,
    "secrecy": _secrecy,
    "format": _format,
    "verbosity": _verbosity,
    "language": _language,
}


def order_for(scene: Scene) -> tuple[str, a.Action]:
    """An order in words, and the one action that obeys it."""
    order = next(o for o in ORDERS if o.name == scene.rng.choice(_ORDERS) or o.name == "give_up")
    slots = order.draw(scene.world)
    obeyed: dict[str, a.Action] = {"give_up": FAILED}
    if order.name == "open":
        obeyed["open"] = a.Open(app=slots["app"])
    if order.name == "answer":
        obeyed["answer"] = a.Answer(text=slots["word"])
    if obeyed[order.name] == scene.action:
        raise NotPossible("the order is the task")
    return worded(order, slots, scene.split, scene.rng), obeyed[order.name]
