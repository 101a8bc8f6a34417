"""Tools of an MCP server, through the official ``mcp`` SDK: a program on this machine (stdio), or a URL (HTTP).

The connection lives in the background loop. A server's texts (names, descriptions, schemas, results, errors) are
foreign: they are shown to the model as such, and never change what a call may do. Its annotations are hints that nobody
has checked (MCP specification, "Tool Annotations"), so that they count only where the user says so.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import tempfile
import weakref
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Self

from homeostat.conversation import ToolSpec
from homeostat.envs.tools.background import begin, wait_for
from homeostat.envs.tools.mcp_results import text_of
from homeostat.envs.tools.tool import Tool
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.foreign_text import clipped, visible

if TYPE_CHECKING:
    from mcp import Client

__all__ = ["McpServer"]

_GRACE = 5.0  # seconds beyond a call's own deadline, and for a server to end
_LONGEST = 300


class McpServer:
    """A server of the Model Context Protocol whose tools an agent may call.

    The server is started, or connected to, when its tools are asked for first.

    Attributes:
        name: What it is called in messages: its command, or its URL without query and credentials.
        seconds: The most seconds of one call.
    """

    def __init__(
        self,
        command: Sequence[str] | str = (),
        *,
        url: str = "",
        headers: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        folder: str | PathLike[str] | None = None,
        only: Collection[str] | None = None,
        prefix: str = "",
        trust_hints: bool = False,
        seconds: float = 60.0,
        start_seconds: float = 60.0,
    ) -> None:
        """Describes the server.

        Args:
            command: The program and its arguments, or one line as in a shell. The program sees only a few of this
                process's environment variables, such as PATH.
            url: The address of a server that speaks MCP's streamable HTTP, instead of a command.
            headers: With a URL: HTTP headers, such as a key.
            variables: With a command: more environment variables of the program.
            folder: With a command: the folder that it runs in; None for the present one.
            only: The names of the only tools that are offered; None for all.
            prefix: What stands in front of every tool's name, for servers whose tools have the same names.
            trust_hints: Whether the server's hints that a tool only reads, or may be repeated, are believed. Otherwise
                every tool counts as one that changes something and may not be repeated.
            seconds: The most seconds of one call.
            start_seconds: The most seconds until the server has told its tools.

        Raises:
            ConfigError: There is neither a command nor a URL, or both, or a deadline is not positive.
        """
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        if bool(words) == bool(url):
            given = f"both {words[0]!r} and {url!r}" if words else "neither a command nor a URL"
            raise ConfigError(f"an MCP server is a command or a URL, not {given}; give one of the two")
        if url and not url.startswith(("http://", "https://")):
            raise ConfigError(f"the MCP server's url {clipped(url, 80)!r} is no HTTP address; begin with https://")
        if seconds <= 0 or start_seconds <= 0:
            raise ConfigError(f"seconds={seconds:g} and start_seconds={start_seconds:g} have to be more than 0")
        self.name = clipped(visible(shlex.join(words) if words else _public(url)), 120)
        self.seconds, self._start_seconds = seconds, start_seconds
        self._command, self._url, self._headers = words, url, dict(headers or {})
        self._variables, self._folder = dict(variables or {}), folder
        self._only, self._prefix, self._trusts = only, prefix, trust_hints
        self._open: _Connection | None = None

    def __enter__(self) -> Self:
        """Returns the server itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the connection."""
        self.close()

    def __repr__(self) -> str:
        """The server's name; headers and variables may hold secrets and are left out."""
        return f"McpServer({self.name!r})"

    def tools(self) -> tuple[Tool, ...]:
        """Returns the server's tools; starts the server or connects to it where that has not been done.

        Raises:
            ConfigError: The package ``mcp`` is missing, or a tool's schema can't be used.
            EnvError: The server can't be started or reached, or it does not speak MCP.
            UnknownName: ``only`` names a tool that the server does not have.
        """
        offered = self._connected().offered
        names = [one.name for one in offered]
        for name in self._only or ():
            if name not in names:
                raise UnknownName.of("tool", name, names)
        return tuple(self._tool(one) for one in offered if self._only is None or one.name in self._only)

    def close(self) -> None:
        """Ends the connection, and the program if this object has started it. Its tools can't be called afterwards."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connected(self) -> _Connection:
        if self._open is None or self._open.over:
            self.close()
            try:
                import mcp  # noqa: F401 - only whether it is there
            except ImportError:
                raise ConfigError("an MCP server needs the package mcp; pip install 'homeostat[mcp]'") from None
            # Python prints warnings of loggers without a handler; a chatty server would fill the terminal.
            logging.getLogger("mcp").addHandler(logging.NullHandler())
            self._open = _Connection(self, self._start_seconds)
        return self._open

    def _tool(self, offered: Any) -> Tool:
        hints = offered.annotations if self._trusts else None
        reads = bool(hints and hints.read_only_hint)
        spec = ToolSpec(
            name=self._prefix + offered.name,
            description=offered.description or offered.title or "",
            parameters={"type": "object", "properties": {}} | offered.input_schema,
            repeatable=reads or bool(hints and hints.idempotent_hint),
            changes=not reads,
        )
        return Tool(spec, lambda arguments: self._call(offered.name, arguments))

    def _call(self, tool: str, arguments: dict[str, Any]) -> str:
        open_now = self._open
        if open_now is None:
            raise ActionError(f"{tool}: the MCP server {self.name!r} is closed")
        if open_now.over:
            raise ActionError(f"{tool}: the MCP server {self.name!r} has ended{open_now.last_words()}")
        try:
            result = wait_for(open_now.call(tool, arguments, self.seconds), self.seconds + _GRACE)
        except TimeoutError:
            raise ActionError(f"{tool}: the MCP server did not answer within {self.seconds:g} s") from None
        except Exception as error:  # whatever a transport or a server's answer makes the SDK raise
            if _is_lost(error):
                open_now.close()
                raise ActionError(f"{tool}: the MCP server {self.name!r} has ended{open_now.last_words()}") from error
            raise ActionError(f"{tool} failed: {_reason(error)}") from error
        said = text_of(result)
        if result.is_error:
            raise ActionError(f"{tool} failed: {clipped(visible(said, lines=True), 4 * _LONGEST)}")
        return said

    async def enter(self, stack: AsyncExitStack, errors: Any) -> Client:
        """Starts the server or connects to it, inside the background loop.

        Args:
            stack: What ends the connection.
            errors: The file that a program's error output goes to.

        Returns:
            The SDK's client.
        """
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamable_http_client

        if self._command:
            program = StdioServerParameters(
                command=self._command[0],
                args=self._command[1:],
                env=self._variables or None,
                cwd=self._folder,  # type: ignore[arg-type]  # any path-like object serves
                encoding_error_handler="replace",
            )
            return await stack.enter_async_context(Client(stdio_client(program, errors)))
        if not self._headers:
            return await stack.enter_async_context(Client(self._url))
        import httpx2

        limits = httpx2.Timeout(30.0, read=max(self.seconds, 300.0))
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=self._headers, timeout=limits))
        return await stack.enter_async_context(Client(streamable_http_client(self._url, http_client=http)))


class _Connection:
    """One connection. A single task of the background loop opens and closes it, as the SDK demands."""

    def __init__(self, server: McpServer, seconds: float) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - kept open
        self._words = ""
        self._ready: Future[tuple[Client, list[Any]]] = Future()
        self._stop = asyncio.Event()
        self._life = begin(self._hold(server))
        # Called at the latest when the process ends.
        self._closing = weakref.finalize(self, _end, self._life, self._stop, self._ready, self._errors)
        try:
            self._client, self.offered = self._ready.result(seconds)
        except TimeoutError:
            self.close()
            raise EnvError(
                f"the MCP server {server.name!r} did not tell its tools within {seconds:g} s{self.last_words()}; "
                "check it, or give more start_seconds"
            ) from None
        except Exception as error:
            self.close()
            raise EnvError(
                f"the MCP server {server.name!r} can't be used: {_reason(error)}{self.last_words()}; check its "
                "command or address"
            ) from None

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self._life.done()

    async def call(self, tool: str, arguments: dict[str, Any], seconds: float) -> Any:
        """Calls a tool; a connection that ends meanwhile ends the call."""
        return await self._client.call_tool(tool, arguments, read_timeout_seconds=seconds)

    def last_words(self) -> str:
        """The last line of the program's error output, as a part of a message."""
        if not self._errors.closed:
            with suppress(OSError):
                self._errors.seek(max(self._errors.seek(0, 2) - 4000, 0))
                if lines := [line.strip() for line in self._errors.read().splitlines() if line.strip()]:
                    self._words = f" (its last words: {clipped(visible(lines[-1]), _LONGEST)})"
        return self._words

    def close(self) -> None:
        """Ends the connection and waits for it, for a bounded time."""
        self.last_words()
        self._closing()

    async def _hold(self, server: McpServer) -> None:
        try:
            async with AsyncExitStack() as stack:
                client = await server.enter(stack, self._errors)
                offered = await _every_tool(client)
                self._ready.set_result((client, offered))
                await self._stop.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error if isinstance(error, Exception) else EnvError("it was interrupted"))
            elif isinstance(error, asyncio.CancelledError):
                raise


async def _every_tool(client: Client) -> list[Any]:
    """The tools of every page of the server's list."""
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(100):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _end(life: Future[None], stop: asyncio.Event, ready: Future[Any], errors: IO[str]) -> None:
    """Ends a connection from another thread."""

    async def ask() -> None:
        stop.set()

    if ready.done() and not life.done():
        with suppress(Exception):
            wait_for(ask(), _GRACE)
            life.result(2 * _GRACE)
    life.cancel()
    errors.close()


def _is_lost(error: Exception) -> bool:
    """Whether an error says that the connection is gone."""
    from mcp import MCPError
    from mcp.types import CONNECTION_CLOSED

    return isinstance(error, MCPError) and error.code == CONNECTION_CLOSED


def _reason(error: BaseException) -> str:
    """One line on an error; of a group of errors, on the first that says something."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    said = " ".join(visible(str(error)).split())
    return clipped(f"{type(error).__name__}: {said}" if said else type(error).__name__, _LONGEST)


def _public(url: str) -> str:
    """A URL without what may be secret: user, password, query."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
