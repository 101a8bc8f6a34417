"""Tools by name: a Python file, or a module's functions; and MCP servers by command or address.

weather.py            every function that the file defines, without those whose names begin with _
weather.py:TOOLS      one object of it: a function, a list of tools, or a ``ToolEnv``
my_package.weather    the same with a module that can be imported
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.envs.tools.env import ToolEnv
from homeostat.envs.tools.mcp_server import McpServer
from homeostat.errors import ConfigError, UnknownName
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["mcp_server", "task_names", "tool_env", "tools_from"]


def task_names() -> tuple[str, ...]:
    """The names of the tasks that the environment ``tools`` always has: none."""
    return ()


def tool_env(
    tools: Sequence[str] = (),
    mcp: Sequence[str] = (),
    *,
    trust_hints: bool = False,
    system: str = "",
    longest_result: int = 4000,
) -> ToolEnv:
    """Builds an environment of tools from their names.

    Args:
        tools: Python files or modules, perhaps with ``:NAME`` for one object. A :class:`ToolEnv` stands alone.
        mcp: Commands or addresses of MCP servers.
        trust_hints: Whether the servers' hints that a tool only reads, or may be repeated, are believed.
        system: The system message; "" takes the model's own wording.
        longest_result: The most characters of a result that the model is shown.

    Returns:
        The environment.

    Raises:
        ConfigError: There are no tools, a file or module can't be loaded, or what it holds are no tools.
        UnknownName: A module has no object of the name.
        EnvError: An MCP server can't be started or reached.
    """
    if not tools and not mcp:
        raise ConfigError(
            "the environment 'tools' needs tools; give a Python file with functions (--tools FILE.py), or the command "
            "or address of an MCP server (--mcp COMMAND)"
        )
    found = [tools_from(source) for source in tools]
    whole = [one for one in found if isinstance(one, ToolEnv)]
    if whole and (len(found) > 1 or mcp or system):
        raise ConfigError(f"{tools[found.index(whole[0])]!r} is a whole environment; give it alone")
    if whole:
        return whole[0]
    servers = [mcp_server(one, trust_hints=trust_hints) for one in mcp]
    return ToolEnv([*found, *servers], system=system, longest_result=longest_result)


def mcp_server(text: str, *, trust_hints: bool = False) -> McpServer:
    """Describes an MCP server from one line.

    Args:
        text: Its address, or its command as in a shell.
        trust_hints: Whether its hints are believed.

    Returns:
        The server, which is not started yet.

    Raises:
        ConfigError: The line is empty, or no command.
    """
    if text.startswith(("http://", "https://")):
        return McpServer(url=text, trust_hints=trust_hints)
    try:
        return McpServer(text, trust_hints=trust_hints)
    except ValueError as error:
        raise ConfigError(f"the MCP server {quoted(text)} is no command: {error}; correct it") from None


def tools_from(source: str) -> Any:
    """Loads tools.

    Args:
        source: A Python file or a module, perhaps with ``:NAME``.

    Returns:
        What ``NAME`` refers to, or a list of the functions that the file or module defines.

    Raises:
        ConfigError: The file or module can't be loaded, or holds no functions.
        UnknownName: It has no object of the name.
    """
    where, _, name = source.rpartition(":") if _names_object(source) else (source, "", "")
    held, module = _held(where)
    if name:
        if name not in held:
            raise UnknownName.of("tool", name, [one for one in held if not one.startswith("_")])
        found = held[name]
        return list(found) if isinstance(found, tuple) else found
    functions = [
        one
        for key, one in held.items()
        if inspect.isfunction(one) and one.__module__ == module and not key.startswith("_")
    ]
    if not functions:
        raise ConfigError(f"{where!r} defines no function; define some, or name an object of it: {where}:NAME")
    return functions


def _names_object(source: str) -> bool:
    """Whether a colon separates the name of an object, and is no part of a path such as ``C:\\tools.py``."""
    return source.rpartition(":")[2].isidentifier() and bool(source.rpartition(":")[0])


def _held(where: str) -> tuple[Mapping[str, Any], str]:
    """The names of a file or module, and the module's name."""
    try:
        if where.endswith(".py"):
            path = Path(where)
            if not path.is_file():
                raise ConfigError(f"there is no file {where!r}; give a Python file with functions")
            return _file(path.resolve())
        return vars(importlib.import_module(where)), where
    except ConfigError:
        raise
    except Exception as error:
        why = clipped(visible(f"{type(error).__name__}: {error}"), 200)
        raise ConfigError(f"tools {where!r} can't be loaded: {why}; correct the file or the name") from error


def _file(path: Path) -> tuple[Mapping[str, Any], str]:
    name = f"homeostat_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # as for a program: the file may import its neighbours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return vars(module), name
