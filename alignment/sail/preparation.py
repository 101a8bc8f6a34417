"""Prepares a run of ``homeostat align``: data, model, layers, training path and token weights."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from homeostat.agent.models.loading import load_style, load_weights, resolve
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import Pair, read_pairs, split_by_task
from homeostat.alignment.sail import weights as w
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.alignment.sail.anchor_weights import anchor_weights
from homeostat.alignment.sail.cache import StateCache
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.fast import why_not
from homeostat.alignment.sail.layout import adapter_targets, find_decoder
from homeostat.alignment.sail.localization import Localization
from homeostat.alignment.sail.tokens import Tokens, tokenise
from homeostat.errors import ConfigError

__all__ = ["PairSet", "Preparation", "prepare", "token_weights"]

Heads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PairSet:
    """Preference pairs with their tokens.

    Attributes:
        pairs: The pairs.
        tokens: The same pairs as tokens.
    """

    pairs: Sequence[Pair]
    tokens: Sequence[Tokens]

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self.pairs)

    def ones(self) -> list[torch.Tensor]:
        """Returns weights (C + R,) of 1 for the answer tokens of every pair: plain DPO."""
        return [torch.ones(len(t.chosen) + len(t.rejected)) for t in self.tokens]


@dataclass(frozen=True)
class Preparation:
    """Everything that a run needs before its first step.

    Attributes:
        settings: The run's settings.
        model: The frozen model, which is also DPO's reference.
        localization: The focal heads and layers; None if the settings name no file.
        layers: The layers to adapt, ascending.
        path: The training path, ``fast`` or ``trl``.
        why_not_fast: Why the fast path does not apply; empty if it does, or if it was not asked for.
        train: The pairs to train on.
        held_out: The pairs that only measure the held-out loss.
    """

    settings: AlignSettings
    model: TransformersModel
    localization: Localization | None
    layers: list[int]
    path: str
    why_not_fast: str
    train: PairSet
    held_out: PairSet


def prepare(settings: AlignSettings) -> Preparation:
    """Loads and checks everything. Nothing is written.

    Args:
        settings: The run's settings.

    Returns:
        The preparation.

    Raises:
        ConfigError: The data, the layers, the targets or the training path do not suit the model.
        ModelError: The model can't be loaded or adapted.
    """
    pairs = read_pairs(settings.data)
    if settings.swap:
        pairs = [Pair(p.prompt, p.rejected, p.chosen, p.kind, p.task, p.higher) for p in pairs]
    train, held_out = split_by_task(pairs, settings.held_out, settings.seed)
    if not train:
        raise ConfigError(f"held_out {settings.held_out!r} leaves no pair to train on; lower it")
    source = resolve(settings.model, settings.revision)
    network, processor = load_weights(source, **settings.load_options())
    style = load_style(source, network.config.model_type, processor)
    model = TransformersModel(network, processor, name=settings.model, style=style, reuse=False)
    localization = Localization.from_pretrained(settings.localization) if settings.localization is not None else None
    layers = _layers(settings, localization, len(find_decoder(network)))
    adapter_targets(network, layers, settings.targets)
    tokens = tokenise(model.renderer, train)
    shortest = min(tokens, key=lambda one: len(one.prompt.ids) + len(one.chosen) + len(one.rejected))
    reason = "" if settings.path == "trl" else why_not(model, min(layers), shortest) or ""
    if reason and settings.path == "fast":
        raise ConfigError(f"path 'fast' does not apply: {reason}; give auto or trl")
    path = "trl" if settings.path == "trl" or reason else "fast"
    held_out_set = PairSet(held_out, tokenise(model.renderer, held_out))
    return Preparation(settings, model, localization, layers, path, reason, PairSet(train, tokens), held_out_set)


def _layers(settings: AlignSettings, localization: Localization | None, count: int) -> list[int]:
    if settings.layers == "all":
        return list(range(count))
    if settings.layers in ("focal", "random"):
        assert localization is not None
        if max(localization.layers) >= count:
            raise ConfigError(
                f"localization names layer {max(localization.layers)}, but the model has {count} layers; "
                "run homeostat localize on this model"
            )
        if settings.layers == "focal":
            return sorted(localization.layers)
        return sorted(random.Random(f"layers {settings.seed}").sample(range(count), len(localization.layers)))
    return sorted({int(p) for p in settings.layers.split(",")})


def token_weights(prepared: Preparation, digest: str, cache: StateCache) -> list[torch.Tensor]:
    """Computes the token weights of the training pairs, or takes them from the cache.

    Args:
        prepared: The preparation.
        digest: The digest of the frozen model's weights.
        cache: Where unblended token weights are stored.

    Returns:
        For each pair, weights (C + R,) of the chosen answer's and then the rejected answer's tokens.

    Raises:
        ConfigError: A prompt has no span of the higher instruction.
        ModelError: A model that the weights come from can't be loaded.
    """
    s, train = prepared.settings, prepared.train
    if s.weights == "uniform" or s.lam == 0:
        return train.ones()
    heads = _heads(prepared) if s.weights == "attention" else ()
    told = (s.weights, heads, s.reward_alpha, s.beta, s.reward_model, s.positive_model, s.negative_model, s.judge_layer)
    key = (*told, s.anchor_credit) if s.weights == "anchors" else told
    name = hashlib.sha256(f"{digest} {key} {[p.digest for p in train.pairs]}".encode()).hexdigest()[:40]
    stored = cache.get(name)
    if stored is None:
        raw = _raw_weights(prepared, heads)
        stored = {f"{n} {side}": both[side] for n, both in enumerate(raw) for side in (0, 1)}
        cache.put(name, stored)
    return w.blend([(stored[f"{n} 0"], stored[f"{n} 1"]) for n in range(len(train))], s.lam)


def _heads(prepared: Preparation) -> Heads:
    assert prepared.localization is not None
    if prepared.settings.heads == "focal":
        return prepared.localization.heads
    decoder = find_decoder(prepared.model.model)
    every = [(layer, head) for layer in range(len(decoder)) for head in range(decoder.heads)]
    rng = random.Random(f"heads {prepared.settings.seed}")
    return tuple(sorted(rng.sample(every, len(prepared.localization.heads))))


def _raw_weights(prepared: Preparation, heads: Heads) -> w.Raw:
    s, model, tokens = prepared.settings, prepared.model, prepared.train.tokens
    if s.weights == "attention":
        return w.attention_weights(model, tokens, heads)
    if s.weights == "anchors":
        return anchor_weights(model, tokens, s.anchor_credit)
    if s.weights == "judge":
        layer = s.judge_layer if s.judge_layer is not None else 2 * len(find_decoder(model.model)) // 3
        return w.judge_weights(model, prepared.train.pairs, tokens, layer)
    if s.weights == "reward":
        assert s.reward_model is not None
        reward = load_adapted(s.reward_model, **s.other_load_options())
        return w.reward_weights(reward, model, tokens, s.reward_alpha, s.beta)
    assert s.positive_model is not None
    assert s.negative_model is not None
    positive, negative = (load_adapted(name, **s.other_load_options()) for name in (s.positive_model, s.negative_model))
    return w.contrast_weights(positive, negative, tokens)
