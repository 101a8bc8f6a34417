"""Preference pairs: one prompt, the preferred answer and the rejected answer.

On disk they have TRL's conversational preference format: rows with ``prompt``, ``chosen`` and ``rejected`` (lists of
messages) and ``images``. They are a ``datasets`` folder, or JSON lines whose images are files. A row has three more
fields: ``kind``, ``task`` (the rows of one task stay together when data are split) and ``higher`` (labels of the spans
whose instruction should win). A content part may have the ``label`` of its span, and ``trusted``: the ranges of
characters that may contain control tokens, because the agent's prompt style wrote them. TRL ignores these fields.

Rows of other origin may leave the prompt implicit (``implicit.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homeostat.alignment.preference.implicit import with_prompt
from homeostat.alignment.preference.row_chats import image_from, prompt_from, text_from
from homeostat.alignment.rows import read_rows
from homeostat.data_files import StrPath
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted
from homeostat.sensors.chat.messages import Prompt

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Pair", "chat_of", "read_pairs", "split_by_task", "to_dataset", "unique", "write_pairs"]


@dataclass(frozen=True)
class Pair:
    """One preference.

    Attributes:
        prompt: The prompt.
        chosen: The preferred answer.
        rejected: The other answer.
        kind: Where the pair comes from, such as ``loop`` or a kind of conflict.
        task: Pairs of one task stay on one side of a split.
        higher: Labels of the spans whose instruction should win.
    """

    prompt: Prompt
    chosen: str
    rejected: str
    kind: str = ""
    task: str = ""
    higher: tuple[str, ...] = ("system", "rules")

    @property
    def digest(self) -> str:
        """The sha256 of the prompt, with its pixels, and of the answers. Equal pairs have equal digests."""
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
    """Writes a prompt as chat messages.

    Args:
        prompt: The prompt.

    Returns:
        The messages, in which every content part has its label, and the images in order, each (height, width, 3).
    """
    chat, images = [], []
    for message in prompt.messages:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if part.image is None:
                own = [list(pair) for pair in part.trusted]
                parts.append({"type": "text", "text": part.text, "label": part.label, "trusted": own})
            else:
                images.append(part.image)
                parts.append({"type": "image", "text": None, "label": part.label, "trusted": []})
        chat.append({"role": message.role, "content": parts})
    return chat, images


def unique(pairs: Iterable[Pair]) -> list[Pair]:
    """Removes duplicates, and pairs whose two answers are equal.

    Args:
        pairs: The pairs.

    Returns:
        Each pair once, in order.
    """
    found = {p.digest: p for p in pairs if p.chosen != p.rejected}
    return list(found.values())


def split_by_task(pairs: Sequence[Pair], held_out: float, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """Splits pairs so that all pairs of a task are on one side.

    Args:
        pairs: The pairs. A pair without a task counts as a task of its own.
        held_out: The share of the tasks that is held out, approximately: a hash of the task decides.
        seed: The random seed.

    Returns:
        The training pairs and the held-out pairs.
    """

    def lot(task: str) -> float:
        return int(hashlib.sha256(f"{seed} {task}".encode()).hexdigest()[:8], 16) / 16**8

    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for n, pair in enumerate(pairs):
        sides[lot(pair.task or f"#{n}") < held_out].append(pair)
    return sides


def to_dataset(pairs: Sequence[Pair]) -> Dataset:
    """Makes a ``datasets.Dataset`` in TRL's format.

    Args:
        pairs: The pairs.

    Returns:
        The dataset. ``images`` are PIL images in the rows and PNG on disk. Without any image there is no such column,
        because TRL takes a column of images as the sign of a vision dataset.
    """
    from datasets import Dataset, Features, Image, List, Value
    from PIL import Image as Pictures

    part = {"type": Value("string"), "text": Value("string"), "label": Value("string")}
    part["trusted"] = List(List(Value("int32")))
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
        answers = {"chosen": _answer(pair.chosen), "rejected": _answer(pair.rejected)}
        pictures = [Pictures.fromarray(np.ascontiguousarray(image)) for image in images]
        own = {"kind": pair.kind, "task": pair.task, "higher": list(pair.higher)}
        rows.append({"prompt": chat, "images": pictures} | answers | own)
    if not any(row["images"] for row in rows):
        del features["images"]
        rows = [{k: v for k, v in row.items() if k != "images"} for row in rows]
    return Dataset.from_list(rows, features=Features(features))


def write_pairs(pairs: Sequence[Pair], folder: StrPath) -> None:
    """Saves pairs as a ``datasets`` folder, which ``datasets.load_from_disk`` reads.

    Args:
        pairs: The pairs.
        folder: The folder.

    Raises:
        ConfigError: There are no pairs.
    """
    if not pairs:
        raise ConfigError(f"there are no pairs to write to {str(folder)!r}")
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    to_dataset(pairs).save_to_disk(str(folder))


def read_pairs(path: StrPath) -> list[Pair]:
    """Reads pairs.

    Args:
        path: A ``datasets`` folder; or a file of JSON lines, or with one JSON list of rows, whose ``images`` are file
            names relative to it. A row without ``prompt`` has full conversations as ``chosen`` and ``rejected``.

    Returns:
        The pairs.

    Raises:
        ConfigError: The data have another form. The message names the row and the field.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(
            f"no data at {str(path)!r}; give a datasets folder, or a .jsonl or .json file of preference pairs"
        )
    pairs = [_pair(n, with_prompt(row), path) for n, row in enumerate(_rows(path), start=1)]
    if not pairs:
        raise ConfigError(f"{str(path)!r} holds no rows")
    return pairs


