"""parse_plan: what models write around a plan, and what is refused."""

from __future__ import annotations

import pytest

from homeostat.controllers import Plan, Subtask, parse_plan, plan_schema
from homeostat.controllers.plan import resolve
from homeostat.controllers.plan_updates import close, revise
from homeostat.errors import HomeostatError, PlanError


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
    assert [subtask.instruction for subtask in plan.subtasks] == ["turn on wifi", "set a timer"]
    assert {subtask.status for subtask in plan.subtasks} == {"open"}
    assert plan.active is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no plan in ''"),
        ("turn on wifi, then set a timer", "no plan in"),
        ('{"parts": ["turn on', "no plan in"),
        ('{"parts": []}', "no subtasks"),
        ('{"parts": ["a", ""]}', "subtask 2 is ''"),
        ('{"parts": ["a", 3]}', "subtask 2 is 3"),
        ('{"parts": ["add {1}", "read"]}', "needs {1}"),
        ('{"parts": ["read", "add {2}"]}', "needs {2}"),
        ('{"parts": ["read", "add {0}"]}', "needs {0}"),
        ('{"parts": ' + str(["x"] * 13).replace("'", '"') + "}", "13 subtasks"),
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
    plan = Plan(subtasks=(read, other, Subtask(instruction="write {1} and {2} and {name}")))
    assert resolve(plan, 2) == "write {2} euros and tea and {name}"


def test_a_missing_answer_is_named() -> None:
    plan = Plan(subtasks=(Subtask(instruction="read", status="done"), Subtask(instruction="write {1}")))
    with pytest.raises(PlanError, match=r"subtask 2 'write \{1\}' needs the answer of subtask 1"):
        resolve(plan, 1)


TYPED = (
    '{"parts": [{"instruction": "read the price of tea", "save": "tea", "report": ["shop"]}, '
    '{"compute": "sum", "of": ["{tea}", "$5"], "save": "total"}, '
    '{"compute": "above", "of": ["{total}", "$20"], "save": "dear"}, '
    '{"instruction": "note {total} from {shop}", "when": "not dear", "max_steps": 9, "check": "the note"}, '
    '{"say": "{total}"}]}'
)


def test_a_typed_plan_holds_computations_conditions_and_what_to_say() -> None:
    read, add, test, note, say = parse_plan(TYPED).subtasks
    assert (read.save, read.report) == ("tea", ("shop",))
    assert (add.compute, add.of, add.save) == ("sum", ("{tea}", "$5"), "total")
    assert test.compute == "above"
    assert (note.when, note.max_steps, note.check) == ("not dear", 9, "the note")
    assert say.say == "{total}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"parts": [{"compute": "root", "of": ["4"], "save": "x"}]}', "compute='root'"),
        ('{"parts": [{"compute": "sum", "of": [], "save": "x"}]}', "without inputs"),
        ('{"parts": ["note {total}", {"compute": "sum", "of": ["1"], "save": "total"}]}', "needs {total}"),
        ('{"parts": [{"instruction": "go", "when": "2"}, "b"]}', "needs {2}"),
        ('{"parts": [{"say": ""}]}', "write a text"),
        ('{"parts": [{"instruction": "go", "max_steps": 0}]}', "max_steps"),
    ],
)
def test_a_typed_plan_that_can_t_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_schema_takes_the_typed_plan_and_refuses_what_is_none() -> None:
    import json

    import jsonschema

    jsonschema.validate(json.loads(TYPED), plan_schema())
    jsonschema.validate({"parts": ["a", "b"]}, plan_schema(typed=False))
    for wrong in ({"parts": [{"of": ["1"]}]}, {"parts": [1]}, {"parts": [{"instruction": "a", "save": "Two Words"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, plan_schema())


def test_texts_may_be_held_to_some_words() -> None:
    import jsonschema

    schema = plan_schema(words={"note", "the", "tea", "09:30", "c++"})

    def fits(text: str) -> bool:
        plan = {
            "parts": [text, {"compute": "sum", "of": [text]}, {"say": text}, {"instruction": text, "when": "not 2"}]
        }
        return bool(jsonschema.Draft202012Validator(schema).is_valid(plan))

    for good in ("note the tea", "note {1}", "the tea: {2}, 09:30", "the tea's {12}.", "c++ {price_2}"):
        assert fits(good), good
    for bad in ("note the teatea", "note the te", "notes", "note  the", " note", "09:3", "", "tea ,", "{}", "c+"):
        assert not fits(bad), bad
    assert jsonschema.Draft202012Validator(plan_schema()).is_valid({"parts": ["anything"]})


def test_a_new_plan_replaces_what_is_open_and_keeps_what_is_done() -> None:
    before = parse_plan('{"parts": ["read the price", "turn on wifi", "note {1}"]}')
    before = close(before, 0, "done", answer="$3", steps=2)
    before = close(before, 1, "failed")
    new = parse_plan('{"parts": ["open the shop", "read the price", "note {2}", "turn on wifi"]}')
    after = revise(before, new)
    assert [(str(p), p.status) for p in after.subtasks] == [
        ("read the price", "done"),
        ("turn on wifi", "failed"),
        ("open the shop", "open"),
        ("note {1}", "open"),
        ("turn on wifi", "open"),
    ]
    assert resolve(after, 3) == "note $3"


def test_facts_move_with_the_subtasks_that_brought_them() -> None:
    before = parse_plan('{"parts": ["open the shop", {"instruction": "read", "save": "price"}, "note {price}"]}')
    before = close(before, 1, "done", answer="$3", step=4)
    after = revise(before, parse_plan('{"parts": ["note {price}"]}'))
    assert [(f.key, f.value, f.subtask, f.step, f.source) for f in after.facts] == [("price", "$3", 1, 4, "answer")]
    assert resolve(after, 1) == "note $3"


def test_a_subtask_that_is_there_twice_is_done_twice() -> None:
    before = close(parse_plan('{"parts": ["tap", "tap", "go"]}'), 0, "done")
    after = revise(before, parse_plan('{"parts": ["tap", "tap", "go"]}'))
    assert [(str(p), p.status) for p in after.subtasks] == [("tap", "done"), ("tap", "open"), ("go", "open")]
