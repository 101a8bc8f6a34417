"""Targets to point at: texts on the phone's screens, and data in ScreenSpot's format."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from homeostat import actions as a
from homeostat.agent.prompts import PromptStyle, act_prompt
from homeostat.alignment.pointing.labels import Box
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import ActionError, ConfigError
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt

__all__ = ["SIZES", "Target", "asked", "phone_targets", "read_screenspot", "size_of", "write_screenspot"]

SIZES = {"small": 0.004, "medium": 0.02, "large": 1.0}
"""For each size, the largest share of the screen that a box of this size covers."""


@dataclass(frozen=True)
class Target:
    """Something to point at on a screenshot.

    Attributes:
        screenshot: The screenshot (height, width, 3).
        instruction: What to point at, in words.
        box: The box in which a point counts as a hit.
        kind: ``text`` or ``icon``, as in ScreenSpot's ``data_type``.
        source: The platform.
    """

    screenshot: NDArray[np.uint8] = field(repr=False)
    instruction: str
    box: Box
    kind: str = "text"
    source: str = "phone"


def size_of(box: Box) -> str:
    """Classifies a box by the share of the screen that it covers.

    Args:
        box: The box.

    Returns:
        ``small``, ``medium`` or ``large``.
    """
    area = (box[2] - box[0]) * (box[3] - box[1])
    return next(name for name, most in SIZES.items() if area <= most)


def asked(style: PromptStyle, target: Target) -> Prompt:
    """Writes the question where a target is, in the words that the embedded model was trained on.

    Args:
        style: How the prompts of the model are written.
        target: The target.

    Returns:
        The prompt.
    """
    plain = style.model_copy(update={"goal": "{goal}", "order": ("screen", "goal")})
    seen = Observation(screenshot=target.screenshot, elements=(), app="")
    return act_prompt(plain, goal=f"where is {target.instruction}?", rules=(), history=(), observation=seen)


def phone_targets(split: Split, seed: int, each: int = 4) -> Iterator[Target]:
    """Generates targets without end: texts that occur exactly once on a screen of a random phone.

    Args:
        split: The data split of the words on the phone.
        seed: The random seed.
        each: The largest number of targets from one screen.

    Yields:
        Targets; the same arguments give the same targets.
    """
    rng = random.Random(f"targets {split} {seed}")
    more = tuple(app for app in APPS if app not in BASIC)
    while True:
        device = fill(rng, split, more).device
        for _ in range(6):
            device.act(a.Open(app=rng.choice(sorted(device.apps))))
            for _ in range(rng.randint(0, 2)):
                places = [p for p in device.placed() if p.runs and (p.widget.tap or [""])[0] in ("go", "back")]
                if places:
                    column, row = rng.choice(places).anchor
                    try:
                        device.act(a.Click(point=((column + 0.5) / 9, (row + 0.5) / 16)))
                    except ActionError:
                        break
            seen = device.observe()
            texts = Counter(e.text for e in seen.elements)
            once = [e for e in seen.elements if e.text and texts[e.text] == 1]
            for element in rng.sample(once, min(each, len(once))):
                yield Target(seen.screenshot, element.text, element.box)


def read_screenspot(file: Path, boxes: Literal["xywh", "xyxy"] = "xywh") -> list[Target]:
    """Reads targets from a ScreenSpot JSON file.

    A row has ``img_filename`` (in the file's folder or in its subfolder ``images``), ``bbox`` in pixels,
    ``instruction``, ``data_type`` (``ui_type`` in ScreenSpot-Pro) and ``data_source`` (``group`` in ScreenSpot-Pro).

    Args:
        file: The file.
        boxes: How boxes are written: x, y, width, height (ScreenSpot and v2), or two corners (ScreenSpot-Pro).

    Returns:
        The targets.

    Raises:
        ConfigError: The file can't be read or has another form. The message names the row and the field.
    """
    from PIL import Image

    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(
            f"{str(file)!r} can't be read as JSON ({type(error).__name__}); give a ScreenSpot file"
        ) from None
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{str(file)!r} does not hold a list of rows; give a ScreenSpot file")
    found = []
    for n, row in enumerate(rows, start=1):

        def wrong(name: str, why: str, n: int = n) -> ConfigError:
            return ConfigError(f"{file.name} row {n}, field {name!r}: {why}")

        if not isinstance(row, Mapping) or not isinstance(row.get("instruction"), str):
            raise wrong("instruction", "must be a text")
        name = str(row.get("img_filename", ""))
        picture = next((p for p in (file.parent / name, file.parent / "images" / name) if p.is_file()), None)
        if picture is None:
            raise wrong(
                "img_filename", f"file {name!r} is neither in the folder of {file.name} nor in its subfolder images"
            )
        pixels = np.asarray(Image.open(picture).convert("RGB"))
        box = _box(row.get("bbox"), pixels.shape[1], pixels.shape[0], boxes)
        if box is None:
            raise wrong(
                "bbox",
                f"{row.get('bbox')!r} is not a box ({boxes}) within {pixels.shape[1]}x{pixels.shape[0]} pixels",
            )
        kind = str(row.get("data_type") or row.get("ui_type") or "text")
        source = str(row.get("data_source") or row.get("group") or "")
        found.append(Target(pixels, row["instruction"], box, kind, source))
    return found


def write_screenspot(targets: Sequence[Target], file: Path) -> None:
    """Writes targets as a ScreenSpot JSON file, with their images in the subfolder ``images``.

    Args:
        targets: The targets.
        file: The file.
    """
    from PIL import Image

    from homeostat.envs.screens import screen_digest

    (file.parent / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for target in targets:
        height, width = target.screenshot.shape[:2]
        name = f"{screen_digest(target.screenshot)[:16]}.png"
        if not (file.parent / "images" / name).exists():
            Image.fromarray(target.screenshot).save(file.parent / "images" / name)
        left, top, right, bottom = target.box
        box = [left * width, top * height, (right - left) * width, (bottom - top) * height]
        labels = {"data_type": target.kind, "data_source": target.source}
        rows.append({"img_filename": name, "bbox": box, "instruction": target.instruction} | labels)
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _box(value: Any, width: int, height: int, boxes: str) -> Box | None:
    try:
        x, y, third, fourth = (float(v) for v in value)
    except (TypeError, ValueError):
        return None
    right, bottom = (x + third, y + fourth) if boxes == "xywh" else (third, fourth)
    box = (max(x / width, 0.0), max(y / height, 0.0), min(right / width, 1.0), min(bottom / height, 1.0))
    return box if box[0] < box[2] and box[1] < box[3] else None
