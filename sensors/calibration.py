"""Calibrates thresholds at a stated false-alarm rate, by split conformal prediction on benign episodes.

An episode's *score* for a sensor is the most alarming value that the sensor gave in it. With n benign episodes and a
rate α, the threshold is the k-th most alarming score, k = ⌊(n + 1) α⌋, and a sensor alarms only beyond it. For another
benign episode from the same source, the probability of an alarm is then at most k / (n + 1) ≤ α, and, without ties, at
least (k − 1) / (n + 1), whatever the distribution of the scores (Vovk et al. 2005, "Algorithmic Learning in a Random
World", chapter 2; Angelopoulos and Bates, arXiv 2107.07511, section 1). The rate is per *episode*, because the readings
of one episode depend on each other, while episodes do not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from homeostat.errors import ConfigError
from homeostat.hub import HubRecord
from homeostat.model_cards import Card
from homeostat.sensors.contracts import Need, Sensor

__all__ = ["Alarm", "Calibration", "Thresholded", "calibrated_alarms", "conformal_threshold", "score", "settings_of"]

Side = Literal["below", "above"]
"""The side of its threshold on which a sensor alarms."""
_S = TypeVar("_S", bound=Sensor)


@runtime_checkable
class Thresholded(Protocol):
    """A sensor that can be calibrated.

    Attributes:
        name: The sensor's name.
        needs: What the attempt must contain.
        threshold: The value beyond which it alarms.
        side: The side of the threshold on which it alarms.
    """

    name: str
    needs: frozenset[Need]
    threshold: float
    side: Side


class Alarm(BaseModel):
    """The calibrated threshold of one sensor.

    Attributes:
        sensor: The sensor's name.
        side: The side of the threshold on which it alarms.
        threshold: The threshold.
        episodes: The number of benign episodes that it was calibrated on.
        settings: The sensor's other settings, as :func:`settings_of` writes them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str
    side: Side
    threshold: float
    episodes: int
    settings: str

    def raised_in(self, episode: Mapping[str, Sequence[float]]) -> bool:
        """Tests whether the sensor would alarm in an episode.

        Args:
            episode: The judged values of the episode, by sensor name.

        Returns:
            Whether any of the sensor's values is beyond the threshold.
        """
        most = score(episode.get(self.sensor, ()), self.side)
        if most is None:
            return False
        return most < self.threshold if self.side == "below" else most > self.threshold


class Calibration(HubRecord):
    """Calibrated thresholds, and what they are valid for.

    Attributes:
        model: The model's name.
        weights: The first 12 hexadecimal digits of the sha256 of the weights; None for a hub model.
        template: The first 12 hexadecimal digits of the sha256 of the prompt template.
        suite: The suite of the benign episodes.
        split: Their data split.
        seed: Their seed.
        rate: The false-alarm rate per episode.
        alarms: The thresholds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_name: ClassVar[str] = "calibration.json"
    what: ClassVar[str] = "calibration"
    remedy: ClassVar[str] = "write it with homeostat calibrate"

    model: str
    weights: str | None
    template: str
    suite: str
    split: str
    seed: int
    rate: float
    alarms: tuple[Alarm, ...]

    def apply(self, sensors: Iterable[_S]) -> tuple[_S, ...]:
        """Sets the thresholds.

        Args:
            sensors: The sensors; they are not changed.

        Returns:
            Copies with the calibrated thresholds. Sensors that the calibration does not name are returned unchanged.

        Raises:
            ConfigError: A sensor's settings differ from those that it was calibrated with.
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
        """Checks that the calibration is valid for a model.

        Args:
            model: The model's name.
            weights: The digits of its weights; None for a hub model.
            template: The digits of its prompt template.

        Raises:
            ConfigError: The calibration was made for another model, other weights or another template.
        """
        for what, made, here in (
            ("weights", self.weights, weights) if weights else ("model", self.model, model),
            ("template", self.template, template),
        ):
            if made != here:
                raise ConfigError(f"the calibration was made for {what} {made!r}, not {here!r}; calibrate again")

    def card(self) -> Card:
        """Describes the calibration for people.

        Returns:
            What its card tells.
        """
        rows = {alarm.sensor: f"alarms {alarm.side} {alarm.threshold:.6g} ({alarm.settings})" for alarm in self.alarms}
        episodes = ", ".join(sorted({str(alarm.episodes) for alarm in self.alarms})) or "no"
        return Card(
            title=f"Alarm thresholds for {self.model}",
            about=f"Thresholds of {len(self.alarms)} sensors of homeostat, at a false-alarm rate of {self.rate:.1%} of "
            "benign episodes. Use them with `homeostat run --calibration REPO`.",
            load="from homeostat.sensors import Calibration\n\n"
            'calibration = Calibration.from_pretrained("REPO")\n'
            "sensors = calibration.apply(sensors)",
            made=f"`homeostat calibrate`: split conformal prediction on {episodes} benign episodes of the suite "
            f"{self.suite} (split {self.split}, seed {self.seed}).",
            limits="A threshold holds for these weights, this prompt template, these settings of the sensor and "
            "episodes like those that it was computed from; other weights or another template are refused. The rate is "
            "nominal: at most this share of further benign episodes from the same source raises an alarm.",
            facts={"model": self.model, "weights": self.weights or "not known", "template": self.template, **rows},
            base_model=self.model,
            tags=("attention", "calibration", "conformal-prediction"),
        )


def settings_of(sensor: Sensor) -> str:
    """Describes a sensor's settings, except its threshold, as text that is the same in every process.

    A function is described by its qualified name, and an object without its own ``repr`` by that of its class.

    Args:
        sensor: The sensor.

    Returns:
        The text.
    """
    kept = ", ".join(f"{k}={_text(v)}" for k, v in sorted(vars(sensor).items()) if k != "threshold")
    return f"{type(sensor).__name__}({kept})"


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return repr(sorted(value))
    name = getattr(value, "__qualname__", None)  # functions and classes have it
    if name is None and type(value).__repr__ is object.__repr__:
        name = type(value).__qualname__
    return repr(value) if name is None else str(name)


def score(values: Sequence[float], side: Side) -> float | None:
    """Finds the most alarming of an episode's values.

    Args:
        values: The sensor's judged values.
        side: The side on which the sensor alarms.

    Returns:
        The smallest or the largest value; None if there is none.
    """
    if not values:
        return None
    return min(values) if side == "below" else max(values)


def conformal_threshold(scores: Sequence[float], rate: float, side: Side) -> float:
    """Returns the k-th most alarming of n benign scores, k = ⌊(n + 1) · rate⌋.

    Args:
        scores: The scores of n benign episodes.
        rate: The false-alarm rate α per episode.
        side: The side on which the sensor alarms.

    Returns:
        The threshold.

    Raises:
        ConfigError: The rate is outside (0, 1), or there are too few episodes for it (k = 0).
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate={rate!r} is not a false-alarm rate; pass a number between 0 and 1")
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
    """Calibrates every sensor that has a threshold.

    An episode in which a sensor judged nothing cannot alarm, so it gets the least alarming score possible.

    Args:
        sensors: The sensors.
        episodes: For each benign episode, the judged values by sensor name.
        rate: The false-alarm rate per episode.

    Returns:
        One alarm for each sensor with a threshold.

    Raises:
        ConfigError: As in :func:`conformal_threshold`; or a sensor judged so few of the episodes that no threshold has
            this rate.
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
                f"sensor {sensor.name!r} judged only {judged} of {len(found)} episodes; use longer tasks, or leave it "
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
