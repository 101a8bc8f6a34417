"""parse_plan: what models write around a plan, and what is refused."""

from __future__ import annotations

import pytest

from homeostat.controllers import Plan, Subtask, parse_plan
from homeostat.controllers.plan import resolve
from homeostat.envs.errors import HomeostatError, PlanError


@pytest.mark.parametrize(
    "text",
    [
        '{"parts": ["turn on wifi", "set a timer"]}',
        'Sure! Here is the plan:\n```json\n{"parts": ["turn on wifi", "set a timer"]}\n```\nDone.',
        'I thought {about it}. {"parts": ["turn on wifi", " set a timer "], "note": 1}',
        '["turn on wifi", "set a timer"]',
        '{"parts": [{"instruction": "turn on wifi", "app": "settings"}, {"instruction": "set a timer"}]}',
        'first [1] then {"parts": ["turn on wifi", "set a timer"]} and {"parts": ["other"]}',
    ],
)
def test_the_plan_is_found_whatever_stands_around_it(text: str) -> None:
    plan = parse_plan(text)
    assert [part.instruction for part in plan.parts] == ["turn on wifi", "set a timer"]
    assert {part.status for part in plan.parts} == {"open"}
    assert plan.active is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no plan in ''"),
        ("turn on wifi, then set a timer", "no plan in"),
        ('{"parts": ["turn on', "no plan in"),
        ('{"parts": []}', "no parts"),
        ('{"parts": ["a", ""]}', "part 2 is ''"),
        ('{"parts": ["a", 3]}', "part 2 is 3"),
        ('{"parts": ["add {1}", "read"]}', "needs {1}"),
        ('{"parts": ["read", "add {2}"]}', "needs {2}"),
        ('{"parts": ["read", "add {0}"]}', "needs {0}"),
        ('{"parts": ' + str(["x"] * 13).replace("'", '"') + "}", "13 parts"),
        ("[" * 100_000, "no plan in"),
    ],
)
def test_what_is_no_plan_is_a_typed_one_line_error(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert isinstance(caught.value, HomeostatError)


def test_answers_are_put_in_as_they_are_once() -> None:
    read = Subtask(instruction="read", status="done", answer="{2} euros")
    other = Subtask(instruction="read more", status="done", answer="tea")
    plan = Plan(parts=(read, other, Subtask(instruction="write {1} and {2} and {name}")))
    assert resolve(plan, 2) == "write {2} euros and tea and {name}"


def test_a_missing_answer_is_named() -> None:
    plan = Plan(parts=(Subtask(instruction="read", status="done"), Subtask(instruction="write {1}")))
    with pytest.raises(PlanError, match=r"part 2 'write \{1\}' needs the answer of part 1"):
        resolve(plan, 1)
