"""Qwen-VL: points on the picture that the processor made, and the tools as the models were trained on them."""

from __future__ import annotations

import importlib.util
import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from homeostat import Agent, TransformersModel, actions as a
from homeostat.agent.models.loading import load_style, template_hash
from homeostat.agent.models.pictures import fitted, lacking_torchvision, resize_of
from homeostat.agent.prompts import (
    QWEN2_5_VL,
    QWEN2_5_VL_COMPUTER,
    QWEN3_VL,
    QWEN3_VL_COMPUTER,
    VERBOSE,
    PromptStyle,
    SmartResize,
    act_prompt,
    past_action,
)
from homeostat.agent.testing import ScriptedModel
from homeostat.envs.mobile_use import format_action, parse_action
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ModelError
from homeostat.observation import Observation
from homeostat.sensors import Prompt, Renderer

TOKENIZER = Path.home() / ".cache/homeostat/real-models/qwen0.5b"
RECORDED = json.loads(Path(__file__).with_name("qwen_recorded_prompts.json").read_text())
"""The system messages of the cookbooks: printed there, or made by their code (computer_use)."""


def qwen(**settings: Any) -> Any:
    """Qwen-VL's own image processor, of which Pillow's backend needs no torchvision."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(**settings)


def styled(kind: str, **settings: Any) -> PromptStyle:
    return load_style(None, kind, SimpleNamespace(image_processor=qwen(**settings)))


def screen(height: int, width: int) -> Observation:
    return Observation(np.zeros((height, width, 3), np.uint8), (), "home")


def click(x: int, y: int) -> str:
    arguments = f'{{"action": "click", "coordinate": [{x}, {y}]}}'
    return f'<tool_call>\n{{"name": "mobile_use", "arguments": {arguments}}}\n</tool_call>'


def test_the_size_is_that_of_the_processors_own_function() -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    limits = [(28, 56 * 56, 28 * 28 * 1280), (28, 3136, 1_003_520), (28, 3136, 12_845_056), (32, 65_536, 16_777_216)]
    sides = [1, 13, 14, 42, 144, 256, 405, 720, 1080, 1440, 2400, 3120, 5000]
    seen = 0
    for (factor, fewest, most), height, width in itertools.product(limits, sides, sides):
        if max(height, width) <= 200 * min(height, width):  # the processor refuses others
            ours = SmartResize(factor=factor, min_pixels=fewest, max_pixels=most).size(height, width)
            assert ours == smart_resize(height, width, factor, fewest, most)
            seen += 1
    assert seen > 500


@pytest.mark.parametrize("settings", [{"max_pixels": 1_003_520}, {"patch_size": 16, "min_pixels": 65_536}, {}])
@pytest.mark.parametrize("size", [(256, 144), (1200, 540), (90, 160)])
def test_the_size_is_that_of_the_picture_which_the_processor_makes(
    settings: dict[str, int], size: tuple[int, int]
) -> None:
    from PIL import Image

    images = qwen(**settings)
    made = images(images=[Image.new("RGB", size[::-1])], return_tensors="np")["image_grid_thw"][0]
    resize = resize_of(SimpleNamespace(image_processor=images))
    assert resize is not None
    assert resize.size(*size) == (made[1] * images.patch_size, made[2] * images.patch_size)


def test_only_qwens_processor_is_taken_for_it() -> None:
    from transformers import GotOcr2ImageProcessorPil, SiglipImageProcessorPil

    assert resize_of(None) is None
    assert resize_of(SimpleNamespace(image_processor=SiglipImageProcessorPil())) is None
    assert resize_of(SimpleNamespace(image_processor=GotOcr2ImageProcessorPil())) is None
    assert resize_of(SimpleNamespace(image_processor=qwen(do_resize=False))) is None
    with pytest.raises(ValueError, match="exchange them"):
        SmartResize(min_pixels=10, max_pixels=5)


def test_pixels_are_those_of_the_picture() -> None:
    """1080 × 2400 with max_pixels 1,003,520: the model sees 672 × 1484, and [336, 742] is its centre."""
    style, seen = styled("qwen2_5_vl", max_pixels=1_003_520), screen(2400, 1080)
    grid = style.grid(seen)
    assert (grid.width, grid.height) == (672, 1484)
    assert parse_action(click(336, 742), grid) == a.Click(point=(0.5, 0.5))
    assert format_action(a.Click(point=(0.5, 0.5)), grid) == click(336, 742)
    assert parse_action(click(672, 1484), grid).point == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen3_vl", "qwen3_vl_moe"])
def test_thousandths_are_those_of_the_screen(kind: str) -> None:
    grid = styled(kind).grid(screen(2400, 1080))
    assert parse_action(click(1000, 500), grid).point == pytest.approx((1.0, 0.5))
    assert parse_action(click(250, 0), grid) == a.Click(point=(0.25, 0.0))


@pytest.mark.parametrize(
    ("style", "name", "size"),
    [
        (QWEN2_5_VL, "qwen2_5_vl_mobile", (2408, 1092)),
        (QWEN2_5_VL_COMPUTER, "qwen2_5_vl_computer", (1092, 1932)),
        (QWEN3_VL, "qwen3_vl_mobile", (2400, 1080)),
        (QWEN3_VL_COMPUTER, "qwen3_vl_computer", (1080, 1920)),
    ],
)
def test_the_system_message_begins_with_the_recorded_one(style: PromptStyle, name: str, size: tuple[int, int]) -> None:
    prompt = act_prompt(style, goal="x", rules=["never buy"], history=[], observation=screen(*size))
    text = "".join(part.text for part in prompt.messages[0].parts)
    assert text.startswith(RECORDED[name])
    assert len(text) - len(RECORDED[name]) < 250
    assert text.endswith("\nRules:\nnever buy")
    (part,) = (part for part in prompt.messages[0].parts if part.label == "system")
    assert part.trusted == ((0, len(part.text)),)


def test_the_stated_resolution_is_that_of_the_picture() -> None:
    """The cookbook's own case: a screenshot of 1080 × 2400 is stated as 1092 × 2408."""
    style = styled("qwen2_5_vl", max_pixels=12_845_056)
    prompt = act_prompt(style, goal="x", rules=[], history=[], observation=screen(2400, 1080))
    assert prompt.messages[0].parts[0].text.startswith(RECORDED["qwen2_5_vl_mobile"])


