"""The phone as an environment: Gymnasium's five-tuple outside, the agent loop's ``Env`` protocol inside."""

from __future__ import annotations

import random
from typing import Any, Literal

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymFace
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.oracle_rollout import walk
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.composed import COMPOSED
from homeostat.envs.phone.tasks.composed.instance import ComposedInstance, draw_composed
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.envs.phone.tasks.joined import Joined, draw_joined
from homeostat.envs.phone.tasks.rules import Rule, draw_rules
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.observation import Observation

__all__ = ["JOINED", "PhoneEnv", "task_names"]

JOINED = ("joined_plain", "joined_carried")
ADVERTS = 0.2  # share of episodes in which a pop-up appears
_SPLITS = ("train", "dev", "test")


def task_names() -> tuple[str, ...]:
    """Every task that :meth:`PhoneEnv.reset_task` knows: atomic and compositional ones, joined kinds, ``random``."""
    return (*TEMPLATES, *COMPOSED, *JOINED, "random")


class PhoneEnv(GymFace):
    """A simulated phone with tasks.

    ``task``: a name of :func:`task_names`, or None for a free run without a check (``goal`` says what is wanted).
    ``split``: whose words fill the phone. ``scale``: the screenshot is 144·scale × 256·scale pixels. ``adverts``: the
    share of episodes with a pop-up. ``apps``: what is installed besides the basic apps (names, or ``"all"``); a task of
    another app installs all. ``conflict``: None, a rule in three of ten atomic tasks, and in one of ten it forbids the
    task; a share, a rule in every one, and in this share of them it forbids the task (then success is to leave the
    phone alone and end with failure). Raises ``UnknownName`` for a task, split or app that does not exist.
    """

    def __init__(
        self,
        task: str | None = "random",
        *,
        goal: str = "",
        rules: tuple[str, ...] = (),
        split: Split = "test",
        scale: int = 1,
        adverts: float = ADVERTS,
        apps: tuple[str, ...] | Literal["all"] = (),
        conflict: float | None = None,
        max_steps: int = 30,
        render_mode: str | None = None,
    ) -> None:
        if task is not None and task not in task_names():
            raise UnknownName.of("task", task, task_names())
        if split not in _SPLITS:
            raise UnknownName.of("split", split, _SPLITS)
        if not 1 <= scale <= 16:
            raise ConfigError(f"scale {scale!r} is out of range; choose 1 to 16")
        self.task, self.goal, self.own_rules, self.split, self.scale = task, goal, rules, split, scale
        if conflict is not None and not 0 <= conflict <= 1:
            raise ConfigError(f"conflict {conflict!r} is no share; choose 0 to 1")
        self.adverts, self.free_steps, self.conflict = adverts, max_steps, conflict
        self.more = tuple(APPS) if apps == "all" else tuple(apps)
        self.device = Device({*BASIC, *self.more})
        self.instance: Instance | Joined | ComposedInstance | None = None
        self.info = TaskInfo(name="free", goal=goal, optimal_steps=1, max_steps=max_steps)
        self.answers: list[str] = []
        self.status, self.steps = None, 0
        self._advert_at = -1
        self._asked: str | None = task
        self._declare(144 * scale, 256 * scale, render_mode)

    # -- the loop's face ----------------------------------------------------------------------------------------------

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Start a task (the constructor's where none is named) from its seeded initial state."""
        name = task if task is not None else self.task
        if name is not None and name not in task_names():
            raise UnknownName.of("task", name, task_names())
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        if name == "random":  # drawn before anything else, so that the drawn name and the seed give the same phone
            name = random.Random(f"random {seed}").choice(self._templates())
        self.answers, self.status, self.steps = [], None, 0
        self._asked = name
        rng = random.Random(f"{self.split} {name} {seed}")
        world, self.instance = self._draw(rng, name)
        self.device = world.device
        self._advert_at = -1
        if self.instance is None:
            self.info = TaskInfo(
                name="free", goal=self.goal, rules=self.own_rules, seed=seed, optimal_steps=1, max_steps=self.free_steps
            )
            return self.info
        self._advert_at = rng.randint(1, 4) if rng.random() < self.adverts else -1
        self.info = TaskInfo(
            name=name or "free",
            goal=self.instance.goal,
            rules=tuple(r.text for r in self.instance.rules),
            seed=seed,
            optimal_steps=1,
            max_steps=1,
            parts=(self.instance.goal,) if isinstance(self.instance, Instance) else self.instance.parts,
        )
        self.info = self.timed(walk(self))
        return self.info

    def timed(self, optimal: int) -> TaskInfo:
        """The task with the oracle's steps, and twice as many and five more for whoever does it."""
        if isinstance(self.instance, ComposedInstance):  # the oracle keeps notes that an agent need not write
            optimal -= self.instance.notes
        return self.info.model_copy(update={"optimal_steps": optimal, "max_steps": 2 * optimal + 5})

    def _templates(self) -> list[str]:
        """The atomic tasks of the installed apps."""
        there = {*BASIC, *self.more, "any"}
        return [name for name, template in TEMPLATES.items() if template.app in there]

    def _needs_more(self, name: str | None) -> bool:
        """Whether a task needs another app than the basic ones."""
        return name in COMPOSED or (name in TEMPLATES and TEMPLATES[name].app not in (*BASIC, "any"))

    def _draw(self, rng: random.Random, name: str | None) -> tuple[World, Instance | Joined | ComposedInstance | None]:
        more = tuple(APPS) if self._needs_more(name) else self.more
        for _ in range(200):
            world = fill(rng, self.split, more)
            try:
                if name is None:
                    return world, None
                if name in COMPOSED:
                    return world, draw_composed(COMPOSED[name], world)
                if name in JOINED:
                    return world, draw_joined(rng, world, carried=name == "joined_carried")
                return world, draw(TEMPLATES[name], world, self._rules(rng, TEMPLATES[name]))
            except NotPossible:
                continue
        raise EnvError(f"task {name!r} fits none of 200 phones; this is a defect of the template")

    def _rules(self, rng: random.Random, template: Template) -> tuple[Rule, ...]:
        if self.conflict is None:
            return draw_rules(rng, template)
        return draw_rules(rng, template, forbidden=self.conflict, other=1 - self.conflict)

    def oracle(self, answers: list[str] | None = None) -> a.Action:
        """The next action of the built-in oracle. Raises ``EnvError`` in a free run."""
        if self.instance is None:
            raise EnvError("a free run has no oracle; reset a task first")
        return self.instance.oracle(self.device, self.answers if answers is None else answers)

    def _show_advert(self) -> None:
        pop_up(random.Random(f"advert {self.info.seed} {self._advert_at}"), self.device)

    def observe(self) -> Observation:
        """The present screen."""
        return self.device.observe(self.scale)

    def act(self, action: a.Action) -> None:
        """Carry the action out. Raises ``ActionError`` where it can't be, with the device unchanged."""
        if self.status is not None:
            raise ActionError(f"{action.kind!r} after terminate; reset first")
        self.device.act(action)
        self.steps += 1
        match action:
            case a.Answer(text=text):
                self.answers.append(text)
            case a.Terminate(status=status):
                self.status = status
            case _:
                pass
        if isinstance(self.instance, ComposedInstance):
            self.instance.look(self.device)
        if self.steps == self._advert_at and not self.device.dialog and self.status is None:
            self._show_advert()

    def success(self) -> bool:
        """Whether the task's end is reached; False in a free run. A forbidden task asks to terminate with failure."""
        if self.instance is None or not self.instance.reached(self.device, self.answers):
            return False
        if self.instance.forbidden:
            return self.status == "failure"
        return self.status != "failure"

    def snapshot(self) -> dict[str, Any]:
        """The whole state as JSON-able data: the task by name and seed, the device in full."""
        return {
            "task": self._asked,
            "seed": self.info.seed,
            "split": self.split,
            "device": self.device.snapshot(),
            "answers": list(self.answers),
            "status": self.status,
            "steps": self.steps,
            "stage": self._stage(),
            "adverts": self.adverts,
            "free_steps": self.free_steps,
            "goal": self.goal,
            "rules": list(self.own_rules),
            "apps": list(self.more),
            "conflict": self.conflict,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put a snapshot's state back, in this process or another."""
        self.reset_task(seed=self.configure(snapshot))
        self.resume(snapshot)

    def configure(self, snapshot: dict[str, Any]) -> int:
        """Take over a snapshot's options; its seed."""
        self.split, self.goal, self.own_rules = snapshot["split"], snapshot["goal"], tuple(snapshot["rules"])
        self.more, self.conflict = tuple(snapshot["apps"]), snapshot.get("conflict")
        self.task, self.adverts, self.free_steps = snapshot["task"], snapshot["adverts"], snapshot["free_steps"]
        seed: int = snapshot["seed"]
        return seed

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Put back what has changed since the episode's start."""
        self.device.restore(snapshot["device"])
        self.answers, self.status, self.steps = list(snapshot["answers"]), snapshot["status"], snapshot["steps"]
        if self.instance is not None and not isinstance(self.instance, Instance):
            self.instance.stage, heard, seen = snapshot["stage"]
            if isinstance(self.instance, ComposedInstance):
                self.instance.heard, self.instance.seen = heard, set(seen)

    def _stage(self) -> list[Any]:
        if isinstance(self.instance, ComposedInstance):
            return [self.instance.stage, self.instance.heard, sorted(self.instance.seen)]
        return [self.instance.stage if isinstance(self.instance, Joined) else 0, 0, []]

    def subtasks(self) -> tuple[bool, ...]:
        """For every part of the task, whether what it asks for is there now (one for an atomic task)."""
        if isinstance(self.instance, ComposedInstance):
            return self.instance.checks(self.device, self.answers)
        return (self.success(),)

    def subtask_apps(self) -> tuple[str, ...]:
        """For every part of the task, the app that it is done in; "" where it has none of its own."""
        if isinstance(self.instance, ComposedInstance):
            return tuple("" if i.template.app == "any" else i.template.app for i in self.instance.instances)
        if isinstance(self.instance, Instance) and self.instance.template.app != "any":
            return (self.instance.template.app,)
        return ("",)
