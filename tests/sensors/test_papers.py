"""ACT, Spotlight, PASTA, InstABoost, VAR and PAINT: against their authors' rules on whole maps, in the model."""

import numpy as np
import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface, LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import eager_mask

from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, Centric, Spans, watch
from homeostat.sensors.steering.informed_tokens import informed_tokens, paint

SPANS = Spans({"system": [(1, 4)], "goal": [(4, 10)], "screen": [(14, 24)], "rest": [(26, 33)]}, length=40)
VISUAL, OTHER = (16, 19), (0, 5)  # VAR's sinks of one layer, in the image and outside


def act(maps, layer, state, *, threshold=0.1, beta=0.4, depth=3):
    """ACT: per head, keys whose mean received weight exceeds 0.1, all but the first found; layers 2 to L - 2."""
    if not 1 <= layer <= depth - 2:  # the test's rule starts at layer 1: the model has three
        return maps
    out = maps.copy()
    for head in range(maps.shape[0]):
        if (layer, head) not in state:
            queries = maps.shape[1]
            mean = maps[head].sum(0) / np.arange(queries, 0, -1)
            state[layer, head] = np.flatnonzero(mean > threshold)[1:]
        sinks = state[layer, head]
        for row in range(maps.shape[1]):
            weights = maps[head, row]
            others = np.setdiff1d(np.arange(len(weights)), sinks)
            freed = (1 - beta) * weights[sinks].sum()
            out[head, row, sinks] = beta * weights[sinks]
            out[head, row, others] = weights[others] + freed * weights[others] / weights[others].sum()
    return out


def spotlight(maps, layer, state, *, target=0.2):
    """Spotlight: one bias log(target / current) for all heads and rows of a layer, if current < target."""
    (a, b), keys = SPANS["goal"][0], maps.shape[-1]
    mask = np.zeros(keys)
    mask[a:b] = 1
    current = (maps * mask).sum() / maps.sum()
    if current >= target:
        return maps
    state["raised"] = state.get("raised", 0) + 1
    scaled = maps * np.exp(mask * np.log(target / current))
    return scaled / scaled.sum(-1, keepdims=True)


def pasta(maps, layer, state):
    """PASTA: log 0.01 on the prompt's keys outside the span; keys of the answer keep their logits."""
    (a, b), scaled = SPANS["goal"][0], maps.copy()
    scaled[..., :a] *= 0.01
    scaled[..., b:40] *= 0.01
    return scaled / scaled.sum(-1, keepdims=True)


def instaboost(maps, layer, state):
    """InstABoost: × 3 on everything up to the instruction's end, the first token included; then L1 norm."""
    scaled = maps.copy()
    scaled[..., : SPANS["goal"][0][1]] *= 3
    return scaled / scaled.sum(-1, keepdims=True)


def var(maps, layer, state, *, p=0.6, rho=0.5, least=0.2):
    """VAR in one layer (1): rows behind the image that look at it, and not at its sinks alone."""
    if layer != 1:
        return maps
    out, (im, end) = maps.copy(), SPANS["screen"][0]
    start = maps.shape[-1] - maps.shape[-2]
    text, seen = np.array(OTHER), np.array(VISUAL)
    for head in range(maps.shape[0]):
        for row in range(maps.shape[1]):
            weights = maps[head, row]
            image = weights[im:end]
            if row + start < end or image.sum() < least or weights[seen].sum() / image.sum() > rho:
                continue
            state["rows"] = state.get("rows", 0) + 1
            budget = (1 - p) * (weights[seen].sum() + weights[text].sum())
            out[head, row, text] = p * weights[text]
            out[head, row, seen] = p * weights[seen]
            rest = weights[im:end].copy()
            rest[seen - im] = 0
            out[head, row, im:end] += budget * rest / rest.sum()
    return out


RULES = {
    "ACT": (act, Actuator(None, scale=0.4, sinks=0.1, from_layer=1, to_layer=-1)),
    "Spotlight": (spotlight, Actuator("goal", floor=0.2)),
    "PASTA": (pasta, Actuator("goal", gain=0.01, reach="outside")),
    "InstABoost": (instaboost, Actuator("goal", gain=3.0, reach="prefix")),
    "VAR": (
        var,
        Actuator(
            tuple((k, k + 1) for k in sorted(VISUAL + OTHER)),
            scale=0.6,
            to="screen",
            where=Centric("screen", 0.2, 0.5),
            after="screen",
            layers=frozenset({1}),
        ),
    ),
}


