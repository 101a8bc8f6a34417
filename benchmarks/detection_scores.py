"""What each sensor says about the prompts of the detection benchmark, computed from kept readings without the model.

Every row of the table is an array with one value for each prompt, *larger where the sensor is more alarmed*: values of
sensors that alarm below a threshold change their sign. Probes are fitted on train parts at both lengths, heads are
chosen on train parts at 1×.

A row that ends in ``other tasks`` was fitted on the train parts of all other tasks. Those are the only fitted rows of
IHEval's tasks, which may not be trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np
from detection_cases import FITTED
from detection_readings import Readings, joined
from numpy.typing import NDArray

from homeostat.alignment.probing.fit import fit_probe
from homeostat.errors import ConfigError
from homeostat.sensors import (
    Attempt,
    AttentionDrift,
    AttentionEntropy,
    Confidence,
    ConflictProbe,
    DormantHeads,
    FocusScore,
    ProbeWeights,
    Sensor,
    SensorContext,
)
from homeostat.sensors.calibration import Thresholded
from homeostat.sensors.conflict_probe import head_features
from homeostat.sensors.focus_score import select_heads

RATE = 0.05
HIGHER, LOWER = ("higher",), ("lower",)
Cells = Mapping[tuple[str, str, str, str], Readings]
"""The readings by task, part, length and kind."""
Values = NDArray[np.float64]
Score = Callable[[Readings], Values]
Heads = tuple[tuple[int, int], ...]


class Watching(Sensor, Thresholded, Protocol):
    """A sensor that alarms on one side of a threshold."""


_NOTHING = SensorContext(goal="")

PLAIN: dict[str, Watching] = {
    "focus_score, all heads": FocusScore(instructions=HIGHER, data=LOWER),
    "focus_plain, all heads": FocusScore(instructions=HIGHER, data=LOWER, per_token=False),
    "attention_entropy": AttentionEntropy(),
    "dormant_heads": DormantHeads(),
    "confidence": Confidence(),
    "confidence, entropy": Confidence(measure="entropy"),
    "confidence, margin": Confidence(measure="margin"),
}
"""Sensors that need no fit."""


def kind_of(row: str) -> str:
    """What a row reads: ``attention``, ``confidence`` or ``text``."""
    if row in ("length", "length of the text", "phrases", "judge") or row.startswith("words"):
        return "text"
    return "confidence" if row.startswith("confidence") else "attention"


def rows_of(task: str, cells: Cells, model: str) -> dict[str, tuple[str, Score]]:
    """Makes the rows of a task.

    Args:
        task: The task.
        cells: All readings.
        model: The model's name.

    Returns:
        For each row, the kind of readings that it takes, and its score.
    """
    rows: dict[str, tuple[str, Score]] = {name: ("prompt", _read_by(sensor)) for name, sensor in PLAIN.items()}
    rows["sink_rate"] = ("prompt", lambda readings: -readings.values["sink_rate"])
    rows["attention_drift"] = ("prompt", _drift(cells[task, "dev", "1x", "prompt"]))
    known = tuple(one for one in FITTED if (one, "train", "1x", "prompt") in cells)
    own, others = (tuple(one for one in known if (one == task) is same) for same in (True, False))
    for sources, suffix in ((own, ""), (others, ", other tasks")):
        fits = _train(cells, sources, "prompt")
        if not fits:
            continue
        train, short = joined(fits), joined([cells[one, "train", "1x", "prompt"] for one in sources])
        for name, per_token in (("focus_score", True), ("focus_plain", False)):
            if heads := _heads(short, per_token):
                sensor = FocusScore(instructions=HIGHER, data=LOWER, per_token=per_token, heads=heads)
                rows[f"{name}, chosen heads{suffix}"] = ("prompt", _read_by(sensor))
        aligned = cells[task, "dev", "1x", "prompt"]
        probe = _probe(train, aligned.only(~aligned.conflict), model)
        rows[f"words{suffix}"] = ("words", _words(joined(_train(cells, sources, "words"))))
        rows[f"conflict_probe{suffix}"] = ("prompt", _read_by(ConflictProbe(probe)))
    canaries = _train(cells, own or others, "canary")
    rows["attention_tracker, all heads"] = ("canary", _tracker(None))
    if canaries and (heads := _heads(joined(canaries), per_token=False)):
        suffix = "" if own else ", other tasks"
        rows[f"attention_tracker, chosen heads{suffix}"] = ("canary", _tracker(heads))
    rows["length"] = ("prompt", lambda readings: readings.values["visible"].astype(np.float64))
    rows["length of the text"] = ("prompt", lambda readings: readings.values["keys"][:, 1].astype(np.float64))
    rows["phrases"] = ("prompt", lambda readings: readings.values["phrases"])
    rows["judge"] = ("judge", lambda readings: readings.values["yes"])
    return rows


def _train(cells: Cells, tasks: Iterable[str], kind: str) -> list[Readings]:
    """The train parts of some tasks, at both lengths where both were read."""
    keys = [(task, "train", length, kind) for task in tasks for length in ("1x", "8x")]
    return [cells[key] for key in keys if key in cells]


def _read_by(sensor: Watching, context: SensorContext = _NOTHING) -> Score:
    """The sensor's values, with the sign that makes larger ones more alarming."""
    sign = -1.0 if sensor.side == "below" else 1.0

    def score(readings: Readings) -> Values:
        found = [sensor.read(attempt, context) for attempt in readings.attempts()]
        if silent := next((one.reason for one in found if not one.judged), None):
            raise SystemExit(f"{sensor.name} did not judge a prompt: {silent}")
        return sign * np.array([one.value for one in found], np.float64)

    return score


