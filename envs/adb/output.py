"""What a command of the shell gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.envs.adb.shell import Shell

__all__ = ["Command", "Output", "Result", "failed", "named", "said"]


@dataclass
class Output:
    """What a command wrote, and its exit status. ``left``: it was ``exit``."""

    out: bytes = b""
    err: bytes = b""
    code: int = 0
    left: bool = False


@dataclass
class Result:
    """What a line wrote, command after command, and its exit status. ``left``: it holds an ``exit``."""

    parts: list[Output] = field(default_factory=list)
    code: int = 0
    left: bool = False

    @property
    def out(self) -> bytes:
        """What went to stdout."""
        return b"".join(p.out for p in self.parts)

    @property
    def err(self) -> bytes:
        """What went to stderr."""
        return b"".join(p.err for p in self.parts)

    @property
    def both(self) -> bytes:
        """Both in their order, as on a terminal."""
        return b"".join(p.out + p.err for p in self.parts)


Command = Callable[["Shell", list[str], bytes], Output]
"""A command: the shell, its words after the name, what is piped into it."""


def said(text: str = "", code: int = 0) -> Output:
    """Lines on stdout."""
    return Output(text.encode(errors="replace") + (b"\n" if text and not text.endswith("\n") else b""), b"", code)


def failed(text: str, code: int = 1) -> Output:
    """Lines on stderr, and a status that says so."""
    return Output(b"", text.encode(errors="replace") + b"\n", code)


def named(functions: Iterable[Command]) -> dict[str, Command]:
    """Commands by their functions' names, less the underscore that keeps a name of Python's free."""
    return {f.__name__.strip("_"): f for f in functions}
