"""compute: against the simulator's own ground truth where both know an operation, and by hand elsewhere."""

from __future__ import annotations

import random

import pytest

from homeostat.controllers import OPERATIONS, compute
from homeostat.envs.phone.tasks.composed.core import OPERATIONS as TRUTH
from homeostat.errors import PlanError


@pytest.mark.parametrize("operation", ["sum", "difference", "largest", "smallest", "above", "below", "equal"])
def test_it_agrees_with_what_the_phone_s_tasks_hold_for_true(operation: str) -> None:
    rng = random.Random(operation)
    for _ in range(200):
        before, after = rng.choice([("$", ""), ("", "kb"), ("", ""), ("", "%")])
        values = [f"{before}{rng.randint(0, 999)}{after}" for _ in range(2)]
        assert compute(operation, values) == TRUTH[operation](*values)  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", ["name of the largest", "name of the smallest"])
def test_the_name_beside_the_best_value(operation: str) -> None:
    rng = random.Random(operation)
    for _ in range(100):
        values = [x for n in "abc" for x in (f"${rng.randint(1, 99)}", n)]
        assert compute(operation, values) == TRUTH[operation](*values)  # type: ignore[arg-type]
    assert compute("name of the smallest", ["09:30", "tea", "08:05", "gym"]) == "gym"


@pytest.mark.parametrize(
    ("operation", "values", "result"),
    [
        ("sum", ["$1,200.50", "$2"], "$1202.50"),
        ("sum", ["1.5", "2.25"], "3.75"),
        ("average", ["$1", "$2", "$4"], "$2.33"),
        ("product", ["3 cups", "2"], "6 cups"),
        ("count", ["a", "b", "c"], "3"),
        ("sum", ["09:50", "00:25"], "10:15"),
        ("difference", ["09:05", "10:00"], "00:55"),
        ("above", ["10:00", "09:59"], "yes"),
        ("equal", ["$5", "5"], "yes"),
        ("equal", [" Monday ", "monday"], "yes"),
        ("equal", ["monday", "5"], "no"),
        ("contains", ["Buy milk today", "MILK"], "yes"),
    ],
)
def test_what_comes_out_keeps_the_first_input_s_notation(operation: str, values: list[str], result: str) -> None:
    assert compute(operation, values) == result  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operation", "values", "message"),
    [
        ("sum", ["$5", "milk"], "'milk' does not contain exactly one number"),
        ("sum", ["5 of 6"], "not contain exactly one number"),
        ("sum", [], "no inputs"),
        ("above", ["1"], "1 inputs"),
        ("name of the largest", ["1", "a", "2"], "value, name"),
        ("root", ["4"], "unknown"),
    ],
)
def test_what_can_t_be_computed_is_one_clear_line(operation: str, values: list[str], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        compute(operation, values)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_operation_is_known() -> None:
    for operation in OPERATIONS:
        inputs = ["1", "a"] if operation.startswith("name") else ["1", "2"]
        assert compute(operation, inputs)
