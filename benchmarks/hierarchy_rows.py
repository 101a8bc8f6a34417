"""The rows of the hierarchy table: what is done about a conflict of instructions while the model answers."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.controllers import Pull, Remind, SetPoint, Steer
from homeostat.controllers.contracts import Controller
from homeostat.controllers.presets import PRESETS
from homeostat.controllers.profiles import HeadProfile
from homeostat.sensors import Actuator, AttentionDrift, ConflictProbe, ProbeWeights, Sensor

SPAN = "system"
PROBE = frozenset({"conflict_probe"})

HELP = """bare; default (the preset); remind, remind-pgi: the system message is restated behind the request, always;
remind-alarm, remind-pgi-alarm: only on the probe's alarm, as a second attempt; spotlight, spotlight-exact, pasta (focal
heads), instaboost, act: presets on the system message; zero xG, zero-focal xG: ZeroTuning with the gain G in all or in
the focal heads; all xG, focal xG: the gain G on the system message in all or in the focal heads, always; focal toM: the
mass M; alarm xG, alarm toM: on the alarm; pull B S: on the alarm, the gain B exp(S (value - threshold)); both B S,
both-pgi B S: on the alarm, the reminder and that pull in one attempt; remind-pull B S: a reminder on the alarm, and
Pull where the alarm goes on; remind-set-point I: on the alarm, the reminder, and a gain that SetPoint takes from the
intensity of the system message in the focal heads, for the set point I. Any row may end in "above T": the alarm's
threshold is T instead of the probe's own."""


@dataclass(frozen=True)
class Row:
    """What an agent of the table is made of.

    Attributes:
        sensors: The sensors.
        controllers: The controllers.
    """

    sensors: tuple[Sensor, ...]
    controllers: tuple[Controller, ...]


def row_of(row: str, probe: ProbeWeights) -> Row:
    """Builds the sensors and controllers of a row.

    Args:
        row: The row's name (see :data:`HELP`).
        probe: The learned probe; its heads are the focal ones.

    Returns:
        The parts of the agent.
    """
    name, _, threshold = row.partition(" above ")
    if threshold:
        probe = probe.model_copy(update={"threshold": float(threshold)})
    heads = frozenset(probe.heads)
    sensors: tuple[Sensor, ...] = (ConflictProbe(probe),)
    if name.startswith("remind-set-point"):
        sensors += (AttentionDrift(SPAN, heads=heads, tokens="first"),)
    return Row(sensors, controllers_of(name, heads))


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
    if kind in ("zero", "zero-focal"):
        return (Steer.zero_tuning(values[0], heads if kind == "zero-focal" else None),)
    if kind == "remind-set-point":
        return (SetPoint(span=SPAN, set_point=values[0], heads=heads), Remind(sensors=PROBE, unparsable=False))
    if kind == "pull":
        return (Pull(base=values[0], slope=values[1], heads=heads),)
    if kind in ("both", "both-pgi"):
        made = Remind.pgi if kind == "both-pgi" else Remind
        pull = Pull(base=values[0], slope=values[1], heads=heads)
        return (made(sensors=PROBE, unparsable=False, pull=pull),)
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
