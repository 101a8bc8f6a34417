"""What a conflict is: two instructions that can't both be followed, and the twin in which they agree.

Three levels of the hierarchy, as in IHEval (arXiv 2502.08745): the system's rules above the user, the user above what
tools and screens say, and one agent beside another (a peer's demand has no right over the goal). Who wins is known by
construction, so an answer's four CRAS dimensions have a truth (``homeostat.sensors.role_adherence.truth_scores``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from homeostat.alignment.preference.pairs import Pair
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.role_adherence import Truth

__all__ = ["LEVELS", "Case", "Level", "Twins", "pairs_of"]

Level = Literal["system/user", "user/tool", "peer/peer"]
LEVELS: tuple[Level, ...] = ("system/user", "user/tool", "peer/peer")


@dataclass(frozen=True)
class Case:
    """One prompt, and what an answer to it is worth.

    ``judge`` tells what happened in an answer; a rule in ``Truth.broken`` means that the higher instruction was not
    kept. ``higher`` and ``lower``: labels of the two instructions' spans. ``chosen`` and ``rejected``: the answer that
    keeps the hierarchy and one that does not (empty where a public set has none). ``role`` and ``query``: what a judge
    is told.
    """

    id: str
    kind: str
    level: Level
    aligned: bool
    prompt: Prompt = field(repr=False)
    judge: Callable[[str], Truth] = field(repr=False)
    role: str = ""
    query: str = ""
    higher: tuple[str, ...] = ("system", "rules")
    lower: tuple[str, ...] = ("goal", "user")
    chosen: str = ""
    rejected: str = ""
    task: str = ""

    def pair(self) -> Pair:
        """The preference that it teaches."""
        kind = f"{self.kind}{' aligned' if self.aligned else ''}"
        return Pair(self.prompt, self.chosen, self.rejected, kind, self.task, self.higher)


@dataclass(frozen=True)
class Twins:
    """The same prompt twice: once the two instructions conflict, once they agree."""

    conflict: Case
    aligned: Case


def pairs_of(twins: Iterable[Twins]) -> list[Pair]:
    """A preference of each case: of the conflicts alone a model learns to refuse, whatever it is asked."""
    return [case.pair() for both in twins for case in (both.conflict, both.aligned)]
