"""Environments and suites of other packages, which join by their entry points."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from homeostat.envs.harness import (
    env_kind,
    env_names,
    evaluate,
    load_suite,
    make_env,
    policy_spec,
    random_case,
    suite_names as names_of_suites,
)
from homeostat.errors import ConfigError, UnknownName

LIGHTS = '''
import numpy as np

from homeostat.actions import Click, Terminate
from homeostat.envs.core import TaskInfo
from homeostat.observation import Observation


class Lights:
    """A screen that is solved by a click."""

    def __init__(self, size: int = 8, color: str = "white") -> None:
        self.size, self.color, self.on, self.closed = size, color, False, False

    def reset_task(self, task=None, *, seed=None):
        self.on = False
        return TaskInfo(name=task, goal="switch it on", seed=seed, optimal_steps=2, max_steps=4)

    def observe(self):
        return Observation(np.zeros((self.size, self.size, 3), np.uint8), (), "lights")

    def act(self, action):
        self.on = self.on or isinstance(action, Click)

    def success(self):
        return self.on

    def snapshot(self):
        return {"on": self.on}

    def restore(self, snapshot):
        self.on = snapshot["on"]

    def oracle(self):
        return Terminate(status="success") if self.on else Click(point=(0.5, 0.5))


def tasks():
    return ["lamp_one", "lamp_two"]
'''
KINDS = """
from homeostat.envs.harness import EnvKind

KIND = EnvKind(constructor="stranger_lights.world:Lights", tasks="stranger_lights.world:tasks")
WRONG = EnvKind(constructor="stranger_lights.world:Lamps", tasks="stranger_lights.nowhere:tasks")
NO_ENV = EnvKind(constructor="stranger_lights.world:tasks", tasks="stranger_lights.world:tasks")
number = 7


def kind():
    return KIND


def fails():
    raise RuntimeError("no light")
"""
ENVIRONMENTS = """
lights = stranger_lights.kinds:KIND
lights_called = stranger_lights.kinds:kind
lights_gone = stranger_lights.gone:KIND
lights_number = stranger_lights.kinds:number
lights_failing = stranger_lights.kinds:fails
lights_wrong = stranger_lights.kinds:WRONG
lights_no_env = stranger_lights.kinds:NO_ENV
phone = stranger_lights.kinds:KIND
"""
SUITES = """
stranger_lights = stranger_lights.suites
both_lamps = stranger_lights.kinds_of_suites:path
no_path = stranger_lights.kinds_of_suites:nothing
no_file = stranger_lights.kinds_of_suites:missing
"""
FUNCTIONS = """
from pathlib import Path

def path():
    return Path(__file__).with_name("both.yaml")

def nothing():
    return None

def missing():
    return "/nowhere/at/all.yaml"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a distribution into a folder of the path, as an installer would."""

    def install(name: str, **groups: str) -> Path:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("".join(f"[homeostat.{g}]\n{text}\n" for g, text in groups.items()))
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text("")
        return package

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("stranger_")]:
        del sys.modules[name]
    env_kind.cache_clear()


@pytest.fixture
def lights(install: Callable[..., Path]) -> Path:
    """A stranger's environment, and suites of its tasks."""
    package = install("stranger_lights", environments=ENVIRONMENTS, suites=SUITES)
    (package / "world.py").write_text(LIGHTS)
    (package / "kinds.py").write_text(KINDS)
    (package / "kinds_of_suites.py").write_text(FUNCTIONS)
    (package / "suites").mkdir()
    (package / "suites" / "lamps.yaml").write_text("env: lights\ntasks: [lamp_*]\nepisodes: 3\noptions: {size: 9}\n")
    (package / "suites" / "atomic.yaml").write_text("env: lights\ntasks: [lamp_one]\n")
    (package / "suites" / "notes.txt").write_text("no suite")
    (package / "both.yaml").write_text("env: lights\ntasks: [lamp_two]\n")
    return package


def test_ours_are_registered_like_any_other() -> None:
    assert set(env_names()) >= {"phone", "recording", "miniwob", "android"}
    assert {"atomic", "joined", "miniwob"} <= set(names_of_suites())
    assert env_kind("phone").name == "phone"


