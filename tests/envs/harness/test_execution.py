"""Episodes played in this process, and what a journal spares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homeostat.envs.harness import Case, Journal, RunnerSpec, evaluate, policy_spec
from homeostat.errors import ConfigError


def test_the_oracle_solves_what_it_is_given(cases: list[Case], outcome: Any) -> None:
    results = list(evaluate(policy_spec("oracle"), cases))
    assert [(r.index, r.task, r.seed) for r in results] == [(i, c.task, c.seed) for i, c in enumerate(cases)]
    assert all(r.success and r.steps == r.optimal_steps == len(r.step_seconds) for r in results)
    assert [outcome(r) for r in results] == [outcome(r) for r in evaluate(policy_spec("oracle"), cases)]


def test_only_what_the_journal_lacks_is_played(cases: list[Case], outcome: Any, tmp_path: Path) -> None:
    whole = list(evaluate(policy_spec("oracle"), cases))
    journal = Journal(tmp_path / "r.jsonl", {})
    for index in (6, 1, 3):  # as several workers leave them
        journal.add(whole[index])
    played = list(evaluate(policy_spec("oracle"), cases, journal))
    assert [r.index for r in played] == [1, 3, 6, 0, 2, 4, 5, 7]
    assert sorted(map(repr, map(outcome, played))) == sorted(map(repr, map(outcome, whole)))
    assert sorted(journal.results) == list(range(8))
    # a finished one builds no runner
    assert len(list(evaluate(RunnerSpec(factory="nowhere:nothing"), cases, journal))) == 8
    journal.close()


def test_what_a_runner_raises_is_the_episodes_result_and_the_run_goes_on(cases: list[Case]) -> None:
    results = list(evaluate(policy_spec("oracle"), [cases[0], Case("no_such_task", 1), cases[1]]))
    assert [r.ended == "error" for r in results] == [False, True, False]
    assert results[1].reason.startswith("UnknownName: unknown task 'no_such_task'")
    assert not results[1].success


@pytest.mark.parametrize("factory", ["nowhere:nothing", "homeostat.envs.harness.runner:nothing", "homeostat", ""])
def test_a_factory_that_can_not_be_imported_is_named(factory: str, cases: list[Case]) -> None:
    with pytest.raises(ConfigError, match=r"give 'package.module:callable'"):
        list(evaluate(RunnerSpec(factory=factory), cases))


def test_a_factory_must_make_a_runner(cases: list[Case]) -> None:
    with pytest.raises(ConfigError, match="has no run and close"):
        list(evaluate(RunnerSpec(factory="builtins:dict"), cases))
    with pytest.raises(ConfigError, match="workers 0 is below 1"):
        list(evaluate(policy_spec("oracle"), cases, workers=0))


def test_one_worker_imports_neither_ray_nor_pyarrow() -> None:
    code = (
        "import sys\nfrom homeostat.envs.harness import evaluate, load_suite, policy_spec, summary\n"
        "results = list(evaluate(policy_spec('oracle'), load_suite('atomic', episodes=1).cases()))\n"
        "assert summary(results)['solved'] == 1\n"
        "heavy = {'torch', 'transformers', 'langgraph', 'ray', 'pyarrow', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
