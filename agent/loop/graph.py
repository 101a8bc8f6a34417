"""The control loop as a LangGraph ``StateGraph``.

    start ─► observe ─► propose ─► sense ─► control ─► act ─► observe …      (a step)
                                    ▲          │
                 remind, dispatch ──┘ ◄────────┼──► plan ─► control          (corrections)
                                               ├──► report ─► control        (a screen read)
                                               ├──► ask ─► propose           (interrupt)
                                               ├──► confirm ─► act           (interrupt)
                                               └──► finish                   (stop)

Where a controller asks for it, the model reads rules between ``start`` and ``observe``. Before the first attempt the
controllers are asked once (phase ``"start"``). The state is saved after every node. An
episode ends within the task's own budget; LangGraph's recursion limit is set above the most nodes that this can take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from homeostat.agent.loop import acting, confirming, controlling, nodes, planning, reading_rules
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.controlling import ACTING_PHASES
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.state import EpisodeState, checked
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
_Node = Callable[[EpisodeState, RunContext], dict[str, Any]]


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
    for node in (
        reading_rules.read_rules,
        nodes.observe,
        nodes.propose,
        nodes.sense,
        controlling.control,
        nodes.ask,
        confirming.confirm,
        nodes.sample,
        planning.plan,
        planning.report,
        acting.act,
        acting.finish,
    ):
        graph.add_node(node.__name__, _validated(node))  # type: ignore[call-overload]
    graph.add_conditional_edges(START, _at_start, ["read_rules", "observe"])
    graph.add_edge("read_rules", "observe")
    graph.add_conditional_edges("observe", _after_observe, ["control", "propose"])
    graph.add_edge("propose", "sense")
    graph.add_edge("sense", "control")
    graph.add_conditional_edges(
        "control", _after_control, ["control", "propose", "plan", "report", "sample", "ask", "confirm", "act", "finish"]
    )
    graph.add_edge("plan", "control")
    graph.add_edge("report", "control")
    graph.add_edge("sample", "control")
    graph.add_edge("ask", "propose")
    graph.add_edge("confirm", "act")
    graph.add_conditional_edges("act", _after_act, ["observe", "finish"])
    graph.add_edge("finish", END)
    return graph


def _validated(node: _Node) -> Callable[[EpisodeState, Runtime[RunContext]], dict[str, Any]]:
    def run(state: EpisodeState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        updates = node(state, runtime.context)
        return checked(state, {**updates, "emitted": runtime.context.emitted})

    return run


def _at_start(state: EpisodeState) -> str:
    return "read_rules" if state.open_rules else "observe"


def _after_observe(state: EpisodeState) -> str:
    first = state.phase == "start" and state.costs.calls == len(state.model_rules) and state.decision is None
    return "control" if first else "propose"


def _after_control(state: EpisodeState) -> str:
    match state.decision:
        case Proceed():
            return "act" if state.phase in ACTING_PHASES else "propose"
        case Reminder() | Dispatch() | SteerAttention():
            return "propose"
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
