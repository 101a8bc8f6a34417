"""The base class of controllers: pydantic fields that can't change, and one-line errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["Settings"]


class Settings(BaseModel):
    """Settings that are validated once and never change. Unknown settings are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __init__(self, **data: Any) -> None:
        """Validates the settings.

        Args:
            data: The settings by name.

        Raises:
            ConfigError: A setting is unknown or has a wrong value, or two settings contradict each other. The message
                is one line with the setting, its value and the problem.
        """
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigError(_one_line(type(self).__name__, error)) from None


def _one_line(owner: str, error: ValidationError) -> str:
    first = error.errors()[0]
    where = clipped(visible(".".join(str(place) for place in first["loc"])), 80)
    problem = first["msg"].removeprefix("Value error, ")
    if not where:  # a combination of settings, whose message names the values itself
        return f"{owner}: {problem}"
    return f"{owner} has {where}={quoted(first['input'])}: {problem}"
