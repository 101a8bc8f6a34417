"""A tool: what the model is told about it, and how it is called.

Schemas come from Python signatures and docstrings by way of ``langchain_core``; arguments are validated by pydantic (of
functions) or against the tool's JSON schema (of everything else).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from homeostat.conversation import ToolSpec
from homeostat.envs.tools.arguments import check_parameters, misfit
from homeostat.envs.tools.background import result_of
from homeostat.errors import ActionError, ConfigError
from homeostat.foreign_text import clipped, visible
from homeostat.telemetry import TOOL_RESULT, captures_content, content, tool_span

__all__ = ["Tool", "ToolSource", "tool"]

_MARK = "__homeostat_tool__"
_LONGEST = 300  # characters of an error message about arguments, whatever the model wrote
_ORDER = ("type", "description", "enum", "items", "properties", "required")
Run = Callable[[dict[str, Any]], Any]


@runtime_checkable
class ToolSource(Protocol):
    """Something that offers several tools and holds a connection or a process, such as an MCP server."""

    def tools(self) -> Sequence[Tool]:
        """Returns its tools."""
        ...

    def close(self) -> None:
        """Releases what it holds."""
        ...


@dataclass(frozen=True)
class Tool:
    """A tool that an agent may call.

    Attributes:
        spec: What the model is told about it, and whether a call may be repeated or changes something.
        run: Calls it with validated arguments and returns its result. It may be asynchronous.
    """

    spec: ToolSpec
    run: Run = field(repr=False)

    def __post_init__(self) -> None:
        """Checks the schema of the arguments.

        Raises:
            ConfigError: It is no JSON schema of an object, or it refers to something outside of itself.
        """
        check_parameters(self.spec.name, self.spec.parameters)

    @classmethod
    def of(cls, given: Any) -> Tool:
        """Makes a tool of what a user passes.

        Args:
            given: A tool, a typed Python function (synchronous or asynchronous, perhaps decorated with :func:`tool`),
                or a LangChain tool.

        Returns:
            The tool. A plain function counts as one that changes something and may not be repeated.

        Raises:
            ConfigError: It is none of these, or a signature that no schema can be made of.
        """
        from langchain_core.tools import BaseTool

        if isinstance(given, Tool):
            return given
        if isinstance(given, BaseTool):
            return cls(_spec(given, {}), lambda arguments: given.ainvoke(arguments))
        if callable(given) and (name := getattr(given, "__name__", "")):
            return _from_function(given, name)
        raise ConfigError(f"tool {clipped(repr(given), 80)} is no function and no tool; pass a typed Python function")

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Validates arguments and calls the tool.

        Args:
            arguments: The arguments that the model wrote.

        Returns:
            The result as text: a string as it is, anything else as JSON.

        Raises:
            ActionError: The arguments don't fit the schema, or the tool raised an error. The message is meant for the
                model.
        """
        with tool_span(self.spec.name, arguments, description=self.spec.description) as span:
            result = self._called(arguments)
            if span is not None and captures_content():
                span.set_attribute(TOOL_RESULT, content(result))
            return result

    def _called(self, arguments: Mapping[str, Any]) -> str:
        self._check(arguments)
        try:
            return _as_text(result_of(self.run(dict(arguments))))
        except ActionError:
            raise
        except Exception as error:  # a tool's error is a result that the model has to cope with
            reason = f"{type(error).__name__}: {visible(str(error))}"
            raise ActionError(f"{self.spec.name} failed: {clipped(reason, _LONGEST)}") from error

    def _check(self, arguments: Mapping[str, Any]) -> None:
        if wrong := misfit(self.spec.parameters, dict(arguments)):
            raise ActionError(f"{self.spec.name}: {wrong}")


def tool(*, repeatable: bool = False, changes: bool = True, name: str = "") -> Callable[[Any], Any]:
    """Decorates a function that is to become a tool.

    Args:
        repeatable: Whether calling it twice with the same arguments has the same effect as calling it once.
        changes: Whether it may change something. A tool that only reads is repeatable, too.
        name: The tool's name; "" takes the function's.

    Returns:
        The decorator. The function itself stays as it is.
    """

    def mark(function: Any) -> Any:
        setattr(function, _MARK, {"repeatable": repeatable or not changes, "changes": changes, "name": name})
        return function

    return mark


def _from_function(function: Callable[..., Any], name: str) -> Tool:
    from langchain_core.tools import StructuredTool
    from pydantic import validate_call
    from pydantic.errors import PydanticUserError

    settings = dict(getattr(function, _MARK, {}))
    asynchronous = inspect.iscoroutinefunction(function)
    name = settings.pop("name", "") or name
    described = inspect.getdoc(function) or f"Calls {name}."
    shapes = inspect.signature(function).parameters.values()
    if unnamed := [p.name for p in shapes if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]:
        raise ConfigError(f"tool {name!r}: argument {unnamed[0]!r} has no name to be called by; make it a named one")
    try:
        documented = StructuredTool.from_function(
            func=None if asynchronous else function,
            coroutine=function if asynchronous else None,
            name=name,
            description=None if function.__doc__ else described,
            parse_docstring=bool(function.__doc__),
            error_on_invalid_docstring=False,
        )
        checked = validate_call(function)
    except (ValueError, TypeError, NameError, PydanticUserError) as error:
        reason = clipped(visible(str(error)), _LONGEST)
        raise ConfigError(f"tool {name!r}: its signature makes no schema ({reason}); annotate its arguments") from None
    return Tool(_spec(documented, settings), lambda arguments: checked(**arguments))


def _spec(documented: Any, settings: Mapping[str, bool]) -> ToolSpec:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    described = convert_to_openai_tool(documented)["function"]
    parameters = described.get("parameters") or {"type": "object", "properties": {}}
    if not parameters.get("properties"):
        parameters = {"type": "object", "properties": {}}
    return ToolSpec(
        name=described["name"],
        description=described.get("description", ""),
        parameters={"additionalProperties": False} | _ordered(parameters),
        **settings,
    )


def _ordered(schema: Any) -> Any:
    """A schema whose keys stand in the order of transformers' ``get_json_schema``, in which models were trained.

    Pydantic sorts keys by the alphabet. A small model then copies what stands last, such as ``"type": "object"``, into
    the arguments of its calls.
    """
    if not isinstance(schema, dict):
        return [_ordered(item) for item in schema] if isinstance(schema, list) else schema
    keys = sorted(schema, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
    return {key: _reordered(key, schema[key]) for key in keys}


def _reordered(key: str, value: Any) -> Any:
    """The value of a schema's key; the names of properties and of definitions are no keys of a schema."""
    if key in ("properties", "$defs"):
        return {name: _ordered(schema) for name, schema in value.items()}
    return value if key in ("default", "enum", "const", "examples") else _ordered(value)


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    from pydantic_core import to_json

    try:
        return to_json(result, indent=None, serialize_unknown=True).decode()
    except ValueError:
        return json.dumps(str(result))
