"""``homeostat`` with the phone's oracle in the model's place: a test double for the command line, never for the model.

Run as a program it is the console script; ``ORACLE_DELAY`` slows every call down, ``ORACLE_FAILS`` makes it give up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from homeostat.actions import Terminate
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.prompts import VERBOSE
from homeostat.envs.harness import environments
from homeostat.envs.mobile_use import Grid, format_action
from homeostat.errors import EnvError
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.chat.messages import Prompt

LABELS = ("system", "goal", "history", "screen")


class Oracle:
    """Says what the phone's own oracle would do, and shows made-up attention that fades from call to call."""

    name = "oracle"
    style = VERBOSE
    capabilities = frozenset(("attention", "logprobs", "text"))

    def __init__(self) -> None:
        self.env: Any = None
        self.calls = 0
        self.fails = os.environ.get("ORACLE_FAILS") == "1"

    def generate(self, prompt: Prompt, *, watch: bool = True, **settings: Any) -> list[Attempt]:
        time.sleep(float(os.environ.get("ORACLE_DELAY", "0")))
        self.calls += 1
        system = "".join(part.text for part in prompt.messages[0].parts)
        text = '{"parts": ["the whole of it"]}' if system.startswith(VERBOSE.planner_system) else self._act()
        mass = np.zeros((1, 1, 1, len(LABELS)), np.float32)
        mass[0, 0, 0] = (0.1, 0.4 / self.calls, 0.1, 0.3)
        spans = SpanMass(LABELS, (0,), mass, mass, np.array([10, 5, 5, 60]), np.array([80]))
        attempt = Attempt(text=text, tokens=(1,), logprobs=(-0.1,), prompt_tokens=80, spans=spans if watch else None)
        return [attempt]

    def _act(self) -> str:
        height, width = self.env.observe().screenshot.shape[:2]
        try:
            action = Terminate(status="failure") if self.fails else self.env.oracle()
        except EnvError:  # a free run: nothing to aim at
            action = Terminate(status="success")
        return format_action(action, Grid(width, height))


def install(patch: Callable[[Any, str, Any], None] = setattr) -> Oracle:
    """Put the oracle where every model is loaded from, and show it the phone that is made."""
    oracle, make = Oracle(), environments.make_env

    def make_env(*args: Any, **kwargs: Any) -> Any:
        oracle.env = make(*args, **kwargs)
        return oracle.env

    patch(environments, "make_env", make_env)
    patch(TransformersModel, "load", classmethod(lambda cls, name, *place, **settings: oracle))
    return oracle


if __name__ == "__main__":
    from homeostat.cli.root import main

    install()
    main()
