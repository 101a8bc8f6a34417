"""The results of shell commands, and helpers that build them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.envs.adb.shell import Shell

__all__ = ["Command", "Output", "Result", "by_name", "failed", "printed"]


@dataclass
class Output:
    """The result of one command.

    Attributes:
        out: What it wrote to stdout.
        err: What it wrote to stderr.
        code: Its exit status.
        exited: Whether it ended the line or the session, as ``exit`` does.
        pause: The seconds to wait before the next pipeline, as ``sleep`` asks.
    """

    out: bytes = b""
    err: bytes = b""
    code: int = 0
    exited: bool = False
    pause: float = 0.0


@dataclass
class Result:
    """The result of one line.

    Attributes:
        parts: The results of its pipelines, in order.
        code: The exit status of the last one.
        exited: Whether the line ended the session, as ``exit`` does.
    """

    parts: list[Output] = field(default_factory=list)
    code: int = 0
    exited: bool = False

    @property
    def out(self) -> bytes:
        """Everything that was written to stdout."""
        return b"".join(p.out for p in self.parts)

    @property
    def err(self) -> bytes:
        """Everything that was written to stderr."""
        return b"".join(p.err for p in self.parts)

    @property
    def both(self) -> bytes:
        """Both streams, in the order of the commands, as a terminal shows them."""
        return b"".join(p.out + p.err for p in self.parts)


Command = Callable[["Shell", list[str], bytes], Output]
"""A command: a function of the shell, the words after the command's name, and the bytes on its stdin."""


def printed(text: str = "", code: int = 0) -> Output:
    """Returns the result of a command that writes lines to stdout.

    Args:
        text: The lines. A missing line break is added at the end.
        code: The exit status.

    Returns:
        The result.
    """
    return Output(text.encode(errors="replace") + (b"\n" if text and not text.endswith("\n") else b""), b"", code)


def failed(text: str, code: int = 1) -> Output:
    """Returns the result of a command that fails.

    Args:
        text: The lines on stderr, without the last line break.
        code: The exit status.

    Returns:
        The result.
    """
    return Output(b"", text.encode(errors="replace") + b"\n", code)


def by_name(functions: Iterable[Command]) -> dict[str, Command]:
    """Maps commands by the names of their functions.

    Args:
        functions: The commands. An underscore at the end of a function's name, which avoids a Python name, is dropped.

    Returns:
        The commands by name.
    """
    return {f.__name__.strip("_"): f for f in functions}
