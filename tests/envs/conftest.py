"""One browser for all tests of web pages."""

import pytest

from homeostat.envs.miniwob import MiniWobEnv


@pytest.fixture(scope="session")
def web(chromium):
    env = MiniWobEnv()
    yield env
    env.close()
