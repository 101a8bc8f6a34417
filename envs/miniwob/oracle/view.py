"""What an oracle sees, the utterance and the visible DOM, and how it says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeostat import actions as a
from homeostat.envs.miniwob.elements import role
from homeostat.envs.miniwob.fit import Fit
from homeostat.envs.miniwob.page import Node
from homeostat.errors import EnvError

__all__ = ["ORACLES", "Oracle", "View", "solves"]


@dataclass(frozen=True)
class View:
    """The page at one moment: ``goal`` the utterance, ``nodes`` what is in view, ``done`` the actions so far.

    Nothing of a page's scripts, of its reward or of other moments is here.
    """

    goal: str
    nodes: tuple[Node, ...]
    done: tuple[a.Action, ...]
    fit: Fit

    @property
    def quoted(self) -> list[str]:
        """What the goal has in double quotes."""
        return re.findall(r'"([^"]*)"', self.goal)

    def find(self, pattern: str) -> list[str]:
        """The groups of a pattern in the goal. Raises ``EnvError`` where it does not match."""
        match = re.search(pattern, self.goal)
        if match is None:
            raise EnvError(f"goal {self.goal!r} does not read like {pattern!r}; this is a defect of the oracle")
        return list(match.groups())

    def of_role(self, *roles: str) -> list[Node]:
        """Nodes of these roles that can be clicked, in the document's order."""
        return [n for n in self.nodes if n.point is not None and role(n) in roles]

    def of_class(self, name: str) -> list[Node]:
        """Nodes of this class that can be clicked."""
        return [n for n in self.nodes if n.point is not None and name in n.classes.split()]

    def click(self, nodes: Sequence[Node]) -> a.Action:
        """A click on the first of them. Raises ``EnvError`` where there is none."""
        node = next((n for n in nodes if n.point is not None), None)
        if node is None or node.point is None:
            raise EnvError(f"nothing on the page fits the goal {self.goal!r}; this is a defect of the oracle")
        return a.Click(point=self.fit.to_screen(node.point))

    def press(self, *texts: str) -> a.Action:
        """A click on the button with one of these texts, in any case."""
        wanted = {text.lower() for text in texts}
        return self.click([n for n in self.of_role("button") if (n.full_text or str(n.value)).lower() in wanted])

    def fill(self, wanted: Sequence[tuple[Node, str]]) -> a.Action | None:
        """The next action that brings the fields to these texts; None once they hold them."""
        for node, text in wanted:
            if node.value != text:
                return a.Type(text=text) if node.focused else self.click([node])
        return None


Oracle = Callable[[View], a.Action]
ORACLES: dict[str, Oracle] = {}


def solves(*tasks: str) -> Callable[[Oracle], Oracle]:
    """Register an oracle for tasks."""

    def register(oracle: Oracle) -> Oracle:
        ORACLES.update(dict.fromkeys(tasks, oracle))
        return oracle

    return register
