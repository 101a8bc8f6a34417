"""Preference pairs: one prompt, the answer to prefer and the answer to give up.

On disk they are TRL's conversational preference format: rows with ``prompt``, ``chosen`` and ``rejected`` (lists of
messages) and ``images``, as a ``datasets`` folder or as JSON lines whose images are files. Beside TRL's fields a row
says ``kind``, ``task`` (what may not be split between training and test) and ``higher`` (labels of the spans whose
instruction is meant to win); a content part may bear its span's ``label``. TRL ignores what it does not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Prompt

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Pair", "chat_of", "read_pairs", "split_by_task", "to_dataset", "unique", "write_pairs"]


@dataclass(frozen=True)
class Pair:
    """One preference. ``higher``: labels of the spans whose instruction wins; ``task``: pairs of one task stay on one
    side of a split.
    """

    prompt: Prompt
    chosen: str
    rejected: str
    kind: str = ""
    task: str = ""
    higher: tuple[str, ...] = ("system", "rules")

    @property
    def digest(self) -> str:
        """sha256 of prompt (pixels included) and answers: equal pairs have equal ones."""
        seen = hashlib.sha256()
        for message in self.prompt.messages:
            seen.update(message.role.encode() + b"\0")
            for part in message.parts:
                seen.update(part.text.encode() + b"\1")
                if part.image is not None:
                    seen.update(np.ascontiguousarray(part.image).tobytes())
        for text in (self.chosen, self.rejected):
            seen.update(b"\2" + text.encode())
        return seen.hexdigest()


def chat_of(prompt: Prompt) -> tuple[list[dict[str, Any]], list[Any]]:
    """The prompt as messages, every part with its label, and its images (height, width, 3) in order."""
    chat, images = [], []
    for message in prompt.messages:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if part.image is None:
                parts.append({"type": "text", "text": part.text, "label": part.label})
            else:
                images.append(part.image)
                parts.append({"type": "image", "text": None, "label": part.label})
        chat.append({"role": message.role, "content": parts})
    return chat, images


def unique(pairs: Iterable[Pair]) -> list[Pair]:
    """Each pair once, in order; those whose two answers are equal are dropped."""
    found = {p.digest: p for p in pairs if p.chosen != p.rejected}
    return list(found.values())


def split_by_task(pairs: Sequence[Pair], held_out: float, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """(training, held out): all pairs of a task on one side, about ``held_out`` of the tasks on the second."""

    def lot(task: str) -> float:
        return int(hashlib.sha256(f"{seed} {task}".encode()).hexdigest()[:8], 16) / 16**8

    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for n, pair in enumerate(pairs):
        sides[lot(pair.task or f"#{n}") < held_out].append(pair)
    return sides


def to_dataset(pairs: Sequence[Pair]) -> Dataset:
    """A ``datasets.Dataset`` in TRL's format; ``images`` are PIL images in the rows, PNG on disk."""
    from datasets import Dataset, Features, Image, List, Value
    from PIL import Image as Pictures

    part = {"type": Value("string"), "text": Value("string"), "label": Value("string")}
    message = {"role": Value("string"), "content": List(part)}
    features = {
        "prompt": List(message),
        "chosen": List(message),
        "rejected": List(message),
        "images": List(Image()),
        "kind": Value("string"),
        "task": Value("string"),
        "higher": List(Value("string")),
    }
    rows = []
    for pair in pairs:
        chat, images = chat_of(pair.prompt)
        answers = {side: _answer(getattr(pair, side)) for side in ("chosen", "rejected")}
        pictures = [Pictures.fromarray(np.ascontiguousarray(image)) for image in images]
        more = {"kind": pair.kind, "task": pair.task, "higher": list(pair.higher)}
        rows.append({"prompt": chat, "images": pictures} | answers | more)
    if not any(row["images"] for row in rows):  # TRL takes a column of images for a vision dataset
        del features["images"]
        rows = [{k: v for k, v in row.items() if k != "images"} for row in rows]
    return Dataset.from_list(rows, features=Features(features))


def write_pairs(pairs: Sequence[Pair], folder: Path) -> None:
    """Save as a ``datasets`` folder (``datasets.load_from_disk`` reads it). Raises :class:`ConfigError` for none."""
    if not pairs:
        raise ConfigError(f"there are no pairs to write to {str(folder)!r}")
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    to_dataset(pairs).save_to_disk(str(folder))


