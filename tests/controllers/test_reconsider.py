"""Reconsider: the forest by hand, the vote, the second look and its guard, and the loop with a real model."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat import actions as a
from homeostat.agent import Agent, TransformersModel
from homeostat.controllers import (
    Candidate,
    Choose,
    ControlContext,
    Forest,
    Proceed,
    Reconsider,
    Record,
    Reminder,
    Sample,
    check_controller,
)
from homeostat.controllers.forest import CYBERV, answer_of
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.observation import Element
from homeostat.sensors import Agreement, AttentionDrift, Confidence, ElementGaze, Reading, Repetition, SpanReading
from homeostat.testing import ScriptedModel

SCREEN = (
    Element(role="button", text="save", box=(0.0, 0.0, 0.5, 0.5)),
    Element(role="button", text="cancel", box=(0.5, 0.0, 1.0, 0.5)),
)
SAVE, ALSO_SAVE, CANCEL = (a.Click(point=p) for p in ((0.1, 0.1), (0.4, 0.4), (0.7, 0.1)))


def candidate(action: Any, p: float, mass: float | None = 0.5, *, repeats: bool = False, **gaze: float) -> Candidate:
    by_span = {} if mass is None else {"screen": SpanReading(mass=mass)}
    readings = [
        Reading(sensor="confidence", value=p, detail={"probability": p, "tokens": 3.0}),
        Reading(sensor="attention_drift", value=0.0, by_span=by_span),
        Reading(sensor="cyberv_repetition", value=9.0, alarm=repeats),
        Reading(sensor="element_gaze", value=0.0, by_element=gaze),
    ]
    return Candidate(text="x", action=action, readings=tuple(readings), unparsable=None if action else "no action")


def test_every_tree_by_hand() -> None:
    given = (
        candidate(SAVE, 0.8),
        candidate(ALSO_SAVE, 0.3, 0.45),
        candidate(CANCEL, 0.9, 0.3, repeats=True),
        candidate(None, 0.8, None),
    )
    verdict = Forest(CYBERV).judge(given, SCREEN)
    assert [dict(t) for t in verdict.trees] == [
        {"p": 0.8, "stab": 1.0, "rep": 1.0, "drift": 1.0, "rank": 2.5 / 4},
        {"p": 0.3, "stab": 0.0, "rep": 1.0, "drift": 1.0, "rank": 1 / 4},
        {"p": 0.9, "stab": 1.0, "rep": 0.0, "drift": 0.0, "rank": 4 / 4},
        {"p": 0.8, "stab": 1.0, "rep": 1.0, "drift": 0.0, "rank": 2.5 / 4},
    ]
    expected = [0.2 * sum(t.values()) for t in verdict.trees]
    assert verdict.scores == pytest.approx(expected)
    assert verdict.votes == pytest.approx(
        {"click element 0": expected[0] + expected[1], "click element 1": expected[2]}
    )
    assert (verdict.answer, verdict.index) == ("click element 0", 0)
    only_p = Forest({"p": 1.0}).judge(given, SCREEN)
    assert only_p.scores == pytest.approx([0.8, 0.3, 0.9, 0.8])


def test_what_counts_as_the_same_answer() -> None:
    def said(action: Any) -> str | None:
        return answer_of(Candidate(text="", action=action), SCREEN)

    assert said(SAVE) == said(ALSO_SAVE) != said(CANCEL)
    assert said(a.Click(point=(0.1, 0.9))) != said(a.Click(point=(0.9, 0.9)))
    assert said(a.Answer(text=" Nine  Pm")) == said(a.Answer(text="nine pm")) != said(a.Type(text="nine pm"))
    assert (
        said(a.Swipe(point=(0.5, 0.8), to=(0.5, 0.2))) == said(a.Swipe(point=(0.4, 0.9), to=(0.4, 0.1))) == "swipe up"
    )
    assert said(a.Open(app="notes")) != said(a.Open(app="maps"))
    assert said(None) is None


def context(phase: str, action: Any = SAVE, **changes: Any) -> ControlContext:
    data = {"phase": phase, "goal": "g", "instruction": "g", "step": 3, "action": action, "elements": SCREEN}
    return ControlContext.model_validate(data | changes)


def record(kind: str, step: int = 3) -> Record:
    return Record(step=step, attempt=0, controller="reconsider", kind=kind)


ALARM = Reading(sensor="confidence", value=0.1, alarm=True)


def test_an_alarm_samples_once_a_step_within_the_budget() -> None:
    reconsider = Reconsider(n=5, temperature=0.9, budget=2)
    assert reconsider.decide([ALARM], context("attempt")) == Sample(n=4, temperature=0.9, cause="confidence")
    assert reconsider.decide([], context("attempt")) == Proceed()
    garbled = context("attempt", None, unparsable="no")
    assert isinstance(reconsider.decide([ALARM], garbled), Sample)
    assert reconsider.decide([ALARM], context("attempt", decisions=(record("sample"),))) == Proceed()
    spent = (record("sample", 0), record("sample", 1))
    assert reconsider.decide([ALARM], context("attempt", decisions=spent)) == Proceed()
    assert isinstance(Reconsider(when="always").decide([], context("attempt")), Sample)


def test_a_strong_vote_is_carried_out_and_a_weak_one_looks_again_at_what_was_lost() -> None:
    strong = (candidate(SAVE, 0.9), candidate(ALSO_SAVE, 0.9), candidate(CANCEL, 0.2))
    chosen = Reconsider(n=3).decide([], context("candidates", candidates=strong))
    assert isinstance(chosen, Choose)
    assert chosen.index == 0
    weak = (
        candidate(SAVE, 0.3, save=0.5, cancel=0.2),
        candidate(CANCEL, 0.2, save=0.1, cancel=0.4),
        candidate(a.Wait(), 0.2, save=0.3, cancel=0.1),
    )
    reconsider = Reconsider(n=3, theta=0.6)
    again = reconsider.decide([], context("candidates", candidates=weak))
    assert isinstance(again, Reminder)
    assert again.text == "look again at save before you answer."  # save fell by 0.6, cancel rose by 0.1
    looked = (record("sample"), record("remind"))
    assert isinstance(reconsider.decide([], context("candidates", candidates=weak, decisions=looked)), Choose)
    assert isinstance(Reconsider(n=3, theta=0.6, rounds=0).decide([], context("candidates", candidates=weak)), Choose)
    blank = (candidate(None, 0.1), candidate(None, 0.1))
    assert Reconsider(n=2).decide([], context("candidates", None, candidates=blank)) == Proceed()


def test_a_second_answer_counts_only_if_some_candidate_had_said_it() -> None:
    weak = (candidate(SAVE, 0.3), candidate(CANCEL, 0.9), candidate(CANCEL, 0.8))
    looked = (record("sample"), record("remind"))
    reconsider = Reconsider(n=3)

    def after(action: Any, given: Any = weak) -> Any:
        return reconsider.decide([ALARM], context("attempt", action, candidates=given, decisions=looked))

    assert after(CANCEL) == Proceed()
    assert after(ALSO_SAVE) == Proceed()
    new = after(a.Open(app="maps"))
    assert isinstance(new, Choose)
    assert new.index == 1
    assert isinstance(after(None), Choose)
    assert after(a.Open(app="maps"), weak[:2]) == Proceed()


def test_frames_of_a_recording_are_evidence_too() -> None:
    def watched(*masses: float) -> Candidate:
        by_span = {f"frame-{n}": SpanReading(mass=m) for n, m in enumerate(masses, 1)}
        drift = Reading(sensor="attention_drift", value=0, by_span=by_span)
        return Candidate(text="x", action=a.Answer(text=str(masses)), readings=(drift,))

    given = (watched(0.3, 0.2, 0.1), watched(0.1, 0.25, 0.05), watched(0.2, 0.2, 0.0))
    again = Reconsider(n=3, theta=0.9).decide([], context("candidates", candidates=given))
    assert isinstance(again, Reminder)
    assert "frame 1, frame 3" in again.text
    trees = Forest(CYBERV, evidence=("frame-1", "frame-2", "frame-3")).judge(given).trees
    assert [t["drift"] for t in trees] == [1.0, 0.0, 0.0]  # 0.6, 0.4 and 0.4 in all


def test_the_presets_are_the_paper_s() -> None:
    made = [Reconsider.cyberv(b) for b in ("videommmu", "videomme", "worldsense")]  # type: ignore[arg-type]
    assert [(r.n, r.theta, r.temperature) for r in made] == [(8, 0.3, 1.0), (2, 0.5, 0.0), (16, 0.7, 1.0)]
    assert all(r.when == "always" and r.weights == dict.fromkeys(CYBERV, 0.2) for r in made)


def theirs(p: list[float | None], attention: list[float | None], repeats: list[bool]) -> list[float]:
    """The scores of select_output in the authors' code, restated."""
    known = [1e-4 if value is None else value for value in p]
    stable = [0.0 if (value - known[0]) / known[0] < -0.5 else 1.0 for value in known]
    drift = [1.0]
    for value in attention[1:]:
        unknown = attention[0] is None or value is None
        drift.append(0.0 if unknown or value - attention[0] < -0.1 else 1.0)  # type: ignore[operator]
    order = sorted(range(len(p)), key=lambda i: known[i])
    rank = [(order.index(i) + 1) / len(p) for i in range(len(p))]
    fluent = [0.0 if one else 1.0 for one in repeats]
    return [0.2 * sum(trees) for trees in zip(known, stable, fluent, drift, rank, strict=True)]


