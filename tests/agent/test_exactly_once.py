"""A killed run loses no action and does none twice, also on a device that can't be put back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat import Agent, CheckpointError, ConfigError, EnvTimeout
from homeostat.actions import Action, Click, Open, is_repeatable
from homeostat.agent import LoopLimits, read_trace
from homeostat.envs.core import TaskInfo
from homeostat.observation import Element, Observation
from homeostat.testing import ScriptedModel

CLICK = '{"action": "click", "coordinate": [1, 1]}'
OPEN = '{"action": "open", "text": "cart"}'
DONE = '{"action": "terminate", "status": "success"}'


class Killed(BaseException):
    """Stands for the process's death."""


class Shop:
    """A device of its own: its cart is a file, ``restore`` does not put it back, and a tap may kill the process.

    Attributes:
        dies: Whether the next tap kills, ``"before"`` or ``"after"`` it has reached the device, or ``"settled"``: after
            the environment has returned.
        blind: Whether the screen does not show the cart.
    """

    restores = False

    def __init__(self, cart: Path, dies: str = "", blind: bool = False) -> None:
        self.cart, self.dies, self.blind = cart, dies, blind

    @property
    def items(self) -> int:
        return len(self.cart.read_text()) if self.cart.exists() else 0

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        return TaskInfo(name="buy", goal="buy one", optimal_steps=2, max_steps=4)

    def observe(self) -> Observation:
        text = "cart" if self.blind else f"cart {self.items}"
        return Observation(np.zeros((8, 8, 3), np.uint8), (Element(role="text", text=text, box=(0, 0, 1, 1)),), "shop")

    def act(self, action: Action) -> None:
        if not isinstance(action, Click):
            return
        if self.dies == "before":
            raise Killed
        with self.cart.open("a") as file:
            file.write("x")
        if self.dies == "after":
            raise Killed

    def success(self) -> bool:
        return self.items == 1

    def snapshot(self) -> dict[str, Any]:
        if self.dies == "settled" and self.items:
            raise Killed
        return {}

    def restore(self, snapshot: dict[str, Any]) -> None:
        pass