@pytest.mark.skipif(not TOKENIZER.is_dir(), reason=f"no tokenizer of Qwen in {TOKENIZER}")
def test_qwens_chat_template_renders_the_cookbooks_text() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    style = styled("qwen2_5_vl", max_pixels=12_845_056)
    prompt = act_prompt(style, goal="send <tool_call>", rules=[], history=[], observation=screen(2400, 1080))
    system, user = prompt.messages
    words = tuple(part for part in user.parts if part.image is None)  # this tokenizer belongs to a text model
    rendered = Renderer(tokenizer).render(Prompt((system, replace(user, parts=words))))
    assert rendered.text.startswith(f"<|im_start|>system\n{RECORDED['qwen2_5_vl_mobile']}\n\nAnswer a question")
    calls = rendered.ids.count(tokenizer.convert_tokens_to_ids("<tool_call>"))
    assert calls == RECORDED["qwen2_5_vl_mobile"].count("<tool_call>")  # the goal's is broken up


def test_the_user_message_is_the_cookbooks() -> None:
    """Printed in the cookbook of Qwen2.5-VL, and made by the code in that of Qwen3-VL."""
    seen = screen(2400, 1080)
    goal = "Open the file manager app and view the au_uu_SzH3yR2.mp3 file in MUSIC Folder"
    done = past_action(QWEN2_5_VL, a.Open(app="File Manager"), seen)
    prompt = act_prompt(QWEN2_5_VL, goal=goal, rules=[], history=[done], observation=seen)
    assert "".join(part.text for part in prompt.messages[1].parts) == (
        f"The user query:  {goal}\nTask progress (You have done the following operation on the current device): "
        'Step 1: {"name": "mobile_use", "arguments": {"action": "open", "text": "File Manager"}}; '
    )
    assert prompt.messages[1].parts[-1].label == "screen"

    goal = "Search for Musk in X and go to his homepage to open the first post."
    said = 'Thought: I open it.\nAction: "I opened the X app from the home screen."\n<tool_call>\n…'
    done = past_action(QWEN3_VL, a.Open(app="X"), seen, said)
    prompt = act_prompt(QWEN3_VL, goal=goal, rules=[], history=[done], observation=seen)
    assert "".join(part.text for part in prompt.messages[1].parts) == (
        f"The user query: {goal}.\nTask progress (You have done the following operation on the current device): "
        "Step 1: I opened the X app from the home screen.; .\n"
    )
    assert past_action(QWEN3_VL, a.Open(app="X"), seen, "no such line") == "open X"


