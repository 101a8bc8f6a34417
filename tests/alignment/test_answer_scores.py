"""Log-probabilities of answers with and without whole logits: values and gradients are the same."""

import pytest
import torch
from torch.nn import functional as F

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.sail.adapters import lora
from homeostat.alignment.sail.answer_scores import answer_scores, plain_head, token_scores
from homeostat.alignment.sail.fast import why_not
from homeostat.alignment.sail.layout import adapter_targets
from homeostat.alignment.sail.tokens import tokenise


@pytest.mark.parametrize("bias", [True, False])
def test_scores_and_gradients_are_those_of_autograd(bias):
    torch.manual_seed(0)
    words, count = 3_000, 50
    hidden, head = torch.randn(count, 4, requires_grad=True), torch.randn(words, 4)
    shift = torch.randn(words) if bias else None
    targets, weights = torch.randint(0, words, (count,)), torch.randn(count)
    wanted = F.linear(hidden, head, shift).log_softmax(-1)[torch.arange(count), targets]
    (slope,) = torch.autograd.grad((weights * wanted).sum(), hidden)
    for elements in (2**25, 20 * words, 1):  # all tokens at once, in three parts, and one by one
        found = token_scores(hidden, head, shift, targets, elements)
        assert torch.allclose(found, wanted, atol=1e-5)
        (gradient,) = torch.autograd.grad((weights * found).sum(), hidden)
        assert torch.allclose(gradient, slope, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(token_scores(hidden, head, shift, targets), wanted, atol=1e-5)


def test_bfloat16_is_as_close_as_its_own_rounding():
    torch.manual_seed(0)
    hidden, head = torch.randn(9, 64).bfloat16().requires_grad_(), (torch.randn(500, 64) / 8).bfloat16()
    targets = torch.randint(0, 500, (9,))
    exact = hidden.detach().double().requires_grad_()
    wanted = F.linear(exact, head.double()).log_softmax(-1)[torch.arange(9), targets]
    found = token_scores(hidden, head, None, targets)
    assert (found.dtype, hidden.grad) == (torch.float32, None)
    assert torch.allclose(found.double(), wanted, atol=0.05)
    (slope,), (gradient,) = torch.autograd.grad(wanted.sum(), exact), torch.autograd.grad(found.sum(), hidden)
    assert gradient.dtype == torch.bfloat16
    assert torch.allclose(gradient.double(), slope, atol=0.02)
    # Mixed precision turns hidden states into float32 beside weights in bfloat16.
    assert torch.equal(token_scores(hidden.detach().float(), head, None, targets), found.detach())


def small(kind, **settings):
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, **settings,
    )  # fmt: skip
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


@pytest.mark.parametrize(
    ("kind", "settings", "plain"),
    [
        ("Qwen2", {}, True),
        ("Llama", {}, True),
        ("Gemma2", {"final_logit_softcapping": 0.5}, False),
        ("Granite", {"logits_scaling": 3.0}, False),
    ],
)
def test_models_that_change_their_logits_are_found_out(kind, settings, plain):
    model = small(kind, **settings)
    frozen = lora(model, adapter_targets(model, [1]), r=2, alpha=4, seed=0)
    assert plain_head(frozen) is plain
    ids = torch.tensor([[5, 6, 7, 8, 9], [0, 0, 11, 12, 13]])
    given = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    rows, targets = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([[8, 9, 10], [13, 14, 0]])
    real = torch.tensor([[True, True, True], [True, True, False]])
    found = answer_scores(frozen, given, 3, rows, targets, real)
    scores = frozen(**given).logits[:, -3:].log_softmax(-1)
    for n, t in real.nonzero().tolist():
        assert found[n, t].item() == pytest.approx(scores[n, rows[n, t], targets[n, t]].item(), abs=1e-5)
    assert found[1, 2].item() == 0.0


def test_a_trained_head_is_left_to_autograd():
    model = small("Qwen2")
    assert not plain_head(model)  # nothing is frozen
    with torch.no_grad():
        assert plain_head(model)


def test_a_head_that_something_else_wraps_is_left_alone():
    model = small("Qwen2")
    model.lm_head.forward = wrapped = model.lm_head.forward  # as accelerate does for models on several devices
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert not plain_head(model)
        at = torch.tensor([[0, 1]])
        answer_scores(model, {"input_ids": ids}, 2, at, torch.tensor([[6, 7]]), torch.ones(1, 2, dtype=torch.bool))
    assert vars(model.lm_head)["forward"] == wrapped


def test_the_models_head_works_as_before(text_folder, chat_pairs):
    white = TransformersModel.load(str(text_folder), "cpu", "float32", reuse=False)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = white.model(input_ids=ids).logits
        assert why_not(white, 2, tokenise(white.renderer, chat_pairs[:1])[0]) is None
        assert torch.equal(white.model(input_ids=ids).logits, before)
