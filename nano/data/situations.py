"""Draws the start of a training episode: a phone, the templates that fit it, a task and the rules in force."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from homeostat import actions as a
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.envs.phone.tasks.joined import Joined, draw_joined
from homeostat.envs.phone.tasks.oracle import SCROLL_DOWN, SCROLL_UP, cell
from homeostat.envs.phone.tasks.rules import Rule, draw_rules
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.invented_apps import inventions
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.rewording import conditional, loosely

__all__ = [
    "MORE_APPS",
    "Situation",
    "draw_phone",
    "draw_situation",
    "draw_task",
    "fitting_templates",
    "stray_action",
    "with_inventions",
]

MORE_APPS = tuple(app for app in APPS if app not in BASIC)
"""The apps of a whole phone that a basic phone lacks."""


@dataclass(frozen=True)
class Situation:
    """The start of an episode.

    Attributes:
        world: The phone, filled with content.
        templates: The templates that this phone has the app for.
        task: The task of the episode.
        rules: The rules in force.
    """

    world: World
    templates: Sequence[Template]
    task: Instance | Joined
    rules: tuple[Rule, ...]


def draw_phone(rng: random.Random, mix: Mix, split: Split) -> World:
    """Draws a phone, whole or basic.

    Args:
        rng: The random generator.
        mix: Gives the share of whole phones.
        split: The split that the content's words come from.

    Returns:
        The phone, filled with content.
    """
    return fill(rng, split, MORE_APPS if rng.random() < mix.whole else ())


def fitting_templates(templates: Mapping[str, Template], device: Device) -> list[Template]:
    """Selects the templates that a phone has the app for.

    Args:
        templates: Templates by name.
        device: The phone.

    Returns:
        Those that fit, in the given order.
    """
    return [t for t in templates.values() if t.app == "any" or t.app in device.apps]


def with_inventions(rng: random.Random, world: World) -> list[Template]:
    """Installs three invented apps on a phone and fills them.

    Args:
        rng: Chooses the apps.
        world: The phone, which is changed.

    Returns:
        The templates of the apps that were installed. An app whose name the phone already has is left out.
    """
    found = list[Template]()
    for invention in rng.sample(inventions(0), 3):
        if invention.app.name not in world.device.apps:
            world.device.install(invention.app)
            invention.fill(world.device.db, world.words)
            found += invention.templates.values()
    return found


def stray_action(rng: random.Random, device: Device) -> a.Action:
    """Draws an action without lasting effect: navigation, scrolling, or focus on a text field.

    Args:
        rng: The random generator.
        device: The phone, which shows what can be tapped.

    Returns:
        The action. It is not executed.
    """
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


def draw_task(
    rng: random.Random, mix: Mix, template: Template, world: World, rules: tuple[Rule, ...], pool: Sequence[Template]
) -> Instance:
    """Draws a task of a template; its goal may be worded loosely or as one side of a condition.

    Args:
        rng: The random generator.
        mix: Gives the shares of both wordings.
        template: The template.
        world: The phone that the task is about.
        rules: The rules in force. A task under rules is never put into a condition.
        pool: The templates that the other side of a condition may come from.

    Returns:
        The task.

    Raises:
        NotPossible: If this phone's content doesn't allow the task.
    """
    instance = draw(template, world, rules)
    if rng.random() < mix.loose:
        instance = replace(instance, goal=loosely(rng, instance))
    if rules or template.answer is not None or rng.random() >= mix.conditional:
        return instance
    others = [t for t in pool if t.answer is None and t is not template]
    return conditional(rng, world, instance, draw(rng.choice(others), world))


def draw_situation(rng: random.Random, mix: Mix, split: Split, templates: Mapping[str, Template]) -> Situation:
    """Draws the start of an episode. In four of ten, the phone has already been used for up to three actions.

    Args:
        rng: The random generator.
        mix: Gives the shares of invented apps, joined goals, rules and wordings.
        split: The split that words come from.
        templates: The templates that tasks may come from, besides those of invented apps.

    Returns:
        A situation whose task is possible.
    """
    while True:
        world = draw_phone(rng, mix, split)
        invented = with_inventions(rng, world) if rng.random() < mix.invented else []
        pool = [*fitting_templates(templates, world.device), *invented]
        if rng.random() < 0.4:
            world.device.act(a.Open(app=rng.choice(sorted(world.device.apps))))
            for _ in range(rng.randint(0, 2)):
                world.device.act(stray_action(rng, world.device))
        try:
            if rng.random() < mix.joined:
                joined = draw_joined(rng, world, carried=rng.random() < 0.4, templates=pool)
                return Situation(world, pool, joined, ())
            template = rng.choice(invented if invented and rng.random() < 0.75 else pool)
            rules = draw_rules(rng, template, forbidden=mix.forbidden, other=mix.ruled)
            return Situation(world, pool, draw_task(rng, mix, template, world, rules, pool), rules)
        except NotPossible:
            continue
