"""``probe.show``: a prompt coloured by attention, against eager attention's own maps."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors import Readout, Spans, watch

CHAT = [
    {"role": "system", "content": "You help.", "label": "rule"},
    {"role": "user", "content": "turn it on <script>alert(1)</script> \u202e naïve 日本"},
]
HOW = {"do_sample": False, "max_new_tokens": 5, "min_new_tokens": 5}


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=400, pad_token_id=0, eos_token_id=399,
    )  # fmt: skip
    made = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "q_proj" in name or "k_proj" in name or "embed" in name:
                weight.normal_(0, 0.35)
    return made


@pytest.fixture(scope="module")
def tokenizer(chat_tools: Any) -> Any:
    return chat_tools.make_tokenizer()


class Pieces(HTMLParser):
    """The coloured pieces of a fragment, and every tag in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pieces: list[dict[str, str]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._inside = tag == "span"
        if self._inside:
            self.pieces.append({"text": "", **dict(attrs)})

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.pieces[-1]["text"] += data


def run(model: Any, tokenizer: Any, prompt: Any = CHAT, readout: Any = "prompt_keys") -> tuple[Any, Any]:
    with watch(model, tokenizer, readout=readout) as probe:
        output = model.generate(**probe.prepare(prompt), **HOW)
    return probe, output


def expected(model: Any, reference: Any, output: torch.Tensor, prompt: int) -> np.ndarray:
    """(L, H, n): the mean weight of the rows that produced a token."""
    inputs = {"input_ids": output[:, :prompt], "attention_mask": torch.ones_like(output[:, :prompt])}
    maps = reference.maps(model, **reference.whole(inputs, output))[0]
    return maps[:, :, prompt - 1 :, :prompt].mean(2)


def test_the_weights_are_the_mean_of_the_eager_maps(model: Any, tokenizer: Any, reference: Any) -> None:
    probe, output = run(model, tokenizer)
    view = probe.view()
    wanted = expected(model, reference, output, len(view.tokens))
    np.testing.assert_allclose(view.weights, wanted, atol=2e-4)
    np.testing.assert_allclose(view.mean, wanted.mean((0, 1)), atol=2e-4)
    np.testing.assert_allclose(view.of(layers=[1, 2]).mean, wanted[1:].mean((0, 1)), atol=2e-4)
    np.testing.assert_allclose(view.of(heads=[3]).mean, wanted[:, 3].mean(0), atol=2e-4)
    np.testing.assert_allclose(probe.view(heads=[(0, 1), (2, 3)]).mean, (wanted[0, 1] + wanted[2, 3]) / 2, atol=2e-4)
    mass = probe.result()  # a view does not end the run
    for label in ("rule", "user"):
        inside = sum(view.mean[a:b].sum() for a, b in view.spans[label])
        assert inside == pytest.approx(mass.of(label).mean(), abs=1e-3)
    np.testing.assert_array_equal(probe.view().weights, view.weights)  # and the last run can be shown afterwards


def test_the_tokens_are_those_of_the_chat_template(model: Any, tokenizer: Any) -> None:
    probe, output = run(model, tokenizer)
    text = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    view = probe.view(output)
    assert "".join(view.tokens) == text
    assert view.answer == tokenizer.decode(output[0, len(view.tokens) :], skip_special_tokens=True)
    assert "".join(view.tokens[slice(*view.spans["rule"][0])]) == "You help."


def test_foreign_text_is_text_and_colours_follow_the_weights(model: Any, tokenizer: Any) -> None:
    probe, _ = run(model, tokenizer)
    view = probe.view()
    html = view._repr_html_()
    found = Pieces(html)
    assert found.tags == {"style", "ul", "li", "b", "div", "span", "p"}
    assert "\u202e" not in html
    assert "".join(one["text"] for one in found.pieces).replace("·", "").replace("↵\n", "\n").replace(
        "\\u202e", "\u202e"
    ) == "".join(view.tokens)
    levels = [int(one["class"].split()[0][1:]) for one in found.pieces]
    inside = [k for a, b in (*view.spans["rule"], *view.spans["user"]) for k in range(a, b)]
    heaviest = max(inside, key=lambda k: view.mean[k])
    assert levels[heaviest] == 20
    order = np.argsort(view.mean[inside])
    assert np.all(np.diff(np.array(levels)[inside][order]) >= 0)
    wanted = np.floor(20 * np.minimum(view.mean / view.mean[heaviest], 1) + 0.5)
    assert levels == wanted.tolist()
    beyond = {k for k, one in enumerate(found.pieces) if "over" in one["class"].split()}
    assert beyond == set(np.flatnonzero(view.mean > view.mean[heaviest]))


def test_a_batch_is_shown_row_by_row_without_its_padding(model: Any, tokenizer: Any) -> None:
    short = [{"role": "user", "content": "turn it on", "label": "goal"}]
    probe, output = run(model, tokenizer, [short, CHAT])
    alone, _ = run(model, tokenizer, short)
    view = probe.view(output, row=0)
    assert view.tokens == alone.view().tokens
    assert view.spans == alone.view().spans
    np.testing.assert_allclose(view.weights, alone.view().weights, atol=2e-3)
    assert "".join(probe.view(row=1).tokens) == tokenizer.apply_chat_template(
        CHAT, tokenize=False, add_generation_prompt=True
    )
    with pytest.raises(ConfigError, match="row=2 is none of the batch's 2 rows"):
        probe.view(row=2)


def test_a_run_that_began_with_start_needs_the_tokens(model: Any, tokenizer: Any) -> None:
    ids = torch.tensor([[5, 7, 9, 11, 13, 15]])
    with watch(model, readout=Readout(statistics=frozenset({"prompt_keys"}))) as probe:
        probe.start(Spans({"goal": [(1, 3)]}, length=6))
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **HOW)
        with pytest.raises(ProbeError, match=r"tokens are unknown.*call show\(output\)"):
            probe.show()
        with pytest.raises(ConfigError, match=r"without a tokenizer; call watch\(model, tokenizer\)"):
            probe.view(output)
        with pytest.raises(ProbeError, match="2 texts were given for a prompt of 6 tokens"):
            probe.view(["a", "b"])
        assert probe.view(list("abcdef")).tokens == tuple("abcdef")
    with watch(model, tokenizer, readout="prompt_keys") as probe:
        probe.start(Spans({"goal": [(1, 3)]}, length=6))
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **HOW)
        assert "".join(probe.view(output).tokens) == tokenizer.decode(ids[0])
        with pytest.raises(ProbeError, match="the 2 tokens are not those of this run, whose prompt has 6"):
            probe.view(ids[:, :2])


