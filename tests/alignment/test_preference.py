"""Preference pairs on disk, and out of traces."""

import json

import numpy as np
import pytest

from homeostat.agent import Agent
from homeostat.agent.events import Sense
from homeostat.agent.trace import Trace
from homeostat.alignment.preference.mining import complaint_pairs, corrected_pairs, loop_pairs
from homeostat.alignment.preference.pairs import Pair, read_pairs, split_by_task, to_dataset, unique, write_pairs
from homeostat.alignment.preference.steps import read_traces, steps_of
from homeostat.controllers import Decompose, Remind
from homeostat.envs.harness import make_env
from homeostat.envs.mobile_use import parse_action
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.readings import Reading


def same(one, other):
    parts = [[p for m in pair.prompt.messages for p in m.parts] for pair in (one, other)]
    return (one.chosen, one.rejected, one.kind, one.task, one.higher) == (
        other.chosen, other.rejected, other.kind, other.task, other.higher,
    ) and all(
        a.label == b.label and a.text == b.text and (a.image is None or np.array_equal(a.image, b.image))
        for a, b in zip(*parts, strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("family", ["image", "text"])
def test_pairs_come_back_from_disk(family, phone_pairs, chat_pairs, tmp_path):
    pairs = phone_pairs if family == "image" else chat_pairs
    write_pairs(pairs, tmp_path / "pairs")
    again = read_pairs(tmp_path / "pairs")
    assert len(again) == len(pairs)
    assert all(same(a, b) for a, b in zip(pairs, again, strict=True))
    columns = set(to_dataset(pairs).column_names)
    assert columns - {"images"} == {"prompt", "chosen", "rejected", "kind", "task", "higher"}
    assert ("images" in columns) is (family == "image")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q", "chosen": "a"}, "row 2, field 'rejected'"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "equals chosen"),
        ({"prompt": [{"role": "boss", "content": "q"}], "chosen": "a", "rejected": "b"}, "field 'prompt'.*boss"),
        ({"prompt": 7, "chosen": "a", "rejected": "b"}, "field 'prompt'"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "higher": ["law"]}, "field 'higher'"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "images": ["none.png"]}, "none.png"),
    ],
)
def test_rows_that_do_not_fit_are_named(row, message, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps(r) for r in ({"prompt": "q", "chosen": "a", "rejected": "b"}, row)))
    with pytest.raises(ConfigError, match=message):
        read_pairs(file)
    with pytest.raises(ConfigError, match="no data at"):
        read_pairs(tmp_path / "nothing")


def text_pair(n, task):
    return Pair(Prompt((Message("user", (Part("user", f"q{n}"),)),)), "a", "b", task=task)


def test_pairs_are_deduplicated_and_split_by_task():
    pairs = [text_pair(n, f"task {n // 3}") for n in range(300)]
    assert len(unique([*pairs, *pairs[:50]])) == 300
    train, held = split_by_task(pairs, 0.3, seed=1)
    assert not {p.task for p in train} & {p.task for p in held}
    assert 50 < len(held) < 140
    assert [p.digest for p in split_by_task(pairs, 0.3, seed=1)[1]] == [p.digest for p in held]


class Scripted:
    """A sensor that alarms on the first attempt of every step."""

    name = "scripted"
    needs = frozenset({"text"})

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=float(context.attempt == 0), threshold=0.5, alarm=context.attempt == 0)


def test_a_reminder_gives_a_corrected_and_a_drift_pair(white, tmp_path):
    env = make_env("phone", "train")
    agent = Agent(white, [Scripted()], [Remind(sensors=frozenset({"scripted"}), cooldown=1, lasts=1)])
    agent.run(env.reset_task("notes_add", seed=2), env, seed=2, run_folder=tmp_path / "run")
    (trace,) = read_traces([tmp_path])
    steps = steps_of(trace, white.style)
    assert any(len(s.attempts) > 1 for s in steps)
    at = next(n for n, e in enumerate(trace.events) if isinstance(e, Sense) and e.attempt == 0)
    bad = {"text": "no idea", "action": None, "unparsable": "no tool call"}
    events = list(trace.events)
    events[at] = events[at].model_copy(update=bad)  # nano answers a reminder as before: let one answer be a bad one
    trace = Trace(trace.folder, tuple(events))
    step = steps_of(trace, white.style)[trace.events[at].step]
    wrong = [p for p in corrected_pairs(trace, white.style) if p.rejected == "no idea"]
    (complained,) = [p for p in complaint_pairs(trace, white.style, white) if p.rejected == "no idea"]
    assert [p.chosen for p in wrong] == [step.attempts[-1].text]
    assert parse_action(complained.chosen, white.style.grid(step.seen))
    for pair in (*wrong, complained):
        labels = {p.label for m in pair.prompt.messages for p in m.parts}
        assert {"goal", "screen"} <= labels
        assert "reminder" not in labels


def test_what_the_loop_did_is_preferred_to_what_the_bare_model_would_do(white, tmp_path):
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.envs.harness import load_suite

    suite = load_suite("joined", split="train", episodes=3, seed=11)
    env = make_env(suite.env, suite.split, suite.options)
    agent = Agent(white, controllers=[Decompose()], planner=TransformersModel.load("homeostat/nano-planner"))
    solved = 0
    for n, case in enumerate(suite.cases()):
        task = env.reset_task(case.task, seed=case.seed)
        solved += bool(agent.run(task, env, seed=case.seed, run_folder=tmp_path / str(n)).success)
    assert solved
    traces = read_traces([tmp_path])
    pairs = list(loop_pairs(traces, white.style, white))
    assert pairs
    goals = {t.start.task.goal for t in traces}
    for pair in pairs:
        goal = next(p.text for m in pair.prompt.messages for p in m.parts if p.label == "goal")
        assert any(g in goal for g in goals)
        assert white.generate(pair.prompt, watch=False)[0].text == pair.rejected
        assert pair.chosen != pair.rejected


def test_traces_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no traces"):
        read_traces([tmp_path / "nothing"])
    with pytest.raises(ConfigError, match=r"no trace\.jsonl"):
        read_traces([tmp_path])


def test_a_saved_prompt_keeps_what_the_style_wrote(tmp_path):
    """Without the trusted ranges, the style's own control tokens would be broken up when the pairs are read again."""
    parts = (Part("rules", "rules: milk", trusted=((0, 6),)), Part("goal", "none"))
    pair = Pair(Prompt((Message("user", parts),)), "a", "b")
    write_pairs([pair], tmp_path / "pairs")
    (again,) = read_pairs(tmp_path / "pairs")
    assert again.prompt == pair.prompt
