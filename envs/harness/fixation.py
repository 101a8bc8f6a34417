"""Fixation: do an agent's errors land on decoys, and does it return to a decoy after it was told?

Naeini et al. (arXiv 2306.11167, the Only Connect Wall) find that language models fixate on red herrings: misleading
items that resemble the right ones (Einstellung effect). They measure solved walls, with and without red herrings. Here
the red herrings are *decoys*: apps that look like the app of the task. Two measures of an agent are ours:

    decoy share = wrong actions that land on a decoy / wrong actions
    persistence = actions that land on a decoy again / actions that follow feedback on an action that landed on a decoy

*Wrong* is an action after which the environment's own solution needs as many actions as before, or more
(:meth:`homeostat.envs.core.Decoyed.progress`). Waiting and going back are wrong only if it needs more. *Feedback* is
whatever the agent is told between two actions: the environment or a controller refused the first, a controller
reminded, or the user answered. Without feedback there is still the next screen; ``repeated`` counts the returns after
it, as the value to compare persistence with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Action, Click, LongPress, Open, Swipe, SystemButton, Type, Wait
from homeostat.envs.core import Decoyed, Env
from homeostat.envs.harness.statistics import wilson
from homeostat.observation import Element, element_at

__all__ = ["Fixation", "FixationWatch", "fixation_figures", "lands_on_decoy"]

_ELSEWHERE = frozenset({"nav", "option", "status", "toast"})  # what lies over an app and does not belong to it


class Fixation(BaseModel):
    """The counts of one episode.

    Attributes:
        wrong: The number of wrong actions, one for each step at most.
        on_decoy: How many of these land on a decoy.
        followed: The number of attempted actions that land on a decoy, and are followed by another attempt without
            feedback.
        repeated: How many of these following attempts land on a decoy again.
        told: The number of attempted actions that land on a decoy, and are followed by another attempt after feedback.
        persisted: How many of these following attempts land on a decoy again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wrong: int
    on_decoy: int
    followed: int
    repeated: int
    told: int
    persisted: int


def lands_on_decoy(action: Action, app: str, elements: Sequence[Element], decoys: frozenset[str]) -> bool:
    """Tells whether an action lands on a decoy.

    Args:
        action: The action.
        app: The name of the app in front.
        elements: The elements of the screen that the agent saw.
        decoys: The names of the decoys.

    Returns:
        True for opening a decoy, by its name or its icon, and for whatever is done inside one. To leave a decoy is no
        action on it.
    """
    if isinstance(action, Open):
        return action.app in decoys
    if isinstance(action, Type):
        return app in decoys
    if not isinstance(action, Click | LongPress | Swipe):
        return False
    at = element_at(elements, action.point)
    element = None if at is None else elements[at]
    if app in decoys:
        return element is None or element.role not in _ELSEWHERE
    return element is not None and element.role == "icon" and element.text in decoys


def _is_idle(action: Action, elements: Sequence[Element]) -> bool:
    """Whether an action only waits, or goes back or home."""
    if isinstance(action, Click):
        at = element_at(elements, action.point)
        return at is not None and elements[at].role == "nav"
    return isinstance(action, Wait | SystemButton)


class FixationWatch:
    """Follows one episode, and counts at its end.

    Attributes:
        decoys: The names of the environment's decoys; empty where it has none, and then nothing is counted.
    """

    def __init__(self, env: Env) -> None:
        """Begins an episode.

        Args:
            env: The environment, in which the task is set up.
        """
        self._env = env
        self.decoys: frozenset[str] = env.decoys() if isinstance(env, Decoyed) else frozenset()
        self._app, self._elements = "", tuple[Element, ...]()
        self._steps: list[tuple[Action, bool]] = []
        self._landed: list[bool] = []  # one for each step, as is the next
        self._idle: list[bool] = []
        self._attempts: list[tuple[bool, bool]] = []  # whether it lands on a decoy, and whether feedback followed

    def saw(self, app: str, elements: Sequence[Element]) -> None:
        """Notes the screen that the agent sees.

        Args:
            app: The name of the app in front.
            elements: Its elements.
        """
        self._app, self._elements = app, tuple(elements)

    def attempted(self, action: Action) -> None:
        """Notes an action that the agent wants to carry out.

        Args:
            action: The action.
        """
        self._attempts.append((self._lands(action), False))

    def was_told(self) -> None:
        """Notes feedback on the last attempt."""
        if self._attempts:
            self._attempts[-1] = self._attempts[-1][0], True

    def acted(self, action: Action, *, done: bool) -> None:
        """Notes the end of a step.

        Args:
            action: The step's action.
            done: Whether it was carried out. A refusal is feedback.
        """
        self._steps.append((action, done))
        self._landed.append(self._lands(action))
        self._idle.append(_is_idle(action, self._elements))
        if not done:
            self.was_told()

    def count(self) -> Fixation | None:
        """Counts, once the episode is over. The environment replays it.

        Returns:
            The counts; None where there are no decoys.
        """
        if not self.decoys or not isinstance(self._env, Decoyed):
            return None
        steps = zip(self._landed, self._idle, self._env.progress(self._steps), strict=True)
        wrong = [landed for landed, idle, by in steps if by is not None and (by < 0 or (by == 0 and not idle))]
        pairs = [
            (told, again)
            for (landed, told), (again, _) in zip(self._attempts, self._attempts[1:], strict=False)
            if landed
        ]
        after = {told: [again for then, again in pairs if then is told] for told in (False, True)}
        return Fixation(
            wrong=len(wrong),
            on_decoy=sum(wrong),
            followed=len(after[False]),
            repeated=sum(after[False]),
            told=len(after[True]),
            persisted=sum(after[True]),
        )

    def _lands(self, action: Action) -> bool:
        return lands_on_decoy(action, self._app, self._elements, self.decoys)


def fixation_figures(found: Sequence[Fixation]) -> dict[str, Any] | None:
    """Adds up the counts of a run.

    Args:
        found: The counts of the episodes that had decoys.

    Returns:
        The counts' sums, the number of ``episodes``, and ``decoy_share``, ``persistence`` and ``repetition``
        (``repeated`` / ``followed``), each with Wilson's interval, or None where there is nothing to divide by. None
        without any episode.
    """
    if not found:
        return None
    sums = {name: sum(getattr(one, name) for one in found) for name in Fixation.model_fields}

    def share(part: str, whole: str) -> dict[str, float] | None:
        return wilson(sums[part], sums[whole]).as_dict() if sums[whole] else None

    return {
        "episodes": len(found),
        **sums,
        "decoy_share": share("on_decoy", "wrong"),
        "persistence": share("persisted", "told"),
        "repetition": share("repeated", "followed"),
    }
