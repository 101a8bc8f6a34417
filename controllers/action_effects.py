"""What an action does, judged by the screen: whether it removes, buys, sends, adds or calls.

Only labels are known, never consequences. A control (a button, an option, an icon) counts by any word of its label. An
element that may hold the user's content (a row, a text, a title) counts only if its whole label is a command, such as
``Delete`` or ``Delete all``, so that the row of a note ``buy milk`` can be opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from homeostat import actions as a
from homeostat.controllers.context import ControlContext
from homeostat.controllers.rule_words import ACTS, Act, Topic, normal, topics_of, words_of
from homeostat.controllers.tool_effects import COMMANDS, call_concerns, call_does
from homeostat.observation import Element, element_at

__all__ = ["concerns", "does", "says"]

_CONTENT = frozenset(
    {"item", "text", "title", "toast", "status", "badge", "dialog", "toggle", "list", "row", "listitem"}
)
_FIELDS = frozenset({"field", "input_text", "input_password", "textarea"})
_ROWS = frozenset({"item", "row", "listitem", "list_item", "text", "notification", "message"})
_CELLS = frozenset({"key", "cell", "canvas", "image", "shape"})
_YES = re.compile(
    r"(?:yes|yep|ok|okay|sure|confirm|continue|proceed|accept|agree|allow|apply|do it|go ahead|✓)(?: \w+)?"
)
_ASSENT = r"(?:(?:yes|ok|okay|sure|confirm|really|permanently|tap to|swipe to|slide to|hold to|press to) )*"
_OBJECTS = (
    r"(?: (?:all|everything|selected|this|it|them|now|forever|permanently|anyway|notes?|files?|folders?|items?|"
    r"messages?|mails?|e-?mails?|photos?|pictures?|videos?|events?|alarms?|tasks?|contacts?|chats?|conversations?|"
    r"threads?|songs?|"
    r"lists?|playlists?|recipes?|memos?|recordings?|history|data|cache|account|apps?|cookies|orders?|selection|\d+))*"
)
_NO = r"(?:cancel|undo|do not|don't|never|not|without|stop|pause|keep|no) (?:the |my |this |any )?"
_ERASER = re.compile(r"(?:pen|tool|brush|mode|colou?r) (?:blank|eraser?|erase|none|transparent)")
_COMMANDS = re.compile(r"terminal|console|shell|termux|command|prompt|assistant|launcher|search|\brun\b|\bask\b")
_DROPS = re.compile(r"(?:delete|remove|uninstall|trash|bin|🗑)\b.*")


def says(act: Act, element: Element) -> bool:
    """Tells whether an element's label means an effect.

    Args:
        act: The effect.
        element: The element.

    Returns:
        Whether a tap on the element would have the effect, as far as its label tells.
    """
    words, known = " ".join(words_of(element.text)), ACTS[act]
    if not words:
        return False
    command = rf"(?:{known.label}|{known.phrases})"
    if element.role in _FIELDS:
        return re.fullmatch(known.label, words) is not None
    if element.role in _CONTENT:
        return re.fullmatch(rf"{_ASSENT}{command}{_OBJECTS}", words) is not None
    if re.fullmatch(known.not_label, words):
        return False
    said = re.sub(rf"\b{_NO}(?={command}\b)\w+", " ", words)
    if re.search(rf"(?<![\w-])(?:{known.label})(?![\w-])", said):
        return True
    return re.fullmatch(rf"(?:.* )?(?:{known.phrases})(?: .*)?" if act != "add" else known.phrases, said) is not None


def does(act: Act, action: a.Action, context: ControlContext) -> bool:
    """Tells whether an action has an effect, as far as the screen tells.

    Args:
        act: The effect.
        action: The action.
        context: The screen.

    Returns:
        Whether it does. In doubt, it does: a tap on an unlabelled icon in a row that names the effect, Enter while a
        control that names it is shown, and a sideways swipe on a row, by which many apps delete.
    """
    match action:
        case a.Click(point=point) | a.LongPress(point=point):
            return any(says(act, e) for e in _touched(point, context)) or _in_place(act, point, context)
        case a.SystemButton(button="Enter"):
            return _submits(act, context)
        case a.Type(text=text):
            return _commands(act, text, context) or (bool(re.search(r"[\r\n]", text)) and _submits(act, context))
        case a.Swipe():
            return _swipes(act, action, context)
        case a.Call() | a.Calls():
            return any(call_does(act, call, context.tools) for call in a.calls_of(action))
        case _:
            return False


def concerns(topics: frozenset[Topic], action: a.Action, context: ControlContext) -> bool:
    """Tells whether an action may be about certain objects.

    Args:
        topics: The topics of a prohibition; empty for every object.
        action: The action.
        context: The screen.

    Returns:
        False only if the app in front is known to be about other things and neither its title, nor a dialog, nor the
        touched element names one of the topics.
    """
    if calls := a.calls_of(action):
        return any(call_concerns(topics, call, context.tools) for call in calls)
    here = topics_of(context.app)
    if not topics or not here or here & topics or here & {"files", "settings", "browser"}:
        return True
    said = [e.text for e in context.elements if e.role in ("title", "dialog")]
    if isinstance(action, a.Click | a.LongPress | a.Swipe):
        said += [e.text for e in _touched(action.point, context)]
    return any(topics_of(text) & topics for text in said)


def _touched(point: tuple[float, float], context: ControlContext) -> Iterator[Element]:
    """The element under a point and the controls around it; for one without a label, its whole row as well."""
    x, y = point
    at = element_at(context.elements, point)
    if at is None:
        return
    hit = context.elements[at]
    yield hit
    for e in context.elements:
        left, top, right, bottom = e.box
        around = (
            left <= x < right and top <= y < bottom and e.role != "dialog" and (right - left) * (bottom - top) < 0.3
        )
        if e is not hit and (around or (not hit.text.strip() and top <= y < bottom)):
            yield e


def _in_place(act: Act, point: tuple[float, float], context: ControlContext) -> bool:
    """Labels whose meaning the rest of the screen gives: ``OK`` under a question, ``add`` beside a cart, an eraser."""
    at = element_at(context.elements, point)
    if at is None:
        return False
    hit = context.elements[at]
    words = " ".join(words_of(hit.text))
    others = [e for e in context.elements if e is not hit and e.role not in _FIELDS]
    if hit.role not in _FIELDS and _YES.fullmatch(words):
        return any(_asks(act, e) for e in others)
    if act == "buy" and hit.role not in _CONTENT and re.fullmatch(r"(?:add|get|add item|\+)", words):
        return any(re.search(r"\b(?:cart|basket|bag|checkout)\b", normal(e.text)) for e in others)
    if act == "remove" and hit.role in _CELLS:
        return any(_ERASER.fullmatch(normal(e.text)) for e in others)
    return False


def _asks(act: Act, element: Element) -> bool:
    """Whether a text asks to confirm an effect: ``Delete 3 notes?``, ``Do you want to send this?``."""
    if element.role not in (*_CONTENT, "alert", "heading") or element.role == "item":
        return False
    words = " ".join(words_of(element.text))
    command = rf"(?:{ACTS[act].label}|{ACTS[act].phrases})"
    return (
        re.match(rf"(?:(?:are|do|would|you|sure|really|want|like|to|permanently|please|confirm) )*{command}\b", words)
        is not None
    )


def _submits(act: Act, context: ControlContext) -> bool:
    """Whether Enter may trigger a control that is shown; what it triggers depends on the focus, which is unknown."""
    asked = any(e.role in ("dialog", "alert") for e in context.elements)
    controls = [e for e in context.elements if e.role not in _CONTENT and e.role not in _FIELDS]
    chatting = act == "send" and topics_of(context.app) & {"messages", "mail"}
    if chatting and any(e.role in _FIELDS for e in context.elements):
        return True
    if act == "remove" and not asked and len(controls) > 8:  # the "clear" of a search field among many others
        return False
    return any(says(act, e) for e in controls) or (asked and any(_asks(act, e) for e in context.elements))


def _commands(act: Act, text: str, context: ControlContext) -> bool:
    """Whether a text is a command, typed where commands are read: a terminal, a search field, an assistant."""
    labels = [e.text for e in context.elements if e.role in (*_FIELDS, "title")]
    if not any(_COMMANDS.search(normal(label)) for label in (context.app, *labels)):
        return False
    words = normal(text)
    if act in COMMANDS and re.search(COMMANDS[act], words):
        return True
    return re.match(rf"(?:\W|please |hey \w+ |ok \w+ )*(?:{ACTS[act].label}|{ACTS[act].phrases})\b", words) is not None


def _swipes(act: Act, action: a.Swipe, context: ControlContext) -> bool:
    """A swipe along a control (``slide to pay``), a row that is swiped away, or something dropped on a bin."""
    (x, y), (to_x, to_y) = action.point, action.to
    touched = list(_touched(action.point, context))
    sideways = abs(to_x - x) > abs(to_y - y)
    if sideways and any(says(act, e) for e in touched):
        return True
    if act != "remove":
        return False
    end = element_at(context.elements, action.to)
    dropped = end is not None and _DROPS.fullmatch(normal(context.elements[end].text)) is not None
    start_role = touched[0].role if touched else ""
    return (sideways and start_role in _ROWS) or (
        dropped and end is not None and context.elements[end] is not touched[0]
    )
