"""The prompts of Qwen2.5-VL and Qwen3-VL: the functions ``mobile_use`` and ``computer_use`` as the models know them.

Source: the cookbooks ``mobile_agent`` and ``computer_use`` of github.com/QwenLM/Qwen3-VL (Apache-2.0; of Qwen2.5-VL,
the commit f61c3cd of 2025-01-29) and the template of Qwen-Agent's ``NousFnCallPrompt``. Qwen2.5-VL is told the size of
the picture that its processor made, and writes pixels of it. Qwen3-VL is told 999 × 999 (``mobile_use``) or 1000 × 1000
(``computer_use``), and writes thousandths. The first cookbook divides by 999 and the second by 1000; the difference is
a thousandth of the screen at most, and we divide by 1000.

The blocks are theirs, character by character. Behind them stand a sentence on answers and on the end of a task, which
their functions do not explain, and the rules of the episode. Qwen2.5-VL's history lists calls, Qwen3-VL's lists what
the model itself wrote behind ``Action:``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from homeostat.agent.prompts.style import PromptStyle
from homeostat.agent.prompts.verbose import VERBOSE
from homeostat.data_files import read_text

__all__ = ["QWEN2_5_VL", "QWEN2_5_VL_COMPUTER", "QWEN3_VL", "QWEN3_VL_COMPUTER"]

_BLOCK = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
FUNCTION
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""
_FORMAT = """

# Response format

Response format for every step:
1) Thought: one concise sentence explaining the next move (no multi-step reasoning).
2) Action: a short imperative describing what to do in the UI.
3) A single <tool_call>...</tool_call> block containing only the JSON: {"name": <function-name>, "arguments": \
<args-json-object>}.

Rules:
- Output exactly in the order: Thought, Action, <tool_call>.
- Be brief: one sentence for Thought, one for Action.
- Do not output anything else outside those three parts.
- If finishing, use action=terminate in the tool call."""
_END = "\n\nTerminate with success once the task is done, with failure where a rule forbids it or it can't be done."
_ANSWER = '\n\nAnswer a question with {"action": "answer", "text": "…"} before you terminate.'
_FUNCTIONS: dict[str, Any] = json.loads(read_text(Path(__file__).with_name("qwen_functions.json")))
_PROGRESS = "Task progress (You have done the following operation on the current device): {history}"


def _style(function: str, behind: str, **wording: Any) -> PromptStyle:
    """A style with a function's block behind its system message."""
    block = _BLOCK.replace("FUNCTION", json.dumps(_FUNCTIONS[function], ensure_ascii=False))
    template = f"\n\n{block}{behind}".replace("{", "{{").replace("}", "}}")
    for side in ("width", "height"):
        template = template.replace(f"{{{{{side}}}}}", f"{{{side}}}")
    return PromptStyle(
        tools=template,
        planner_system=VERBOSE.planner_system,
        planner_memory=VERBOSE.planner_memory,
        planner_screen=True,
        typed_plans=True,
        compacts=True,
        reporter_system=VERBOSE.reporter_system,
        history_length=100,
        **wording,
    )


_MOBILE: dict[str, Any] = {"history_empty": "", "history_step": "Step {number}: {action}; ", "history_separator": ""}

QWEN2_5_VL = _style(
    "qwen2_5_mobile_use",
    _ANSWER + _END,
    system="You are a helpful assistant.",
    goal="The user query:  {goal}\n",
    history=_PROGRESS,
    history_form="call",
    coordinates="pixels",
    **_MOBILE,
)
"""Qwen2.5-VL with ``mobile_use``: pixels of the picture that the processor made."""

QWEN3_VL = _style(
    "qwen3_mobile_use",
    _FORMAT + _END,
    system="",
    goal="The user query: {goal}.\n",
    history=f"{_PROGRESS}.\n",
    history_form="said",
    coordinates="thousandths",
    **_MOBILE,
)
"""Qwen3-VL with ``mobile_use``: thousandths."""

_COMPUTER: dict[str, Any] = {
    "system": "You are a helpful assistant.",
    "goal": "{goal}\n",
    "order": ("screen", "goal", "history", "elements", "reminder"),
}

QWEN2_5_VL_COMPUTER = _style("qwen2_5_computer_use", _ANSWER + _END, coordinates="pixels", **_COMPUTER)
"""Qwen2.5-VL with ``computer_use``, for web pages: pixels of the picture that the processor made."""

QWEN3_VL_COMPUTER = _style("qwen3_computer_use", _END, coordinates="thousandths", **_COMPUTER)
"""Qwen3-VL with ``computer_use``, for web pages: thousandths."""
