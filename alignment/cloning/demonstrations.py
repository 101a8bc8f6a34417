"""Demonstrations: the agent's own loop, with the environment's built-in solution in the model's place.

The prompts of the training data are those that the agent builds at run time, because the agent builds them: the
:class:`Demonstrator` has the model's prompt style, answers each prompt with the solution's action, and keeps both. Some
steps take a random action instead (Laskey et al., DART, arXiv 1703.09327), so that the data also show how to find back.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.actions import Action, Answer, Call, Swipe, SystemButton, Terminate, calls_of
from homeostat.agent.agent import Agent
from homeostat.agent.models.protocol import Measuring, Model
from homeostat.agent.prompts import act_prompt, write_action
from homeostat.envs.core import Env, Restoring, SelfEnding
from homeostat.envs.harness.policies import random_action
from homeostat.errors import ActionError, EnvError
from homeostat.observation import Observation
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import Capability

__all__ = ["Demonstration", "Demonstrator", "OtherGoals", "demonstrate"]

_SWIPES = (Swipe(point=(0.5, 0.75), to=(0.5, 0.25)), Swipe(point=(0.5, 0.25), to=(0.5, 0.75)))
_LONGEST = 200  # steps of a solution that is tried out
_ROOM = 4  # random actions cost steps, so an episode may have so many times its step budget


@dataclass(frozen=True)
class Demonstration:
    """A prompt, and the answer that the model is trained to give.

    Attributes:
        prompt: The prompt, as the agent builds it.
        answer: The assistant's text with the solution's action.
        screen: The number of the step in its episode. Demonstrations of one step show the same screen.
        calls: The calls that the text makes, in a conversation with tools; a chat template may word them otherwise.
    """

    prompt: Prompt
    answer: str
    screen: int
    calls: tuple[Call, ...] = ()


OtherGoals = Callable[[Env, random.Random, int], Sequence[tuple[str, Action]]]
"""Returns goals of other tasks with the actions that they ask for on the present screen."""


class Demonstrator:
    """A model that answers with the solution's action, and keeps each prompt with it.

    Attributes:
        name: The model's name.
        style: How its prompts are worded: as those of the model that is trained.
        capabilities: What it offers: text, and tools as far as the trained model's chat template has them.
        rules: The rules of the episode, for the prompts of other goals.
        found: The demonstrations so far.
    """

    def __init__(
        self,
        model: Model,
        env: Env,
        solve: Callable[[Env], Action],
        rng: random.Random,
        *,
        noise: float = 0.0,
        goals: int = 0,
        other_goals: OtherGoals | None = None,
    ) -> None:
        """Takes the place of a model.

        Args:
            model: The model that is trained.
            env: The environment.
            solve: Returns the solution's next action.
            rng: Draws the random actions and the other goals.
            noise: The share of steps with a random action.
            goals: The number of other goals that are asked on every screen.
            other_goals: Draws them; None where the environment has none.
        """
        self.name, self.style = "demonstrator", model.style
        self.capabilities: frozenset[Capability] = model.capabilities & {"text", "tools"}
        self._model, self._env, self._solve, self._rng = model, env, solve, rng
        self._noise, self._goals, self._other_goals = noise, goals, other_goals
        self.rules: tuple[str, ...] = ()
        self.found: list[Demonstration] = []
        self._screens = 0

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        """Counts the tokens by which a prompt and its answer exceed the trained model's context.

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens of the answer.

        Returns:
            The number of tokens; 0 where both fit.
        """
        return self._model.excess(prompt, max_new_tokens) if isinstance(self._model, Measuring) else 0

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        """Answers with the solution's action, or with a random one that the solution can recover from."""
        action, seen = self._solve(self._env), self._env.observe()
        self.found.append(Demonstration(prompt, self._spelled(action, seen), self._screens, tuple(calls_of(action))))
        if self._goals and self._other_goals is not None and seen.conversation is None:
            for goal, other in self._other_goals(self._env, self._rng, self._goals):
                asked = act_prompt(self.style, goal=goal, rules=self.rules, history=(), observation=seen)
                self.found.append(Demonstration(asked, self._spelled(other, seen), self._screens))
        self._screens += 1
        if self._noise and self._rng.random() < self._noise and not isinstance(action, Terminate):
            action = self._stray() or action
        return [Attempt(text=self._spelled(action, seen))]

    def _spelled(self, action: Action, seen: Observation) -> str:
        """The assistant's text with an action."""
        if seen.conversation is None:
            return write_action(self.style, action, seen)
        if isinstance(action, Answer):
            return action.text
        calls = (json.dumps({"name": c.tool, "arguments": c.arguments}, ensure_ascii=False) for c in calls_of(action))
        return "\n".join(self.style.conversation.call.format(call=call) for call in calls)

    def _stray(self) -> Action | None:
        """A random action after which the solution still reaches the task's end; None without one."""
        env, seen = self._env, self._env.observe()
        if not isinstance(env, Restoring) or not env.restores or seen.conversation is not None:
            return None
        roll = self._rng.random()
        action: Action = random_action(env, self._rng)
        if roll < 0.4 or isinstance(action, Terminate):
            action = self._rng.choice((*_SWIPES, SystemButton(button="Back"), SystemButton(button="Home")))
        before = env.snapshot()
        try:
            env.act(action)
            recovers = _solved(env, self._solve)
        except (ActionError, EnvError):
            recovers = False
        finally:
            env.restore(before)
        return action if recovers else None


def demonstrate(demonstrator: Demonstrator, env: Env, task: str, seed: int) -> list[Demonstration]:
    """Plays one episode with the solution.

    Args:
        demonstrator: What answers in the model's place, on the same environment.
        env: The environment.
        task: The task's name.
        seed: The seed of the task's initial state.

    Returns:
        The demonstrations; none where the solution does not reach the task's end.
    """
    info = env.reset_task(task, seed=seed)
    demonstrator.rules = info.rules
    episode = Agent(demonstrator).run(info, env, seed=seed, max_steps=_ROOM * info.max_steps)
    return demonstrator.found if episode.success else []


def _solved(env: Env, solve: Callable[[Env], Action]) -> bool:
    """Whether the solution reaches the task's end from here."""
    for _ in range(_LONGEST):
        action = solve(env)
        env.act(action)
        if isinstance(action, Terminate) or (isinstance(env, SelfEnding) and env.ended):
            return env.success()
    return False
