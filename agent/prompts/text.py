"""The style of a text model that brings none of its own: the screen is a numbered list of elements.

It follows AndroidWorld's text agent T3A (arXiv 2405.14573, appendix; ``android_world/agents/t3a.py``): elements with a
number, an action as one JSON object that names a number, and a history in words. T3A fills pages; this instruction
is short, so that prompt and answer fit a context of 2,048 tokens, and a model of few parameters can follow it. What an
action does stands in front of its JSON, because small models imitate what stands behind it. A model that can decode
under a JSON schema is held to the actions.
"""

from __future__ import annotations

from homeostat.agent.prompts.style import PromptStyle
from homeostat.agent.prompts.verbose import VERBOSE

__all__ = ["TEXT"]

TEXT = PromptStyle(
    system=(
        "You operate a phone. You see a task, what was done so far, and the screen as a list of elements: number, role "
        "and text. Open the app that the task is about, then do the task step by step. Reply with the next action "
        "only, one of these JSON objects:\n"
        'open an app: {"action": "open", "text": "<app>"}\n'
        'tap an element: {"action": "click", "index": <number>}\n'
        'hold an element: {"action": "long_press", "index": <number>}\n'
        'type into the focused field (click the field first): {"action": "type", "text": "<text>"}\n'
        'see more of the screen: {"action": "scroll", "direction": "<up, down, left or right>"}\n'
        'press a key: {"action": "back"}, {"action": "home"} or {"action": "enter"}\n'
        'see the notifications: {"action": "notifications"}\n'
        'wait: {"action": "wait"}\n'
        'answer the user: {"action": "answer", "text": "<answer>"}\n'
        'the task is done: {"action": "terminate", "status": "success"}\n'
        'the task is impossible or a rule forbids it: {"action": "terminate", "status": "failure"}\n'
        'For a place without an element, write "point": [<x>, <y>] in place of the index, from [0, 0] at the top left '
        "to [999, 999]."
    ),
    goal="Task: {goal}\n",
    history="Done so far: {history}\n",
    elements="Screen:\n{elements}\n",
    reminder="Reminder: {reminder}\n",
    order=("goal", "history", "elements", "reminder"),
    compacts=True,
    planner_system=VERBOSE.planner_system,
    planner_memory=VERBOSE.planner_memory,
    typed_plans=True,
    reporter_system=VERBOSE.reporter_system.replace("a phone's screen", "the elements of a phone's screen"),
    coordinates="thousandths",
    answers="elements",
    constrained=True,
)
"""The style of a model that reads no images and brings no style of its own."""