def _drift(dev: Readings) -> Score:
    """The intensity on the span with authority, against its mean over the aligned prompts of the dev part."""
    sensor = AttentionDrift("higher", tokens="first")
    aligned = dev.only(~dev.conflict)
    history = tuple(sensor.read(attempt, _NOTHING) for attempt in aligned.attempts())
    return _read_by(sensor, SensorContext(goal="", history=history))


def _tracker(heads: Heads | None) -> Score:
    """Attention Tracker's score of its own prompt."""
    return _read_by(FocusScore(0.5, instructions=HIGHER, data=LOWER, per_token=False, heads=heads))


def _heads(train: Readings, per_token: bool) -> Heads:
    """The heads that separate conflicts at the largest number of deviations that any head passes."""
    masses = [[attempt.spans for attempt in train.only(side).attempts()] for side in (~train.conflict, train.conflict)]
    for deviations in (4.0, 3.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.0):
        try:
            return select_heads(
                [one for one in masses[0] if one is not None],
                [one for one in masses[1] if one is not None],
                deviations=deviations,
                instructions=HIGHER,
                data=LOWER,
                per_token=per_token,
            )
        except ConfigError:
            continue
    return ()


def _probe(train: Readings, aligned: Readings, model: str) -> ProbeWeights:
    """A probe on the masses of all heads."""
    layers, heads, _ = train.values["mass"].shape[1:]
    names = tuple((layer, head) for layer in range(layers) for head in range(heads))
    return fit_probe(
        features(train.attempts(), names),
        train.conflict,
        train.group.tolist(),
        features(aligned.attempts(), names),
        model=model,
        weights="",
        heads=names,
        higher=HIGHER,
        lower=LOWER,
        rate=max(RATE, 1 / (len(aligned) + 1)),  # thresholds are set later, for all rows alike
    )


def _words(train: Readings) -> Score:
    """Ridge regression on the words of the text, fitted on the prompts that the probe is fitted on; λ = 1."""
    kernel = train.values["words"].astype(np.float64)
    target = train.conflict - train.conflict.mean()
    dual = np.linalg.solve(kernel @ kernel.T + np.eye(len(kernel)), target)
    weights = kernel.T @ dual
    return lambda readings: readings.values["words"] @ weights


def features(attempts: Iterable[Attempt], heads: Heads) -> Values:
    """The probe's features of every attempt."""
    found = []
    for attempt in attempts:
        assert attempt.spans is not None
        row = head_features(attempt.spans, heads, HIGHER, LOWER)
        assert row is not None
        found.append(row)
    return np.stack(found)
