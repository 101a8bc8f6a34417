"""Many episodes side by side on one agent: their model calls are answered in batches.

Each episode runs in a thread of its own, with an agent that is the given one but for its models: a
:class:`~homeostat.agent.models.callers.LocalCaller` stands in front of each local model. Greedy calls share batches.
Calls that sample, steer or are held to a schema run alone, so that every episode comes out as it would by itself.
Models that are no :class:`~homeostat.agent.TransformersModel`, such as those on a server, are called by all threads
directly.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat.agent.events import Event
from homeostat.agent.loop.episode import Episode
from homeostat.agent.models.protocol import Model
from homeostat.agent.models.shared_model import SharedModel
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.models.turns import Turns
from homeostat.envs.core import Env, TaskInfo
from homeostat.errors import ConfigError

if TYPE_CHECKING:
    from homeostat.agent.agent import Agent

__all__ = ["Listeners", "SharedAgent", "run_many"]

_PATIENCE = 0.5
"""How long a static batch waits for episodes between two calls, as a share of the time of the last batch."""


class SharedAgent:
    """An agent that several episodes use at once.

    Attributes:
        agent: The agent.
        batch: The most model calls that are answered together.
    """

    def __init__(self, agent: Agent, batch: int) -> None:
        """Puts a shared model in front of each of the agent's local models.

        Args:
            agent: The agent.
            batch: The most model calls that are answered together.

        Raises:
            ConfigError: A batch has no rows.
        """
        self.agent, self.batch = agent, batch
        turns = Turns()
        local = {id(m): m for m in (agent.model, agent.planner) if isinstance(m, TransformersModel)}
        self._shared = {
            key: SharedModel(model, rows=batch, batch_samples=False, patience=_PATIENCE, turns=turns)
            for key, model in local.items()
        }

    @contextmanager
    def one(self) -> Iterator[Agent]:
        """Makes the agent of one episode. Batches wait for it within the ``with`` block.

        Yields:
            The agent, for one thread.
        """
        with ExitStack() as stack:
            callers: dict[int, Model] = {}

            def of(model: Model) -> Model:
                if id(model) in self._shared and id(model) not in callers:
                    callers[id(model)] = stack.enter_context(self._shared[id(model)].local_caller())
                return callers.get(id(model), model)

            agent = copy.copy(self.agent)
            agent.model = of(agent.model)
            agent.planner = of(agent.planner) if agent.planner is not None else None
            yield agent

    def close(self) -> None:
        """Ends the calls that are being answered, and refuses every further one."""
        for shared in self._shared.values():
            shared.close()


@dataclass(frozen=True)
class Listeners:
    """Who is told what happens.

    Attributes:
        on_end: Told the number and the result of each episode when it ends, one at a time.
        on_event: Told the number of an episode and each of its events, in the episode's thread.
    """

    on_end: Callable[[int, Episode], None] | None = None
    on_event: Callable[[int, Event], None] | None = None


def run_many(
    agent: Agent,
    episodes: Sequence[tuple[TaskInfo | str, Env]],
    batch: int,
    run_folder: Path | None,
    return_exceptions: bool,
    listeners: Listeners,
    settings: dict[str, Any],
) -> list[Any]:
    """Runs episodes side by side (see :meth:`homeostat.agent.Agent.run_many`).

    Args:
        agent: The agent.
        episodes: The task and the environment of each.
        batch: The most episodes at a time.
        run_folder: Where each run gets a folder of its own; None keeps everything in memory.
        return_exceptions: Whether an episode's error stands in the list instead of being raised.
        listeners: Who is told of events and ends.
        settings: The other parameters of :meth:`homeostat.agent.Agent.start`.

    Returns:
        The episodes' results, in order.

    Raises:
        ConfigError: ``batch`` is below 1, or two episodes share an environment.
    """
    if batch < 1:
        raise ConfigError(f"batch={batch!r} plays no episode; give 1 or more")
    if len({id(env) for _, env in episodes}) < len(episodes):
        raise ConfigError("two episodes share an environment; give each one of its own")
    shared = SharedAgent(agent, batch)
    ended = threading.Lock()

    def play(number: int) -> Episode | Exception:
        task, env = episodes[number]
        folder = run_folder / f"{number:05d}" if run_folder is not None else None
        try:
            with shared.one() as mine:
                run = mine.start(task, env, run_folder=folder, **settings)
                if listeners.on_event is not None:
                    for event in run:
                        listeners.on_event(number, event)
                episode = run.result
        except Exception as error:
            return error
        if listeners.on_end is not None:
            with ended:
                listeners.on_end(number, episode)
        return episode

    try:
        with ThreadPoolExecutor(batch, thread_name_prefix="homeostat-episode") as pool:
            try:
                found = list(pool.map(play, range(len(episodes))))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                shared.close()
                raise
    finally:
        shared.close()
    if not return_exceptions:
        for result in found:
            if isinstance(result, Exception):
                raise result
    return found
