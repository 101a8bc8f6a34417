"""``prepare``: chats with tools, batches of chats, and plain texts of models without a chat template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from homeostat.errors import ConfigError, ModelError, ProbeError
from homeostat.sensors import Actuator, Message, Part, Prompt, Renderer, Spans, watch

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if loop.first and tools %}\n# Tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}]
SHORT = [{"role": "user", "content": "turn it on", "label": "goal"}]
LONG = [{"role": "system", "content": "You help."}, {"role": "user", "content": "open the settings and turn it on"}]
HOW = {"do_sample": False, "max_new_tokens": 5, "min_new_tokens": 5}
EXACT = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
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
    return chat_tools.make_tokenizer(TEMPLATE)


@pytest.fixture(scope="module")
def base(chat_tools: Any) -> Any:
    """A base model's tokenizer: no chat template, and a first token of its own."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = chat_tools.make_tokenizer(bos_token="<bos>")
    tokenizer.chat_template = None
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    return tokenizer


def test_the_tools_are_read_like_any_span(model: Any, tokenizer: Any, reference: Any) -> None:
    with watch(model, tokenizer) as probe:
        inputs = probe.prepare(LONG, tools=TOOLS)
        sequences = model.generate(**inputs, **HOW)
        got = probe.result()
    assert got.labels == ("system", "tools", "user", "output")
    expected = reference.masses(
        reference.maps(model, input_ids=sequences[:, :-1])[0], got.spans, inputs["input_ids"].shape[1]
    )
    np.testing.assert_allclose(got.mass, expected[-5:], **EXACT)
    assert got.of("tools").mean() > 0.05


def test_tools_that_only_the_template_knows_are_refused(model: Any, tokenizer: Any) -> None:
    """The chat is prepared without its tools, and generated with them: the spans would be off."""
    alone = tokenizer.apply_chat_template(LONG, add_generation_prompt=True, return_tensors="pt")
    chat = tokenizer.apply_chat_template(LONG, tools=TOOLS, add_generation_prompt=True, return_tensors="pt")
    short, long = alone["input_ids"].shape[1], chat["input_ids"].shape[1]
    with watch(model, tokenizer) as probe:
        probe.prepare(LONG)
        with pytest.raises(ProbeError, match=rf"a prompt of {long} tokens.*a prompt of {short}"):
            model.generate(**chat, **HOW)


@pytest.mark.parametrize("steer", [(), (Actuator("goal", gain=5.0),)])
def test_a_batch_reads_like_its_chats(model: Any, tokenizer: Any, steer: Any) -> None:
    labelled = [{"role": "user", "content": "click the screen and open the settings", "label": "goal"}]
    chats = [SHORT, labelled, Prompt.from_chat(SHORT), [*LONG[:1], *SHORT]]
    with watch(model, tokenizer) as probe:
        inputs = probe.prepare(chats, steer=steer)
        sequences = model.generate(**inputs, **HOW)
        got = probe.results()
        for row, chat in enumerate(chats):
            alone = probe.prepare(chat, steer=steer)
            lone = model.generate(**alone, **HOW)
            wanted = probe.result()
            pad = inputs["input_ids"].shape[1] - alone["input_ids"].shape[1]
            assert torch.equal(sequences[row, pad:], lone[0])
            assert inputs["attention_mask"][row].tolist() == [0] * pad + [1] * (len(inputs["input_ids"][row]) - pad)
            assert got[row].labels == wanted.labels
            np.testing.assert_allclose(got[row].mass, wanted.mass, **EXACT)
            np.testing.assert_array_equal(got[row].lengths, wanted.lengths)


def test_a_batch_shares_its_tools(model: Any, tokenizer: Any) -> None:
    batch = Renderer(tokenizer).render_batch([SHORT, LONG], tools=TOOLS)
    lone = [Renderer(tokenizer).render(chat, tools=TOOLS) for chat in (SHORT, LONG)]
    assert [row.ids for row in batch.rows] == [row.ids for row in lone]
    assert all("tools" in spans for spans in batch.as_spans())
    assert len({spans.length for spans in batch.as_spans()}) == 1


