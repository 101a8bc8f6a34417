"""``Team``: members with roles work on one request, each turn of a member being one episode of the agent's loop.

So every turn has the member's own system message, its tools, its rules, sensors and controllers, a trace, and a
checkpoint. The next speaker follows from the turns so far alone, so a team can be resumed anywhere.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from homeostat.agent.agent import Agent
from homeostat.agent.events import Event, Sense
from homeostat.agent.loop.episode import Episode
from homeostat.agent.models.protocol import Model
from homeostat.agent.teams.bus import member_conversation
from homeostat.agent.teams.order import ending, message_of, next_speaker
from homeostat.agent.teams.results import TeamEnding, TeamEvent, TeamFolder, TeamResult, TeamTurn, mean_mass
from homeostat.agent.teams.roles import TeamSpec
from homeostat.agent.teams.running import TeamRun
from homeostat.agent.teams.seat import Seat
from homeostat.agent.trace import read_trace
from homeostat.controllers import Controller
from homeostat.envs.tools import Tool
from homeostat.errors import CheckpointError, ConfigError, TraceError, UnknownName
from homeostat.sensors.contracts import Sensor

__all__ = ["Team"]

OnAsk = Callable[[str], str]


class Team:
    """Members with roles, on one model or several.

    Attributes:
        spec: The roles, the order of turns and the limits.
    """

    def __init__(
        self,
        spec: TeamSpec,
        models: Model | Mapping[str, Model],
        *,
        tools: Sequence[Any] = (),
        sensors: Sequence[Sensor] = (),
        controllers: Sequence[Controller] = (),
    ) -> None:
        """Combines the parts and checks that they fit together.

        Args:
            spec: The roles, the order of turns and the limits.
            models: The model of all members, or models by the names that the roles use; ``""`` is the model of roles
                that name none.
            tools: Typed Python functions, LangChain tools or :class:`~homeostat.envs.tools.Tool` objects. A member may
                call those that its role names.
            sensors: The sensors that read every member's attempts. A member whose model does not offer what a sensor
                needs goes without it.
            controllers: The controllers of every member.

        Raises:
            ConfigError: A role names a tool or a model that is not there, or the parts don't fit together.
        """
        self.spec = spec
        known = {tool.spec.name: tool for tool in map(Tool.of, tools)}
        models = models if isinstance(models, Mapping) else {role.model: models for role in spec.roles}
        self._tools: dict[str, list[Tool]] = {}
        self._agents: dict[str, Agent] = {}
        for role in spec.roles:
            for name in role.tools:
                if name not in known:
                    raise UnknownName.of(f"tool of member {role.name!r}:", name, known)
            if role.model not in models:
                raise UnknownName.of(f"model of member {role.name!r}:", role.model, models)
            self._tools[role.name] = [known[name] for name in role.tools]
            self._agents[role.name] = Agent(
                models[role.model], sensors, controllers, limits=spec.loop, allow_degraded=True
            )

    @classmethod
    def build(cls, spec: TeamSpec, default: str = "homeostat/nano", **parts: Any) -> Self:
        """Loads the models that the roles name, each once.

        Args:
            spec: The team; ``Role.model`` is a hub name or a folder.
            default: The model of roles that name none.
            parts: Further parameters of the constructor: ``tools``, ``sensors``, ``controllers``.

        Returns:
            The team.

        Raises:
            ModelError: A model can't be loaded.
        """
        from homeostat.agent.models.transformers_model import TransformersModel

        names = dict.fromkeys(role.model for role in spec.roles)
        loaded = {name: TransformersModel.load(name) for name in dict.fromkeys(name or default for name in names)}
        return cls(spec, {name: loaded[name or default] for name in names}, **parts)

    def start(
        self,
        goal: str,
        *,
        seed: int = 0,
        folder: str | os.PathLike[str] | None = None,
        on_ask: OnAsk | None = None,
    ) -> TeamRun:
        """Starts to work on a request.

        Args:
            goal: The user's request, which every member sees.
            seed: The seed of sampling.
            folder: A new folder for the turns, their traces and checkpoints; None keeps everything in memory.
            on_ask: Answers the controllers' questions; without it the team comes back as ``"asked"``.

        Returns:
            The run.

        Raises:
            ConfigError: The request is empty, or the folder already holds a team's work.
        """
        if not goal.strip():
            raise ConfigError(f"goal {goal!r} is empty; say what the team is to do")
        kept = TeamFolder(Path(folder)) if folder is not None else None
        if kept is not None:
            kept.create({"spec": self.spec.model_dump(mode="json"), "goal": goal, "seed": seed})
        return TeamRun(self._work(_Job(goal, seed, kept, on_ask), None))

    def run(self, goal: str, **options: Any) -> TeamResult:
        """Works on a request to the end.

        Args:
            goal: The user's request.
            options: The options of :meth:`start`.

        Returns:
            The result.

        Raises:
            HomeostatError: A turn failed.
        """
        return self.start(goal, **options).result

    def resume(
        self, folder: str | os.PathLike[str], *, answer: str | None = None, on_ask: OnAsk | None = None
    ) -> TeamRun:
        """Continues a team's work in any process: at the step of the turn that was interrupted.

        Args:
            folder: The team's folder.
            answer: The answer to the question that the work waits for.
            on_ask: Answers further questions.

        Returns:
            The run.

        Raises:
            CheckpointError: The folder holds no team's work, or a damaged one.
            ConfigError: The folder belongs to a team with other roles.
        """
        kept = TeamFolder(Path(folder))
        facts = kept.facts()
        if facts["spec"] != self.spec.model_dump(mode="json"):
            raise ConfigError(f"folder {str(kept.path)!r} belongs to a team with another specification; build that one")
        return TeamRun(self._work(_Job(facts["goal"], facts["seed"], kept, on_ask, kept.turns()), answer))

    def _work(self, job: _Job, answer: str | None) -> Generator[TeamEvent | TeamResult, None, None]:
        """Gives the floor to one member after another."""
        begun = time.monotonic() - sum(turn.seconds for turn in job.turns)
        while True:
            over = ending(self.spec, job.turns, time.monotonic() - begun)
            if over is not None:
                yield self._result(job, over)
                return
            number, member = len(job.turns), next_speaker(self.spec, job.turns)
            episode, events = yield from self._turn(job, number, member, begun, answer)
            answer = None
            if episode.ended in ("asked", "paused"):
                yield self._result(job, "asked" if episode.ended == "asked" else "paused", episode.question)
                return
            job.add(self._finished(number, member, episode, events))

    def _turn(
        self, job: _Job, number: int, member: str, begun: float, answer: str | None
    ) -> Generator[TeamEvent, None, tuple[Episode, Sequence[Event]]]:
        """One turn: yields its events, and returns its episode with all events since its start."""
        role, agent = self.spec.role(member), self._bounded(member, job, begun)
        may_ask = role.instructs if member == self.spec.leader else ()
        said = [turn.said for turn in job.turns if turn.said is not None]
        seat = Seat(self._tools[member], member_conversation(self.spec, member, said), may_ask=may_ask)
        path = job.folder.run(number, member) if job.folder is not None else None
        if path is not None and path.exists() and _untouched(path):
            shutil.rmtree(path)  # killed before the model's first answer: nothing was done
        resumed = path is not None and path.exists()
        if path is not None and resumed:
            running = agent.resume(path, seat, answer=answer, on_ask=job.on_ask)
        else:
            running = agent.start(
                job.goal,
                seat,
                seed=job.seed + number,
                rules=role.rules,
                max_steps=self.spec.limits.steps,
                run_folder=path,
                on_ask=job.on_ask,
            )
        events = list[Event]()
        with running:
            for event in running:
                events.append(event)
                yield TeamEvent(number, member, event)
            episode = running.result
        return episode, read_trace(path).events if path is not None and resumed else events

    def _bounded(self, member: str, job: _Job, begun: float) -> Agent:
        """The member's agent, with what is left of the team's budgets."""
        agent, limits, loop = self._agents[member], self.spec.limits, self.spec.loop
        update: dict[str, Any] = {}
        if limits.tokens is not None:
            left = max(1, limits.tokens - sum(turn.tokens for turn in job.turns))
            update["tokens"] = min(left, loop.tokens or left)
        if limits.seconds is not None:
            seconds = max(0.001, limits.seconds - (time.monotonic() - begun))
            update["episode_seconds"] = min(seconds, loop.episode_seconds or seconds)
        if not update:
            return agent
        bounded = loop.model_copy(update=update)
        return Agent(agent.model, agent.sensors, agent.cascade, limits=bounded, allow_degraded=True)

    def _finished(self, number: int, member: str, episode: Episode, events: Sequence[Event]) -> TeamTurn:
        """Sums up a turn."""
        senses = [event for event in events if isinstance(event, Sense)]
        alarms = Counter(reading.sensor for event in senses for reading in event.readings if reading.alarm)
        reason = episode.reason or episode.ended
        return TeamTurn(
            number=number,
            member=member,
            said=message_of(self.spec, member, events, reason),
            ended=episode.ended,
            reason=reason,
            steps=episode.steps,
            tokens=episode.tokens,
            prompt_tokens=episode.prompt_tokens,
            seconds=episode.seconds,
            mass=mean_mass([event.mass for event in senses]),
            alarms=dict(alarms),
        )

    def _result(self, job: _Job, ended: TeamEnding, question: str | None = None) -> TeamResult:
        answers = [t.said for t in job.turns if t.said is not None and t.member == self.spec.answerer and not t.said.to]
        return TeamResult(
            goal=job.goal,
            ended=ended,
            answer=answers[-1].text if answers else None,
            turns=tuple(job.turns),
            question=question,
            folder=job.folder.path if job.folder is not None else None,
        )


@dataclass
class _Job:
    """One request that a team works on."""

    goal: str
    seed: int
    folder: TeamFolder | None
    on_ask: OnAsk | None
    turns: list[TeamTurn] = field(default_factory=list)

    def add(self, turn: TeamTurn) -> None:
        self.turns.append(turn)
        if self.folder is not None:
            self.folder.add(turn)


def _untouched(path: Path) -> bool:
    """Whether a turn was interrupted before the model's first answer."""
    try:
        events = read_trace(path).events
    except (TraceError, CheckpointError, OSError):
        return not (path / "trace.jsonl").exists()
    return all(event.kind in ("start", "observe") for event in events)
