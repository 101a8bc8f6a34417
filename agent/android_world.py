"""Our agent inside AndroidWorld: its ``EnvironmentInteractingAgent``, one step of our loop a call.

    agent = AndroidWorldAgent(env, Agent(TransformersModel.load("Qwen/Qwen3-VL-8B-Instruct"), ...))
    episode_runner.run_episode(goal, agent)

AndroidWorld (arXiv 2405.14573), ``android_world/agents/base_agent.py``. The interface is followed by its names; nothing
of AndroidWorld is imported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from homeostat.actions import Terminate
from homeostat.agent.agent import Agent
from homeostat.agent.events import Act, Event, Finish, Sense
from homeostat.envs.android.inside import WorldEnv
from homeostat.errors import ConfigError

__all__ = ["AgentInteractionResult", "AndroidWorldAgent"]


@dataclass
class AgentInteractionResult:
    """What a step gives: whether the agent is done, and what was seen and done (our events, as plain data)."""

    done: bool
    data: dict[str, Any] = field(default_factory=dict)


class AndroidWorldAgent:
    """``agent`` on an ``AsyncEnv``.

    ``transition_pause``: seconds to wait before the screen is read; None lets AndroidWorld wait until it is still.
    Raises :class:`ConfigError` for a negative one.
    """

    def __init__(self, env: Any, agent: Agent, name: str = "homeostat", transition_pause: float | None = 1.0) -> None:
        if transition_pause is not None and transition_pause < 0:
            raise ConfigError(f"transition_pause {transition_pause!r} is negative; give seconds, or None")
        self.env, self.agent, self.name, self.transition_pause = env, agent, name, transition_pause
        self._max_steps: int | None = None
        self._events: Iterator[Event] | None = None
        self._goal = ""

    def set_max_steps(self, max_steps: int) -> None:
        """The episode's budget; it holds from the next reset on."""
        self._max_steps = max_steps

    def reset(self, go_home: bool = False) -> None:
        """Forget the episode; AndroidWorld's environment is reset too."""
        self._events = None
        self.env.reset(go_home=go_home)

    def get_post_transition_state(self) -> Any:
        """AndroidWorld's ``State``, once the last action has had its time."""
        if self.transition_pause:
            time.sleep(self.transition_pause)
        return self.env.get_state(wait_to_stabilize=self.transition_pause is None)

    def step(self, goal: str) -> AgentInteractionResult:
        """One step of the loop: observe, propose, sense, control, act. A new goal begins a new episode."""
        if self._events is None or goal != self._goal:
            world = WorldEnv(self.env, wait=self.transition_pause is None)
            self._events, self._goal = iter(self.agent.start(goal, world, max_steps=self._max_steps)), goal
        elif self.transition_pause:
            time.sleep(self.transition_pause)
        data: dict[str, Any] = {"events": []}
        for event in self._events:
            data["events"].append(event.model_dump(mode="json", exclude={"screenshot"}))
            match event:
                case Sense(text=text):
                    data["text"] = text
                case Act(action=Terminate(status=status)):
                    data["goal_status"] = "complete" if status == "success" else "infeasible"
                    self._events = None
                    return AgentInteractionResult(True, data)
                case Act(action=action, outcome=outcome):
                    data["action"] = action.model_dump() if action else None
                    data["outcome"] = outcome
                    return AgentInteractionResult(False, data)
                case Finish(reason=reason):
                    data["reason"] = reason
                case _:
                    pass
        self._events = None
        return AgentInteractionResult(True, data)
