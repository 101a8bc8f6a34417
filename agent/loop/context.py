"""What a running episode needs besides its checkpointed state: environment, models, sensors, controllers, trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from homeostat.agent.events import Event
from homeostat.agent.loop.calls import ModelCalls
from homeostat.agent.loop.env_calls import EnvCalls
from homeostat.agent.loop.intents import Intent, IntentLog
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.logs import log_event
from homeostat.agent.loop.sensing import Sensing
from homeostat.agent.loop.telemetry import RunTelemetry
from homeostat.agent.trace_writer import TraceWriter
from homeostat.controllers.cascade import Cascade
from homeostat.controllers.contracts import Confirming, Refusing
from homeostat.envs.screens import load_screen, screen_digest
from homeostat.observation import Observation

__all__ = ["RunContext"]

_KEPT = 32  # screenshots in memory, for prompts that show earlier ones


@dataclass
class RunContext:
    """The parts that a running episode works with.

    They are not part of the checkpoint: whoever resumes the run builds them again.

    Attributes:
        env: The calls of the environment.
        calls: The model calls.
        sensing: The sensors.
        cascade: The controllers.
        limits: The loop's limits.
        trace: The writer of the run's folder; None without a folder.
        intents: The log of what is about to be done; None without a folder.
        unsettled: The last intent of the process that the run is resumed from, until its step is settled.
        on_ask: Answers questions; None leaves them open.
        emitted: The number of events so far.
        spent: The seconds that the episode had run before it was resumed.
        observation: The present screen; None until the environment is asked for it.
        run: The run's id, for logs.
        telemetry: The run's OpenTelemetry spans; None where nobody collects them.
        record_attention: Whether the trace keeps the attention on every token of each prompt.
        judges_actions: Whether a controller may refuse an action or want the user's consent to it.
    """

    env: EnvCalls
    calls: ModelCalls
    sensing: Sensing
    cascade: Cascade
    limits: LoopLimits
    trace: TraceWriter | None = None
    intents: IntentLog | None = None
    unsettled: Intent | None = None
    on_ask: Callable[[str], str] | None = None
    emitted: int = 0
    spent: float = 0.0
    observation: Observation | None = None
    run: str = ""
    telemetry: RunTelemetry | None = None
    record_attention: bool = False
    judges_actions: bool = field(init=False)
    _outbox: list[Event] = field(default_factory=list)
    _images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Lets the model calls keep the episode's budget of time, and make spans."""
        self.judges_actions = any(isinstance(one, Refusing | Confirming) for one in self.cascade.controllers)
        self.calls = replace(self.calls, elapsed=self.elapsed, telemetry=self.telemetry)

    def emit(self, event: Event) -> None:
        """Writes an event to the trace and puts it into the run's stream.

        Args:
            event: The event.
        """
        if self.trace is not None:
            self.trace.write(event)
        if self.telemetry is not None:
            self.telemetry.event(event)
        log_event(self.run, event)
        self.emitted += 1
        self._outbox.append(event)

    def drain(self) -> list[Event]:
        """Returns the events since the last call."""
        events, self._outbox = self._outbox, []
        return events

    def elapsed(self) -> float:
        """Returns the seconds that the episode has run, including those before a resume."""
        return self.spent + time.monotonic() - self._begun

    def observe(self) -> Observation:
        """Returns the present screen. The environment is asked once in every step, and again after a resume."""
        if self.observation is None:
            self.observation = self.env.observe()
        return self.observation

    def keep(self, image: NDArray[np.uint8]) -> str:
        """Keeps a screenshot for later prompts.

        Args:
            image: (height, width, 3) uint8.

        Returns:
            Its name.
        """
        name = self.trace.screen(image) if self.trace is not None else screen_digest(image)
        self._images = dict(list(self._images.items())[-_KEPT:]) | {name: image}
        return name

    def image(self, name: str) -> NDArray[np.uint8]:
        """Finds a screenshot that was kept, also by the process that ran before a resume.

        Args:
            name: Its name.

        Returns:
            (height, width, 3) uint8.

        Raises:
            TraceError: The file is gone.
        """
        if name not in self._images:
            assert self.trace is not None  # nothing is resumed without a run folder
            self._images[name] = load_screen(self.trace.folder / "screens", name)
        return self._images[name]

    def snapshot(self) -> str:
        """Saves the environment's state and returns its hash; empty without a run folder."""
        if self.trace is None:
            return ""
        return self.trace.snapshot(self.env.snapshot())
