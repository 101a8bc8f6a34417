"""Masses moved, logits stretched, outputs scaled: against attention written out row by row, in the model itself."""

import numpy as np
import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, Centric, Spans, watch

SPANS = Spans({"system": [(0, 3)], "goal": [(3, 9)], "screen": [(9, 24)], "rest": [(26, 33)]}, length=40)
SINKS = ((2, 3), (11, 13))
HEADS = frozenset({(0, 1), (1, 0), (2, 2), (2, 3)})


def keys_of(span):
    ranges = SPANS[span] if isinstance(span, str) else span
    return [k for start, stop in ranges for k in range(start, stop)]


def moved(row, rule):
    """One row of weights under one rule, by the words of the papers."""
    mine = [k for k in keys_of(rule.span) if k < len(row)]
    mass = sum(row[k] for k in mine)
    if not mine or mass <= 0 or mass >= 1 - 1e-6:
        return row
    if rule.where is not None:
        looked = [k for k in keys_of(rule.where.span) if k < len(row)]
        seen = sum(row[k] for k in looked)
        wasted = sum(row[k] for k in looked if k in mine)
        if seen < rule.where.least or wasted > rule.where.most * seen:
            return row
    new = rule.target if rule.target is not None else min(rule.scale * mass, 1 - 1e-6)
    takers = [k for k in range(len(row)) if k not in mine]
    if rule.to is not None:
        takers = [k for k in keys_of(rule.to) if k < len(row) and k not in mine]
    given = sum(row[k] for k in takers)
    if given <= 0 or given + mass - new < 0:
        return row
    out = row.copy()
    for k in mine:
        out[k] = row[k] * new / mass
    for k in takers:
        out[k] = row[k] * (given + mass - new) / given
    return out


def written_out(rules, first_output=39):
    """An attention function that applies ``rules`` to every row, in plain loops."""

    def attention(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = (query @ key.transpose(2, 3) * scaling).float()
        layer = module.layer_idx
        offset = key.shape[2] - query.shape[2]

        def acting(rule, head, row):
            chosen = rule.heads is None or (layer, head) in rule.heads
            return chosen and (rule.rows == "all" or row + offset >= first_output)

        for rule in rules:
            if rule.stretch is not None:
                for head in range(scores.shape[1]):
                    for row in range(scores.shape[2]):
                        if acting(rule, head, row):
                            some = [k for k in keys_of(rule.span) if k < scores.shape[3]]
                            scores[:, head, row, some] += rule.stretch * scores[:, head, row, some].abs()
        if mask is not None:
            scores = scores + mask[..., : scores.shape[-1]]
        weights = scores.softmax(-1).numpy().astype(np.float64)
        for rule in rules:
            if rule.target is None and rule.scale is None:
                continue
            for head in range(weights.shape[1]):
                for row in range(weights.shape[2]):
                    if acting(rule, head, row):
                        weights[0, head, row] = moved(weights[0, head, row], rule)
        out = torch.tensor(weights, dtype=value.dtype) @ value
        for rule in rules:
            if rule.output is not None:
                for head in range(out.shape[1]):
                    for row in range(out.shape[2]):
                        if acting(rule, head, row):
                            out[:, head, row] *= rule.output
        return out.transpose(1, 2).contiguous(), None

    return attention


RULES = {
    "ACT": Actuator(SINKS, scale=0.4, heads=HEADS),
    "VAR": Actuator(SINKS, scale=0.6, to="screen", where=Centric("screen", 0.2, 0.5)),
    "more than there is": Actuator("goal", scale=50.0),
    "grown at others' cost": Actuator("goal", scale=1.3, to="rest"),
    "PAINT": Actuator("screen", stretch=0.7, rows="output"),
    "VHR": Actuator(None, output=2.0, heads=HEADS),
    "cut off": Actuator(None, output=0.0, heads=HEADS, rows="output"),
    "target where looked": Actuator("goal", target=0.5, where=Centric("screen", 0.3, 1.0)),
}
TOGETHER = (
    Actuator("goal", gain=3.0),
    *(RULES[n] for n in ("VAR", "PAINT", "VHR")),
)


@pytest.mark.parametrize("family", ["llama", "qwen3_vl"])
@pytest.mark.parametrize("name", [*RULES, "together"])
def test_each_form_is_what_its_words_say(tiny, family, name):
    rules = (RULES[name],) if name in RULES else TOGETHER[1:]
    case = tiny(family)
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    with watch(case.model) as probe:
        plain = torch.cat(case.model.generate(**case.inputs, **how).logits)
        probe.start(SPANS, steer=rules)
        got = case.model.generate(**case.inputs, **how)
        probe.result()
    AttentionInterface.register("written_out", written_out(rules))
    AttentionMaskInterface.register("written_out", eager_mask)
    former = case.model.config._attn_implementation
    vision = "qwen" in family
    try:
        case.model.set_attn_implementation({"text_config": "written_out"} if vision else "written_out")
        wanted = case.model.generate(**case.inputs, **how)
    finally:
        case.model.set_attn_implementation({"text_config": former} if vision else former)
    assert got.sequences.tolist() == wanted.sequences.tolist()
    np.testing.assert_allclose(torch.cat(got.logits).numpy(), torch.cat(wanted.logits).numpy(), atol=3e-5)
    if name != "more than there is":
        assert float((torch.cat(got.logits) - plain).abs().max()) > 1e-4  # the rule does something


def test_masses_are_those_after_moving(tiny):
    case = tiny("llama")
    spans = Spans({"goal": [(3, 9)], "sinks": list(SINKS)}, length=40)
    found = []
    for steer in ((), (Actuator("sinks", scale=0.4),)):
        with watch(case.model, layers=[0]) as probe, torch.no_grad():
            probe.start(spans, steer=steer)
            case.model(**case.inputs)
            found.append(probe.result().of("sinks"))
    np.testing.assert_allclose(found[1], 0.4 * found[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Actuator("goal", scale=-1.0), "scale=-1.0"),
        (lambda: Actuator(None, gain=2.0), "span=None"),
        (lambda: Actuator("goal", output=2.0), "unless its form is output"),
        (lambda: Actuator("goal", gain=2.0, to="screen"), "goes with scale"),
        (lambda: Actuator("goal", stretch=0.5, where=Centric("screen")), "goes with scale or target"),
        (lambda: Centric("screen", least=2.0), "least=2.0"),
    ],
)
def test_rules_that_cannot_be_are_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_rules_are_told_in_a_few_words():
    assert str(Actuator("goal", gain=2.5)) == "goal x 2.5"
    assert str(RULES["VAR"]) == "[2, 3) [11, 13) mass x 0.6, given to screen"
    assert str(RULES["VHR"]) == "outputs x 2.0 in 4 heads"
    assert str(RULES["PAINT"]) == "screen logits + 0.7 |s|"
