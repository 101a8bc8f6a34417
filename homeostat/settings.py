"""Settings that a YAML file, command-line flags and Python fill in the same way.

pydantic-settings reads the file and decides which source wins: arguments first, then the file, then the defaults.
Two of its habits are replaced here:

- Environment variables are not read. A field named ``path`` would otherwise take its value from ``$PATH``.
- A config file that does not exist is an error. ``YamlConfigSettingsSource`` skips such a file, so a misspelt file name
  would train with the defaults.

:mod:`homeostat.cli.settings` makes a command with one flag for each field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from homeostat.errors import ConfigError

__all__ = ["Settings", "load_settings", "save_settings"]


class Settings(BaseSettings):
    """The fields that every alignment command has; a command's own settings inherit from this class."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    model: str = Field("homeostat/nano", description="Name or folder of the model.")
    seed: int = Field(0, description="Random seed of the data, the initial weights and the order of the data.")
    device: str | None = Field(None, description="cpu, cuda or mps. Default: the fastest device available.")
    dtype: str | None = Field(
        None, description="float32, bfloat16 or float16. Default: chosen by the size of the model."
    )

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
            The arguments, then the YAML file that :func:`load_settings` names, if any.
        """
        return init_settings, YamlConfigSettingsSource(settings_cls)


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
        return _reading(kind, file)(**flags)
    except ValidationError as error:
        raise ConfigError(_one_line(error, kind)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {str(file)!r} can't be read ({type(error).__name__}); give a YAML file") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(f"config {str(file)!r} is not valid YAML: {reason}; correct the file") from None
    except (TypeError, ValueError):
        raise ConfigError(f"config {str(file)!r} holds no fields; write `field: value` lines") from None


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


def _reading(kind: type[S], file: Path | None) -> type[S]:
    """Returns the class with the YAML file as a source: pydantic-settings takes the file's name from the class."""
    if file is None:
        return kind
    fields = {"__module__": kind.__module__, "model_config": SettingsConfigDict(yaml_file=file)}
    return cast(type[S], type(kind.__name__, (kind,), fields))


def _one_line(error: ValidationError, kind: type[Settings]) -> str:
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelt field explains other errors
    name = ".".join(map(str, first["loc"])) or "config"
    value = "" if first["type"] == "missing" or not first["loc"] else f" {first['input']!r}"
    known = f"; known: {', '.join(kind.model_fields)}" if first["type"] == "extra_forbidden" else ""
    return f"{name}{value}: {first['msg'].removeprefix('Value error, ')}{known}"
