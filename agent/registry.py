"""What the command line's words stand for: sensors and rule files by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors.core import Need, Sensor

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.controllers import Cascade
    from homeostat.sensors import Calibration

__all__ = ["SENSORS", "calibrated", "calibration_of", "controllers_of", "load_rules", "planner_of", "sensors_for"]


def _of(kind: str, preset: str = "") -> Callable[[], Sensor]:
    def build() -> Sensor:
        from homeostat import sensors

        made = getattr(sensors, kind)
        sensor: Sensor = getattr(made, preset)() if preset else made()
        return sensor

    return build


SENSORS: dict[str, Callable[[], Sensor]] = {
    "agreement": _of("Agreement"),
    "attention_drift": _of("AttentionDrift"),
    "attention_entropy": _of("AttentionEntropy"),
    "attention_tracker": _of("FocusScore", "attention_tracker"),
    "confidence": _of("Confidence"),
    "cyberv_drift": _of("AttentionDrift", "cyberv"),
    "cyberv_repetition": _of("Repetition", "cyberv"),
    "element_gaze": _of("ElementGaze"),
    "focus_score": _of("FocusScore"),
    "goal_drift": _of("GoalDrift"),
    "progress": _of("Progress"),
    "repetition": _of("Repetition"),
    "retrieval_heads": _of("RetrievalHeads"),
    "rhythm": _of("Rhythm"),
    "sink_rate": _of("SinkRate"),
    "vision_heads": _of("VisionHeads"),
    "visual_sinks": _of("VisualSinks"),
}
"""By the name that their readings bear; those that need more than settings (a judge) are not here."""


def sensors_for(names: Iterable[str], provides: frozenset[Need], *, wanted: Iterable[str] = ()) -> tuple[Sensor, ...]:
    """The sensors that controllers need (``names``), and those of ``wanted`` that the model can feed.

    ``provides`` is the model's. A needed sensor that the model can't feed is built all the same: the agent refuses it
    with the reason. Raises :class:`UnknownName`.
    """
    needed = set(names)
    sensors = []
    for name in sorted(needed | set(wanted)):
        if name not in SENSORS:
            raise UnknownName.of("sensor", name, SENSORS)
        sensor = SENSORS[name]()
        if name in needed or sensor.needs <= provides:
            sensors.append(sensor)
    return tuple(sensors)


def controllers_of(names: str, model: str, heads: Path | None = None) -> Cascade:
    """The controllers for this model: with the heads of a profile's file, or of ``heads.json`` in its folder.

    Raises :class:`ConfigError` where the profile is of other weights, and as ``controllers_for``.
    """
    from homeostat.agent.models.loading import resolve, weights_hash
    from homeostat.controllers import HeadProfile, controllers_for

    any_head = HeadProfile(model=model, heads={"vhr": frozenset({(0, 0)})})
    controllers_for(names, any_head)  # a wrong name is said before the model is looked for
    source = resolve(model)
    own = Path(source) / "heads.json"
    if heads is None and not own.is_file():
        return controllers_for(names)
    profile = HeadProfile.load(heads or own)
    profile.check(model, weights_hash(source))
    return controllers_for(names, profile)


def planner_of(cascade: Cascade, model: TransformersModel, name: str | None = None) -> TransformersModel | None:
    """The model that plans: the one of this name, else the one that the model's style names; None: itself."""
    from homeostat.agent.models.transformers_model import TransformersModel

    name = name or model.style.planner
    return TransformersModel.load(name) if name and cascade.plans else None


def calibration_of(model: str, file: Path | None = None) -> Calibration | None:
    """The thresholds in this file, else those in ``calibration.json`` in the model's folder; None where there is none.

    Raises :class:`ConfigError` where they are another model's.
    """
    from homeostat.agent.models.loading import resolve, template_hash, weights_hash
    from homeostat.sensors.calibration import Calibration

    source = resolve(model)
    own = Path(source) / "calibration.json"
    if file is None and not own.is_file():
        return None
    calibration = Calibration.load(file or own)
    calibration.check(model, weights_hash(source), template_hash(source))
    return calibration


def calibrated(sensors: Iterable[Sensor], model: str, file: Path | None = None) -> tuple[Sensor, ...]:
    """The sensors with the thresholds of :func:`calibration_of`.

    The model's own are for sensors with the very settings that they were found with; a ``file`` that was asked for is
    refused for others. Raises :class:`ConfigError`.
    """
    from homeostat.sensors.calibration import settings_of

    calibration, given = calibration_of(model, file), tuple(sensors)
    if calibration is None:
        return given
    if file is not None:
        return calibration.apply(given)
    known = {(alarm.sensor, alarm.settings) for alarm in calibration.alarms}
    return tuple(calibration.apply([s])[0] if (s.name, settings_of(s)) in known else s for s in given)


def load_rules(path: Path) -> tuple[str, ...]:
    """The rules of a YAML file: a list of texts, or a mapping with ``rules:`` and such a list.

    Raises :class:`ConfigError` naming the file and what is wrong with it.
    """
    import yaml

    where = f"rules file {str(path)!r}"
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{where} can't be read: {error.strerror}; give a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not UTF-8 text; write it as YAML") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}{line}: {problem}; write a list of texts, one '- rule' a line") from None
    if isinstance(data, dict):
        unknown = sorted(str(key) for key in data if key != "rules")
        if unknown or "rules" not in data:
            raise ConfigError(f"{where} has the keys {sorted(map(str, data))!r}; it may have 'rules' only")
        data = data["rules"]
    if not isinstance(data, list) or not data:
        raise ConfigError(f"{where} holds {data!r}; write a list of texts, one '- rule' a line")
    for number, rule in enumerate(data, start=1):
        if not isinstance(rule, str) or not rule.strip():
            raise ConfigError(f"{where}: rule {number} is {rule!r}; write a text (in quotes if it holds a colon)")
    return tuple(rule.strip() for rule in data)
