"""The cache with room behind its keys holds what transformers' own holds, whatever is done to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, Gemma2Config, LlamaConfig

from homeostat.agent.models.roomy_cache import RoomyLayer, can_be_cut, roomy_cache

CONFIG = LlamaConfig(num_hidden_layers=2, hidden_size=32, num_attention_heads=4, num_key_value_heads=2)


def tokens(count: int, rows: int = 1) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, 2, count, 8), torch.randn(rows, 2, count, 8)


def assert_same(one: DynamicCache, other: DynamicCache) -> None:
    assert one.get_seq_length() == other.get_seq_length()
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        torch.testing.assert_close(mine.keys, theirs.keys, rtol=0, atol=0)
        torch.testing.assert_close(mine.values, theirs.values, rtol=0, atol=0)


def test_it_holds_what_a_dynamic_cache_holds() -> None:
    torch.manual_seed(0)
    caches = roomy_cache(CONFIG), DynamicCache(config=CONFIG)

    def both(count: int, rows: int = 1) -> None:
        for layer in range(2):
            given = tokens(count, rows)
            found = [cache.update(*given, layer) for cache in caches]
            for mine, theirs in zip(*found, strict=True):
                torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
        assert_same(*caches)

    both(5)
    for _ in range(200):
        both(1)
    for cache in caches:
        cache.crop(-150)
    both(3)
    for cache in caches:
        cache.batch_repeat_interleave(3)
    both(2, 3)
    for cache in caches:
        cache.batch_select_indices(torch.tensor([2, 0]))
    both(1, 2)
    for cache in caches:
        cache.reorder_cache(torch.tensor([1, 0]))
    both(70, 2)
    for cache in caches:
        cache.reset()
    both(4)


def test_a_token_more_copies_nothing() -> None:
    layer = RoomyLayer()
    layer.update(*tokens(100))
    first = layer.keys.data_ptr()
    for _ in range(50):
        layer.update(*tokens(1))
    assert layer.keys.data_ptr() == first
    assert layer.keys.shape == (1, 2, 150, 8)


def test_what_was_cropped_is_not_seen_again() -> None:
    layer = RoomyLayer()
    keys, values = tokens(10)
    layer.update(keys, values)
    layer.crop(-6)
    more = tokens(2)
    found, _ = layer.update(*more)
    torch.testing.assert_close(found, torch.cat([keys[:, :, :4], more[0]], 2))


def test_it_goes_on_outside_of_inference_mode() -> None:
    layer = RoomyLayer()
    with torch.inference_mode():
        layer.update(*tokens(3))
    with torch.no_grad():
        layer.update(*tokens(2))
    assert layer.get_seq_length() == 5


@pytest.mark.parametrize(
    ("config", "cut"),
    [(CONFIG, True), (Gemma2Config(num_hidden_layers=2, hidden_size=32, num_attention_heads=4, head_dim=8), False)],
)
def test_sliding_windows_can_not_be_cut(config: LlamaConfig | Gemma2Config, cut: bool) -> None:
    assert can_be_cut(roomy_cache(config)) is cut
