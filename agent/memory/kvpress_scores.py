"""Policies that take their scores from the package kvpress (github.com/NVIDIA/kvpress).

A scorer of kvpress is a class with a method ``score`` that gives every key of a layer a number. Scorers of two kinds
can be used at a turn boundary: those that look at keys and values only, and those that also look at the hidden states
that enter the layer, which are noted while the model reads a prompt.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from homeostat.agent.memory.policies import Policy
from homeostat.agent.memory.view import View
from homeostat.errors import ConfigError, UnknownName

__all__ = ["kvpress_policy"]

_FROM_KEYS = ("KeyDiffPress", "KnormPress", "LagKVPress", "RandomPress", "StreamingLLMPress")
"""Scorers that need nothing but keys and values."""

_FROM_STATES = ("ExpectedAttentionPress", "SnapKVPress", "TOVAPress")
"""Scorers that need the hidden states of the whole prompt."""


def kvpress_policy(name: str) -> Policy:
    """Makes a policy of a scorer.

    Args:
        name: The scorer's class, such as ``KnormPress``.

    Returns:
        The policy.

    Raises:
        UnknownName: There is no such scorer, or it can't be used at a turn boundary.
        ConfigError: kvpress is not installed.
    """
    if name not in (*_FROM_KEYS, *_FROM_STATES):
        raise UnknownName.of("kvpress scorer", name, (*_FROM_KEYS, *_FROM_STATES))
    try:
        kvpress = _kvpress()
    except ImportError as error:
        raise ConfigError(
            f"policy 'kvpress:{name}' needs kvpress ({error}); run: pip install --no-deps kvpress==0.5.5 fire "
            "cachetools termcolor"
        ) from None
    press = getattr(kvpress, name)()
    if name in _FROM_KEYS:
        return Policy(_KeyScores(press), all_layers=True, measures=False)
    states = _StateScores(press)
    return Policy(states, all_layers=True, measures=False, around=states.around)


def _kvpress() -> Any:
    """The package. Its import wraps every attention function, which only its own caches need: that is taken back."""
    if "kvpress" in sys.modules:
        return sys.modules["kvpress"]
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    package = importlib.import_module("kvpress")
    for name in list(ALL_ATTENTION_FUNCTIONS):
        with suppress(KeyError):
            del ALL_ATTENTION_FUNCTIONS[name]  # type: ignore[no-untyped-call]  # the wrapped function, which hid transformers' own
    return package


class _KeyScores:
    """Scores keys and values as they lie in the cache."""

    def __init__(self, press: Any) -> None:
        self._press = press

    def __call__(self, view: View) -> Tensor:
        found = []
        for layer in view.cache.thinned:
            assert layer.keys is not None
            scores = self._press.score(None, None, layer.keys, layer.values, None, {})[0].float()
            found.append(_wide(view, scores, layer.slots().expand(len(scores), -1)))
        return view.best(torch.stack(found))


class _StateScores:
    """Scores the keys of a prompt that is read as a whole, layer by layer, while the model reads it.

    Tokens that came later have no score. They stay, as the newest ones, until the prompt is read again (``refresh``).
    """

    def __init__(self, press: Any) -> None:
        self._press = press
        self._scores: dict[int, Tensor] = {}

    @contextmanager
    def around(self, model: Any) -> Iterator[None]:
        """Listens to the attention layers while the model runs.

        Args:
            model: The transformers model.

        Yields:
            Nothing.
        """
        inner = model.get_decoder()
        modules = [layer.self_attn for layer in inner.layers]
        hooks = []
        try:
            for module in modules:
                module.rotary_emb = inner.rotary_emb  # where kvpress's scorers look for it
                hooks.append(module.register_forward_hook(self._note, with_kwargs=True))
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for module in modules:
                with suppress(AttributeError):  # another scorer may have taken it away before
                    del module.rotary_emb

    def _note(self, module: Any, given: Any, kwargs: dict[str, Any], output: Any) -> None:
        states, cache = kwargs["hidden_states"], kwargs["past_key_values"]
        layer = cache.layers[module.layer_idx]
        if states.shape[1] == layer.keys.shape[-2] > 1:  # the whole prompt, in one forward
            scores = self._press.score(module, states, layer.keys, layer.values, None, kwargs)
            self._scores[module.layer_idx] = scores[0].float()

    def __call__(self, view: View) -> Tensor:
        found = []
        for number in range(len(view.cache.layers)):
            scores = self._scores[number]
            slots = torch.arange(scores.shape[1], device=scores.device).expand(len(scores), -1)
            found.append(_wide(view, scores, slots))
        return view.best(torch.stack(found))


def _wide(view: View, scores: Tensor, slots: Tensor) -> Tensor:
    """(G, N) scores; a token without a score is worth more than any other, the newest most."""
    newest = torch.arange(view.length, device=scores.device) + scores.max() + 1
    return newest.expand(len(scores), -1).clone().scatter_(1, slots, scores)
