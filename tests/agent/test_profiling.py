"""Head profiles: effects against plain scores, and the command on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from homeostat.agent import TransformersModel
from homeostat.agent.profiling import effects, right_answers
from homeostat.cli.root import app
from homeostat.controllers import HeadProfile, controllers_for
from homeostat.envs.harness import load_suite
from homeostat.sensors import Actuator


@pytest.fixture(scope="module")
def nano() -> TransformersModel:
    return TransformersModel.load("homeostat/nano")


def test_an_effect_is_the_gain_in_log_probability_of_the_oracle_s_answer(nano: TransformersModel) -> None:
    answers = right_answers(nano, load_suite("atomic", split="dev", episodes=3), 3)
    texts = [nano.renderer._processor.tokenizer.decode(one.tokens) for one in answers]
    assert all(text.startswith("<tool_call>") and text.endswith("</tool_call>") for text in texts)
    heads = [(1, 0), (3, 2)]
    table = effects(nano, answers, heads, lambda one, chosen: (Actuator("goal", gain=20.0, heads=chosen),))
    one = answers[1]
    at = np.arange(len(one.tokens)), list(one.tokens)
    steer = (Actuator("goal", gain=20.0, heads=frozenset({(3, 2)})),)
    wanted = nano.score(one.prompt, one.tokens, steer)[at].mean() - nano.score(one.prompt, one.tokens)[at].mean()
    np.testing.assert_allclose(table[1, 1], wanted, atol=1e-5)
    assert np.abs(table).max() > 1e-4


def test_scores_under_steering_are_those_of_generation_under_steering(nano: TransformersModel) -> None:
    (one,) = right_answers(nano, load_suite("atomic", split="dev", episodes=1), 1)
    steer = (Actuator("goal", gain=4.0), Actuator(None, output=1.5, heads=frozenset({(2, 1)})))
    (written,) = nano.generate(one.prompt, steer=steer)
    forced = nano.score(one.prompt, written.tokens, steer)
    np.testing.assert_allclose(forced[np.arange(len(written.tokens)), written.tokens], written.logprobs, atol=1e-4)


def test_the_command_writes_a_profile_and_what_was_measured(tmp_path: Path) -> None:
    out = tmp_path / "heads.json"
    result = CliRunner().invoke(app, ["profile", "--prompts", "6", "--suite", "atomic", "--out", str(out)])
    assert result.exit_code == 0, result.output
    profile = HeadProfile.load(out)
    assert profile.gains["zero-tuning"] in (0.5, 0.67, 1.5, 2.0)
    assert profile.heads["vhr"]
    told = json.loads((tmp_path / "heads.effects.json").read_text())
    assert len(told["pasta"]) == 20
    assert set(told) == {"pasta", "act", "zero-tuning", "gains", "boosts"}
    assert profile.gains["instaboost"] == float(max(told["boosts"], key=lambda b: told["boosts"][b]))
    assert {layer for layer, _ in profile.heads["act"]} <= {2, 3}  # nano has five layers
    effects = {(row["layer"], row["head"]): row["effect"] for row in told["pasta"]}
    counted = {h: e for (h, e), row in zip(effects.items(), told["pasta"], strict=True) if abs(e) > row["error"]}
    wanted = dict.fromkeys(effects, 1.0) | {
        head: 3 ** (effect / max(map(abs, counted.values()))) for head, effect in counted.items()
    }
    weights = profile.weights_of("goal")
    assert weights is not None
    assert weights.weights == pytest.approx(wanted)
    (steer,) = controllers_for("head-weights", profile).controllers
    held = {head: rule.gain for rule in steer.actuators for head in rule.heads}
    assert held == pytest.approx({head: weight for head, weight in wanted.items() if weight != 1})


def test_a_suite_without_an_oracle_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["profile", "--suite", "recording", "--out", str(tmp_path / "h.json")])
    assert result.exit_code != 0


def test_steering_is_tried_in_the_given_layers_only(tmp_path: Path) -> None:
    out = tmp_path / "heads.json"
    command = ["profile", "--prompts", "6", "--suite", "atomic", "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--layers", "3"])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "heads.effects.json").read_text())
    assert {row["layer"] for row in told["pasta"]} == {3}
    for wrong, reason in (("3,99", "no layer 99 in this model"), ("last", "'last' are no numbers with commas")):
        refused = CliRunner().invoke(app, [*command, "--layers", wrong])
        assert refused.exit_code != 0
        assert reason in str(refused.exception) + refused.output
