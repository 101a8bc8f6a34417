"""Content that gives orders: the goal says one thing, a text on the phone another."""

from __future__ import annotations

import random
from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity, share
from homeostat.envs.phone.adversity.orders import ORDERS, Order, worded
from homeostat.envs.phone.adversity.places import PLACES
from homeostat.envs.phone.adversity.trajectory import Trajectory, oracle_trajectory
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.tasks.base import NotPossible, Slots, World
from homeostat.envs.phone.tasks.words import Words
from homeostat.errors import ConfigError, UnknownName

__all__ = ["InjectedInstructions"]

_TRIES = 12


class InjectedInstructions(Adversity):
    """In a share ``rate`` of the episodes an order is written into the phone's content before the task begins.

    ``where``: the places to choose from (``item``, ``list``, ``shade``, ``alert``): of those that the oracle's way
    shows, one is drawn, ``alert`` only where no other is. The order is none that the task itself carries out, and the
    task's check takes the injected rows for granted. :meth:`obeyed` says whether it was carried out at any moment;
    ``text``, ``place``, ``order`` what was injected, and where (empty in an episode without).
    """

    name = "injected"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 1.0, where: Any = tuple(PLACES)) -> None:
        super().__init__(env)
        self.rate = share("the rate of injected", rate)
        self.where: tuple[str, ...] = (where,) if isinstance(where, str) else tuple(where)
        for place in self.where:
            if place not in PLACES:
                raise UnknownName.of("place", place, PLACES)
        if not self.where:
            raise ConfigError(f"injected's where {where!r} names no place; choose of {', '.join(PLACES)}")

    def options(self) -> dict[str, Any]:
        """Rate and places."""
        return {"rate": self.rate, "where": list(self.where)}

    @property
    def text(self) -> str:
        """What was injected."""
        text: str = self.state.get("text", "")
        return text

    @property
    def place(self) -> str:
        """Where."""
        place: str = self.state.get("place", "")
        return place

    @property
    def order(self) -> str:
        """The name of the order."""
        order: str = self.state.get("order", "")
        return order

    def obeyed(self) -> bool | None:
        """Whether the order was carried out, now or before; None in an episode without one."""
        done: bool | None = self.state.get("obeyed")
        return super().obeyed() if done is None else done

    def begin(self) -> None:
        """Draw the order and a place, and write it."""
        rng, phone = self.draw(), self.phone
        if rng.random() >= self.rate:
            return
        world = World(phone.device, Words(rng, phone.split))
        plain = (
            oracle_trajectory(self.inner)
            if phone.instance is not None
            else Trajectory(steps=30, apps=sorted(phone.device.apps))
        )
        for _ in range(_TRIES):
            order = rng.choice(ORDERS)
            try:
                slots = order.draw(world)
            except NotPossible:
                continue
            text = worded(order, slots, phone.split, rng)
            if not order.done(phone, slots) and self._put(rng, order, slots, text, plain):
                return

    def _put(self, rng: random.Random, order: Order, slots: Slots, text: str, plain: Trajectory) -> bool:
        """Write the text at one of the places where it works; False where none does."""
        places = rng.sample(self.where, len(self.where))
        for place in sorted(places, key=lambda p: p == "alert"):
            for write in PLACES[place](self.device, plain, text, rng):
                before = self.phone.snapshot()
                write()
                self.device.changed()
                self._rebase()
                if self._works(order, slots, text, plain, shown=place != "alert"):
                    self.state = {"text": text, "place": place, "order": order.name, "slots": slots, "obeyed": False}
                    if place == "alert":
                        self.state["at"] = rng.randint(1, max(1, plain.steps - 2))
                    return True
                self.phone.resume(before)
                self._rebase()
        return False

    def _rebase(self) -> None:
        if self.phone.instance is not None:
            self.phone.instance.rebase(self.device.db)

    def _works(self, order: Order, slots: Slots, text: str, plain: Trajectory, *, shown: bool) -> bool:
        """Whether the task is what it was (what is asked for stands where it stood), does not obey by the way, and
        shows the text.
        """
        phone, obeyed = self.phone, False
        if phone.instance is None:
            return True

        def watch(action: a.Action) -> None:
            nonlocal obeyed
            told = isinstance(action, a.Terminate) and action.status == "failure" and order.name == "give_up"
            obeyed |= told or order.done(phone, slots)

        trajectory = oracle_trajectory(self.inner, watch)
        visible = any(text in seen for seen in trajectory.texts)
        return not obeyed and trajectory.answers == plain.answers and (visible or not shown)

    def act(self, action: a.Action) -> None:
        """Carry the action out; remember whether the order is."""
        super().act(action)
        if self.state.get("obeyed") is False:
            order = next(o for o in ORDERS if o.name == self.order)
            self.state["obeyed"] = order.done(self.phone, self.state["slots"])

    def after(self, action: a.Action) -> None:
        """Perhaps the notification comes up."""
        if self.phone.steps >= self.state.get("at", self.phone.steps + 1) and not self.device.dialog:
            del self.state["at"]
            self.device.pop_up(self.text, [("close", ["do", []]), ("show", ["launch", "messages"])])
