"""The error for a framework that is not installed."""

from __future__ import annotations

from homeostat.errors import ConfigError

__all__ = ["missing"]


def missing(error: ModuleNotFoundError) -> ConfigError:
    """Builds the error for a framework that is not installed.

    Args:
        error: What the import raised.

    Returns:
        The error, which names the missing package and the extra.
    """
    package = (error.name or str(error)).partition(".")[0]
    return ConfigError(f"this part needs {package}; run: pip install 'homeostat[frameworks]'")
