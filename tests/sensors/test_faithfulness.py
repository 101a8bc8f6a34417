"""The faithfulness check, part by part, against computations made another way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from homeostat.errors import ConfigError
from homeostat.sensors import Spans
from homeostat.sensors.faithfulness import Case, faithfulness, span_evidence
from homeostat.sensors.span_evidence import correlate, head_trust, trusted_heads

SPANS = Spans({"system": [(0, 3), (20, 25)], "goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}, length=40)
TOKENS = (7, 50, 31)


def case_of(tiny, family, seed=None):
    inputs = dict(tiny(family).inputs)
    if seed is not None:
        inputs["input_ids"] = torch.randint(3, 99, (1, 40), generator=torch.Generator().manual_seed(seed))
    return Case(inputs, SPANS, TOKENS)


def whole(case):
    ids = torch.cat([case.inputs["input_ids"], torch.tensor([TOKENS[:-1]])], 1)
    return {**case.inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("family", ["llama", "qwen3", "llava", "gemma2"])
def test_mass_is_that_of_the_eager_maps(tiny, reference, family):
    case = case_of(tiny, family)
    maps = reference.maps(tiny(family).model, **whole(case))[0]
    expected = reference.masses(maps, SPANS, 40)[39:]
    for k, one in enumerate(span_evidence(tiny(family).model, case)):
        assert one.label == SPANS.labels[k]
        assert one.length == SPANS.tokens(one.label)
        assert one.mass == pytest.approx(expected[..., k].mean(), abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral"])
def test_deletion_is_that_of_a_hand_made_mask(tiny, family):
    model, case = tiny(family).model, case_of(tiny, family)
    call = whole(case)
    size = call["input_ids"].shape[1]
    window = 12 if family == "mistral" else size
    row, key = torch.arange(size)[:, None], torch.arange(size)
    seen = (key <= row) & (key > row - window)

    def logprobs(mask):
        added = torch.zeros(1, 1, size, size).masked_fill(~mask, torch.finfo(torch.float32).min)
        positions = torch.arange(size)[None]
        with torch.no_grad():
            out = model(input_ids=call["input_ids"], attention_mask=added, position_ids=positions)
        return out.logits[0, -3:].log_softmax(-1)

    plain = logprobs(seen)
    for one in span_evidence(model, case):
        holes = seen.clone()
        for start, stop in SPANS[one.label]:
            holes[:, start:stop] = False
        # Rows that see nothing (the first ones, without the first span) are nowhere used by later rows.
        hidden = logprobs(holes)
        expected = torch.nn.functional.kl_div(hidden, plain, log_target=True, reduction="none").sum(-1)
        assert one.deletion == pytest.approx(float(expected.mean()), rel=2e-3, abs=1e-5)
        chosen = torch.arange(3), torch.tensor(TOKENS)
        assert one.drop == pytest.approx(float((plain[chosen] - hidden[chosen]).sum()), rel=2e-3, abs=1e-4)


def test_saliency_is_the_slope_along_each_token_s_own_size(tiny):
    """x · ∂f/∂x is ∂f/∂s where x is scaled by s = 1."""
    model, case = tiny("llama").model, case_of(tiny, "llama")
    embedded = model.get_input_embeddings()(whole(case)["input_ids"]).detach()
    size = torch.ones(embedded.shape[1], 1, requires_grad=True)
    out = model(inputs_embeds=embedded * size).logits[0, -3:].log_softmax(-1)
    (slope,) = torch.autograd.grad(out[torch.arange(3), torch.tensor(TOKENS)].sum(), size)
    slope = slope[:, 0].abs().numpy()
    assert slope.max() > 0
    for one in span_evidence(model, case):
        expected = sum(slope[start:stop].sum() for start, stop in SPANS[one.label])
        assert one.saliency == pytest.approx(expected, rel=1e-2)


def test_image_tokens_have_a_saliency_too(tiny):
    model = tiny("llava").model
    before = {name: p.clone() for name, p in model.named_parameters()}
    found = {one.label: one for one in span_evidence(model, case_of(tiny, "llava"))}
    assert found["screen"].saliency > 0
    assert all(torch.equal(before[name], p) and p.grad is None for name, p in model.named_parameters())


def test_correlations_are_those_of_ranks(tiny):
    result = faithfulness(tiny("llama").model, [case_of(tiny, "llama", s) for s in range(6)], resamples=99)
    assert (result.cases, len(result.evidence)) == (6, 24)
    named = {(c.one, c.other): c for c in result.correlations}
    mass = np.array([e.mass for e in result.evidence])
    deletion = np.array([e.deletion for e in result.evidence])
    got = named["mass", "deletion"]
    assert got.rho[0] == pytest.approx(np.corrcoef(rankdata(mass), rankdata(deletion))[0, 1])
    within = [
        np.corrcoef(rankdata(a), rankdata(b))[0, 1]
        for a, b in zip(mass.reshape(6, 4), deletion.reshape(6, 4), strict=True)
    ]
    assert got.within[0] == pytest.approx(np.mean(within))
    for c in result.correlations:
        assert c.rho[1] <= c.rho[0] <= c.rho[2]
        assert c.within[1] <= c.within[0] <= c.within[2]
    per_token = named["intensity", "deletion_per_token"]
    length = np.array([e.length for e in result.evidence])
    level = np.array([e.intensity for e in result.evidence])
    assert per_token.rho[0] == pytest.approx(np.corrcoef(rankdata(level), rankdata(deletion / length))[0, 1])


def test_too_little_is_named(tiny):
    model, case = tiny("llama").model, case_of(tiny, "llama")
    with pytest.raises(ConfigError, match="1 cases are too few"):
        faithfulness(model, [case])
    with pytest.raises(ConfigError, match=r"tokens=\(\)"):
        span_evidence(model, Case(case.inputs, SPANS, ()))


def evidence_of(tiny, seeds):
    model = tiny("llama").model
    return [one for n, s in enumerate(seeds) for one in span_evidence(model, case_of(tiny, "llama", s), n)]


def test_the_masses_of_heads_average_to_the_mass(tiny, reference):
    case = case_of(tiny, "llama")
    maps = reference.maps(tiny("llama").model, **whole(case))[0]
    expected = reference.masses(maps, SPANS, 40)[39:].mean(0)
    for k, one in enumerate(span_evidence(tiny("llama").model, case)):
        assert one.heads.mean() == pytest.approx(one.mass, abs=1e-6)
        np.testing.assert_allclose(one.heads, expected[..., k], atol=1e-5)


def test_trust_is_the_mean_rank_correlation_of_each_head(tiny):
    evidence = evidence_of(tiny, range(5))
    trust = head_trust(evidence)
    assert trust.shape == evidence[0].heads.shape
    deletion = np.array([e.deletion for e in evidence]).reshape(5, 4)
    heads = np.stack([e.heads for e in evidence]).reshape(5, 4, *trust.shape)
    for layer, head in np.ndindex(*trust.shape):
        each = [spearmanr(heads[n, :, layer, head], deletion[n]).statistic for n in range(5)]
        assert trust[layer, head] == pytest.approx(np.mean(each))
    best = trusted_heads(trust, 0.25)
    assert len(best) == round(0.25 * trust.size)
    assert min(trust[at] for at in best) >= max(trust[at] for at in np.ndindex(*trust.shape) if at not in best)


def test_one_label_is_compared_over_prompts(tiny):
    own = [e for e in evidence_of(tiny, range(6)) if e.label == "goal"]
    (found,) = correlate(own, (("mass", "change"),), resamples=99)
    assert found.rho[0] == pytest.approx(spearmanr([e.mass for e in own], [abs(e.drop) for e in own]).statistic)
    assert np.isnan(found.within[0])  # a prompt has one goal


def test_correlations_need_enough(tiny):
    evidence = evidence_of(tiny, [0])
    with pytest.raises(ConfigError, match="1 cases are too few"):
        correlate(evidence)
    with pytest.raises(ConfigError, match="no case has two spans"):
        head_trust(evidence[:1])
    with pytest.raises(ConfigError, match="lacks the masses of its heads"):
        head_trust([replace(one, heads=np.zeros((0, 0))) for one in evidence])
    with pytest.raises(ConfigError, match=r"share=0"):
        trusted_heads(np.zeros((2, 2)), 0)
