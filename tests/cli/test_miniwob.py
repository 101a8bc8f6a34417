"""``homeostat run`` and ``eval`` on web pages, with the embedded model."""

import json

import pytest
from typer.testing import CliRunner

from homeostat.agent.models.loading import nano_path
from homeostat.cli.root import app
from homeostat.envs.harness import load_suite, make_env, random_case
from homeostat.errors import ModelError, UnknownName

runner = CliRunner()


@pytest.fixture
def nano(chromium):
    try:
        return nano_path()
    except ModelError as error:
        pytest.skip(str(error))


def test_an_episode_on_a_page_is_run_and_traced(nano, tmp_path):
    asked = ["--env", "miniwob", "--task", "click-test-2", "--model", "homeostat/nano", "--max-steps", "4", "--plain"]
    done = runner.invoke(app, ["run", *asked, "--runs", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "goal: Click button ONE." in done.output
    (trace,) = tmp_path.glob("*/trace.jsonl")
    kinds = [json.loads(line).get("kind") for line in trace.read_text().splitlines()]
    assert len(kinds) > 4


def test_a_suite_is_measured(nano, tmp_path):
    out = tmp_path / "web.json"
    asked = ["--env", "miniwob", "--suite", "miniwob-click", "--episodes", "3", "--seed", "1", "--json", str(out)]
    done = runner.invoke(app, ["eval", *asked])
    assert done.exit_code == 0, done.output
    figures = json.loads(out.read_text())
    assert figures["arguments"]["env"] == "miniwob"
    cases = load_suite("miniwob-click", episodes=3, seed=1).cases()
    assert [(e["task"], e["seed"]) for e in figures["episodes"]] == [(c.task, c.seed) for c in cases]


def test_pages_are_named_like_any_environment(chromium):
    assert make_env("miniwob").size == (144, 256)
    assert random_case("miniwob", 3) == random_case("miniwob", 3)
    with pytest.raises(UnknownName, match="env 'miniwop'; did you mean 'miniwob'"):
        make_env("miniwop")
    with pytest.raises(UnknownName, match="task 'settings_turn_on'"):
        load_suite("atomic", env="miniwob")
