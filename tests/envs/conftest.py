"""One browser for all tests of web pages; they skip by name where there is none."""

import pytest

from homeostat.envs.errors import ConfigError
from homeostat.envs.miniwob import MiniWobEnv, find_binaries, task_names


@pytest.fixture(scope="session")
def chromium():
    """Skips where the browser, its driver or the package is missing."""
    try:
        task_names()
        return find_binaries()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def web(chromium):
    env = MiniWobEnv()
    yield env
    env.close()
