"""Turns that are held to the tools' schema, and answers that the tokenizer's own template reads."""

import json
from typing import Any

import jsonschema
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from homeostat.actions import Answer, Call, Calls
from homeostat.agent import Agent, LoopLimits, TransformersModel
from homeostat.agent.events import Sense
from homeostat.agent.tool_calls import answer_tool, calls_schema, read_message, read_turn
from homeostat.conversation import ToolSpec
from homeostat.envs.tools import Tool, ToolEnv, tool
from homeostat.errors import UnparsableAction
from homeostat.sensors import Attempt
from homeostat.testing import ScriptedModel
from tests.conftest import make_tokenizer

PLACE = {
    "type": "object",
    "properties": {"at": {"$ref": "#/$defs/point"}, "tags": {"type": "array", "items": {"enum": ["a"]}, "maxItems": 1}},
    "required": ["at", "tags"],
    "additionalProperties": False,
    "$defs": {
        "point": {
            "type": "object",
            "properties": {"x": {"enum": [1, 2]}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/point"}]}},
            "required": ["x"],
            "additionalProperties": False,
        }
    },
}
SPECS = (
    ToolSpec(name="place", parameters=PLACE),
    ToolSpec(
        name="look",
        parameters={"type": "object", "properties": {"n": {"enum": [1, 2]}}, "additionalProperties": False},
    ),
)


@tool(changes=False)
def look(n: int = 1) -> str:
    """Looks."""
    return f"grey {n}"


def tiny(template: dict[str, Any] | None = None) -> TransformersModel:
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    if template is not None:
        tokenizer.response_template = template
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), **size, eos_token_id=tokenizer.eos_token_id)  # type: ignore[arg-type]
    return TransformersModel(LlamaForCausalLM(config).eval(), tokenizer)


def test_references_stay_within_each_tools_own_schema() -> None:
    schema = calls_schema([*SPECS, ToolSpec(name="again", parameters=PLACE)])
    good = {"name": "again", "arguments": {"at": {"x": 1, "next": {"x": 2, "next": None}}, "tags": ["a"]}}
    jsonschema.validate(good, schema)
    for wrong in ({"x": 3}, {"x": 1, "next": {"x": 3}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"name": "again", "arguments": {"at": wrong, "tags": []}}, schema)


@pytest.mark.parametrize("seed", range(4))
def test_a_random_model_writes_calls_that_fit(seed: int) -> None:
    model = tiny()
    env = ToolEnv([Tool(spec, lambda arguments: "ok") for spec in SPECS])
    limits = LoopLimits(constrained=True, max_new_tokens=400, temperature=1.0)
    run = Agent(model, sensors=[], controllers=[], limits=limits).start("Look.", env, seed=seed, max_steps=2)
    schema = calls_schema(SPECS)
    told = [event for event in run if isinstance(event, Sense)]
    for event in told:
        if event.finish == "stop":
            jsonschema.validate(json.loads(event.text), schema)
            assert event.unparsable is None
        else:
            assert event.unparsable is not None
            assert "cut off" in event.unparsable
    assert not any("error" in result for _, result in env.outcome().calls)  # arguments fit, so no tool refuses them


def test_the_prompt_says_how_to_answer_and_a_model_that_can_not_is_left_alone() -> None:
    answers = ['{"name": "look", "arguments": {"n": 2}}', '{"name": "answer", "arguments": {"text": "Grey."}}']
    able = ScriptedModel(answers, capabilities=frozenset({"text", "schema"}))
    env = ToolEnv([look])
    Agent(able, sensors=[], controllers=[], limits=LoopLimits(constrained=True)).run("Look.", env)
    assert env.outcome().answer == "Grey."
    assert [call.arguments for call, _ in env.outcome().calls] == [{"n": 2}]
    expected = calls_schema([one.spec for one in env.tools.values()])
    assert [call["schema"] for call in able.calls] == [expected] * 2
    tools = next(part.text for part in able.prompts[0].messages[0].parts if part.label == "tools")
    assert '"name": "answer"' in tools
    plain = ScriptedModel(["Grey."])
    Agent(plain, sensors=[], controllers=[], limits=LoopLimits(constrained=True)).run("Look.", ToolEnv([look]))
    assert '"name": "answer"' not in plain.prompts[0].messages[0].parts[-1].text


def test_a_tool_that_is_named_answer_keeps_its_name() -> None:
    tools = [ToolSpec(name="answer", parameters={"type": "object", "properties": {"text": {"type": "string"}}})]
    assert answer_tool(tools).name == "answer_in_words"
    assert read_turn('{"name": "answer", "arguments": {"text": "x"}}', tools) == Call(
        tool="answer", arguments={"text": "x"}
    )
    said = read_turn('{"name": "answer_in_words", "arguments": {"text": "x"}}', tools)
    assert said == Answer(text="x")


TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "content": {"close": "<|im_end|>"},
        "tool_calls": {
            "open_pattern": r"<start_of_turn>(?P<name>\w+)\s*",
            "close": "<end_of_turn>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        },
    },
}


def answer_of(model: TransformersModel, text: str) -> Attempt:
    tokens = model.renderer.tokenizer.encode(text, add_special_tokens=False)
    return Attempt(text=model.renderer.tokenizer.decode(tokens, skip_special_tokens=True), tokens=tuple(tokens))


def test_the_tokenizers_own_template_reads_calls_in_special_tokens() -> None:
    model = tiny(TEMPLATE)
    specs = [Tool.of(look).spec]
    one = 'Let me.<start_of_turn>look {"n": 2}<end_of_turn>'
    two = one + '<start_of_turn>look {"n": 1}<end_of_turn>'
    for text, expected in (
        (one, Call(tool="look", arguments={"n": 2})),
        (two, Calls(calls=(Call(tool="look", arguments={"n": 2}), Call(tool="look", arguments={"n": 1})))),
    ):
        attempt = answer_of(model, text)
        message = model.parse_answer(attempt, specs)
        assert message is not None
        assert read_message(message, attempt.text, specs) == expected
        assert isinstance(read_turn(attempt.text, specs), Answer)  # the markers are special tokens and not in the text
    assert model.parse_answer(answer_of(model, "<start_of_turn>look {broken<end_of_turn>"), specs) in (None, {})
    assert tiny().parse_answer(answer_of(model, one), specs) is None


def test_the_loop_asks_the_model_how_its_turn_is_read() -> None:
    class Reads(ScriptedModel):
        def parse_answer(self, attempt: Attempt, tools: Any) -> dict[str, Any] | None:
            if attempt.text == "first":
                return {"tool_calls": [{"type": "function", "function": {"name": "look", "arguments": '{"n": 3}'}}]}
            return {"content": "It is grey."} if attempt.text == "second" else None

    env = ToolEnv([look])
    Agent(Reads(["first", "second"]), sensors=[], controllers=[]).run("Look.", env)
    assert [result for _, result in env.outcome().calls] == ["grey 3"]
    assert env.outcome().answer == "It is grey."
    with pytest.raises(UnparsableAction, match="hold no call"):
        read_message({"tool_calls": [{"nonsense": 1}]}, "", [])
