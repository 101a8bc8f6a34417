"""Settings that a YAML file, command-line flags and Python fill in the same way.

Flags win over the file, and the file over the defaults. Two habits of pydantic-settings are replaced here:

- Environment variables are not read. A field named ``path`` would otherwise take its value from ``$PATH``.
- The file is read by :mod:`homeostat.data_files`. pydantic-settings skips a file that does not exist, so a misspelt
  name would train with the defaults, and it reads YAML of any size.

:mod:`homeostat.cli.settings` makes a command with one flag for each field.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from homeostat.data_files import DataError, read_yaml
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible
from homeostat.model_options import ModelOptions

__all__ = ["Settings", "finished_run", "load_settings", "save_settings"]


class _Common(BaseModel):
    """The fields that stand first."""

    model: str = Field("homeostat/nano", description="Hub name or folder of the model, or a GGUF file.")
    seed: int = Field(0, description="Random seed of the data, the initial weights and the order of the data.")


class Settings(ModelOptions, _Common, BaseSettings):
    """The fields that every alignment command has; a command's own settings inherit from this class."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Orders the sources; pydantic-settings calls this method.

        Args:
            settings_cls: The class that is filled in.
            init_settings: The arguments of the constructor.
            env_settings: The environment, which is not used.
            dotenv_settings: A ``.env`` file, which is not used.
            file_secret_settings: A folder of secrets, which is not used.

        Returns:
            The arguments only, among which :func:`load_settings` puts the fields of the YAML file.
        """
        return (init_settings,)


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S], file: Path | None, flags: dict[str, Any]) -> S:
    """Builds settings from a YAML file and flags.

    Args:
        kind: The class of settings.
        file: A YAML file with any of the fields; None for no file.
        flags: Fields by name. They win over the file.

    Returns:
        The checked settings.

    Raises:
        ConfigError: The file can't be read, or a value is not allowed. The message is one line that names the value.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"config {str(file)!r} is not a file; give a YAML file")
    try:
        data = (read_yaml(file) or {}) if file is not None else {}
    except DataError as error:
        raise ConfigError(f"config {str(file)!r} is not valid YAML: {error}; correct the file") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"config {str(file)!r} holds no fields; write `field: value` lines")
    try:
        return kind(**data | flags)
    except ValidationError as error:
        raise ConfigError(_one_line(error, kind)) from None


def save_settings(settings: Settings, folder: Path) -> None:
    """Writes ``config.yaml`` into a folder.

    Args:
        settings: The settings to save; ``--config`` reads them back.
        folder: The folder, which is created if it does not exist.

    Raises:
        ConfigError: The file can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fields = settings.model_dump(mode="json")
        (folder / "config.yaml").write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't write to {str(folder)!r}: {error.strerror}; give another folder") from None


def finished_run(settings: Settings, folder: Path) -> dict[str, Any] | None:
    """Reads the result of a finished run with the same settings.

    Args:
        settings: The settings.
        folder: The run's folder, with ``config.yaml`` and, once it has ended, ``result.json``.

    Returns:
        What ``result.json`` holds; None for a new or an interrupted run.

    Raises:
        ConfigError: The folder holds a run with other settings.
    """
    config, finished = folder / "config.yaml", folder / "result.json"
    if not config.is_file():
        return None
    before = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
    now = settings.model_dump(mode="json")
    if changed := sorted(k for k in now if before.get(k) != now[k]):
        raise ConfigError(
            f"out {str(folder)!r} holds a run with another {changed[0]} ({before.get(changed[0])!r}, now "
            f"{now[changed[0]]!r}); give another folder"
        )
    if not finished.is_file():
        return None
    result: dict[str, Any] = json.loads(finished.read_text(encoding="utf-8"))
    return result


def _one_line(error: ValidationError, kind: type[Settings]) -> str:
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelt field explains other errors
    name = clipped(visible(".".join(map(str, first["loc"]))), 80) or "config"
    value = "" if first["type"] == "missing" or not first["loc"] else f" {quoted(first['input'])}"
    known = f"; known: {', '.join(kind.model_fields)}" if first["type"] == "extra_forbidden" else ""
    return f"{name}{value}: {first['msg'].removeprefix('Value error, ')}{known}"
