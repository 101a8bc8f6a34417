"""``Service``: one model, one set of sensors and controllers, and the requests that they answer."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from homeostat.agent.agent import Agent
from homeostat.agent.events import Decide, Sense
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.models.callers import Caller
from homeostat.agent.models.protocol import BatchingItself, Model
from homeostat.agent.models.shared_model import SharedModel, Wishes
from homeostat.agent.prompts import labelled_parts, with_labels
from homeostat.agent.serving.answering import Answered, Asked, answered
from homeostat.agent.serving.errors import ApiError
from homeostat.agent.serving.live_text import LiveText
from homeostat.agent.serving.metrics import Metrics
from homeostat.agent.serving.schema import ChatRequest
from homeostat.agent.tool_calls import calls_schema
from homeostat.controllers.cascade import Cascade
from homeostat.controllers.contracts import Planning
from homeostat.conversation import Conversation
from homeostat.sensors.chat.messages import Prompt

__all__ = ["Prepared", "Service", "Work"]

_LOG = logging.getLogger("homeostat.serve")


@dataclass(frozen=True)
class Prepared:
    """A request that was checked.

    Attributes:
        choices: Its choices.
        wishes: What it wants of the model, besides.
        copies: How often each answer is returned: greedy decoding gives every choice the same one.
        live: Whether tokens are streamed as they come.
    """

    choices: tuple[Asked, ...]
    wishes: Wishes
    copies: int
    live: bool


class Work:
    """A choice that is being answered.

    Attributes:
        result: The answer that will be.
    """

    def __init__(self, caller: Caller, result: Future[Answered]) -> None:
        """Keeps what cancels it.

        Args:
            caller: The model of this choice.
            result: The answer that will be.
        """
        self.result, self._caller = result, caller

    def cancel(self) -> None:
        """Ends the choice soon, because nobody wants the answer."""
        self._caller.interrupt()
        self.result.cancel()


class Service:
    """Answers requests with an agent's loop around one shared model.

    Attributes:
        name: The name under which the model is served.
        model: The shared model.
        sensors: The sensors that read every answer.
        cascade: The controllers. Controllers that plan are left out, because an answer is one step.
        left_out: The names of these.
        metrics: The figures of ``/metrics``.
        most: The most choices that are answered or wait at a time.
        closing: Whether new requests are refused.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        name: str | None = None,
        rows: int = 8,
        most: int = 64,
        rules: Sequence[str] = (),
        retries: int = 1,
    ) -> None:
        """Takes an agent's parts.

        Args:
            agent: The agent. Its limits bound every request: ``attempts``, ``tokens``, ``episode_seconds``,
                ``max_new_tokens``; its ``temperature`` is that of requests that name none.
            name: The name under which the model is served; None takes the model's, of a folder only its last part.
            rows: The most calls that the model answers together.
            most: The most choices that are answered or wait at a time. A request beyond is refused.
            rules: Rules in words that stand in every prompt and that controllers read.
            retries: How often an answer that was refused or can't be read is asked for again.

        Raises:
            ConfigError: The parts don't fit together.
        """
        self.name = name or served_name(agent.model)
        self.limits, self.rules, self.retries, self.most = agent.limits, tuple(rules), retries, most
        planning = {c.name for c in agent.controllers if isinstance(c, Planning) and c.plans}
        self.left_out = tuple(sorted(planning))
        kept = [c for c in agent.controllers if c.name not in planning]
        limits = {name: limit for name, limit in agent.cascade.limits.items() if name not in planning}
        self.cascade = Cascade(kept, limits=limits, budget=agent.cascade.budget)
        self.model = SharedModel(agent.model, rows=rows, on_batch=self._note_batch)
        self.sensors = agent.sensors
        checked = Agent(self.model, self.sensors, self.cascade, limits=self.limits, allow_degraded=True)
        self.degraded = {**agent.degraded, **checked.degraded}
        self.closing = False
        self._active = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix="homeostat-request")
        self.metrics = Metrics(lambda: self.model.waiting, lambda: self.active)

    @property
    def active(self) -> int:
        """The number of choices that are being answered or wait."""
        return self._active

    @property
    def context(self) -> int | None:
        """The number of tokens of the model's context; None where it is unknown."""
        from homeostat.agent.models.transformers_model import TransformersModel

        inner = self.model.inner
        return inner.context if isinstance(inner, TransformersModel | BatchingItself) else None

    def prepare(self, request: ChatRequest) -> Prepared:
        """Checks a request and turns it into what the loop takes.

        Args:
            request: The request.

        Returns:
            The request's choices.

        Raises:
            ApiError: The model is another one, or the request asks for what this model can't do.
            ConfigError: A message is invalid.
        """
        if request.model not in (self.name, self.model.name):
            raise ApiError(
                404,
                f"the model {request.model!r} is not served here; ask for {self.name!r}",
                param="model",
                code="model_not_found",
            )
        _check_texts(request)
        chat = with_labels(request.messages)
        Prompt.from_chat(chat)
        rules = (*self.rules, *(line for text in labelled_parts(chat, "rules") for line in _lines(text)))
        tools = request.specs
        schema = request.schema_of_answer
        if request.must_call:
            chosen = [tool for tool in tools if request.forced_tool in (None, tool.name)]
            schema = calls_schema(chosen, answers=False)
        if schema is not None and "schema" not in self.model.capabilities:
            param = "tool_choice" if request.must_call else "response_format"
            raise ApiError(400, f"{self.name!r} can't hold an answer to a JSON schema; leave {param} out", param=param)
        heat = self.limits.temperature if request.temperature is None else request.temperature
        limits = self._limits(request, heat)
        asked = Asked(
            conversation=Conversation(chat=self._with_rules(chat), tools=tools),
            goal="\n".join(labelled_parts(chat, "goal")),
            rules=rules,
            limits=limits,
            steps=1 + self.retries if self.cascade.controllers else 1,
            seed=request.seed if request.seed is not None else secrets.randbits(31),
            parallel=request.parallel_tool_calls,
        )
        rows = request.n if heat > 0 else 1
        choices = tuple(_seeded(asked, number) for number in range(rows))
        live = request.stream and not self.cascade.controllers and not tools and schema is None
        shortens = request.most_tokens is None
        wishes = Wishes(request.top_p, request.stop, schema, None, shortens)
        return Prepared(choices, wishes, request.n // rows, live)

    def start(self, prepared: Prepared, on_text: Callable[[int, str], None] | None = None) -> list[Work]:
        """Begins to answer a request, in threads of the service's own.

        Args:
            prepared: The request.
            on_text: Told the number of a choice and a piece of its answer as it is generated; None for nobody.

        Returns:
            One piece of work for each choice.

        Raises:
            ApiError: The server is ending, or as many choices as it takes are being answered already.
        """
        with self._lock:
            if self.closing:
                raise ApiError(503, "the server is ending; ask again later", type="server_error", code="closing")
            if self._active + len(prepared.choices) > self.most:
                raise ApiError(
                    503,
                    f"{self._active} answers are being written, and the server takes {self.most}; ask again later",
                    type="server_error",
                    code="overloaded",
                )
            self._active += len(prepared.choices)
        return [self._begun(asked, n, prepared, on_text) for n, asked in enumerate(prepared.choices)]

    def drain(self) -> None:
        """Refuses every request from now on. Those that are being answered go on."""
        with self._lock:
            self.closing = True

    def close(self) -> None:
        """Ends everything: requests that are being answered get an error."""
        self.drain()
        self.model.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, asked: Asked, number: int, prepared: Prepared, on_text: Callable[[int, str], None] | None) -> Work:
        wishes = prepared.wishes
        if on_text is not None and prepared.live:
            told = on_text  # for the type checker: it is no None in the function below
            live = LiveText(lambda text: told(number, text))
            wishes = replace(wishes, on_text=live.push)
        caller = self.model.caller(wishes)
        result = self._pool.submit(self._answer, asked, caller)
        result.add_done_callback(self._done)
        return Work(caller, result)

    def _answer(self, asked: Asked, caller: Caller) -> Answered:
        found, events = answered(asked, caller, self.sensors, self.cascade, self.degraded)
        self.metrics.prompt_tokens.inc(found.prompt_tokens)
        for event in events:
            if isinstance(event, Sense):
                self.metrics.attempts.inc()
                self.metrics.completion_tokens.inc(event.cost)
                for reading in event.readings:
                    self.metrics.readings.labels(reading.sensor, str(reading.alarm).lower()).inc()
            elif isinstance(event, Decide) and event.decision.kind != "proceed":
                self.metrics.decisions.labels(event.controller, event.decision.kind).inc()
        return found

    def _done(self, result: Future[Answered]) -> None:
        with self._lock:
            self._active -= 1

    def _note_batch(self, rows: int) -> None:
        self.metrics.batch_rows.observe(rows)

    def _limits(self, request: ChatRequest, heat: float) -> LoopLimits:
        """The limits of one choice: the smaller of the server's and the request's."""
        own, mine = request.homeostat, self.limits
        return mine.model_copy(
            update={
                "temperature": heat,
                "max_new_tokens": request.most_tokens or mine.max_new_tokens,
                "attempts": min(own.attempts or mine.attempts, mine.attempts),
                "tokens": _smaller(own.tokens, mine.tokens),
                "episode_seconds": _smaller(own.seconds, mine.episode_seconds),
            }
        )

    def _with_rules(self, chat: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """The chat with the server's rules behind its system message, or in one of their own."""
        if not self.rules:
            return chat
        style = self.model.style.conversation
        text = style.rules.format(rules=style.rule_separator.join(self.rules))
        if not chat or chat[0]["role"] not in ("system", "developer"):
            told = {"type": "text", "label": "rules", "text": text.lstrip("\n")}
            return ({"role": "system", "content": [told]}, *chat)
        first, told = chat[0], {"type": "text", "label": "rules", "text": text}
        content = first["content"]
        label = first.get("label", "system")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content, "label": label}]
        return ({"role": first["role"], "content": [*parts, told]}, *chat[1:])


def served_name(model: Model) -> str:
    """Finds the name under which a model is served.

    Args:
        model: The model.

    Returns:
        Its name; of a folder or file only the last part.
    """
    path = Path(model.name)
    return path.name if path.exists() else model.name


def _check_texts(request: ChatRequest) -> None:
    """Refuses texts that no tokenizer reads."""
    try:
        request.model_dump_json()
    except (UnicodeEncodeError, ValueError):
        raise ApiError(400, "a text holds half of a surrogate pair; send valid Unicode", param="messages") from None
    except RecursionError:
        raise ApiError(400, "the request is nested too deeply", param="messages") from None


def _lines(text: str) -> list[str]:
    """The rules that a text holds, one on each line."""
    return [line.strip("-* \t") for line in text.splitlines() if line.strip("-* \t")]


def _smaller(one: Any, other: Any) -> Any:
    return min((value for value in (one, other) if value is not None), default=None)


def _seeded(asked: Asked, number: int) -> Asked:
    seed = asked.seed + number
    return replace(asked, seed=seed - 2**64 if seed >= 2**63 else seed)