def theirs(rule, state):
    """An attention function that applies an authors' rule to the maps of each layer."""

    def attention(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = (query @ key.transpose(2, 3) * scaling).float()
        if mask is not None:
            scores = scores + mask[..., : scores.shape[-1]]
        maps = rule(scores.softmax(-1)[0].double().numpy(), module.layer_idx, state)
        out = torch.tensor(maps, dtype=value.dtype)[None] @ value
        return out.transpose(1, 2).contiguous(), None

    return attention


def under(case, rule, state, **how):
    AttentionInterface.register("theirs", theirs(rule, state))
    AttentionMaskInterface.register("theirs", eager_mask)
    former = case.model.config._attn_implementation
    try:
        case.model.set_attn_implementation("theirs")
        return case.model.generate(**case.inputs, **how)
    finally:
        case.model.set_attn_implementation(former)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("name", RULES)
def test_a_paper_s_rule_is_its_authors_in_prefill_and_decoding(tiny, family, name):
    case, (rule, actuator), state = tiny(family), RULES[name], {}
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    wanted = under(case, rule, state, **how)
    with watch(case.model) as probe:
        plain = torch.cat(case.model.generate(**case.inputs, **how).logits)
        probe.start(SPANS, steer=[actuator])
        got = case.model.generate(**case.inputs, **how)
        probe.result()
    assert got.sequences.tolist() == wanted.sequences.tolist()
    np.testing.assert_allclose(torch.cat(got.logits).numpy(), torch.cat(wanted.logits).numpy(), atol=3e-5)
    assert float((torch.cat(got.logits) - plain).abs().max()) > 1e-4  # the rule does something
    if name == "ACT":
        assert sum(len(sinks) > 0 for sinks in state.values()) >= 2
        assert len({tuple(sinks) for sinks in state.values()}) > 1  # heads differ
    if name == "Spotlight":
        assert state["raised"] >= 3
    if name == "VAR":
        assert state["rows"] >= 5


def long(length):
    """A longer prompt, of which the spans are a small part: masses are then moved beside the fused kernel."""
    config = LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=120, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(3)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "q_proj" in name or "k_proj" in name:
                weight.normal_(0, 0.35)
    tokens = torch.randint(3, 99, (1, length), generator=torch.Generator().manual_seed(2))
    return model, {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def test_spotlight_beside_the_fused_kernel_and_with_padding():
    model, inputs = long(90)
    spans, rule = Spans(SPANS.ranges, length=90), [Actuator("goal", floor=0.2)]
    how = {"do_sample": False, "min_new_tokens": 4, "max_new_tokens": 4}
    how |= {"output_logits": True, "return_dict_in_generate": True}

    class Case:
        pass

    case, state = Case(), {}
    case.model, case.inputs = model, inputs
    wanted = under(case, spotlight, state, **how)
    with watch(model, sinks=False) as probe:
        probe.start(spans, steer=rule)
        got = model.generate(**inputs, **how)
        probe.result()
        short = inputs["input_ids"][:, :60]
        tokens = torch.cat([inputs["input_ids"], torch.nn.functional.pad(short, (30, 0))])
        mask = torch.cat([inputs["attention_mask"], torch.nn.functional.pad(torch.ones_like(short), (30, 0))])
        probe.start([spans, Spans(SPANS.ranges, length=60).shift(30)], steer=rule)
        both = model.generate(input_ids=tokens, attention_mask=mask, **how)
        probe.results()
        probe.start(Spans(SPANS.ranges, length=60), steer=rule)
        alone = model.generate(input_ids=short, attention_mask=torch.ones_like(short), **how)
        probe.result()
    assert state["raised"] >= 3
    np.testing.assert_allclose(torch.cat(got.logits).numpy(), torch.cat(wanted.logits).numpy(), atol=3e-5)
    np.testing.assert_allclose(both.logits[0][0].numpy(), got.logits[0][0].numpy(), atol=3e-5)
    np.testing.assert_allclose(both.logits[0][1].numpy(), alone.logits[0][0].numpy(), atol=3e-5)


@pytest.mark.parametrize("name", ["ACT", "VAR"])
def test_each_prompt_of_a_padded_batch_has_sinks_and_rows_of_its_own(name):
    model, inputs = long(60)
    rule = [RULES[name][1]] if name == "ACT" else [Actuator("rest", scale=0.5, to="screen", after="screen")]
    short = inputs["input_ids"][:, :50]
    tokens = torch.cat([inputs["input_ids"], torch.nn.functional.pad(short, (10, 0))])
    mask = torch.cat([inputs["attention_mask"], torch.nn.functional.pad(torch.ones_like(short), (10, 0))])
    spans = [Spans(SPANS.ranges, length=60), Spans(SPANS.ranges, length=50).shift(10)]
    how = {"do_sample": False, "min_new_tokens": 3, "max_new_tokens": 3}
    how |= {"output_logits": True, "return_dict_in_generate": True}
    with watch(model, sinks=False) as probe:
        probe.start(spans, steer=rule)
        both = torch.stack(model.generate(input_ids=tokens, attention_mask=mask, **how).logits, 1)
        probe.results()
        for row, (own, length) in enumerate(((inputs["input_ids"], 60), (short, 50))):
            probe.start(Spans(SPANS.ranges, length=length), steer=rule)
            alone = torch.cat(model.generate(input_ids=own, attention_mask=torch.ones_like(own), **how).logits)
            probe.result()
            np.testing.assert_allclose(both[row].numpy(), alone.numpy(), atol=3e-5)


def test_sinks_need_the_whole_prompt_in_one_forward(tiny):
    case = tiny("llama")
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS, steer=[RULES["ACT"][1]])
        first = case.model(input_ids=case.inputs["input_ids"][:, :20], use_cache=True)
        probe.start(SPANS, steer=[RULES["ACT"][1]])
        with pytest.raises(ConfigError, match="begins at slot 20; run the prompt in one forward"):
            case.model(input_ids=case.inputs["input_ids"][:, 20:], past_key_values=first.past_key_values)
        probe.start(Spans({"goal": [(4, 10)]}), steer=[])
        with pytest.raises(ConfigError, match="reach='outside' needs the prompt's end"):
            probe.start(Spans({"goal": [(4, 10)]}), steer=[RULES["PASTA"][1]])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Actuator("goal", floor=1.0), "floor=1.0 is not a mass"),
        (lambda: Actuator(None, scale=0.4, sinks=2.0), "sinks=2.0 is not a mass"),
        (lambda: Actuator("goal", scale=0.4, sinks=0.1), "span='goal' with scale=0.4"),
        (lambda: Actuator(None, gain=2.0, sinks=0.1), "goes with scale"),
        (lambda: Actuator("goal", gain=2.0, reach="all"), "reach='all' is unknown"),
        (lambda: Actuator(None, output=2.0, reach="prefix"), "pass a span"),
        (lambda: Actuator("goal", gain=2.0, layers=frozenset()), r"layers=\(\) steers nothing"),
    ],
)
def test_rules_that_cannot_be_are_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_rules_are_told_in_a_few_words():
    told = [str(actuator) for _, actuator in RULES.values()]
    assert told[:4] == ["sinks mass x 0.4", "goal raised to 0.2", "all but goal x 0.01", "all up to goal x 3"]


