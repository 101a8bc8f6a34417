"""Controllers by name, as the command line and a config file give them: ``none``, ``default``, ``remind,decompose``.

A preset says which sensors its controllers are meant to listen to. Building those sensors is the agent's
business: it knows the model (:func:`homeostat.agent.choices.sensors_for`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeostat.controllers.cascade import Cascade
from homeostat.controllers.core import Controller
from homeostat.controllers.decompose import Decompose
from homeostat.controllers.guard import Guard
from homeostat.controllers.reconsider import Reconsider
from homeostat.controllers.remind import Remind
from homeostat.controllers.steer import SetPoint, Steer
from homeostat.envs.errors import ConfigError, UnknownName
from homeostat.sensors.actuators import Actuator

__all__ = ["PRESETS", "Preset", "controllers_for", "preset_sensors"]


@dataclass(frozen=True)
class Preset:
    """A named choice of controllers: ``build`` makes them, in order; ``sensors`` are those they need."""

    name: str
    summary: str
    build: Callable[[], tuple[Controller, ...]]
    sensors: frozenset[str] = frozenset()


# Named, so that a sensor which is there only to be looked at (the live view's) never sets a reminder off.
_DRIFT = frozenset({"attention_drift"})
_SURE = frozenset({"confidence", "cyberv_repetition"})


def _reconsider() -> Reconsider:
    return Reconsider(sensors=frozenset({"confidence"}))


def _steer() -> Steer:
    return Steer(actuators=(Actuator("goal", gain=2.0),), sensors=_DRIFT)


PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("none", "no controller: the bare model", lambda: ()),
        Preset("default", "decompose, then remind", lambda: (Decompose(), Remind(sensors=_DRIFT)), _DRIFT),
        Preset("decompose", "split the goal, one part at a time", lambda: (Decompose(),)),
        Preset("remind", "restate what lost attention", lambda: (Remind(sensors=_DRIFT),), _DRIFT),
        Preset(
            "reconsider", "four answers and a vote where confidence alarms", lambda: (_reconsider(),), _SURE | _DRIFT
        ),
        Preset("cyberv", "eight answers at every step (2506.07971)", lambda: (Reconsider.cyberv(),), _SURE | _DRIFT),
        Preset("guard", "refuse what the rules forbid", lambda: (Guard(),)),
        Preset("steer", "twice the attention on the goal where it fell", lambda: (_steer(),), _DRIFT),
        Preset("set-point", "the goal's intensity held at 2", lambda: (SetPoint(set_point=2.0),), _DRIFT),
        Preset("spotlight", "the goal's mass raised to 0.2 (2505.12025)", lambda: (Steer.spotlight("goal"),)),
        Preset("instaboost", "the instructions' attention times 3 (2506.13734)", lambda: (Steer.instaboost(),)),
        Preset("remind-fixed", "the goal again at turns 4 and 7 (2510.07777)", lambda: (Remind.drift_no_more(),)),
    )
}


def controllers_for(names: str | Sequence[str]) -> Cascade:
    """The cascade that ``names`` spell, in their order: ``"none"``, ``"default"``, ``"remind,decompose"``.

    Raises ``UnknownName`` for a name that is no preset, ``ConfigError`` for ``none`` beside others or for controllers
    that can't go together.
    """
    return Cascade([controller for preset in _presets(names) for controller in preset.build()])


def preset_sensors(names: str | Sequence[str]) -> frozenset[str]:
    """The names of the sensors that these presets need. Raises as :func:`controllers_for`."""
    return frozenset().union(*(preset.sensors for preset in _presets(names)))


def _presets(names: str | Sequence[str]) -> list[Preset]:
    wanted = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in PRESETS:
            raise UnknownName.of("controller", name, PRESETS)
    if "none" in wanted and len(wanted) > 1:
        raise ConfigError(f"controllers {','.join(wanted)!r}: 'none' stands alone; leave it out")
    return [PRESETS[name] for name in wanted]