def killed_run(tmp_path: Path, dies: str, blind: bool = False, lines: tuple[str, ...] = (CLICK, DONE)) -> Path:
    env = Shop(tmp_path / "cart", dies, blind)
    with pytest.raises(Killed):
        Agent(ScriptedModel(lines)).run(env.reset_task("buy"), env, run_folder=tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("dies", ["after", "settled"])
def test_a_tap_that_reached_the_device_is_not_repeated(tmp_path: Path, dies: str) -> None:
    folder, env = killed_run(tmp_path, dies), Shop(tmp_path / "cart")
    episode = Agent(ScriptedModel([DONE])).resume(folder, env).result
    assert env.items == 1
    assert episode.success
    acts = read_trace(folder).acts
    assert [(a.action.kind if a.action else "", a.outcome) for a in acts] == [("click", "done"), ("terminate", "done")]
    assert acts[0].settled == ("changed" if dies == "after" else "recorded")


def test_where_the_screen_cannot_tell_the_user_is_asked(tmp_path: Path) -> None:
    for dies, answer, items, settled in (("after", "yes", 1, "asked"), ("before", "No", 1, "")):
        folder = killed_run(tmp_path / dies, dies, blind=True) if (tmp_path / dies).mkdir() is None else None
        assert folder is not None
        asked: list[str] = []
        env = Shop(tmp_path / dies / "cart", blind=True)

        def reply(question: str, asked: list[str] = asked, answer: str = answer) -> str:
            asked.append(question)
            return answer

        episode = Agent(ScriptedModel([DONE])).resume(folder, env, on_ask=reply).result
        assert len(asked) == 1
        assert "Was it?" in asked[0]
        assert env.items == items
        assert episode.success
        assert read_trace(folder).acts[0].settled == settled


@pytest.mark.parametrize(("dies", "items"), [("after", 1), ("before", 0)])
def test_without_a_user_the_run_ends_as_uncertain(tmp_path: Path, dies: str, items: int) -> None:
    folder, env = killed_run(tmp_path, dies, blind=True), Shop(tmp_path / "cart", blind=True)
    episode = Agent(ScriptedModel([CLICK])).resume(folder, env).result
    assert (episode.ended, env.items) == ("uncertain", items)
    assert "does not tell" in episode.reason
    again = Agent(ScriptedModel([CLICK])).resume(folder, env)
    assert list(again) == []  # it has ended
    assert again.result.ended == "uncertain"


def test_what_may_be_repeated_is_repeated(tmp_path: Path) -> None:
    class Opens(Shop):
        def act(self, action: Action) -> None:
            if isinstance(action, Open) and self.dies:
                raise Killed
            super().act(action)

    env = Opens(tmp_path / "cart", "after", blind=True)
    with pytest.raises(Killed):
        Agent(ScriptedModel([OPEN])).run(env.reset_task("buy"), env, run_folder=tmp_path / "run")
    episode = Agent(ScriptedModel([CLICK, DONE])).resume(tmp_path / "run", Opens(tmp_path / "cart")).result
    assert episode.success
    assert [a.action.kind for a in read_trace(tmp_path / "run").acts if a.action] == ["open", "click", "terminate"]
    assert is_repeatable(Open(app="x"))
    assert not is_repeatable(Click(point=(0, 0)))


def test_a_run_without_its_newest_checkpoint_is_not_declared_over(tmp_path: Path) -> None:
    """LangGraph then names no next node: the task's writes are stored already."""
    folder, env = tmp_path / "run", Shop(tmp_path / "cart")
    with Agent(ScriptedModel([CLICK, DONE])).start(env.reset_task("buy"), env, run_folder=folder) as run:
        for event in run:
            if event.kind == "act":
                break
    shutil.copytree(folder, tmp_path / "copy")
    for path in (folder, tmp_path / "copy"):
        with sqlite3.connect(path / "checkpoint.sqlite") as connection:
            newest = connection.execute("SELECT max(checkpoint_id) FROM checkpoints").fetchone()
            for table in ("checkpoints", "writes"):
                connection.execute(f"DELETE FROM {table} WHERE checkpoint_id = ?", newest)
        connection.close()
    episode = Agent(ScriptedModel([DONE])).resume(folder, env).result
    assert episode.ended == "success"
    assert env.items == 1


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    folder, env = tmp_path / "run", Shop(tmp_path / "cart")
    with Agent(ScriptedModel([CLICK, DONE])).start(env.reset_task("buy"), env, run_folder=folder) as run:
        next(iter(run))
        code = (
            "import sys; from pathlib import Path\n"
            "from homeostat import CheckpointError\n"
            "from homeostat.agent.loop.locking import locked\n"
            "try:\n    locked(Path(sys.argv[1])).__enter__()\n"
            "except CheckpointError as error:\n    print(error)\n"
        )
        said = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
        assert "is in use by another process" in said.stdout
        assert str(os.getpid()) in said.stdout
        with pytest.raises(CheckpointError, match="in use"):
            _ = Agent(ScriptedModel([DONE])).resume(folder, env).result
    assert Agent(ScriptedModel([CLICK, DONE])).resume(folder, env).result.success


def test_no_action_is_carried_out_that_is_not_on_disk_before(tmp_path: Path) -> None:
    env = Shop(tmp_path / "cart")
    folder = tmp_path / "run"
    run = Agent(ScriptedModel([CLICK])).start(env.reset_task("buy"), env, run_folder=folder)

    def grow_no_more() -> None:
        with sqlite3.connect(folder / "checkpoint.sqlite") as connection:
            connection.execute("DROP TABLE checkpoints")
        connection.close()

    def watched() -> list[Any]:
        events = []
        for event in run:
            events.append(event)
            if event.kind == "observe":
                grow_no_more()
        return events

    with pytest.raises(CheckpointError, match="can't write the checkpoint"):
        watched()
    assert env.items == 0


def test_an_intent_that_cannot_be_written_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from homeostat.agent.loop import intents

    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    env = Shop(tmp_path / "cart")
    monkeypatch.setattr(intents.os, "write", full)
    with pytest.raises(CheckpointError, match="No space left"):
        Agent(ScriptedModel([CLICK])).run(env.reset_task("buy"), env, run_folder=tmp_path / "run")
    assert env.items == 0


def test_a_shortened_trace_is_refused_by_name(tmp_path: Path) -> None:
    folder, env = killed_run(tmp_path, "after"), Shop(tmp_path / "cart")
    trace = folder / "trace.jsonl"
    trace.write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[:2]))
    with pytest.raises(CheckpointError, match=r"trace.jsonl' holds 2 events, but its checkpoint covers \d+"):
        _ = Agent(ScriptedModel([DONE])).resume(folder, env).result
    trace.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        _ = Agent(ScriptedModel([DONE])).resume(folder, env).result


@pytest.mark.parametrize("settings", [{"seed": 10**30}, {"seed": -(10**30)}, {"max_steps": 10**9}, {"seed": 10**6000}])
def test_numbers_that_the_store_cannot_hold_are_refused_at_once(tmp_path: Path, settings: dict[str, int]) -> None:
    env = Shop(tmp_path / "cart")
    with pytest.raises(ConfigError, match=r"seed|max_steps") as caught:
        Agent(ScriptedModel([CLICK])).start(env.reset_task("buy"), env, run_folder=tmp_path / "run", **settings)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("what", ["act", "observe"])
def test_an_environment_that_hangs_is_abandoned_and_the_run_can_be_resumed(tmp_path: Path, what: str) -> None:
    forever = threading.Event()

    class Hangs(Shop):
        def act(self, action: Action) -> None:
            super().act(action)
            if what == "act":
                forever.wait()

        def observe(self) -> Observation:
            if what == "observe" and self.items:
                forever.wait()
            return super().observe()

    env = Hangs(tmp_path / "cart")
    agent = Agent(ScriptedModel([CLICK, DONE]), limits=LoopLimits(env_seconds=0.5))
    with pytest.raises(EnvTimeout, match=f"did not return from {what} within 0.5 s"):
        agent.run(env.reset_task("buy"), env, run_folder=tmp_path / "run")
    last = json.loads((tmp_path / "run" / "trace.jsonl").read_text().splitlines()[-1])
    assert last["kind"] == "error"
    forever.set()
    mended = Shop(tmp_path / "cart")
    assert Agent(ScriptedModel([DONE])).resume(tmp_path / "run", mended).result.success
    assert mended.items == 1