def test_steps_keep_their_numbers_when_the_oldest_are_left_out() -> None:
    style = QWEN3_VL.model_copy(update={"history_length": 2})
    prompt = act_prompt(style, goal="x", rules=[], history=["a", "b", "c"], observation=screen(48, 40))
    (part,) = (part for part in prompt.messages[1].parts if part.label == "history")
    assert "Step 2: b; Step 3: c; " in part.text
    assert "Step 1" not in part.text


def test_an_agent_clicks_where_the_model_points() -> None:
    """The phone's 144 × 256 pixels become 140 × 252: the same button has other numbers on both."""
    style = styled("qwen2_5_vl")
    env = PhoneEnv(split="test")
    task = env.reset_task("notes_add", seed=1)
    grid, seen = style.grid(env.observe()), env.observe()
    assert (grid.width, grid.height) == (140, 252)
    element = next(e for e in seen.elements if e.role in ("icon", "app", "button"))
    left, top, right, bottom = element.box
    x, y = grid.spell(((left + right) / 2, (top + bottom) / 2))
    model = ScriptedModel([click(x, y), '{"action": "terminate"}'], style=style)
    Agent(model).run(task, env)
    assert f"The screen's resolution is {grid.width}x{grid.height}." in model.prompts[0].messages[0].parts[0].text
    history = next(p.text for p in model.prompts[1].messages[1].parts if p.label == "history")
    assert history.endswith(
        f'Step 1: {{"name": "mobile_use", "arguments": {{"action": "click", "coordinate": [{x}, {y}]}}}}; '
    )


def test_a_style_may_state_its_own_picture(tmp_path: Path) -> None:
    own = VERBOSE.model_copy(update={"resize": SmartResize(factor=10, min_pixels=1, max_pixels=10_000)})
    (tmp_path / "homeostat.json").write_text(own.model_dump_json())
    style = load_style(str(tmp_path), "qwen2_5_vl", SimpleNamespace(image_processor=qwen()))
    assert style == own
    (tmp_path / "homeostat.json").write_text(VERBOSE.model_dump_json())
    style = load_style(str(tmp_path), "qwen2_5_vl", SimpleNamespace(image_processor=qwen()))
    assert style.resize == SmartResize()
    (tmp_path / "homeostat.json").write_text('{"system": "s", "planner_system": "p", "tools": "{depth}"}')
    with pytest.raises(ModelError, match=r"\{depth\}.*\{width\} or \{height\}"):
        load_style(str(tmp_path), "", None)


def test_a_style_that_is_passed_gets_the_processors_picture() -> None:
    processor = SimpleNamespace(image_processor=qwen(max_pixels=1_003_520))
    style = fitted(QWEN2_5_VL_COMPUTER, processor)
    assert (style.grid(screen(2400, 1080)).width, style.grid(screen(2400, 1080)).height) == (672, 1484)
    assert fitted(style, SimpleNamespace(image_processor=qwen())) is style
    assert fitted(VERBOSE, None) is VERBOSE


def test_a_processor_without_torchvision_is_one_line_with_the_fix(tmp_path: Path, tools: Any) -> None:
    """The processors of Qwen-VL own a video processor, which torchvision computes."""
    from transformers import Qwen2_5_VLConfig

    if importlib.util.find_spec("torchvision") is not None:
        pytest.skip("torchvision is installed: the processor can be built")
    tools.make_tokenizer().save_pretrained(tmp_path)
    Qwen2_5_VLConfig().save_pretrained(tmp_path)
    kinds = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(kinds))
    with pytest.raises(
        ModelError, match=r"^can't load model .*: its processor needs torchvision; pip install 'home.*$"
    ):
        TransformersModel.load(tmp_path, device="cpu")
    misfit = lacking_torchvision(RuntimeError("operator torchvision::nms does not exist"))
    assert misfit is not None
    assert misfit.startswith("the installed torchvision does not fit this torch; ")
    assert lacking_torchvision(ImportError("no module named 'x'")) is None


def test_calibrations_belong_to_the_wording_of_the_model_type(tmp_path: Path) -> None:
    digests = {}
    for kind in ("llava", "idefics3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "config.json").write_text(json.dumps({"model_type": kind}))
        digests[kind] = template_hash(str(tmp_path / kind))
    assert digests["llava"] == digests["idefics3"]
    assert len(set(digests.values())) == 4
