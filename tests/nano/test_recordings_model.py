"""The shipped edition for recordings: its folder, and dev questions that it answers."""

import json

import pytest

from homeostat.agent import Agent, TransformersModel, nano_path
from homeostat.agent.models.loading import weights_hash
from homeostat.envs.harness import load_suite
from homeostat.envs.phone.recordings import RecordingEnv

FOLDER = nano_path().parent / "recordings"


def test_the_folder_is_stock_small_and_bf16_and_its_tower_is_the_executor_s():
    import torch
    from safetensors.torch import load_file

    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 10 * 2**20
    mine, nano = load_file(FOLDER / "model.safetensors"), load_file(nano_path() / "model.safetensors")
    assert mine.keys() == nano.keys()
    assert {value.dtype for value in mine.values()} == {torch.bfloat16}
    changed = {name for name in mine if not torch.equal(mine[name], nano[name])}
    assert changed
    assert all("language_model" in name and "embed" not in name for name in changed)
    assert weights_hash(FOLDER) == "b949cf019b72"  # the weights that docs/evidence.md measures
    assert "auto_map" not in json.loads((FOLDER / "config.json").read_text())
    for file in ("tokenizer.json", "chat_template.jinja", "processor_config.json"):
        assert (FOLDER / file).read_bytes() == (nano_path() / file).read_bytes()


@pytest.fixture(scope="module")
def edition():
    return TransformersModel.load("homeostat/nano-recordings")


def test_it_answers_dev_questions_in_the_loop(edition):
    """Guessing answers 4 of 12 or more about values in 35 of 100 cases, and 8 or more in 1 of 350."""
    cases = load_suite("recording", split="dev", episodes=48, seed=5).cases()
    env, agent = RecordingEnv(split="dev"), Agent(edition)
    values = [case for case in cases if case.task == "recording_value"][:12]
    right = [bool(agent.run(env.reset_task(c.task, seed=c.seed), env).success) for c in values]
    assert len(right) == 12
    assert sum(right) >= 8
