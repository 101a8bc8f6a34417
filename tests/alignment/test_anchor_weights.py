"""FAI anchors as token weights, against the paper's sums written out over eager attention maps."""

import json

import numpy as np
import pytest
import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import write_pairs
from homeostat.alignment.sail.anchor_weights import anchor_weights
from homeostat.alignment.sail.cache import StateCache
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.preparation import prepare, token_weights
from homeostat.alignment.sail.run import align
from homeostat.alignment.sail.tokens import Tokens, tokenise

LAYERS = (1, 2)  # the middle third of four


def long_answers(white, pairs):
    """Pairs with random answers of 9 to 75 tokens, of which some have whole windows of later tokens and some none."""
    rng = np.random.default_rng(0)
    found = []
    for one, (c, r) in zip(tokenise(white.renderer, pairs), ((75, 30), (11, 12), (9, 63)), strict=True):
        chosen, rejected = (tuple(int(t) for t in rng.integers(5, 400, n)) for n in (c, r))
        found.append(Tokens(one.prompt, chosen, rejected, one.higher))
    return found


def written_out(model, tokens, credit):
    """The weights by the paper's definitions, token by token."""
    maps, rows = [], []
    model.set_attn_implementation("eager")
    for one in tokens:
        for answer in (one.chosen, one.rejected):
            ids = torch.tensor([[*one.prompt.ids, *answer[:-1]]])
            with torch.no_grad():
                out = model(input_ids=ids, output_attentions=True, use_cache=False).attentions
            maps.append(np.stack([out[n][0].double().numpy() for n in LAYERS]))  # (L, H, K, K)
            rows.append((len(one.prompt.ids), len(answer)))
    distance, count = np.zeros(maps[0].shape[:2]), 0
    for found, (prompt, length) in zip(maps, rows, strict=True):
        for t in range(prompt - 1, prompt + length - 1):  # the rows that produce the answer's tokens
            distance += (found[:, :, t, : t + 1] * (t - np.arange(t + 1))).sum(-1)
            count += 1
    reach = (distance / count).ravel()
    chosen = sorted(range(len(reach)), key=lambda h: -reach[h])[: round(0.3 * len(reach))]
    weights = []
    for found, (prompt, length) in zip(maps, rows, strict=True):
        mean = found.reshape(-1, *found.shape[2:])[chosen].mean(0)
        influence = {}
        for s in range(length):
            later = [prompt + t for t in range(s + 10, min(s + 50, length - 2) + 1)]
            if later:
                influence[s] = np.mean([mean[t, prompt + s] for t in later])
        top = sorted(influence, key=lambda s: -influence[s])[: round(0.4 * len(influence))]
        weights.append([credit if s in top else 1.0 for s in range(length)])
    return list(zip(weights[::2], weights[1::2], strict=True))


@pytest.mark.parametrize("size", [1, 8])
def test_anchor_weights_equal_the_paper_s_sums_over_eager_attention(text_folder, chat_pairs, size):
    white = TransformersModel.load(str(text_folder), "cpu", "float32", reuse=False)
    tokens = long_answers(white, chat_pairs[:3])
    found = anchor_weights(white, tokens, 1.5, size)
    wanted = written_out(white.model, tokens, 1.5)
    for both, own in zip(found, wanted, strict=True):
        assert [side.tolist() for side in both] == [list(side) for side in own]
    assert sum(float((side > 1).sum()) for both in found for side in both) > 40
    assert found[1][0].tolist() == [1.0] * 11  # nothing lies ten tokens behind any of its tokens
    assert found[2][0].tolist() == [1.0] * 9


def test_align_takes_anchors_and_each_credit_its_own_weights(text_folder, chat_pairs, tmp_path):
    write_pairs(chat_pairs, tmp_path / "pairs")
    cache = StateCache(tmp_path / "cache", 2**30)

    def settings(**more):
        told = {"layers": "2,3", "weights": "anchors", "batch": 4, "max_steps": 2, "out": tmp_path / "run"}
        return AlignSettings(
            model=str(text_folder), data=tmp_path / "pairs", cache=tmp_path / "c", device="cpu", **(told | more)
        )

    result = align(settings())  # needs no localization
    assert json.loads((result.folder / "result.json").read_text())["steps"] == 2
    card = (result.folder / "adapter" / "README.md").read_text()
    assert "anchors, lambda 1.0" in card
    for credit in (1.5, 3.0):
        prepared = prepare(settings(anchor_credit=credit))
        raw = anchor_weights(prepared.model, prepared.train.tokens, credit)
        for own, (chosen, rejected) in zip(token_weights(prepared, "d", cache), raw, strict=True):
            wanted = torch.cat([chosen / chosen.mean(), rejected / rejected.mean()])
            assert torch.allclose(own, wanted, atol=1e-6)
    with pytest.raises(ValueError, match="anchor_credit"):
        settings(anchor_credit=1.0)
