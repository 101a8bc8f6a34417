"""The oracle's trajectory through a task: the apps, items and texts that it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.oracle_rollout import rollout
from homeostat.envs.phone.tasks.instance import Instance
from homeostat.envs.phone.ui import Frame

__all__ = ["Trajectory", "oracle_trajectory", "subtasks_of"]


@dataclass
class Trajectory:
    """What the oracle's trajectory shows.

    Attributes:
        steps: The number of the oracle's actions.
        apps: The apps, in the order in which they come to the front.
        frames: The frames that are opened.
        texts: The full texts that are visible.
        answers: For each answer, whether its text was visible on the screen on which it was given.
    """

    steps: int = 0
    apps: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    answers: list[bool] = field(default_factory=list)


def subtasks_of(phone: PhoneEnv) -> tuple[Instance, ...]:
    """Returns the atomic tasks that the phone's present task consists of.

    Args:
        phone: The phone.

    Returns:
        The subtasks; none in a free run.
    """
    return () if phone.instance is None else phone.instance.subtasks


def oracle_trajectory(env: PhoneEnv | Adversity, look: Callable[[a.Action], None] | None = None) -> Trajectory:
    """Rolls out the oracle from the present state, then restores that state.

    Args:
        env: The phone or another adversity.
        look: A function that receives every action before it is executed.

    Returns:
        The trajectory.
    """
    phone = env if isinstance(env, PhoneEnv) else env.phone
    trajectory = Trajectory()

    def note(action: a.Action) -> None:
        device = phone.device
        if device.app not in trajectory.apps and device.stack:
            trajectory.apps.append(device.app)
        if device.frame is not None and device.frame not in trajectory.frames:
            trajectory.frames.append(device.frame)
        shown = {" ".join(r.word for r in p.runs) for p in device.placed()}
        trajectory.texts |= shown
        if isinstance(action, a.Answer):
            trajectory.answers.append(any(action.text in text for text in shown))
        if look is not None:
            look(action)

    trajectory.steps = rollout(env, note)
    return trajectory