@pytest.mark.parametrize(
    ("p", "attention"),
    [
        ([0.8, 0.3, 0.8, None], [0.5, 0.45, 0.3, 0.5]),
        ([None, 0.2, 0.2, 0.2], [0.5, None, 0.41, 0.39]),
        ([0.4, 0.4, 0.1, 0.19], [None, 0.5, 0.6, None]),
    ],
)
def test_the_authors_forest_reads_the_answer_token_alone(p: list[float | None], attention: list[float | None]) -> None:
    repeats = [False, True, False, False]
    given = []
    for value, mass, loops in zip(p, attention, repeats, strict=True):
        readings = [
            Reading(sensor="confidence", value=0.9, detail={"probability": 0.9}),
            Reading(sensor="attention_drift", value=0.0, by_span={"screen": SpanReading(mass=0.9)}),
            Reading(sensor="cyberv_repetition", value=9.0, alarm=loops),
        ]
        if value is not None:
            readings.append(Reading(sensor="cyberv_probability", value=value, detail={"probability": value}))
        if mass is not None:
            readings.append(Reading(sensor="cyberv_drift", value=0.0, by_span={"screen": SpanReading(mass=mass)}))
        given.append(Candidate(text="x", action=SAVE, readings=tuple(readings)))
    assert Forest.cyberv().judge(given, SCREEN).scores == pytest.approx(theirs(p, attention, repeats))


