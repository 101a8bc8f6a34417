"""The flags that say how a model's weights are loaded, for commands that are written as functions.

Commands whose flags are fields of :class:`homeostat.settings.Settings` inherit the same fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from homeostat.cli.completion import LOADING, completes
from homeostat.errors import ConfigError
from homeostat.model_options import ModelOptions

__all__ = ["with_model_flags"]

_PARAMETER = "loading"


def with_model_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command one flag for each field of :class:`~homeostat.model_options.ModelOptions`.

    Args:
        command: A function for typer with a parameter ``loading`` of that class, in whose place the flags stand.

    Returns:
        The function with the flags.
    """

    def wrapped(**flags: Any) -> None:
        given = {name: flags.pop(name) for name in ModelOptions.model_fields}
        command(**flags, **{_PARAMETER: _options(given)})

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        parameters += _flags() if parameter.name == _PARAMETER else own
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    wrapped.__module__ = command.__module__
    return wrapped


def _flags() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None, typer.Option(help=field.description, autocompletion=completes("", *LOADING.get(name, ())))
            ],
        )
        for name, field in ModelOptions.model_fields.items()
    ]


def _options(given: dict[str, Any]) -> ModelOptions:
    try:
        return ModelOptions(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]} {first['input']!r}: {first['msg']}") from None