def test_paint_stretches_the_tokens_that_its_authors_choose(tiny):
    generator = np.random.default_rng(4)
    first, deep = generator.random((4, 16)), np.tile(np.linspace(0.1, 0.2, 16), (4, 1))
    deep[:, [2, 9]] += 1  # outliers
    local, summary = informed_tokens(first, deep)
    quartiles = np.percentile(deep.sum(0), [25, 75])
    assert summary == (2, 9)
    assert all(deep.sum(0)[k] > quartiles[1] + 1.5 * np.diff(quartiles)[0] for k in summary)
    best = set(np.argsort(first.sum(0))[-4:].tolist())
    assert set(local) == best - {2, 9}
    case, start = tiny("llama"), 8
    rules = paint(start, local, summary)

    def attention(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = (query @ key.transpose(2, 3) * scaling).float()
        if module.layer_idx >= 2:
            for tokens, by in ((local, 0.7), (summary, 0.3)):
                keys = [start + k for k in tokens]
                scores[:, :, -1, keys] += by * scores[:, :, -1, keys].abs()
        if mask is not None:
            scores = scores + mask[..., : scores.shape[-1]]
        return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None

    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    AttentionInterface.register("painted", attention)
    AttentionMaskInterface.register("painted", eager_mask)
    former = case.model.config._attn_implementation
    try:
        case.model.set_attn_implementation("painted")
        wanted = case.model.generate(**case.inputs, **how)
    finally:
        case.model.set_attn_implementation(former)
    with watch(case.model) as probe:
        probe.start(SPANS, steer=rules)
        got = case.model.generate(**case.inputs, **how)
        probe.result()
    np.testing.assert_allclose(torch.cat(got.logits).numpy(), torch.cat(wanted.logits).numpy(), atol=3e-5)
    with pytest.raises(ConfigError, match=r"pass \(H, n\) weights of one image"):
        informed_tokens(first, deep[:, :9])