def test_only_the_further_candidates_of_cyberv_reason_and_the_second_look_is_almost_greedy() -> None:
    cyberv = Reconsider.cyberv()
    asked = cyberv.decide([], context("attempt"))
    assert isinstance(asked, Sample)
    assert (asked.n, asked.temperature) == (7, 1.0)
    assert asked.reminder == "think step by step before you answer."

    def watched(frames: list[float], lines: list[float]) -> Candidate:
        by_span = {f"frame-{n}": SpanReading(mass=m) for n, m in enumerate(frames, 1)}
        by_span |= {f"subtitle-{n}": SpanReading(mass=m) for n, m in enumerate(lines, 1)}
        other = {label: SpanReading(mass=0.0) for label in by_span}  # another sensor's masses don't count
        readings = (
            Reading(sensor="cyberv_drift", value=0, by_span=by_span),
            Reading(sensor="attention_drift", value=0, by_span=other),
        )
        return Candidate(text="x", action=a.Answer(text=str(frames)), readings=readings)

    base = watched([0.1] * 14, [0.1] * 6)
    # Segments of two frames change by -0.1 -0.02 +0.05 -0.06 -0.03 -0.04 -0.05: the five that fell most are shown.
    fell = [0.05, 0.05, 0.09, 0.09, 0.15, 0.1, 0.04, 0.1, 0.07, 0.1, 0.06, 0.1, 0.05, 0.1]
    weak = (base, watched(fell, [0.2, 0.05, 0.15, 0.3, 0.12, 0.11]))
    again = cyberv.model_copy(update={"theta": 0.9}).decide([], context("candidates", candidates=weak))
    assert isinstance(again, Reminder)
    assert again.temperature == 0.01
    segments = [("frame-1", "frame-2"), ("frame-7", "frame-8"), ("frame-13", "frame-14"), ("frame-11", "frame-12")]
    assert again.show == tuple(label for pair in [*segments, ("frame-9", "frame-10")] for label in pair)
    said = "subtitle 2, subtitle 6, subtitle 5, subtitle 3, subtitle 1"  # the five lowest, fallen or not
    assert said in again.text
    assert again.text.endswith("think step by step before you answer.")


