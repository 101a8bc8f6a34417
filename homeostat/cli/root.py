"""The command line's root: ``homeostat COMMAND``.

Commands are entry points of the group ``homeostat.commands``: a function with typer's annotations, a ``typer.Typer``
app, or a ready command. Any installed package may bring more. Notable choices:

- Nothing behind an entry point is imported until its command is called, so ``homeostat --help`` stays quick; the short
  help of our own commands stands below, a stranger's is its package's summary.
- A command that can't be loaded is shown as unavailable and spoils no other.
- A ``HomeostatError`` from anywhere is one line on stderr and exit status 2; Ctrl-C is 130.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from homeostat.errors import ConfigError, HomeostatError, UnknownName

__all__ = ["GROUP", "app", "commands", "load_command", "main", "unavailable"]

GROUP = "homeostat.commands"
_HELP = {
    "run": "Run one episode and watch it live.",
    "eval": "Measure success on a suite of tasks, with intervals.",
    "adb": "Serve the phone simulator over adb until Ctrl-C.",
    "doctor": "Say what works on this machine, and how to mend what does not.",
    "clone": "Train the embedded model by behaviour cloning.",
    "diagnose": "Measure how a model keeps the hierarchy of its instructions.",
    "localize": "Find the layers and heads that drift when instructions conflict.",
    "align": "Train an adapter on preference pairs: SAIL, or plain DPO.",
    "mine": "Make preference pairs of recorded runs.",
    "ground": "Train and measure a head that points by attention.",
}
_ORDER = list(_HELP)
_OURS = "homeostat"


def commands() -> dict[str, EntryPoint]:
    """Every registered command by name: ours first, then others' by name. Where two share a name, ours wins."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (not _is_ours(e), e.name, e.value)):
        found.setdefault(entry.name, entry)
    rank = {name: place for place, name in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda item: (not _is_ours(item[1]), rank.get(item[0], 99), item[0])))


def load_command(entry: EntryPoint) -> Any:
    """The command behind an entry point. Raises :class:`ConfigError`, whatever its import does."""
    try:
        target = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's module may do anything, sys.exit included
        raise ConfigError(
            f"command {entry.name!r} ({entry.value}) can't be loaded: {_first_line(error)}; "
            f"reinstall or remove the package {_package(entry)!r}"
        ) from error
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    if hasattr(target, "make_context"):
        return target
    if not callable(target):
        raise ConfigError(f"command {entry.name!r} ({entry.value}) is {target!r}; register a function or a typer app")
    single = typer.Typer(add_completion=False)
    single.command(entry.name)(target)
    return typer.main.get_command(single)


def unavailable(entry: EntryPoint) -> str | None:
    """Why the command can't work, as far as that shows without importing anything of it; None where it may."""
    path = None
    parts = entry.module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        spec = _find(name, path)
        if spec is None:
            return f"no module {name!r}"
        path = spec.submodule_search_locations
    return None


def _find(name: str, path: Any) -> Any:
    """The module's spec, asked of the finders directly: ``importlib.util.find_spec`` would import the parents."""
    if (loaded := getattr(sys.modules.get(name), "__spec__", None)) is not None:
        return loaded
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


class _Later(TyperCommand):
    """A command's place in the help; the real one is loaded when it is called."""

    def __init__(self, entry: EntryPoint) -> None:
        reason = unavailable(entry)
        summary = _HELP.get(entry.name) if _is_ours(entry) else _summary(entry)
        help_text = f"(unavailable: {reason})" if reason else summary
        super().__init__(entry.name, callback=lambda: None, help=help_text, add_help_option=False)
        self.entry = entry

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """The real command's context, so that it parses, runs and helps in its own words."""
        return load_command(self.entry).make_context(info_name, args, parent=parent, **extra)


class _Root(TyperGroup):
    """Finds commands through entry points and turns our errors into one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = commands().get(cmd_name)
        return None if entry is None else _Later(entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in commands():
            raise UnknownName.of("command", args[0], commands())
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except HomeostatError as error:
            typer.echo(f"homeostat: {' '.join(str(error).splitlines())}", err=True)
            raise SystemExit(2) from None


app = typer.Typer(
    cls=_Root, name="homeostat", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
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
    """An agent runtime that watches its own attention and corrects itself."""


def main() -> None:
    """The console script."""
    app()


def _is_ours(entry: EntryPoint) -> bool:
    return entry.value.startswith("homeostat.")


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]


def _summary(entry: EntryPoint) -> str:
    metadata = entry.dist.metadata if entry.dist is not None else None
    text = metadata["Summary"] if metadata is not None and "Summary" in metadata else ""
    return f"{text} ({_package(entry)})".strip()


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
