"""Attention entropy and logits during training: against eager attention, and warnings before a collapse."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from homeostat.alignment.preference.pairs import write_pairs
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.run import align
from homeostat.alignment.stability.callback import StabilityCallback
from homeostat.alignment.stability.measurement import Measurement, measuring
from homeostat.alignment.stability.watch import StabilityWatch
from homeostat.errors import ConfigError


@pytest.fixture
def tiny(text_folder):
    return AutoModelForCausalLM.from_pretrained(text_folder, dtype=torch.float32)


def padded():
    ids = torch.randint(5, 400, (3, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, :7] = 0  # padding on the left
    return {"input_ids": ids, "attention_mask": mask}


def logits_of(model, inputs):
    """(L, B, H, Q, K) attention logits, from the projections themselves, with grouped heads repeated."""
    states = model(**inputs, output_hidden_states=True).hidden_states
    positions = torch.arange(inputs["input_ids"].shape[1])[None]
    found = []
    for block, x in zip(model.model.layers, states, strict=False):
        attention = block.self_attn
        x = block.input_layernorm(x)
        shape = (*x.shape[:2], -1, attention.head_dim)
        q = attention.q_norm(attention.q_proj(x).view(shape)).transpose(1, 2)
        k = attention.k_norm(attention.k_proj(x).view(shape)).transpose(1, 2)
        q, k = apply_rotary_pos_emb(q, k, *model.model.rotary_emb(x, positions))
        found.append(q @ k.repeat_interleave(2, 1).mT / attention.head_dim**0.5)
    return torch.stack(found)


def test_measurements_equal_eager_attention(tiny):
    inputs = padded()
    with torch.no_grad(), measuring(tiny) as found:
        out = tiny(**inputs)
        wanted_logits = logits_of(tiny, inputs)
    with torch.no_grad(), measuring(tiny) as found:
        tiny(**inputs)
    tiny.set_attn_implementation("eager")
    with torch.no_grad():
        maps = torch.stack(tiny(**inputs, output_attentions=True).attentions).double().numpy()
    for layer in range(4):
        levels, largest = [], -np.inf
        for b in range(3):
            for row in range(24):
                seen = [k for k in range(row + 1) if inputs["attention_mask"][b, k]]
                if not seen:
                    continue
                largest = max(largest, float(wanted_logits[layer, b, :, row, seen].max()))
                for p in maps[layer, b, :, row][:, seen] if len(seen) > 1 else ():
                    levels.append(-(p * np.log(p)).sum() / np.log(len(seen)))
        assert found.entropy[layer] == pytest.approx(np.mean(levels), abs=1e-5)
        assert found.max_logit[layer] == pytest.approx(largest, abs=1e-4)
    assert found.log_z == pytest.approx(float(out.logits.logsumexp(-1).mean()), abs=1e-5)
    assert found.figures()["attention_logit"] == max(found.max_logit.values())


def test_a_measured_step_trains_as_any_other_to_the_last_bit(tiny):
    inputs = padded()
    gradients = []
    for measured in (False, True):
        tiny.zero_grad()
        if measured:
            with measuring(tiny) as found:
                loss = tiny(**inputs, labels=inputs["input_ids"]).loss
        else:
            loss = tiny(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        gradients.append([loss.detach(), *(p.grad.clone() for p in tiny.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    before = dict(found.entropy)
    tiny(**inputs)  # after the block nothing is measured
    assert found.entropy == before


def test_another_attention_implementation_is_named(tiny):
    tiny.set_attn_implementation("eager")
    with pytest.raises(ConfigError, match="'eager' can't be measured; load the model with"), measuring(tiny):
        pass


def followed(name, values, **settings):
    said = []
    watch = StabilityWatch(10, say=said.append, **settings)
    at = []
    for n, value in enumerate(values):
        given = {"entropy": {0: 0.6, 3: value}} if name == "entropy" else {"max_logit": {3: value}}
        watch.add(10 * n, Measurement(**given) if name != "log_z" else Measurement(log_z=value))
        at.append(len(said))
    return said, at


def test_a_collapse_is_announced_once_and_before_it_happens():
    falling = [0.6, 0.55, 0.5, 0.42, 0.34, 0.26, 0.18, 0.1, 0.04, 0.01]
    said, at = followed("entropy", falling)
    assert len(said) == 1
    assert at.index(1) < next(n for n, v in enumerate(falling) if v < 0.05)
    assert said[0].startswith("warning: step ")
    assert "layer 3 is about to collapse: its entropy fell from 0.600 to" in said[0]
    assert "\n" not in said[0]
    said, _ = followed("entropy", [0.6, 0.5, 0.001])  # too sudden for a trend
    assert "layer 3 has collapsed: its entropy is 0.001 of 1" in said[0]


def test_growing_logits_and_drifting_outputs_are_announced():
    growing = [3.0 * 2.5**n for n in range(11)]
    said, at = followed("logit", growing)
    assert len(said) == 1
    assert "layer 3 are about to diverge: the largest grew from 3 to" in said[0]
    assert growing[at.index(1)] < 1e4
    assert "have diverged: the largest is inf" in followed("logit", [3.0, float("inf")])[0][0]
    assert "log Z went from 2.0 to 60.0" in followed("log_z", [2.0, 20.0, 60.0])[0][0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("entropy", [0.04] * 9),  # sharp by design
        ("entropy", [0.9, 0.7, 0.55, 0.45, 0.4, 0.38, 0.37, 0.37]),  # learns where to look
        ("entropy", [0.3, 0.29, 0.31, 0.28, 0.3, 0.29]),
        ("logit", [5.0, 9.0, 12.0, 14.0, 15.0, 15.5, 16.0]),
        ("logit", [800.0] * 7),
        ("log_z", [9.0, 4.0, 3.0, 2.5]),
    ],
)
def test_healthy_training_is_not_warned_about(name, values):
    assert followed(name, values)[0] == []


def test_a_real_collapse_is_announced_by_the_callback_in_a_trainer(tiny, tmp_path):
    """Each step sharpens the queries of layer 2, as a diverging run does."""
    said = []

    class Sharpened(Trainer):
        def training_step(self, model, inputs, *args, **kwargs):
            with torch.no_grad():
                model.model.layers[2].self_attn.q_norm.weight.mul_(1.2)
            return super().training_step(model, inputs, *args, **kwargs)

    ids = torch.randint(5, 400, (64, 24), generator=torch.Generator().manual_seed(2))
    rows = [{"input_ids": row, "labels": row} for row in ids]
    args = TrainingArguments(
        str(tmp_path), max_steps=24, per_device_train_batch_size=2, use_cpu=True, report_to="none", logging_steps=8,
        learning_rate=1e-5, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = Sharpened(model=tiny, args=args, train_dataset=rows)
    watch = StabilityWatch(1, say=said.append)
    trainer.add_callback(StabilityCallback(watch, trainer.log))
    trainer.train()
    logged = [line for line in trainer.state.log_history if "attention_entropy/2" in line]
    assert [line["step"] for line in logged] == list(range(1, 25))
    assert logged[0]["attention_logit/2"] < logged[-1]["attention_logit/2"] / 30
    collapse = [line for line in said if "layer 2" in line and "entropy" in line]
    assert len(collapse) == 1
    assert "about to collapse" in collapse[0]
    assert not any("layer 0" in line or "layer 1" in line for line in said)


def settings(folder, data, **more):
    told = {"layers": "2,3", "weights": "uniform", "batch": 4, "rate": 1e-2, "max_steps": 5, "attention_steps": 2}
    return AlignSettings(
        model=str(data[0]), data=data[1], out=folder / "run", cache=folder / "c", device="cpu", **(told | more)
    )


@pytest.mark.parametrize("path", ["fast", "trl"])
def test_align_reports_attention_before_and_after(text_folder, chat_pairs, tmp_path, path):
    write_pairs(chat_pairs, tmp_path / "pairs")
    data = text_folder, tmp_path / "pairs"
    align(settings(tmp_path, data, path=path, forgetting=0))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    measured = {int(name.partition("/")[2]) for name in result["attention"] if name.startswith("attention_entropy/")}
    assert measured == ({2, 3} if path == "fast" else {0, 1, 2, 3})  # the fast path runs the upper layers alone
    first, last = result["attention"]["attention_entropy/3"]
    assert first != last
    assert result["attention"]["attention_logit"][1] > 0
    assert result["warnings"] == []
    assert result["forgetting"] is None
    plain = align(settings(tmp_path / "plain", data, path=path, forgetting=0, attention_steps=0))
    assert json.loads((tmp_path / "plain" / "run" / "result.json").read_text())["attention"] == {}
    assert plain.loss == pytest.approx(result["loss"], abs=1e-9)
