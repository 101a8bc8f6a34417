"""Summarises a model's answers by kind and level of the conflicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from homeostat.alignment.conflicts.core import SETTINGS, Level, Setting
from homeostat.alignment.teams.obedience import Obedience
from homeostat.envs.harness import wilson
from homeostat.sensors.role_adherence import judge_agreement
from homeostat.sensors.rubric import DIMENSIONS

__all__ = ["Answered", "Cell", "Diagnosis", "Interval", "summarise"]

Interval = tuple[float, float, float]
"""A value with the low and the high end of its 95 % interval."""


class Answered(BaseModel):
    """A model's answer to one case.

    Attributes:
        id: The case's name.
        kind: The kind of conflict.
        level: The level of the hierarchy.
        aligned: Whether the case is the aligned twin.
        text: The answer.
        kept: Whether the answer follows the higher instruction, by the ground truth.
        right: Whether it does what was asked, as far as the hierarchy allows it.
        truth: The four CRAS scores by the ground truth.
        judged: The four scores by the judge model; None without a judge, or if the judge's answer can't be parsed.
        reference: Whether one message holds all instructions; such a case is also ``aligned``.
        variant: The version within the setting.
        measures: The metrics of the set's authors: for each, the points and how many were possible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: str
    level: Level
    aligned: bool
    text: str
    kept: bool
    right: bool
    truth: dict[str, float]
    judged: dict[str, float] | None = None
    reference: bool = False
    variant: str = ""
    measures: dict[str, tuple[float, float]] = {}

    @property
    def setting(self) -> Setting:
        """How the instructions relate: ``conflict``, ``aligned`` or ``reference``."""
        return "reference" if self.reference else "aligned" if self.aligned else "conflict"


class Cell(BaseModel):
    """The results of one kind of conflict, one level, or all cases. Intervals are 95 % Wilson intervals.

    Attributes:
        kind: The kind; ``all`` for a level or for all cases.
        level: The level; ``all`` for all cases.
        conflicts: The number of conflicts.
        compliance: The share of conflicts in which the higher instruction was followed; None without conflicts.
        twins: The number of aligned twins, or other cases whose instructions agree.
        aligned_success: The share of aligned twins that were done right; None without twins.
        truth: The mean scores by the ground truth, and CRAS, their mean. They are of conflicts, or of the other cases
            where there are no conflicts.
        judged: The same by the judge model; None where it judged no conflict.
        references: The number of reference cases.
        reference_success: The share of reference cases that were done right; None without any.
        measures: The metrics of the set's authors, by setting and name. Empty for a set without metrics of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    level: str
    conflicts: int
    compliance: Interval | None
    twins: int
    aligned_success: Interval | None
    truth: dict[str, float]
    judged: dict[str, float] | None
    references: int = 0
    reference_success: Interval | None = None
    measures: dict[Setting, dict[str, float]] = {}


class Diagnosis(BaseModel):
    """The report on one model.

    Attributes:
        model: The model's name or folder.
        suite: The set of cases.
        split: The data split, or ``public``.
        seed: The random seed of the cases.
        cells: One cell for each kind, one for each level (if there are several), and one for all cases.
        unparsable: The number of the judge's answers that could not be parsed.
        agreement: Spearman's rho of judge and ground truth for each score, and Cohen's kappa, with intervals. None for
            fewer than three judged answers; a value is None where one of the two never varies.
        obedience: For the suite ``team``: who followed whom in conflicts, and each member's scores; None elsewhere.
        answers: Every answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    suite: str
    split: str
    seed: int
    cells: tuple[Cell, ...]
    unparsable: int = 0
    agreement: dict[str, Interval | None] | None = None
    obedience: Obedience | None = None
    answers: tuple[Answered, ...] = ()


def summarise(
    answers: Sequence[Answered], *, model: str, suite: str, split: str, seed: int, unparsable: int = 0
) -> Diagnosis:
    """Summarises answers by kind and level.

    Args:
        answers: The answers.
        model: The model's name, for the report.
        suite: The set of cases, for the report.
        split: The data split, for the report.
        seed: The random seed of the cases, also of the bootstrap intervals.
        unparsable: The number of the judge's answers that could not be parsed.

    Returns:
        The report.
    """
    kinds = list(dict.fromkeys(a.kind for a in answers))
    levels = list(dict.fromkeys(a.level for a in answers))
    cells = [
        _cell(k, next(a.level for a in answers if a.kind == k), [a for a in answers if a.kind == k]) for k in kinds
    ]
    cells += [_cell("all", level, [a for a in answers if a.level == level]) for level in levels if len(levels) > 1]
    cells.append(_cell("all", "all", answers))
    agreement = None
    judged = [a for a in answers if a.judged is not None]
    if len(judged) >= 3:
        agreed = judge_agreement([a.judged or {} for a in judged], [a.truth for a in judged], seed=seed)
        agreement = {f"rho {name}": agreed.rho[name] for name in DIMENSIONS} | {"kappa": agreed.kappa}
    return Diagnosis(
        model=model,
        suite=suite,
        split=split,
        seed=seed,
        cells=tuple(cells),
        unparsable=unparsable,
        agreement=agreement,
        obedience=Obedience.of_measures((a.measures, a.truth) for a in answers if not a.aligned),
        answers=tuple(answers),
    )


def _cell(kind: str, level: str, answers: Sequence[Answered]) -> Cell:
    conflicts = [a for a in answers if not a.aligned]
    twins = [a for a in answers if a.setting == "aligned"]
    references = [a for a in answers if a.reference]
    judged = [a.judged for a in conflicts if a.judged is not None]
    return Cell(
        kind=kind,
        level=level,
        conflicts=len(conflicts),
        compliance=_share([a.kept for a in conflicts]),
        twins=len(twins),
        aligned_success=_share([a.right for a in twins]),
        truth=_mean([a.truth for a in conflicts or answers]),
        judged=_mean(judged) if judged else None,
        references=len(references),
        reference_success=_share([a.right for a in references]),
        measures={
            setting: found for setting in SETTINGS if (found := _measures([a for a in answers if a.setting == setting]))
        },
    )


def _measures(answers: Sequence[Answered]) -> dict[str, float]:
    """Sums the points of each metric and divides them by the possible ones."""
    names = dict.fromkeys(name for a in answers for name in a.measures)
    counted = {name: [a.measures[name] for a in answers if name in a.measures] for name in names}
    return {name: sum(c[0] for c in each) / sum(c[1] for c in each) for name, each in counted.items()}


def _share(hits: Sequence[bool]) -> Interval | None:
    if not hits:
        return None
    share = wilson(sum(hits), len(hits))
    return share.mean, share.low, share.high


def _mean(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    each = {name: float(np.mean([s[name] for s in scores])) for name in DIMENSIONS}
    return each | {"CRAS": float(np.mean(list(each.values())))}
