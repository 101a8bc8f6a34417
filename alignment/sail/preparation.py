"""Everything that is ready before the first step of ``homeostat align``: data, model, layers, path, token weights."""

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
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.fast import why_not
from homeostat.alignment.sail.layout import adapter_targets, find_decoder
from homeostat.alignment.sail.localization import Localization
from homeostat.alignment.sail.states import StateCache
from homeostat.alignment.sail.tokens import Tokens, tokenise
from homeostat.errors import ConfigError

__all__ = ["Work", "pair_weights", "prepare"]


@dataclass
class Work:
    """Everything that is ready before the first step."""

    settings: AlignSettings
    white: TransformersModel
    local: Localization | None
    layers: list[int]
    path: str
    why: str
    pairs: list[Pair]
    tokens: list[Tokens]
    held: list[Tokens]
    held_pairs: list[Pair]


def prepare(settings: AlignSettings) -> Work:
    """Load and check everything; nothing is written. Raises :class:`ConfigError` or ``ModelError``."""
    pairs = read_pairs(settings.data)
    if settings.swap:
        pairs = [Pair(p.prompt, p.rejected, p.chosen, p.kind, p.task, p.higher) for p in pairs]
    train, held = split_by_task(pairs, settings.held_out, settings.seed)
    if not train:
        raise ConfigError(f"held_out {settings.held_out!r} leaves no pair to train on; lower it")
    source = resolve(settings.model)
    model, processor = load_weights(source, settings.device, settings.dtype)
    style = load_style(source, model.config.model_type)
    white = TransformersModel(model, processor, name=settings.model, style=style, reuse=False)
    local = Localization.load(settings.localization) if settings.localization is not None else None
    layers = _layers(settings, local, len(find_decoder(model)))
    adapter_targets(model, layers, settings.targets)
    tokens = tokenise(white.renderer, train)
    why = "" if settings.path == "trl" else why_not(white, min(layers), tokens[0]) or ""
    if why and settings.path == "fast":
        raise ConfigError(f"path 'fast' does not apply: {why}; give auto or trl")
    path = "trl" if settings.path == "trl" or why else "fast"
    return Work(settings, white, local, layers, path, why, train, tokens, tokenise(white.renderer, held), list(held))


def _layers(settings: AlignSettings, local: Localization | None, count: int) -> list[int]:
    if settings.layers == "all":
        return list(range(count))
    if settings.layers in ("focal", "random"):
        assert local is not None
        if max(local.layers) >= count:
            raise ConfigError(
                f"localization names layer {max(local.layers)}, the model has {count}; localize this model"
            )
        if settings.layers == "focal":
            return sorted(local.layers)
        return sorted(random.Random(f"layers {settings.seed}").sample(range(count), len(local.layers)))
    return sorted({int(p) for p in settings.layers.split(",")})


def pair_weights(
    work: Work, pairs: Sequence[Pair], tokens: Sequence[Tokens], digest: str, cache: StateCache
) -> list[torch.Tensor]:
    """Every pair's blended weights, from the cache where they were computed before."""
    s = work.settings
    if s.weights == "uniform" or s.lam == 0:
        return [torch.ones(len(t.chosen) + len(t.rejected)) for t in tokens]
    heads = _heads(work) if s.weights == "attention" else ()
    told = (s.weights, heads, s.reward_alpha, s.beta, s.reward_model, s.positive_model, s.negative_model, s.judge_layer)
    name = hashlib.sha256(f"{digest} {told} {[p.digest for p in pairs]}".encode()).hexdigest()[:40]
    stored = cache.get(name)
    if stored is None:
        raw = _raw_weights(work, pairs, tokens, heads)
        stored = {f"{n} {side}": both[side] for n, both in enumerate(raw) for side in (0, 1)}
        cache.put(name, stored)
    return w.blend([(stored[f"{n} 0"], stored[f"{n} 1"]) for n in range(len(tokens))], s.lam)


def _heads(work: Work) -> tuple[tuple[int, int], ...]:
    assert work.local is not None
    if work.settings.heads == "focal":
        return work.local.heads
    decoder = find_decoder(work.white.model)
    every = [(layer, head) for layer in range(len(decoder)) for head in range(decoder.heads)]
    return tuple(sorted(random.Random(f"heads {work.settings.seed}").sample(every, len(work.local.heads))))


def _raw_weights(
    work: Work, pairs: Sequence[Pair], tokens: Sequence[Tokens], heads: tuple[tuple[int, int], ...]
) -> w.Raw:
    s = work.settings
    if s.weights == "attention":
        return w.attention_weights(work.white, tokens, heads)
    if s.weights == "judge":
        layer = s.judge_layer if s.judge_layer is not None else 2 * len(find_decoder(work.white.model)) // 3
        return w.judge_weights(work.white, pairs, tokens, layer)
    if s.weights == "reward":
        assert s.reward_model is not None
        reward = load_adapted(s.reward_model, s.device, s.dtype)
        return w.reward_weights(reward, work.white, tokens, s.reward_alpha, s.beta)
    assert s.positive_model is not None
    assert s.negative_model is not None
    one, other = (load_adapted(name, s.device, s.dtype) for name in (s.positive_model, s.negative_model))
    return w.contrast_weights(one, other, tokens)
