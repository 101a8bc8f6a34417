"""Recorded conversations in tau-bench's form: turns, answers, and trajectories of readings."""

import json

import pytest

from homeostat.alignment.diagnosis.conversations import read_conversations, trajectories
from homeostat.errors import ConfigError
from homeostat.sensors.trajectories import fit_trajectories

CALL = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}
CHAT = [
    {"role": "system", "content": "The policy."},
    {"role": "user", "content": "Find it."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "found", "tool_call_id": "c", "name": "find"},
    {"role": "assistant", "content": "Here it is."},
    {"role": "user", "content": "###STOP###"},
]


def save(tmp_path, *rows):
    file = tmp_path / "runs.json"
    file.write_text(json.dumps(rows))
    return file


def row(trial=0, chat=CHAT, reward=1.0):
    return {"task_id": 7, "trial": trial, "reward": reward, "info": {}, "traj": chat}


def test_a_conversation_is_taken_apart_by_turns(tmp_path):
    (found,) = read_conversations(save(tmp_path, row()))
    assert (found.task, found.trial, found.reward) == ("7", 0, 1.0)
    call, answer = found.turns()
    assert [m.role for m in call.prompt.messages] == ["system", "user"]
    assert json.loads(call.answer) == {"name": "find", "arguments": {"x": 1}}
    assert [m.role for m in answer.prompt.messages] == ["system", "user", "assistant", "tool"]
    assert (answer.number, answer.answer) == (1, "Here it is.")
    assert answer.prompt.messages[2].extra["tool_calls"][0]["function"]["name"] == "find"


def test_readings_of_turns_are_trajectories(tmp_path):
    chats = [CHAT[:2] + [{"role": "assistant", "content": "a" * (1 + (n * k) % 7)} for k in range(9)] for n in range(8)]
    runs = read_conversations(save(tmp_path, *(row(n, chat) for n, chat in enumerate(chats)), row(9)))
    paths = trajectories(runs, lambda turn: None if turn.number == 8 else float(len(turn.answer)))
    assert paths == [[float(1 + (n * k) % 7) for k in range(8)] for n in range(8)]  # the last has two turns only
    fit = fit_trajectories(paths[1:7], least_turns=8, resamples=99)
    assert fit.trajectories == 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"traj": "x"}, "row 1, field 'traj': 'x' must be of type list"),
        ({"traj": [1]}, "row 1, field 'traj': it must be a list of messages"),
        ({"traj": [{"role": "boss", "content": "x"}]}, "row 1, field 'traj': .*boss"),
        ({"reward": None}, "row 1, field 'reward'"),
    ],
)
def test_other_rows_are_named(changed, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        read_conversations(save(tmp_path, row() | changed))


def test_a_missing_or_empty_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no conversations at"):
        read_conversations(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="holds no rows"):
        read_conversations(save(tmp_path))
