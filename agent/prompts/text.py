"""The style of a text model that brings none of its own: the screen is a numbered list of elements.

It follows AndroidWorld's text agent T3A (arXiv 2405.14573, appendix; ``android_world/agents/t3a.py``): elements with a
number, an action as one JSON object that names a number, and a history in words. T3A's instruction alone has about
1,300 tokens; this one is short, so that prompt and answer fit a context of 2,048 tokens, and a model of few parameters
can follow it.
"""

from __future__ import annotations

from homeostat.agent.prompts.style import PromptStyle
from homeostat.agent.prompts.verbose import VERBOSE

__all__ = ["TEXT"]

TEXT = PromptStyle(
    system=(
        "You operate a phone, one action at a time. The screen is a list of numbered elements. Reply with one JSON "
        "object, the next action, and nothing else. The actions:\n"
        '{"action": "open", "text": NAME} opens an app\n'
        '{"action": "click", "index": NUMBER} taps an element\n'
        '{"action": "long_press", "index": NUMBER} holds an element\n'
        '{"action": "type", "text": TEXT} types into the focused field; click the field first\n'
        '{"action": "scroll", "direction": "down"} shows more of the screen (or up, left, right)\n'
        '{"action": "back"}, {"action": "home"}, {"action": "enter"} press a key\n'
        '{"action": "notifications"} shows the notifications\n'
        '{"action": "wait"} waits a second\n'
        '{"action": "answer", "text": TEXT} answers the user\'s question\n'
        '{"action": "terminate", "status": "success"} once the task is done, or "failure" if it can\'t be done or a '
        "rule forbids it\n"
        'In place of an index you may write "point": [X, Y], from [0, 0] (top left) to [999, 999] (bottom right).'
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
)
"""The style of a model that reads no images and brings no style of its own."""
