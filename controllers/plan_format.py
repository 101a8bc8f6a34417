"""The planner's format: the JSON schema of its answer, and the parser that makes a plan of it.

The planner answers ``{"parts": ["…", "…"]}``; models were trained on this format. A part becomes a subtask of the
:class:`~homeostat.controllers.plan.Plan`. It is a text, or one of

    {"instruction": "read the price of the tea", "save": "tea"}
    {"compute": "sum", "of": ["{tea}", "{coffee}"], "save": "total"}
    {"say": "{total}"}

each with an optional ``"when": "total_is_low"`` (or ``"not …"``), the name of a fact that has to be ``yes``. Beside
``parts``, ``"finish": "success"`` (or ``"failure"``) ends the episode. Models wrap the answer in prose or a code fence,
so the first JSON value that is a plan counts. A model that decodes under :func:`plan_schema` writes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from homeostat.controllers.operations import OPERATIONS, Operation
from homeostat.controllers.plan import Plan, Subtask, needs_of
from homeostat.errors import PlanError
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import json_values

__all__ = ["MAX_SUBTASKS", "parse_plan", "plan_schema"]

MAX_SUBTASKS = 12
"""The most subtasks of a plan."""

_MOST_STEPS = 1_000_000
_LONGEST = 240  # characters of a text; without a limit a model may never end its plan

_Text = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
_Name = Annotated[str, Field(pattern="^[a-z_][a-z0-9_]{0,30}$")]
_When = Annotated[str, Field(pattern="^(not )?[a-z0-9_]{1,31}$")]


# The names of these classes are part of the schema under which models decode, and a docstring would be, too.
class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Do(_Wire):
    instruction: _Text
    save: _Name | SkipJsonSchema[None] = None
    when: _When | SkipJsonSchema[None] = None
    report: Annotated[list[_Name], Field(max_length=6)] | SkipJsonSchema[None] = None
    check: _Text | SkipJsonSchema[None] = None
    max_steps: Annotated[int, Field(ge=1, le=99)] | SkipJsonSchema[None] = None


class _Compute(_Wire):
    compute: Operation
    of: Annotated[list[_Text], Field(min_length=1, max_length=12)]
    save: _Name | SkipJsonSchema[None] = None
    when: _When | SkipJsonSchema[None] = None


class _Say(_Wire):
    say: _Text
    when: _When | SkipJsonSchema[None] = None


class _Typed(_Wire):
    parts: Annotated[list[_Text | _Do | _Compute | _Say], Field(max_length=MAX_SUBTASKS)]
    finish: Literal["success", "failure"] | SkipJsonSchema[None] = None


class _Plain(_Wire):
    parts: Annotated[list[_Text], Field(min_length=1, max_length=MAX_SUBTASKS)]


def plan_schema(*, typed: bool = True, words: Collection[str] = ()) -> dict[str, Any]:
    """Builds the JSON schema of a plan, for constrained decoding.

    A planner that spells unknown words letter by letter may misspell them. With ``words`` it can't.

    Args:
        typed: Whether subtasks may be computations, answers and conditional; False allows texts only.
        words: The words of which the plan's texts may consist, besides references such as ``{1}`` and punctuation after
            a word. Empty allows any text.

    Returns:
        The schema.
    """
    schema = (_Typed if typed else _Plain).model_json_schema()
    if words:
        one = "|".join(re.escape(word) for word in sorted(words, key=lambda w: (-len(w), w)))
        unit = rf"(?:{one}|\{{[a-z0-9_]+\}})(?:'s)?[,.:;?!]?"
        _restrict(schema, rf"^{unit}(?: {unit})*$")
    return schema


def _restrict(schema: Any, pattern: str) -> None:
    """Adds the pattern to every text of the schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "string" and schema.get("maxLength") == _LONGEST:
            schema["pattern"] = pattern
        for value in schema.values():
            _restrict(value, pattern)
    elif isinstance(schema, list):
        for value in schema:
            _restrict(value, pattern)


