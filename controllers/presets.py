"""The controllers that have a name: on the command line, in a configuration file, and in ``AgentSpec``.

A preset says which sensors its controllers use. The agent builds those sensors, because it knows the model
(:func:`homeostat.agent.registry.sensors_for`). :mod:`homeostat.controllers.registry` looks names up, here and among the
controllers that other packages register.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeostat.controllers.bounds import Escalate
from homeostat.controllers.contracts import Controller
from homeostat.controllers.decompose import Decompose
from homeostat.controllers.guard import Guard
from homeostat.controllers.profiles import HeadProfile
from homeostat.controllers.pull import Pull
from homeostat.controllers.recalibrate import Recalibrate
from homeostat.controllers.reconsider import Reconsider
from homeostat.controllers.remind import Remind
from homeostat.controllers.steer import SetPoint, Steer
from homeostat.controllers.tabu import Tabu
from homeostat.errors import ConfigError
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A selection of controllers under one name.

    Attributes:
        name: The name.
        summary: One line that describes it.
        build: Builds the controllers, in the order in which they are asked, for a model's attention heads.
        sensors: The names of the sensors that the controllers need.
    """

    name: str
    summary: str
    build: Callable[[HeadProfile], tuple[Controller, ...]]
    sensors: frozenset[str] = frozenset()


# The presets name their sensors, so that a sensor which is only displayed (in the live view) never causes a reminder.
_DRIFT = frozenset({"attention_drift"})
_SURE = frozenset({"confidence", "cyberv_repetition"})
_CYBERV = frozenset({"cyberv_probability", "cyberv_drift", "cyberv_repetition"})
_GOAL = frozenset({"goal_drift"})
_TRACKER, _FOCUS = frozenset({"attention_tracker"}), frozenset({"focus_plain"})
_PROBE = frozenset({"conflict_probe"})
_SINKS, _VISUAL = frozenset({"sink_rate"}), frozenset({"visual_sinks"})


def _instaboost(profile: HeadProfile) -> tuple[Controller, ...]:
    return (Steer.instaboost(profile.gains.get("instaboost", 3.0)),)


def _always(*controllers: Controller) -> Callable[[HeadProfile], tuple[Controller, ...]]:
    return lambda profile: controllers


def _vhr(profile: HeadProfile) -> tuple[Controller, ...]:
    heads = profile.of("vhr")
    if heads is None:
        raise ConfigError("controller 'vhr' needs the model's vision heads; find them with homeostat profile --model …")
    return (Steer.vhr(heads),)


def _head_weights(profile: HeadProfile) -> tuple[Controller, ...]:
    weights = profile.weights_of("goal")
    if weights is None:
        raise ConfigError(
            "controller 'head-weights' needs the heads' weights on the span 'goal'; find them with homeostat profile "
            "--model …, or write [layer, head, weight] rows under head_weights: goal in the file that --heads names"
        )
    return (Steer.by_head(weights, "goal"),)


def _pull(profile: HeadProfile) -> tuple[Controller, ...]:
    return (Pull(base=3.0, slope=2.0, heads=profile.of("pull")),)


def _pull_reminders(profile: HeadProfile) -> tuple[Controller, ...]:
    pull = Pull(base=3.0, heads=profile.of("pull"))
    return (Remind(name="pull-reminders", sensors=_PROBE, unparsable=False, pull=pull),)


def _zero_tuning(profile: HeadProfile) -> tuple[Controller, ...]:
    return (Steer.zero_tuning(profile.gains.get("zero-tuning", 1.5), profile.of("zero-tuning")),)


