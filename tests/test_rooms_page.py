"""The page about the rooms (docs/design/rooms.md): its examples run, its parts are found by name, its paths exist."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from homeostat.agent import AgentSpec
from homeostat.agent.models import nano_path
from homeostat.agent.registry import make_sensor, sensor_names
from homeostat.cli.root import app
from homeostat.controllers import controllers_for, preset_sensors
from homeostat.envs.core import Env
from homeostat.envs.harness import env_kind, make_env
from homeostat.errors import ModelError

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/design/rooms.md").read_text()
FILES = {
    re.match(r"# my_package/(\w+\.py)\n", code)[1]: code  # type: ignore[index]
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
}
GROUPS = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's package, installed: its files and its entry points are on the path."""
    folder, metadata = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    folder.mkdir()
    metadata.mkdir()
    (folder / "__init__.py").touch()
    for name, code in FILES.items():
        (folder / name).write_text(code)
    lines = ["Metadata-Version: 2.1", "Name: my-package", "Version: 1.0", "Summary: Parts of my own."]
    (metadata / "METADATA").write_text("\n".join(lines) + "\n")
    groups = {group: names for table in GROUPS for group, names in table["project"]["entry-points"].items()}
    (metadata / "entry_points.txt").write_text(
        "".join(f"[{group}]\n" + "".join(f"{a} = {b}\n" for a, b in names.items()) for group, names in groups.items())
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    env_kind.cache_clear()
    yield folder
    env_kind.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def test_every_kind_of_part_has_an_example() -> None:
    assert set(FILES) == {"word_count.py", "brevity.py", "lamp.py", "api_model.py", "weights.py", "greet.py"}
    named = {group for table in GROUPS for group in table["project"]["entry-points"]}
    assert named == {f"homeostat.{kind}" for kind in ("sensors", "controllers", "environments", "models", "commands")}


@pytest.mark.parametrize("name", FILES)
def test_the_example_runs(name: str, package: Path) -> None:
    runpy.run_path(str(package / name), run_name="__main__")
    imported = {
        module.split(".")[0]
        for node in ast.walk(ast.parse(FILES[name]))
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }
    assert "my_package" not in imported  # each example stands for itself


def test_the_parts_are_found_by_name(package: Path) -> None:
    assert "word_count" in sensor_names()
    assert type(make_sensor("word_count")).__name__ == "WordCount"
    assert controllers_for("guard,brevity").controllers[1].name == "brevity"
    assert preset_sensors("brevity") == {"word_count"}
    env = make_env("lamp")
    assert isinstance(env, Env)
    assert env_kind("lamp").task_names() == ("lamp_on",)
    AgentSpec(sensors="confidence,word_count", controllers="brevity").check()
    with pytest.raises(ModelError, match=r"my-org/tiny.*tiny holds no config\.json.*reinstall"):
        nano_path("my-org/tiny")
    (package / "tiny").mkdir()
    (package / "tiny" / "config.json").write_text("{}")
    assert nano_path("my-org/tiny") == package / "tiny"


def test_the_command_line_knows_the_parts(package: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["greet", "--name", "Ada"]).output == "hello Ada\n"
    assert "Greet somebody. (my-package)" in runner.invoke(app, ["--help"]).output
    for kind, name in (("sensors", "word_count"), ("controllers", "brevity"), ("environments", "lamp")):
        assert name in runner.invoke(app, ["list", kind]).output
    assert runner.invoke(app, ["list", "tasks", "--env", "lamp"]).output.startswith("lamp_on\t")


@pytest.mark.parametrize(("page", "least"), [("rooms", 30), ("loop", 10)])
def test_the_paths_on_the_page_exist(page: str, least: int) -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / f"docs/design/{page}.md").read_text(), flags=re.DOTALL)
    paths = set(re.findall(r"`([\w./]+/[\w./]*)`", prose)) - {"homeostat/nano"}
    assert len(paths) >= least
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_table_of_rooms_has_the_floors_of_the_check() -> None:
    rows = re.findall(r"^\| (\d) \| `?(\w+)`?[^|]*\|", PAGE, re.MULTILINE)
    assert [(int(floor), room) for floor, room in rows] == [
        *((0, "root"), (1, "envs"), (1, "sensors"), (2, "controllers")),
        *((3, "agent"), (4, "alignment"), (5, "nano"), (6, "viewer"), (7, "cli")),
    ]
    source = (ROOT / "tests/test_rooms.py").read_text()
    floors = ast.literal_eval(re.search(r"^FLOORS = (.*)$", source, re.MULTILINE)[1])  # type: ignore[index]
    assert [(number, room) for number, rooms in enumerate(floors) for room in rooms] == [
        (int(floor), room) for floor, room in rows
    ]
