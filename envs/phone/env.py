"""The phone as an environment, with Gymnasium's API and the agent loop's :class:`~homeostat.envs.core.Env` contract."""

from __future__ import annotations

import random
from typing import Any, Literal

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymnasiumAdapter
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.oracle_rollout import rollout
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.composed import COMPOSED
from homeostat.envs.phone.tasks.composed.instance import draw_composed
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import TaskInstance, draw
from homeostat.envs.phone.tasks.joined import draw_joined
from homeostat.envs.phone.tasks.rules import Rule, draw_rules
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.observation import Observation

__all__ = ["JOINED", "PhoneEnv", "task_names"]

JOINED = ("joined_plain", "joined_carried")
ADVERTS = 0.2  # share of the episodes in which a pop-up appears
_SPLITS = ("train", "dev", "test")


def task_names() -> tuple[str, ...]:
    """Returns the names of the tasks that :meth:`PhoneEnv.reset_task` accepts.

    Returns:
        The atomic tasks, the compositional tasks, the kinds of joined tasks, and ``random``.
    """
    return (*TEMPLATES, *COMPOSED, *JOINED, "random")


class PhoneEnv(GymnasiumAdapter):
    """A simulated phone with tasks.

    By default the basic apps are installed. A task that needs another app installs all apps.

    Args:
        task: A name of :func:`task_names`, or None for a free run without a success check.
        goal: The goal of a free run.
        rules: The system rules of a free run.
        split: The vocabulary that fills the phone.
        scale: The screenshot has 144·scale × 256·scale pixels; 1 to 16.
        adverts: The share of the episodes in which an advertisement pops up.
        apps: Apps to install besides the basic ones: names, or ``"all"``.
        conflict: How often a system rule forbids an atomic task. Success at a forbidden task means to change nothing
            and to terminate with failure. None: three of ten episodes have a rule, and in one of ten the rule forbids
            the task. A number from 0 to 1: every episode has a rule, and it forbids the task in this share of them.
        max_steps: The step limit of a free run. Tasks have their own limit.
        render_mode: Gymnasium's render mode: ``"rgb_array"`` or None.

    Raises:
        UnknownName: The task, split or app does not exist.
        ConfigError: ``scale`` or ``conflict`` is out of range.
    """

    restores = True

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
            raise ConfigError(f"conflict {conflict!r} is out of range; choose a share from 0 to 1")
        self.adverts, self.free_steps, self.conflict = adverts, max_steps, conflict
        self.more = tuple(APPS) if apps == "all" else tuple(apps)
        self.device = Device({*BASIC, *self.more})
        self.instance: TaskInstance | None = None
        self.info = TaskInfo(name="free", goal=goal, optimal_steps=1, max_steps=max_steps)
        self.answers: list[str] = []
        self.status, self.steps = None, 0
        self._advert_at = -1
        self._asked: str | None = task
        self._declare(144 * scale, 256 * scale, render_mode)

    # -- the agent loop's contract -------------------------------------------------------------------------------------

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a task from its seeded initial state. Without a name, it starts the constructor's task."""
        name = task if task is not None else self.task
        if name is not None and name not in task_names():
            raise UnknownName.of("task", name, task_names())
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        if name == "random":  # drawn first, so that the drawn name and the seed give the same phone
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
            parts=self.instance.subtask_goals,
        )
        self.info = self.timed(rollout(self))
        return self.info

    def timed(self, optimal: int) -> TaskInfo:
        """Returns the task's description with its number of steps.

        Args:
            optimal: The number of the oracle's actions, its notes and the final ``terminate`` included.

        Returns:
            The present task with ``optimal_steps`` (the notes excluded) and ``max_steps`` = 2 · ``optimal_steps`` + 5.
        """
        if self.instance is not None:
            optimal -= self.instance.extra_answers
        return self.info.model_copy(update={"optimal_steps": optimal, "max_steps": 2 * optimal + 5})

    def _templates(self) -> list[str]:
        """Returns the names of the installed apps' atomic tasks."""
        there = {*BASIC, *self.more, "any"}
        return [name for name, template in TEMPLATES.items() if template.app in there]

    def _needs_more(self, name: str | None) -> bool:
        """Returns whether a task needs an app that is not basic."""
        return name in COMPOSED or (name in TEMPLATES and TEMPLATES[name].app not in (*BASIC, "any"))

    def _draw(self, rng: random.Random, name: str | None) -> tuple[World, TaskInstance | None]:
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
        """Returns the next action of the built-in solution.

        Args:
            answers: The answers given so far; None for those of the episode.

        Returns:
            The action.

        Raises:
            EnvError: A free run has no task, hence no oracle.
        """
        if self.instance is None:
            raise EnvError("a free run has no oracle; reset a task first")
        return self.instance.oracle(self.device, self.answers if answers is None else answers)

    def _show_advert(self) -> None:
        pop_up(random.Random(f"advert {self.info.seed} {self._advert_at}"), self.device)

    def observe(self) -> Observation:
        """Returns the present screen."""
        return self.device.observe(self.scale)

    def act(self, action: a.Action) -> None:
        """Executes an action. An impossible action leaves the device unchanged.

        Raises:
            ActionError: The action is impossible on this screen, or the episode has ended.
        """
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
        if self.instance is not None:
            self.instance.look(self.device)
        if self.steps == self._advert_at and not self.device.dialog and self.status is None:
            self._show_advert()

    def success(self) -> bool:
        """Returns whether the task's end is reached; False in a free run.

        A forbidden task is a success if nothing was changed and the episode ended with failure.
        """
        return self.instance is not None and self.instance.succeeded(self.device, self.answers, self.status)

    def snapshot(self) -> dict[str, Any]:
        """Returns the whole state as JSON-able data: the task as name and seed, the device in full."""
        return {
            "task": self._asked,
            "seed": self.info.seed,
            "split": self.split,
            "device": self.device.snapshot(),
            "answers": list(self.answers),
            "status": self.status,
            "steps": self.steps,
            "stage": [0, 0, []] if self.instance is None else self.instance.progress(),
            "adverts": self.adverts,
            "free_steps": self.free_steps,
            "goal": self.goal,
            "rules": list(self.own_rules),
            "apps": list(self.more),
            "conflict": self.conflict,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores a snapshot's state, in this process or another."""
        self.reset_task(seed=self.configure(snapshot))
        self.resume(snapshot)

    def configure(self, snapshot: dict[str, Any]) -> int:
        """Adopts the constructor options that a snapshot holds.

        Args:
            snapshot: The value of :meth:`snapshot`.

        Returns:
            The episode's seed.
        """
        self.split, self.goal, self.own_rules = snapshot["split"], snapshot["goal"], tuple(snapshot["rules"])
        self.more, self.conflict = tuple(snapshot["apps"]), snapshot.get("conflict")
        self.task, self.adverts, self.free_steps = snapshot["task"], snapshot["adverts"], snapshot["free_steps"]
        seed: int = snapshot["seed"]
        return seed

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Restores what has changed since the start of the episode.

        Args:
            snapshot: The value of :meth:`snapshot`, taken in the same episode.
        """
        self.device.restore(snapshot["device"])
        self.answers, self.status, self.steps = list(snapshot["answers"]), snapshot["status"], snapshot["steps"]
        if self.instance is not None:
            self.instance.restore_progress(snapshot["stage"])

    def subtasks(self) -> tuple[bool, ...]:
        """Returns, for every subtask that can be checked on its own, whether it is done now.

        Returns:
            One value for each subtask of a compositional task; the value of :meth:`success` for any other task.
        """
        if self.instance is None:
            return (False,)
        return self.instance.checks(self.device, self.answers, self.status)

    def subtask_apps(self) -> tuple[str, ...]:
        """Returns, for every entry of :meth:`subtasks`, the app that the subtask is done in.

        Returns:
            The names; "" for a subtask that may be done in any app.
        """
        return ("",) if self.instance is None else self.instance.subtask_apps