def parse_plan(text: str, *, max_subtasks: int = MAX_SUBTASKS) -> Plan:
    """Parses a planner's answer.

    Args:
        text: The answer.
        max_subtasks: The most subtasks that the plan may have.

    Returns:
        The plan, with every subtask open.

    Raises:
        PlanError: The text contains no plan, a subtask is of none of the three kinds or needs a value that no earlier
            subtask finds, or there are too many subtasks.
    """
    items, finish = _find_items(text)
    if not items and finish is None:
        raise PlanError(f'plan {_short(text)} has no subtasks; write {{"parts": ["…"]}} with at least one')
    if len(items) > max_subtasks:
        raise PlanError(f"plan has {len(items)} subtasks; write at most {max_subtasks}")
    subtasks = tuple(_subtask(number, item) for number, item in enumerate(items, start=1))
    _check_order(subtasks)
    return Plan(subtasks=subtasks, finish=finish)


def _check_order(subtasks: Sequence[Subtask]) -> None:
    """Raises PlanError for a subtask that needs a value which only it or a later one finds."""
    named = {name for subtask in subtasks for name in subtask.names}
    found: set[str] = set()
    for number, subtask in enumerate(subtasks, start=1):
        needed = [key for text in subtask.texts for key in needs_of(text)]
        if subtask.when:
            needed.append(subtask.condition)
        for key in needed:
            # A number of a subtask is short and ASCII: int() refuses others, such as "²" or 5,000 digits.
            counted = key.isascii() and key.isdigit()
            early = (len(key) < 5 and 1 <= int(key) < number) if counted else key in found or key not in named
            if not early:
                raise PlanError(
                    f"subtask {number} {quoted(str(subtask))} needs {{{clipped(key, 40)}}}, which no earlier subtask "
                    "finds; "
                    "refer to earlier subtasks only"
                )
        found.update(subtask.names)


def _find_items(text: str) -> tuple[list[Any], Literal["success", "failure"] | None]:
    for value in json_values(text):
        if isinstance(value, dict) and isinstance(value.get("parts"), list):
            finish = value.get("finish")
            return list(value["parts"]), finish if finish in ("success", "failure") else None
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return value, None
    raise PlanError(f'no plan in {_short(text)}; write {{"parts": ["…", "…"]}}')


def _subtask(number: int, item: Any) -> Subtask:
    if isinstance(item, dict) and item.get("compute") is not None:
        return _validated(number, item, ("compute", "of", "save", "when"))
    if isinstance(item, dict) and item.get("say") is not None:
        _words(number, item["say"], item)
        return _validated(number, item, ("say", "when"))
    instruction = _words(number, item.get("instruction") if isinstance(item, dict) else item, item)
    if not isinstance(item, dict):
        return Subtask(instruction=instruction)
    return _validated(number, item | {"instruction": instruction}, tuple(_Do.model_fields))


def _words(number: int, value: Any, item: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise PlanError(f"subtask {number} is {quoted(item)}; write a text that says what to do")
    return value.strip()


def _validated(number: int, item: dict[str, Any], names: tuple[str, ...]) -> Subtask:
    """The subtask with these fields; others that the model wrote, such as an app or a comment, are ignored."""
    given = {name: item[name] for name in names if item.get(name) is not None}
    try:
        subtask = Subtask(**given)
    except ValidationError as error:
        first = error.errors()[0]
        known = f" (known: {', '.join(OPERATIONS)})" if first["loc"][0] == "compute" else ""
        why = f"{first['loc'][0]}={quoted(first['input'], 60)}: {clipped(first['msg'], 60)}{known}"
        raise PlanError(f"subtask {number} has {clipped(why, 260)}; change it") from None
    if subtask.max_steps is not None and subtask.max_steps > _MOST_STEPS:
        raise PlanError(f"subtask {number} has max_steps={quoted(subtask.max_steps)}; give {_MOST_STEPS} or less")
    if subtask.compute is not None and not subtask.of:
        raise PlanError(f"subtask {number} computes {subtask.compute!r} without inputs; list them under 'of'")
    return subtask


def _short(text: str) -> str:
    return clipped(repr(text if len(text) <= 120 else text[:120] + "…"), 200)
