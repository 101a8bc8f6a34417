"""What the oracle's way through a task shows: which apps, which items, which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.oracle_rollout import walk
from homeostat.envs.phone.tasks.composed.instance import ComposedInstance
from homeostat.envs.phone.tasks.instance import Instance
from homeostat.envs.phone.tasks.joined import Joined
from homeostat.envs.phone.ui import Frame

__all__ = ["Way", "parts_of", "way_through"]


@dataclass
class Way:
    """``apps`` in the order in which they come to the front; ``frames`` opened on the way; ``texts`` seen, whole.

    ``answers``: whether each answer stood on the screen that it was given on. ``steps``: as an agent counts them.
    """

    steps: int = 0
    apps: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    answers: list[bool] = field(default_factory=list)


def parts_of(phone: PhoneEnv) -> tuple[Instance, ...]:
    """The atomic tasks that the phone's present task is made of; none in a free run."""
    match phone.instance:
        case None:
            return ()
        case Joined(first=first, second=second):
            return (first, second)
        case ComposedInstance(instances=instances):
            return instances
        case Instance() as one:
            return (one,)


def way_through(env: PhoneEnv | Adversity, look: Callable[[a.Action], None] | None = None) -> Way:
    """The oracle's way from here; ``env`` is put back. ``look`` is told every action beforehand."""
    phone = env if isinstance(env, PhoneEnv) else env.phone
    way = Way()

    def note(action: a.Action) -> None:
        device = phone.device
        if device.app not in way.apps and device.stack:
            way.apps.append(device.app)
        if device.frame is not None and device.frame not in way.frames:
            way.frames.append(device.frame)
        shown = {" ".join(r.word for r in p.runs) for p in device.placed()}
        way.texts |= shown
        if isinstance(action, a.Answer):
            way.answers.append(any(action.text in text for text in shown))
        if look is not None:
            look(action)

    way.steps = walk(env, note)
    return way
