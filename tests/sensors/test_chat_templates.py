"""Spans for the chat templates that TRL ships: every range decodes to its text, or the template is refused by name."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from homeostat.errors import ConfigError, ModelError
from homeostat.sensors import Prompt, Renderer

FOUND = find_spec("trl")
FOLDER = Path(FOUND.submodule_search_locations[0]) / "chat_templates" if FOUND else Path("no-trl")
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.jinja"))
SINGLE = (
    {"role": "system", "content": "You help.", "label": "rules"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Which city is it?\n"},
            {"type": "text", "text": "Paris is a city. Which city is it?", "label": "document"},
        ],
    },
)
SEVERAL = (
    *SINGLE,
    {"role": "assistant", "content": "Paris, it says."},
    {"role": "user", "content": "Are you sure?", "label": "doubt"},
)
CALL = {"type": "function", "id": "call00001", "function": {"name": "look", "arguments": {"city": "Paris"}}}
SPELLED = {**CALL, "function": {"name": "look", "arguments": '{"city": "Paris"}'}}  # as DeepSeek V3 wants it
TOOL = (
    *SEVERAL,
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
    {"role": "tool", "content": "Paris: a city in France", "name": "look", "tool_call_id": "call00001"},
)
CHATS = {"single": SINGLE, "several": SEVERAL, "tool": TOOL}

NO_TOOLS = ("cohere", "cohere2", "gemma", "gemma3", "llava_next", "phi3", "phi3_5")  # families that know no tool role
DROPPING = ("llama3_1", "llama3_2", "muse_glimmer")  # leave out what an assistant says beside a tool call


@pytest.fixture(scope="module")
def tokenizer(chat_tools):
    return chat_tools.make_tokenizer("", bos_token="<bos>")


def wanted(chat):
    texts: dict[str, list[str]] = {}
    for message in chat:
        content = message["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        for part in parts:
            label = part.get("label") or message.get("label") or message["role"]
            texts.setdefault(label, []).append(part["text"].strip())
    return texts


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("name", TEMPLATES or ["trl is not installed"])
def test_every_range_decodes_to_its_text(tokenizer, name, chat):
    if not TEMPLATES:
        pytest.skip("trl is not installed; its chat templates are what is rendered")
    messages = [
        m | ({"tool_calls": [SPELLED]} if "tool_calls" in m and "deepseekv3" in name else {}) for m in CHATS[chat]
    ]
    tokenizer.chat_template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    if chat == "tool" and name.removesuffix("_training") in (*NO_TOOLS, *DROPPING):
        with pytest.raises(ModelError, match="chat template cannot be followed"):
            Renderer(tokenizer).render(Prompt.from_chat(messages))
        return
    rendered = Renderer(tokenizer).render(Prompt.from_chat(messages))
    for label, texts in wanted(CHATS[chat]).items():
        decoded = [tokenizer.decode(rendered.ids[a:b]) for a, b in rendered.spans[label]]
        assert "".join(decoded).split() == " ".join(texts).split() or [d.strip() for d in decoded] == texts
    assert tokenizer.decode(rendered.ids) == rendered.text


def test_a_chat_s_images_and_labels(chat_tools):
    image = np.zeros((16, 16, 3), np.uint8)
    chat = [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": image},
                {"type": "text", "text": "what is it?"},
                {"type": "image", "image": image, "label": "second"},
            ],
        }
    ]
    rendered = Renderer(chat_tools.make_processor()).render(Prompt.from_chat(chat))
    assert list(rendered.spans) == ["image", "user", "second"] or set(rendered.spans) == {"image", "user", "second"}
    assert sum(b - a for a, b in rendered.spans["second"]) == 16


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"role": "robot", "content": "x"}, "message 0 has the role 'robot'"),
        ({"role": "user", "content": 3}, "message 0 has the content 3"),
        ({"role": "user", "content": [{"type": "audio"}]}, "message 0 has the part"),
        ({"role": "user", "content": [{"type": "image", "image": np.zeros((4, 4))}]}, "image of shape"),
    ],
)
def test_what_a_chat_can_not_hold_is_named(message, why):
    with pytest.raises(ConfigError, match=why):
        Prompt.from_chat([message])
