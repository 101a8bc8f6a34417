"""Builds sensors, controllers and rules from the names that a specification gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.protocol import Model, PartlyRecording
from homeostat.components import component
from homeostat.data_files import DataError, read_yaml
from homeostat.errors import ConfigError
from homeostat.foreign_text import quoted
from homeostat.plugins import load_plugin, plugins
from homeostat.sensors.contracts import Capability, ExtendedReadout, Sensor

if TYPE_CHECKING:
    from homeostat.controllers import Cascade
    from homeostat.sensors import Calibration, ConflictProbe

__all__ = [
    "calibrated",
    "calibration_of",
    "controllers_of",
    "lacking",
    "left_out",
    "load_rules",
    "make_sensor",
    "needed_probe",
    "probe_of",
    "sensor_names",
    "sensors_for",
]

_PROBE = "conflict_probe"


def sensor_names() -> list[str]:
    """Returns the names of all registered sensors: ours in alphabetical order, then those of other packages."""
    return list(plugins("homeostat.sensors"))


def make_sensor(name: str) -> Sensor:
    """Builds a sensor with its default settings.

    Args:
        name: Its registered name, which its readings bear.

    Returns:
        The sensor.

    Raises:
        UnknownName: No package registers a sensor of this name.
        ConfigError: The package that registers it can't be imported.
        ComponentError: Building the sensor raised an error.
    """
    made = load_plugin("homeostat.sensors", "sensor", name)
    with component("sensor", name):
        sensor: Sensor = made()
    return sensor


def sensors_for(
    names: Iterable[str],
    capabilities: frozenset[Capability],
    *,
    wanted: Iterable[str] = (),
    probe: ConflictProbe | None = None,
) -> tuple[Sensor, ...]:
    """Builds the sensors that controllers need, and those of the wanted ones that the model can feed.

    Args:
        names: The sensors that controllers need. They are built also where the model can't feed them: the agent then
            refuses them with the reason.
        capabilities: What the model offers.
        wanted: Further sensors, to be read only.
        probe: The sensor ``conflict_probe``, which is learned for each model; None where there is none.

    Returns:
        The sensors, by name in alphabetical order.

    Raises:
        UnknownName: No package registers a sensor of one of the names.
        ConfigError: ``conflict_probe`` is needed, and there is none.
    """
    needed = set(names)
    sensors = []
    for name in sorted(needed | set(wanted)):
        sensor = _probe(probe) if name == _PROBE else make_sensor(name)
        if name in needed or sensor.needs <= capabilities:
            sensors.append(sensor)
    return tuple(sensors)


def lacking(sensor: Sensor, model: Model) -> str:
    """Says why a model can't feed a sensor.

    Args:
        sensor: The sensor.
        model: The model.

    Returns:
        The reason; "" where it can.
    """
    if missing := sorted(sensor.needs - model.capabilities):
        return f"needs {', '.join(missing)}, which {model.name!r} does not offer"
    if isinstance(model, PartlyRecording) and isinstance(sensor, ExtendedReadout):
        unread = sorted(sensor.reads.parts - model.records)
        return f"reads {', '.join(unread)}, which {model.name!r} does not record" if unread else ""
    return ""


def left_out(sensors: Iterable[Sensor], wanted: Iterable[str], model: Model) -> dict[str, str]:
    """Says which wanted sensors an agent does without, and why.

    Args:
        sensors: The agent's sensors.
        wanted: The names of the sensors that were to be read.
        model: The model.

    Returns:
        The reason, by the sensor's name.
    """
    there = {sensor.name for sensor in sensors}
    found = {}
    for name in wanted:
        if name == _PROBE:
            continue  # it is there, or the agent could not be built
        sensor = make_sensor(name)
        reason = lacking(sensor, model)
        if reason and sensor.name not in there:
            found[sensor.name] = reason
    return found


def controllers_of(
    names: str | Sequence[str], model: str, heads: Path | None = None, probe: ConflictProbe | None = None
) -> Cascade:
    """Builds the controllers for a model.

    Args:
        names: The controllers' names in their order, as a sequence or a text with commas.
        model: The model's name or folder.
        heads: A file of attention heads; None takes ``heads.json`` in the model's folder, where there is one.
        probe: The model's ``conflict_probe``, whose heads ``pull`` steers; None where there is none.

    Returns:
        The controllers as one cascade.

    Raises:
        ConfigError: The file of heads belongs to other weights, or the controllers can't go together.
        UnknownName: A controller is unknown.
    """
    from homeostat.agent.models.loading import resolve, weights_hash
    from homeostat.agent.models.server_names import is_served
    from homeostat.controllers import HeadProfile, controllers_for

    any_head = HeadProfile(model=model, heads={"vhr": frozenset({(0, 0)})}, head_weights={"goal": ((0, 0, 2.0),)})
    controllers_for(names, any_head)  # refuses a wrong name before the model is looked for
    if is_served(model):
        if heads is not None:
            raise ConfigError(f"heads {str(heads)!r} steer attention, which {model!r} on a server does not offer")
        return controllers_for(names)
    source = resolve(model)
    own = Path(source) / "heads.json"
    profile = HeadProfile(model=model)
    if heads is not None or own.is_file():
        profile = HeadProfile.from_pretrained(heads or own)
        profile.check(model, weights_hash(source))
    if probe is not None:
        profile = profile.model_copy(update={"heads": {"pull": frozenset(probe.probe.heads), **profile.heads}})
    return controllers_for(names, profile)


def calibration_of(model: str, file: Path | None = None) -> Calibration | None:
    """Loads the alarm thresholds of a model.

    Args:
        model: The model's name or folder.
        file: A file of thresholds; None takes ``calibration.json`` in the model's folder, where there is one.

    Returns:
        The thresholds; None where there is no file.

    Raises:
        ConfigError: The file can't be read, or its thresholds belong to other weights or another prompt wording.
        ModelError: The model can't be found.
    """
    from homeostat.agent.models.loading import resolve, template_hash, weights_hash
    from homeostat.agent.models.server_names import is_served
    from homeostat.sensors.calibration import Calibration

    if is_served(model):
        if file is not None:
            raise ConfigError(
                f"calibration {str(file)!r} belongs to weights; {model!r} is on a server, so leave it out"
            )
        return None
    source = resolve(model)
    own = Path(source) / "calibration.json"
    if file is None and not own.is_file():
        return None
    calibration = Calibration.from_pretrained(file or own)
    calibration.check(model, weights_hash(source), template_hash(source))
    return calibration


def probe_of(model: str, file: Path | None = None) -> ConflictProbe | None:
    """Loads the learned reading of conflicts of a model.

    Args:
        model: The model's name or folder.
        file: What ``homeostat fit-probe`` wrote, a file or its folder; None takes ``probe.json`` in the model's folder,
            where there is one.

    Returns:
        The sensor; None where there is no file.

    Raises:
        ConfigError: The file can't be read, or belongs to other weights.
        ModelError: The model can't be found.
    """
    from homeostat.agent.models.loading import resolve, weights_hash
    from homeostat.agent.models.server_names import is_served
    from homeostat.sensors import ConflictProbe, ProbeWeights

    if is_served(model):
        if file is not None:
            raise ConfigError(f"probe {str(file)!r} reads attention, which {model!r} on a server does not offer")
        return None
    source = resolve(model)
    own = Path(source) / "probe.json"
    if file is None and not own.is_file():
        return None
    learned = ProbeWeights.from_pretrained(file or own)
    if learned.weights != (weights_hash(source) or ""):
        raise ConfigError(
            f"the probe {str(file or own)!r} was learned on {learned.model!r} ({learned.weights or 'from the hub'}), "
            f"not on {model!r} ({weights_hash(source) or 'from the hub'}); learn it again with homeostat fit-probe"
        )
    return ConflictProbe(learned)


def _probe(probe: ConflictProbe | None) -> ConflictProbe:
    if probe is None:
        raise ConfigError(
            f"sensor {_PROBE!r} is learned for each model, and there is none here; run homeostat fit-probe, and pass "
            "its folder as probe"
        )
    return probe


def needed_probe(
    controllers: str | Sequence[str], sensors: Iterable[str], model: str, file: Path | None = None
) -> ConflictProbe | None:
    """Loads the learned reading of conflicts where an agent reads it.

    Args:
        controllers: The names of the agent's controllers, as a sequence or a text with commas.
        sensors: The names of the sensors that are read besides.
        model: The model's name or folder.
        file: As for :func:`probe_of`; where it is given, the sensor is read in any case.

    Returns:
        The sensor; None where nobody needs it, or there is no file.

    Raises:
        ConfigError: The file can't be read, or belongs to other weights.
        ModelError: The model can't be found.
    """
    from homeostat.controllers.registry import preset_sensors

    needed = _PROBE in preset_sensors(controllers) or _PROBE in sensors
    return probe_of(model, file) if needed or file is not None else None


def calibrated(sensors: Iterable[Sensor], model: str, file: Path | None = None) -> tuple[Sensor, ...]:
    """Gives sensors the alarm thresholds of a model.

    A threshold holds only for a sensor with the settings that it was found with. Thresholds from the model's own folder
    skip any other sensor. A file that the caller names must fit all sensors that it has thresholds for.

    Args:
        sensors: The sensors.
        model: The model's name or folder.
        file: A file of thresholds; None takes the model's own, where it has some.

    Returns:
        The sensors in the same order, those with a threshold replaced.

    Raises:
        ConfigError: The thresholds belong to another model, or the named file's don't fit the sensors' settings.
        ModelError: The model can't be found.
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
    """Reads rules from a YAML file: a list of texts, or a mapping with the single key ``rules`` and such a list.

    Args:
        path: The file.

    Returns:
        The rules.

    Raises:
        ConfigError: The file can't be read or holds something else. The message names the file and the fix.
    """
    where = f"rules file {str(path)!r}"
    try:
        data: Any = read_yaml(path)
    except DataError as error:
        raise ConfigError(f"{where} can't be read: {error}; write a list of texts, one '- rule' a line") from None
    if isinstance(data, dict):
        if set(data) != {"rules"}:
            raise ConfigError(f"{where} has the keys {quoted(list(data))}; it may have 'rules' only")
        data = data["rules"]
    if not isinstance(data, list) or not data:
        raise ConfigError(f"{where} holds {quoted(data)}; write a list of texts, one '- rule' a line")
    for number, rule in enumerate(data, start=1):
        if not isinstance(rule, str) or not rule.strip():
            raise ConfigError(f"{where}: rule {number} is {quoted(rule)}; write a text (in quotes if it holds a colon)")
    return tuple(rule.strip() for rule in data)
