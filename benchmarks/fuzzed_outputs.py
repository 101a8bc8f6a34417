"""What a model may write, and the parsers that read it; the counter of what becomes of each input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from homeostat.agent.tool_calls import read_turn
from homeostat.controllers.operations import OPERATIONS, compute
from homeostat.controllers.plan_format import parse_plan
from homeostat.controllers.reports import parse_report
from homeostat.conversation import ToolSpec
from homeostat.envs.android.json_action import ACTION_TYPES, JSONAction, from_json_action
from homeostat.envs.element_actions import parse_element_action
from homeostat.envs.mobile_use import Grid, parse_action
from homeostat.errors import ActionError, PlanError, UnparsableAction
from homeostat.json_values import json_values
from homeostat.observation import Element

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
