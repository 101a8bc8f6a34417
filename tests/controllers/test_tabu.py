"""Tabu: what is repeated where, what is chosen instead, the guard's last word, and the loop with a real model."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat import actions as a
from homeostat.agent import Agent, TransformersModel
from homeostat.controllers import (
    Candidate,
    Cascade,
    Choose,
    ControlContext,
    Guard,
    Proceed,
    Reconsider,
    Record,
    Refuse,
    Sample,
    Tabu,
    check_controller,
)
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.observation import Element, Observation

SCREEN = (
    Element(role="button", text="save", box=(0.0, 0.0, 0.5, 0.5)),
    Element(role="button", text="delete", box=(0.5, 0.0, 1.0, 0.5)),
)
SAVE, DELETE = a.Click(point=(0.1, 0.1)), a.Click(point=(0.7, 0.1))


def context(phase: Any = "attempt", action: Any = SAVE, tried: tuple[str, ...] = (), **more: Any) -> ControlContext:
    return ControlContext(
        phase=phase, goal="g", instruction="g", step=3, action=action, tried=tried, elements=SCREEN, **more
    )


def test_only_what_was_done_on_this_screen_is_a_cause() -> None:
    tabu = Tabu(n=5, temperature=0.9, budget=2)
    assert tabu.decide([], context()) == Proceed()
    assert tabu.decide([], context(tried=("click element 1", "click 0.10,0.90"))) == Proceed()
    wanted = tabu.decide([], context(tried=("click element 0",)))
    assert isinstance(wanted, Sample)
    assert (wanted.n, wanted.temperature) == (4, 0.9)
    # another point of the same button is the same action
    assert isinstance(tabu.decide([], context(action=a.Click(point=(0.4, 0.4)), tried=("click element 0",))), Sample)
    waiting = a.Wait(seconds=1.0)
    assert tabu.decide([], context(action=waiting, tried=(waiting.model_dump_json(),))) == Proceed()
    spent = tuple(Record(step=s, attempt=0, controller="tabu", kind="sample") for s in (0, 1))
    assert tabu.decide([], context(tried=("click element 0",), decisions=spent)) == Proceed()


def test_an_answer_without_an_action_is_a_cause_the_second_time() -> None:
    assert Tabu().decide([], context(action=None, unparsable="?")) == Proceed()
    assert isinstance(Tabu().decide([], context(action=None, unparsable="?", attempt=1)), Sample)
    assert Tabu(unparsable=False).decide([], context(action=None, unparsable="?", attempt=1)) == Proceed()


def test_the_most_frequent_new_answer_is_taken() -> None:
    back = a.SystemButton(button="Back")
    given = tuple(Candidate(text="", action=x) for x in (SAVE, SAVE, None, back, DELETE, a.Click(point=(0.9, 0.4))))
    chosen = Tabu().decide([], context("candidates", tried=("click element 0",), candidates=given))
    assert isinstance(chosen, Choose)
    assert chosen.index == 4
    tried = ("click element 0", "click element 1", back.model_dump_json())
    assert isinstance(Tabu().decide([], context("candidates", tried=tried, candidates=given)), Proceed)


def test_candidates_belong_to_whoever_asked_for_them() -> None:
    given = (Candidate(text="", action=SAVE), Candidate(text="", action=DELETE))
    mine = (Record(step=3, attempt=0, controller="tabu", kind="sample"),)
    asked = context("candidates", tried=("click element 0",), candidates=given, decisions=mine)
    assert Reconsider().decide([], asked) == Proceed()
    assert isinstance(Cascade([Reconsider(), Tabu()]).decide([], asked), Choose)
    theirs = (Record(step=3, attempt=0, controller="reconsider", kind="sample"),)
    assert Tabu().decide([], asked.model_copy(update={"decisions": theirs})) == Proceed()


def test_a_guard_has_the_last_word_on_what_is_chosen() -> None:
    given = (Candidate(text="", action=SAVE), Candidate(text="", action=DELETE))
    asked = context("candidates", tried=("click element 0",), candidates=given, rules=("never delete anything",))
    for cascade in (Cascade([Guard(), Tabu()]), Cascade([Tabu(), Guard()])):
        chosen = cascade.decide([], asked)
        assert isinstance(chosen, Choose)
        refused = cascade.refusal(given[chosen.index].action, asked)
        assert isinstance(refused, Refuse)
        assert refused.by == "guard"
        assert cascade.refusal(SAVE, asked) is None
        assert cascade.refusal(DELETE, asked.model_copy(update={"rules": ()})) is None


def test_the_loop_looks_again_exactly_where_an_action_is_repeated_on_a_screen() -> None:
    nano = TransformersModel.load("homeostat/nano")
    env = PhoneEnv(split="dev", apps="all")
    agent = Agent(nano, controllers=[Tabu(n=3, budget=99)])
    looked = 0
    for seed in range(6):
        now: Any = None
        done: list[tuple[Any, Any]] = []
        repeats, causes, where = [], [], None
        for event in agent.start(env.reset_task("messages_delete", seed=seed), env):
            if event.kind == "observe":
                shown = [e for e in event.elements if e.role not in ("status", "badge", "toast")]
                where = (event.app, tuple((e.role, e.text, e.box) for e in shown))
            elif event.kind == "sense" and event.candidate is None:
                now = event.action
                here = [did for there, did in done if there == where]
                repeats.append(now is not None and any(_same(did, now, where) for did in here))
            elif event.kind == "decide" and event.phase == "attempt":
                causes.append(event.decision.kind == "sample")
            elif event.kind == "act":
                done.append((where, event.action))
        assert causes == repeats
        looked += sum(causes)
    assert looked > 0


def _same(one: Any, other: Any, where: Any) -> bool:
    taps = isinstance(one, a.Click) and isinstance(other, a.Click)
    return one == other or (taps and _under(one, where) == _under(other, where))


def _under(click: a.Click, where: Any) -> Any:
    x, y = click.point
    holding = [box for _, _, box in where[1] if box[0] <= x < box[2] and box[1] <= y < box[3]]
    return min(holding, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]), default=click.point)


def test_a_screen_is_the_same_whatever_the_clock_says() -> None:
    import numpy as np

    def seen(clock: str, text: str = "save") -> Observation:
        elements = (
            Element(role="status", text=clock, box=(0.0, 0.0, 0.2, 0.1)),
            Element(role="button", text=text, box=(0.0, 0.5, 0.5, 1.0)),
        )
        return Observation(np.zeros((4, 4, 3), np.uint8), elements, "notes")

    assert seen("09:00").fingerprint == seen("09:01").fingerprint != seen("09:00", "send").fingerprint
    blank = Observation(np.zeros((4, 4, 3), np.uint8), (), "notes")
    assert blank.fingerprint != Observation(np.ones((4, 4, 3), np.uint8), (), "notes").fingerprint


def test_the_contract_is_kept_and_bad_settings_are_named() -> None:
    check_controller(Tabu())
    with pytest.raises(ConfigError, match="Tabu has n=1"):
        Tabu(n=1)
