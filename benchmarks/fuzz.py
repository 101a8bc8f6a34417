"""Feeds every reader of foreign text with hostile input: what a model may write, and files that are damaged.

    python benchmarks/fuzz.py --json fuzz.json

Model outputs go to every parser of a model's text: at least ``--outputs`` (20,000) each. Files (traces, checkpoints,
settings, agent files, rules, suites, journals, results, calibrations, head profiles, prompt styles, preference pairs,
adapters, dumps of an Android screen) are valid ones that were damaged: at least ``--files`` (2,000) in all. Hypothesis
draws the inputs with a fixed seed (``derandomize``); to them come hand-written hostile ones, such as 10,000 levels of
nesting, megabytes of braces, numbers of 5,000 digits and YAML that expands to gigabytes.

An input counts as *untyped* where the reader raises anything but its documented error, or an error message that is
longer than its limit (300 characters for model outputs, 2,000 for files) or has more than one line. It counts as *slow*
where the reader takes more than a second of processor time, which does not depend on what else the machine does.

JSON: ``tries``, ``untyped``, ``slow`` (sums), ``longest`` (seconds), ``readers`` (the same for each reader, with the
first faults), ``seconds``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from homeostat.agent.loop.episode import stored_run
from homeostat.agent.models.loading import load_style
from homeostat.agent.prompts import VERBOSE
from homeostat.agent.registry import load_rules
from homeostat.agent.spec import AgentSpec
from homeostat.agent.tool_calls import read_turn
from homeostat.agent.trace import read_trace
from homeostat.alignment.preference.pairs import read_pairs
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.cli.mine import MineSettings
from homeostat.cli.run_settings import RunSettings, read_settings, write_settings
from homeostat.controllers.operations import OPERATIONS, compute
from homeostat.controllers.plan_format import parse_plan
from homeostat.controllers.profiles import HeadProfile
from homeostat.controllers.reports import parse_report
from homeostat.conversation import ToolSpec
from homeostat.envs.android.json_action import ACTION_TYPES, JSONAction, from_json_action
from homeostat.envs.android.tree import elements
from homeostat.envs.element_actions import parse_element_action
from homeostat.envs.harness import Journal, load_suite
from homeostat.envs.harness.comparison import read_evaluation
from homeostat.envs.harness.results import Result
from homeostat.envs.mobile_use import Grid, parse_action
from homeostat.errors import ActionError, HomeostatError, ModelError, PlanError, UnparsableAction
from homeostat.json_values import json_values
from homeostat.observation import Element
from homeostat.sensors.calibration import Alarm, Calibration
from homeostat.settings import load_settings
from homeostat.testing import ScriptedModel

MODEL_LIMIT, FILE_LIMIT, SECONDS = 300, 2000, 1.0
GRID = Grid(1080, 2400)
TOOLS = (ToolSpec(name="mobile_use"), ToolSpec(name="click"))


@dataclass
class Reader:
    """A reader and what became of its inputs.

    Attributes:
        name: Its name.
        read: Reads one input.
        errors: The errors that it documents.
        limit: The most characters of an error's message.
        tries: The inputs so far.
        untyped: How many raised something else, or too long a message.
        slow: How many took longer than a second.
        refused: How many were refused with a documented error.
        longest: The longest time, in seconds.
        faults: The first faults.
    """

    name: str
    read: Callable[[Any], Any]
    errors: tuple[type[Exception], ...]
    limit: int
    tries: int = 0
    untyped: int = 0
    slow: int = 0
    refused: int = 0
    longest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __call__(self, value: Any) -> None:
        """Reads one input and counts."""
        begun, fault = time.process_time(), ""
        try:
            self.read(value)
        except self.errors as error:
            self.refused += 1
            text = str(error)
            if len(text) > self.limit or "\n" in text:
                fault = f"a message of {len(text)} characters: {text[:120]!r}"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            fault = f"{type(error).__name__}: {str(error)[:120]!r}"
        took = time.process_time() - begun
        self.tries += 1
        self.untyped += bool(fault)
        self.slow += took > SECONDS
        self.longest = max(self.longest, took)
        if (fault or took > SECONDS) and len(self.faults) < 5:
            self.faults.append(f"{fault or f'{took:.1f} s'} for {str(value)[:80]!r}")

    def as_dict(self) -> dict[str, Any]:
        """The counts."""
        return {
            "tries": self.tries,
            "untyped": self.untyped,
            "slow": self.slow,
            "refused": self.refused,
            "longest": round(self.longest, 3),
            "faults": self.faults,
        }


# What a model may write.

NUMBERS = st.one_of(
    st.integers(),
    st.integers(0, 3000),
    st.floats(),
    st.sampled_from([10**310, -(10**310), 2**63, 1e308, -0.0]),
)
WORDS = st.sampled_from(
    [
        "click",
        "tap",
        "type",
        "wait",
        "answer",
        "success",
        "Back",
        "{1}",
        "{²}",
        "{total}",
        "12",
        "$5",
        "09:30",
        "",
        "a b",
    ]
)
TEXTS = st.one_of(WORDS, st.text(max_size=20), st.sampled_from(["\x1b]52;c;AAAA\x07", "\u202e", "\ud800", "9" * 500]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
ACTIONS = st.fixed_dictionaries(
    {"action": st.one_of(WORDS, VALUES)},
    optional={
        "index": st.one_of(st.integers(-2, 3), TEXTS, VALUES),
        "coordinate": st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), VALUES),
        "coordinate2": st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), VALUES),
        **{
            name: st.one_of(TEXTS, VALUES)
            for name in ("text", "button", "status", "time", "keys", "pixels", "direction", "content", "x", "y")
        },
    },
)
SUBTASKS = st.one_of(
    TEXTS,
    VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            "instruction": TEXTS,
            "compute": st.one_of(st.sampled_from(OPERATIONS), VALUES),
            "of": st.one_of(st.lists(TEXTS, max_size=3), VALUES),
            **{name: st.one_of(TEXTS, VALUES) for name in ("save", "when", "say", "check", "max_steps", "report")},
        },
    ),
)
PLANS = st.fixed_dictionaries({"parts": st.one_of(st.lists(SUBTASKS, max_size=5), VALUES)}, optional={"finish": VALUES})
REPORTS = st.fixed_dictionaries(
    {}, optional={"facts": st.one_of(st.dictionaries(WORDS, VALUES, max_size=4), VALUES), "check": VALUES}
)
JSON_ACTIONS = st.fixed_dictionaries(
    {"action_type": st.one_of(st.sampled_from(ACTION_TYPES), VALUES)},
    optional={
        **{name: st.one_of(st.integers(-5, 3000), VALUES) for name in ("index", "x", "y")},
        **{
            name: st.one_of(WORDS, VALUES)
            for name in ("text", "direction", "goal_status", "app_name", "keycode", "clear_text")
        },
    },
)


@st.composite
def outputs(draw: Callable[..., Any], data: Any) -> str:
    """JSON data as a model writes it: in tags or prose, cut off, repeated, or with characters changed."""
    text = json.dumps(draw(data), ensure_ascii=draw(st.booleans()))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return f"<tool_call>\n{text}\n</tool_call>"
    if kind == 1:
        return f"I will do this:\n```json\n{text}\n```"
    if kind == 2:
        return text[: draw(st.integers(0, len(text)))]
    if kind == 3:
        at = draw(st.integers(0, len(text)))
        return text[:at] + draw(st.text(max_size=4)) + text[at + draw(st.integers(0, 3)) :]
    if kind == 4:
        return f'{{"name": "mobile_use", "arguments": {text}}}'
    if kind == 5:
        return draw(st.text(max_size=60)) + text
    if kind == 6:
        return text.replace('"', draw(st.sampled_from(["'", "“", "\\", ""])))
    return text


def hostile_outputs() -> Iterator[str]:
    """Hand-written inputs, each of which broke some parser somewhere."""
    for digits in (310, 4301, 100_000):
        yield f'{{"action":"click","coordinate":[1{"0" * digits},1]}}'
        yield f'{{"action":"wait","time":1{"0" * digits}}}'
        yield f'{{"parts":[{{"instruction":"x","max_steps":1{"0" * digits}}}]}}'
        yield f'{{"parts":["{{{"9" * digits}}}"]}}'
        yield f'{{"facts":{{"a":1{"0" * digits}}}}}'
    for constant in ("NaN", "Infinity", "-Infinity", "1e999"):
        yield f'{{"action":"click","coordinate":[{constant},{constant}]}}'
        yield f'{{"action":"wait","time":{constant}}}'
        yield f'{{"facts":{{"a":{constant}}},"check":{constant}}}'
        yield f'{{"parts":[{{"instruction":"x","max_steps":{constant}}}]}}'
    for depth in (90, 400, 900, 10_000, 100_000):
        nested = "[" * depth + "]" * depth
        yield nested
        yield '{"a":' * depth + "1" + "}" * depth
        for head in ('"action"', '"action":"type","text"', '"action":"click","coordinate"', '"parts"', '"facts"'):
            yield f"{{{head}:{nested}}}"
        yield f'{{"parts":[{nested}]}}'
    for text in ("{", "}", "[", '{"', '{"a":', "<tool_call>", "</tool_call>", "```", "\\", "\x1b[", "{}", "[[["):
        yield text * (3_000_000 // len(text))
    yield '{"":' * 300 + "[" + "0," * 1_000_000
    yield '{"action":"' + "x" * 3_000_000 + '"}'
    yield '{"parts":["' + "x" * 3_000_000 + '"]}'
    yield '{"parts":[' + '"x",' * 500_000 + '"x"]}'
    yield '{"facts":{' + '"a":1,' * 500_000 + '"a":1}}'


def parsers() -> dict[str, tuple[Reader, Any]]:
    """Every parser of a model's text, with the data that its inputs are made of."""

    def android(text: str) -> Any:
        for value in json_values(text):
            if isinstance(value, dict):
                known = {k: v for k, v in value.items() if k in JSONAction.__dataclass_fields__}
                return from_json_action(JSONAction(**known), [], (1080, 2400))
        return None

    def by_number(text: str) -> Any:
        return parse_element_action(text, [Element(role="button", text="a", box=(0.0, 0.0, 1.0, 0.5))], GRID)

    def computed(text: str) -> Any:
        return [compute(operation, [text, "7"]) for operation in OPERATIONS if not operation.startswith("name")]

    def made(name: str, read: Callable[[Any], Any], *errors: type[Exception]) -> Reader:
        return Reader(name, read, errors, MODEL_LIMIT)

    return {
        "mobile_use": (made("mobile_use", lambda t: parse_action(t, GRID), UnparsableAction), ACTIONS),
        "element_action": (made("element_action", by_number, UnparsableAction), ACTIONS),
        "turn": (made("turn", lambda t: read_turn(t, TOOLS), UnparsableAction), ACTIONS),
        # AndroidWorld's own class refuses with ValueError, and so does ours.
        "json_action": (made("json_action", android, ActionError, ValueError), JSON_ACTIONS),
        "plan": (made("plan", parse_plan, PlanError), PLANS),
        "report": (made("report", lambda t: parse_report(t, ["a", "click", "12"])), REPORTS),
        "json_values": (made("json_values", lambda t: list(json_values(t))), VALUES),
        "operations": (made("operations", computed, PlanError), VALUES),
    }


