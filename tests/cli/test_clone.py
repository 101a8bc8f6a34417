"""``homeostat clone``: which options belong together, and which training each combination starts."""

from pathlib import Path

import pytest

from homeostat.cli.clone import clone
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
        ({"start": "m"}, "phone.fine_tune_phone", {"rate": 1.5e-3 / 2, "recordings": 0, "screens": 8}),
        ({"env": "recording"}, "phone.fine_tune_phone", {"rate": 1.5e-3 / 2, "recordings": 4}),
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
