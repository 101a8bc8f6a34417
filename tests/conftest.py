"""Fixtures that several rooms' tests share."""

import pytest

from homeostat.envs.errors import ConfigError
from homeostat.envs.miniwob import find_binaries, task_names


@pytest.fixture(scope="session")
def chromium():
    """Skips where the browser, its driver or MiniWoB++'s package is missing."""
    try:
        task_names()
        return find_binaries()
    except ConfigError as error:
        pytest.skip(str(error))
