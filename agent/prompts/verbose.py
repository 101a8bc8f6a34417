"""The style of models that bring none of their own."""

from __future__ import annotations

from homeostat.agent.prompts.style import PromptStyle
from homeostat.controllers.operations import OPERATIONS

__all__ = ["VERBOSE"]

VERBOSE = PromptStyle(
    system=(
        "You operate a phone. Each turn you see the screen and call the tool mobile_use once:\n"
        '<tool_call>\n{"name": "mobile_use", "arguments": {"action": …}}\n</tool_call>\n'
        "Actions: click (coordinate), long_press (coordinate, time), swipe (coordinate, coordinate2), type (text; the "
        "field must have the focus), system_button (button: Back, Home, Menu, Enter), open (text: the app's name), "
        "wait (time), answer (text), terminate (status: success or failure).\n"
        "Answer a question with answer. Terminate with success once the task is done, with failure where a rule "
        "forbids it or it can't be done."
    ),
    planner_system=(
        "You split a phone task into atomic parts, each one app and one purpose, self-contained, in order. Reply with "
        'JSON only: {"parts": [{"instruction": "…"}, …]}. A part that finds a value out names it, "save": "price", and '
        'later texts write {price} in its place. To work something out, write {"compute": "sum", "of": ["{price}", '
        f'"$5"], "save": "total"}} (operations: {", ".join(OPERATIONS)}); to tell the user, {{"say": "{{total}}"}}. A '
        'part with "when": "is_low" (or "not is_low") is done only where that value is yes. You may add "check", what '
        "the screen has to show at a part's end. You are asked again after every part: write the parts that are left; "
        'with none, {"parts": [], "finish": "success"}, or "failure" where it can\'t be done.'
    ),
    planner_memory="Done: {done}\nFailed: {failed}\nKnown: {facts}\n",
    planner_screen=True,
    typed_plans=True,
    compacts=True,
    reporter_system=(
        "You read a phone's screen. Reply with JSON only: the values asked for as they stand there, null for what is "
        'not there, and whether what is asked is so: {"facts": {"price": "$12"}, "check": true}.'
    ),
)
"""The style of any model that does not bring its own: the ``mobile_use`` tool, in full sentences."""
