"""The control loop as a LangGraph ``StateGraph``.

    start ─► observe ─► attempt ─► act ─► observe …           (a step)
                        ▲     │
     remind, dispatch ──┘ ◄───┼──► plan ─► control            (corrections)
                              ├──► report ─► control          (a screen read)
                              ├──► sample ─► control          (further answers)
                              ├──► ask ─► attempt             (interrupt)
                              ├──► confirm ─► act             (interrupt)
                              └──► finish                     (stop)

The node ``attempt`` asks the model, lets the sensors read its answer and lets the controllers decide. The node
``control`` lets them decide again, and leads wherever ``attempt`` does. Where a controller asks for it, the model reads
rules between ``start`` and ``observe``. Before the first attempt the controllers are asked once (phase ``"start"``).

Every node costs LangGraph a superstep. What can't be resumed in the middle is therefore one node: a process that dies
between the model's answer and the decision asks the model again, because the answer's arrays are not saved.

An episode ends within the task's own budget; LangGraph's recursion limit is set above the most nodes that this can
take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from homeostat.agent.loop import acting, confirming, controlling, nodes, planning, reading_rules
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.controlling import ACTING_PHASES
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.state import EpisodeState
from homeostat.controllers.decisions import (
    Ask,
    Choose,
    Confirm,
    Dispatch,
    HoldAttention,
    MakePlan,
    Perform,
    Proceed,
    Refuse,
    Reminder,
    Report,
    Sample,
    SteerAttention,
    Stop,
)
from homeostat.envs.core import TaskInfo

__all__ = ["compile_loop", "recursion_limit"]

_HOLDS = 8  # the most controllers that hold attention at one attempt
_AFTER_CONTROL = ("control", "attempt", "plan", "report", "sample", "ask", "confirm", "act", "finish")
_Work = Callable[[EpisodeState, RunContext], nodes.Updates]
_Next = Callable[[EpisodeState], str]


def compile_loop(saver: BaseCheckpointSaver[Any]) -> Any:
    """Compiles the loop.

    Args:
        saver: Stores the state between nodes.

    Returns:
        LangGraph's compiled graph, ready to stream.
    """
    return _graph().compile(checkpointer=saver)


def recursion_limit(task: TaskInfo, limits: LoopLimits) -> int:
    """Computes a limit above the number of nodes that any episode of a task can run.

    Args:
        task: The task.
        limits: The loop's limits.

    Returns:
        The limit. An episode's own bounds always end it first.
    """
    rounds = 2 * task.max_steps + 2  # steps, and dispatches: each starts the count of attempts anew
    return rounds * (9 * limits.attempts + 7 + _HOLDS * (limits.attempts + 2)) + 16


@cache
def _graph() -> Any:
    graph = StateGraph(EpisodeState, context_schema=RunContext)
    graph.add_conditional_edges(START, _at_start, ["read_rules", "observe"])
    _add(graph, "read_rules", (reading_rules.read_rules,), lambda state: "observe", ("observe",))
    _add(graph, "observe", (nodes.observe,), _after_observe, ("control", "attempt"))
    _add(graph, "attempt", (nodes.attempt, controlling.control), _after_control, _AFTER_CONTROL)
    _add(graph, "control", (controlling.control,), _after_control, _AFTER_CONTROL)
    _add(graph, "sample", (nodes.sample,), lambda state: "control", ("control",))
    _add(graph, "plan", (planning.plan,), lambda state: "control", ("control",))
    _add(graph, "report", (planning.report,), lambda state: "control", ("control",))
    _add(graph, "ask", (nodes.ask,), lambda state: "attempt", ("attempt",))
    _add(graph, "confirm", (confirming.confirm,), lambda state: "act", ("act",))
    _add(graph, "act", (acting.act,), _after_act, ("observe", "finish"))
    _add(graph, "finish", (acting.finish,), lambda state: END, (END,))
    return graph


def _add(graph: Any, name: str, works: tuple[_Work, ...], then: _Next, following: tuple[str, ...]) -> None:
    """Adds a node: the functions that it runs, and which node comes after it.

    The node names its successor itself (a ``Command``). For a conditional edge, LangGraph would build the state anew.
    """

    def run(state: EpisodeState, runtime: Runtime[RunContext]) -> Command[Any]:
        written: set[str] = {"emitted"}
        for work in works:
            updates = work(state, runtime.context)
            written.update(updates)
            state = state.changed({**updates, "emitted": runtime.context.emitted})
        return Command(update={field: getattr(state, field) for field in written}, goto=then(state))

    graph.add_node(name, run, destinations=following)


def _at_start(state: EpisodeState) -> str:
    return "read_rules" if state.open_rules else "observe"


def _after_observe(state: EpisodeState) -> str:
    first = state.phase == "start" and state.costs.calls == len(state.model_rules) and state.decision is None
    return "control" if first else "attempt"


def _after_control(state: EpisodeState) -> str:
    match state.decision:
        case Proceed():
            return "act" if state.phase in ACTING_PHASES else "attempt"
        case Reminder() | Dispatch() | SteerAttention():
            return "attempt"
        case HoldAttention():
            return "control"
        case Sample():
            return "sample"
        case Refuse() | Choose() | Perform():
            return "act"
        case Report():
            return "report"
        case MakePlan():
            return "plan"
        case Ask():
            return "ask"
        case Confirm():
            return "confirm"
        case Stop():
            return "finish"
    raise AssertionError(state.decision)


def _after_act(state: EpisodeState) -> str:
    return "finish" if state.ending is not None else "observe"
