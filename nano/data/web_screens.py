"""MiniWoB++ screens with the oracle's actions: the compressed file that stores them, and the training examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from homeostat.agent.prompts import act_prompt
from homeostat.envs.harness.export import write_whole
from homeostat.errors import ConfigError
from homeostat.nano.data.examples import Question, ScreenExample
from homeostat.nano.style import STYLE
from homeostat.observation import Observation

__all__ = ["WebScreen", "example", "load_screens", "save_screens"]


@dataclass(frozen=True)
class WebScreen:
    """One screen of an oracle's episode.

    Attributes:
        task: The task's name.
        seed: The episode's seed.
        screenshot: (256, 144, 3) uint8.
        goal: The goal.
        history: The earlier actions, in the prompt's words.
        answer: The oracle's next action as a tool call.
        labels: Texts that appear once on the page, each with the token of its place.
    """

    task: str
    seed: int
    screenshot: NDArray[np.uint8]
    goal: str
    history: tuple[str, ...]
    answer: str
    labels: tuple[tuple[str, str], ...] = ()


def save_screens(path: Path, screens: Sequence[WebScreen]) -> None:
    """Writes screens to a compressed file. If writing fails, no incomplete file is left under this name.

    Args:
        path: The file.
        screens: The screens.

    Raises:
        ConfigError: If the file can't be written.
    """
    rows = [[s.task, s.seed, s.goal, s.history, s.answer, s.labels] for s in screens]

    def write(file: Path) -> None:
        with file.open("wb") as out:  # as a file: numpy would add .npz to a name
            np.savez_compressed(
                out, screenshots=np.stack([s.screenshot for s in screens]), rows=np.array(json.dumps(rows))
            )

    write_whole(path, "--data", write)


def load_screens(path: Path) -> list[WebScreen]:
    """Reads a file that ``save_screens`` wrote.

    Args:
        path: The file.

    Returns:
        The screens.

    Raises:
        ConfigError: If the file can't be read, or is not such a file.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            screenshots, rows = file["screenshots"], json.loads(str(file["rows"]))
        return [
            WebScreen(task, seed, image, goal, tuple(history), answer, tuple((t, p) for t, p in labels))
            for image, (task, seed, goal, history, answer, labels) in zip(screenshots, rows, strict=True)
        ]
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror or error}; give another --data") from None
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile):
        raise ConfigError(
            f"{str(path)!r} is damaged or not a file of screens; delete it, and the next run collects them again"
        ) from None


def example(screen: WebScreen) -> ScreenExample:
    """Turns a screen into a training example.

    Args:
        screen: The screen.

    Returns:
        The next action for the goal, and the places of the labels, as questions.
    """
    seen = Observation(screen.screenshot, (), screen.task)
    act = act_prompt(STYLE, goal=screen.goal, rules=(), history=screen.history, observation=seen)
    asking = STYLE.model_copy(update={"goal": "{goal}", "order": ("screen", "goal")})
    questions = [Question("act", act, screen.answer)]
    for text, place in screen.labels:
        prompt = act_prompt(asking, goal=f"where is {text}?", rules=(), history=(), observation=seen)
        questions.append(Question("where", prompt, place))
    return ScreenExample(screen.screenshot, None, questions)
