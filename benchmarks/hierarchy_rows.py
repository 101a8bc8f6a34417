"""The rows of the hierarchy table: what is done about a conflict of instructions while the model answers."""

from __future__ import annotations

from homeostat.controllers import Pull, Remind, Steer
from homeostat.controllers.contracts import Controller
from homeostat.controllers.presets import PRESETS
from homeostat.controllers.profiles import HeadProfile
from homeostat.sensors import Actuator

SPAN = "system"
PROBE = frozenset({"conflict_probe"})

HELP = """bare; default (the preset); remind, remind-pgi: the system message is restated behind the request, always;
remind-alarm, remind-pgi-alarm: only on the probe's alarm, as a second attempt; spotlight, spotlight-exact, pasta (focal
heads), instaboost, act: presets on the system message; all xG, focal xG: the gain G on the system message in all or in
the focal heads, always; focal toM: the mass M; alarm xG, alarm toM: on the alarm; pull B S: on the alarm, the gain
B exp(S (value - threshold)); remind-pull B S: a reminder on the alarm, and Pull where the alarm goes on."""


def controllers_of(row: str, heads: frozenset[tuple[int, int]]) -> tuple[Controller, ...]:
    """Builds the controllers of a row.

    Args:
        row: The row's name (see :data:`HELP`).
        heads: The focal heads.

    Returns:
        The controllers.
    """
    kind, *words = row.split()
    values = [float(word.removeprefix("x").removeprefix("to")) for word in words]
    told = Remind().system_text
    pgi = Remind.pgi().system_text
    simple: dict[str, tuple[Controller, ...]] = {
        "bare": (),
        "remind": (Remind.at(1, goal_text=told),),
        "remind-pgi": (Remind.at(1, goal_text=pgi),),
        "remind-alarm": (Remind(sensors=PROBE, unparsable=False),),
        "remind-pgi-alarm": (Remind.pgi(sensors=PROBE, unparsable=False),),
        "spotlight": (Steer.spotlight(SPAN),),
        "spotlight-exact": (Steer.spotlight_exact(SPAN),),
        "pasta": (Steer.pasta(SPAN, heads),),
        "instaboost": (Steer.instaboost(3.0, SPAN),),
        "act": (Steer.act(),),
    }
    if kind in simple and not words:
        return simple[kind]
    if kind == "default":
        return PRESETS["default"].build(HeadProfile(model=""))
    if kind == "pull":
        return (Pull(base=values[0], slope=values[1], heads=heads),)
    if kind == "remind-pull":
        return (Remind(sensors=PROBE, unparsable=False), Pull(base=values[0], slope=values[1], heads=heads))
    if kind not in ("all", "focal", "alarm") or len(words) != 1:
        raise SystemExit(f"no row {row!r}; known: {HELP}")
    form = {"target": values[0]} if words[0].startswith("to") else {"gain": values[0]}
    rule = Actuator(SPAN, heads=None if kind == "all" else heads, **form)
    return (
        Steer(
            actuators=(rule,),
            when="alarm" if kind == "alarm" else "always",
            sensors=PROBE if kind == "alarm" else frozenset(),
        ),
    )
