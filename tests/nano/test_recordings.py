"""Recordings as training data: rows equal what the agent renders, and the right places are known. Also a short run."""

import random
from itertools import islice

import pytest
import torch

from homeostat.envs.mobile_use import parse_action
from homeostat.envs.phone.recordings import RecordingEnv, further_questions, recording_question
from homeostat.nano.checkpoints import save_model
from homeostat.nano.data.packing import IGNORE, Packer
from homeostat.nano.data.recording_rows import encode_recording
from homeostat.nano.data.recordings import recording_examples
from homeostat.nano.data.related_words import RELATED_WORDS
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor
from homeostat.nano.style import STYLE
from homeostat.nano.training.recording_losses import image_features, recording_losses, right_answers, run_row
from homeostat.nano.training.recordings import train_recordings
from homeostat.sensors.chat.rendering import Renderer


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return build_model(processor.tokenizer, width=64, layers=3).eval()


@pytest.fixture(scope="module")
def examples():
    """Short training examples, among them questions with reminders and with frames that are shown again."""
    return list(islice(recording_examples(random.Random(2), STYLE, window=4, most=10), 8))


@torch.no_grad()
def test_hidden_states_equal_those_of_the_stock_model_asked_alone(processor, model, examples):
    packer, renderer = Packer(processor), Renderer(processor)
    again = 0
    for example in examples:
        row = encode_recording(packer, example)
        logits = model.lm_head(run_row(model, row)[0])
        asked = row.labels != IGNORE
        for n, watched in enumerate(example.watched, start=1):
            mine = row.branch[asked] == n
            alone = model(**renderer.render(watched.question.prompt).inputs).logits[0, -1]
            assert torch.allclose(logits[mine][0], alone, atol=2e-4)
            assert processor.tokenizer.decode(row.labels[asked][mine]) == watched.question.answer + "<|end|>"
            again += bool(watched.again)
    assert again >= 1


@torch.no_grad()
def test_known_image_features_change_nothing_and_blank_patches_little(processor, model, examples):
    row = encode_recording(Packer(processor), examples[0])
    whole = recording_losses(model, row)
    seen = image_features(model, row)
    known = recording_losses(model, type(row)(**{**vars(row), "seen": seen, "pixels": row.pixels[:0]}))
    assert {name: value.item() for name, value in known.items()} == {n: v.item() for n, v in whole.items()}
    assert set(whole) >= {"answer", "match", "look", "copy"}
    assert all(torch.isfinite(value) and value > 0 for value in whole.values())
    thinned = recording_losses(model, row, kept=0.1)["answer"]
    assert thinned != whole["answer"]
    assert thinned == pytest.approx(whole["answer"].item(), rel=0.1)


def test_guidance_is_the_attention_of_the_stock_model(processor, model, examples):
    """The last layer's last two heads on the option's tokens, and the shares of a count, from eager attention."""
    packer = Packer(processor)
    source = recording_examples(random.Random(3), STYLE, window=4, most=20, further=0)
    example = next(e for e in source if any(len(w.tally) > 1 for w in e.watched))
    row = encode_recording(packer, example)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        found = model(
            input_ids=row.ids[None], pixel_values=row.pixels, position_ids=row.positions[None], output_attentions=True
        )
        losses = run_row(model, row)[1]
    model.set_attn_implementation("sdpa")
    masses = [(found.attentions[-1][0, head, row.copy.at] * row.copy.there).sum(-1) for head in (-2, -1)]
    wanted = torch.stack([-mass.log().mean() for mass in masses]).mean()
    assert losses["copy"] == pytest.approx(wanted.item(), rel=1e-3)
    shares = found.attentions[-2][0, 2, row.tally.at]
    places = 1 + len(example.watched[0].tally)
    diverged = [
        sum(-(p[t] * places).log() for t in there.nonzero()[:, 0]) / places
        for p, there in zip(shares, row.tally.there, strict=True)
    ]
    assert losses["tally"] == pytest.approx(torch.stack(diverged).mean().item(), rel=1e-3)


def test_the_right_places_show_the_answer(processor, examples):
    packer, copied, shown = Packer(processor), 0, 0
    for example in examples:
        row = encode_recording(packer, example)
        decode = processor.tokenizer.decode
        for at, there in zip(row.copy.at.tolist(), row.copy.there, strict=True):
            target, tokens = decode(row.labels[at]), [decode(t) for t in row.ids[there]]
            assert [t.strip() for t in tokens] == [target.strip()]
            copied += 1
        for watched in example.watched:
            for evidence in watched.evidence:
                words = {example.cells[evidence.frame][cell] for cell in evidence.cells}
                if watched.kind == "value":
                    assert set(watched.option.split()) <= words
                    shown += 1
    assert copied >= 20
    assert shown >= 2


