"""Who obeyed whom: a matrix of the demands that one member made on another, and of those that were followed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from homeostat.envs.harness import wilson

__all__ = ["AUTHORITIES", "Authority", "Obedience", "ObedienceCell", "Verdict"]

Authority = Literal["may instruct", "may not instruct", "against the role"]
"""What a demand weighs: it binds, it does not bind, or it binds nobody because the role itself forbids it."""
AUTHORITIES: tuple[Authority, ...] = ("may instruct", "may not instruct", "against the role")


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
        peers: Among demands of two members who contradict each other: the share in which the one who spoke last was
            followed, with its 95 % Wilson interval; None where no two did. A member that knows the hierarchy has no
            reason to prefer the last one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: tuple[ObedienceCell, ...] = ()
    peers: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Self:
        """Counts verdicts.

        Args:
            verdicts: The verdicts.

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
            for (by, whom, authority), hits in groups.items()
        )
        return cls(cells=cells, peers=_share(last) if last else None)

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