def test_a_wrong_order_is_said(model: Any, tokenizer: Any) -> None:
    with watch(model, tokenizer, readout="prompt_keys") as probe:
        with pytest.raises(ProbeError, match=r"no run to show; call model\.generate"):
            probe.show()
        inputs = probe.prepare(CHAT)
        with pytest.raises(ProbeError, match="no forward ran"):
            probe.show()
        model.generate(**inputs, **HOW)
        probe.prepare(CHAT)  # a new run forgets the last one
        with pytest.raises(ProbeError, match="no forward ran"):
            probe.show()
    probe, _ = run(model, tokenizer, readout=Readout())
    with pytest.raises(ProbeError, match=r"records no weights of single tokens.*readout='prompt_keys'"):
        probe.show()
    with pytest.raises(ConfigError, match="statistic 'prompt' is unknown"), watch(model, readout="prompt"):  # type: ignore[arg-type]
        pass
    probe, output = run(model, tokenizer)
    with pytest.raises(ProbeError, match="are not those of this run"):
        probe.view(output + 1)
    for wrong in ({"layers": [7]}, {"heads": [4]}, {"heads": [(7, 0)]}, {"layers": []}, {"heads": []}):
        with pytest.raises(ConfigError, match=r"not read|no head is chosen"):
            probe.view(**wrong)


def test_a_result_without_a_token_can_not_be_shown(model: Any, tokenizer: Any) -> None:
    probe, _ = run(model, tokenizer)
    probe.result(tokens=0)
    with pytest.raises(ProbeError, match="no token of the answer was read"):
        probe.view()


def test_a_terminal_gets_the_prompt_and_its_heaviest_tokens(model: Any, tokenizer: Any, capsys: Any) -> None:
    probe, _ = run(model, tokenizer)
    view = probe.show()
    out = capsys.readouterr().out
    assert "<script>alert(1)</script>" in out
    assert "\u202e" not in out
    assert "attention: rule" in out
    inside = [k for a, b in (*view.spans["rule"], *view.spans["user"]) for k in range(a, b)]
    heaviest = max(inside, key=lambda k: view.mean[k])
    assert f"heaviest tokens in a span: {view.tokens[heaviest]!r}" in out