def _answer(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": [{"type": "text", "text": text, "label": "output", "trusted": []}]}]


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_dir():
        from datasets import DatasetDict, load_from_disk

        try:
            data = load_from_disk(str(path))
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:120]
            raise ConfigError(
                f"{str(path)!r} is not a datasets folder ({reason}); give one that save_to_disk wrote"
            ) from None
        if isinstance(data, DatasetDict):
            raise ConfigError(f"{str(path)!r} holds the splits {', '.join(data)}; give the folder of one of them")
        yield from data
        return
    yield from read_rows(path)


def _pair(n: int, row: Mapping[str, Any], path: Path) -> Pair:
    def wrong(field: str, why: str) -> ConfigError:
        return ConfigError(f"{path.name} row {n}, field {field!r}: {why}")

    sides = {}
    for side in ("chosen", "rejected"):
        answer = row.get(side)
        text = answer if isinstance(answer, str) else text_from(answer)
        if not text:
            raise wrong(
                side,
                f"{quoted(answer, 60)} is not an answer; give a text, one assistant message, or a conversation that "
                "differs from the other one in its last message alone",
            )
        sides[side] = text
    if sides["chosen"] == sides["rejected"]:
        raise wrong("rejected", "equals chosen; a pair needs two answers")
    for field in ("images", "higher"):
        if not isinstance(row.get(field) or [], list | tuple):
            raise wrong(field, f"{quoted(row[field], 60)} is not a list")
    for field in ("kind", "task"):
        if not isinstance(row.get(field) or "", str):
            raise wrong(field, f"{quoted(row[field], 60)} is not a text")
    try:
        prompt = prompt_from(row.get("prompt"), [image_from(i, path) for i in row.get("images") or ()])
    except (ConfigError, OSError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        raise wrong("prompt", clipped(" ".join(str(error).split()), 160)) from None
    higher = tuple(map(str, row.get("higher") or ("system", "rules")))
    labels = {part.label for message in prompt.messages for part in message.parts}
    if row.get("higher") and not labels & set(higher):
        raise wrong("higher", f"this prompt has no span {quoted(list(higher))}; it has {', '.join(sorted(labels))}")
    return Pair(prompt, sides["chosen"], sides["rejected"], row.get("kind") or "", row.get("task") or "", higher)
