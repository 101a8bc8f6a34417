"""``homeostat run``: an episode from the command line to its trace, interrupted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import read_trace
from homeostat.agent.models.loading import nano_path
from homeostat.agent.registry import sensor_names
from homeostat.cli.root import app
from homeostat.controllers import PRESETS, Ask, ControlContext, Decision, Preset, Proceed
from homeostat.errors import ModelError
from homeostat.sensors.readings import Reading

runner = CliRunner()


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def has_nano() -> bool:
    try:
        nano_path()
    except ModelError:
        return False
    return True


def test_a_task_is_run_judged_and_written_down(oracle: Any, tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", "--task", "clock_timer", "--seed", "3"])
    assert result.exit_code == 0, result.output
    run = only_run(tmp_path)
    trace = read_trace(run)
    assert trace.finish is not None
    assert trace.finish.success is True
    assert trace.start.task.name == "clock_timer"
    last = result.output.splitlines()[-1]
    steps, optimal = trace.finish.steps, trace.finish.optimal_steps
    assert last == f"solved after {steps} steps (optimal: {optimal}); trace: {Path('runs') / run.name / 'trace.jsonl'}"
    assert f"goal: {trace.start.task.goal}" in result.output
    assert "attention system" in result.output
    assert "attention_drift" in result.output
    assert json.loads((run / "run.json").read_text())["task"] == "clock_timer"


def test_a_random_task_is_the_same_for_the_same_seed(oracle: Any, tmp_path: Path) -> None:
    for _ in range(2):
        assert runner.invoke(app, ["run", "--task", "random", "--seed", "5"]).exit_code == 0
    first, second = (read_trace(run).start.task for run in sorted((tmp_path / "runs").iterdir()))
    assert first == second


def test_a_goal_in_words_is_not_judged_and_takes_rules(oracle: Any, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n  - never delete anything\n")
    arguments = ["run", "do as you like", "--rules", "rules.yaml", "--rule", "be quick", "--controllers", "none"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    trace = read_trace(only_run(tmp_path))
    assert trace.start.task.rules == ("never delete anything", "be quick")
    assert trace.start.controllers == ()
    assert trace.finish is not None
    assert trace.finish.success is None
    assert result.output.splitlines()[-1].startswith("ended, finished after 1 step;")


def test_an_unsolved_episode_still_exits_with_0(oracle: Any, tmp_path: Path) -> None:
    oracle.fails = True
    result = runner.invoke(app, ["run", "--task", "clock_timer", "--seed", "3"])
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].startswith("not solved, impossible")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"rules: [a, b", "line "),
        (b"- ok\n- key: value\n", "rule 2 is {'key': 'value'}"),
        (b"- ok\n-\n", "rule 2 is None"),
        (b"rulez: [a]\n", "['rulez']"),
        (b"just words\n", "holds 'just words'"),
        (b"", "holds None"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"- \x01\n", "rules.yaml"),
        (b"{[a]: 1}", "rules.yaml"),
        (None, "can't be read"),
    ],
)
def test_a_malformed_rules_file_is_named_with_its_problem(
    text: bytes | None, problem: str, oracle: Any, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "rules.yaml").write_bytes(text)
    result = runner.invoke(app, ["run", "hi", "--rules", "rules.yaml"])
    assert result.exit_code == 2, result.output
    assert "rules file 'rules.yaml'" in result.stderr
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_resuming_an_ended_run_says_how_it_ended(oracle: Any, tmp_path: Path) -> None:
    runner.invoke(app, ["run", "--task", "clock_timer", "--seed", "3"])
    run = only_run(tmp_path)
    before = (run / "trace.jsonl").read_bytes()
    result = runner.invoke(app, ["run", "--resume", run.name])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("solved after")
    assert (run / "trace.jsonl").read_bytes() == before


def test_resume_refuses_what_is_damaged_in_one_line(oracle: Any, tmp_path: Path) -> None:
    runner.invoke(app, ["run", "--task", "clock_timer", "--seed", "3"])
    run = only_run(tmp_path)
    checkpoint = run / "checkpoint.sqlite"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    settings = (run / "run.json").read_bytes()
    for damage in (None, b"{", b"{}"):
        if damage is not None:
            (run / "run.json").write_bytes(damage)
        result = runner.invoke(app, ["run", "--resume", str(run)])
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("homeostat: ")
        assert result.stderr.count("\n") == 1
    (run / "run.json").write_bytes(settings)
    assert runner.invoke(app, ["run", "again", "--resume", str(run)]).exit_code == 2


def test_ctrl_c_saves_the_run_and_it_goes_on_to_the_end(tmp_path: Path) -> None:
    driver = Path(__file__).with_name("oracle_driver.py")
    arguments = [sys.executable, str(driver), "run", "--task", "clock_timer", "--seed", "3"]
    slow = {**os.environ, "ORACLE_DELAY": "0.5"}
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("runs/*/screens/*.png"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    run = only_run(tmp_path)
    assert f"--resume {Path('runs') / run.name}" in out.splitlines()[-1]
    assert err == "homeostat: loading homeostat/nano\n"
    assert read_trace(run).finish is None
    again = subprocess.run(
        [sys.executable, str(driver), "run", "--resume", f"runs/{run.name}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1].startswith("solved after")
    trace = read_trace(run)
    assert trace.finish is not None
    assert trace.finish.success


class Unsure:
    """Asks once, at the first attempt (a test double)."""

    name, sensors = "unsure", frozenset[str]()

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        asks = context.phase == "attempt" and not context.decisions
        return Ask(question="Which timer?", cause="unsure") if asks else Proceed()


def test_a_question_waits_for_its_answer_in_another_call(
    oracle: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(PRESETS, "unsure", Preset("unsure", "asks", lambda profile: (Unsure(),)))
    asked = runner.invoke(app, ["run", "--task", "clock_timer", "--seed", "3", "--controllers", "unsure"])
    run = only_run(tmp_path)
    assert asked.exit_code == 0, asked.output
    assert asked.output.splitlines()[-1] == (
        f"waiting for an answer: Which timer?; resume it with: homeostat run --resume runs/{run.name} --answer TEXT"
    )
    still = runner.invoke(app, ["run", "--resume", run.name])
    assert "waiting for an answer: Which timer?" in still.output
    done = runner.invoke(app, ["run", "--resume", run.name, "--answer", "the kitchen one"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].startswith("solved after")
    assert "answered: the kitchen one" in done.output
    assert any("the kitchen one" in attempt.reminder for attempt in read_trace(run).attempts)


def test_a_real_model_folder_drives_the_whole_command(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(
        app, ["run", "turn on the wifi", "--model", str(tiny_folder), "--max-steps", "2", "--controllers", "remind"]
    )
    assert result.exit_code == 0, result.output
    trace = read_trace(only_run(tmp_path))
    assert trace.finish is not None
    assert trace.attempts
    for attempt in trace.attempts:
        assert 0 < sum(attempt.mass.values()) <= 1.001
        assert {r.sensor for r in attempt.readings} == {"attention_drift", "confidence"}
    assert "attention" in result.output


@pytest.mark.skipif(not has_nano(), reason="homeostat/nano is not in this installation")
def test_nano_runs_a_held_out_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["run", "--task", "random", "--seed", "1"])
    assert result.exit_code == 0, result.output
    trace = read_trace(only_run(tmp_path))
    assert trace.finish is not None
    assert any(act.outcome == "done" for act in trace.acts)


@pytest.mark.skipif(not has_nano(), reason="homeostat/nano is not in this installation")
def test_every_sensor_by_name_reads_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = ",".join(sensor_names())
    result = runner.invoke(app, ["run", "--task", "notes_add", "--seed", "1", "--plain", "--sensors", names])
    assert result.exit_code == 0, result.output
    trace = read_trace(only_run(tmp_path))
    last = {reading.sensor: reading for reading in trace.attempts[-2].readings}
    assert set(last) == set(sensor_names())
    alone = {"agreement", "evicted_mass"}  # there are no other candidates, and the model has no memory
    assert {name for name, reading in last.items() if not reading.judged} == alone


def test_an_unknown_sensor_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", "--task", "notes_add", "--sensors", "rythm"])
    assert result.exit_code != 0
    assert "did you mean 'rhythm'" in result.output


def test_budgets_and_deadlines_reach_the_agent(oracle: Any, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("limits: {garbled: 7, attempts: 9}\n")
    given = {"call-seconds": 30, "env-seconds": 8, "attempts": 2, "max-new-tokens": 64, "episode-seconds": 600}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    task = ["run", "--task", "clock_timer", "--seed", "3", "--agent", "agent.yaml", "--episode-tokens", "1"]
    result = runner.invoke(app, [*task, *options, "--controllers", "none"])
    assert result.exit_code == 0, result.output
    run = only_run(tmp_path)
    limits = json.loads((run / "run.json").read_text())["agent"]["limits"]
    wanted = {"seconds": 30, "env_seconds": 8, "attempts": 2, "max_new_tokens": 64, "episode_seconds": 600, "tokens": 1}
    assert {name: limits[name] for name in wanted} == wanted
    assert limits["garbled"] == 7  # the file's own
    finish = read_trace(run).finish
    assert finish is not None
    assert (finish.ended, finish.reason, finish.steps) == ("budget", "all 1 tokens were used", 1)


@pytest.mark.parametrize(
    "option", ["call-seconds", "env-seconds", "attempts", "max-new-tokens", "episode-seconds", "episode-tokens"]
)
@pytest.mark.parametrize("command", [["run", "hi"], ["eval"]])
def test_a_limit_of_nothing_is_refused_by_its_name(oracle: Any, command: list[str], option: str) -> None:
    result = runner.invoke(app, [*command, f"--{option}", "0"])
    assert result.exit_code == 2, result.output
    assert f"--{option} 0" in result.stderr
    assert result.stderr.count("\n") == 1
    assert f"--{option}" in runner.invoke(app, [command[0], "--help"]).output
