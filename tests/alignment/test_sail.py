"""The token-weighted loss, and the fast path against DPO written plainly and against TRL."""

import json

import pytest
import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import to_dataset, write_pairs
from homeostat.alignment.sail import weights as w
from homeostat.alignment.sail.adapters import load_adapted, lora, lora_config
from homeostat.alignment.sail.cache import StateCache
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.fast import PairStates, collate, pair_losses, why_not
from homeostat.alignment.sail.layout import adapter_targets
from homeostat.alignment.sail.localization import Localization
from homeostat.alignment.sail.loss import weighted_dpo
from homeostat.alignment.sail.run import align
from homeostat.alignment.sail.states import FrozenLayers, pack, skipping, weights_digest
from homeostat.alignment.sail.tokens import tokenise
from homeostat.errors import ConfigError

BETA = 0.3
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # PEFT's and TRL's own


def plain_loss(model, reference, tokens, weights):
    """DPO with token weights, written out: two sequences a pair, nothing shared, nothing cached."""
    total = 0.0
    for one, own in zip(tokens, weights, strict=True):
        sums = []
        for answer, part in ((one.chosen, own[: len(one.chosen)]), (one.rejected, own[len(one.chosen) :])):
            ids = torch.tensor([[*one.prompt.ids, *answer]])
            extra = {k: v for k, v in one.prompt.inputs.items() if k == "pixel_values"}
            scores = []
            for which in (model, reference):
                with torch.set_grad_enabled(which is model):
                    logits = which(input_ids=ids, attention_mask=torch.ones_like(ids), **extra, use_cache=False).logits[
                        0
                    ]
                logits = logits[len(one.prompt.ids) - 1 : -1].float().log_softmax(-1)
                scores.append(logits[torch.arange(len(answer)), torch.tensor(answer)])
            sums.append((part * (scores[0] - scores[1].detach())).sum())
        total = total - torch.nn.functional.logsigmoid(BETA * (sums[0] - sums[1]))
    return total / len(tokens)


