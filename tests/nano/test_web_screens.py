"""Web screens as training data: the page rewards the answers, and a file stores them. Also a short training run."""

import numpy as np
import pytest
import torch

from homeostat import actions as a
from homeostat.agent import TransformersModel
from homeostat.envs.miniwob import MiniWobEnv
from homeostat.envs.miniwob.seeds import SEEDS
from homeostat.envs.mobile_use import parse_action
from homeostat.errors import ConfigError, UnknownName
from homeostat.nano.checkpoints import save_model
from homeostat.nano.data.packing import IGNORE, Packer
from homeostat.nano.data.web_collection import SIZE, collect, screens_for
from homeostat.nano.data.web_screens import example, load_screens, save_screens
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor
from homeostat.nano.style import STYLE
from homeostat.nano.training.miniwob import fine_tune_web

TASKS = ("click-test-2", "click-button-sequence", "click-option")


@pytest.fixture(scope="module")
def screens(chromium):
    return list(collect(TASKS, 8, seed=0))


def test_what_the_file_says_is_what_the_page_rewards(screens):
    assert {s.task for s in screens} == set(TASKS)
    assert all(s.seed in SEEDS["train"] for s in screens)
    env, centred = MiniWobEnv(size=SIZE), 0
    try:
        for screen in screens:
            if not screen.history:
                assert env.ended == "" or env.success()
                env.reset_task(screen.task, seed=screen.seed)
            assert env.info.goal == screen.goal
            assert np.array_equal(env.observe().screenshot, screen.screenshot)
            action = parse_action(screen.answer, STYLE.grid(env.observe()))
            assert isinstance(action, a.Click)
            centred += all(round(p * side - 8, 6) % 16 == 0 for p, side in zip(action.point, SIZE, strict=True))
            env.act(action)
        assert env.success()
    finally:
        env.close()
    assert centred > len(screens) / 2


def test_a_file_keeps_every_screen(screens, tmp_path):
    save_screens(tmp_path / "s.npz", screens)
    kept = load_screens(tmp_path / "s.npz")
    assert len(kept) == len(screens)
    for one, other in zip(kept, screens, strict=True):
        assert np.array_equal(one.screenshot, other.screenshot)
        assert (one.task, one.seed, one.goal, one.history, one.answer, one.labels) == (
            (other.task, other.seed, other.goal, other.history, other.answer, other.labels)
        )
    whole = (tmp_path / "s.npz").read_bytes()
    for content in (b"nothing", b"", whole[: len(whole) // 2]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ConfigError, match=r"bad\.npz' is damaged or not a file of screens"):
            load_screens(tmp_path / "bad.npz")
    with pytest.raises(ConfigError, match=r"no screens of \['click-link'\]"):
        screens_for(tmp_path / "s.npz", ("click-link",), 1, 0)
    with pytest.raises(UnknownName, match="task with an oracle 'tic-tac-toe'"):
        screens_for(tmp_path / "s.npz", ("tic-tac-toe",), 1, 0)


def test_a_web_screen_is_packed_without_a_word_on_its_patches(screens):
    packer = Packer(build_processor())
    (batch,) = packer.batches([example(s) for s in screens[:4]], [], 4)
    assert (batch.patches == IGNORE).all()
    assert not batch.words[batch.branch == 0].any()
    assert (batch.kinds == 0).any()
    assert tuple(batch.pixels.shape) == (4, 3, 256, 144)


def test_a_short_training_lowers_the_loss_and_writes_a_model(screens, tmp_path):
    processor = build_processor()
    torch.manual_seed(0)
    save_model(tmp_path / "start", build_model(processor.tokenizer, width=64, layers=2), processor)
    save_screens(tmp_path / "s.npz", screens)
    figures = fine_tune_web(
        str(tmp_path / "start"),
        tmp_path / "out",
        TASKS,
        tmp_path / "s.npz",
        minutes=60,
        rate=2e-3,
        size=4,
        max_steps=30,
    )
    assert figures["loss_last"] < figures["loss_first"]
    assert 0 <= figures["phone"] <= 1
    loaded = TransformersModel.load(str(tmp_path / "out"))
    assert loaded.style == STYLE
    with pytest.raises(ConfigError, match="minutes 0"):
        fine_tune_web(str(tmp_path / "start"), tmp_path / "out", TASKS, tmp_path / "s.npz", minutes=0)
