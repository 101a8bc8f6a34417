"""The answers of the models that ``align_table.py`` compares: asked in small parts, each kept, and scored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from align_figures import by_kind
from align_rows import Suite
from align_training import write_whole

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case
from homeostat.alignment.diagnosis.run import diagnose
from homeostat.alignment.sail.forgetting import text_nats
from homeostat.sensors.rubric import DIMENSIONS

_KEPT = {"id", "kind", "variant", "aligned", "kept", "right", "truth", "text"}
_BATCHES = 4
"""Answers are kept after so many batches."""


def answers(load: Callable[[], TransformersModel], cases: Sequence[Case], file: Path, suite: Suite) -> dict[str, Any]:
    """Asks a model all cases. What is in the file is not asked again, also if an earlier run was killed.

    Args:
        load: Loads the model; called if it has to be asked.
        cases: The cases.
        file: Where the answers are kept.
        suite: The sizes of an answer and of a batch.

    Returns:
        ``answers`` in the order of the cases, and ``text``, the mean log-probability of a plain text in nats per token.
    """
    asked = {"cases": [case.id for case in cases], "tokens": suite.tokens}
    told: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if told.get("asked") != asked:
        told = {"asked": asked, "text": None, "answers": []}
    if told["text"] is not None:
        return told
    model = load()
    done: list[dict[str, Any]] = told["answers"]
    while rest := cases[len(done) :]:
        found, _ = diagnose(model, rest[: _BATCHES * suite.batch], max_new_tokens=suite.tokens, batch=suite.batch)
        done += [one.model_dump(mode="json", include=_KEPT) for one in found]
        write_whole(file, told)
    told["text"] = text_nats(model)
    write_whole(file, told)
    return told


def is_complete(file: Path) -> bool:
    """Tells whether a file holds the answers to all cases."""
    return file.is_file() and json.loads(file.read_text())["text"] is not None


def scored(told: dict[str, Any]) -> dict[str, Any]:
    """Computes the figures of one model on the conflicts and on their twins.

    Args:
        told: What :func:`answers` returns.

    Returns:
        The figures of one row and seed, as ``align_table.py`` writes them.
    """
    found = told["answers"]
    conflicts, twins = ([a for a in found if a["aligned"] == aligned] for aligned in (False, True))
    weights = by_kind([a["kind"] for a in conflicts])
    return {
        "kept": [a["kept"] for a in conflicts],
        "right": [a["right"] for a in twins],
        "both": [a["right"] and a["kept"] for a in twins],
        "kinds": {"conflict": [a["kind"] for a in conflicts], "aligned": [a["kind"] for a in twins]},
        "variants": {"conflict": [a["variant"] for a in conflicts], "aligned": [a["variant"] for a in twins]},
        "scores": {d: float(np.dot(weights, [a["truth"][d] for a in conflicts])) for d in DIMENSIONS},
        "by_kind": {
            kind: [
                float(np.mean([a["kept"] for a in conflicts if a["kind"] == kind])),
                float(np.mean([a["right"] for a in twins if a["kind"] == kind])),
            ]
            for kind in dict.fromkeys(a["kind"] for a in found)
        },
        "text": told["text"],
    }
