"""A planner's text to a :class:`~homeostat.controllers.plan.Plan`: what may be written, and what is refused.

The planner answers ``{"parts": ["…", "…"]}``. A part is a text, or one of

    {"instruction": "read the price of the tea", "save": "tea"}
    {"compute": "sum", "of": ["{tea}", "{coffee}"], "save": "total"}
    {"say": "{total}"}

each with an optional ``"when": "total_is_low"`` (or ``"not …"``): a fact that has to be ``yes``. Beside ``parts``,
``"finish": "success"`` (or ``"failure"``) ends the episode. Models wrap it in prose or a code fence, so the first JSON
value that reads as a plan counts; where the model decodes under :func:`plan_schema`, there is nothing else in the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from homeostat.controllers.operations import OPERATIONS, Operation
from homeostat.controllers.plan import Plan, Subtask, needs_of
from homeostat.errors import PlanError
from homeostat.json_values import json_values

__all__ = ["MAX_PARTS", "parse_plan", "plan_schema"]

MAX_PARTS = 12
_LONGEST = 240  # characters of a text, under the schema: a plan has to end

_Text = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
_Name = Annotated[str, Field(pattern="^[a-z_][a-z0-9_]{0,30}$")]
_When = Annotated[str, Field(pattern="^(not )?[a-z0-9_]{1,31}$")]


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
    parts: Annotated[list[_Text | _Do | _Compute | _Say], Field(max_length=MAX_PARTS)]
    finish: Literal["success", "failure"] | SkipJsonSchema[None] = None


class _Plain(_Wire):
    parts: Annotated[list[_Text], Field(min_length=1, max_length=MAX_PARTS)]


def plan_schema(*, typed: bool = True, words: Collection[str] = ()) -> dict[str, Any]:
    """The JSON schema of a plan, for constrained decoding; not ``typed``: of texts alone.

    ``words``: all that its texts may be made of, beside references (``{1}``) and marks behind a word (none: anything).
    A planner that spells what it has to copy, letter by letter, then can't misspell it.
    """
    schema = (_Typed if typed else _Plain).model_json_schema()
    if words:
        one = "|".join(re.escape(word) for word in sorted(words, key=lambda w: (-len(w), w)))
        unit = rf"(?:{one}|\{{[a-z0-9_]+\}})(?:'s)?[,.:;?!]?"
        _limit(schema, rf"^{unit}(?: {unit})*$")
    return schema


def _limit(schema: Any, pattern: str) -> None:
    """Hold every text in the schema to the pattern."""
    if isinstance(schema, dict):
        if schema.get("type") == "string" and schema.get("maxLength") == _LONGEST:
            schema["pattern"] = pattern
        for value in schema.values():
            _limit(value, pattern)
    elif isinstance(schema, list):
        for value in schema:
            _limit(value, pattern)


def parse_plan(text: str, *, max_parts: int = MAX_PARTS) -> Plan:
    """The plan in a planner's text, every part open.

    Raises :class:`PlanError` where the text holds no plan, a part is none of the three kinds, there are more than
    ``max_parts``, or a part needs what no earlier part brings.
    """
    parts, finish = _find_parts(text)
    if not parts and finish is None:
        raise PlanError(f'plan {_short(text)} has no parts; write {{"parts": ["…"]}} with at least one')
    if len(parts) > max_parts:
        raise PlanError(f"plan has {len(parts)} parts; write at most {max_parts}")
    subtasks = tuple(_subtask(n, part) for n, part in enumerate(parts, 1))
    named = {name for s in subtasks for name in (s.save, *s.report) if name}
    brought: set[str] = set()
    for number, subtask in enumerate(subtasks, 1):
        needed = [key for t in subtask.texts for key in needs_of(t)]
        if subtask.when:
            needed.append(subtask.when.removeprefix("not ").strip("{} "))
        for key in needed:
            early = 1 <= int(key) < number if key.isdigit() else key in brought or key not in named
            if not early:
                raise PlanError(
                    f"part {number} {str(subtask)!r} needs {{{key}}}, which no earlier part brings; "
                    "refer to earlier parts only"
                )
        brought.update(name for name in (subtask.save, *subtask.report) if name)
    return Plan(parts=subtasks, finish=finish)


def _find_parts(text: str) -> tuple[list[Any], Literal["success", "failure"] | None]:
    for value in json_values(text):
        if isinstance(value, dict) and isinstance(value.get("parts"), list):
            finish = value.get("finish")
            return list(value["parts"]), finish if finish in ("success", "failure") else None
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return value, None
    raise PlanError(f'no plan in {_short(text)}; write {{"parts": ["…", "…"]}}')


def _subtask(number: int, part: Any) -> Subtask:
    if isinstance(part, dict) and part.get("compute") is not None:
        return _validated(number, part, ("compute", "of", "save", "when"))
    if isinstance(part, dict) and part.get("say") is not None:
        _words(number, part["say"], part)
        return _validated(number, part, ("say", "when"))
    instruction = _words(number, part.get("instruction") if isinstance(part, dict) else part, part)
    if not isinstance(part, dict):
        return Subtask(instruction=instruction)
    return _validated(number, part | {"instruction": instruction}, tuple(_Do.model_fields))


def _words(number: int, value: Any, part: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise PlanError(f"part {number} is {part!r}; write a text that says what to do")
    return value.strip()


def _validated(number: int, part: dict[str, Any], names: tuple[str, ...]) -> Subtask:
    """The part's own fields; what else a model wrote beside them (an app, a comment) is left out."""
    given = {name: part[name] for name in names if part.get(name) is not None}
    try:
        subtask = Subtask(**given)
    except ValidationError as error:
        first = error.errors()[0]
        known = f" (known: {', '.join(OPERATIONS)})" if first["loc"][0] == "compute" else ""
        raise PlanError(
            f"part {number} has {first['loc'][0]}={_short(str(first['input']))}: {first['msg']}{known}; change it"
        ) from None
    if subtask.compute is not None and not subtask.of:
        raise PlanError(f"part {number} computes {subtask.compute!r} without inputs; list them under 'of'")
    return subtask


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:120] + "…")
