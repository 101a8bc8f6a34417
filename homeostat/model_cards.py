"""Cards: the ``README.md`` that goes with anything shared on the Hugging Face hub.

A card begins with YAML front matter, which the hub reads, and goes on in plain text: what the files are, how to load
them, how they were made, and what they are not good for. What a card tells comes from the object itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeostat.foreign_text import clipped, visible

__all__ = ["HUB_NAME", "Card", "Metric", "hub_base", "is_hub_name", "is_own_card"]

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
"""What a repository's name on the hub looks like: ``org/name``."""
_DATA_FILES = (".json", ".yaml", ".yml", ".jsonl", ".gguf", ".safetensors")
_OWN_TAG = "homeostat"
_LONGEST = 400  # characters of a fact


@dataclass(frozen=True)
class Metric:
    """A measured figure.

    Attributes:
        name: What was measured, such as ``"AUROC"``.
        value: The figure.
        on: What it was measured on.
        interval: The bounds of its interval; None where the object has none.
        before: The figure before training; None where nothing was trained.
    """

    name: str
    value: float
    on: str
    interval: tuple[float, float] | None = None
    before: float | None = None


@dataclass(frozen=True)
class Card:
    """What a card tells.

    Attributes:
        title: The heading.
        about: What the files are, in one or two sentences.
        load: The Python lines that load them; ``REPO`` stands for the name on the hub.
        made: How they were made.
        limits: What they are not good for.
        facts: What was used, by name.
        metrics: What was measured.
        base_model: The name of the model that they belong to; it is told to the hub where it is a name on the hub.
        tags: What the hub lists them under, besides ``homeostat``.
        datasets: Names of data sets on the hub that they were made from.
        library: The library that the hub says loads them.
        extra: Further fields of the front matter.
    """

    title: str
    about: str
    load: str
    made: str
    limits: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    base_model: str = ""
    tags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    library: str = "homeostat"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def text(self, repo: str = "ORG/NAME") -> str:
        """Writes the card.

        Args:
            repo: The name on the hub, which the lines that load the files show.

        Returns:
            Markdown with YAML front matter.
        """
        parts = [
            f"---\n{self._front_matter(repo)}\n---",
            f"# {_plain(self.title)}",
            _plain(self.about).replace("REPO", repo),
            f"## How to load it\n\n```python\n{self.load.replace('REPO', repo)}\n```",
            f"## How it was made\n\n{_plain(self.made)}",
        ]
        if self.facts:
            parts.append("\n".join(f"- **{_plain(name)}**: {_plain(value)}" for name, value in self.facts.items()))
        if self.metrics:
            parts.append(f"## What was measured\n\n{self._table()}")
        parts.append(f"## Limits\n\n{_plain(self.limits)}")
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path, repo: str = "ORG/NAME") -> None:
        """Writes the card into a folder, as ``README.md``. A card of somebody else's that is there already stays.

        Args:
            folder: The folder.
            repo: The name on the hub.
        """
        file = folder / "README.md"
        if not file.exists() or is_own_card(file.read_text(encoding="utf-8", errors="replace")):
            file.write_text(self.text(repo), encoding="utf-8")

    def _front_matter(self, repo: str) -> str:
        from huggingface_hub import EvalResult, ModelCardData

        results = [
            EvalResult(
                task_type="other",
                dataset_type=_OWN_TAG,
                dataset_name=metric.on,
                dataset_config=metric.on,  # the hub groups results by it, not by the name
                metric_type=metric.name.lower().replace(" ", "_"),
                metric_name=metric.name,
                metric_value=metric.value,
            )
            for metric in self.metrics
        ]
        data = ModelCardData(
            library_name=self.library,
            base_model=hub_base(self.base_model) or None,
            tags=[_OWN_TAG, *self.tags],
            datasets=list(self.datasets) or None,
            metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
            model_name=repo.rpartition("/")[2] if results else None,
            eval_results=results or None,
            **self.extra,
        )
        return data.to_yaml().strip()

    def _table(self) -> str:
        trained = any(metric.before is not None for metric in self.metrics)
        head = "| measure | on |" + (" before | after |" if trained else " value |") + " interval |"
        rows = [head, "|---" * (head.count("|") - 1) + "|"]
        for metric in self.metrics:
            interval = "not measured" if metric.interval is None else "{:.4g} to {:.4g}".format(*metric.interval)
            before = f" {metric.before:.4g} |" if metric.before is not None else " – |" if trained else ""
            cells = f"| {_cell(metric.name)} | {_cell(metric.on)} |{before} {metric.value:.4g} | {interval} |"
            rows.append(cells)
        return "\n".join(rows)


def is_hub_name(name: str) -> bool:
    """Tells whether a text can be a name on the hub, rather than a path.

    Args:
        name: The text.

    Returns:
        True for ``org/name``, unless it ends like a data file.
    """
    return HUB_NAME.fullmatch(name) is not None and not name.lower().endswith(_DATA_FILES)


def hub_base(model: str) -> str:
    """Returns a model's name as the hub knows it.

    Args:
        model: A model's name, folder or file.

    Returns:
        The name; "" for a folder, a file, a model on a server and a model that a package brings.
    """
    known = is_hub_name(model) and not model.startswith("homeostat/") and not Path(model).exists()
    return model if known else ""


def is_own_card(text: str) -> bool:
    """Tells whether a card was written here.

    Args:
        text: The text of a ``README.md``.

    Returns:
        True where its front matter has the tag ``homeostat``.
    """
    front = text.partition("---\n")[2].partition("\n---")[0] if text.startswith("---\n") else ""
    import yaml

    try:
        data = yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, RecursionError):  # somebody else's, and damaged
        return False
    tags = data.get("tags") if isinstance(data, dict) else None
    return isinstance(tags, list) and _OWN_TAG in tags


def _plain(value: Any) -> str:
    """Foreign text on one line, without HTML and without a way out of its place."""
    text = clipped(visible(" ".join(str(value).split())), _LONGEST * 4)
    return text.replace("<", "&lt;").replace("```", "'''")


def _cell(value: Any) -> str:
    return _plain(value).replace("|", "\\|")
