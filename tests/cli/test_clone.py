"""``homeostat clone``: which options belong together, and which training each combination starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from homeostat.cli.clone import clone
from homeostat.cli.root import app
from homeostat.envs.harness import load_suite
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.errors import ConfigError, UnknownName


def test_options_for_web_pages_are_refused_for_the_phone():
    with pytest.raises(ConfigError, match="--tasks 'click-test'"):
        clone(tasks="click-test")
    with pytest.raises(ConfigError, match="need --env miniwob"):
        clone(env="plans", data=Path("s.npz"))
    with pytest.raises(UnknownName, match="env 'miniwop'; did you mean 'miniwob'"):
        clone(env="miniwop")


@pytest.mark.parametrize("options", [{"env": "plans"}, {"env": "recording"}, {"env": "miniwob"}, {"start": "m"}])
def test_only_training_from_scratch_resumes(options):
    with pytest.raises(ConfigError, match="--resume continues training from scratch only"):
        clone(resume=True, **options)


@pytest.mark.parametrize(
    ("options", "training", "given"),
    [
        ({}, "from_scratch.train_from_scratch", {"rate": 1.5e-3, "width": 192, "layers": 5, "resume": False}),
        ({"start": "m"}, "phone.fine_tune_phone", {"rate": 1.5e-3 / 2, "screens": 8}),
        ({"env": "recording"}, "recordings.train_recordings", {"rate": 1.5e-3}),
        ({"env": "plans"}, "planner.train_planner", {"rate": 1.5e-3 / 1.5}),
        ({"env": "miniwob", "tasks": "a, b"}, "miniwob.fine_tune_web", {"rate": 1.5e-3 / 5, "per_task": 200}),
    ],
)
def test_each_combination_starts_its_training(monkeypatch, capsys, options, training, given):
    calls = []

    def record(*args, **named):
        calls.append((args, named))
        return {"act": 0.5}

    monkeypatch.setattr(f"homeostat.nano.training.{training}", record)
    clone(**options)
    ((args, named),) = calls
    assert given.items() <= named.items()
    start = options.get("start", "homeostat/nano")
    assert args[0] == (start if named.get("resume") is None else Path("checkpoints/nano"))
    if options.get("env") == "miniwob":
        assert args[2:] == (["a", "b"], Path("checkpoints/nano/screens.npz"))
    assert capsys.readouterr().out == "wrote checkpoints/nano: act 0.500\n"


def refused(*told: str) -> str:
    done = CliRunner().invoke(app, ["clone", *told])
    assert done.exit_code == 2, done.output
    *loading, line = done.output.splitlines()
    assert all(text.startswith("homeostat: loading ") for text in loading)
    return line


def test_an_option_of_the_other_training_is_refused():
    assert "--suite ['atomic'] belongs to another training; name the model with --model" in refused("--suite", "atomic")
    assert "--minutes 3.0 belongs to another training; leave it out with --model" in refused(
        "--model", "homeostat/nano", "--minutes", "3"
    )
    assert "--from 'x' belongs" in refused("--model", "homeostat/nano", "--from", "x")
    assert "--layers 'x' is no int" in refused("--layers", "x")
    assert "rate" in refused("--model", "homeostat/nano", "--rate", "fast")
    assert "did you mean 'atomic'" in refused("--model", "homeostat/nano", "--suite", "atomik")


def test_shared_options_reach_the_embedded_models(monkeypatch):
    given = {}
    monkeypatch.setattr(
        "homeostat.nano.training.from_scratch.train_from_scratch",
        lambda out, **named: given.update(named, out=out) or {"act": 0.5},
    )
    told = ["clone", "--out", "x", "--layers", "3", "--rate", "0.01", "--seed", "7", "--width", "64", "--minutes", "2"]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    wanted = {"out": Path("x"), "layers": 3, "rate": 0.01, "seed": 7, "width": 64, "minutes": 2.0, "screens": 8}
    assert wanted.items() <= given.items()


def test_a_dry_run_says_what_would_be_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["clone", "--model", "homeostat/nano", "--suite", "atomic", "--dry-run"])
    assert done.exit_code == 0, done.output
    tasks = set(load_suite("atomic").tasks)
    left = len(tasks - set(templates_of("train")))
    told = f"; {left} are held out" if left else ""
    assert f"atomic: {len(tasks) - left} training tasks{told}" in done.output
    assert "which run in padded batches" in done.output
    assert not list(tmp_path.iterdir())
