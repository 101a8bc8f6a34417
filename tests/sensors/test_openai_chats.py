"""Chats in OpenAI's format, as logs and data sets hold them, become what the model's template makes of them."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.errors import ConfigError, ModelError
from homeostat.sensors import Prompt, Renderer

FOUND = find_spec("trl")
FOLDER = Path(FOUND.submodule_search_locations[0]) / "chat_templates" if FOUND else Path("no-trl")
TAKING = ("qwen2_5", "qwen3", "qwen3_vl", "llama3_1", "llama3_2", "gptoss", "glm4moe", "gemma4_v5", "lfm2_v2",
          "nemotron_3_nano", "qwen3_6", "muse_glimmer", "deepseekv3")  # fmt: skip
ENCODING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}CALL {{ c.function.name }} {{ c.function.arguments | tojson }}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COPYING = ENCODING.replace("c.function.arguments | tojson", "c.function.arguments")
JOINING = ENCODING.replace("{{ c.function.arguments | tojson }}", "{{ '' + c.function.arguments }}")
LISTING = ENCODING.replace(
    "{{ c.function.arguments | tojson }}", "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}"
)
TRIMMING = ENCODING.replace("{{ m.content or '' }}", "{{ m.content | trim }}")
ONLY_NONE = ENCODING.replace("in m.tool_calls or []", "in m.tool_calls or [] if m.content is not string")
CALLLESS = "".join(ENCODING.partition("{% for c")[:1]) + ENCODING.partition("{% endfor %}")[2]


def call(arguments: Any = '{"a": 3}', name: str = "look") -> dict[str, Any]:
    return {"id": "call00001", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat(arguments: Any = '{"a": 3}', **content: Any) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "look it up"},
        {"role": "assistant", "tool_calls": [call(arguments)], **content},
        {"role": "tool", "tool_call_id": "call00001", "name": "look", "content": "it is 7"},
    ]


def decoded(tokenizer: Any, rendered: Any, label: str) -> list[str]:
    return [tokenizer.decode(rendered.ids[a:b]).strip() for a, b in rendered.spans[label]]


@pytest.mark.parametrize("content", [{"content": None}, {}, {"content": None, "refusal": None, "function_call": None}])
@pytest.mark.parametrize("name", TAKING)
def test_a_call_without_content_is_read_and_the_result_is_the_span_tool(
    chat_tools: Any, name: str, content: dict[str, Any]
) -> None:
    if not FOLDER.is_dir():
        pytest.skip("trl is not installed; its chat templates are what is rendered")
    template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    tokenizer = chat_tools.make_tokenizer(template, bos_token="<bos>")
    rendered = Renderer(tokenizer).render(Prompt.from_chat(chat(**content)))
    assert decoded(tokenizer, rendered, "tool") == ["it is 7"]
    assert decoded(tokenizer, rendered, "user") == ["look it up"]
    assert "assistant" not in rendered.spans
    assert "None" not in rendered.text
    wanted = chat(content="") if name == "deepseekv3" else chat({"a": 3}, content="")  # as each template wants them
    assert rendered.text == tokenizer.apply_chat_template(wanted, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("arguments", ['{"a": 3}', '{"a":3}', {"a": 3}])
@pytest.mark.parametrize("template", [ENCODING, COPYING, JOINING])
def test_arguments_are_json_once(chat_tools: Any, template: str, arguments: Any) -> None:
    tokenizer = chat_tools.make_tokenizer(template)
    rendered = Renderer(tokenizer).render(Prompt.from_chat(chat(arguments, content="I look.")))
    # A template that copies gets the text as it is; one that encodes gets the object.
    copied = template is not ENCODING and isinstance(arguments, str)
    assert f"CALL look {arguments if copied else chr(123) + chr(34) + 'a' + chr(34) + ': 3}'}" in rendered.text
    assert tokenizer.decode(rendered.ids) == rendered.text


def test_arguments_that_a_template_takes_apart(chat_tools: Any) -> None:
    tokenizer = chat_tools.make_tokenizer(LISTING)
    rendered = Renderer(tokenizer).render(Prompt.from_chat(chat(content=None)))
    assert "CALL look a=3" in rendered.text


@pytest.mark.parametrize("arguments", ["", "no json", "[1, 2]", "3"])
def test_arguments_that_are_no_object_stay_texts(chat_tools: Any, arguments: str) -> None:
    rendered = Renderer(chat_tools.make_tokenizer(COPYING)).render(Prompt.from_chat(chat(arguments, content=None)))
    assert f"CALL look {arguments}<" in rendered.text


@pytest.mark.parametrize("arguments", ['{"a": "\\u003c|im_end|>"}', '{"a": "<|im_end|>"}', {"<|im_end|>": 1}])
@pytest.mark.parametrize("template", [ENCODING, COPYING, JOINING, LISTING])
def test_arguments_hold_no_control_tokens(chat_tools: Any, template: str, arguments: Any) -> None:
    tokenizer = chat_tools.make_tokenizer(template)
    rendered = Renderer(tokenizer).render(Prompt.from_chat(chat(arguments, content=None)))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert rendered.ids.count(end) == 3


def test_a_missing_content_is_offered_as_none_and_as_nothing(chat_tools: Any) -> None:
    printed = Renderer(chat_tools.make_tokenizer(TRIMMING)).render(Prompt.from_chat(chat(content=None)))
    assert "<|im_start|>assistant\nCALL look" in printed.text
    keyed = Renderer(chat_tools.make_tokenizer(ONLY_NONE)).render(Prompt.from_chat(chat(content=None)))
    assert "<|im_start|>assistant\nCALL look" in keyed.text


def test_calls_that_a_template_drops_are_refused_where_nothing_else_is_said(chat_tools: Any) -> None:
    renderer = Renderer(chat_tools.make_tokenizer(CALLLESS))
    with pytest.raises(ModelError, match="leaves out the tool calls of a message without content"):
        renderer.render(Prompt.from_chat(chat(content=None)))
    assert "tool" in renderer.render(Prompt.from_chat(chat(content="I look."))).spans


def test_the_developer_is_the_system(chat_tools: Any) -> None:
    tokenizer = chat_tools.make_tokenizer()
    given = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "hi"}]
    rendered = Renderer(tokenizer).render(Prompt.from_chat(given))
    system = [{"role": "system", "content": "Be short."}, given[1]]
    assert rendered.text == tokenizer.apply_chat_template(system, tokenize=False, add_generation_prompt=True)
    assert decoded(tokenizer, rendered, "system") == ["Be short."]
    old = Prompt.from_chat([{"role": "function", "name": "look", "content": "7"}])
    assert old.messages[0].role == "tool"


def picture(mode: str = "RGB", kind: str = "PNG", **saved: Any) -> tuple[Any, str]:
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    image, file = Image.fromarray(pixels).convert(mode), io.BytesIO()
    image.save(file, kind, **saved)
    data = base64.b64encode(file.getvalue()).decode()
    return np.asarray(image.convert("RGB")), f"data:image/{kind.lower()};base64,{data}"


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
@pytest.mark.parametrize("shape", ["image_url", "text", "input_image", "image", "url", "base64"])
def test_data_urls_are_images(chat_tools: Any, shape: str, mode: str) -> None:
    pixels, url = picture(mode)
    part = {
        "image_url": {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
        "text": {"type": "image_url", "image_url": url},
        "input_image": {"type": "input_image", "image_url": url},
        "image": {"type": "image", "image": url},
        "url": {"type": "image", "url": url},
        "base64": {"type": "image", "base64": url.partition(",")[2]},
    }[shape]
    given = [{"role": "user", "content": [{"type": "input_text", "text": "what is it?"}, part]}]
    prompt = Prompt.from_chat(given)
    np.testing.assert_array_equal(prompt.messages[0].parts[1].image, pixels)
    rendered = Renderer(chat_tools.make_processor()).render(prompt)
    assert [b - a for a, b in rendered.spans["image"]] == [16]
    assert tuple(rendered.inputs["pixel_values"].shape) == (1, 3, 32, 32)


def test_photos_are_upright() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    _, url = picture(kind="JPEG", exif=exif)
    part = {"type": "image_url", "image_url": {"url": url}}
    assert Prompt.from_chat([{"role": "user", "content": [part]}]).messages[0].parts[0].image.shape == (40, 24, 3)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"role": "user", "content": None}, "message 0 has no content; pass a text"),
        ({"role": "user"}, "message 0 has no content"),
        ({"role": "assistant", "content": None, "tool_calls": []}, "message 0 has no content"),
        ({"role": "tool", "content": None}, "message 0 has no content"),
        ({"role": "human", "content": "x"}, "'human'; use one of system, user, assistant, tool, developer, function"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}, "https://a/b"),
        ({"role": "user", "content": [{"type": "image", "image": "/etc/passwd"}]}, "'/etc/passwd'; links and paths"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "an image part without an image"),
        ({"role": "user", "content": [{"type": "image", "url": "data:image/png;base64,@@"}]}, "'@@' is no base64"),
        ({"role": "user", "content": [{"type": "image", "url": "data:image/png;base64,aGk="}]}, "of 2 bytes.*be read"),
        ({"role": "user", "content": [{"type": "image", "url": "data:image/png"}]}, "without a comma"),
    ],
)
def test_what_can_not_be_read_is_one_line(message: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        Prompt.from_chat([message])
    assert "\n" not in str(caught.value)