def fuzz_outputs(count: int) -> list[Reader]:
    """Runs every parser on at least ``count`` outputs."""
    readers = []
    for reader, data in parsers().values():
        for text in hostile_outputs():
            reader(text)
        while reader.tries < count:
            feed(reader, outputs(data), min(count - reader.tries, 20_000), seed=reader.tries)
        tell(reader)
        readers.append(reader)
    return readers


def tell(reader: Reader) -> None:
    """Prints a reader's counts on stderr."""
    print(
        f"{reader.name}: {reader.tries} tries, {reader.untyped} untyped, {reader.slow} slow",
        file=sys.stderr,
        flush=True,
    )


def feed(reader: Reader, strategy: Any, count: int, seed: int) -> None:
    """Draws ``count`` examples without shrinking. Hypothesis may find fewer that differ."""
    import hypothesis

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: Any) -> None:
        reader(value)

    run()


# Files that are damaged.


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=int, default=20_000, help="Model outputs for each parser.")
    parser.add_argument("--files", type=int, default=2_000, help="Damaged files in all.")
    parser.add_argument("--json", type=Path, help="The file for the figures.")
    asked = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    begun = time.perf_counter()
    readers = fuzz_files(asked.files) + fuzz_outputs(asked.outputs)
    figures = {
        "tries": sum(r.tries for r in readers),
        "untyped": sum(r.untyped for r in readers),
        "slow": sum(r.slow for r in readers),
        "longest": round(max(r.longest for r in readers), 3),
        "readers": {r.name: r.as_dict() for r in readers},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(figures, indent=1))
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
