"""The pointer: labels, losses, reading a point, ScreenSpot's format, and a head that learns."""

import json
from itertools import islice

import numpy as np
import pytest
import torch
from scipy import stats

from homeostat.alignment.pointing.head import Pointer, patch_grid, read_point
from homeostat.alignment.pointing.labels import inside, peak_label
from homeostat.alignment.pointing.loss import pointer_loss
from homeostat.alignment.pointing.targets import asked, phone_targets, read_screenspot, size_of, write_screenspot
from homeostat.alignment.pointing.train import PointerTraining, hits_by_size, pointed, spoken, train_pointer
from homeostat.errors import ConfigError

BOX = (0.2, 0.25, 0.7, 0.5)


def test_gauss_labels_are_the_gaussians_mass():
    rows, columns, sharpness = 8, 10, 4.1325
    left, top, right, bottom = BOX
    wanted = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            x = [np.clip(v, left, right) for v in (c / columns, (c + 1) / columns)]
            y = [np.clip(v, top, bottom) for v in (r / rows, (r + 1) / rows)]
            across = stats.norm((left + right) / 2, (right - left) / sharpness)
            down = stats.norm((top + bottom) / 2, (bottom - top) / sharpness)
            wanted[r, c] = (across.cdf(x[1]) - across.cdf(x[0])) * (down.cdf(y[1]) - down.cdf(y[0]))
    found = peak_label(BOX, rows, columns, "gauss", sharpness)
    assert np.allclose(found, (wanted / wanted.sum()).ravel(), atol=1e-6)


def test_label_styles_differ_in_how_peaked_they_are():
    uniform, flat, peaked, center = (
        peak_label(BOX, 16, 9, labels, s)
        for labels, s in (("uniform", 1), ("gauss", 1.0), ("gauss", 4.1325), ("center", 1))
    )
    assert uniform.max() < flat.max() < peaked.max() < center.max() == 1
    assert (uniform > 0).sum() == inside(BOX, 16, 9).sum()
    with pytest.raises(ConfigError, match="box"):
        peak_label((0.5, 0.1, 0.4, 0.2), 4, 4, "uniform")


def test_pointer_loss_is_peak_and_valley():
    attention = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    wanted = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]])
    outside = torch.tensor([[0.0, 1, 1], [1, 0, 0]])
    peak = [-np.log(0.5), 0.5 * np.log(0.5 / 0.1) + 0.5 * np.log(0.5 / 0.8)]
    valley = [0.5, 0.1]
    wanted_loss = np.mean([p + 2 * v for p, v in zip(peak, valley, strict=True)])
    assert pointer_loss(attention, wanted, outside, 2.0).item() == pytest.approx(wanted_loss, abs=1e-6)


def test_a_point_is_the_best_regions_weighted_centre():
    grid = np.zeros((4, 5), np.float32)
    grid[0, 0] = 1.0
    grid[2:4, 3:5] = 0.9
    grid[1, 1] = 0.8  # touches the first by a corner alone
    assert read_point(grid, 4, 5, "max") == pytest.approx((0.1, 0.125))
    grid[0, 0] = 0.5
    assert read_point(grid, 4, 5, "mean") == pytest.approx((0.8, 0.75))


def test_patch_grids():
    assert patch_grid(144, 256, 144) == (16, 9)
    assert patch_grid(256, 800, 800) == (16, 16)
    with pytest.raises(ConfigError, match="no grid"):
        patch_grid(7, 100, 100)


def test_the_head_attends_as_written_and_leaves_the_backbone_alone(white):
    rows = [white.renderer.render(asked(white.style, t)) for t in islice(phone_targets("train", 1), 3)]
    torch.manual_seed(0)
    head = Pointer(192)
    before = {n: p.clone() for n, p in white.model.named_parameters()}
    attention = head.attend(white.model, rows)
    assert attention.shape == (3, 144)
    assert torch.allclose(attention.sum(-1), torch.ones(3))
    model = white.model
    for row, found in zip(rows, attention, strict=True):
        with torch.no_grad():
            image = row.images[0]
            ids = torch.tensor([row.ids])
            embedded = model.get_input_embeddings()(ids)
            seen = model.model.get_image_features(pixel_values=row.inputs["pixel_values"], vision_feature_layer=-1)
            patches = torch.stack(list(seen.pooler_output))[0]
            embedded[0, image.start : image.stop] = patches
            embedded = torch.cat([embedded, head.tokens[None]], 1)
            state = model.model.language_model(inputs_embeds=embedded).last_hidden_state[0, -2]
            mixed, _ = head.contextual(patches[None], patches[None], patches[None])
            keys = head.key(head.norm(patches[None] + mixed))[0]
            logits = keys @ head.query(state) / 192**0.5
        assert torch.allclose(logits.softmax(-1), found, atol=1e-5)
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())


def test_training_lowers_the_loss_and_the_head_comes_back(white, tmp_path):
    losses = []
    training = PointerTraining(steps=25, batch=8)
    head = train_pointer(white, phone_targets("train", 0), training, on_step=lambda step, loss: losses.append(loss))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    head.save(tmp_path)
    test = list(islice(phone_targets("test", 0), 6))
    assert pointed(white, head, test) == pointed(white, Pointer.load(tmp_path), test)
    with pytest.raises(ConfigError, match="no pointer head"):
        Pointer.load(tmp_path / "nothing")


def test_hits_are_counted_by_size(white):
    targets = list(islice(phone_targets("test", 2), 12))
    centres = [((t.box[0] + t.box[2]) / 2, (t.box[1] + t.box[3]) / 2) for t in targets]
    found = hits_by_size(centres, targets)
    assert (found["all"].hits, found["all"].targets) == (12, 12)
    assert sum(found[s].targets for s in ("small", "medium", "large")) == 12
    assert hits_by_size([None] * 12, targets)["all"].hits == 0
    assert hits_by_size(spoken(white, targets), targets)["all"].hits >= 6
    assert size_of((0, 0, 0.05, 0.05)) == "small"


def test_screenspot_files_come_back_and_bad_rows_are_named(tmp_path):
    targets = list(islice(phone_targets("test", 3), 5))
    file = tmp_path / "screenspot.json"
    write_screenspot(targets, file)
    again = read_screenspot(file)
    for one, other in zip(targets, again, strict=True):
        assert np.array_equal(one.screenshot, other.screenshot)
        assert other.box == pytest.approx(one.box)
        assert (other.instruction, other.kind, other.source) == (one.instruction, "text", "phone")
    rows = json.loads(file.read_text())
    rows[1]["bbox"] = [5, 5, 0, 3]
    file.write_text(json.dumps(rows))
    with pytest.raises(ConfigError, match="row 2, field 'bbox'"):
        read_screenspot(file)
    rows[0]["img_filename"] = "gone.png"
    file.write_text(json.dumps(rows))
    with pytest.raises(ConfigError, match="row 1, field 'img_filename'"):
        read_screenspot(file)
