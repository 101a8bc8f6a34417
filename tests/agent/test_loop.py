"""The loop through ``Agent``: endings, corrections, plans, budgets, against a lamp and a scripted model."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat.agent import Agent, LoopLimits
from homeostat.agent.events import Act, Decide, Finish, Observe, Planned, Sense, Started
from homeostat.controllers import Cascade, Guard, Prohibition
from homeostat.controllers.decisions import Ask, Dispatch, MakePlan, Proceed, Refuse, Reminder, Stop
from homeostat.controllers.plan import Subtask
from homeostat.errors import ComponentError

CLICK = '{"action": "click", "coordinate": [3, 3]}'
DONE = '{"action": "terminate", "status": "success"}'
GIVE_UP = '{"action": "terminate", "status": "failure"}'


class Policy:
    """A controller from a function of (readings, context)."""

    sensors = frozenset()

    def __init__(self, decide: Any, name: str = "policy") -> None:
        self.decide, self.name = decide, name


@pytest.mark.parametrize(
    ("lines", "task", "ended", "success", "steps"),
    [
        ([CLICK, DONE], "lamp_on", "success", True, 2),
        ([DONE], "lamp_on", "premature", False, 1),
        ([GIVE_UP], "lamp_on", "impossible", False, 1),
        ([GIVE_UP], "lamp_off", "impossible", True, 1),
        ([CLICK], "lamp_on", "budget", False, 6),
        (["what?"], "lamp_on", "collapse", False, 3),
        ([CLICK, "what?", "what?", DONE], "lamp_on", "success", True, 4),
    ],
)
def test_endings(tools: Any, lamp: Any, lines: list[str], task: str, ended: str, success: bool, steps: int) -> None:
    episode = Agent(tools.Scripted(lines)).run(lamp.reset_task(task), lamp)
    assert (episode.ended, episode.success, episode.steps) == (ended, success, steps)
    assert episode.calls == steps
    assert episode.tokens == 2 * steps
    assert episode.prompt_tokens == 6 * steps


@pytest.mark.parametrize(
    ("task", "ended", "success"),
    [("lamp_on", "success", True), ("lamp_off", "premature", False), (None, "finished", None)],
)
def test_an_environment_may_end_the_episode_itself(tools: Any, task: str | None, ended: str, success: bool) -> None:
    class Fuse(tools.Lamp):  # type: ignore[name-defined,misc]
        @property
        def ended(self) -> str:
            return "the fuse blew" if self.state["on"] else ""

    lamp = Fuse()
    model = tools.Scripted(['{"action": "open", "text": "maps"}', CLICK, DONE])
    episode = Agent(model).run(lamp.reset_task(task) if task else "Make it bright", lamp)
    assert (episode.ended, episode.success, episode.steps) == (ended, success, 2)
    assert episode.reason == "the fuse blew"


def test_a_goal_in_words_is_not_judged(tools: Any, lamp: Any) -> None:
    model = tools.Scripted([CLICK, DONE])
    episode = Agent(model).run("Make it bright", lamp, rules=["never swear"])
    assert (episode.ended, episode.success) == ("finished", None)
    assert "Make it bright" in tools.words(model.prompts[0], "goal")
    assert "never swear" in tools.words(model.prompts[0], "rules")


def test_history_is_told_and_a_refused_action_too(tools: Any, lamp: Any) -> None:
    model = tools.Scripted(['{"action": "open", "text": "maps"}', CLICK, DONE])
    events = list(Agent(model).start(lamp.reset_task("lamp_on"), lamp))
    acts = [e for e in events if isinstance(e, Act)]
    assert [a.outcome for a in acts] == ["refused", "done", "done"]
    assert "no app 'maps'" in acts[0].error
    assert tools.words(model.prompts[2], "history") == "Done so far: open maps; click [3, 3]\n"


def test_unparsable_text_reaches_the_controller_and_leaves_the_env_alone(tools: Any, lamp: Any) -> None:
    seen = []

    def watch(readings: Any, context: Any) -> Any:
        seen.append((context.phase, context.action, context.unparsable))
        return Proceed()

    Agent(tools.Scripted(["no"]), controllers=[Policy(watch)]).run(lamp.reset_task("lamp_on"), lamp)
    assert seen[0] == ("start", None, None)
    assert all(phase == "attempt" and action is None and "no tool call" in why for phase, action, why in seen[1:])
    assert lamp.state["log"] == []


def test_events_come_in_order(tools: Any, lamp: Any) -> None:
    events = list(Agent(tools.Scripted([CLICK, DONE]), [tools.Counter()]).start(lamp.reset_task("lamp_on"), lamp))
    step = [Observe, Sense, Decide, Act]
    assert [type(e) for e in events] == [Started, Observe, Decide, Sense, Decide, Act, *step, Finish]
    assert events[1].screenshot.shape == (32, 24, 3)


def test_a_reminder_asks_again_in_the_same_step(tools: Any, lamp: Any) -> None:
    def once(readings: Any, context: Any) -> Any:
        late = context.phase == "attempt" and not context.decisions
        return Reminder(text="the LAMP", cause="test") if late else Proceed()

    model = tools.Scripted([DONE, CLICK, DONE])
    episode = Agent(model, controllers=[Policy(once)]).run(lamp.reset_task("lamp_on"), lamp)
    assert episode.success
    assert (episode.steps, episode.calls) == (2, 3)
    assert [tools.words(p, "reminder") for p in model.prompts] == ["", "Reminder: the LAMP\n", ""]
    assert [(d.step, d.attempt, d.controller, d.kind, d.cause) for d in episode.decisions] == [
        (0, 0, "policy", "remind", "test")
    ]


def test_attempts_of_a_step_are_capped(tools: Any, lamp: Any) -> None:
    nag = Policy(lambda readings, context: Reminder(text="again", cause=f"{context.phase} {context.attempt}"))
    model = tools.Scripted([DONE])
    episode = Agent(model, controllers=[nag], limits=LoopLimits(attempts=3)).run(lamp.reset_task("lamp_on"), lamp)
    assert (episode.steps, episode.calls, episode.ended) == (1, 3, "premature")


def test_a_controller_stops_the_episode(tools: Any, lamp: Any) -> None:
    halt = Policy(lambda readings, context: Stop(reason="enough") if context.step else Proceed())
    episode = Agent(tools.Scripted([CLICK]), controllers=[halt]).run(lamp.reset_task("lamp_on"), lamp)
    assert (episode.ended, episode.reason, episode.success, episode.steps) == ("stopped", "enough", False, 1)


def test_readings_history_is_that_of_attempts_acted_on(tools: Any, lamp: Any) -> None:
    def once(readings: Any, context: Any) -> Any:
        again = context.phase == "attempt" and context.step == 1 and context.attempt == 0
        return Reminder(text="again") if again else Proceed()

    model = tools.Scripted([CLICK, CLICK, CLICK, "no", DONE])
    events = list(Agent(model, [tools.Counter()], [Policy(once)]).start(lamp.reset_task("lamp_on"), lamp))
    values = [(e.step, e.attempt, e.readings[0].value) for e in events if isinstance(e, Sense)]
    assert values == [(0, 0, 0), (1, 0, 1), (1, 1, 1), (2, 0, 2), (3, 0, 2)]


def split(readings: Any, context: Any) -> Any:
    """Plan at the start, dispatch subtask after subtask."""
    if context.phase == "start":
        return MakePlan()
    if context.plan is None:
        return Proceed()
    at = -1 if context.plan.active is None else context.plan.active
    ended = context.action is not None and context.action.kind == "terminate"
    if (context.phase == "planned" or ended) and at + 1 < len(context.plan.subtasks):
        subtasks = [
            p.model_copy(update={"answer": context.answers[-1]}) if i == at and context.answers else p
            for i, p in enumerate(context.plan.subtasks)
        ]
        plan = context.plan.model_copy(update={"active": at + 1, "subtasks": tuple(subtasks)})
        text = subtasks[at + 1].instruction.replace("{1}", subtasks[0].answer or "")
        return Dispatch(instruction=text, plan=plan)
    return Proceed()


def test_dispatch_gives_each_part_a_fresh_context(tools: Any, lamp: Any) -> None:
    model = tools.Scripted(
        [
            '{"parts": ["read the number", "click it {1} times"]}',
            '{"action": "answer", "text": "seven"}',
            DONE,
            CLICK,
            DONE,
        ]
    )
    agent = Agent(model, [tools.Counter()], [Policy(split)])
    events = list(agent.start(lamp.reset_task("lamp_on"), lamp))
    goals = [tools.words(p, "goal") for p in model.prompts]
    assert goals[1:] == [f"The task: {g}\n" for g in ["read the number"] * 2 + ["click it seven times"] * 2]
    assert tools.words(model.prompts[2], "history") == "Done so far: answer seven\n"
    assert tools.words(model.prompts[3], "history") == "Done so far: nothing\n"
    assert [e.readings[0].value for e in events if isinstance(e, Sense)] == [0, 1, 0, 1]
    planned = next(e for e in events if isinstance(e, Planned))
    assert [p.instruction for p in planned.plan.subtasks] == ["read the number", "click it {1} times"]
    assert lamp.state["log"] == ["answer", "click", "terminate"]
    assert events[-1].ended == "success"
    assert events[-1].steps == 3
    assert model.calls[0]["watch"] is False


def test_a_plan_that_can_not_be_read_is_told(tools: Any, lamp: Any) -> None:
    errors = []

    def plan(readings: Any, context: Any) -> Any:
        if context.phase == "planned":
            errors.append((context.plan, context.plan_error))
        return MakePlan() if context.phase == "start" else Proceed()

    model = tools.Scripted(["I would rather not", CLICK, DONE])
    episode = Agent(model, controllers=[Policy(plan)]).run(lamp.reset_task("lamp_on"), lamp)
    assert episode.success
    assert errors[0][0] is None
    assert "\n" not in errors[0][1]


def test_endless_dispatches_end_the_episode(tools: Any, lamp: Any) -> None:
    def forever(readings: Any, context: Any) -> Any:
        from homeostat.controllers.plan import Plan

        return Dispatch(instruction="again", plan=Plan(subtasks=(Subtask(instruction="again"),), active=0))

    episode = Agent(tools.Scripted([CLICK]), controllers=[Policy(forever)]).run(lamp.reset_task("lamp_on"), lamp)
    assert episode.ended == "budget"
    assert episode.steps == 0


def test_the_graphs_own_limit_is_never_what_ends_an_episode(tools: Any, lamp: Any) -> None:
    from homeostat.controllers.plan import Plan

    def worst(readings: Any, context: Any) -> Any:
        if context.phase == "attempt" and context.attempt < 11:
            return Ask(question="and now?", cause=f"attempt {context.attempt}")
        plan = Plan(subtasks=(Subtask(instruction="again"),), active=0)
        return Dispatch(instruction="again", plan=plan) if context.phase == "attempt" else Proceed()

    patient = Cascade([Policy(worst)], budget=10_000)
    agent = Agent(tools.Scripted([CLICK]), controllers=patient, limits=LoopLimits(attempts=12))
    episode = agent.run(lamp.reset_task("lamp_on"), lamp, on_ask=lambda question: "go on")
    assert episode.ended == "budget"
    assert episode.calls > 6 * 12


def test_the_first_controller_that_wants_something_wins(tools: Any, lamp: Any) -> None:
    order = [
        Policy(lambda r, c: Proceed(), "idle"),
        Policy(lambda r, c: Stop(reason="one"), "one"),
        Policy(lambda r, c: Stop(reason="two"), "two"),
    ]
    episode = Agent(tools.Scripted([CLICK]), controllers=order).run(lamp.reset_task("lamp_on"), lamp)
    assert (episode.reason, episode.decisions[0].controller) == ("one", "one")


def test_a_question_is_answered_in_place(tools: Any, lamp: Any) -> None:
    def ask(readings: Any, context: Any) -> Any:
        return Ask(question="which lamp?") if context.phase == "start" else Proceed()

    model = tools.Scripted([CLICK, DONE])
    episode = Agent(model, controllers=[Policy(ask)]).run(
        lamp.reset_task("lamp_on"), lamp, on_ask=lambda q: f"{q} left"
    )
    assert episode.success
    assert tools.words(model.prompts[0], "reminder") == "Reminder: The user answered: which lamp? left\n"


def test_a_question_without_an_answer_ends_the_run_as_asked(tools: Any, lamp: Any) -> None:
    ask = Policy(lambda readings, context: Ask(question="which lamp?"))
    episode = Agent(tools.Scripted([CLICK]), controllers=[ask]).run(lamp.reset_task("lamp_on"), lamp)
    assert (episode.ended, episode.question, episode.success) == ("asked", "which lamp?", None)


def test_a_broken_sensor_is_named(tools: Any, lamp: Any) -> None:
    class Broken(tools.Counter):
        def read(self, attempt: Any, context: Any) -> Any:
            raise RuntimeError("no idea")

    with pytest.raises(ComponentError, match="sensor 'counter' raised RuntimeError: no idea"):
        Agent(tools.Scripted([CLICK]), [Broken()]).run(lamp.reset_task("lamp_on"), lamp)


def test_settings_reach_the_model(tools: Any, lamp: Any) -> None:
    def run() -> list[dict[str, Any]]:
        model = tools.Scripted([CLICK, DONE])
        limits = LoopLimits(max_new_tokens=9, temperature=0.5, seconds=60)
        Agent(model, limits=limits).run(lamp.reset_task("lamp_on"), lamp, seed=3)
        return model.calls

    first, second = run(), run()
    assert {(c["max_new_tokens"], c["temperature"], c["watch"]) for c in first} == {(9, 0.5, False)}
    assert [c["seed"] for c in first] == [c["seed"] for c in second]
    assert len({c["seed"] for c in first}) == 2
    assert all(c["deadline"] is not None for c in first)


def test_a_refused_action_is_not_carried_out_and_the_model_is_told(tools: Any, lamp: Any) -> None:
    guard = Guard(prohibitions=(Prohibition(rule="leave the lamp", taps="lamp"),), told="not allowed: {rule}")
    model = tools.Scripted([CLICK, CLICK, '{"action": "terminate", "status": "failure"}'])
    agent = Agent(model, controllers=[guard])
    events = list(agent.start(lamp.reset_task("lamp_off"), lamp))
    acts = [e for e in events if e.kind == "act"]
    assert [(e.outcome, e.error) for e in acts[:2]] == [("refused", "not allowed: leave the lamp")] * 2
    assert lamp.state["log"] == ["terminate"]
    assert tools.words(model.prompts[0], "reminder") == ""
    assert "not allowed: leave the lamp" in tools.words(model.prompts[1], "reminder")
    assert "click" in tools.words(model.prompts[1], "history")
    assert events[-1].ended == "impossible"


def test_a_refused_end_is_no_end(tools: Any, lamp: Any) -> None:
    def refuse(readings: Any, context: Any) -> Any:
        early = context.action is not None and context.action.kind == "terminate" and context.step == 0
        return Refuse(reason="not yet") if early else Proceed()

    episode = Agent(tools.Scripted([DONE, CLICK, DONE]), controllers=[Policy(refuse)]).run(
        lamp.reset_task("lamp_on"), lamp
    )
    assert (episode.ended, episode.steps) == ("success", 3)
