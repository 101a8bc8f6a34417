"""The installed version."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("homeostat")
"""The version of the installed distribution, such as ``"0.1.0"``."""
