"""Collects the oracle's MiniWoB++ episodes in the browser.

A click is moved to the centre of a 16-pixel patch if it reaches the same element there, because such a point is one
token for the embedded model. Other points stay exact. Only episodes with the full reward are kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from homeostat import actions as a
from homeostat.agent.prompts import describe
from homeostat.envs.miniwob import ORACLES, MiniWobEnv, oracle_policy
from homeostat.envs.miniwob.seeds import SEEDS
from homeostat.envs.mobile_use import format_action
from homeostat.errors import ConfigError, EnvError, UnknownName
from homeostat.nano.data.web_screens import WebScreen, load_screens, save_screens
from homeostat.nano.processor import COLUMNS, PATCH, ROWS
from homeostat.nano.style import STYLE
from homeostat.observation import Observation

__all__ = ["SIZE", "collect", "screens_for", "snapped"]

SIZE = (COLUMNS * PATCH, ROWS * PATCH)
"""Width and height of a screen in pixels."""
_GRID = STYLE.grid(Observation(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), (), ""))
_LABELS = 4  # labels of a screen that are asked about
_MAX_FAILURES = 20  # failed episodes in a row after which a task is given up


def snapped(env: MiniWobEnv, point: tuple[float, float]) -> tuple[float, float]:
    """Moves a point to the nearest patch centre at which a click reaches the same element.

    Args:
        env: The environment, which shows the page.
        point: (x, y) in [0, 1].

    Returns:
        The patch centre, or the point itself if no centre nearby reaches the element.
    """
    x, y = point[0] * SIZE[0], point[1] * SIZE[1]
    right, bottom = env.fit.to_screen(env.fit.page)
    centres = [(PATCH * (c + 0.5), PATCH * (r + 0.5)) for r in range(ROWS) for c in range(COLUMNS)]
    near = sorted(
        (p for p in centres if abs(p[0] - x) < 2 * PATCH and abs(p[1] - y) < PATCH),
        key=lambda p: (p[0] - x) ** 2 + (p[1] - y) ** 2,
    )
    points = [(px / SIZE[0], py / SIZE[1]) for px, py in near]
    points = [p for p in points if p[0] < right and p[1] < bottom]
    return next((p for p, same in zip(points, env.same_target(point, points), strict=True) if same), point)


def _snapped_action(env: MiniWobEnv, action: a.Action) -> a.Action:
    if isinstance(action, a.Click):
        return a.Click(point=snapped(env, action.point))
    return action


def _labels(env: MiniWobEnv, rng: random.Random) -> tuple[tuple[str, str], ...]:
    seen = [e for e in env.observe().elements if e.text and len(e.text) <= 24]
    texts = [e.text.lower() for e in seen]
    once = [e for e in seen if texts.count(e.text.lower()) == 1]
    chosen = rng.sample(once, min(_LABELS, len(once)))
    centres = [((e.box[0] + e.box[2]) / 2, (e.box[1] + e.box[3]) / 2) for e in chosen]
    return tuple((e.text, str(_GRID.spell(snapped(env, p)))) for e, p in zip(chosen, centres, strict=True))


def _episode(env: MiniWobEnv, task: str, seed: int, rng: random.Random) -> list[WebScreen]:
    """Plays one episode and returns its screens; none if it does not earn the full reward."""
    info, history, screens = env.reset_task(task, seed=seed), list[str](), list[WebScreen]()
    while not env.ended and env.steps < info.max_steps:
        try:
            action = _snapped_action(env, oracle_policy(env))
            screenshot, labels = env.observe().screenshot, _labels(env, rng)
            screens.append(
                WebScreen(task, seed, screenshot, info.goal, tuple(history), format_action(action, _GRID), labels)
            )
            env.act(action)
        except EnvError:
            return []
        history.append(describe(action, _GRID))
    return screens if env.reward >= 1 else []


def collect(tasks: Sequence[str], per_task: int, seed: int) -> Iterator[WebScreen]:
    """Plays whole episodes on seeds of the train split until there are enough screens of every task.

    Args:
        tasks: Tasks that have an oracle.
        per_task: The least number of screens of each task.
        seed: Seeds the choice of episodes and labels.

    Yields:
        The screens, task by task.

    Raises:
        ConfigError: If a task's oracle fails 20 episodes in a row.
    """
    env = MiniWobEnv(size=SIZE)
    try:
        for task in tasks:
            rng, count, failed = random.Random(f"{task} {seed}"), 0, 0
            while count < per_task:
                screens = _episode(env, task, rng.choice(SEEDS["train"]), rng)
                count, failed = count + len(screens), 0 if screens else failed + 1
                if failed == _MAX_FAILURES:
                    raise ConfigError(
                        f"the oracle of task {task!r} failed {_MAX_FAILURES} episodes in a row; leave out this task"
                    )
                yield from screens
    finally:
        env.close()


def screens_for(file: Path, tasks: Sequence[str], per_task: int, seed: int) -> list[WebScreen]:
    """Reads the screens of some tasks from a file. If the file is missing, collects the screens and writes it first.

    Args:
        file: The file of screens.
        tasks: The tasks.
        per_task: The least number of screens to collect of each task.
        seed: Seeds the choice of episodes and labels.

    Returns:
        The file's screens of these tasks.

    Raises:
        ConfigError: If the file lacks one of the tasks, or can't be read or written.
        UnknownName: If a task has no oracle.
    """
    unknown = next((task for task in tasks if task not in ORACLES), None)
    if unknown is not None:
        raise UnknownName.of("task with an oracle", unknown, ORACLES)
    if not file.exists():
        save_screens(file, list(collect(tasks, per_task, seed)))
    screens = [s for s in load_screens(file) if s.task in tasks]
    missing = sorted(set(tasks) - {s.task for s in screens})
    if missing:
        raise ConfigError(f"{str(file)!r} has no screens of {missing!r}; delete it, or give another --data")
    return screens