def test_a_batch_of_images_is_what_the_processor_makes(chat_tools: Any) -> None:
    processor = chat_tools.make_processor()
    pixels = np.random.default_rng(0).integers(0, 255, (3, 24, 24, 3), dtype=np.uint8)

    def chat(*parts: Any) -> list[dict[str, Any]]:
        content = [
            {"type": "text", "text": p, "label": "goal"}
            if isinstance(p, str)
            else {"type": "image", "image": pixels[p]}
            for p in parts
        ]
        return [{"role": "user", "content": content}]

    chats = [chat("what is it? open the settings", 0), chat(1, "and", 2), chat("no image")]
    batch = Renderer(processor).render_batch(chats)
    texts = [row.text for row in batch.rows]
    processor.tokenizer.padding_side = "left"
    own = processor(text=texts, images=list(pixels), return_tensors="pt", padding=True, add_special_tokens=True)
    for name in own:
        torch.testing.assert_close(batch.inputs[name], own[name])
    token = processor.tokenizer.convert_tokens_to_ids("<image>")
    for spans, ids in zip(batch.as_spans()[:2], batch.inputs["input_ids"].tolist(), strict=False):
        assert [k for k, t in enumerate(ids) if t == token] == [k for a, b in spans["image"] for k in range(a, b)]


def test_a_plain_text_is_what_the_tokenizer_makes(model: Any, base: Any, reference: Any) -> None:
    text = "The task: open the settings and turn it on."
    with watch(model, base) as probe:
        inputs = probe.prepare(text)
        assert inputs["input_ids"].tolist() == [base(text)["input_ids"]]
        assert inputs["input_ids"][0, 0] == base.bos_token_id
        sequences = model.generate(**inputs, **HOW)
        got = probe.result()
        length = inputs["input_ids"].shape[1]
        assert got.spans == Spans({"text": [(1, length)]}, length=length)
        expected = reference.masses(reference.maps(model, input_ids=sequences[:, :-1])[0], got.spans, length)
        np.testing.assert_allclose(got.mass, expected[-5:], **EXACT)
        parts = [{"type": "text", "text": text[:9], "label": "head"}, {"type": "text", "text": text[9:]}]
        assert probe.prepare(parts)["input_ids"].tolist() == [base(text)["input_ids"]]
        model.generate(**inputs, **HOW)
        labelled = probe.result()
    np.testing.assert_allclose(labelled.of("head") + labelled.of("text"), got.of("text"), **EXACT)


def test_a_batch_of_plain_texts(model: Any, base: Any) -> None:
    texts = ["open the settings", "turn it on and click the screen"]
    with watch(model, base) as probe:
        inputs = probe.prepare(texts)
        base.padding_side = "left"
        own = base(texts, padding=True, return_tensors="pt")
        assert torch.equal(inputs["input_ids"], own["input_ids"])
        assert torch.equal(inputs["attention_mask"], own["attention_mask"])
        model.generate(**inputs, **HOW)
        got = probe.results()
        for row, text in enumerate(texts):
            model.generate(**probe.prepare(text), **HOW)
            np.testing.assert_allclose(got[row].mass, probe.result().mass, **EXACT)


def test_a_plain_text_holds_control_tokens_only_if_it_is_trusted(tokenizer: Any, base: Any) -> None:
    chat = tokenizer.apply_chat_template(SHORT, tokenize=False, add_generation_prompt=True)
    renderer = Renderer(base)
    assert renderer.render(Prompt.from_text(chat, trusted=True)).ids == base(chat)["input_ids"]
    assert not set(renderer.render(chat).ids[1:]) & set(base.all_special_ids)
    begun = Prompt.from_text("<bos>" + chat, trusted=True)
    assert renderer.render(begun).ids == base(chat)["input_ids"]  # its first token is there once


def test_what_a_plain_text_can_not_have_is_one_line(base: Any) -> None:
    renderer = Renderer(base)
    for given, why in (
        (lambda: renderer.render("hello", tools=TOOLS), "no place for tools or images"),
        (lambda: renderer.render(SHORT), "no chat template; add chat_template.jinja to its folder, or pass a plain"),
        (lambda: renderer.render(""), "'' is empty"),
        (lambda: renderer.render([]), "is empty"),
        (lambda: renderer.render_batch([]), "without prompts"),
        (lambda: Prompt((Message("user", (Part("a", image=np.zeros((2, 2, 3), np.uint8)),)),), plain=True), "images"),
    ):
        with pytest.raises((ConfigError, ModelError), match=why) as caught:
            given()
        assert "\n" not in str(caught.value)
