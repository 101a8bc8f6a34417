"""Runs a Homeostat agent inside AndroidWorld's own evaluation, one step of the loop for each call.

    agent = AndroidWorldAgent(env, Agent(TransformersModel.load("Qwen/Qwen3-VL-8B-Instruct"), ...))
    episode_runner.run_episode(goal, agent)

Source: AndroidWorld (arXiv 2405.14573), ``EnvironmentInteractingAgent`` in ``android_world/agents/base_agent.py``. The
class here has the same methods; nothing of AndroidWorld is imported.
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
    """The result of one step, as AndroidWorld expects it.

    Attributes:
        done: Whether the episode is over.
        data: The step's events as JSON data (``"events"``), the model's answer (``"text"``), the action and its
            outcome, and at the end the status or the reason.
    """

    done: bool
    data: dict[str, Any] = field(default_factory=dict)


class AndroidWorldAgent:
    """An agent as AndroidWorld calls it.

    Attributes:
        env: AndroidWorld's ``AsyncEnv``.
        agent: The agent.
        name: The agent's name in AndroidWorld's results.
        transition_pause: The seconds between an action and the next screenshot.
    """

    def __init__(self, env: Any, agent: Agent, name: str = "homeostat", transition_pause: float | None = 1.0) -> None:
        """Connects an agent with AndroidWorld's environment.

        Args:
            env: AndroidWorld's ``AsyncEnv``.
            agent: The agent.
            name: The agent's name in AndroidWorld's results.
            transition_pause: The seconds between an action and the next screenshot; None lets AndroidWorld wait until
                the screen no longer changes.

        Raises:
            ConfigError: ``transition_pause`` is negative.
        """
        if transition_pause is not None and transition_pause < 0:
            raise ConfigError(f"transition_pause {transition_pause!r} is negative; give seconds, or None")
        self.env, self.agent, self.name, self.transition_pause = env, agent, name, transition_pause
        self._max_steps: int | None = None
        self._events: Iterator[Event] | None = None
        self._goal = ""

    def set_max_steps(self, max_steps: int) -> None:
        """Sets the step budget of the next episodes.

        Args:
            max_steps: The most environment steps of an episode.
        """
        self._max_steps = max_steps

    def reset(self, go_home: bool = False) -> None:
        """Ends the episode and resets AndroidWorld's environment."""
        self._events = None
        self.env.reset(go_home=go_home)

    def get_post_transition_state(self) -> Any:
        """Waits for the last action's effect and returns AndroidWorld's ``State``."""
        if self.transition_pause:
            time.sleep(self.transition_pause)
        return self.env.get_state(wait_to_stabilize=self.transition_pause is None)

    def step(self, goal: str) -> AgentInteractionResult:
        """Runs one step of the loop: observe, propose, sense, control, act. A new goal starts a new episode.

        Args:
            goal: The goal in words.

        Returns:
            Whether the episode is over, and the step's events.
        """
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
