"""The forms in which models write tool calls. Each reader finds the calls of its form in a text.

A reader returns None where the text does not have its form, and raises UnparsableAction where it has the form's marker
but no readable call. Special tokens may be missing from the text, because they are not decoded: Mistral's
``[TOOL_CALLS]`` and Llama's ``<|python_tag|>`` leave only JSON behind.

A model that forgets the last brace of a call has still written all its arguments, so the call is read. Text that begins
as a call of a known tool and breaks off, or goes on with something else, is no answer in words: it raises the error.

Sources: the chat templates of Qwen2.5, Qwen3-Coder, Hermes 3, Llama 3.1, Mistral Small 3.1, Gemma 3, FunctionGemma and
gpt-oss, and the prompts of smolagents 1.26 (``prompts/toolcalling_agent.yaml``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from homeostat.errors import UnparsableAction
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import decode_json

__all__ = ["FORMS", "Named", "call_of"]

Named = tuple[str, dict[str, Any]]
"""A tool's name and its arguments."""

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|$)", re.DOTALL)
_XML = re.compile(r"<function=([\w.:-]+)>(.*?)(?:</function>|(?=<function=)|$)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.:-]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|$)", re.DOTALL)
_GEMMA = re.compile(r"<start_function_call>\s*call:([\w.:-]+)\{(.*?)\}\s*(?:<end_function_call>|$)", re.DOTALL)
_GEMMA_PAIR = re.compile(r"([\w.-]+):(?:<escape>(.*?)<escape>|([^,]*))(?:,|$)", re.DOTALL)
_HARMONY = re.compile(r"to=functions\.([\w.-]+)")
_FENCE = re.compile(r"```(?:tool_code|tool_call|python|json|tool)?[ \t]*\n(.*?)(?:```|$)", re.DOTALL)
_NAMED = re.compile(r"\s*([\w.:-]+)\s*(?:\[CALL_ID\][\w-]*)?\s*(?:\[ARGS\])?\s*(?=\{)")
_OPENED = re.compile(r'\{\s*"name"\s*:\s*"([\w.:-]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*')
_ACTION = re.compile(r"^Action:\s*(?:```(?:json)?\s*)?(?=\{)", re.MULTILINE)
_MARKER = re.compile(r"^\s*(?:\[TOOL_CALLS\]|<\|python_tag\|>|functools)\s*")


def call_of(value: Any) -> Named | None:
    """Reads one call from JSON.

    Args:
        value: A JSON value: ``{"name", "arguments"}``, with ``parameters`` in the place of ``arguments``, OpenAI's
            ``{"function": {…}}``, or arguments as a string that holds JSON.

    Returns:
        The call; None if the value is none.
    """
    if not isinstance(value, dict):
        return None
    value = value["function"] if isinstance(value.get("function"), dict) else value
    name = value.get("name", value.get("tool", value.get("function")))
    given: Any = next((value[key] for key in ("arguments", "parameters", "args", "input") if key in value), {})
    if isinstance(given, str):
        try:
            given = decode_json(given.strip())[0]
        except ValueError:
            return None
    if not isinstance(name, str) or not name.strip() or not isinstance(given, dict | type(None)):
        return None
    return name.strip().removeprefix("functions."), given or {}


def tagged(text: str, known: Collection[str]) -> list[Named] | None:
    """Hermes and Qwen: ``<tool_call>{"name": …, "arguments": …}</tool_call>``, or XML inside, as Qwen3-Coder writes."""
    if "<tool_call>" not in text:
        return xml(text, known)
    calls: list[Named] = []
    for body in _TAGGED.findall(text):
        if inner := xml(body, known):
            calls += inner
            continue
        found = _json_calls(body.strip())
        if not found:
            raise UnparsableAction(
                f"the tool call {_said(body)} holds no call; write JSON with the keys name and arguments"
            )
        calls += found
    return calls


def xml(text: str, known: Collection[str]) -> list[Named] | None:
    """Qwen3-Coder and Llama 3.1: ``<function=NAME>`` with ``<parameter=KEY>VALUE</parameter>``, or with JSON."""
    calls: list[Named] = []
    for name, body in _XML.findall(text):
        if pairs := _PARAMETER.findall(body):
            calls.append((name, {key: _literal(value) for key, value in pairs}))
        else:
            calls.append((name, _object(body) if body.strip() else {}))
    return calls or None


def gemma(text: str, known: Collection[str]) -> list[Named] | None:
    """FunctionGemma: ``<start_function_call>call:NAME{key:<escape>value<escape>}<end_function_call>``."""
    if "<start_function_call>" not in text:
        return None
    calls: list[Named] = []
    for name, body in _GEMMA.findall(text):
        pairs = _GEMMA_PAIR.findall(body)
        calls.append((name, {key: quoted_ or _literal(plain) for key, quoted_, plain in pairs if key}))
    if not calls:
        raise UnparsableAction(f"the function call {_said(text)} can't be read; write call:NAME{{key:value}}")
    return calls