def test_a_strangers_environment_is_played(lights: Path) -> None:
    suite = load_suite("lamps", seed=1)
    spec = policy_spec("oracle", env=suite.env, split=suite.split, options=dict(suite.options))
    results = list(evaluate(spec, suite.cases()))
    assert [(r.success, r.steps, r.obeyed) for r in results] == [(True, 2, None)] * 3
    assert {r.kind for r in results} == {"lamp_one", "lamp_two"}
    chance = list(evaluate(policy_spec("random", env="lights"), suite.cases()))
    assert all(r.ended in ("success", "premature", "budget") for r in chance)
    assert make_env("lights_called", options={"size": 5}).observe().screenshot.shape == (5, 5, 3)
    assert random_case("lights", 3) == random_case("lights", 3)


def test_names_and_options_of_a_strangers_environment_are_checked(lights: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown env 'lihgts'; did you mean 'lights'\? known: .*android.*lights"):
        make_env("lihgts")
    with pytest.raises(UnknownName, match="unknown option 'colour'; did you mean 'color'"):
        make_env("lights", options={"colour": "red"})
    with pytest.raises(ConfigError, match="option 'size' is 'big'"):
        make_env("lights", options={"size": "big"})
    with pytest.raises(UnknownName, match="unknown task 'lamp_tow'; did you mean 'lamp_two'"):
        load_suite("lamps", tasks=["lamp_tow"])


def test_a_stranger_can_not_replace_ours(lights: Path) -> None:
    assert env_kind("phone").constructor == "homeostat.envs.phone.env:PhoneEnv"
    assert load_suite("atomic").env == "phone"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lights_gone", r"env 'lights_gone' \(stranger_lights.gone:KIND\) can't be loaded: ModuleNotFoundError"),
        ("lights_number", "env 'lights_number' is registered as 'int'; register an EnvKind or a function"),
        ("lights_failing", "env 'lights_failing' can't be loaded: RuntimeError: no light"),
        ("lights_wrong", "env 'lights_wrong': 'stranger_lights.world:Lamps' can't be imported"),
        ("lights_no_env", "env 'lights_no_env': 'stranger_lights.world:tasks' makes 'list', which is no Env"),
    ],
)
def test_a_mistake_of_a_stranger_is_named_and_spoils_nothing_else(lights: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        make_env(name)
    assert "\n" not in str(error.value)
    assert make_env("lights").observe().app == "lights"


def test_a_suite_may_be_a_function_s_file(lights: Path) -> None:
    assert {"lamps", "both_lamps", "no_path", "atomic"} <= set(names_of_suites())
    assert "notes" not in names_of_suites()
    assert "stranger_lights" not in names_of_suites()
    assert load_suite("both_lamps").task_names() == ("lamp_two",)
    with pytest.raises(ConfigError, match=r"suite 'no_path' .* gives no path: TypeError"):
        load_suite("no_path")
    with pytest.raises(ConfigError, match=r"suite 'no_file': '/nowhere/at/all.yaml' can't be read"):
        load_suite("no_file")
    with pytest.raises(UnknownName, match="unknown suite 'lapms'; did you mean 'lamps'"):
        load_suite("lapms")


def test_a_broken_folder_of_suites_spoils_no_other(lights: Path, install: Callable[..., Path]) -> None:
    broken = install("stranger_broken", suites="stranger_broken = stranger_broken.suites\n")
    (broken / "__init__.py").write_text("raise RuntimeError('no good\\nat all')\n")
    assert {"lamps", "atomic"} <= set(names_of_suites())
    assert load_suite("lamps").env == "lights"
    with pytest.raises(UnknownName, match="unknown suite 'other'") as error:
        load_suite("other")
    assert "the suites of package 'stranger_broken' (stranger_broken.suites) can't be listed" in str(error.value)
    assert "RuntimeError: no good" in str(error.value)
    assert "\n" not in str(error.value)


def test_names_are_listed_without_a_heavy_import(lights: Path) -> None:
    code = (
        "import sys\nfrom homeostat.envs.harness import env_kind, env_names, suite_names\n"
        "assert 'lights' in env_names() and 'lamps' in suite_names()\n"
        "env_kind('miniwob')\n"
        "heavy = {'torch', 'transformers', 'gymnasium', 'scipy', 'selenium', 'miniwob', 'ray', 'stranger_lights.world',"
        " 'stranger_lights.kinds', 'stranger_lights.kinds_of_suites'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PYTHONPATH": str(lights.parent), "PATH": ""},
        cwd=lights.parent,
    )
    assert done.returncode == 0, done.stderr
