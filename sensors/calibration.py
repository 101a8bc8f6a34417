"""Thresholds at a stated false-alarm rate, by split conformal prediction on benign episodes.

An episode's *score* for a sensor is the most alarming value that the sensor gave in it. With n benign episodes and a
rate α, the threshold is the k-th most alarming score, k = ⌊(n + 1) α⌋, and a sensor alarms only beyond it. For one
more benign episode from the same source the probability of an alarm is then at most k / (n + 1) ≤ α, and without ties
at least k / (n + 1) − 1 / (n + 1), whatever the scores' distribution (Vovk et al. 2005, "Algorithmic Learning in a
Random World", chapter 2; Angelopoulos and Bates, arXiv 2107.07511, section 1). The rate is per *episode*: readings of
one episode depend on each other, episodes don't.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.errors import ConfigError
from homeostat.sensors.contracts import Need, Sensor

__all__ = ["Alarm", "Calibration", "Thresholded", "calibrated_alarms", "conformal_threshold", "score", "settings_of"]

Side = Literal["below", "above"]
_S = TypeVar("_S", bound=Sensor)


@runtime_checkable
class Thresholded(Protocol):
    """A sensor that can be calibrated: it alarms where its value lies on ``side`` of ``threshold``."""

    name: str
    needs: frozenset[Need]
    threshold: float
    side: Side


class Alarm(BaseModel):
    """One sensor's threshold: made from ``episodes`` benign ones, for a sensor with these ``settings``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str
    side: Side
    threshold: float
    episodes: int
    settings: str

    def raised_in(self, episode: Mapping[str, Sequence[float]]) -> bool:
        """Whether the sensor would alarm in an episode with these judged values (sensor name -> values)."""
        most = score(episode.get(self.sensor, ()), self.side)
        if most is None:
            return False
        return most < self.threshold if self.side == "below" else most > self.threshold


class Calibration(BaseModel):
    """Thresholds, and what they hold for: a model, its weights, its prompt template, a source of benign episodes.

    ``weights`` and ``template`` are the first 12 hexadecimal digits of a sha256 (``weights`` None for a hub model).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weights: str | None
    template: str
    suite: str
    split: str
    seed: int
    rate: float
    alarms: tuple[Alarm, ...]

    def apply(self, sensors: Iterable[_S]) -> tuple[_S, ...]:
        """Copies of the sensors with these thresholds; those that the calibration does not name stay as they are.

        Raises ``ConfigError`` for a sensor whose settings differ from those it was calibrated with.
        """
        return tuple(self._applied(sensor) for sensor in sensors)

    def _applied(self, sensor: _S) -> _S:
        alarm = next((a for a in self.alarms if a.sensor == sensor.name), None)
        if alarm is None:
            return sensor
        if settings_of(sensor) != alarm.settings:
            raise ConfigError(
                f"sensor {sensor.name!r} was calibrated with {alarm.settings}, not {settings_of(sensor)}; calibrate "
                "again"
            )
        changed = copy.copy(sensor)
        changed.threshold = alarm.threshold  # type: ignore[attr-defined]
        return changed

    def check(self, model: str, weights: str | None, template: str) -> None:
        """Raises ``ConfigError`` where the calibration was made for another model, other weights or another prompt."""
        for what, made, here in (
            ("weights", self.weights, weights) if weights else ("model", self.model, model),
            ("template", self.template, template),
        ):
            if made != here:
                raise ConfigError(f"the calibration was made for {what} {made!r}, not {here!r}; calibrate again")

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Calibration:
        """Read it. Raises ``ConfigError`` that names the file and what is wrong with it."""
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"calibration {str(file)!r} can't be read: {error.strerror}; give a JSON file") from None
        except (ValidationError, UnicodeDecodeError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(
                f"calibration {str(file)!r}: {where}: {first['msg']}; write it with homeostat calibrate"
            ) from None


def settings_of(sensor: Sensor) -> str:
    """What a sensor was built with, apart from its threshold, as text that is the same in every process.

    A function, or another object that has no text of its own, is named by its (class's) qualified name.
    """
    kept = ", ".join(f"{k}={_text(v)}" for k, v in sorted(vars(sensor).items()) if k != "threshold")
    return f"{type(sensor).__name__}({kept})"


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return repr(sorted(value))
    name = getattr(value, "__qualname__", None)
    if name is None and type(value).__repr__ is object.__repr__:
        name = type(value).__qualname__
    return repr(value) if name is None else str(name)


def score(values: Sequence[float], side: Side) -> float | None:
    """The most alarming of an episode's values; None where the sensor judged nothing."""
    if not values:
        return None
    return min(values) if side == "below" else max(values)


def conformal_threshold(scores: Sequence[float], rate: float, side: Side) -> float:
    """The k-th most alarming of n benign scores, k = ⌊(n + 1) · rate⌋.

    Raises ``ConfigError`` for a rate outside (0, 1), or where n is too small for any k.
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate={rate!r} is no false-alarm rate; give a number between 0 and 1")
    k = int((len(scores) + 1) * rate + 1e-9)
    if k < 1:
        raise ConfigError(
            f"{len(scores)} episodes are too few for rate={rate!r}; take {math.ceil(1 / rate - 1e-9) - 1} or more"
        )
    ordered = sorted(scores, reverse=side == "above")
    return ordered[k - 1]


def calibrated_alarms(
    sensors: Iterable[Sensor], episodes: Sequence[Mapping[str, Sequence[float]]], rate: float
) -> tuple[Alarm, ...]:
    """Every sensor's alarm, from its judged values in each benign episode (sensor name -> values).

    An episode in which a sensor judged nothing can't alarm: it counts as the least alarming score there is. Sensors
    without a threshold are left out. Raises ``ConfigError`` as :func:`conformal_threshold`, and where more than a share
    of 1 − rate of the episodes were never judged.
    """
    alarms = []
    for sensor in sensors:
        if not isinstance(sensor, Thresholded):
            continue
        quiet = float("inf") if sensor.side == "below" else float("-inf")
        found = [score(episode.get(sensor.name, ()), sensor.side) for episode in episodes]
        threshold = conformal_threshold([quiet if s is None else s for s in found], rate, sensor.side)
        if threshold == quiet:
            judged = sum(s is not None for s in found)
            raise ConfigError(
                f"sensor {sensor.name!r} judged only {judged} of {len(found)} episodes; take longer tasks, or leave it "
                "out"
            )
        alarms.append(
            Alarm(
                sensor=sensor.name,
                side=sensor.side,
                threshold=threshold,
                episodes=len(episodes),
                settings=settings_of(sensor),
            )
        )
    return tuple(alarms)
