"""Reads and judges the answers of a chat that another program's loop drives.

:class:`Watching` measures an answer with an agent's sensors and asks its controllers. The framework's adapter carries
out what they decide. Nothing is kept between calls: what was measured and decided before is in the records that the
adapter keeps in the framework's own state.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homeostat.actions import Action, Answer, Call, Calls
from homeostat.agent.agent import Agent
from homeostat.agent.frameworks.answering import Answered, earlier_readings
from homeostat.agent.frameworks.chat_request import Request
from homeostat.agent.frameworks.forced import forced_attempt, spelled
from homeostat.agent.loop.sensing import readout_of
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.prompts import conversation_prompt
from homeostat.components import component
from homeostat.controllers.context import ControlContext, Record
from homeostat.controllers.decisions import Ask, Decision, Proceed, Refuse, Reminder, Stop
from homeostat.observation import Observation
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.readings import Reading

__all__ = ["Moment", "Watching"]

_LOG = logging.getLogger("homeostat.frameworks")


@dataclass(frozen=True)
class Moment:
    """Where a chat stands.

    Attributes:
        request: The chat that the model was asked to continue, with its tools.
        step: The number of the model's turn in the chat, from 0.
        records: What was measured and decided before: the data of earlier answers, each with its ``"step"``.
        taken: What was decided in this turn already.
    """

    request: Request
    step: int
    records: Sequence[Mapping[str, Any]] = ()
    taken: Sequence[Decision] = field(default=())


@dataclass(frozen=True)
class Watching:
    """An agent's sensors and controllers for a loop that is not ours.

    Attributes:
        agent: The agent. Its model reads given answers if it is a :class:`~homeostat.agent.TransformersModel`.
        rules: Rules that the controllers enforce.
    """

    agent: Agent
    rules: tuple[str, ...] = ()

    def read(self, text: str, calls: tuple[Call, ...], moment: Moment) -> Answered:
        """Measures an answer.

        Args:
            text: What the assistant says.
            calls: The tools that it calls.
            moment: Where the chat stood before.

        Returns:
            The answer with its readings. A sensor that needs what the answer does not bring is left out, which is
            logged.

        Raises:
            ComponentError: A sensor failed.
        """
        local, read = self.agent.model, moment.request
        style, native = local.style.conversation, "tools" in local.capabilities
        prompt = conversation_prompt(style, goal=read.goal, rules=(), conversation=read.conversation, native=native)
        given = Attempt(text=text)
        if isinstance(local, TransformersModel):
            given = forced_attempt(local, prompt, spelled(text, calls, local), readout_of(self.agent.sensors))
        offered = {"text"} | ({"attention", "logprobs", "model"} if given.tokens else set())
        earlier = earlier_readings(moment.records)
        found: list[Reading] = []
        for sensor in self.agent.sensors:
            if not sensor.needs <= offered:
                _LOG.info("sensor %s is left out: the answer brings no %s", sensor.name, min(sensor.needs - offered))
                continue
            context = SensorContext(
                goal=read.goal,
                rules=self.rules,
                step=moment.step,
                attempt=len(moment.taken),
                history=tuple(reading for reading in earlier if reading.sensor == sensor.name),
                model=local if "model" in sensor.needs else None,
                prompt=prompt,
                observation=Observation(conversation=read.conversation),
                task_goal=read.goal,
                action=_action(text, calls),
            )
            with component("sensor", sensor.name):
                found.append(sensor.read(given, context))
        spans = given.spans
        masses = spans.mass.mean(axis=(0, 1, 2)).tolist() if spans is not None else ()
        return Answered(
            text=text,
            calls=calls,
            finish="tool_calls" if calls else "stop",
            readings=tuple(found),
            mass=dict(zip(spans.labels if spans is not None else (), masses, strict=False)),
            attempts=1,
            prompt_tokens=given.prompt_tokens,
            tokens=len(given.tokens),
        )

    def decide(self, answered: Answered, moment: Moment) -> Decision:
        """Asks the controllers about an answer.

        Args:
            answered: The answer with its readings.
            moment: Where the chat stood before.

        Returns:
            ``Proceed``, ``Reminder``, ``Ask``, ``Stop``, or ``Refuse`` for an answer without tool calls. What only our
            own loop can do is left out, which is logged; so is a correction when all attempts are used.

        Raises:
            ComponentError: A controller failed.
        """
        context = self._context(moment, _action(answered.text, answered.calls))
        decision = self.agent.cascade.decide(answered.readings, context)
        if isinstance(decision, Refuse) and answered.calls:
            return Proceed()  # refused where the call would be carried out
        if not isinstance(decision, Proceed | Reminder | Ask | Stop | Refuse):
            _LOG.info("%s wants to %s, which only our own loop can do: left out", decision.by, decision.kind)
            return Proceed()
        if isinstance(decision, Reminder | Ask) and len(moment.taken) + 1 >= self.agent.limits.attempts:
            _LOG.info("%s wants to %s, but all attempts are used", decision.by, decision.kind)
            return Proceed()
        return decision

    def refusal(self, call: Call, moment: Moment) -> Refuse | Stop | None:
        """Asks the controllers that may refuse actions about a call that is about to be carried out.

        Args:
            call: The call.
            moment: Where the chat stands.

        Returns:
            The refusal; None for a call that is allowed.

        Raises:
            ComponentError: A controller failed.
        """
        return self.agent.cascade.refusal(call, self._context(moment, call))

    def _context(self, moment: Moment, action: Action | None) -> ControlContext:
        before = [
            Record(step=one["step"], attempt=0, controller=d["by"], kind=d["kind"], cause=d["cause"])
            for one in moment.records
            for d in one["decisions"]
        ]
        now = [
            Record(step=moment.step, attempt=n, controller=d.by, kind=d.kind, cause=d.cause)
            for n, d in enumerate(moment.taken)
        ]
        return ControlContext(
            phase="attempt",
            goal=moment.request.goal,
            instruction=moment.request.goal,
            rules=self.rules,
            system=moment.request.conversation.instructions,
            step=moment.step,
            attempt=len(moment.taken),
            action=action,
            decisions=(*before, *now),
            tools=moment.request.conversation.tools,
            tokens=sum(one["tokens"] for one in moment.records),
        )


def _action(text: str, calls: tuple[Call, ...]) -> Action | None:
    if len(calls) > 1:
        return Calls(calls=calls)
    if calls:
        return calls[0]
    return Answer(text=text) if text else None
