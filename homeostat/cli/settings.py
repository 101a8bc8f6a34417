"""Commands whose flags are the fields of one class of settings.

:class:`homeostat.settings.Settings` holds the fields; pydantic-settings merges the flags with ``--config FILE``. The
flags themselves are made here, because the command line of pydantic-settings can't keep four properties:

- It is built on argparse, so its help and its usage errors would look unlike those of every other command.
- It splits the values of a list at commas, so ``--traces`` could not name a folder with a comma in its name.
- It turns the word ``null`` into None, for every flag.
- It prints ``(default: null)`` and ``(default: [])`` where the description says what the default means.

Every flag but a switch is passed to pydantic as text, so a wrong value is one line that names the field and the value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from homeostat.cli.completion import LOADING, completes, completes_several
from homeostat.errors import ConfigError
from homeostat.settings import Settings, load_settings

__all__ = ["command_of"]

S = TypeVar("S", bound=Settings)
_RESUMED = "the same command continues from the last checkpoint"
_AGAIN = "nothing of this run is kept; the same command starts again"
_NAMED = {"model": "models", "judge": "models", "suite": "suites", "env": "environments", "kinds": "conflicts"}
"""The fields that hold a name, and what ``homeostat list`` calls it."""


def command_of(
    kind: type[S],
    run: Callable[[S, bool], None],
    doc: str,
    *,
    needs: tuple[str, ...] = (),
    resumes: bool = False,
) -> Callable[..., None]:
    """Makes a command with one flag for each field of a class of settings.

    Args:
        kind: The class of settings.
        run: Does the work: ``run(settings, dry_run)``.
        doc: The help text of the command.
        needs: Modules of the extra ``align`` that the command can't work without.
        resumes: Whether the same command continues an interrupted run, which Ctrl-C then says.

    Returns:
        A function for typer.
    """

    def command(ctx: typer.Context, **flags: Any) -> None:
        for module in needs:
            if find_spec(module) is None:
                raise ConfigError(f"this command needs {module}; pip install 'homeostat[align]'")
        file, dry_run = flags.pop("config"), flags.pop("dry_run")
        given = {name: value for name, value in flags.items() if _is_given(ctx, name)}
        settings = load_settings(kind, file, given)
        try:
            run(settings, dry_run)
        except KeyboardInterrupt:
            typer.echo(f"interrupted; {_RESUMED if resumes else _AGAIN}", err=True)
            raise typer.Exit(130) from None

    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        _parameter("config", Path | None, None, "YAML file with any of these fields. Flags win over it."),
        _parameter("dry_run", bool, False, "Check the settings and the data, then stop.", names=("--dry-run",)),
        *(_field_parameter(name, field) for name, field in kind.model_fields.items()),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _field_parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    text = field.description or ""
    if field.is_required():
        text += " Required, as a flag or in the config file."
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    kind = _without_none(field.annotation)
    if kind is bool:
        return _parameter(name, bool, default, text, names=(f"{_flag(name)}/--no-{_flag(name)[2:]}",))
    if get_origin(kind) is list:
        several, item = [str(item) for item in default or ()], get_args(kind)[0]
        told = f"{text} May be repeated."
        return _parameter(name, list[str], several, told, metavar=_metavar(item), completed=_completed(name, item))
    if get_origin(kind) is tuple:
        texts: Any = GenericAlias(tuple, (str,) * len(get_args(kind)))
        return _parameter(name, texts | None, default, text, metavar=" ".join(map(_metavar, get_args(kind))))
    shown = None if default is None else str(default)
    return _parameter(name, str | None, shown, text, metavar=_metavar(kind), completed=_completed(name, kind))


def _completed(name: str, kind: Any) -> Callable[..., Any] | None:
    """What a shell offers for a field: the values of a literal, or the names of what the field names."""
    if get_origin(kind) is Literal:
        return completes("", *get_args(kind))
    if name in LOADING:
        return completes("", *LOADING[name])
    if name == "controllers":
        return completes_several("controllers")
    return completes(_NAMED[name]) if name in _NAMED else None


def _parameter(
    name: str,
    kind: Any,
    default: Any,
    text: str,
    *,
    names: tuple[str, ...] = (),
    metavar: str | None = None,
    completed: Callable[..., Any] | None = None,
) -> inspect.Parameter:
    option = typer.Option(*(names or (_flag(name),)), help=text, metavar=metavar, autocompletion=completed)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _without_none(annotation: Any) -> Any:
    plain = [kind for kind in get_args(annotation) if kind is not type(None)]
    return plain[0] if type(None) in get_args(annotation) else annotation


def _metavar(kind: Any) -> str:
    return f"<{'|'.join(get_args(kind)) if get_origin(kind) is Literal else kind.__name__.lower()}>"