_STEER = Steer(actuators=(Actuator("goal", gain=2.0),), sensors=_DRIFT)
_RECONSIDER = Reconsider(sensors=frozenset({"confidence"}))
_FORM = Remind(alarms=False)
_DRIFT_REMINDERS = Remind(name="drift-reminders", sensors=_GOAL)
_ATTENTION_TRACKER = Remind(name="attention-tracker", sensors=_TRACKER)
_FOCUS_REMINDERS = Remind(name="focus-reminders", sensors=_FOCUS)

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("none", "no controllers: the bare model", _always()),
        Preset(
            "default",
            "guard, decompose, tabu, and a reminder of the answer's format",
            _always(Guard(), Decompose(), Tabu(), _FORM),
        ),
        Preset("decompose", "split the goal into subtasks, one at a time", _always(Decompose())),
        Preset("agent-nexus", "replan after every subtask (2506.08972)", _always(Decompose.agent_nexus())),
        Preset("remind", "restate what lost attention", _always(Remind(sensors=_DRIFT)), _DRIFT),
        Preset(
            "remind-pgi",
            "restate what lost attention, as persona, groups and intelligence (2402.14002)",
            _always(Remind.pgi(name="remind-pgi", sensors=_DRIFT)),
            _DRIFT,
        ),
        Preset(
            "remind-fixed-pgi",
            "PGI's wording of the goal (2402.14002) at turns 4 and 7",
            _always(Remind.pgi(name="remind-fixed-pgi", turns=(4, 7), unparsable=False, cooldown=1, lasts=1, budget=2)),
        ),
        Preset("remind-fixed", "restate the goal at turns 4 and 7 (2510.07777)", _always(Remind.drift_no_more())),
        Preset(
            "drift-reminders",
            "restate the goal when the KL divergence of goal_drift alarms (2510.07777)",
            _always(_DRIFT_REMINDERS),
            _GOAL,
        ),
        Preset(
            "attention-tracker",
            "restate the instruction when a canary prompt loses attention to the screen's text (2411.00348)",
            _always(_ATTENTION_TRACKER),
            _TRACKER,
        ),
        Preset(
            "focus-reminders",
            "restate the instruction when it loses attention to data in the prompt itself",
            _always(_FOCUS_REMINDERS),
            _FOCUS,
        ),
        Preset(
            "system-reminders",
            "restate the system message when a learned reading sees a conflict of instructions",
            _always(Remind(name="system-reminders", sensors=_PROBE, unparsable=False)),
            _PROBE,
        ),
        Preset(
            "pull",
            "more attention on the system message when a learned reading sees a conflict of instructions",
            _pull,
            _PROBE,
        ),
        Preset(
            "pull-reminders",
            "system-reminders and pull in one attempt",
            _pull_reminders,
            _PROBE,
        ),
        Preset("reconsider", "vote over four answers when the confidence alarms", _always(_RECONSIDER), _SURE | _DRIFT),
        Preset(
            "cyberv",
            "vote over a direct and seven reasoned answers at every step (2506.07971)",
            _always(Reconsider.cyberv()),
            _CYBERV,
        ),
        Preset(
            "cyberv-one-prompt",
            "vote over eight answers to one prompt at every step",
            _always(Reconsider.one_prompt()),
            _SURE | _DRIFT,
        ),
        Preset("tabu", "never the same action twice on the same screen", _always(Tabu())),
        Preset("guard", "refuse actions that the rules forbid", _always(Guard())),
        Preset(
            "model-guard",
            "guard; the model reads the rules that the guard does not understand",
            _always(Guard(name="model-guard", read_by_model=True)),
        ),
        Preset(
            "confirm",
            "ask the user before a tool that may change something is called",
            _always(Escalate(name="confirm", alarms=False, changes=True)),
        ),
        Preset("steer", "double the attention on the goal after it fell", _always(_STEER), _DRIFT),
        Preset(
            "set-point",
            "hold the goal's attention intensity at 2 (PI controller)",
            _always(SetPoint(set_point=2.0)),
            _DRIFT,
        ),
        Preset(
            "spotlight",
            "raise the goal's mean attention mass towards 0.2 (2505.12025)",
            _always(Steer.spotlight("goal")),
        ),
        Preset(
            "spotlight-exact",
            "raise the goal's attention mass to 0.2 in every head and row",
            _always(Steer.spotlight_exact("goal")),
        ),
        Preset("instaboost", "boost the attention on the prompt up to the goal's end (2506.13734)", _instaboost),
        Preset("instaboost-spans", "triple the attention on system, rules and goal", _always(Steer.instaboost_spans())),
        Preset(
            "pasta",
            "scale the prompt outside of the goal by 0.01 (2311.02262)",
            lambda p: (Steer.pasta("goal", p.of("pasta")),),
        ),
        Preset(
            "pasta-gain",
            "scale all but the goal by 0.01, the answer included",
            lambda p: (Steer.pasta_gain("goal", p.of("pasta")),),
        ),
        Preset("zero-tuning", "scale the attention on the first token (2505.11739)", _zero_tuning),
        Preset("vhr", "double the outputs of the vision heads (2412.13949)", _vhr),
        Preset("head-weights", "scale each head's attention on the goal by its own weight", _head_weights),
        Preset(
            "act",
            "scale the attention on each head's sinks by 0.4 (2406.15765)",
            lambda p: (Steer.act(p.of("act")),),
        ),
        Preset(
            "act-mean",
            "scale the attention on the sinks that all heads share by 0.4",
            lambda p: (Recalibrate.act_mean(p.of("act")),),
            _SINKS,
        ),
        Preset(
            "var",
            "redistribute attention from each layer's sinks to the image (2503.03321)",
            _always(Recalibrate.var()),
            _VISUAL,
        ),
        Preset(
            "var-union",
            "redistribute attention from the sinks of all layers to the image",
            _always(Recalibrate.var_union()),
            _VISUAL,
        ),
        Preset(
            "paint-sinks",
            "stretch the attention on the image, less on its sinks (after 2501.12206)",
            _always(Recalibrate.paint_sinks()),
            _VISUAL,
        ),
    )
}
"""Our own presets by name."""
