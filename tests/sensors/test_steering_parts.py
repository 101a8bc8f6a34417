"""Steering in prefill, beside the fused kernel: against attention in float64 with every weight written out."""

from math import log
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from homeostat.sensors import Actuator, Spans
from homeostat.sensors.probe.attention_function import PROBES, probe_attention
from homeostat.sensors.steering.binding import Steering
from homeostat.sensors.steering.runs import Run, runs_of

LENGTH, HEADS, GROUPS, SIZE = 160, 4, 2, 16
SCALE = 0.6
MANY = tuple((k, k + 2) for k in range(4, 150, 7))
RULES = {
    "gain, short": [Actuator(((20, 24),), gain=3.0)],
    "gain, long": [Actuator(((20, 60),), gain=3.0)],
    "gain at the start": [Actuator(((0, 50),), gain=5.0)],
    "gain at the end": [Actuator(((150, 160),), gain=5.0)],
    "gain below one": [Actuator(((20, 24),), gain=0.02)],
    "gain on one key": [Actuator(((0, 1),), gain=30.0)],
    "target, short": [Actuator(((20, 24),), target=0.3)],
    "target, long": [Actuator(((20, 60),), target=0.3)],
    "target of the whole prompt but its end": [Actuator(((0, 159),), target=0.5)],
    "raise only": [Actuator(((20, 24),), target=0.03, raise_only=True)],
    "floor, short": [Actuator(((20, 24),), floor=0.3)],
    "floor, long": [Actuator(((20, 60),), floor=0.6)],
    "floor that is reached": [Actuator(((0, 100),), floor=0.01)],
    "scale": [Actuator(((20, 24),), scale=0.2)],
    "nothing left": [Actuator(((20, 24),), scale=0.0)],
    "scale, given to a span": [Actuator(((20, 24),), scale=0.2, to=((60, 64),))],
    "several ranges": [Actuator(((5, 8), (30, 33), (90, 92)), target=0.3)],
    "several long ranges": [Actuator(((5, 28), (30, 83), (90, 92)), gain=4.0)],
    "two rules": [Actuator(((5, 12),), gain=3.0), Actuator(((8, 40), (100, 120)), target=0.5)],
    "output rows": [Actuator(((20, 60),), target=0.3, rows="output")],
    "rows after a span": [Actuator(((20, 24),), target=0.3, after=((70, 90),))],
    "rows after a part of the span": [Actuator(((20, 100),), gain=3.0, after=((70, 90),))],
    "some heads": [Actuator(((20, 60),), target=0.3, heads=frozenset({(0, 1), (0, 2)}))],
    "outside": [Actuator(((20, 60),), gain=0.01, reach="outside")],
    "more ranges than parts": [Actuator(MANY, gain=3.0)],
    "more ranges than parts, moved": [Actuator(MANY, target=0.5)],
}


def drawn(batch=1, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, n, LENGTH, SIZE, generator=generator).to(dtype) for n in (HEADS, GROUPS, GROUPS)]


def steered(rules, spans, query, key, value, mask=None):
    """What the attention function gives, with a run that reads nothing and steers by the rules."""
    module = nn.Identity()
    module.layer_idx, module.num_key_value_groups = 0, HEADS // GROUPS
    run = SimpleNamespace(active=False, total=LENGTH)
    PROBES[module] = SimpleNamespace(recorder=run, steering=Steering(rules, spans, [0], 1))
    with torch.no_grad():
        return probe_attention(module, query, key, value, mask, scaling=SCALE)[0]