def read_pairs(path: Path) -> list[Pair]:
    """Pairs from a ``datasets`` folder or a ``.jsonl`` file (``images``: file names beside it).

    Raises :class:`ConfigError` with the row's number and field for data that don't fit.
    """
    if not path.exists():
        raise ConfigError(f"no data at {str(path)!r}; give a datasets folder or a .jsonl file of preference pairs")
    pairs = [_pair(n, row, path) for n, row in enumerate(_rows(path), start=1)]
    if not pairs:
        raise ConfigError(f"{str(path)!r} holds no rows")
    return pairs


def _answer(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": [{"type": "text", "text": text, "label": "output"}]}]


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_dir():
        from datasets import DatasetDict, load_from_disk

        try:
            data = load_from_disk(str(path))
        except Exception as error:
            said = str(error).strip().partition("\n")[0][:120]
            raise ConfigError(
                f"{str(path)!r} is no datasets folder ({said}); give one that save_to_disk wrote"
            ) from None
        if isinstance(data, DatasetDict):
            raise ConfigError(f"{str(path)!r} holds the splits {', '.join(data)}; give the folder of one of them")
        yield from data
        return
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ConfigError(f"{path.name} row {n} is no JSON ({error.msg}); write one object a line") from None
            if not isinstance(row, dict):
                raise ConfigError(f"{path.name} row {n} is {type(row).__name__}; write one object a line")
            yield row


def _pair(n: int, row: Mapping[str, Any], path: Path) -> Pair:
    def wrong(field: str, why: str) -> ConfigError:
        return ConfigError(f"{path.name} row {n}, field {field!r}: {why}")

    sides = {}
    for side in ("chosen", "rejected"):
        said = row.get(side)
        text = said if isinstance(said, str) else _said(said)
        if not text:
            raise wrong(side, f"{str(said)[:50]!r} is no answer; give a text or one assistant message")
        sides[side] = text
    if sides["chosen"] == sides["rejected"]:
        raise wrong("rejected", "equals chosen; a pair needs two answers")
    try:
        prompt = _prompt(row.get("prompt"), [_image(i, path) for i in row.get("images") or ()])
    except (ConfigError, OSError) as error:
        raise wrong("prompt", str(error)) from None
    higher = tuple(row.get("higher") or ("system", "rules"))
    labels = {part.label for message in prompt.messages for part in message.parts}
    if row.get("higher") and not labels & set(higher):
        raise wrong("higher", f"{list(higher)!r} are no spans of this prompt; it has {', '.join(sorted(labels))}")
    return Pair(prompt, sides["chosen"], sides["rejected"], row.get("kind") or "", row.get("task") or "", higher)


def _prompt(chat: Any, images: list[Any]) -> Prompt:
    if isinstance(chat, str):
        chat = [{"role": "user", "content": chat}]
    if not isinstance(chat, Sequence) or not chat:
        raise ConfigError(f"{str(chat)[:50]!r} is no prompt; give a list of messages")
    rest = iter(images)
    filled = []
    for message in chat:
        if not isinstance(message, Mapping):
            raise ConfigError(f"{str(message)[:50]!r} is no message; give {{'role', 'content'}}")
        content = message.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            parts = []
            for part in content:
                part = {k: v for k, v in part.items() if v is not None} if isinstance(part, Mapping) else part
                if isinstance(part, dict) and part.get("type") == "image" and "image" not in part:
                    picture = next(rest, None)
                    if picture is None:
                        raise ConfigError(f"it shows more images than the {len(images)} that the row has")
                    part = part | {"image": picture}
                parts.append(part)
            message = {**message, "content": parts}
        filled.append(message)
    if next(rest, None) is not None:
        raise ConfigError(f"the row has {len(images)} images, more than its messages show")
    return Prompt.from_chat(filled)


def _image(image: Any, path: Path) -> Any:
    from PIL import Image

    if not isinstance(image, str):
        return image
    file = path.parent / image
    if not file.is_file():
        raise ConfigError(f"image {image!r} is missing beside {path.name}")
    return Image.open(file)


def _said(messages: Any) -> str:
    """The text of one assistant message; empty for anything else."""
    if not isinstance(messages, Sequence) or len(messages) != 1 or not isinstance(messages[0], Mapping):
        return ""
    content = messages[0].get("content")
    if isinstance(content, str):
        return content
    texts = [p.get("text") or "" for p in content or () if isinstance(p, Mapping) and p.get("type") == "text"]
    return "".join(texts)
