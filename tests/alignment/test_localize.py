"""Drift between twins, focal heads and layers, against eager attention."""

from itertools import islice

import numpy as np
import pytest
import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.phone import phone_twins
from homeostat.alignment.sail.head_drift import focal_heads, focal_layers, head_drift, twin_drift
from homeostat.alignment.sail.localize import causal_check, localize
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Readout


def eager(white, case, answer):
    """(T, L, H, P + T - 1) attention of the answer's rows, and each head's output (T, L, H, D)."""
    rendered = white.renderer.render(case.prompt)
    ids = torch.tensor([[*rendered.ids, *answer[:-1]]])
    outputs = []
    hooks = [
        layer.self_attn.o_proj.register_forward_pre_hook(lambda m, args: outputs.append(args[0][0]))
        for layer in white.model.model.language_model.layers
    ]
    with torch.no_grad():
        maps = white.model(
            input_ids=ids, pixel_values=rendered.inputs["pixel_values"], output_attentions=True
        ).attentions
    for hook in hooks:
        hook.remove()
    first = len(rendered.ids) - 1
    heads = maps[0].shape[1]
    attention = torch.stack([m[0, :, first:] for m in maps]).permute(2, 0, 1, 3).double().numpy()
    out = torch.stack([o[first:].unflatten(-1, (heads, -1)) for o in outputs]).permute(1, 0, 2, 3).double().numpy()
    return attention, out, rendered


def test_three_families_equal_their_definitions():
    white = TransformersModel.load("homeostat/nano", "cpu", "float32", reuse=False)
    both = next(t for t in phone_twins(white.style, "train", 1, ["forbidden_app"]) if same_length(white, t))
    answer = answer_tokens(white.renderer, both.conflict.prompt, both.conflict.chosen)
    readout = Readout(statistics=frozenset({"outputs"}))
    masses = [white.read(c.prompt, answer, readout) for c in (both.conflict, both.aligned)]
    found = twin_drift(*masses, both.conflict.higher)
    white.model.set_attn_implementation("eager")
    (a, oa, rendered), (b, ob, _) = (eager(white, c, answer) for c in (both.conflict, both.aligned))

    def mass(maps, label):
        return sum(maps[..., start:stop].sum(-1) for start, stop in rendered.spans[label])

    def both_ways(values):
        return (values[0] + values.mean(0)) / 2

    assert np.allclose(found[0], both_ways(np.abs(mass(a, "rules") - mass(b, "rules"))), atol=1e-5)
    cosine = (oa * ob).sum(-1) / np.linalg.norm(oa, axis=-1) / np.linalg.norm(ob, axis=-1)
    assert np.allclose(found[1], both_ways(1 - cosine), atol=1e-5)
    bins = []
    for maps in (a, b):
        spans = [mass(maps, label) for label in rendered.spans]
        spans.append(maps[..., len(rendered.ids) :].sum(-1))
        spans.append(1 - sum(spans))
        bins.append(np.clip(np.stack(spans, -1), 1e-15, None))
    middle = (bins[0] + bins[1]) / 2
    divergence = sum((p * np.log(p / middle)).sum(-1) for p in bins) / 2
    assert np.allclose(found[2], both_ways(divergence), atol=1e-5)


def same_length(white, both):
    return len(white.renderer.render(both.conflict.prompt).ids) == len(white.renderer.render(both.aligned.prompt).ids)


def test_focal_layers_are_the_smallest_set_with_half_of_the_heads():
    score = np.array([[9.0, 1, 1, 1], [8, 7, 6, 1], [5, 4, 1, 1]])
    heads = focal_heads(score, 0.5)
    assert heads == ((0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1))
    assert focal_layers(heads) == (1,)
    assert focal_layers(((0, 0), (1, 0), (2, 0))) == (0, 1)
    with pytest.raises(ConfigError, match="not a share"):
        focal_heads(score, 0)


def test_localize_reads_twins_and_its_file_comes_back(white, tmp_path):
    twins = list(islice(phone_twins(white.style, "train", 1, ["forbidden_app", "role"]), 12))
    found = localize(white, twins, top=0.25)
    assert 0 < found.twins <= 12
    assert len(found.heads) == 5
    best = np.unravel_index(np.argmax(found.score), np.shape(found.score))
    assert found.heads[0] == tuple(best)
    found.save(tmp_path / "localization.json")
    assert type(found).load(tmp_path) == found


def test_unequal_twins_are_refused(white):
    twins = [t for t in islice(phone_twins(white.style, "train", 1, ["peer"]), 8) if not same_length(white, t)]
    assert twins
    with pytest.raises(ConfigError, match="equal length"):
        head_drift(white, twins)


def test_the_causal_check_steers_the_named_heads(white):
    cases = [t.conflict for t in islice(phone_twins(white.style, "train", 1, ["forbidden_app"]), 2)]
    told = causal_check(white, cases, ((1, 0), (2, 1)), factor=1.0, draws=2)
    assert told.margin_focal == pytest.approx(told.margin_plain, abs=1e-4)
    assert list(told.margin_random) == pytest.approx([told.margin_plain] * 2, abs=1e-4)
    assert not told.holds
    moved = causal_check(white, cases, tuple((la, h) for la in range(5) for h in range(3)), factor=1e-3, draws=2)
    assert abs(moved.margin_focal - moved.margin_plain) > 0.1
