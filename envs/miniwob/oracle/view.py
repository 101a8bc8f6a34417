"""What an oracle sees (the instruction and the visible DOM), and how it chooses an action."""

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
    """The page at one moment. It holds nothing of the page's scripts, of the reward, or of other moments.

    Attributes:
        goal: The instruction.
        nodes: The visible nodes in document order.
        done: The actions so far.
        fit: How the page is placed on the screen.
    """

    goal: str
    nodes: tuple[Node, ...]
    done: tuple[a.Action, ...]
    fit: Fit

    @property
    def quoted(self) -> list[str]:
        """The texts in double quotes in the goal."""
        return re.findall(r'"([^"]*)"', self.goal)

    def find(self, pattern: str) -> list[str]:
        """Searches the goal for a pattern.

        Args:
            pattern: A regular expression.

        Returns:
            The texts of its groups.

        Raises:
            EnvError: The goal does not match.
        """
        match = re.search(pattern, self.goal)
        if match is None:
            raise EnvError(f"goal {self.goal!r} does not match {pattern!r}; this is a defect of the oracle")
        return list(match.groups())

    def of_role(self, *roles: str) -> list[Node]:
        """Finds nodes by role.

        Args:
            *roles: The roles.

        Returns:
            The nodes of these roles that can be clicked, in document order.
        """
        return [n for n in self.nodes if n.point is not None and role(n) in roles]

    def of_class(self, name: str) -> list[Node]:
        """Finds nodes by HTML class.

        Args:
            name: The class.

        Returns:
            The nodes of this class that can be clicked, in document order.
        """
        return [n for n in self.nodes if n.point is not None and name in n.classes.split()]

    def click(self, nodes: Sequence[Node]) -> a.Action:
        """Returns a click on the first node that can be clicked.

        Args:
            nodes: The nodes.

        Returns:
            The click.

        Raises:
            EnvError: There is no such node.
        """
        node = next((n for n in nodes if n.point is not None), None)
        if node is None or node.point is None:
            raise EnvError(f"nothing on the page fits the goal {self.goal!r}; this is a defect of the oracle")
        return a.Click(point=self.fit.to_screen(node.point))

    def press(self, *texts: str) -> a.Action:
        """Returns a click on the button with one of some texts.

        Args:
            *texts: The texts. Case is ignored.

        Returns:
            The click.

        Raises:
            EnvError: There is no such button.
        """
        wanted = {text.lower() for text in texts}
        return self.click([n for n in self.of_role("button") if (n.full_text or str(n.value)).lower() in wanted])

    def fill(self, wanted: Sequence[tuple[Node, str]]) -> a.Action | None:
        """Returns the next action that fills fields.

        Args:
            wanted: (field, text) of each field, in order.

        Returns:
            The action; None if the fields hold these texts.
        """
        for node, text in wanted:
            if node.value != text:
                return a.Type(text=text) if node.focused else self.click([node])
        return None


Oracle = Callable[[View], a.Action]
ORACLES: dict[str, Oracle] = {}
"""The oracles by task name."""


def solves(*tasks: str) -> Callable[[Oracle], Oracle]:
    """Registers an oracle.

    Args:
        *tasks: The tasks that it solves.

    Returns:
        A decorator for the oracle.
    """

    def register(oracle: Oracle) -> Oracle:
        ORACLES.update(dict.fromkeys(tasks, oracle))
        return oracle

    return register
