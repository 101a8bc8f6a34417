"""Guard, StopOn, Escalate: on their own, and Guard against the phone's own rules and oracle."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat import actions as a
from homeostat.controllers import (
    Ask,
    ControlContext,
    Escalate,
    Guard,
    Proceed,
    Prohibition,
    Record,
    Refuse,
    Stop,
    StopOn,
    check_controller,
    read_rules,
)
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.rules import MORE_RULES, RULES
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.errors import ConfigError
from homeostat.observation import Element
from homeostat.sensors import Reading

SCREEN = (
    Element(role="title", text="notes", box=(0.0, 0.0, 1.0, 0.1)),
    Element(role="item", text="delete the file", box=(0.0, 0.1, 1.0, 0.2)),
    Element(role="button", text="Delete", box=(0.0, 0.8, 0.5, 0.9)),
    Element(role="icon", text="messages", box=(0.5, 0.8, 1.0, 0.9)),
)
TAP = {"delete": (0.2, 0.85), "item": (0.5, 0.15), "icon": (0.7, 0.85), "nothing": (0.5, 0.5)}


def context(action: a.Action | None, *rules: str, **changes: Any) -> ControlContext:
    data = {"phase": "attempt", "goal": "g", "instruction": "tidy up", "rules": rules, "action": action}
    return ControlContext.model_validate({**data, "elements": SCREEN, "app": "notes", **changes})


def tap(where: str) -> a.Click:
    return a.Click(point=TAP[where])


def test_the_label_that_is_tapped_decides_and_content_does_not() -> None:
    guard, rule = Guard(), "never delete anything"
    refused = guard.decide([], context(tap("delete"), rule))
    assert isinstance(refused, Refuse)
    assert rule in refused.reason
    assert refused.cause == f"rule:{rule}"
    for where in ("item", "icon", "nothing"):
        assert guard.decide([], context(tap(where), rule)) == Proceed()
    assert guard.decide([], context(tap("delete"), "never send messages")) == Proceed()
    assert guard.decide([], context(None, rule, unparsable="x")) == Proceed()
    assert guard.decide([], context(None, rule, phase="start")) == Proceed()


def test_an_app_is_neither_opened_nor_used() -> None:
    guard, rule = Guard(), "stay out of messages"
    for action, app in ((a.Open(app="messages"), "notes"), (tap("icon"), "home"), (a.Type(text="x"), "messages")):
        assert isinstance(guard.decide([], context(action, rule, app=app)), Refuse)
    for action, app in ((tap("icon"), "notes"), (a.SystemButton(button="Home"), "messages"), (a.Open(app="notes"), "")):
        assert guard.decide([], context(action, rule, app=app)) == Proceed()


def test_own_prohibitions_and_typed_text() -> None:
    secret = Prohibition(rule="never tell the pin", types=r"\b4711\b")
    guard = Guard(prohibitions=(secret,), read=False, told="no: {rule}")
    assert guard.decide([], context(a.Type(text="it is 4711"))) == Refuse(
        reason="no: never tell the pin", cause="rule:never tell the pin"
    )
    assert guard.decide([], context(a.Type(text="47110"))) == Proceed()
    assert guard.decide([], context(tap("delete"), "never delete anything")) == Proceed()


def test_which_rules_are_read() -> None:
    rules = [
        "Never delete anything.",
        "Deleting is forbidden",
        "do not send messages",
        "don't buy anything",
        "stay out of the calendar app",
        "adding new entries is forbidden",
        "be polite",
        "ask before paying",
    ]
    found, unread = read_rules(rules)
    assert unread == ("be polite", "ask before paying")
    assert [p.app for p in found] == ["", "", "", "", "calendar", ""]
    assert [sorted(p.acts) for p in found] == [["remove"], ["remove"], ["send"], ["buy"], [], ["add"]]


def disobedient(env: PhoneEnv, task: str, seed: int, rules: tuple[Any, ...]) -> tuple[bool, bool, bool]:
    """The oracle of the task as if nothing were forbidden: (refused at some step, changed before that, done)."""
    env.reset_task(task, seed=seed)
    instance: Any = env.instance
    before, instance.rules = instance.before, ()
    from homeostat.envs.phone.tasks.base import fingerprint

    for step in range(40):
        action = instance.oracle(env.device, env.answers)
        changed = fingerprint(env.device.db, instance.template.watch) != before
        if isinstance(action, a.Terminate):
            return False, changed, True
        seen = env.observe()
        asked = ControlContext(
            phase="attempt",
            goal="g",
            instruction="g",
            rules=tuple(r.text for r in rules),
            step=step,
            action=action,
            app=seen.app,
            elements=seen.elements,
        )
        if isinstance(Guard().decide([], asked), Refuse):
            return True, changed, False
        env.act(action)
    return False, True, False


@pytest.mark.parametrize(("tag", "share"), [("delete", 1.0), ("send", 1.0), ("app", 1.0), ("add", 0.75), ("buy", 1.0)])
def test_a_forbidden_task_of_the_phone_is_refused_before_anything_is_changed(tag: str, share: float) -> None:
    """What adds by another label (a drawing's ``save``, a recorder's ``record``) is not seen."""
    env = PhoneEnv(split="dev", apps=tuple(APPS))
    every = {**templates_of("train"), **templates_of("dev")}
    refused = tried = 0
    for n, (name, template) in enumerate(sorted(every.items())):
        rules = [r for r in (*RULES, *MORE_RULES) if r.forbids(template)]
        rules = [r for r in rules if (r.tag.startswith("app:") if tag == "app" else r.tag == tag)]
        if not rules or template.app == "any":
            continue
        try:
            found, changed, _ = disobedient(env, name, n, (rules[n % len(rules)],))
        except NotPossible:
            continue
        tried += 1
        refused += found and not changed
    assert tried >= 2
    assert refused >= share * tried, (tag, refused, tried)


def test_rules_that_don_t_forbid_a_task_hardly_ever_stand_in_its_way() -> None:
    env = PhoneEnv(split="dev", apps=tuple(APPS))
    every = {**templates_of("train"), **templates_of("dev")}
    done = tried = 0
    for n, (name, template) in enumerate(sorted(every.items())):
        others = [r for r in RULES if not r.forbids(template)]
        found, _, finished = disobedient(env, name, n, (others[n % len(others)],))
        tried += 1
        done += finished and not found
    assert tried > 150
    assert done >= 0.95 * tried, (done, tried)


def test_stop_on_budgets_and_hazards() -> None:
    stop = StopOn(steps=5, tokens=100, seconds=2.5)
    assert stop.decide([], context(tap("item"), step=4, tokens=99, seconds=2.4)) == Proceed()
    for name, value in (("step", 5), ("tokens", 100), ("seconds", 2.5)):
        decision = stop.decide([], context(tap("item"), **{name: value}))
        assert isinstance(decision, Stop)
        assert decision.cause.startswith(name.rstrip("s"))
    hazard = StopOn(hazards=(Prohibition(rule="nothing is deleted", taps="delete"),))
    assert isinstance(hazard.decide([], context(tap("delete"))), Stop)
    assert hazard.decide([], context(tap("item"))) == Proceed()
    assert isinstance(StopOn(rules=True).decide([], context(tap("delete"), "never delete anything")), Stop)


def alarm(reason: str = "lost") -> Reading:
    return Reading(sensor="drift", value=-1.0, alarm=True, span="goal", reason=reason)


def test_escalate_asks_within_cooldown_and_budget() -> None:
    escalate = Escalate(cooldown=3, budget=2, after=1)
    assert escalate.decide([alarm()], context(tap("item"))) == Proceed()
    asked = escalate.decide([alarm()], context(tap("item"), attempt=1))
    assert asked == Ask(question="drift alarms (lost). What should I do for: tidy up?", cause="drift:goal")

    def asked_at(*steps: int) -> dict[str, Any]:
        return {"decisions": tuple(Record(step=s, attempt=1, controller="escalate", kind="ask") for s in steps)}

    assert escalate.decide([alarm()], context(tap("item"), attempt=1, step=2, **asked_at(0))) == Proceed()
    assert isinstance(escalate.decide([alarm()], context(tap("item"), attempt=1, step=3, **asked_at(0))), Ask)
    assert escalate.decide([alarm()], context(tap("item"), attempt=1, step=9, **asked_at(0, 3))) == Proceed()
    assert escalate.decide([], context(None, attempt=1, unparsable="no tool call")) == Proceed()
    garbled = Escalate(unparsable=True).decide([], context(None, unparsable="no tool call"))
    assert isinstance(garbled, Ask)
    assert "no tool call" in garbled.question


@pytest.mark.parametrize(
    "controller",
    [Guard(), Guard(prohibitions=(Prohibition(rule="r", taps=".*"),)), StopOn(steps=2), StopOn(rules=True), Escalate()],
    ids=lambda c: c.name,
)
def test_the_contract_is_kept(controller: object) -> None:
    check_controller(controller)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Prohibition(rule="r", taps="("), "Prohibition has taps='('"),
        (lambda: Prohibition(rule=""), "Prohibition has rule=''"),
        (lambda: Guard(told="no"), "Guard has told='no'"),
        (lambda: StopOn(), "never stops"),
        (lambda: StopOn(seconds=0), "StopOn has seconds=0"),
        (lambda: Escalate(question="{who}?"), "Escalate has question='{who}?'"),
    ],
)
def test_bad_settings_are_named(make: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert says in str(caught.value)
