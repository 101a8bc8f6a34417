"""Errors of parts that are not ours: a failing sensor, controller, environment or model is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeostat.errors import ComponentError, EnvError, HomeostatError, ModelError

__all__ = ["component"]

_ALLOWED: dict[str, tuple[type[HomeostatError], ...]] = {"environment": (EnvError,), "model": (ModelError,)}
"""The errors that a component's contract knows; the loop handles these itself."""


@contextmanager
def component(kind: str, name: str) -> Iterator[None]:
    """Within it, an error that the component's contract does not know becomes a ``ComponentError``.

    Args:
        kind: What is called: ``"sensor"``, ``"controller"``, ``"environment"`` or ``"model"``.
        name: The component's name.

    Yields:
        Nothing.

    Raises:
        ComponentError: The component raised something else than its contract allows.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (ComponentError, *_ALLOWED.get(kind, ()))):
            raise
        raise ComponentError.of(kind, name, error) from error
