"""Files that are damaged, and the readers of each kind."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzzed_outputs import FILE_LIMIT, Reader, tell

from homeostat.agent.loop.episode import stored_run
from homeostat.agent.models.loading import load_style
from homeostat.agent.prompts import VERBOSE
from homeostat.agent.registry import load_rules
from homeostat.agent.spec import AgentSpec
from homeostat.agent.trace import read_trace
from homeostat.alignment.preference.pairs import read_pairs
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.cli.mine import MineSettings
from homeostat.cli.run_settings import RunSettings, read_settings, write_settings
from homeostat.controllers.profiles import HeadProfile
from homeostat.envs.android.tree import elements
from homeostat.envs.harness import Journal, load_suite
from homeostat.envs.harness.comparison import read_evaluation
from homeostat.envs.harness.results import Result
from homeostat.errors import HomeostatError, ModelError
from homeostat.sensors.calibration import Alarm, Calibration
from homeostat.settings import load_settings
from homeostat.testing import ScriptedModel


def valid_files(folder: Path) -> dict[str, bytes]:
    """One valid file of each kind, by the name that its reader expects."""
    from homeostat.agent.agent import Agent
    from homeostat.envs.phone import PhoneEnv

    lines = ['{"action": "open", "text": "notes"}', '{"action": "terminate", "status": "success"}']
    env = PhoneEnv()
    Agent(ScriptedModel(lines)).run(env.reset_task("notes_add", seed=1), env, run_folder=folder / "run")
    settings_folder = folder / "settings"
    write_settings(RunSettings(agent=AgentSpec(), env="phone", seed=1, goal="x"), settings_folder)
    result = Result(
        index=0, task="a", seed=1, goal="g", success=True, ended="success", steps=1, optimal_steps=1, calls=1, tokens=1,
        prompt_tokens=1, seconds=1.0,
    )  # fmt: skip
    journal = Journal(folder / "r.jsonl", {"suite": "a"})
    journal.add(result)
    journal.close()
    alarm = Alarm(sensor="confidence", side="below", threshold=-1.0, episodes=30, settings="x")
    calibration = Calibration(
        model="m", weights=None, template="t", suite="s", split="dev", seed=1, rate=0.1, alarms=(alarm,)
    )
    pair = {"prompt": [{"role": "user", "content": "hi"}], "chosen": "a", "rejected": "b", "higher": [], "kind": "k"}
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "none/here", "r": 4, "target_modules": ["q_proj"]}
    return {
        "trace.jsonl": (folder / "run" / "trace.jsonl").read_bytes(),
        "checkpoint.sqlite": checkpoint(folder / "run" / "checkpoint.sqlite"),
        "run.json": (settings_folder / "run.json").read_bytes(),
        "agent.yaml": b"model: homeostat/nano\ncontrollers: [default]\nlimits: {garbled: 2}\nsensors: confidence\n",
        "rules.yaml": b"rules:\n  - never delete a note\n  - 'stay out of: the shop'\n",
        "suite.yaml": b"env: phone\ntasks: [notes_add, 'clock_*']\nepisodes: 4\nseed: 3\nlimits: {max_steps: 9}\n",
        "mine.yaml": b"traces: [runs]\nsources: [loop]\nheld_out: 0.1\nseed: 3\n",
        "results.jsonl": (folder / "r.jsonl").read_bytes(),
        "results.json": json.dumps({"arguments": {"suite": "a"}, "episodes": [result.model_dump()]}).encode(),
        "calibration.json": calibration.model_dump_json().encode(),
        "heads.json": json.dumps(HeadProfile(model="m", heads={"pasta": frozenset({(0, 1)})}).model_dump()).encode(),
        "homeostat.json": VERBOSE.model_dump_json().encode(),
        "pairs.jsonl": json.dumps(pair).encode() + b"\n",
        "adapter_config.json": json.dumps(adapter).encode(),
        "dump.xml": DUMP,
    }


DUMP = b"""<?xml version='1.0' encoding='UTF-8' standalone='yes' ?><hierarchy rotation="0">
<node index="0" text="Notes" class="android.widget.TextView" package="a.b" content-desc="" clickable="true"
 bounds="[0,10][100,60]"><node index="1" text="Add" class="android.widget.Button" bounds="[0,0][9,9]" /></node>
</hierarchy>"""


def checkpoint(path: Path) -> bytes:
    """The checkpoint in one file, without a write-ahead log beside it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return path.read_bytes()


