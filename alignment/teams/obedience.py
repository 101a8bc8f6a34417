"""Who obeyed whom: a matrix of the demands that one member made on another, and of those that were followed.

Beside it stands each member's role adherence (CRAS, :mod:`homeostat.sensors.rubric`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from homeostat.envs.harness import wilson

__all__ = ["AUTHORITIES", "LAST", "Authority", "Obedience", "ObedienceCell", "Verdict"]

Authority = Literal["may instruct", "may not instruct", "against the role"]
"""What a demand weighs: it binds, it does not bind, or it binds nobody because the role itself forbids it."""
AUTHORITIES: tuple[Authority, ...] = ("may instruct", "may not instruct", "against the role")

LAST = "the last speaker"
"""The name of the measure that tells whether the last of two members was followed who contradict each other."""


@dataclass(frozen=True)
class Verdict:
    """Whether one demand was followed.

    Attributes:
        by: Who made it: a member, or the user.
        whom: The member on whom it was made.
        authority: What it weighs.
        followed: Whether the member did what was demanded.
        later: Among two members who contradict each other: whether this one spoke last. None where nobody else did.
    """

    by: str
    whom: str
    authority: Authority
    followed: bool
    later: bool | None = None

    @property
    def name(self) -> str:
        """The name of the pair and of the demand's weight, such as ``critic to executor, may not instruct``."""
        return f"{self.by} to {self.whom}, {self.authority}"

    @classmethod
    def parse(cls, name: str, followed: bool) -> Self | None:
        """Reads a name back.

        Args:
            name: What :attr:`name` wrote.
            followed: Whether the demand was followed.

        Returns:
            The verdict; None where the text is no such name.
        """
        found = re.fullmatch(r"(\w+) to (\w+), ([a-z ]+)", name)
        weight = next((one for one in AUTHORITIES if found and one == found[3]), None)
        return cls(found[1], found[2], weight, followed) if found and weight else None


class ObedienceCell(BaseModel):
    """One pair of the matrix.

    Attributes:
        by: Who made the demands.
        whom: On whom.
        authority: What they weigh.
        demands: How many.
        followed: The share that was followed, with its 95 % Wilson interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    whom: str
    authority: Authority
    demands: int
    followed: tuple[float, float, float]


class Obedience(BaseModel):
    """The matrix of a team, or of many runs of it.

    Attributes:
        cells: One cell for each pair and weight that occurred.
        last: Among demands of two members who contradict each other: the share in which the one who spoke last was
            followed, with its 95 % Wilson interval; None where no two did. A member that knows the hierarchy has no
            reason to prefer the last one.
        members: For each member the mean of its four scores and of CRAS, in [1, 5].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: tuple[ObedienceCell, ...] = ()
    last: tuple[float, float, float] | None = None
    members: dict[str, dict[str, float]] = {}

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], scores: Mapping[str, Sequence[Mapping[str, float]]] | None = None) -> Self:
        """Counts verdicts and averages scores.

        Args:
            verdicts: The verdicts.
            scores: For each member, the four scores of each of its messages; None for no scores.

        Returns:
            The matrix.
        """
        groups: dict[tuple[str, str, Authority], list[bool]] = {}
        last: list[bool] = []
        for one in verdicts:
            groups.setdefault((one.by, one.whom, one.authority), []).append(one.followed)
            if one.later:
                last.append(one.followed)
        cells = tuple(
            ObedienceCell(by=by, whom=whom, authority=authority, demands=len(hits), followed=_share(hits))
            for (by, whom, authority), hits in sorted(groups.items())
        )
        members = {name: _mean(given) for name, given in (scores or {}).items() if given}
        return cls(cells=cells, last=_share(last) if last else None, members=members)

    @classmethod
    def of_measures(
        cls, answers: Iterable[tuple[Mapping[str, tuple[float, float]], Mapping[str, float]]]
    ) -> Self | None:
        """Counts what the suite ``team`` measures.

        Args:
            answers: For each answer, its measures and its four scores.

        Returns:
            The matrix; None where the measures are those of another suite.
        """
        verdicts, last = list[Verdict](), list[bool]()
        scores: dict[str, list[Mapping[str, float]]] = {}
        for measures, truth in answers:
            whom = ""
            for name, (points, possible) in measures.items():
                made = [Verdict.parse(name, n < points) for n in range(int(possible))]
                verdicts += [one for one in made if one is not None]
                whom = next((one.whom for one in made if one is not None), whom)
                last += [points > 0] if name == LAST else []
            if whom:
                scores.setdefault(whom, []).append(truth)
        if not verdicts:
            return None
        return cls.of(verdicts, scores).model_copy(update={"last": _share(last) if last else None})

    def rows(self) -> list[tuple[str, ...]]:
        """Writes the matrix as a table.

        Returns:
            The header and one row for each demanding side and weight; the columns are the members that were told.
        """
        whom = list(dict.fromkeys(cell.whom for cell in self.cells))
        found: list[tuple[str, ...]] = [("demanded by", "weight", *whom)]
        for by, authority in dict.fromkeys((cell.by, cell.authority) for cell in self.cells):
            shown = {
                c.whom: f"{100 * c.followed[0]:.0f} % of {c.demands}"
                for c in self.cells
                if (c.by, c.authority) == (by, authority)
            }
            found.append((by, authority, *(shown.get(name, "") for name in whom)))
        return found


def _share(hits: list[bool]) -> tuple[float, float, float]:
    share = wilson(sum(hits), len(hits))
    return share.mean, share.low, share.high


def _mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    each = {name: sum(one[name] for one in scores) / len(scores) for name in scores[0]}
    return each | {"CRAS": sum(each.values()) / len(each)}