def test_the_loop_asks_the_further_candidates_alone_to_reason() -> None:
    def told(prompt: Any) -> str:
        return " ".join(part.text for message in prompt.messages for part in message.parts if part.label == "reminder")

    call = '<tool_call>{"name": "mobile_use", "arguments": {"action": "click", "coordinate": [%d, 9]}}</tool_call>'
    model = ScriptedModel([call % x for x in range(3, 23)])
    agent = Agent(model, (), [Reconsider.cyberv().model_copy(update={"theta": 1.0})])
    env = PhoneEnv()
    for event in agent.start(env.reset_task("notes_add", seed=1), env):
        if event.kind == "act":
            break
    first, sampled, looked = (
        (told(p), s["temperature"], s.get("n", 1)) for p, s in zip(model.prompts, model.calls, strict=True)
    )
    assert first == ("", 0.0, 1)
    assert "think step by step" in sampled[0]
    assert sampled[1:] == (1.0, 7)
    assert "look again at" in looked[0]
    assert looked[1:] == (0.01, 1)


def test_the_loop_draws_reads_votes_and_acts() -> None:
    nano = TransformersModel.load("homeostat/nano")
    sensors = [Confidence(), AttentionDrift(), Repetition.cyberv(), ElementGaze(), Agreement()]
    env = PhoneEnv(split="dev")
    agent = Agent(nano, sensors, [Reconsider(when="always", n=3, temperature=1.0)])
    events = list(agent.start(env.reset_task("notes_add", seed=1), env))
    assert events[-1].success
    steps = events[-1].steps
    senses = [e for e in events if e.kind == "sense"]
    drawn = [e for e in senses if e.candidate is not None]
    assert len(drawn) == 2 * steps
    assert [e.candidate for e in drawn[:4]] == [1, 2, 1, 2]
    assert all({r.sensor for r in e.readings} == {s.name for s in sensors} for e in drawn)
    agreed = [r for e in drawn for r in e.readings if r.sensor == "agreement"]
    assert all(r.judged and r.detail["candidates"] == 3 for r in agreed)
    chosen = [e for e in events if e.kind == "decide" and e.decision.kind == "choose"]
    acts = [e for e in events if e.kind == "act"]
    assert len(chosen) == steps
    for choice, act in zip(chosen, acts, strict=True):
        own = [e for e in senses if e.step == act.step]
        assert own[choice.decision.index].action == act.action
    again = list(agent.start(env.reset_task("notes_add", seed=1), env))
    assert [e.action for e in again if e.kind == "sense"] == [e.action for e in senses]  # drawn from the same seeds


def test_the_contract_is_kept_and_bad_settings_are_named() -> None:
    for controller in (Reconsider(), Reconsider(n=2, when="always"), Reconsider.cyberv(), Reconsider(rounds=0)):
        check_controller(controller)
    for make, says in (
        (lambda: Reconsider(n=1), "Reconsider has n=1"),
        (lambda: Reconsider(theta=2), "Reconsider has theta=2"),
        (lambda: Reconsider(temperature=-1), "Reconsider has temperature=-1"),
    ):
        with pytest.raises(ConfigError) as caught:
            make()
        assert says in str(caught.value)
