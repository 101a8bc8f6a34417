"""The benchmark of drift on recorded conversations, run small, against forwards without a cache."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from homeostat.agent import TransformersModel
from homeostat.agent.prompts import conversation_prompt
from homeostat.conversation import Conversation, ToolSpec
from homeostat.errors import ConfigError

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
TURNS = 4


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "function": {"name": name, "arguments": json.dumps(arguments)}}],
    }


def episode(task: int, trial: int, name: str) -> dict[str, Any]:
    return {
        "task_id": task,
        "trial": trial,
        "reward": float(task % 2),
        "traj": [
            {
                "role": "system",
                "content": "# Policy\n\n- Ask before you change the order.\n\n## Orders\n\nOne at a time.",
            },
            {"role": "user", "content": f"I am {name}; change the order"},
            call("look", user=name),
            {"role": "tool", "name": "look", "content": "order 7: open"},
            {"role": "assistant", "content": "Change order 7?"},
            {"role": "user", "content": "yes"},
            call("cancel_reservation", order=7, user=name),
            {"role": "tool", "name": "cancel_reservation", "content": "done"},
            {"role": "assistant", "content": "It is done."},
        ],
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "episodes.json"
    names = ("Ann", "Bo", "Cy", "Di", "Ed")
    path.write_text(json.dumps([episode(n, t, name) for t in range(2) for n, name in enumerate(names)]))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, chat_tools: Any) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, data: Path, weights: Path, out: Path) -> dict[str, Any]:
    given = ["--data", str(data), "--model", f"{weights}:6", "--out", str(out), "--turns", str(TURNS), "--pulse", "2"]
    given += ["--horizon", "2", "--whole", "1,4", "--whole-count", "2", "--continued", "1", "--new-tokens", "4"]
    given += [
        "--judge",
        str(weights),
        "--judged",
        "2",
        "--json",
        str(out / "figures.json"),
        "--plot",
        str(out / "plot.png"),
    ]
    monkeypatch.setattr(sys, "argv", ["evidence_drift.py", *given])
    monkeypatch.syspath_prepend(FOLDER)
    runpy.run_path(str(FOLDER / "evidence_drift.py"), run_name="__main__")
    found: dict[str, Any] = json.loads((out / "figures.json").read_text())
    return found


def load(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return __import__(name)


@pytest.fixture(scope="module")
def measured(data: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as monkeypatch:
        figures = run(monkeypatch, data, weights, out)
        journal = out / "tiny.jsonl"
        first = journal.read_text()
        journal.write_text("".join(first.splitlines(keepends=True)[:3]) + '{"name": "cut off')
        again = run(monkeypatch, data, weights, out)
        assert len([json.loads(line) for line in journal.read_text().splitlines()]) == 6
        rows = [json.loads(line) for line in first.splitlines()]
        yield figures, again, rows, load(monkeypatch, "tau_bench")
    for name in ("tau_bench", "drift_tables", "drift_plot", "drift_judge", "journal", "evidence_drift"):
        sys.modules.pop(name, None)


def reference(weights: Path, data: Path, row: dict[str, Any], turn: int, reminder: str, tau: Any) -> Any:
    """(log-probabilities, attention on the system span) of a turn, in one forward without a cache."""
    model = TransformersModel.load(str(weights), "cpu", "float32")
    trajectories = tau.read_trajectories(data)
    one = next(each for each in trajectories if each.name == row["name"])
    tools = tau.tools_of(trajectories)
    talk = Conversation(system=one.policy, turns=one.turns[: one.answers[turn]], tools=tuple(tools))
    rendered = model.renderer.render(
        conversation_prompt(
            model.style.conversation, goal=one.goal, rules=(), conversation=talk, reminder=reminder, native=False
        )
    )
    after = talk.model_copy(update={"turns": one.turns[: one.answers[turn] + 1]})
    whole = model.renderer.render(
        conversation_prompt(model.style.conversation, goal=one.goal, rules=(), conversation=after, native=False)
    ).ids
    plain = conversation_prompt(model.style.conversation, goal=one.goal, rules=(), conversation=talk, native=False)
    start = len(model.renderer.render(plain).ids)
    answer = whole[start:][: row["turns"][turn]["tokens"]]
    net = AutoModelForCausalLM.from_pretrained(weights, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        out = net(torch.tensor([[*rendered.ids, *answer[:-1]]]), output_attentions=True)
    maps = torch.stack(out.attentions)[:, 0, :, -len(answer) :].numpy()  # (L, H, T, K)
    (bounds,) = rendered.spans["system"]
    return out.logits[0, -len(answer) :].log_softmax(-1).double().numpy(), maps[..., slice(*bounds)].sum(-1).mean()


def test_drift_and_attention_are_those_of_whole_forwards(measured: Any, weights: Path, data: Path) -> None:
    _, _, rows, tau = measured
    row = rows[1]
    rules = "# Policy\n\n- Ask before you change the order."
    for turn in range(TURNS):
        got = row["turns"][turn]
        q, mass = reference(weights, data, row, turn, "", tau)
        p, _ = reference(weights, data, row, turn, rules, tau)
        assert got["drift"] == pytest.approx((np.exp(q) * (q - p)).sum(-1).mean(), rel=1e-3)
        assert got["reverse"] == pytest.approx((np.exp(p) * (p - q)).sum(-1).mean(), rel=1e-3)
        assert got["drift"] > 1e-3
        assert got["mass"]["policy"] == pytest.approx(mass, abs=1e-4)
    whole = rules + "\n\n## Orders\n\nOne at a time."
    q, _ = reference(weights, data, row, 3, "", tau)
    p, _ = reference(weights, data, row, 3, whole, tau)
    assert row["turns"][3]["whole"]["drift"] == pytest.approx((np.exp(q) * (q - p)).sum(-1).mean(), rel=1e-3)
    assert row["turns"][1]["whole"] is None


def test_a_pulse_is_nothing_new_at_its_own_turn(measured: Any) -> None:
    _, _, rows, _ = measured
    for row in rows:
        now, later = row["pulse"]["drift"]
        assert now == pytest.approx(0, abs=1e-6)
        assert later > 1e-4
        assert row["pulse"]["reminder"][0] > 0


def test_a_run_that_was_cut_off_goes_on(measured: Any) -> None:
    figures, again, rows, _ = measured
    assert len(rows) == 6
    one, other = (found["models"]["tiny"] for found in (figures, again))
    assert [turn["drift"] for turn in one["by_turn"]] == [pytest.approx(turn["drift"]) for turn in other["by_turn"]]
    assert other["pulse"]["drift"]["mean"] == pytest.approx(one["pulse"]["drift"]["mean"], abs=1e-6)
    assert other["written"] == one["written"]


def test_figures_are_those_of_the_rows(measured: Any) -> None:
    figures, _, rows, _ = measured
    part = figures["models"]["tiny"]
    drift = np.array([[turn["drift"] for turn in row["turns"]] for row in rows])
    assert part["summary"]["tasks"] == 5  # six conversations: other tasks come first, then a second trial
    assert [one["drift"][0] for one in part["by_turn"]] == pytest.approx(drift.mean(0))
    late = (drift[:, -4:].mean(1) - drift[:, :4].mean(1)).mean()
    assert part["summary"]["late minus early"]["drift"][0] == pytest.approx(late)
    late = np.array([row["pulse"]["drift"] for row in rows])
    assert part["pulse"]["drift"]["mean"] == pytest.approx((late - drift[:, 1:3]).mean(0))
    assert part["summary"]["fit"]["as they are"]["trajectories"] == 6
    kinds = {"first call, bare", "first call, reminded", "before the confirmation, bare"}
    assert kinds <= set(part["written"])
    assert part["written"]["first call, bare"]["turns"] == 1


def test_a_judge_scores_own_and_foreign_turns(measured: Any) -> None:
    found = measured[0]["role_adherence"]
    assert found["conversations"] == 2
    assert 0 <= found["all four judged"] <= 2


def test_intervals_draw_whole_tasks(monkeypatch: pytest.MonkeyPatch, measured: Any) -> None:
    tables = load(monkeypatch, "drift_tables")
    values = np.array([0.0] * 50 + [1.0] * 50)
    _, low, high = tables.bootstrap(values, [0] * 50 + [1] * 50)
    assert (low, high) == (0, 1)  # two tasks, not a hundred conversations
    mean, low, high = tables.bootstrap(values, list(range(100)))
    assert mean == 0.5
    assert 0.38 < low < 0.42
    assert 0.58 < high < 0.62


def test_what_is_read_of_an_episode(measured: Any, data: Path, tmp_path: Path) -> None:
    tau = measured[3]
    episodes = tau.read_trajectories(data)
    one = episodes[0]
    assert (one.name, one.task, one.reward, len(one.answers)) == ("0-0", 0, 0.0, 4)
    assert one.confirmation() == 1
    look = next(tool for tool in tau.tools_of(episodes) if tool.name == "cancel_reservation")
    assert look.parameters["properties"] == {"order": {"type": "integer"}, "user": {"type": "string"}}
    assert look.parameters["required"] == ["order", "user"]
    assert look.changes
    some = tau.chosen(episodes, 4, lambda _: True, 7)
    assert len({each.task for each in some[:5]}) == 5
    assert tau.chosen(episodes, 4, lambda _: True, 3) == some[:3]
    assert tau.chosen(episodes, 5, lambda _: True, 3) == []
    (tmp_path / "bad.json").write_text('[{"traj": []}]')
    with pytest.raises(ConfigError, match=r"bad\.json"):
        tau.read_trajectories(tmp_path / "bad.json")
    with pytest.raises(ConfigError, match="none"):
        tau.read_trajectories(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "does", "legal", "breaks"),
    [
        ("May I cancel it?", "words", False, False),
        ('<tool_call>{"name": "look", "arguments": {"user": "Ann"}}</tool_call>', "call", True, False),
        ('<tool_call>{"name": "look", "arguments": {"who": "Ann"}}</tool_call>', "call", False, False),
        ('<tool_call>{"name": "find", "arguments": {}}</tool_call>', "call", False, False),
        ('<tool_call>{"name": "cancel_reservation", "arguments": {"order": 7}}</tool_call>', "call", True, True),
        ('Now. <tool_call>{"name": "look", "arguments": {"user": "Ann"}}</tool_call>', "call", True, True),
        ("<tool_call>look at it</tool_call>", "broken call", False, False),
    ],
)
def test_what_a_written_turn_does(measured: Any, text: str, does: str, legal: bool, breaks: bool) -> None:
    tools = [
        ToolSpec(name=name, parameters={"type": "object", "properties": {key: {}}, "required": [key]})
        for name, key in (("look", "user"), ("cancel_reservation", "order"))
    ]
    found = measured[3].verdict(text, tools)
    assert (found["does"], found["legal"], found["breaks"]) == (does, legal, breaks)
