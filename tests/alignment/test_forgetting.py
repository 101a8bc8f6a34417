"""What align reports about forgetting: against plain forward passes, before and after a run."""

import json

import pytest
import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import write_pairs
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.forgetting import TEXT, Forgetting, aligned_twins, read_text, retained
from homeostat.alignment.sail.run import align
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.errors import ConfigError


def plain(white, twins, text):
    """The figures, one sequence at a time."""
    right, nats, count = 0, 0.0, 0
    for case in twins:
        (attempt,) = white.generate(case.prompt, max_new_tokens=64)
        right += case.judge(attempt.text).reached == 1
        prompt, answer = white.renderer.render(case.prompt), answer_tokens(white.renderer, case.prompt, case.chosen)
        ids = torch.tensor([[*prompt.ids, *answer]])
        extra = {k: v for k, v in prompt.inputs.items() if k == "pixel_values"}
        with torch.no_grad():
            scores = white.model(input_ids=ids, **extra).logits[0, len(prompt.ids) - 1 : -1].log_softmax(-1)
        nats += float(scores[torch.arange(len(answer)), torch.tensor(answer)].sum())
        count += len(answer)
    ids = torch.tensor([white.renderer.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(white.model(input_ids=ids).logits[0, :-1], ids[0, 1:])
    return right, nats / count, -float(loss)


def test_figures_equal_plain_forward_passes(white):
    suite, twins = aligned_twins(white, 5, 3)
    assert suite == "phone"
    assert all(case.aligned for case in twins)
    assert len({case.id for case in twins}) == 5
    found = retained(white, twins, TEXT[:300])
    right, nats, text = plain(white, twins, TEXT[:300])
    assert found.right == right > 0
    assert found.answer == pytest.approx(nats, abs=1e-4)
    assert found.text == pytest.approx(text, abs=1e-4)


@pytest.mark.parametrize("path", ["fast", "trl"])
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # PEFT's and TRL's own
def test_align_reports_what_was_forgotten(text_folder, chat_pairs, tmp_path, path):
    write_pairs(chat_pairs, tmp_path / "pairs")
    (tmp_path / "text.txt").write_text("open the app and add milk to the list")

    def settings(**more):
        told = {"layers": "all", "weights": "uniform", "batch": 4, "rate": 5e-2, "epochs": 4, "attention_steps": 0}
        folder = {"out": tmp_path / "run", "cache": tmp_path / "c", "text": tmp_path / "text.txt"}
        return AlignSettings(
            model=str(text_folder),
            data=tmp_path / "pairs",
            device="cpu",
            forgetting=4,
            path=path,
            **(told | folder | more),
        )

    result = align(settings())
    found = result.forgetting
    assert (found.suite, found.twins) == ("chat", 4)
    white = TransformersModel.load(str(text_folder), "cpu", "float32", reuse=False)
    _, twins = aligned_twins(white, 4, 0)
    text = read_text(tmp_path / "text.txt")
    adapted = load_adapted(str(tmp_path / "run" / "adapter"), "cpu", "float32")
    for kept, model in ((found.before, white), (found.after, adapted)):
        right, nats, own = plain(model, twins, text)
        assert (kept.right, kept.answer, kept.text) == pytest.approx((right, nats, own), abs=1e-4)
    assert abs(found.after.text - found.before.text) > 0.02  # such a rate changes the model, and the figures show it
    saved = json.loads((tmp_path / "run" / "result.json").read_text())
    assert Forgetting.from_dict(saved["forgetting"]) == found
    card = (tmp_path / "run" / "adapter" / "README.md").read_text()
    assert "aligned twins right (of 4, chat)" in card
    assert "plain text (nats per token)" in card
    again = align(settings())  # a finished run is told, not run
    assert again.forgetting == found


def test_a_bad_text_is_named(tmp_path, white):
    with pytest.raises(ConfigError, match=r"text '.*none.txt' can't be read"):
        read_text(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(ConfigError, match="is empty; give a text file"):
        read_text(tmp_path / "empty.txt")
    with pytest.raises(ConfigError, match="fewer than two tokens"):
        retained(white, [], "a")
