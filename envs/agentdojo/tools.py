"""AgentDojo's functions as tools: its own validation of arguments, its own text of results."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from homeostat.conversation import ToolSpec
from homeostat.envs.agentdojo.library import to_text
from homeostat.envs.tools.tool import Tool
from homeostat.errors import ActionError
from homeostat.foreign_text import clipped, visible

__all__ = ["DojoTool"]

_READS = re.compile(r"(?:get|list|search|read|check)_")
_CHANGES = frozenset({"get_unread_emails"})  # it marks the mails as read
_LONGEST = 300


@dataclass(frozen=True)
class DojoTool(Tool):
    """A function of an AgentDojo suite, bound to a world.

    Attributes:
        runtime: AgentDojo's ``FunctionsRuntime``, which validates arguments and calls functions.
        world: The suite's environment object, which the function acts on.
    """

    runtime: Any = field(default=None, repr=False)
    world: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Checks nothing: the schema is pydantic's, and one function is bound to many worlds."""

    @classmethod
    def bound(cls, function: Any, runtime: Any, world: Any) -> DojoTool:
        """Binds a function to a world.

        Args:
            function: AgentDojo's ``Function``.
            runtime: A ``FunctionsRuntime`` that knows it.
            world: The suite's environment object.

        Returns:
            The tool.
        """
        return cls(_spec(function.name, function.description, function.parameters), dict, runtime, world)

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Calls the function as AgentDojo's ``ToolsExecutor`` does.

        A text that spells a Python list becomes a list, and further arguments are ignored.

        Args:
            arguments: The arguments that the model wrote.

        Returns:
            The result as AgentDojo shows it.

        Raises:
            ActionError: The arguments don't fit, or the function raised an error.
        """
        given = {name: _as_list(value) for name, value in arguments.items()}
        result, error = self.runtime.run_function(self.world, self.spec.name, given)
        if error is not None:
            raise ActionError(clipped(visible(" ".join(error.split())), _LONGEST))
        return to_text(result)


def _as_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        read = literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return value
    return read if isinstance(read, list) else value


@cache
def _spec(name: str, description: str, parameters: Any) -> ToolSpec:
    reads = bool(_READS.match(name)) and name not in _CHANGES
    schema = {key: value for key, value in parameters.model_json_schema().items() if key != "title"}
    return ToolSpec(name=name, description=description, parameters=schema, repeatable=reads, changes=not reads)
