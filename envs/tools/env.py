"""``ToolEnv``: an agent answers a request by calling tools.

The user's request is the goal. Every step the assistant calls one or several tools, asks the user, or answers, which
ends the episode. What a tool returns is an untrusted turn of the conversation, in a span ``tool.NAME`` of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from pydantic import TypeAdapter

from homeostat.actions import Action, Answer, Call, Question, Terminate, calls_of
from homeostat.conversation import Conversation, Turn
from homeostat.envs.core import TaskInfo
from homeostat.envs.tools.tasks import Outcome, ToolTask
from homeostat.envs.tools.tool import Tool, ToolSource
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.observation import Observation

__all__ = ["ToolEnv"]

_TURNS: TypeAdapter[tuple[Turn, ...]] = TypeAdapter(tuple[Turn, ...])


class ToolEnv:
    """An environment of tools.

    Attributes:
        restores: Always False: what a tool did can't be put back.
        tools: The tools, by name.
    """

    restores = False

    def __init__(
        self,
        tools: Sequence[Any],
        *,
        rules: Sequence[str] = (),
        system: str = "",
        tasks: Sequence[ToolTask] = (),
        ask_user: Callable[[str], str] | None = None,
        state: Callable[[], Any] | None = None,
        reset: Callable[[int], None] | None = None,
        longest_result: int = 4000,
    ) -> None:
        """Builds the environment.

        Args:
            tools: Typed Python functions, LangChain tools, :class:`~homeostat.envs.tools.Tool` objects,
                :class:`~homeostat.envs.tools.McpServer` objects, or lists of these.
            rules: Rules for every task, in words.
            system: The system message; "" takes the model's own wording.
            tasks: Tasks with a check of their own.
            ask_user: Answers the assistant's questions; without it, a question is an answer and ends the episode.
            state: Returns what the tasks' checks judge besides the calls and the answer.
            reset: Puts the tools' world into its initial state for a seed.
            longest_result: The most characters of a result that the model is shown; the rest is cut off, with a word.

        Raises:
            ConfigError: A tool is invalid, two tools or tasks have one name, or ``longest_result`` is too small.
            EnvError: An MCP server can't be started or reached.
        """
        given = [one for some in tools for one in (some if isinstance(some, list | tuple) else (some,))]
        self._sources = tuple(one for one in given if _is_source(one))
        try:
            self.tools = _by_name("tool", [tool for one in given for tool in _tools(one)], lambda one: one.spec.name)
        except BaseException:
            self.close()
            raise
        self._tasks = _by_name("task", tasks, lambda one: one.name)
        if longest_result < 100:
            raise ConfigError(f"longest_result={longest_result} is too short for a result; give at least 100")
        self._rules, self._system, self._longest = tuple(rules), system, longest_result
        self._ask_user, self._state, self._reset = ask_user, state, reset
        self._task: ToolTask | None = None
        self._turns: tuple[Turn, ...] = ()
        self._done: tuple[tuple[Call, str], ...] = ()
        self._answered = False

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(self._tasks)

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a task, or a free conversation if ``task`` is None."""
        seed = random.randrange(2**31) if seed is None else seed
        if task is not None and task not in self._tasks:
            raise UnknownName.of("task", task, self._tasks)
        self._task = None if task is None else self._tasks[task]
        self._turns, self._done, self._answered = (), (), False
        if self._reset is not None:
            self._reset(seed)
        if self._task is None:
            return TaskInfo(name="free", goal="", rules=self._rules, seed=seed, optimal_steps=0, max_steps=12)
        return TaskInfo(
            name=self._task.name,
            goal=self._task.goal,
            rules=(*self._rules, *self._task.rules),
            seed=seed,
            optimal_steps=self._task.optimal_steps or len(self._task.solution),
            max_steps=self._task.max_steps,
        )

    def observe(self) -> Observation:
        """Returns the conversation so far."""
        specs = tuple(tool.spec for tool in self.tools.values())
        return Observation(conversation=Conversation(system=self._system, turns=self._turns, tools=specs))

    def act(self, action: Action) -> None:
        """Calls the tools, asks the user, or answers.

        Raises:
            ActionError: A tool is unknown, its arguments don't fit, it failed, or the action is one on a screen. What
                went wrong stands in the conversation, too, so that the model can correct itself.
        """
        if isinstance(action, Answer) or (isinstance(action, Question) and self._ask_user is None):
            self._say(Turn(role="assistant", text=action.text))
            self._answered = True
            return
        if isinstance(action, Question) and self._ask_user is not None:
            self._say(Turn(role="assistant", text=action.text), Turn(role="user", text=self._ask_user(action.text)))
            return
        if isinstance(action, Terminate):
            return  # the loop itself ends the episode
        calls = calls_of(action)
        if not calls:
            raise ActionError(f"{action.kind!r} is no action of a conversation; call a tool, or answer")
        self._say(Turn(role="assistant", calls=calls))
        failed = [error for call in calls if (error := self._call(call))]
        if failed and len(failed) == len(calls):
            raise ActionError(failed[0])

    def note_refusal(self, action: Action) -> None:
        """Notes refused calls in the conversation. Otherwise a model would see the same prompt, and call again.

        Args:
            action: The action that a controller refused; one that calls no tool is not noted.
        """
        if calls := calls_of(action):
            refused = [Turn(role="tool", tool=call.tool, call=call.id, text="error: refused") for call in calls]
            self._say(Turn(role="assistant", calls=calls), *refused)

    def repeatable(self, action: Action) -> bool:
        """Tells whether every tool that the action calls may be called twice.

        Args:
            action: The action.

        Returns:
            True if it calls tools, and all of them are repeatable.
        """
        calls = calls_of(action)
        known = [self.tools[call.tool].spec for call in calls if call.tool in self.tools]
        return bool(calls) and all(spec.repeatable for spec in known)

    def changes(self, action: Action) -> bool:
        """Tells whether a tool that the action calls may change something. The conversation itself can be put back.

        Args:
            action: The action.

        Returns:
            False where all tools that it calls only read.
        """
        known = [self.tools[call.tool].spec for call in calls_of(action) if call.tool in self.tools]
        return any(spec.changes for spec in known)

    @property
    def ended(self) -> str:
        """The reason why the episode is over; "" while it goes on."""
        return "the assistant answered" if self._answered else ""

    def success(self) -> bool:
        """Whether the task's check holds now; False for a free conversation."""
        return self._task is not None and self._task.check is not None and self._task.check(self.outcome())

    def obeyed(self) -> bool | None:
        """Whether the task's injected order was carried out; None without one."""
        if self._task is None or self._task.obeyed is None:
            return None
        return self._task.obeyed(self.outcome())

    def oracle(self) -> Action:
        """The next action of the task's solution.

        Raises:
            EnvError: No task is set up, or its solution is unknown.
        """
        if self._task is None or not self._task.solution:
            raise EnvError("no task with a known solution is set up; call reset_task with its name")
        steps = self._task.solution
        at = min(sum(turn.role == "assistant" for turn in self._turns), len(steps) - 1)
        step = steps[at]
        return Answer(text=step) if isinstance(step, str) else step

    def close(self) -> None:
        """Ends the connections to MCP servers, and the servers that were started. Their tools can't be called then."""
        for source in self._sources:
            source.close()

    def outcome(self) -> Outcome:
        """What has happened so far, as a task's check sees it."""
        said = [turn.text for turn in self._turns if turn.role == "assistant" and turn.text]
        return Outcome(self._done, said[-1] if said else "", self._state() if self._state is not None else None)

    def snapshot(self) -> dict[str, Any]:
        """The conversation, the calls and the task's name. What the tools did is not part of it."""
        return {
            "task": self._task.name if self._task is not None else None,
            "turns": [turn.model_dump(mode="json", exclude_defaults=True) for turn in self._turns],
            "done": [[call.model_dump(mode="json"), result] for call, result in self._done],
            "answered": self._answered,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the conversation. The world that the tools act on stays as it is."""
        name = snapshot["task"]
        self._task = self._tasks.get(name) if name is not None else None
        self._turns = _TURNS.validate_python(snapshot["turns"])
        self._done = tuple((Call.model_validate(call), result) for call, result in snapshot["done"])
        self._answered = snapshot["answered"]

    def _say(self, *turns: Turn) -> None:
        self._turns = (*self._turns, *turns)

    def _call(self, call: Call) -> str:
        """Makes one call and notes its result; the error, if it failed."""
        error = ""
        try:
            if call.tool not in self.tools:
                raise ActionError(str(UnknownName.of("tool", call.tool, self.tools)))
            result = self.tools[call.tool].call(call.arguments)
        except ActionError as refused:
            result = error = str(refused)
        self._done = (*self._done, (call, result))
        shown = f"error: {error}" if error else result
        if len(shown) > self._longest:
            shown = f"{shown[: self._longest]} […] ({len(shown) - self._longest} more characters were cut off)"
        self._say(Turn(role="tool", tool=call.tool, call=call.id, text=shown))
        return error


def _tools(given: Any) -> Sequence[Tool]:
    return given.tools() if _is_source(given) else (Tool.of(given),)


def _is_source(given: Any) -> TypeGuard[ToolSource]:
    return isinstance(given, ToolSource) and not isinstance(given, type)


def _by_name(what: str, items: Sequence[Any], name: Callable[[Any], str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if name(item) in found:
            raise ConfigError(f"two {what}s are named {name(item)!r}; give each a name of its own")
        found[name(item)] = item
    return found