def file_readers(folder: Path) -> dict[str, Callable[[bytes], Any]]:
    """For each kind of file, a function that writes it and reads it back as the package does."""

    def put(name: str, data: bytes) -> Path:
        place = folder / name.replace(".", "_")
        place.mkdir(exist_ok=True)
        for file in place.iterdir():
            file.unlink()
        (place / name).write_bytes(data)
        return place

    return {
        "trace.jsonl": lambda d: read_trace(put("trace.jsonl", d)),
        "checkpoint.sqlite": lambda d: stored_run(put("checkpoint.sqlite", d)),
        "run.json": lambda d: read_settings(put("run.json", d)),
        "agent.yaml": lambda d: AgentSpec.load(put("agent.yaml", d) / "agent.yaml"),
        "rules.yaml": lambda d: load_rules(put("rules.yaml", d) / "rules.yaml"),
        "suite.yaml": lambda d: load_suite(str(put("suite.yaml", d) / "suite.yaml")),
        "mine.yaml": lambda d: load_settings(MineSettings, put("mine.yaml", d) / "mine.yaml", {}),
        "results.jsonl": lambda d: Journal(put("results.jsonl", d) / "results.jsonl", {"suite": "a"}).close(),
        "results.json": lambda d: read_evaluation(put("results.json", d) / "results.json"),
        "calibration.json": lambda d: Calibration.load(put("calibration.json", d) / "calibration.json"),
        "heads.json": lambda d: HeadProfile.load(put("heads.json", d) / "heads.json"),
        "homeostat.json": lambda d: load_style(str(put("homeostat.json", d)), ""),
        "pairs.jsonl": lambda d: read_pairs(put("pairs.jsonl", d) / "pairs.jsonl"),
        "adapter_config.json": lambda d: load_adapted(str(put("adapter_config.json", d)), "cpu"),
        "dump.xml": lambda d: elements(d.decode("utf-8", "replace"), (1080, 2400)),
    }


def hostile_files(name: str) -> Iterator[bytes]:
    """Hand-written files."""
    yield from (b"", b"\0", b"\xff\xfe\xfa", b"null", b"[]", b"{}", b"3", b'"x"', b"\n" * 1000, b"{" * 1_000_000)
    yield b"[" * 10_000 + b"]" * 10_000
    yield b'{"a":' * 10_000
    yield b"- " * 3_000
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    for n in range(8):
        one, other = bytes([97 + n]), bytes([98 + n])
        bomb += other + b": &" + other + b" [" + b",".join([b"*" + one] * 9) + b"]\n"
    yield bomb
    yield b"rules: &a [*a]\n"
    yield b"episodes: " + b"9" * 5_000 + b"\ntasks: [notes_add]\n"
    yield b"episodes: 999999999999999999\ntasks: ['*']\n"
    yield b"tasks: [2001-99-99]\nname: !!python/object/apply:os.system [ls]\n"
    yield b"tasks: ['" + b"*a" * 20_000 + b"']\n"
    yield b'{"goal": "{goal:>9999999999}", "system": "x", "planner_system": "y"}'
    yield b'{"goal": "{", "system": "x", "planner_system": "y"}'
    yield b'{"goal": "{goal.__class__}", "system": "x", "planner_system": "y"}'
    yield b'{"episodes": [' + b"9" * 5_000 + b"]}"
    yield b'{"base_model_name_or_path": ["x"]}'
    yield b'{"base_model_name_or_path": "' + b"x" * 1_000_000 + b'"}'
    yield b"SQLite format 3\0" + b"\0" * 4096


def damaged(rng: random.Random, data: bytes) -> bytes:
    """A valid file with one to four faults of the kinds that disks, editors and attackers make."""
    for _ in range(rng.randint(1, 4)):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(10)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + rng.randbytes(rng.randint(1, 40)) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at + rng.randint(1, 200) :]
        elif kind == 4:
            data = data[:at] + data[max(at - rng.randint(1, 300), 0) :]
        elif kind == 5:
            data = data[:at] + b"\0" * rng.randint(1, 600) + data[at:]
        elif kind == 6:
            old = rng.choice([b"1", b"0", b"true", b"success", b'"', b"[", b"{", b":", b","])
            new = rng.choice(
                [b"NaN", b"1e999", b"9" * 400, b"-1", b"null", b"[]", b"{}", b'"', b"\\ud800", b"{goal!r:>9}"]
            )
            data = data.replace(old, new, rng.choice([1, 1, -1]))
        elif kind == 7:
            data = (
                data[:at]
                + rng.choice([b"[" * 2_000, b"{" * 2_000, b"&a [*a]", b"\xed\xa0\x80", b"\x1b]52;c;x\x07"])
                + data[at:]
            )
        elif kind == 8:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = b"\n".join(lines)
        else:
            data = data + data
        data = data[:2_000_000]
    return data


def fuzz_files(count: int, seed: int = 0) -> list[Reader]:
    """Reads at least ``count`` damaged files, equally many of each kind."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    readers = []
    try:
        files, how = valid_files(folder), file_readers(folder)
        each = -(-count // len(files))
        for name, data in files.items():
            reader = Reader(name, how[name], (HomeostatError,), FILE_LIMIT)
            if name != "adapter_config.json":
                how[name](data)  # the valid file is accepted, so that what is tested is the damage
            else:
                with contextlib.suppress(ModelError):
                    how[name](data)  # the first call imports PEFT
            rng = random.Random(f"{name} {seed}")
            hostile = list(hostile_files(name))
            for one in hostile[: max(each // 2, 1)] if each < len(hostile) else hostile:
                reader(one)
            while reader.tries < each:
                reader(damaged(rng, data))
            tell(reader)
            readers.append(reader)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return readers
