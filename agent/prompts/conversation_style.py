"""The wording of conversations with tools."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

__all__ = ["ConversationStyle"]

_PLACEHOLDERS = {"tools": "{tools}", "reminder": "{reminder}"}


class ConversationStyle(BaseModel):
    """How a model's conversations are worded.

    The defaults for tools are the form in which Hermes 3 and Qwen2.5 were trained. They are used for a model whose chat
    template has no place for tools; any other template words the tools itself.

    Attributes:
        system: The system message where the environment brings none.
        rules: The rules, behind the system message; ``{rules}``.
        rule_separator: What stands between two rules.
        tools: What the system message says about the tools; ``{tools}`` is one line of JSON for each tool.
        call: What stands around a call in the assistant's turns; ``{call}`` is its JSON.
        result: What stands around a tool's result, which is then a user's turn; ``{result}``.
        reminder: A controller's reminder at the end of the last turn; ``{reminder}``.
        reminder_after_tool: Whether a reminder after a tool's result is a user's turn of its own. Otherwise it stands
            behind the result, for chat templates that allow no such turn.
        left_out: What stands in the place of a tool's result that was left out of a prompt that is too long.
        compacts: Whether the oldest tool results, and then the oldest turns, are left out of a prompt that is longer
            than the model's context. Otherwise the model refuses such a prompt.
        thinks: Whether what the model writes before ``</think>`` is no part of its answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = "You are a helpful assistant."
    rules: str = "\nRules:\n{rules}"
    rule_separator: str = "\n"
    tools: str = (
        "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{tools}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within "
        "<tool_call></tool_call> XML tags:\n<tool_call>\n"
        '{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
    )
    call: str = "<tool_call>\n{call}\n</tool_call>"
    result: str = "<tool_response>\n{result}\n</tool_response>"
    reminder: str = "\nReminder: {reminder}"
    reminder_after_tool: bool = True
    left_out: str = "(this result was left out because the conversation is long)"
    compacts: bool = True
    thinks: bool = True

    @field_validator("rules", "tools", "call", "result", "reminder")
    @classmethod
    def _check_template(cls, template: str, info: Any) -> str:
        import string

        name = info.field_name
        fields = [(field, spec, conversion) for _, field, spec, conversion in string.Formatter().parse(template)]
        if [one for one in fields if one[0] is not None] != [(name, "", None)]:
            raise ValueError(f"must hold {{{name}}} once, without a format; write any other brace as {{{{ or }}}}")
        return template