def test_a_count_has_a_place_for_each_thing_and_an_order_the_app_that_it_is_about(processor):
    """The places that chain the guided heads: what a question is about, where that is, and what is counted."""
    packer, forms = Packer(processor), set()
    source = recording_examples(random.Random(8), STYLE, window=10, most=32)
    for example in islice(source, 16):
        row = encode_recording(packer, example)
        titles = {f: [w for c, w in sorted(example.cells[f].items()) if c[1] == 1][-1:] for f in example.visits}
        for n, watched in enumerate(example.watched, start=1):
            asked = [i for i, at in enumerate(row.about.at.tolist()) if row.branch[at] == n]
            if asked:
                tokens = row.ids[row.about.there[asked[0]]]
                assert processor.tokenizer.decode(tokens).strip() == watched.about
            if watched.kind == "count" and watched.tally:
                assert len({e.frame for e in watched.tally}) == int(watched.option)
            if watched.form in ("next app", "app before"):
                ((at, (cell,)),) = ((e.frame, e.cells) for e in watched.hop)
                before = example.visits.index(at) + (1 if watched.form == "next app" else -1)
                assert [example.cells[at][cell]] == titles[at]
                assert example.visits[before] == watched.evidence[0].frame
            forms.add(watched.form)
        said = set(row.whose.at.tolist())
        toasts = sum(cells.get((3, 15)) == "deleted" for cells in example.cells)
        assert len(said) == toasts
    assert {"times opened", "times deleted", "next app", "app before"} <= forms


def test_a_loosely_worded_question_keeps_its_deciding_word_or_a_related_one():
    kept = {"first app": "first", "last app": "last"}
    seen = {form: set() for form in kept}
    for example in islice(recording_examples(random.Random(9), STYLE, window=10), 24):
        for watched in example.watched:
            if watched.form in kept:
                word, text = kept[watched.form], watched.asked[: watched.asked.index("a) ")]
                said = {w.strip("?.,") for w in text.split()} & {word, *RELATED_WORDS[word]}
                assert said
                seen[watched.form] |= said
    assert all(len(words) >= 3 for words in seen.values())


def test_related_words_belong_to_one_deciding_word():
    words = [w for related in RELATED_WORDS.values() for w in related]
    assert len(set(words)) == len(words)
    assert not set(words) & set(RELATED_WORDS)


def test_the_answer_is_what_the_environment_takes_for_right(examples):
    env, rng = RecordingEnv("recording_value", split="train"), random.Random(4)
    env.reset_task(seed=7)
    first = recording_question("train", "value", 7)
    for about in (first, *further_questions(first.recording, "train", rng, 40)):
        assert about.recording is first.recording
        assert len(set(about.options)) == 4
    example = next(recording_examples(random.Random(1), STYLE, "train", further=0))
    action = parse_action(example.watched[0].question.answer, STYLE.grid(env.observe()))
    env.reset_task("recording_order", seed=random.Random(1).randrange(2**31))
    env.act(action)
    assert env.success()


def test_a_window_keeps_what_its_questions_need():
    for example in islice(recording_examples(random.Random(5), STYLE, window=5, most=12, cuts=2), 12):
        assert len(example.frames) == len(example.cells) <= 12
        assert all(0 <= f < len(example.frames) for f in example.visits)
        for watched in example.watched:
            assert all(0 <= e.frame < len(example.frames) for e in watched.evidence)
            assert watched.option in watched.asked
            assert watched.question.answer.count(watched.option) == 1


def test_a_short_training_writes_a_model(tmp_path, processor, model):
    save_model(tmp_path / "tiny", model.float(), processor)
    figures = train_recordings(
        str(tmp_path / "tiny"), tmp_path / "out", minutes=5, recordings=1, max_steps=2, workers=0
    )
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert 0 <= figures["watch"] <= 1
    assert figures["loss_last"] > 0


def test_greedy_answers_are_judged_token_by_token(processor, model, examples):
    row = encode_recording(Packer(processor), examples[0])
    with torch.no_grad():
        hidden, _ = run_row(model, row)
    asked = row.labels != IGNORE
    said = model.lm_head(hidden).argmax(-1)
    labels = row.labels.clone()
    labels[asked] = said
    assert all(right_answers(model, type(row)(**{**vars(row), "labels": labels})))
    assert not any(right_answers(model, row))
