"""A run that keeps the attention on every token of each prompt: the files, their figures, secrets, damage, resuming."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.agent import Agent, AttentionRecord, TransformersModel, read_trace
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError, TraceError
from homeostat.sensors import Attempt, AttentionDrift
from homeostat.testing import ScriptedModel


@pytest.fixture(scope="module")
def nano() -> TransformersModel:
    return TransformersModel.load("homeostat/nano")


@pytest.fixture(scope="module")
def folder(nano: TransformersModel, tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("runs") / "kept"
    env = PhoneEnv(split="test")
    agent = Agent(nano, [AttentionDrift()])
    agent.run(env.reset_task("notes_add", seed=1), env, max_steps=3, run_folder=path, record_attention=True)
    return path


def test_every_call_has_a_record_whose_sums_are_the_span_masses(folder: Path) -> None:
    trace = read_trace(folder)
    assert len(trace.attempts) == 3
    for sense in trace.attempts:
        record = trace.attention(sense)
        assert record is not None
        assert record.by_head.shape == (len(record.layers), record.by_head.shape[1], sense.prompt_tokens)
        assert record.by_token.shape == (len(sense.tokens), sense.prompt_tokens)
        for label, ranges in record.spans.items():
            summed = sum(float(record.mean()[start:stop].sum()) for start, stop in ranges)
            assert summed == pytest.approx(sense.mass[label], abs=2e-3), label  # half precision
            by_token = sum(record.by_token[:, start:stop].astype(np.float64).sum() for start, stop in ranges)
            assert by_token / len(sense.tokens) == pytest.approx(sense.mass[label], abs=2e-3), label
        goal = "".join("".join(record.tokens[start:stop]) for start, stop in record.spans["goal"])
        assert goal.split() == ["goal:", *sense.instruction.split()]
        assert "".join(record.answer).startswith(sense.text[:5])


def test_a_range_of_layers_and_heads_is_averaged(folder: Path) -> None:
    trace = read_trace(folder)
    record = trace.attention(trace.attempts[0])
    assert record is not None
    chosen = record.by_head[1:3, 2:4].astype(np.float64)
    np.testing.assert_allclose(record.mean((1, 3), (2, 4)), chosen.mean((0, 1)))


def test_without_being_asked_nothing_is_kept(nano: TransformersModel, tmp_path: Path) -> None:
    env = PhoneEnv(split="test")
    task = env.reset_task("notes_add", seed=1)
    Agent(nano, [AttentionDrift()]).run(task, env, max_steps=1, run_folder=tmp_path / "run")
    assert not (tmp_path / "run" / "attention").exists()
    trace = read_trace(tmp_path / "run")
    assert trace.attention(trace.attempts[0]) is None


def test_a_resumed_run_goes_on_keeping_it_and_the_run_is_the_same_as_without(
    nano: TransformersModel, folder: Path, tmp_path: Path
) -> None:
    env = PhoneEnv(split="test")
    agent = Agent(nano, [AttentionDrift()])
    task = env.reset_task("notes_add", seed=1)
    run = agent.start(task, env, max_steps=3, run_folder=tmp_path / "run", record_attention=True)
    for event in run:
        if event.kind == "act":
            break
    run.close()
    agent.resume(tmp_path / "run", PhoneEnv(split="test")).result  # noqa: B018
    names = sorted(path.name for path in (tmp_path / "run" / "attention").iterdir())
    assert names == ["0-0.npz", "1-0.npz", "2-0.npz"]
    plain = agent.run(env.reset_task("notes_add", seed=1), env, max_steps=3, run_folder=tmp_path / "plain")
    texts = [[sense.text for sense in read_trace(path).attempts] for path in (folder, tmp_path / "plain")]
    assert texts[0] == texts[1]
    assert plain.steps == 3


def test_it_needs_a_folder_and_a_model_whose_attention_can_be_read(nano: TransformersModel, tmp_path: Path) -> None:
    env = PhoneEnv(split="test")
    task = env.reset_task("notes_add", seed=1)
    with pytest.raises(ConfigError, match="give run_folder"):
        Agent(nano).start(task, env, record_attention=True)
    with pytest.raises(ConfigError, match="'scripted' reads no attention"):
        Agent(ScriptedModel(["x"])).start(task, env, run_folder=tmp_path / "run", record_attention=True)


def record(tokens: tuple[str, ...]) -> AttentionRecord:
    count = len(tokens)
    weights = np.full((1, 2, count), 1 / count, np.float16)
    return AttentionRecord(tokens, ("a",), {"goal": ((0, count),)}, (0,), weights, weights[0, :1])


def test_secrets_are_not_kept_though_they_are_spread_over_tokens() -> None:
    key = "sk-abcdefghijklmnopqrst"
    tokens = ("use ", key[:6], key[6:15], key[15:], " now")
    clean = record(tokens).redacted()
    assert clean.tokens == ("use ", "[redacted: API key]", "", "", " now")
    card = record(("pay 4111 ", "1111 1111", " 1111", " today")).redacted()
    assert "".join(card.tokens) == "[redacted: card number] today"
    assert len(card.tokens) == 4
    assert record(("no ", "secret")).redacted().tokens == ("no ", "secret")


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    one = record(("<s>", "näh", "\ud800", "\u202e"))
    path = tmp_path / "0-0.npz"
    path.write_bytes(one.to_bytes())
    other = AttentionRecord.load(path)
    assert (other.tokens, other.answer, other.spans, other.layers) == (one.tokens, one.answer, one.spans, one.layers)
    np.testing.assert_array_equal(other.by_head, one.by_head)
    np.testing.assert_array_equal(other.by_token, one.by_token)


def test_a_missing_or_damaged_record_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        AttentionRecord.load(tmp_path / "none.npz")
    good = (folder / "attention" / "0-0.npz").read_bytes()
    for number, data in enumerate((b"", b"no file", good[: len(good) // 2], _changed(good, {"version": 2}))):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(data)
        with pytest.raises(TraceError, match="is damaged"):
            AttentionRecord.load(path)
    trace = read_trace(folder)
    hostile = trace.attempts[0].model_copy(update={"attention": "../../secret.npz"})
    with pytest.raises(TraceError, match="no name of one"):
        trace.attention(hostile)


def test_a_hostile_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0-0.npz"
    good = {"by_head": np.full((1, 2, 3), 0.1, np.float16), "by_token": np.full((1, 3), 0.1, np.float16)}
    told = {"version": 1, "tokens": ["a", "b", "c"], "answer": ["x"], "spans": {}, "layers": [0]}

    def refused(reason: str, changed: dict[str, Any] | None = None, **arrays: Any) -> None:
        text = np.frombuffer(json.dumps(told | (changed or {})).encode(), np.uint8)
        np.savez_compressed(path, **({"told": text} | good | arrays))
        with pytest.raises(TraceError, match=f"is damaged .*{reason}"):
            AttentionRecord.load(path)

    for name, weights in good.items():
        refused("not finite", **{name: np.full_like(weights, np.nan)})
        refused("outside 0 to 1", **{name: -weights})
        refused("outside 0 to 1", **{name: weights + 7})
        refused("no number", **{name: weights.astype(np.complex64)})
        refused("no number", **{name: np.full(weights.shape, "x")})
        refused("another shape", **{name: weights[..., :2]})
        refused("Object arrays", **{name: np.full(weights.shape, None, object)})
    refused("layers or heads", {"tokens": []}, by_head=np.zeros((1, 10**8, 0), np.float16), by_token=np.zeros((1, 0)))
    refused("lies outside", {"spans": {"goal": [[0, 10**12]]}})
    refused("overlap", {"spans": {"goal": [[0, 3]] * 10**5}})
    refused("infinity", {"layers": [float("inf")]})
    refused("not iterable", {"tokens": 7})
    refused("recursion", told=np.frombuffer(b"[" * 10**6, np.uint8))
    refused("unpacks to more", told=np.zeros(64 * 2**20, np.uint8))
    np.savez_compressed(path, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **good)
    data = bytearray(path.read_bytes())
    for at in range(40, len(data) - 40, 7):  # a fault of numpy, zip or zlib
        torn = bytes(data[:at]) + bytes([data[at] ^ 0x55]) + bytes(data[at + 1 :])
        path.write_bytes(torn)
        with contextlib.suppress(TraceError):
            AttentionRecord.load(path)
    path.unlink()
    (tmp_path / "other.npz").write_bytes(data)
    path.symlink_to(tmp_path / "other.npz")
    with pytest.raises(TraceError, match="no record of attention"):
        AttentionRecord.load(path)


def _changed(data: bytes, changes: dict[str, Any]) -> bytes:
    import io

    with np.load(io.BytesIO(data)) as held:
        parts = dict(held)
    told = json.loads(parts["told"].tobytes()) | changes
    parts["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **parts)
    return out.getvalue()


def test_an_attempt_without_such_weights_has_no_record() -> None:
    assert AttentionRecord.of(Attempt(text="x")) is None