def harmony(text: str, known: Collection[str]) -> list[Named] | None:
    """gpt-oss: ``to=functions.NAME … {arguments}``."""
    calls: list[Named] = []
    for match in _HARMONY.finditer(text):
        start = text.find("{", match.end())
        if start < 0:
            raise UnparsableAction(f"the call of {quoted(match[1])} has no arguments; write a JSON object")
        calls.append((match[1], _object(text[start:])))
    return calls or None


def plain(text: str, known: Collection[str]) -> list[Named] | None:
    """JSON or a Python call that is the whole text, perhaps in a code fence or behind a marker.

    It names known tools, so that an answer in JSON stays an answer; or it is an object that has the keys of a call and
    no others, so that whoever calls an unknown tool is told so.

    Covers Llama 3.1 (``{"name", "parameters"}``), Mistral (a list of calls, or ``NAME{…}``), Gemma 3 (``tool_code``
    with a Python call), and the form that the prompts of smolagents ask for: a line ``Action:``, then JSON.
    """
    fenced = _FENCE.search(text)
    acting = _ACTION.search(text)
    marked = [text[acting.end() :].partition("\nObservation:")[0]] if acting is not None else []
    bodies = [body.strip() for body in (*marked, *([fenced[1]] if fenced else []), _MARKER.sub("", text))]
    for body in bodies:
        found = _json_calls(body) or _mistral(body, known) or _python(body, known)
        if found and (all(name in known for name, _ in found) or _is_a_call(body)):
            return found
    for body in bodies:
        if (opened := _OPENED.match(body.lstrip("[ \n"))) and opened[1] in known:
            # Nothing is quoted: a reminder of an order that the model has copied would lend it our authority.
            raise UnparsableAction("a tool call breaks off, or other text stands behind it; write one call as JSON")
    return None


FORMS: tuple[Callable[[str, Collection[str]], list[Named] | None], ...] = (tagged, gemma, harmony, plain)
"""The readers, in the order in which they are tried: those with an explicit marker first."""


def _json_calls(body: str) -> list[Named]:
    """The calls at the beginning of a text: one object after the other, or a list."""
    calls: list[Named] = []
    at = 0
    while at < len(body) and body[at] in "{[":
        try:
            value, at = decode_json(body, at)
        except ValueError:
            last = _unclosed(body, at)
            return [*calls, last] if last is not None else []
        for item in value if isinstance(value, list) else [value]:
            call = call_of(item)
            if call is None:
                return []
            calls.append(call)
        at += len(body[at:]) - len(body[at:].lstrip(" \n\t;,"))
    return calls


def _is_a_call(body: str) -> bool:
    """Whether a text begins with a JSON object that has a call's keys and no others."""
    try:
        value = decode_json(body)[0]
    except ValueError:
        return False
    return isinstance(value, dict) and set(value) in ({"name", "arguments"}, {"name", "parameters"})


def _unclosed(body: str, at: int) -> Named | None:
    """The call at the end of a text whose arguments are whole, but whose own brace is missing."""
    opened = _OPENED.match(body, at)
    if opened is None:
        return None
    try:
        arguments, end = decode_json(body, opened.end())
    except ValueError:
        return None
    return (opened[1], arguments) if isinstance(arguments, dict) and not body[end:].strip() else None


def _mistral(body: str, known: Collection[str]) -> list[Named]:
    """``NAME{…}``, several times, as Mistral writes since Small 3.1; its tokens ``[ARGS]`` may be missing."""
    calls: list[Named] = []
    at = 0
    while (match := _NAMED.match(body, at)) and match[1] in known:
        try:
            value, at = decode_json(body, match.end())
        except ValueError:
            return []
        calls.append((match[1], value))
    return calls


def _python(body: str, known: Collection[str]) -> list[Named]:
    """Python calls with literal named arguments, one on each line or in a list; ``print(…)`` around one is dropped."""
    if len(body) > 20_000:
        return []
    try:
        tree = ast.parse(body.strip(), mode="exec")
        calls: list[Named] = []
        for statement in tree.body:
            values: Sequence[ast.expr] = [statement.value] if isinstance(statement, ast.Expr) else []
            values = values[0].elts if values and isinstance(values[0], ast.List) else values
            if not values:
                return []
            calls += [_python_call(value) for value in values]
        return calls
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _python_call(node: ast.expr) -> Named:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" and node.args:
        node = node.args[0]
    if not isinstance(node, ast.Call) or node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("no call with named arguments")
    return ast.unparse(node.func), {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}


def _object(body: str) -> dict[str, Any]:
    try:
        value = decode_json(body.strip())[0]
    except ValueError as error:
        raise UnparsableAction(f"the arguments {_said(body)} are no JSON ({error}); write a JSON object") from None
    if not isinstance(value, dict):
        raise UnparsableAction(f"the arguments {_said(body)} are no JSON object; write one")
    return value


def _literal(text: str) -> Any:
    """A value that is written without quotes: JSON where it is JSON, else the text."""
    try:
        value, end = decode_json(text.strip())
    except ValueError:
        return text
    return value if end == len(text.strip()) else text


def _said(body: str) -> str:
    return clipped(repr(body.strip()[:120]), 160)
