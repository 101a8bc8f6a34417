"""What a client of vLLM's chat endpoint asks for in the extra field ``homeostat``, and what it gets back there."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.agent.prompts.chat import with_labels
from homeostat.agent.vllm.wire import EXTRA, SpanRequest
from homeostat.errors import ConfigError
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.chat.rendering import Renderer
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["Wanted", "plain_chat", "reading", "rendered_as", "span_request"]

_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_SHOWN = 4
"""The digits of a mass that is told as text."""


class Wanted(BaseModel):
    """The extra field ``homeostat`` of a request.

    Attributes:
        layers: The layers that are read; None for all.
        rows: How many of the prompt's last rows are read besides the answer's.
        array: Whether the masses of every row, layer and head are returned.
        steer: Rules that change the attention, with the fields of :class:`~homeostat.sensors.Actuator`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    layers: tuple[int, ...] | None = None
    rows: int = Field(default=32, ge=1)
    array: bool = False
    steer: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, given: Any) -> Wanted:
        """Reads the field.

        Args:
            given: The field's value; ``true`` asks for readings without options.

        Returns:
            What is wanted.

        Raises:
            ConfigError: An option is unknown or wrong; the error names it.
        """
        if given is True:
            return cls()
        if not isinstance(given, Mapping):
            raise ConfigError(f"homeostat={repr(given)[:40]}: pass true, or an object such as {{'rows': 8}}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields)
                raise ConfigError(f"homeostat.{where} is not known to vLLM's endpoint; known: {known}") from None
            raise ConfigError(f"homeostat.{where}: {first['msg']}") from None


def plain_chat(messages: Any) -> list[Any]:
    """Returns the messages as vLLM takes them, without the labels.

    Args:
        messages: The messages of a request.

    Returns:
        Copies without the key ``label``.

    Raises:
        ConfigError: They are no messages, or hold more than text.
    """
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        raise ConfigError("messages must be a list of objects with a role and a content")
    found = []
    for number, message in enumerate(messages):
        new = {key: value for key, value in message.items() if key != "label"}
        if isinstance(content := new.get("content"), list):
            for part in content:
                kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
                if kind not in _TEXTS:
                    raise ConfigError(f"message {number} has a part of type {kind!r}; only texts are read here")
            new["content"] = [{key: value for key, value in part.items() if key != "label"} for part in content]
        found.append(new)
    return found


def rendered_as(
    renderer: Renderer, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], ids: Sequence[int]
) -> Rendered:
    """Finds the token range of every label in the prompt that vLLM has rendered.

    Args:
        renderer: A renderer with the server's tokenizer and chat template.
        messages: The messages of a request, with their labels.
        tools: The tools that the prompt describes.
        ids: The tokens of vLLM's prompt.

    Returns:
        The prompt with the same tokens.

    Raises:
        ConfigError: No rendering has these tokens, or a message is invalid.
        ModelError: The chat template can't be followed.
    """
    labelled = with_labels(messages)
    lengths = []
    for separator in ("\n", ""):  # vLLM joins the texts of a message by a new line, unless the template takes lists
        found = renderer.render(Prompt.from_chat([_separated(one, separator) for one in labelled], tools=tools))
        if found.ids == list(ids):
            return found
        lengths.append(len(found.ids))
        if not any(isinstance(one["content"], list) for one in labelled):
            break
    raise ConfigError(
        f"vLLM renders this chat as {len(ids)} other tokens than the {lengths[0]} whose labels are known; leave out "
        "control tokens in texts, chat_template, chat_template_kwargs, continue_final_message and truncation"
    )


def span_request(
    wanted: Wanted, rendered: Rendered, samples: int, layers: int, heads: int
) -> tuple[SpanRequest, dict[str, Any]]:
    """Makes what the workers are asked for.

    Args:
        wanted: The request's extra field.
        rendered: Its prompt.
        samples: The number of answers.
        layers: The number of the model's layers.
        heads: The number of a layer's heads.

    Returns:
        The span request, with a key of its own, and the fields that the request to vLLM needs besides.

    Raises:
        ConfigError: A layer, a head or a label does not exist, or a rule is wrong.
    """
    if wanted.steer and samples > 1:
        raise ConfigError(f"n={samples} with steer: answers that share a prompt can't be steered here; pass n=1")
    if wanted.layers is not None and (wrong := [one for one in wanted.layers if not 0 <= one < layers]):
        raise ConfigError(f"homeostat.layers: layer {wrong[0]} does not exist; the layers are 0 to {layers - 1}")
    known = set(Actuator.__dataclass_fields__)
    for rule in wanted.steer:
        if unknown := sorted(set(rule) - known):
            raise ConfigError(f"homeostat.steer: {unknown[0]!r} is unknown; known: {', '.join(sorted(known))}")
    key = secrets.token_hex(16)
    spans = rendered.as_spans()
    told = SpanRequest(key, spans, wanted.layers, wanted.rows, samples=samples).extra_args()[EXTRA]
    request = SpanRequest.of({EXTRA: json.dumps({**json.loads(told), "steer": [dict(rule) for rule in wanted.steer]})})
    assert request is not None
    if not request.steer:
        return request, {}
    from homeostat.agent.vllm.dense_steering import DenseSteering

    DenseSteering(request, range(layers), range(heads))  # names what is wrong before anything is generated
    # Keys behind a steered layer differ from those of other requests: with a salt of its own, none is ever shared.
    return request, {"cache_salt": secrets.token_urlsafe(32)}


def reading(mass: SpanMass, *, array: bool) -> dict[str, Any]:
    """Words the masses of one answer for the response.

    Args:
        mass: The masses.
        array: Whether every row, layer and head is told.

    Returns:
        ``mass``, by label the mean over the answer's tokens, layers and heads; ``mass_by_token``, the mean of every
        token; ``span_tokens``; ``layers``; and ``array`` on request: base64 of float32 values in little-endian order,
        with their shapes (rows, layers, heads, labels).
    """
    means = mass.mass.mean(axis=(1, 2)) if len(mass.mass) else np.zeros((0, len(mass.labels)), np.float32)
    told: dict[str, Any] = {
        "mass": dict(zip(mass.labels, _short(means.mean(axis=0)) if len(means) else [], strict=False)),
        "mass_by_token": {label: _short(means[:, i]) for i, label in enumerate(mass.labels)},
        "span_tokens": dict(zip(mass.labels, mass.lengths.tolist(), strict=True)),
        "layers": list(mass.layers),
    }
    if array:
        told["array"] = {
            "labels": list(mass.labels),
            "mass": _packed(mass.mass),
            "prompt_mass": _packed(mass.prompt_mass),
        }
    return told


def _separated(message: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """A message whose parts are joined by a text that belongs to no span."""
    content = message.get("content")
    if not isinstance(content, list) or not separator:
        return dict(message)
    parts: list[Any] = []
    for part in content:
        if parts:
            parts.append({"type": "text", "text": separator, "label": "template"})
        parts.append(part)
    return {**message, "content": parts}


def _short(values: NDArray[np.float32]) -> list[float]:
    return [float(f"{value:.{_SHOWN}g}") for value in values.tolist()]


def _packed(values: NDArray[np.float32]) -> dict[str, Any]:
    data = np.ascontiguousarray(values, "<f4").tobytes()
    return {"shape": list(values.shape), "data": base64.b64encode(data).decode()}
