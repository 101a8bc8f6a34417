"""Checks that an object fulfils the :class:`~homeostat.sensors.contracts.Sensor` contract.

It is meant for authors of sensors, as Gymnasium's ``check_env`` is for authors of environments.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from homeostat.actions import Click
from homeostat.errors import ConfigError
from homeostat.foreign_text import quoted
from homeostat.observation import Element, Observation
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need, Sensor
from homeostat.sensors.readings import Reading
from homeostat.sensors.spans import Spans

__all__ = ["check_sensor", "sample_attempts"]

_PROMPT = Prompt(
    (Message("user", (Part("goal", "book a table"), Part("screen", image=np.zeros((8, 8, 3), np.uint8)))),)
)
_LABELS = ("system", "rules", "goal", "history", "screen", "output")


def check_sensor(sensor: Sensor, *, model: Any = None) -> None:
    """Runs a sensor on generated attempts and reports the first violation of the contract.

    It checks that

    - the sensor has ``name``, ``needs`` and ``read``;
    - ``read`` accepts every attempt that contains what ``needs`` declares (usual, empty, of one token, long, without
      the usual spans), with and without history;
    - it returns a :class:`Reading` under the sensor's own name, whose numbers are finite and which JSON does not
      change;
    - it gives the same reading twice;
    - it changes neither the attempt, nor the context, nor the sensor.

    Args:
        sensor: The sensor.
        model: The model for sensors that need one.

    Raises:
        ConfigError: The sensor violates the contract.
    """
    if not isinstance(sensor, Sensor):
        given = type(sensor).__name__
        raise ConfigError(f"{given!r} is not a sensor; it needs name, needs and a method read(attempt, context)")
    name, needs = sensor.name, sensor.needs
    if not isinstance(name, str) or not name:
        raise ConfigError(f"a sensor's name is {name!r}; set it to a non-empty string")
    known = get_args(Need)
    if not isinstance(needs, frozenset):
        raise ConfigError(f"sensor {name!r} has needs={needs!r}; use a frozenset of {', '.join(map(repr, known))}")
    if unknown := sorted(map(str, needs - set(known))):
        raise ConfigError(f"sensor {name!r} needs {unknown[0]!r}, which is unknown; known: {', '.join(known)}")
    if "model" in needs and model is None:
        raise ConfigError(f"sensor {name!r} needs 'model'; call check_sensor(sensor, model=...)")
    for label, attempt in sample_attempts(needs).items():
        context = SensorContext(
            goal="book a table",
            rules=("never pay",),
            model=model if "model" in needs else None,
            prompt=_PROMPT,
            observation=_seen(),
            action=Click(point=(0.5, 0.1)),
        )
        first = _read_twice(sensor, name, label, attempt, context)
        later = replace(context, step=1, history=(first,))
        _read_twice(sensor, name, f"{label}, with history", attempt, later)


def sample_attempts(needs: frozenset[Need]) -> dict[str, Attempt]:
    """Generates attempts that contain exactly what ``needs`` declares.

    Args:
        needs: What a sensor needs.

    Returns:
        The attempts, by a name that describes them.
    """
    return {
        "a usual attempt": _attempt(12, needs),
        "an empty attempt": _attempt(0, needs),
        "an attempt of one token": _attempt(1, needs),
        "a long attempt": _attempt(700, needs),
        "an attempt without the usual spans": _attempt(3, needs, labels=("output",)),
    }


def _seen() -> Observation:
    elements = (
        Element(role="list", text="", box=(0.0, 0.0, 1.0, 0.5)),
        Element(role="button", text="ok", box=(0.4, 0.0, 0.6, 0.2)),
    )
    return Observation(np.zeros((80, 40, 3), np.uint8), elements, "tables")


def _attempt(tokens: int, needs: frozenset[Need], labels: tuple[str, ...] = _LABELS) -> Attempt:
    rng = np.random.default_rng(tokens)
    told = "logprobs" in needs
    probability = rng.uniform(0.05, 1.0, tokens)
    return Attempt(
        text="word " * tokens,
        tokens=tuple(int(i) for i in rng.integers(0, 1000, tokens)),
        logprobs=tuple(float(p) for p in np.log(probability)) if told else (),
        entropy=tuple(float(e) for e in rng.uniform(0, 3, tokens)) if told else (),
        margin=tuple(float(m) for m in rng.uniform(0, 1, tokens)) if told else (),
        spans=_masses(rng, tokens, labels) if "attention" in needs else None,
        prompt_tokens=60,
        seconds=0.1,
        finish="length" if tokens > 500 else "stop",
        pieces=("word ",) * tokens if told else (),
        prompt_ids=tuple(int(i) for i in rng.integers(0, 1000, 60)),
    )


def _masses(rng: np.random.Generator, tokens: int, labels: tuple[str, ...]) -> SpanMass:
    """Random masses on 60 prompt keys, 10 for each label; the mass outside all spans lies half on a sink."""
    layers, heads, rows, spans = 2, 4, 5, len(labels)
    # One share more than there are labels, for tokens that belong to no span.
    shares = rng.dirichlet(np.ones(spans + 1), (tokens + rows, layers, heads)).astype(np.float32)[..., :spans]
    shares[: rows + 1, ..., -1] = 0  # nothing had been generated yet
    lengths = np.full(spans, 10, np.int64)
    lengths[-1] = max(tokens - 1, 0)
    rest = (tokens, layers, heads)
    return SpanMass(
        labels=labels,
        layers=tuple(range(layers)),
        mass=shares[rows:],
        prompt_mass=shares[:rows],
        lengths=lengths,
        visible=np.arange(60, 60 + tokens, dtype=np.int64),
        sink=(1 - shares[rows:].sum(-1)).clip(0) / 2,
        sink_in_span=np.zeros_like(shares[rows:]),
        keys={label: rng.dirichlet(np.ones(40), rest).astype(np.float32)[..., :10] for label in labels[:-1]},
        recent=rng.dirichlet(np.ones(60), rest).astype(np.float32)[..., :51],
        entropy=rng.uniform(0, 4, rest).astype(np.float32),
        distance=rng.uniform(0, 60, rest).astype(np.float32),
        top=rng.integers(0, 60, rest),
        received=rng.dirichlet(np.ones(60), (layers, heads)).astype(np.float32),
        outputs=rng.normal(size=(*rest, 8)).astype(np.float32),
        prompt=60,
        spans=Spans({label: [(10 * k, 10 * k + 10)] for k, label in enumerate(labels[:-1])}, length=60),
    )


def _read_twice(sensor: Sensor, name: str, label: str, attempt: Attempt, context: SensorContext) -> Reading:
    before = _snapshot(attempt, context)
    itself = _state(sensor)
    first = _read(sensor, name, label, attempt, context)
    if _snapshot(attempt, context) != before:
        raise ConfigError(f"sensor {name!r} changed its attempt or context on {label}; work on copies")
    if _state(sensor) != itself:
        raise ConfigError(f"sensor {name!r} changed itself on {label}; keep no state, use context.history")
    again = _read(sensor, name, label, attempt, context)
    if again != first:
        raise ConfigError(f"sensor {name!r} read {label} twice and returned {first.value!r}, then {again.value!r}")
    return first


def _read(sensor: Sensor, name: str, label: str, attempt: Attempt, context: SensorContext) -> Reading:
    try:
        reading: Any = sensor.read(attempt, context)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{'.'.join(map(str, first['loc']))}={quoted(first['input'])}"
        raise ConfigError(f"sensor {name!r} returned {where} on {label}: {first['msg']}; see Reading") from error
    except Exception as error:
        raise ConfigError(f"sensor {name!r} raised {error!r} on {label}; it must accept every attempt") from error
    if not isinstance(reading, Reading):
        raise ConfigError(f"sensor {name!r} returned {type(reading).__name__!r} on {label}; return a Reading")
    if reading.sensor != name:
        raise ConfigError(f"sensor {name!r} returned a reading of {reading.sensor!r} on {label}; use its own name")
    if "\n" in reading.reason:
        raise ConfigError(f"sensor {name!r} returned the reason {reading.reason!r} on {label}; keep it to one line")
    if Reading.model_validate_json(reading.model_dump_json()) != reading:
        raise ConfigError(f"sensor {name!r} returned a reading on {label} that JSON changes; use plain floats")
    return reading


def _snapshot(attempt: Attempt, context: SensorContext) -> bytes:
    told = (context.goal, context.rules, context.step, context.attempt, context.history)
    return pickle.dumps((attempt, told, context.action, context.observation))


def _state(sensor: Sensor) -> str:
    attributes = getattr(sensor, "__dict__", {})  # a class with __slots__ has none
    return repr(sorted((key, repr(value)) for key, value in attributes.items()))