def stirred(model):
    """LoRA's B starts at zero: give it values, so that policy and reference differ."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.05)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("family", ["image", "text"])
def test_fast_path_has_the_gradients_of_plain_dpo(family, text_folder, phone_pairs, chat_pairs, tmp_path):
    name = "homeostat/nano" if family == "image" else str(text_folder)
    pairs = (phone_pairs if family == "image" else chat_pairs)[:5]
    white = TransformersModel.load(name, "cpu", "float32", reuse=False)
    reference = TransformersModel.load(name, "cpu", "float32").model
    tokens = tokenise(white.renderer, pairs)
    torch.manual_seed(1)
    weights = w.blend([(torch.rand(len(t.chosen)), torch.rand(len(t.rejected))) for t in tokens], 1.0)
    assert why_not(white, 2, tokens[0]) is None
    cache = StateCache(tmp_path, 2**30)
    states = PairStates(FrozenLayers(white.model, 2, weights_digest(white.model)), tokens, weights, cache)
    model = lora(white.model, adapter_targets(white.model, [2, 3]), r=4, alpha=8, seed=0)
    stirred(model)
    plain = plain_loss(model, reference, tokens, weights)
    plain.backward()
    wanted = gradients(model)
    model.zero_grad()
    with skipping(model, 2):
        losses, _ = pair_losses(model, collate([states[n] for n in range(len(states))]), BETA)
    losses.mean().backward()
    assert losses.mean().item() == pytest.approx(plain.item(), abs=1e-5)
    for name, gradient in gradients(model).items():
        assert torch.allclose(gradient, wanted[name], atol=1e-5, rtol=1e-4), name
    assert max(float(g.abs().max()) for g in wanted.values()) > 1e-4


def test_trl_path_has_the_same_loss_and_gradients(text_folder, chat_pairs, tmp_path):
    from trl import DPOConfig

    from homeostat.alignment.sail.trl_path import WeightedDPOTrainer, with_weights

    white = TransformersModel.load(str(text_folder), "cpu", "float32", reuse=False)
    reference = TransformersModel.load(str(text_folder), "cpu", "float32").model
    tokens = tokenise(white.renderer, chat_pairs[:4])
    torch.manual_seed(2)
    weights = w.blend([(torch.rand(len(t.chosen)), torch.rand(len(t.rejected))) for t in tokens], 0.7)
    adapter = lora_config(adapter_targets(white.model, [1, 3]), r=4, alpha=8)
    args = DPOConfig(
        str(tmp_path), beta=BETA, bf16=False, report_to="none", use_cpu=True, max_length=None,
        per_device_train_batch_size=4, gradient_checkpointing=False,
    )  # fmt: skip
    data = with_weights(to_dataset(chat_pairs[:4]), weights, [len(t.chosen) for t in tokens])
    trainer = WeightedDPOTrainer(
        model=white.model, peft_config=adapter, args=args, train_dataset=data, processing_class=white.renderer.tokenizer
    )
    model = trainer.model
    stirred(model)
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(4)])
    loss = trainer.compute_loss(trainer.model, batch)
    plain = plain_loss(model, reference, tokens, weights)
    assert loss.item() == pytest.approx(plain.item(), abs=1e-5)
    loss.backward()
    found = gradients(model)
    model.zero_grad()
    plain.backward()
    for name, gradient in gradients(model).items():
        assert torch.allclose(gradient, found[name], atol=1e-5, rtol=1e-4), name


def test_trl_gets_chats_that_templates_of_text_models_can_render(text_folder, chat_pairs):
    from homeostat.alignment.sail.trl_path import trl_dataset

    white = TransformersModel.load(str(text_folder), "cpu", "float32", reuse=False)
    tokenizer = white.renderer.tokenizer
    tokenizer.chat_template = (  # like Qwen2.5's, which adds strings
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    plain = TransformersModel(white.model, tokenizer, reuse=False)
    for row, one in zip(trl_dataset(chat_pairs, False), tokenise(plain.renderer, chat_pairs), strict=True):
        rendered = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        assert tokenizer(rendered, add_special_tokens=False).input_ids == list(one.prompt.ids)
        assert [len(row["chosen"]), row["chosen"][0]["role"]] == [1, "assistant"]
        assert isinstance(row["chosen"][0]["content"], str)


def test_weights_of_one_are_dpo_and_lambda_zero_gives_them():
    ratio = torch.tensor([[0.4, -0.2, 0.7]])
    signs = torch.tensor([[1.0, 1.0, -1.0]])
    ones = torch.cat([part[None] for part in w.blend([(torch.tensor([3.0, 0.0]), torch.tensor([2.0]))], 0.0)])
    losses, margins = weighted_dpo(ratio, ones, signs, 0.1)
    assert margins.item() == pytest.approx(0.1 * (0.4 - 0.2 - 0.7))
    assert losses.item() == pytest.approx(-torch.tensor(margins.item()).sigmoid().log().item())


def test_blended_weights_have_mean_one_in_each_answer():
    chosen, rejected = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0.5, 0.0])
    for lam in (0.0, 0.4, 1.0):
        (both,) = w.blend([(chosen, rejected)], lam)
        assert both[:3].mean().item() == pytest.approx(1)
        assert both[3:].mean().item() == pytest.approx(1)
    assert both.tolist() == pytest.approx([1 / 3, 2 / 3, 2, 2, 0])


def test_attention_weights_equal_eager_attention(phone_pairs):
    white = TransformersModel.load("homeostat/nano", "cpu", "float32", reuse=False)
    tokens = tokenise(white.renderer, phone_pairs[:3])
    heads = ((2, 1), (3, 0))
    found = w.attention_weights(white, tokens, heads)
    white.model.set_attn_implementation("eager")
    for one, both in zip(tokens, found, strict=True):
        rules = [i for label in one.higher for a, b in one.prompt.spans[label] for i in range(a, b)]
        for answer, own in zip((one.chosen, one.rejected), both, strict=True):
            ids = torch.tensor([[*one.prompt.ids, *answer[:-1]]])
            with torch.no_grad():
                maps = white.model(
                    input_ids=ids, pixel_values=one.prompt.inputs["pixel_values"], output_attentions=True
                ).attentions
            rows = slice(len(one.prompt.ids) - 1, None)
            mass = torch.stack([maps[la][0, h, rows][:, rules].sum(-1) for la, h in heads]).mean(0)
            assert torch.allclose(own[1:], mass[1:], atol=1e-5)
            if len(mass) > 1:
                assert own[0].item() == pytest.approx(mass[1:].mean().item(), abs=1e-5)


def test_reward_and_contrast_weights_follow_their_formulas(text_folder, chat_pairs):
    one = TransformersModel.load(str(text_folder), "cpu", "float32")
    other = TransformersModel.load(str(text_folder), "cpu", "float32")
    with torch.no_grad():
        other.model.lm_head.weight.add_(0.05 * torch.randn_like(other.model.lm_head.weight))
    tokens = tokenise(one.renderer, chat_pairs[:2])

    def logprobs(white, answer, prompt):
        ids = torch.tensor([[*prompt.ids, *answer]])
        scores = white.model(input_ids=ids).logits[0, len(prompt.ids) - 1 : -1].log_softmax(-1)
        return scores[torch.arange(len(answer)), torch.tensor(answer)].detach()

    reward = w.reward_weights(other, one, tokens, alpha=5.0, beta=0.1)
    contrast = w.contrast_weights(other, one, tokens)
    for n, t in enumerate(tokens):
        for side, (answer, sign) in enumerate(((t.chosen, 1), (t.rejected, -1))):
            ratio = logprobs(other, answer, t.prompt) - logprobs(one, answer, t.prompt)
            assert torch.allclose(reward[n][side], (1 + sign * 0.5 * ratio).clamp(0.5, 1.5), atol=1e-4)
            ranks = [sorted((sign * ratio).tolist()).index(v) for v in (sign * ratio).tolist()]
            wanted = [0.7 + 0.6 * r / (len(answer) - 1) for r in ranks]
            assert contrast[n][side].tolist() == pytest.approx(wanted, abs=1e-5)


def test_judge_weights_are_the_same_in_both_orders(white, phone_pairs):
    pair = phone_pairs[0]
    (tokens,) = tokenise(white.renderer, [pair])
    chosen, rejected = w.judge_weights(white, [pair], [tokens], 3)[0]
    assert len(chosen) == len(tokens.chosen)
    assert len(rejected) == len(tokens.rejected)
    swapped = type(pair)(pair.prompt, pair.rejected, pair.chosen)
    (other,) = tokenise(white.renderer, [swapped])
    first, second = w.judge_weights(white, [swapped], [other], 3)[0]
    assert torch.allclose(first, rejected, atol=1e-6)
    assert torch.allclose(second, chosen, atol=1e-6)


def test_packing_shares_the_prompt_and_blinds_the_answers(white, phone_pairs):
    (tokens,) = tokenise(white.renderer, phone_pairs[:1])
    packed = pack(tokens)
    p, c, r = len(tokens.prompt.ids), len(tokens.chosen), len(tokens.rejected)
    assert len(packed.ids) == p + c + r - 2
    assert packed.targets.tolist() == [*tokens.chosen, *tokens.rejected]
    assert packed.rows[0] == packed.rows[c] == p - 1
    assert packed.positions[p : p + c - 1].tolist() == list(range(p, p + c - 1))
    assert packed.positions[p + c - 1 :].tolist() == list(range(p, p + r - 1))


def settings(folder, data, **more):
    told = {
        "layers": "2,3",
        "weights": "uniform",
        "batch": 4,
        "rate": 1e-2,
        "epochs": 2,
        "save_steps": 1,
        "forgetting": 0,
    }
    return AlignSettings(
        model=str(data[0]), data=data[1], out=folder / "run", cache=folder / "cache", device="cpu", **(told | more)
    )


@pytest.fixture
def data(text_folder, chat_pairs, tmp_path):
    write_pairs(chat_pairs, tmp_path / "pairs")
    return text_folder, tmp_path / "pairs"


def test_align_lowers_the_loss_and_its_adapter_loads_in_plain_peft(data, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    result = align(settings(tmp_path, data, epochs=6, held_out=0.2, merge=True))
    assert result.path == "fast"
    assert result.loss < 0.6
    assert (tmp_path / "run" / "config.yaml").is_file()
    card = (tmp_path / "run" / "adapter" / "README.md").read_text()
    assert "layers" in card
    assert "before" in card
    base = AutoModelForCausalLM.from_pretrained(data[0], dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, tmp_path / "run" / "adapter").eval()
    touched = {n.partition("layers.")[2][0] for n, _ in adapted.named_parameters() if "lora_A" in n}
    assert touched == {"2", "3"}
    ids = torch.tensor([[5, 6, 7]])
    merged = load_adapted(str(tmp_path / "run" / "merged"), "cpu", "float32").model
    assert torch.allclose(adapted(ids).logits, merged(ids).logits, atol=1e-5)


def test_both_paths_train_to_the_same_loss(data, tmp_path):
    found = [align(settings(tmp_path / path, data, path=path, max_steps=4)) for path in ("fast", "trl")]
    assert found[0].loss == pytest.approx(found[1].loss, abs=2e-3)


def test_a_run_cut_off_goes_on_to_the_same_result(data, tmp_path, monkeypatch):
    whole = align(settings(tmp_path / "whole", data))
    from homeostat.alignment.sail.fast import FastTrainer

    steps = iter(range(100))
    plain = FastTrainer.training_step

    def dies(self, *args, **kwargs):
        if next(steps) == 3:
            raise KeyboardInterrupt
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(FastTrainer, "training_step", dies)
    with pytest.raises(KeyboardInterrupt):
        align(settings(tmp_path / "cut", data))
    last = max((tmp_path / "cut" / "run" / "checkpoints").glob("checkpoint-*"))
    (last / "trainer_state.json").write_text('{"half a')  # killed while it was written
    monkeypatch.setattr(FastTrainer, "training_step", plain)
    assert align(settings(tmp_path / "cut", data)).loss == pytest.approx(whole.loss, abs=1e-4)
    again = align(settings(tmp_path / "cut", data))  # a finished run is told, not run
    assert again.loss == pytest.approx(whole.loss, abs=1e-4)
    with pytest.raises(ConfigError, match="another rate"):
        align(settings(tmp_path / "cut", data, rate=0.5))


def test_the_cache_is_bounded_and_survives_a_damaged_file(data, tmp_path, white, phone_pairs):
    tokens = tokenise(white.renderer, phone_pairs[:3])
    ones = [torch.ones(len(t.chosen) + len(t.rejected)) for t in tokens]
    small = StateCache(tmp_path / "small", 300_000)
    states = PairStates(FrozenLayers(white.model, 4, "d"), tokens, ones, small)
    stored = sum(f.stat().st_size for f in (tmp_path / "small").glob("*"))
    assert 0 < stored < 320_000
    assert len(states[2]["hidden"]) == len(pack(tokens[2]).ids)
    file = next((tmp_path / "small").glob("*.safetensors"))
    file.write_bytes(b"half")
    assert small.get(file.stem) is None


def test_settings_that_do_not_fit_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match="localization"):
        AlignSettings(data=data[1])
    with pytest.raises(ValueError, match="reward_model"):
        settings(tmp_path, data, weights="reward")
    with pytest.raises(ConfigError, match="layer 9"):
        align(settings(tmp_path, data, layers="9"))
    with pytest.raises(ConfigError, match="no such matrix"):
        align(settings(tmp_path, data, targets=["w_q"]))
    file = tmp_path / "local.json"
    file.write_text(json.dumps({"model": "x"}))
    with pytest.raises(ConfigError, match="not a localization"):
        Localization.load(file)
