"""The root of the command line: ``homeostat COMMAND``.

A command is an entry point of the group ``homeostat.commands``: a function with typer's annotations, a ``typer.Typer``
app, or a ready command object. Any installed package may register more. Notable choices:

- ``homeostat --help`` imports no command. It reads each command's first docstring sentence from the source text
  (:mod:`homeostat.summaries`), and prints plain text because formatting with rich would double the time.
- A command that can't be loaded is shown as unavailable, and every other command keeps working.
- Every :class:`~homeostat.errors.HomeostatError` and every usage error is one line on stderr with exit status 2.
  Ctrl-C exits with status 130.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from homeostat.errors import ConfigError, HomeostatError, UnknownName
from homeostat.foreign_text import clipped, quoted, shown
from homeostat.plugins import load_entry, plugins
from homeostat.summaries import listed_summary

__all__ = ["GROUP", "app", "commands", "load_command", "main"]

GROUP = "homeostat.commands"
_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}  # commands inherit them from the root
_LONGEST = 2000  # characters of an error line, whatever somebody wrote into a file
_UsageError: Any = typer.BadParameter.__base__  # click's; newer releases of typer bring their own copy of click


def commands() -> dict[str, EntryPoint]:
    """Returns every registered command by name, our own first. Where two share a name, ours wins."""
    return plugins(GROUP)


def load_command(entry: EntryPoint) -> Any:
    """Imports a command.

    Args:
        entry: The command's entry point.

    Returns:
        The command object that click runs.

    Raises:
        ConfigError: The import fails, for whatever reason, or finds something that is no command.
    """
    target = load_entry(entry, "command")
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    if hasattr(target, "make_context"):  # a ready command: of click, or of typer's copy of it
        return target
    if not callable(target):
        raise ConfigError(f"command {entry.name!r} ({entry.value}) is {target!r}; register a function or a typer app")
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(entry.name)(target)
    return typer.main.get_command(single)


class _LazyCommand(TyperCommand):
    """Stands for a command in the help text. The real one is loaded when it is called."""

    def __init__(self, entry: EntryPoint) -> None:
        super().__init__(entry.name, callback=lambda: None, short_help=listed_summary(entry), add_help_option=False)
        self.entry = entry

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """Makes the real command's context, which parses, runs and prints help in its own words."""
        return load_command(self.entry).make_context(info_name, args, parent=parent, **extra)


class _Root(TyperGroup):
    """Finds commands through entry points and prints each error as one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._commands(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = self._commands(ctx).get(cmd_name)
        return None if entry is None else _LazyCommand(entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self._commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known and not ctx.resilient_parsing:
            raise UnknownName.of("command", args[0], known)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().make_context(*args, **extra)
        except _UsageError as error:
            _raise_in_one_line(error, "homeostat")

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            _raise_in_one_line(error, f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip())

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            _check_text(kwargs.get("args") or (args[0] if args else None) or sys.argv[1:])
            return super().main(*args, **kwargs)
        except HomeostatError as error:
            text = clipped(" ".join(str(error).splitlines()), _LONGEST)
            typer.echo(f"homeostat: {shown(text)}", err=True)
            raise SystemExit(2) from None

    def _commands(self, ctx: Any) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = ctx.meta.setdefault(GROUP, {})
        if not found:
            found.update(commands())  # reads the metadata of every installed package: once a process is enough
        return found


def _check_text(arguments: Sequence[str]) -> None:
    """Refuses arguments that are not UTF-8: neither a model's prompt nor a file of a run can hold them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"argument {quoted(argument)} is not UTF-8 text; write it in UTF-8") from None


def _raise_in_one_line(error: Any, command: str) -> NoReturn:
    """Turns a usage error into ours. A group that is called without arguments "fails" with its help: that stays."""
    text = error.format_message()
    if "\n" in text:
        raise error
    where = error.ctx.command_path if error.ctx is not None else command
    text = text[:1].lower() + text[1:].rstrip(".")
    raise ConfigError(f"{text}; see {where} --help") from None


app = typer.Typer(
    cls=_Root,
    name="homeostat",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_HELP_OPTIONS,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"homeostat {version('homeostat')}")
        raise typer.Exit()


@app.callback()
def _root(
    shown: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """An agent runtime that watches its own attention and corrects itself.

    \b
    Examples:
      homeostat doctor                    check what works on this machine
      homeostat run --task random         the included model on a simulated phone
      homeostat list                      the names that options accept
      homeostat COMMAND --help            every option of a command
    """


def main() -> None:
    """Runs the console script."""
    app()