def written_out(rules, spans, query, key, value, mask=None):
    """(B, Q, H, D) in float64: every weight, changed by the rules' own words."""
    query, key, value = query.double(), *(x.double().repeat_interleave(HEADS // GROUPS, 1) for x in (key, value))
    rows = torch.arange(LENGTH)
    see = (rows <= rows[:, None])[None, None] if mask is None else mask
    scores = query @ key.mT * SCALE
    each = len(query) // len(spans)

    def keys(ranges, prompt):
        member = torch.zeros(LENGTH, dtype=torch.float64)
        for start, stop in Spans({"x": ranges})["x"] if not isinstance(ranges, str) else spans[prompt][ranges]:
            member[start:stop] = 1
        return member

    def table(ranges):
        return torch.stack([keys(ranges, b // each) for b in range(len(query))])[:, None, None]

    def member_of(rule):
        inside = table(rule.span)
        return 1 - inside if rule.reach == "outside" else inside

    def acting(rule):
        chosen = torch.ones(len(query), HEADS, LENGTH, 1, dtype=torch.bool)
        if rule.rows == "output":
            chosen &= (rows >= LENGTH - 1)[:, None]
        if rule.after is not None:
            chosen &= (rows >= max(stop for _, stop in rule.after))[:, None]
        if rule.heads is not None:
            chosen &= torch.tensor([(0, head) in rule.heads for head in range(HEADS)])[:, None, None]
        return chosen

    for rule in rules:
        if rule.gain is not None:
            scores = scores + acting(rule) * member_of(rule) * log(rule.gain)
    weights = scores.masked_fill(~see, -1e300).softmax(-1) * see.any(-1, keepdim=True)
    for rule in rules:
        if rule.gain is not None:
            continue
        member = member_of(rule)
        mass = (weights * member).sum(-1, keepdim=True)
        acts = acting(rule) & (mass > 0) & (mass < 1 - 1e-6)
        if rule.floor is not None:
            counted = acting(rule) & see.any(-1, keepdim=True)
            mean = (mass * counted).sum((1, 2, 3)) / counted.expand_as(mass).sum((1, 2, 3))
            factor = (rule.floor / mean).clamp(min=1)[:, None, None, None]
            changed = weights * (1 + (factor - 1) * member)
            changed = changed / changed.sum(-1, keepdim=True).clamp(min=1e-300)
            acts = acting(rule)
        elif rule.to is not None:
            taker = table(rule.to)
            given = (weights * taker).sum(-1, keepdim=True)
            acts = acts & (given > 0)
            more = 1 + (1 - rule.scale) * mass / given.clamp(min=1e-300)
            changed = weights * (1 + (rule.scale - 1) * member + (more - 1) * taker)
        else:
            new = rule.target if rule.target is not None else rule.scale * mass
            if rule.raise_only:
                acts = acts & (mass < new)
            inside, outside = new / mass.clamp(min=1e-300), (1 - new) / (1 - mass).clamp(min=1e-300)
            changed = weights * torch.where(member > 0, inside, outside)
        weights = torch.where(acts, changed, weights)
    return (weights @ value).transpose(1, 2)


@pytest.mark.parametrize("name", RULES)
def test_one_prompt(name):
    spans = [Spans({"all": [(0, LENGTH)]}, length=LENGTH)]
    tensors = drawn()
    got, wanted = steered(RULES[name], spans, *tensors), written_out(RULES[name], spans, *tensors)
    torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=1e-5)
    plain = steered([Actuator(((0, 1),), gain=1.0)], spans, *tensors)
    if name != "floor that is reached":
        assert float((got - plain).abs().max()) > 1e-2  # the rules do something


@pytest.mark.parametrize("name", [name for name in RULES if name not in ("outside",)])
def test_a_padded_batch(name):
    """Two prompts with spans and padding of their own, each drawn twice, under the mask that SDPA gets."""
    pads = (0, 0, 9, 9)
    spans = [Spans({"all": [(pad, LENGTH)]}, length=LENGTH) for pad in (0, 9)]
    rows = torch.arange(LENGTH)
    see = torch.stack([(rows <= rows[:, None]) & (rows >= pad) for pad in pads])[:, None]
    tensors = drawn(4, 1)
    got, wanted = steered(RULES[name], spans, *tensors, see), written_out(RULES[name], spans, *tensors, see)
    real = see.any(-1)[:, 0, :, None, None]  # kernels disagree about rows that see nothing
    assert got.isfinite().all()
    torch.testing.assert_close(got.double() * real, wanted * real, atol=1e-5, rtol=1e-5)


def test_prompts_of_a_batch_are_steered_at_their_own_spans():
    spans = [Spans({"goal": [(20, 24)]}, length=LENGTH), Spans({"goal": [(40, 90), (100, 103)]}, length=LENGTH)]
    for rule in (Actuator("goal", target=0.4), Actuator("goal", gain=4.0), Actuator("goal", floor=0.5)):
        tensors = drawn(4, 2)
        got, wanted = steered([rule], spans, *tensors), written_out([rule], spans, *tensors)
        torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gain, short", "gain, long", "gain below one", "target, short", "target, long"])
def test_half_precision_rounds_like_the_kernel(name, dtype):
    spans = [Spans({"all": [(0, LENGTH)]}, length=LENGTH)]
    tensors = drawn(dtype=dtype)
    got, wanted = steered(RULES[name], spans, *tensors), written_out(RULES[name], spans, *tensors)
    off = float((got.double() - wanted).abs().max())
    assert off < 6 * torch.finfo(dtype).eps  # a few roundings of numbers of order 1


def test_training_gets_the_gradient_of_the_steered_attention():
    spans = [Spans({"all": [(0, LENGTH)]}, length=LENGTH)]
    module = nn.Identity()
    module.layer_idx, module.num_key_value_groups = 0, HEADS // GROUPS
    for rules in (RULES["gain, short"], RULES["target, short"]):
        PROBES[module] = SimpleNamespace(
            recorder=SimpleNamespace(active=False, total=LENGTH), steering=Steering(rules, spans, [0], 1)
        )
        grads = []
        for attention in (
            lambda q, k, v: probe_attention(module, q, k, v, None, scaling=SCALE)[0],
            lambda q, k, v, rules=rules: written_out(rules, spans, q, k, v),
        ):
            tensors = [x.requires_grad_() for x in drawn(seed=3)]
            attention(*tensors).double().square().sum().backward()
            grads.append([x.grad for x in tensors])
        for mine, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-4, rtol=1e-3)


def test_runs_split_keys_where_spans_begin_and_end():
    assert runs_of([(3, 6), (5, 9), (-4, 1), (20, 30)], 25) == (
        Run(0, 1, True),
        Run(1, 3, False),
        Run(3, 5, True),
        Run(5, 6, True),
        Run(6, 9, True),
        Run(9, 20, False),
        Run(20, 25, True),
    )
    assert runs_of([], 5) == (Run(0, 5, False),)
    assert runs_of([(7, 9)], 5) == (Run(0, 5, False),)
