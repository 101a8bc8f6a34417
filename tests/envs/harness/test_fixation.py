"""The measure of fixation: which actions land on decoys, which are wrong, and what comes after feedback."""

from __future__ import annotations

import math
from typing import Any

import pytest

from homeostat import actions as a
from homeostat.envs.core import Decoyed
from homeostat.envs.harness import Case, Fixation, PolicyRunner, make_env, summary
from homeostat.envs.harness.fixation import FixationWatch, fixation_figures, lands_on_decoy
from homeostat.errors import ActionError
from homeostat.observation import Element

OPTIONS = {"adversity": {"distractors": 2}}


@pytest.fixture
def env() -> Any:
    made = make_env("phone", "test", OPTIONS)
    made.reset_task("notes_add", seed=3)
    return made


def tap(env: Any, text: str, role: str) -> a.Click:
    element = next(e for e in env.observe().elements if (e.text, e.role) == (text, role))
    left, top, right, bottom = element.box
    return a.Click(point=((left + right) / 2, (top + bottom) / 2))


def test_what_lands_on_a_decoy() -> None:
    screen = (
        Element(role="icon", text="memos", box=(0.0, 0.0, 0.5, 0.5)),
        Element(role="item", text="memos", box=(0.5, 0.0, 1.0, 0.5)),
        Element(role="nav", text="back", box=(0.0, 0.5, 1.0, 1.0)),
    )
    icon, item, back = a.Click(point=(0.2, 0.2)), a.Click(point=(0.7, 0.2)), a.Click(point=(0.2, 0.7))
    decoys = frozenset({"memos"})

    def lands(action: Any, app: str) -> bool:
        return lands_on_decoy(action, app, screen, decoys)

    assert [lands(action, "home") for action in (icon, item, back)] == [True, False, False]
    assert [lands(action, "memos") for action in (icon, item, back)] == [True, True, False]
    assert lands(a.Open(app="memos"), "home")
    assert not lands(a.Open(app="notes"), "memos")
    assert lands(a.Type(text="x"), "memos")
    assert not lands(a.Type(text="x"), "notes")
    assert lands(a.Swipe(point=(0.5, 0.4), to=(0.5, 0.1)), "memos")
    assert not lands(a.SystemButton(button="Back"), "memos")
    assert not lands(a.Terminate(status="success"), "memos")


def test_the_oracles_way_is_progress_and_every_detour_is_none(env: Any) -> None:
    assert isinstance(env, Decoyed)
    assert "memos" in env.decoys()
    steps: list[tuple[a.Action, bool]] = []
    expected: list[float] = []

    def act(action: a.Action, nearer: float) -> None:
        try:
            env.act(action)
            done = True
        except ActionError:
            done = False
        steps.append((action, done))
        expected.append(nearer)

    act(a.Open(app="memos"), 0)  # the solution can open the right app from anywhere
    act(tap(env, "new", "button"), 0)
    act(a.Type(text="words"), 0)  # no field has the focus: refused
    assert steps[-1][1] is False
    act(a.SystemButton(button="Home"), 0)
    act(env.oracle(), 1)
    act(a.Open(app="settings"), -1)  # leaves the right app again
    while env.status is None:
        act(env.oracle(), 1)
    assert env.success()
    before = env.snapshot()
    assert env.progress(steps) == tuple(expected)
    assert env.snapshot() == before


def test_what_was_not_carried_out_is_judged_by_what_it_would_have_done(env: Any) -> None:
    right = env.oracle()
    steps = [(right, False), (a.Open(app="memos"), False), (right, True), (a.Terminate(status="failure"), True)]
    env.act(right)
    env.act(a.Terminate(status="failure"))
    assert env.progress(steps) == (1, 0, 1, -math.inf)


def test_nothing_is_judged_once_the_goal_is_lost(env: Any) -> None:
    env.act(a.Terminate(status="success"))
    assert env.progress([(a.Terminate(status="success"), True), (a.Wait(), False)]) == (-math.inf, None)
    free = make_env("phone", "test", OPTIONS)
    free.reset_task(None, seed=3)
    assert free.progress([(a.Wait(), True)]) == (None,)


def test_a_scripted_episode_is_counted_by_hand(env: Any) -> None:
    watch = FixationWatch(env)

    def step(action: a.Action, told: bool = False, attempts: tuple[a.Action, ...] = ()) -> None:
        seen = env.observe()
        watch.saw(seen.app, seen.elements)
        for other in attempts:  # earlier attempts at the step, each of which drew a reminder
            watch.attempted(other)
            watch.was_told()
        watch.attempted(action)
        done = True
        try:
            env.act(action)
        except ActionError:
            done = False
        watch.acted(action, done=done)
        if told:
            watch.was_told()

    memos = tap(env, "memos", "icon")
    step(memos, attempts=(memos,))  # on a decoy in spite of a reminder; wrong
    step(tap(env, "new", "button"), told=True)  # again on it, after the screen alone; wrong, and told so
    step(a.SystemButton(button="Home"))  # not again, after feedback; going home is no error
    step(tap(env, "settings", "icon"))  # wrong, but on no decoy
    step(a.Open(app="memos"))  # on a decoy; wrong
    step(a.Open(app="nothing"))  # refused; wrong
    step(env.oracle())
    found = watch.count()
    assert found == Fixation(wrong=5, on_decoy=3, followed=2, repeated=1, told=2, persisted=1)
    figures = fixation_figures([found, found])
    assert figures is not None
    assert (figures["episodes"], figures["wrong"], figures["on_decoy"]) == (2, 10, 6)
    assert figures["decoy_share"]["mean"] == pytest.approx(0.6)
    assert figures["persistence"]["mean"] == pytest.approx(0.5)
    assert figures["repetition"]["mean"] == pytest.approx(0.5)
    none = fixation_figures([Fixation(wrong=0, on_decoy=0, followed=0, repeated=0, told=0, persisted=0)])
    assert none is not None
    assert none["decoy_share"] is None
    assert fixation_figures([]) is None


def test_runners_without_a_model_are_measured_and_a_plain_phone_is_not(result: Any) -> None:
    oracle = PolicyRunner("oracle", options=OPTIONS).run(0, Case("notes_add", 3))
    assert oracle.fixation == Fixation(wrong=0, on_decoy=0, followed=0, repeated=0, told=0, persisted=0)
    chance = [PolicyRunner("random", options=OPTIONS).run(i, Case("notes_add", 3 + i)) for i in range(6)]
    found = [r.fixation for r in chance if r.fixation is not None]
    assert len(found) == 6
    assert sum(f.on_decoy for f in found) > 0
    assert all(f.on_decoy <= f.wrong <= r.steps for f, r in zip(found, chance, strict=True))
    assert PolicyRunner("oracle").run(0, Case("notes_add", 3)).fixation is None
    assert summary([*chance, result(9, success=True)])["fixation"]["episodes"] == 6
    assert summary([result(9, success=True)])["fixation"] is None
