"""Controllers by name, as the command line and a config file give them: ``none``, ``default``, ``remind,decompose``.

A preset says which sensors its controllers are meant to listen to. Building those sensors is the agent's
business: it knows the model (:func:`homeostat.agent.registry.sensors_for`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeostat.controllers.cascade import Cascade
from homeostat.controllers.contracts import Controller
from homeostat.controllers.decompose import Decompose
from homeostat.controllers.guard import Guard
from homeostat.controllers.profiles import HeadProfile
from homeostat.controllers.recalibrate import Recalibrate
from homeostat.controllers.reconsider import Reconsider
from homeostat.controllers.remind import Remind
from homeostat.controllers.steer import SetPoint, Steer
from homeostat.controllers.tabu import Tabu
from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["PRESETS", "Preset", "controllers_for", "preset_sensors"]


@dataclass(frozen=True)
class Preset:
    """A named choice of controllers: ``build`` makes them, in order, with a model's heads; ``sensors`` are those they
    need.
    """

    name: str
    summary: str
    build: Callable[[HeadProfile], tuple[Controller, ...]]
    sensors: frozenset[str] = frozenset()


# Named, so that a sensor which is there only to be looked at (the live view's) never sets a reminder off.
_DRIFT = frozenset({"attention_drift"})
_SURE = frozenset({"confidence", "cyberv_repetition"})
_GOAL = frozenset({"goal_drift"})
_TRACKER = frozenset({"attention_tracker"})
_SINKS, _VISUAL = frozenset({"sink_rate"}), frozenset({"visual_sinks"})


def _always(*controllers: Controller) -> Callable[[HeadProfile], tuple[Controller, ...]]:
    return lambda profile: controllers


def _vhr(profile: HeadProfile) -> tuple[Controller, ...]:
    heads = profile.of("vhr")
    if heads is None:
        raise ConfigError("controllers 'vhr' act on vision heads, which nobody looked for: homeostat profile --model …")
    return (Steer.vhr(heads),)


def _zero_tuning(profile: HeadProfile) -> tuple[Controller, ...]:
    return (Steer.zero_tuning(profile.gains.get("zero-tuning", 1.5), profile.of("zero-tuning")),)


_STEER = Steer(actuators=(Actuator("goal", gain=2.0),), sensors=_DRIFT)
_RECONSIDER = Reconsider(sensors=frozenset({"confidence"}))
_FORM = Remind(alarms=False)
_DRIFT_REMINDERS = Remind(name="drift-reminders", sensors=_GOAL)
_ATTENTION_TRACKER = Remind(name="attention-tracker", sensors=_TRACKER)

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("none", "no controller: the bare model", _always()),
        Preset("default", "guard, decompose, tabu, remind of the form", _always(Guard(), Decompose(), Tabu(), _FORM)),
        Preset("decompose", "split the goal, one part at a time", _always(Decompose())),
        Preset("agent-nexus", "a new plan after every part (2506.08972)", _always(Decompose.agent_nexus())),
        Preset("remind", "restate what lost attention", _always(Remind(sensors=_DRIFT)), _DRIFT),
        Preset("remind-fixed", "the goal again at turns 4 and 7 (2510.07777)", _always(Remind.drift_no_more())),
        Preset("drift-reminders", "the goal again where its KL alarms (2510.07777)", _always(_DRIFT_REMINDERS), _GOAL),
        Preset("attention-tracker", "a word where focus is lost (2411.00348)", _always(_ATTENTION_TRACKER), _TRACKER),
        Preset("reconsider", "four answers and a vote where confidence alarms", _always(_RECONSIDER), _SURE | _DRIFT),
        Preset("cyberv", "eight answers at every step (2506.07971)", _always(Reconsider.cyberv()), _SURE | _DRIFT),
        Preset("tabu", "never the same action twice on the same screen", _always(Tabu())),
        Preset("guard", "refuse what the rules forbid", _always(Guard())),
        Preset("steer", "twice the attention on the goal where it fell", _always(_STEER), _DRIFT),
        Preset("set-point", "the goal's intensity held at 2", _always(SetPoint(set_point=2.0)), _DRIFT),
        Preset("spotlight", "the goal's mass raised to 0.2 (2505.12025)", _always(Steer.spotlight("goal"))),
        Preset("instaboost", "the instructions' attention times 3 (2506.13734)", _always(Steer.instaboost())),
        Preset("pasta", "the goal over all else (2311.02262)", lambda p: (Steer.pasta("goal", p.of("pasta")),)),
        Preset("zero-tuning", "the first token's attention (2505.11739)", _zero_tuning),
        Preset("vhr", "vision heads times 2 (2412.13949)", _vhr),
        Preset("act", "less for sinks (2406.15765)", lambda p: (Recalibrate.act(p.of("act")),), _SINKS),
        Preset("var", "what sinks take back to the image (2503.03321)", _always(Recalibrate.var()), _VISUAL),
        Preset("paint", "the image's two streams (2501.12206)", _always(Recalibrate.paint()), _VISUAL),
    )
}


def controllers_for(names: str | Sequence[str], profile: HeadProfile | None = None) -> Cascade:
    """The cascade that ``names`` spell, in their order: ``"none"``, ``"default"``, ``"remind,decompose"``.

    ``profile``: the model's heads, for those that act on some. Raises ``UnknownName`` for a name that is no preset,
    ``ConfigError`` for ``none`` beside others, for controllers that can't go together or that lack their heads.
    """
    heads = profile or HeadProfile(model="")
    return Cascade([controller for preset in _presets(names) for controller in preset.build(heads)])


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
