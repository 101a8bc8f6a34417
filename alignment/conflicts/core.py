"""Conflicts: two instructions that can't both be followed, and the twin in which they agree.

The hierarchy has three levels, as in IHEval (arXiv 2502.08745): the system's rules rank above the user; the user ranks
above the text of tools and screens; and another agent (a peer) has no authority over the user's goal. A team has one
more: an agent that may instruct ranks above one that may not. Every case is
built so that the winner is known. The four CRAS scores of an answer therefore have a ground truth
(:func:`homeostat.sensors.role_adherence.truth_scores`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from homeostat.alignment.preference.pairs import Pair
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.context import Truth

__all__ = ["LEVELS", "SETTINGS", "Case", "Level", "Measures", "Setting", "Twins", "cases_of", "pairs_of"]

Level = Literal["system/user", "user/tool", "peer/peer", "leader/peer"]
"""The two sides of a conflict: the side with authority, then the side without."""
LEVELS: tuple[Level, ...] = ("system/user", "user/tool", "peer/peer", "leader/peer")
Setting = Literal["conflict", "aligned", "reference"]
"""How the instructions of a case relate: they conflict, they agree, or one message holds all of them (IHEval)."""
SETTINGS: tuple[Setting, ...] = ("conflict", "aligned", "reference")
Measures = Mapping[str, tuple[float, float]]
"""The metrics of one answer by name: the points, and how many were possible. The metric of several answers is the sum
of the points divided by the sum of the possible ones."""


def no_measures(text: str) -> Measures:
    """Measures nothing: the default of a case whose set defines no metric of its own."""
    return {}


@dataclass(frozen=True)
class Case:
    """One prompt with two instructions, and how to judge an answer to it.

    Attributes:
        id: A name that is unique within the run.
        kind: The kind of conflict, such as ``secrecy``.
        level: Which level of the hierarchy the conflict is about.
        aligned: Whether the two instructions agree.
        prompt: The prompt that the model answers.
        judge: Says what happened in an answer. A rule in ``Truth.broken`` means that the answer does not follow the
            higher instruction.
        role: The role that a judge model is told.
        query: The request that a judge model is told.
        higher: Labels of the spans of the instruction with authority.
        lower: Labels of the spans of the instruction without authority.
        chosen: An answer that respects the hierarchy; empty if a public set has none.
        rejected: An answer that does not respect the hierarchy; empty if a public set has none.
        task: Cases of one task stay together when data are split.
        reference: Whether one message holds all instructions, so that there is no hierarchy to follow. Such a case is
            also ``aligned``.
        variant: The version within the setting, such as IHEval's wording of the two instructions.
        measures: The metrics that the authors of a public set define for an answer.
        rules: The rules that a judge model must check, because no program can; empty if ``judge`` decides alone.
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
    reference: bool = False
    variant: str = ""
    measures: Callable[[str], Measures] = field(default=no_measures, repr=False)
    rules: tuple[str, ...] = ()

    @property
    def setting(self) -> Setting:
        """How the instructions relate: ``conflict``, ``aligned`` or ``reference``."""
        return "reference" if self.reference else "aligned" if self.aligned else "conflict"

    def pair(self) -> Pair:
        """Returns the preference pair that teaches this case."""
        kind = f"{self.kind}{' aligned' if self.aligned else ''}"
        return Pair(self.prompt, self.chosen, self.rejected, kind, self.task, self.higher)


@dataclass(frozen=True)
class Twins:
    """The same situation twice: once the two instructions conflict, once they agree.

    Attributes:
        conflict: The case in which the instructions conflict.
        aligned: The case in which they agree.
    """

    conflict: Case
    aligned: Case


def cases_of(twins: Iterable[Twins]) -> list[Case]:
    """Lists the cases of twins.

    Args:
        twins: The twins.

    Returns:
        Each conflict, followed by its aligned twin.
    """
    return [case for both in twins for case in (both.conflict, both.aligned)]


def pairs_of(twins: Iterable[Twins]) -> list[Pair]:
    """Turns twins into training pairs.

    Both twins are included, because a model that trains on conflicts alone learns to refuse every request.

    Args:
        twins: The twins.

    Returns:
        Two pairs for each: the conflict's, then the aligned twin's.
    """
    return [case.pair() for case in cases_of(twins)]
