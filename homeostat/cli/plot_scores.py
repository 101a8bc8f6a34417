"""What ``homeostat plot roc`` and ``homeostat plot calibration`` draw from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeostat.data_files import DataError, parse_json, read_json, read_text
from homeostat.envs.harness import Result, wilson
from homeostat.errors import ConfigError
from homeostat.plots import Chart, bins, intervals, reliability, roc, short_name
from homeostat.sensors.calibration import Alarm, Calibration, conformal_threshold, score

__all__ = ["calibration", "curves"]

_JOURNAL_BYTES = 2**30
_RATES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
_LENGTHS = {"1x matched": "prompts matched by length", "1x": "the prompts as they are", "8x": "8 times as long"}


def curves(files: Sequence[Path], title: str) -> Chart:
    """Draws ROC curves, or the AUROCs that a detection benchmark measured."""
    if len(files) == 2:
        benign, attacked = (_episodes(file) for file in files)
        alarms = Calibration.load(files[0]).alarms
        sides = {a.sensor: (_scores(a, attacked), _scores(a, benign)) for a in alarms}
        return roc(sides, title=title or f"{len(attacked)} attacked, {len(benign)} benign episodes")
    data = _json(_only(files, "roc", "a file of scores, or two calibrations, benign and attacked"))
    if isinstance(data.get("tasks"), dict):
        return _aurocs(data, files[0], title)
    return roc(_pairs(data, files[0], ("positive", "negative")), title=title)


def calibration(files: Sequence[Path], title: str) -> Chart:
    """Draws stated against measured rates."""
    file = _only(files, "calibration", "one file of homeostat calibrate, or of probabilities")
    data = _json(file)
    if "alarms" not in data:
        points = {
            name: [(stated, _wilson(round(came * count), count)) for stated, came, count in bins(*sides)]
            for name, sides in _pairs(data, file, ("probabilities", "outcomes")).items()
        }
        return reliability(points, title=title)
    made, episodes = Calibration.load(file), _episodes(file)
    rates: dict[str, list[tuple[float, tuple[float, float, float]]]] = {}
    for alarm in made.alarms:
        scores = _scores(alarm, episodes)
        known, fresh = scores[: alarm.episodes], scores[alarm.episodes :]
        if not fresh:
            raise ConfigError(
                f"{str(file)!r} has no held-out episodes to measure rates on; calibrate again with --held-out 200"
            )
        for rate in _RATES:
            if (len(known) + 1) * rate >= 1:
                threshold = conformal_threshold(known, rate, "above")
                found = _wilson(sum(value > threshold for value in fresh), len(fresh))
                rates.setdefault(alarm.sensor, []).append((rate, found))
    return reliability(
        rates,
        x_label="stated rate of false alarms, % of episodes",
        y_label="measured on held-out episodes, %",
        limit=max(_RATES) + 0.02,
        title=title or f"{short_name(made.model)} on {made.suite}/{made.split}",
    )


def _aurocs(data: Mapping[str, Any], file: Path, title: str) -> Chart:
    """AUROCs with intervals: one panel for each task."""
    panels: dict[str, dict[str, dict[str, tuple[float, float, float]]]] = {}
    try:
        for task, found in data["tasks"].items():
            for cell, label in _LENGTHS.items():
                for row, value in found["cells"].get(cell, {}).get("rows", {}).items():
                    auroc = value["auroc"]
                    point = (float(auroc["mean"]), float(auroc["low"]), float(auroc["high"]))
                    panels.setdefault(task, {}).setdefault(row, {})[label] = point
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigError(f"{str(file)!r} holds no figures of a detection benchmark; give its --json file") from None
    return intervals(panels, x_label="AUROC (95 % intervals)", zero=0.5, title=title or str(data.get("model", "")))


def _wilson(successes: int, trials: int) -> tuple[float, float, float]:
    found = wilson(successes, trials)
    return found.mean, found.low, found.high


def _scores(alarm: Alarm, episodes: Sequence[Result]) -> list[float]:
    """Each episode's score, larger ones more alarming; an episode in which the sensor judged nothing is quiet."""
    found = [score(episode.readings.get(alarm.sensor, ()), alarm.side) for episode in episodes]
    sign = -1 if alarm.side == "below" else 1
    return [float("-inf") if value is None else sign * value for value in found]


def _episodes(file: Path) -> list[Result]:
    """The episodes beside a calibration, in their order."""
    journal = file if file.suffix == ".jsonl" else Path(f"{file}l") if file.suffix == ".json" else Path(f"{file}.jsonl")
    try:
        lines = read_text(journal, _JOURNAL_BYTES).splitlines()
        found = [Result.model_validate(parse_json(line)) for line in lines[1:] if line.strip()]
    except DataError as error:
        raise ConfigError(f"can't read the episodes {str(journal)!r}: {error}; keep them beside {file.name}") from None
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]["msg"]
        raise ConfigError(f"{str(journal)!r} holds no episodes ({fault}); give what calibrate wrote") from None
    if not any(result.readings for result in found):
        raise ConfigError(f"{str(journal)!r} holds no readings; write it with homeostat calibrate")
    return sorted(found, key=lambda result: result.index)


def _only(files: Sequence[Path], kind: str, what: str) -> Path:
    if len(files) != 1:
        raise ConfigError(f"plot {kind} got {len(files)} files; give {what}")
    return files[0]


def _json(file: Path) -> dict[str, Any]:
    try:
        data = read_json(file)
    except DataError as error:
        raise ConfigError(f"can't read {str(file)!r}: {error}; give a JSON file") from None
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{str(file)!r} holds a {type(data).__name__}, not an object with names; give a JSON object")
    return data


def _pairs(data: Mapping[str, Any], file: Path, keys: tuple[str, str]) -> dict[str, tuple[list[float], list[float]]]:
    """By name, two lists of numbers."""
    found = {}
    for name, sides in data.items():
        try:
            one, other = ([float(value) for value in sides[key]] for key in keys)
        except (KeyError, TypeError, ValueError):
            wanted = " and ".join(f'"{key}": [numbers]' for key in keys)
            raise ConfigError(f"{str(file)!r}: {name[:80]!r} holds no {wanted}; give a JSON object by name") from None
        found[name] = (one, other)
    return found
