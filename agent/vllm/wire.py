"""What travels between a client of vLLM and the extension in its workers: what to read or steer, and what was read.

A request carries a :class:`SpanRequest` in ``SamplingParams.extra_args`` under the key ``"homeostat"``, as JSON text,
because ``vllm_xargs`` of the OpenAI endpoint takes texts and numbers only. When the request has ended, the client asks
every worker for the masses with ``collective_rpc("homeostat_take", args=([key],))`` and joins the answers with
:func:`joined_masses`. Nothing here needs torch or vLLM.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.spans import OUTPUT, Spans
from homeostat.sensors.steering.actuators import Actuator, Centric

__all__ = ["EXTRA", "SpanRequest", "entropies", "joined_masses", "packed_rows"]

EXTRA = "homeostat"
"""The key of ``SamplingParams.extra_args`` under which a request carries its spans."""


@dataclass(frozen=True)
class SpanRequest:
    """What a request wants of the workers' extension.

    Attributes:
        key: Names the request; the client chooses it, and no two open requests may share it.
        spans: The labelled token ranges of the prompt, with the prompt's length.
        layers: The layers to read; None for all.
        rows: How many of the prompt's last rows are read.
        steer: The rules that change the request's attention.
        watch: Whether masses are read. Without it, the request is only steered.
        samples: How many answers the request draws, ``SamplingParams.n``.
        every: Of the generated tokens, every how many-th is read; 1 reads all of them.
    """

    key: str
    spans: Spans
    layers: tuple[int, ...] | None = None
    rows: int = 32
    steer: tuple[Actuator, ...] = field(default=())
    watch: bool = True
    samples: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: The key is empty, the prompt's length is missing, or a number is out of its range.
        """
        if not self.key:
            raise ConfigError("key='' names no request; pass a text that no other open request has")
        if self.spans.length is None:
            raise ConfigError("the spans of a request need the prompt's length; pass Spans(…, length=…)")
        for name in ("samples", "every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)!r} is no number of tokens or answers; pass 1 or more")
        if self.rows < 1:
            raise ConfigError(f"rows={self.rows!r} reads nothing; pass 1 or more")
        if self.layers is not None and (not self.layers or min(self.layers) < 0):
            raise ConfigError(f"layers={self.layers!r}: pass indices of layers from 0 on, or None for all")

    def extra_args(self) -> dict[str, str]:
        """Returns the request as ``SamplingParams.extra_args`` (or ``vllm_xargs``) carries it."""
        told = {
            "key": self.key,
            "spans": {label: [list(pair) for pair in self.spans[label]] for label in self.spans},
            "length": self.spans.length,
            "layers": None if self.layers is None else list(self.layers),
            "rows": self.rows,
            "steer": [_plain(rule) for rule in self.steer],
            "watch": self.watch,
            "samples": self.samples,
            "every": self.every,
        }
        return {EXTRA: json.dumps(told)}

    @classmethod
    def of(cls, extra_args: Mapping[str, Any] | None) -> SpanRequest | None:
        """Reads what :meth:`extra_args` wrote.

        Args:
            extra_args: The ``extra_args`` of a request.

        Returns:
            The request; None where it wants nothing of the extension.

        Raises:
            ConfigError: The text is none that :meth:`extra_args` writes.
        """
        text = (extra_args or {}).get(EXTRA)
        if text is None:
            return None
        try:
            told = json.loads(text)
            spans = Spans(
                {label: [(int(a), int(b)) for a, b in pairs] for label, pairs in told["spans"].items()},
                length=int(told["length"]),
            )
            return cls(
                key=str(told["key"]),
                spans=spans,
                layers=None if told.get("layers") is None else tuple(map(int, told["layers"])),
                rows=int(told.get("rows", 32)),
                steer=tuple(_actuator(rule) for rule in told.get("steer", ())),
                watch=bool(told.get("watch", True)),
                samples=int(told.get("samples", 1)),
                every=int(told.get("every", 1)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{EXTRA!r} of a request's extra arguments is not a span request ({said})") from None


def packed_rows(
    masses: NDArray[np.float32], positions: Sequence[int], visible: Sequence[int], layers: Sequence[int]
) -> dict[str, Any]:
    """Packs one answer's masses into values that any serialiser takes.

    Args:
        masses: (R, L, H, S + 1) masses of R rows, in ascending order; "output" is the last column.
        positions: The R rows' slots.
        visible: The number of keys that each row sees.
        layers: The L layers.

    Returns:
        The values.
    """
    return {
        "shape": list(masses.shape),
        "data": np.ascontiguousarray(masses, np.float32).tobytes(),
        "positions": list(map(int, positions)),
        "visible": list(map(int, visible)),
        "layers": list(map(int, layers)),
    }


def joined_masses(
    request: SpanRequest, ranks: Sequence[Mapping[str, Any]], lengths: Mapping[int, int]
) -> list[SpanMass]:
    """Joins what the ranks of a tensor-parallel engine read: each has a share of the heads, in order.

    Args:
        request: The request.
        ranks: For each rank, what ``homeostat_take`` returned for the request's key.
        lengths: By sample, the number of generated tokens.

    Returns:
        The span masses of each sample, in the samples' order. Samples that share a prompt share its rows.

    Raises:
        ProbeError: A worker could not read the request, or read other rows than were generated.
    """
    found = []
    for rank in ranks:
        if rank.get("error"):
            raise ProbeError(f"vLLM's worker could not read request {request.key!r}: {rank['error']}")
    for sample in sorted(lengths):
        parts = [rank["samples"].get(str(sample)) for rank in ranks]
        if None in parts:
            raise ProbeError(f"vLLM's worker read nothing of answer {sample} of request {request.key!r}")
        found.append(_joined(request, [part for part in parts if part is not None], lengths[sample]))
    return found


def entropies(ranks: Sequence[Mapping[str, Any]], sample: int, tokens: int) -> tuple[float, ...]:
    """Reads the entropies of the distributions that an answer's tokens were drawn from.

    Args:
        ranks: For each rank, what ``homeostat_take`` returned for the request's key.
        sample: The answer's number.
        tokens: The number of generated tokens.

    Returns:
        The T entropies, in nats; () where the workers did not see the distributions. They see them if the engine's
        ``logprobs_mode`` is ``"processed_logprobs"`` and the request asks for log-probabilities.
    """
    found = next((part for rank in ranks if (part := rank["samples"].get(str(sample))) and part.get("entropy")), None)
    known = () if found is None else tuple(map(float, found["entropy"][:tokens]))
    return known if len(known) == tokens else ()


def _joined(request: SpanRequest, parts: Sequence[Mapping[str, Any]], tokens: int) -> SpanMass:
    arrays = [np.frombuffer(part["data"], np.float32).reshape(part["shape"]) for part in parts]
    mass = np.concatenate(arrays, axis=2)
    positions = np.array(parts[0]["positions"], np.int64)
    visible = np.array(parts[0]["visible"], np.int64)
    length = request.spans.length
    assert length is not None
    prompt = (positions < length) & (positions >= length - request.rows)
    token = positions - (length - 1)
    answer = (token >= 0) & (token < tokens) & (token % request.every == 0)
    wanted = -(-tokens // request.every)
    if int(answer.sum()) != wanted:
        raise ProbeError(
            f"vLLM's worker read {int(answer.sum())} of {wanted} tokens of request {request.key!r}; ask again"
        )
    return SpanMass(
        labels=(*request.spans.labels, OUTPUT),
        layers=tuple(parts[0]["layers"]),
        mass=np.ascontiguousarray(mass[answer]),
        prompt_mass=np.ascontiguousarray(mass[prompt]),
        lengths=np.array([*(request.spans.tokens(label) for label in request.spans), max(tokens - 1, 0)], np.int64),
        visible=visible[answer],
        index=token[answer] if request.every > 1 else None,
        prompt=length,
        spans=request.spans,
    )


def _plain(rule: Actuator) -> dict[str, Any]:
    """A rule as JSON writes it; what is not set is left out."""
    told = {name: value for name, value in asdict(rule).items() if value is not None}
    for name in ("heads", "layers"):
        if name in told:
            told[name] = sorted(list(one) if isinstance(one, tuple) else one for one in told[name])
    return told


def _actuator(told: Mapping[str, Any]) -> Actuator:
    """The rule that :func:`_plain` wrote."""
    values = {"span": None, **told}
    if values.get("heads") is not None:
        values["heads"] = frozenset((int(layer), int(head)) for layer, head in values["heads"])
    if values.get("layers") is not None:
        values["layers"] = frozenset(map(int, values["layers"]))
    for name in ("span", "to", "after"):
        if isinstance(values.get(name), list):
            values[name] = tuple((int(a), int(b)) for a, b in values[name])
    if values.get("where") is not None:
        values["where"] = Centric(**values["where"])
    return Actuator(**values)
