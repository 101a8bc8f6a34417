"""One pydantic config behind a YAML file and a command's flags.

Every field of the config is a flag; ``--config FILE`` reads a YAML file first, and flags win over it. ``--dry-run``
checks everything that can be checked and stops; what was used is saved as ``config.yaml`` beside the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.errors import ConfigError

__all__ = ["Settings", "command_of", "load_settings", "save_settings"]


class Settings(BaseModel):
    """What every alignment command is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field("homeostat/nano", description="A model's name or folder.")
    seed: int = Field(0, description="Seed of data, weights and order.")
    device: str | None = Field(None, description="cpu, cuda, mps. Default: the best there is.")
    dtype: str | None = Field(None, description="float32, bfloat16 or float16. Default: as the model's size has it.")


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S], file: Path | None, flags: dict[str, Any]) -> S:
    """The config from a YAML file (or None) and flags, which win. Raises :class:`ConfigError`, one line."""
    told: dict[str, Any] = {}
    if file is not None:
        try:
            told = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"config {str(file)!r} can't be read ({type(error).__name__}); give a YAML file"
            ) from None
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())[:120]
            raise ConfigError(f"config {str(file)!r} is no YAML: {said}; mend it") from None
        if not isinstance(told, dict):
            raise ConfigError(
                f"config {str(file)!r} holds {type(told).__name__}, no fields; write `field: value` lines"
            )
    try:
        return kind.model_validate(told | {name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelt field explains others
        name = ".".join(map(str, first["loc"])) or "config"
        shown = "" if first["type"] == "missing" else f" {first['input']!r}"
        known = f"; known: {', '.join(kind.model_fields)}" if first["type"] == "extra_forbidden" else ""
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}{shown}: {said}{known}") from None


def save_settings(settings: Settings, folder: Path) -> None:
    """Write ``config.yaml`` into the folder. Raises :class:`ConfigError` where it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        told = settings.model_dump(mode="json")
        (folder / "config.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't write to {str(folder)!r}: {error.strerror}; give another folder") from None


def command_of(
    kind: type[S], run: Callable[[S, bool], None], doc: str, *, needs: tuple[str, ...] = ()
) -> Callable[..., None]:
    """A command with one flag for each field of ``kind``; ``run(settings, dry_run)`` does the work.

    ``needs``: modules of the extra ``align`` that it can't do without.
    """

    def command(**flags: Any) -> None:
        for module in needs:
            if find_spec(module) is None:
                raise ConfigError(f"this command needs {module}; pip install 'homeostat[align]'")
        file, dry_run = flags.pop("config"), flags.pop("dry_run")
        run(load_settings(kind, file, flags), bool(dry_run))

    parameters = [
        _parameter("config", Path | None, "A YAML file with any of these fields; flags win."),
        _parameter("dry_run", bool, "Check the config and the data, and stop.", False),
    ]
    for name, field in kind.model_fields.items():
        default = (
            "" if field.is_required() or field.default in (None, "", []) else f" Default: {_shown(field.default)}."
        )
        parameters.append(_parameter(name, _flag_type(field.annotation), f"{field.description or ''}{default}"))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command


def _parameter(name: str, kind: Any, text: str, default: Any = None) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    names = (flag,) if kind is not (bool | None) else (f"{flag}/--no-{flag[2:]}",)
    annotation = Annotated[kind, typer.Option(*names, help=text, show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """What typer makes a flag of: lists are given by repeating it, words out of a list are checked by pydantic."""
    plain = [a for a in get_args(annotation) if a is not type(None)] if type(None) in get_args(annotation) else []
    kind = plain[0] if plain else annotation
    if get_origin(kind) in (list, tuple):
        inner = get_args(kind)[0]
        several: Any = list
        return several[inner if inner in (int, float) else str] | None
    return (kind if kind in (int, float, bool, str, Path) else str) | None


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
