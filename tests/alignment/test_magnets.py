"""Pointing from attention maps with stop-word magnets, against eager attention."""

from itertools import islice

import numpy as np
import pytest
import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.pointing.head import patch_grid, read_point
from homeostat.alignment.pointing.magnets import MAGNETS, magnet_map, magnet_prompt, pointed_by_attention
from homeostat.alignment.pointing.targets import Target, asked, phone_targets
from homeostat.errors import ConfigError


@pytest.fixture(scope="module")
def targets():
    found = [t for t in islice(phone_targets("test", 4), 60) if " " in t.instruction]
    return [Target(found[0].screenshot, "note of milk and the salt", found[0].box), *found[1:3]]


def text(prompt):
    return "".join(part.text for message in prompt.messages for part in message.parts)


def test_the_prompt_is_the_question_with_the_magnets_behind_it(white, targets):
    for target in targets:
        prompt = magnet_prompt(white, target)
        assert text(prompt) == text(asked(white.style, target)) + " . , the a of to with and"
        assert text(magnet_prompt(white, target, ())) == text(asked(white.style, target))
    parts = [(p.label, p.text) for p in magnet_prompt(white, targets[0]).messages[-1].parts if p.image is None]
    assert parts == [
        ("goal", "where is"), ("word", " note"), ("stop", " of"), ("word", " milk"), ("stop", " and"), ("stop", " the"),
        ("word", " salt"), ("goal", "?"), ("magnet", " . , the a of to with and"),
    ]  # fmt: skip
    only = magnet_prompt(white, Target(targets[0].screenshot, "to the", targets[0].box))
    assert [p.text for p in only.messages[-1].parts if p.label == "word"] == [" to", " the"]


@pytest.mark.parametrize(("third", "layers"), [("all", range(5)), ("middle", (1, 2, 3)), ("last", (3, 4))])
@pytest.mark.parametrize("magnets", [MAGNETS, ()])
def test_the_map_equals_eager_attention(targets, third, layers, magnets):
    white = TransformersModel.load("homeostat/nano", "cpu", "float32", reuse=False)
    found = [magnet_map(white, target, magnets, third) for target in targets]
    white.model.set_attn_implementation("eager")
    for target, own in zip(targets, found, strict=True):
        row = white.renderer.render(magnet_prompt(white, target, magnets))
        with torch.no_grad():
            given = {k: v for k, v in row.inputs.items() if torch.is_tensor(v)}
            maps = white.model(**given, output_attentions=True, use_cache=False).attentions
        patches = [i for i, token in enumerate(row.ids) if token == white.model.config.image_token_id]
        mean = np.mean([maps[n][0].double().numpy() for n in layers], axis=(0, 1))[:, patches]
        looked = {}
        for label in ("word", "magnet") if magnets else ("word",):
            slots = [i for a, b in row.spans[label] for i in range(a, b)]
            looked[label] = np.mean([mean[s] / mean[s].sum() for s in slots], axis=0)
        wanted = looked["word"]
        if magnets:
            empty = looked["magnet"]
            wanted = np.clip(wanted - empty, 0, None)
            wanted[empty > empty.mean() + 3 * empty.std()] = 0
        np.testing.assert_allclose(own, wanted, atol=1e-5)
        assert own.max() > 0


def test_points_are_read_from_the_maps_and_the_model_is_left_as_it_was(white, targets):
    row = white.renderer.render(asked(white.style, targets[0]))
    given = {k: v for k, v in row.inputs.items() if torch.is_tensor(v)}
    with torch.no_grad():
        before = white.model(**given).logits
        points = pointed_by_attention(white, targets, third="last")
        after = white.model(**given).logits
    assert torch.equal(before, after)
    for target, point in zip(targets, points, strict=True):
        found = magnet_map(white, target, third="last")
        assert point == read_point(found, *patch_grid(len(found), *target.screenshot.shape[:2]))


def test_a_model_whose_attention_cannot_be_read_is_named(targets):
    white = TransformersModel.load("homeostat/nano", "cpu", "float32", reuse=False)
    white.model.set_attn_implementation("eager")
    with pytest.raises(ConfigError, match="'eager' can't be read"):
        magnet_map(white, targets[0])
