"""The benchmark of faithfulness, run small on a tiny text model, and its parts against written-out computations."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import LlamaConfig, LlamaForCausalLM

from homeostat.agent import TransformersModel
from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors import Part

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


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
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    yield lambda name: __import__(name)
    for name in ("faithful_cases", "faithful_tables", "faithfulness", "journal"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("parts")
def test_chat_conflicts_at_two_lengths(monkeypatch: pytest.MonkeyPatch, weights: Path, tmp_path: Path) -> None:
    given = ["--model", str(weights), "--tasks", "chat:4:2", "--times", "1,4", "--new-tokens", "3", "--share", "0.25"]
    given += ["--out", str(tmp_path), "--json", str(tmp_path / "figures.json")]
    monkeypatch.setattr(sys, "argv", ["faithfulness.py", *given])
    runpy.run_path(str(FOLDER / "faithfulness.py"), run_name="__main__")
    rows = [json.loads(line) for line in (tmp_path / "tiny_spans.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["dev"] * 4 + ["test"] * 8
    assert [row["benign"] for row in rows[4:]] == [False, False, True, True] * 2
    found = json.loads((tmp_path / "figures.json").read_text())["tiny"]
    assert set(found["cells"]) == {"chat 1x", "chat 4x"}
    for times in (1, 4):
        some = [row["evidence"] for row in rows if row["split"] == "test" and row["times"] == times]
        assert ("history" in {e["label"] for e in some[0]}) is (times == 4)
        each = [spearmanr([e["mass"] for e in row], [e["deletion"] for e in row]).statistic for row in some]
        cell = found["cells"][f"chat {times}x"]
        within = next(c["within"] for c in cell["correlations"] if (c["one"], c["other"]) == ("mass", "deletion"))
        assert within[0] == pytest.approx(np.mean(each))
        assert found["heads"]["test"][f"chat {times}x"]["all heads"][0] == pytest.approx(np.mean(each))
        system = [e for row in some for e in row if e["label"] == "system"]
        over = spearmanr([e["mass"] for e in system], [e["deletion"] for e in system]).statistic
        assert cell["labels"]["system"]["mass and deletion"][0] == pytest.approx(over)
    assert len(found["heads"]["chosen"]) == 2
    assert sum(found["heads"]["by layer"]) == 2


def test_a_longer_prompt_keeps_its_ends(parts: Any, weights: Path) -> None:
    cases = parts("faithful_cases")
    model = TransformersModel.load(str(weights), "cpu", "float32")
    shown = next(cases.chat("test"))
    longer = cases.longer(model, shown.prompt, 4)
    short, long = (len(model.renderer.render(prompt).ids) for prompt in (shown.prompt, longer))
    assert 4 * short <= long < 8 * short
    assert longer.messages[0] == shown.prompt.messages[0]
    assert longer.messages[-1] == shown.prompt.messages[-1]
    assert {part.label for message in longer.messages[1:-1] for part in message.parts} == {"history"}
    assert [message.role for message in longer.messages[1:-1]] == ["user", "assistant"] * (
        len(longer.messages) // 2 - 1
    )
    assert cases.longer(model, shown.prompt, 1) == shown.prompt


def test_a_plain_template_changes_only_the_template(parts: Any, weights: Path) -> None:
    cases = parts("faithful_cases")
    model = TransformersModel.load(str(weights), "cpu", "float32")
    plain = cases.other_template(model)
    prompt = next(cases.chat("test")).prompt
    assert plain.renderer.render(prompt).text.startswith("System: ")
    assert model.renderer.render(prompt).text.startswith("<|im_start|>system")
    assert plain.model is model.model


def test_an_injected_order_is_a_span_of_its_own(parts: Any, weights: Path) -> None:
    cases = parts("faithful_cases")
    model = TransformersModel.load(str(weights), "cpu", "float32")
    (shown,) = cases.tools(model, "test", 1, injected=True)
    labels = [part.label for message in shown.prompt.messages for part in message.parts]
    assert "order" in labels
    assert not shown.benign
    part = Part("tool.look", "abcdef", trusted=((0, 2), (3, 6)))
    assert cases.split_part(part, 1, 4, "order") == (
        Part("tool.look", "a", trusted=((0, 1),)),
        Part("order", "bcd", trusted=((0, 1), (2, 3))),
        Part("tool.look", "ef", trusted=((0, 2),)),
    )


def test_thresholds_and_their_false_alarms(parts: Any) -> None:
    tables = parts("faithful_tables")
    rows = [
        {"source": source, "part": part, "number": n, "values": {"focus": n / 19 + low}}
        for source, low in (("one", 0.0), ("other", -2.0))
        for part in ("set", "measured")
        for n in range(19)
    ]
    found = tables.transfer_table(rows, 0.1)["readings"]["focus"]
    assert found["one"]["threshold"] == pytest.approx(1 / 19)  # the second lowest of 19: (19 + 1) / 10 = 2
    assert found["one"]["one"]["mean"] == pytest.approx(1 / 19)
    assert found["one"]["other"]["mean"] == 1
    assert found["other"]["one"]["mean"] == 0
    assert tables.plain({"a": [float("nan"), 1.0]}) == {"a": [None, 1.0]}


def test_bad_options(monkeypatch: pytest.MonkeyPatch, parts: Any) -> None:
    script = parts("faithfulness")
    assert script.tasks_of("chat,tools:6:3", 20, 5) == {"chat": (20, 5), "tools": (6, 3)}
    with pytest.raises(UnknownName, match="chats"):
        script.tasks_of("chats", 1, 1)
    monkeypatch.setattr(sys, "argv", ["faithfulness.py", "--tasks", "tensortrust"])
    with pytest.raises(ConfigError, match="--data is missing"):
        script.main()
