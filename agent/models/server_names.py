"""Names of models that a server runs: ``openai:NAME``, or the address of an OpenAI-compatible server.

``http://127.0.0.1:8000`` names the only model of a server, ``http://127.0.0.1:8000#NAME`` one of several.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from homeostat.errors import ConfigError
from homeostat.foreign_text import quoted

__all__ = ["ServedModel", "is_served", "served_model"]

_PREFIX = "openai:"
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class ServedModel:
    """Where a model is served.

    Attributes:
        model: The model's name on the server; "" for the server's only model.
        base_url: The address of the API, such as ``http://127.0.0.1:8000/v1``; None takes the client's own
            (``$OPENAI_BASE_URL``, else OpenAI).
    """

    model: str
    base_url: str | None = None


def is_served(name: str) -> bool:
    """Tells whether a name means a model on a server.

    Args:
        name: The name of a model.

    Returns:
        True for ``openai:NAME`` and for an address.
    """
    return name.startswith(_PREFIX) or name.lower().startswith(_SCHEMES)


def served_model(name: str, base_url: str | None = None) -> ServedModel:
    """Reads the name of a model on a server.

    Args:
        name: ``openai:NAME``, or an address, perhaps with ``#NAME``.
        base_url: The address that goes with ``openai:NAME``.

    Returns:
        Where the model is.

    Raises:
        ConfigError: The name or the address is invalid, or an address is given twice.
    """
    if name.startswith(_PREFIX):
        model = name.removeprefix(_PREFIX).strip()
        if not model:
            raise ConfigError(f"model {name!r} names no model; write openai:NAME, as the server calls it")
        return ServedModel(model, None if base_url is None else api_address(base_url))
    if not is_served(name):
        raise ConfigError(f"model {quoted(name)} is not on a server; write openai:NAME, or the server's address")
    if base_url is not None:
        raise ConfigError(f"model {quoted(name)} is an address already; leave base_url={quoted(base_url)} out")
    address, _, model = name.partition("#")
    return ServedModel(model, api_address(address))


def api_address(url: str) -> str:
    """Checks the address of an API. A server without a path gets the usual one, ``/v1``.

    Args:
        url: The address.

    Returns:
        The address, without a slash at its end.

    Raises:
        ConfigError: It is no http address, or it holds a user name, a password or a query.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not url.lower().startswith(_SCHEMES) or not host or port == 0:
        raise ConfigError(f"base URL {quoted(url)} is no address of a server; write one such as http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{host}"  # without the password, which would stay in logs and run folders
        raise ConfigError(
            f"base URL {shown!r} holds a password or a query; give the address alone, and the key in $OPENAI_API_KEY"
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"
