"""A rule holds whoever proposes or chooses the action, and in whatever order the controllers stand."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from homeostat.actions import Action, Click, Terminate
from homeostat.agent import Agent
from homeostat.controllers import (
    PRESETS,
    Candidate,
    Cascade,
    Choose,
    Decision,
    Escalate,
    Guard,
    HeadProfile,
    Perform,
    Proceed,
    Record,
    Sample,
    StopOn,
)
from homeostat.envs.core import TaskInfo
from homeostat.observation import Element, Observation
from homeostat.sensors import Reading
from homeostat.testing import ScriptedModel

RULE = "never delete anything"
DELETE = Click(point=(0.25, 0.25))
LINE = '{"action": "click", "coordinate": [25, 25]}'
PLAN = '["delete the first note", "delete the second note"]'


class Notes:
    """Two notes and a button that deletes one."""

    restores = True

    def __init__(self) -> None:
        self.notes, self.acted = 2, 0

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        self.notes = 2
        return TaskInfo(name="tidy", goal="tidy up", rules=(RULE,), optimal_steps=2, max_steps=3)

    def observe(self) -> Observation:
        button = Element(role="button", text="Delete", box=(0.0, 0.0, 0.5, 0.5))
        return Observation(np.full((100, 100, 3), self.notes, np.uint8), (button,), "notes")

    def act(self, action: Action) -> None:
        self.acted += 1
        if isinstance(action, Click):
            self.notes -= 1

    def success(self) -> bool:
        return self.notes == 2

    def snapshot(self) -> dict[str, Any]:
        return {"notes": self.notes}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self.notes = snapshot["notes"]


class Alarming:
    """A sensor that alarms at every attempt."""

    needs = frozenset({"text"})

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, attempt: Any, context: Any) -> Reading:
        return Reading(sensor=self.name, value=-1.0, alarm=True, span="goal", sinks={3: 0.5})


class Insists:
    """A stranger's controller that deletes whatever the model says: it performs the action, or chooses a candidate."""

    sensors: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name

    def decide(self, readings: Any, context: Any) -> Decision:
        if context.phase == "candidates":
            return Choose(index=len(context.candidates) - 1)
        if context.phase != "attempt":
            return Proceed()
        sampled = any(r.step == context.step and r.kind == "sample" for r in context.decisions)
        return Sample(n=2) if self.name == "chooses" and not sampled else Perform(action=DELETE)


def shipped() -> dict[str, Any]:
    """Every controller that ships, by its own name, and two strangers' that insist on deleting."""
    named = {name: frozenset({(0, 0)}) for name in ("vhr", "pasta", "act", "zero-tuning")}
    heads = HeadProfile(model="", heads=named, head_weights={"goal": ((0, 0, 2.0),)})
    built = [c for preset in PRESETS.values() for c in preset.build(heads)]
    others = [StopOn(steps=100), Escalate(budget=50, cooldown=1), Insists("performs"), Insists("chooses")]
    return {c.name: c for c in (*built, *others) if not isinstance(c, Guard)}


SHIPPED = shipped()


def deleted(controllers: list[Any]) -> int:
    """How many notes are gone after a model that always deletes has played the episode."""
    env = Notes()
    capabilities = frozenset({"attention", "logprobs", "text", "model", "steering", "schema"})
    model = ScriptedModel([LINE], capabilities=capabilities)  # type: ignore[arg-type]
    planner = ScriptedModel([PLAN], name="planner")
    sensors = [Alarming(name) for name in sorted({s for c in controllers for s in c.sensors})]
    agent = Agent(model, sensors, controllers, planner=planner)
    episode = agent.run(env.reset_task("tidy"), env, on_ask=lambda question: "delete them all")
    assert episode.calls
    return 2 - env.notes


def test_without_a_guard_the_model_does_break_the_rule() -> None:
    assert deleted([]) > 0
    assert all(deleted([Insists(name)]) > 0 for name in ("performs", "chooses"))


def test_every_shipped_controller_is_here() -> None:
    assert {"cyberv", "tabu", "decompose", "remind", "reconsider", "set-point", "escalate", "stop-on"} <= set(SHIPPED)


@pytest.mark.parametrize("first", sorted(SHIPPED))
def test_the_rule_holds_in_every_order(first: str) -> None:
    planners = {name for name, c in SHIPPED.items() if type(c).__name__ == "Decompose"}
    for second in sorted(SHIPPED):
        if first >= second or {first, second} <= planners:  # an episode has one plan
            continue
        for order in permutations([Guard(), SHIPPED[first], SHIPPED[second]]):
            assert deleted(list(order)) == 0, [c.name for c in order]


@pytest.mark.parametrize("second", sorted(SHIPPED))
def test_a_hazard_ends_the_episode_whoever_chose_it(second: str) -> None:
    stop = StopOn(name="hazards", rules=True)
    for order in permutations([stop, SHIPPED[second]]):
        assert deleted(list(order)) == 0, [c.name for c in order]


def test_a_resumed_run_asks_the_guard_that_it_is_resumed_with(tmp_path: Any) -> None:
    class Dies(Notes):
        def act(self, action: Action) -> None:
            raise KeyboardInterrupt

    env = Dies()
    with pytest.raises(KeyboardInterrupt):
        Agent(ScriptedModel([LINE])).run(env.reset_task("tidy"), env, run_folder=tmp_path / "run")
    later = Notes()
    episode = Agent(ScriptedModel([LINE]), controllers=[Guard()]).resume(tmp_path / "run", later).result
    assert later.notes == 2
    assert [r.kind for r in episode.decisions][:1] == ["refuse"]


def test_the_cascade_names_who_refuses() -> None:
    from homeostat.controllers import ControlContext

    context = ControlContext(
        phase="candidates",
        goal="g",
        instruction="g",
        rules=(RULE,),
        elements=Notes().observe().elements,
        app="notes",
        candidates=(Candidate(text="", action=DELETE),),
        decisions=(Record(step=0, attempt=0, controller="tabu", kind="sample"),),
    )
    said = Cascade([SHIPPED["tabu"], Guard()]).refusal(DELETE, context)
    assert said is not None
    assert said.by == "guard"
    assert Cascade([Guard()]).refusal(Terminate(status="success"), context) is None
