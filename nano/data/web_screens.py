"""MiniWoB++ screens with what the oracle does on them: collected in the browser once, kept in a compressed file.

Points are moved to the centre of a 16-pixel patch where a click there reaches the same element (one token for nano);
the others stay exact. Only episodes that the page rewards in full are kept.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeostat import actions as a
from homeostat.agent.prompts import act_prompt, describe
from homeostat.envs.miniwob import MiniWobEnv, oracle_policy
from homeostat.envs.miniwob.seeds import SEEDS
from homeostat.envs.mobile_use import format_action
from homeostat.errors import ConfigError, EnvError
from homeostat.nano.data.episodes import Question, ScreenExample
from homeostat.nano.model import COLUMNS, PATCH, ROWS, STYLE
from homeostat.observation import Observation

__all__ = ["SIZE", "WebScreen", "collect", "example", "load_screens", "save_screens", "snapped"]

SIZE = (COLUMNS * PATCH, ROWS * PATCH)
_GRID = STYLE.grid(Observation(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), (), ""))
_LABELS = 4  # where-is questions kept of a screen


@dataclass(frozen=True)
class WebScreen:
    """One screen of an oracle's episode. ``screenshot`` (256, 144, 3) uint8; ``history`` what was done before, in the
    prompt's words; ``answer`` the tool call; ``labels`` texts that stand once on the page, and their places' spelling.
    """

    task: str
    seed: int
    screenshot: NDArray[np.uint8]
    goal: str
    history: tuple[str, ...]
    answer: str
    labels: tuple[tuple[str, str], ...] = ()


def snapped(env: MiniWobEnv, point: tuple[float, float]) -> tuple[float, float]:
    """The nearest patch centre at which a click reaches the same element, else the point itself."""
    x, y = point[0] * SIZE[0], point[1] * SIZE[1]
    right, bottom = env.fit.to_screen(env.fit.page)
    centres = [(PATCH * (c + 0.5), PATCH * (r + 0.5)) for r in range(ROWS) for c in range(COLUMNS)]
    near = sorted(
        (p for p in centres if abs(p[0] - x) < 2 * PATCH and abs(p[1] - y) < PATCH), key=lambda p: _gap(p, x, y)
    )
    points = [(px / SIZE[0], py / SIZE[1]) for px, py in near]
    points = [p for p in points if p[0] < right and p[1] < bottom]
    return next((p for p, same in zip(points, env.same_target(point, points), strict=True) if same), point)


def _gap(centre: tuple[float, float], x: float, y: float) -> float:
    return (centre[0] - x) ** 2 + (centre[1] - y) ** 2


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
    """The screens of one episode; none where it does not earn the whole reward."""
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
    """``per_task`` screens or a few more of every task, on seeds of the train split. Raises ``ConfigError`` where a
    task's oracle fails 20 episodes in a row.
    """
    env = MiniWobEnv(size=SIZE)
    try:
        for task in tasks:
            rng, count, failed = random.Random(f"{task} {seed}"), 0, 0
            while count < per_task:
                screens = _episode(env, task, rng.choice(SEEDS["train"]), rng)
                count, failed = count + len(screens), 0 if screens else failed + 1
                if failed == 20:
                    raise ConfigError(f"the oracle of task {task!r} fails every time; leave the task out")
                yield from screens
    finally:
        env.close()


def save_screens(path: Path, screens: Sequence[WebScreen]) -> None:
    """Write them to a compressed file, whole or not at all."""
    rows = [[s.task, s.seed, s.goal, s.history, s.answer, s.labels] for s in screens]
    part = path.with_name(path.name + ".part.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            part, screenshots=np.stack([s.screenshot for s in screens]), rows=np.array(json.dumps(rows))
        )
        os.replace(part, path)
    except OSError as error:
        raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another --data") from None


def load_screens(path: Path) -> list[WebScreen]:
    """Read such a file. Raises ``ConfigError`` where it is none."""
    try:
        with np.load(path) as file:
            screenshots, rows = file["screenshots"], json.loads(str(file["rows"]))
        return [
            WebScreen(task, seed, image, goal, tuple(history), answer, tuple((t, p) for t, p in labels))
            for image, (task, seed, goal, history, answer, labels) in zip(screenshots, rows, strict=True)
        ]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{str(path)!r} holds no screens ({error}); delete it and collect again") from None


def example(screen: WebScreen) -> ScreenExample:
    """The screen as a training example: what to do for the goal, and where its labels stand."""
    seen = Observation(screen.screenshot, (), screen.task)
    act = act_prompt(STYLE, goal=screen.goal, rules=(), history=screen.history, observation=seen)
    asking = STYLE.model_copy(update={"goal": "{goal}", "order": ("screen", "goal")})
    questions = [Question("act", act, screen.answer)]
    for text, place in screen.labels:
        prompt = act_prompt(asking, goal=f"where is {text}?", rules=(), history=(), observation=seen)
        questions.append(Question("where", prompt, place))
    return ScreenExample(screen.screenshot, None, questions)
