"""What ``align_table.py`` compares: the suites of conflicts, the recipes, and the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.chat import chat_twins, hierarchy_twins
from homeostat.alignment.conflicts.core import Case, Twins
from homeostat.alignment.conflicts.phone import phone_twins
from homeostat.alignment.diagnosis.run import generated
from homeostat.envs.phone.tasks.words import Split
from homeostat.sensors import Prompt

SAIL = "sail focal, attention, lambda 1"
ALL = "dpo all layers"
RANDOM = "dpo random layers"


@dataclass(frozen=True)
class Suite:
    """A set of conflicts with the sizes and the recipe for it.

    Attributes:
        recipe: The settings of ``homeostat align`` that all rows share. They were chosen on the dev split.
        rank: The rank of an adapter on the focal layers.
        twins: The number of training twins.
        test: The number of conflicts to measure on.
        tokens: The longest answer, in tokens.
        batch: The number of prompts that are answered in one batch.
        localize: Twins for the localization, conflicts for its causal check, and random sets of heads.
    """

    recipe: dict[str, Any]
    rank: int
    twins: int
    test: int
    tokens: int
    batch: int
    localize: tuple[int, int, int]


SUITES = {
    "phone": Suite(
        {"rate": 5e-3, "epochs": 2, "batch": 16, "beta": 0.5, "nll": 0.2}, 10, 540, 270, 64, 16, (270, 54, 10)
    ),
    "chat": Suite({"rate": 2e-4, "epochs": 1, "batch": 8, "beta": 0.1, "nll": 0.2}, 24, 80, 120, 32, 8, (80, 30, 5)),
}


def training_twins(model: TransformersModel | None, seed: int) -> Iterator[Twins]:
    """Generates twins of the train split: screens of the phone for a model, chats for none."""
    return phone_twins(model.style, "train", seed) if model is not None else hierarchy_twins("train", seed)


def localizing_twins(model: TransformersModel, suite: str) -> Iterator[Twins]:
    """Generates the twins on which focal heads are looked for, as ``homeostat localize`` does."""
    return phone_twins(model.style, "train", 7) if suite == "phone" else chat_twins("train", 0)


def measured_cases(model: TransformersModel | None, split: Split, count: int) -> list[Case]:
    """Lists the cases that every row answers: screens of the phone for a model, chats for none.

    In chats, a fact, a name and a wording make a case, and small numbers of them soon repeat. A repeated prompt is left
    out, because its answer tells nothing new: ``count`` is therefore the largest number of conflicts.
    """
    if model is not None:
        return generated(model, "phone", split, 0, count)
    drawn = list(islice(hierarchy_twins(split, 0), 20 * count))
    conflicts = list(distinct(both.conflict for both in drawn))[:count]
    twins = list(distinct(both.aligned for both in drawn))[:count]
    return [*conflicts, *twins]


def distinct(cases: Iterable[Case]) -> Iterator[Case]:
    """Leaves out cases whose prompt and answers another case has already."""
    seen: set[tuple[str, str, bool]] = set()
    for case in cases:
        key = (written(case.prompt), case.chosen, case.aligned)
        if key not in seen:
            seen.add(key)
            yield case


def written(prompt: Prompt) -> str:
    """A prompt as plain text."""
    return "\n".join(f"{message.role}: {''.join(part.text for part in message.parts)}" for message in prompt.messages)


def rows(suite: str, focal: int, layers: int, out: Path) -> dict[str, dict[str, Any]]:
    """Returns the settings of each row besides data, seed and recipe.

    Args:
        suite: The name of the suite.
        focal: The number of focal layers.
        layers: The number of layers of the model.
        out: The folder of the seed, which holds the adapters of other rows.

    Returns:
        Settings by name. The rank on all layers is reduced, so that all rows train equally many parameters. Rows that
        others need come first on the phone; on chats, the rows come in the order of their importance.
    """
    rank = SUITES[suite].rank
    part = {"layers": "focal", "r": rank}
    every = f"{out}/{ALL}/adapter"
    whole = {ALL: {"layers": "all", "weights": "uniform", "r": max(1, rank * focal // layers)}}
    opposite = {"(dpo all layers, swapped)": whole[ALL] | {"swap": True}}
    random = {RANDOM: {"layers": "random", "weights": "uniform", "r": rank}}
    uniform = {"sail focal, uniform (lambda 0)": part | {"weights": "uniform"}}
    half = {"sail focal, attention, lambda 0.5": part | {"weights": "attention", "lam": 0.5}}
    full = {SAIL: part | {"weights": "attention"}}
    others = {
        "sail focal, attention of random heads": part | {"weights": "attention", "heads": "random"},
        "sail focal, reward": part | {"weights": "reward", "reward_model": every},
        "sail focal, contrast": part
        | {
            "weights": "contrast",
            "positive_model": every,
            "negative_model": f"{out}/(dpo all layers, swapped)/adapter",
        },
        "sail focal, judge": part | {"weights": "judge"},
        "sail focal, anchors": part | {"weights": "anchors"},
    }
    if suite == "phone":
        return whole | opposite | random | uniform | half | full | others
    swapped = {"sail focal, chosen and rejected swapped": full[SAIL] | {"swap": True}}
    depths = {"lowest": 0, "middle": (layers - focal) // 2, "highest": layers - focal}
    by_depth = {
        f"dpo {name} layers": {
            "layers": ",".join(str(first + n) for n in range(focal)),
            "weights": "uniform",
            "r": rank,
        }
        for name, first in depths.items()
    }
    return full | whole | random | uniform | swapped | half | by_depth | opposite | others
