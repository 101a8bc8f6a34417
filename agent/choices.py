"""What the command line's words stand for: environments, suites, sensors and rule files by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from homeostat.agent.evaluate import Case
from homeostat.envs.core import Env
from homeostat.envs.errors import ConfigError, UnknownName
from homeostat.sensors.core import Need, Sensor

__all__ = ["ENVS", "SENSORS", "load_rules", "make_env", "random_task", "sensors_for", "suite_cases"]


def _phone(split: str) -> Env:
    from homeostat.envs.phone import PhoneEnv

    return PhoneEnv(task=None, split=split)  # type: ignore[arg-type]  # an unknown split is refused by name


def _android(split: str) -> Env:
    from homeostat.envs.android import AndroidEnv

    return AndroidEnv()  # which device: ANDROID_SERIAL, as for adb itself


def _miniwob(split: str) -> Env:
    """On the embedded model's screen; a suite's split is in its seeds, not in the pages."""
    from homeostat.envs.miniwob import MiniWobEnv

    return MiniWobEnv(size=(144, 256))


def _phone_suite(name: str, split: str) -> Any:
    from homeostat.envs.phone import suite

    return suite(name, split)  # type: ignore[arg-type]


def _miniwob_suite(name: str, split: str) -> Any:
    from homeostat.envs.miniwob import miniwob_suite

    return miniwob_suite(name, split)  # type: ignore[arg-type]


def _drift() -> Sensor:
    from homeostat.sensors import AttentionDrift

    return AttentionDrift()


def _confidence() -> Sensor:
    from homeostat.sensors import Confidence

    return Confidence()


ENVS: dict[str, Callable[[str], Env]] = {"phone": _phone, "miniwob": _miniwob, "android": _android}
_SUITES: dict[str, Callable[[str, str], Any]] = {"phone": _phone_suite, "miniwob": _miniwob_suite}
_RANDOM = {"phone": "atomic", "miniwob": "miniwob"}  # the suite that --task random draws from
SENSORS: dict[str, Callable[[], Sensor]] = {"attention_drift": _drift, "confidence": _confidence}


def make_env(name: str, split: str = "test") -> Env:
    """The environment of this name, filled with a split's words. Raises :class:`UnknownName`."""
    if name not in ENVS:
        raise UnknownName.of("env", name, ENVS)
    return ENVS[name](split)


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


def random_task(env: str, seed: int) -> Case:
    """A held-out atomic task, drawn by the seed. Raises :class:`UnknownName`."""
    if env not in ENVS:
        raise UnknownName.of("env", env, ENVS)
    return suite_cases(env, _RANDOM[env], "test", 1, seed)[0]


def suite_cases(env: str, name: str, split: str, episodes: int, seed: int) -> list[Case]:
    """The first ``episodes`` of a suite's split. Raises :class:`UnknownName` for a suite or split there is none of."""
    if env not in ENVS:
        raise UnknownName.of("env", env, ENVS)
    specs = _SUITES[env](name, split).episodes(episodes, seed)
    return [Case(spec.task, spec.seed) for spec in specs]


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
