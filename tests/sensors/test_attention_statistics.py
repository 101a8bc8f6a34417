"""Sensors over what a Readout keeps, against the definitions on a whole random attention map."""

import math

import numpy as np
import pytest

from homeostat.actions import Click
from homeostat.errors import ConfigError
from homeostat.observation import Element, Observation
from homeostat.sensors import (
    Attempt,
    AttentionEntropy,
    ElementGaze,
    RetrievalHeads,
    Rhythm,
    SensorContext,
    SinkRate,
    SpanMass,
    Spans,
    check_sensor,
)
from homeostat.sensors.attention_entropy import normalised_entropy
from homeostat.sensors.element_gaze import coverage, grid_of, heat_map
from homeostat.sensors.retrieval_heads import copy_hits, retrieval_heads, retrieval_scores, rouge1_recall
from homeostat.sensors.rhythm import anchors, fai, head_spans, local_and_global, preplan, waad
from homeostat.sensors.sink_rate import sink_rate

PROMPT, TOKENS, LAYERS, HEADS = 40, 70, 3, 4
SPANS = Spans({"goal": [(2, 8)], "screen": [(8, 20)], "rest": [(25, 30), (33, 36)]}, length=PROMPT)
CONTEXT = SensorContext(goal="g")


@pytest.fixture(scope="module")
def maps():
    """(L, H, N, N) causal, rows sum to 1; some heads look near, some far."""
    rng = np.random.default_rng(7)
    n = PROMPT + TOKENS - 1
    back = np.arange(n)[:, None] - np.arange(n)
    slope = rng.uniform(-0.05, 0.4, (LAYERS, HEADS, 1, 1))
    logits = rng.normal(0, 1.5, (LAYERS, HEADS, n, n)) - slope * back
    logits = np.where(back >= 0, logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def read(maps, **changes):
    """What the probe would read of the map's last TOKENS rows, put together the slow way."""
    rows = maps[:, :, PROMPT - 1 :].transpose(2, 0, 1, 3)
    labels = (*SPANS.labels, "output")
    mass = [sum(rows[..., a:b].sum(-1) for a, b in SPANS[label]) for label in SPANS.labels]
    slot = PROMPT - 1 + np.arange(TOKENS)
    recent = np.zeros((TOKENS, LAYERS, HEADS, 51))
    for t in range(TOKENS):
        for d in range(51):
            if slot[t] >= d:
                recent[t, ..., d] = rows[t, ..., slot[t] - d]
    fields = {
        "labels": labels,
        "layers": tuple(range(LAYERS)),
        "mass": np.stack([*mass, rows[..., PROMPT:].sum(-1)], -1).astype(np.float32),
        "prompt_mass": np.zeros((0, LAYERS, HEADS, 4), np.float32),
        "lengths": np.array([6, 12, 8, TOKENS - 1]),
        "visible": slot + 1,
        "keys": {"screen": rows[..., 8:20]},
        "recent": recent,
        "entropy": -(rows * np.log(np.where(rows > 0, rows, 1))).sum(-1),
        "distance": (rows * (slot[:, None, None, None] - np.arange(rows.shape[-1]))).sum(-1),
        "top": rows.argmax(-1),
        "prompt": PROMPT,
        "spans": SPANS,
    }
    return SpanMass(**(fields | changes))


def attempt(spans, tokens=None, prompt_ids=()):
    count = len(spans.mass) if tokens is None else len(tokens)
    return Attempt("words", tokens=tuple(tokens or range(count)), spans=spans, prompt_ids=tuple(prompt_ids))


# -- entropy -------------------------------------------------------------------------------------------------------


def test_entropy_is_one_where_attention_is_even_and_zero_on_one_key(maps):
    n = PROMPT + TOKENS - 1
    even = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    spread = read(np.broadcast_to(even, (LAYERS, HEADS, n, n)))
    assert normalised_entropy(spread) == pytest.approx(1.0, abs=1e-6)
    assert AttentionEntropy().read(attempt(spread), CONTEXT).value == pytest.approx(1.0, abs=1e-6)
    narrow = read(np.broadcast_to(np.eye(n), (LAYERS, HEADS, n, n)))
    reading = AttentionEntropy().read(attempt(narrow), CONTEXT)
    assert reading.value == 0
    assert reading.alarm


def test_entropy_of_a_map_and_of_chosen_heads(maps):
    reading = AttentionEntropy(heads=[(1, 2)]).read(attempt(read(maps)), CONTEXT)
    rows = maps[1, 2, PROMPT - 1 :]
    by_hand = [
        -sum(p * math.log(p) for p in row if p > 0) / math.log(PROMPT + t) for t, row in enumerate(rows.tolist())
    ]
    assert reading.value == pytest.approx(np.mean(by_hand), rel=1e-6)
    assert reading.by_layer[1] == pytest.approx(reading.value)
    assert reading.detail["lowest_head"] == pytest.approx(reading.value)
    assert 0 not in reading.by_layer


# -- sinks ---------------------------------------------------------------------------------------------------------


def test_sink_rate_counts_heads_whose_mean_weight_exceeds_epsilon():
    received = np.zeros((2, 2, 5), np.float32)
    received[0, :, 0] = 0.6, 0.31
    received[1, :, 0] = 0.3, 0.1
    received[1, 1, 3] = 0.5
    received[0, 0, 4] = np.nan
    np.testing.assert_allclose(sink_rate(received), [0.5, 0, 0, 0.25, 0])
    spans = SpanMass(("output",), (0, 1), np.zeros((1, 2, 2, 1)), np.zeros((0, 2, 2, 1)), np.zeros(1, int),
                     np.ones(1, int), received=received)  # fmt: skip
    reading = SinkRate(threshold=0.6).read(attempt(spans), CONTEXT)
    assert (reading.value, reading.alarm, reading.detail["slot"]) == (0.5, True, 0.0)
    assert not SinkRate(threshold=0.6, side="above").read(attempt(spans), CONTEXT).alarm
    assert SinkRate(epsilon=0.05).read(attempt(spans), CONTEXT).value == 1.0


# -- rhythm --------------------------------------------------------------------------------------------------------


def test_waad_and_fai_are_those_of_the_whole_map(maps):
    spans = read(maps)
    heads = np.zeros((LAYERS, HEADS), bool)
    heads[0, 1] = heads[2, 3] = True
    mean = (maps[0, 1] + maps[2, 3]) / 2
    back = np.arange(len(mean))[:, None] - np.arange(len(mean))
    by_row = (mean * np.minimum(back, 10)).sum(-1)
    np.testing.assert_allclose(waad(spans.recent, heads), by_row[PROMPT - 1 :], atol=1e-9)
    influence = fai(spans.recent, heads)
    for s in range(TOKENS):
        rows = np.arange(PROMPT + s + 10, PROMPT + s + 51)
        if rows[-1] < len(mean):
            assert influence[s] == pytest.approx(mean[rows, PROMPT + s].mean(), rel=1e-9)
        else:
            assert np.isnan(influence[s])
    assert np.isfinite(influence).sum() == TOKENS - 51


def test_local_heads_are_the_nearest_and_marks_are_the_top_share(maps):
    spans = read(maps)
    reach = head_spans(spans.distance)
    local, far = local_and_global(reach)
    assert local.sum() == far.sum() == 4  # 30 % of twelve
    assert reach[local].max() <= reach[~local].min()
    assert reach[far].min() >= reach[~far].max()
    steps = np.array([0.0, 5.0, 5.5, 1.0, 1.1, 1.0])
    assert preplan(steps).tolist() == [True, False, True, False, False, False]
    assert anchors(np.array([0.1, 0.5, 0.2, 0.3, 0.0, np.nan])).tolist() == [False, True, False, True, False, False]


def test_rhythm_compares_with_earlier_in_the_episode(maps):
    sensor = Rhythm()
    first = sensor.read(attempt(read(maps)), CONTEXT)
    assert not first.judged
    spans = read(maps)
    middle = spans.recent[:, 1:2]
    local, _ = local_and_global(head_spans(spans.distance[:, 1:2]))
    assert first.detail["waad"] == pytest.approx(waad(middle, local).mean())
    assert "anchored" in first.detail
    second = sensor.read(attempt(read(maps)), SensorContext(goal="g", history=(first,)))
    assert second.judged
    assert second.value == pytest.approx(0, abs=1e-9)
    wide = read(maps, recent=spans.recent * 0.0)  # nothing near: every weight lies beyond the window
    third = sensor.read(attempt(wide), SensorContext(goal="g", history=(first,)))
    assert third.value == pytest.approx(math.log(10 / first.detail["waad"]))
    assert third.alarm
    gaps = read(maps, index=np.arange(0, TOKENS * 2, 2))
    assert "all are needed" in sensor.read(attempt(gaps), CONTEXT).reason
    with pytest.raises(ConfigError, match="only 51 near keys"):
        fai(spans.recent, np.ones((LAYERS, HEADS), bool), far=60)


# -- retrieval -----------------------------------------------------------------------------------------------------


def test_a_hit_is_a_top_key_that_holds_the_token_written(maps):
    spans = read(maps)
    rng = np.random.default_rng(3)
    ids = rng.integers(0, 6, PROMPT).tolist()
    tokens = rng.integers(0, 6, TOKENS).tolist()
    hits = copy_hits(spans, ids, tokens)
    scores = retrieval_scores(spans, ids, tokens, (8, 14))
    for layer in range(LAYERS):
        for head in range(HEADS):
            copied = []
            for t in range(TOKENS):
                key = int(maps[layer, head, PROMPT - 1 + t].argmax())
                hit = key < PROMPT and ids[key] == tokens[t]
                assert hits[t, layer, head] == hit
                if hit and 8 <= key < 14:
                    copied.append(key)
            assert scores[layer, head] == pytest.approx(len(copied) / 6)
            once = retrieval_scores(spans, ids, tokens, (8, 14), distinct=True)
            assert once[layer, head] == pytest.approx(len(set(copied)) / 6)
    assert scores.max() > 0
    found = ("eat a sandwich in the park", "Eat a sandwich.")
    chosen = retrieval_heads([scores, scores * 0.5], [("a b c", "a b"), ("a b c", "c, b.")], spans.layers)
    assert set(chosen) == {(i, j) for i in range(LAYERS) for j in range(HEADS) if scores[i, j] * 0.75 > 0.1}
    with pytest.raises(ConfigError, match=r"no head scores above 0\.9"):
        retrieval_heads([scores * 0.1], [("a", "a")], spans.layers, threshold=0.9)
    with pytest.raises(ConfigError, match="1 scores and 2 answers"):
        retrieval_heads([scores], [found, found], spans.layers)


def test_a_prompt_counts_only_if_the_answer_has_more_than_half_of_the_needle():
    needle = "eat a sandwich and sit in Dolores Park"  # eight words
    assert rouge1_recall(needle, "Sit in the PARK; eat, eat!") == pytest.approx(4 / 8)
    assert rouge1_recall(needle, "Sit in Dolores-Park, eat.") == pytest.approx(5 / 8)
    assert rouge1_recall("a a b", "a c") == pytest.approx(1 / 3)
    one, other = np.zeros((1, 2)), np.zeros((1, 2))
    one[0, 0], other[0, 1] = 0.6, 0.6
    missed, found = (needle, "Sit in the PARK; eat, eat!"), (needle, "Sit in Dolores-Park, eat.")
    assert retrieval_heads([one, other], [missed, found], (7,)) == ((7, 1),)
    assert set(retrieval_heads([one, other], [found, found], (7,))) == {(7, 0), (7, 1)}
    with pytest.raises(ConfigError, match="none of the 1 answers has half of its needle's words"):
        retrieval_heads([one], [missed], (7,))


def test_needles_and_slots_are_checked(maps):
    spans = read(maps)
    ids, tokens = [1] * PROMPT, [1] * TOKENS
    with pytest.raises(ConfigError, match=r"needle=\(39, 41\) is not a range"):
        retrieval_scores(spans, ids, tokens, (39, 41))


def test_the_share_of_copied_tokens_by_span():
    top = np.array([[[3]], [[9]], [[26]], [[9]]])  # in goal, screen, rest, screen
    spans = SpanMass((*SPANS.labels, "output"), (5,), np.zeros((4, 1, 1, 4)), np.zeros((0, 1, 1, 4)),
                     np.array([6, 12, 8, 3]), np.arange(40, 44), top=top, prompt=PROMPT, spans=SPANS)  # fmt: skip
    ids = [0] * PROMPT
    ids[3], ids[9], ids[26] = 11, 12, 13
    reading = RetrievalHeads().read(attempt(spans, [11, 12, 99, 12], ids), CONTEXT)
    assert reading.value == 0.75
    assert [reading.by_span[label].copied for label in SPANS] == [0.25, 0.5, 0.0]
    screen = RetrievalHeads("screen", threshold=0.6).read(attempt(spans, [11, 12, 99, 12], ids), CONTEXT)
    assert (screen.value, screen.alarm) == (0.5, True)
    assert "prompt's tokens" in RetrievalHeads().read(attempt(spans, [11, 12, 99, 12]), CONTEXT).reason
    assert not RetrievalHeads("memo").read(attempt(spans, [11, 12, 99, 12], ids), CONTEXT).judged
    assert not RetrievalHeads(heads=[(4, 0)]).read(attempt(spans, [11, 12, 99, 12], ids), CONTEXT).judged


# -- gaze ----------------------------------------------------------------------------------------------------------


def test_a_patch_is_shared_out_by_area_and_the_smallest_element_wins():
    elements = (
        Element(role="list", text="all", box=(0.0, 0.0, 1.0, 1.0)),
        Element(role="button", text="left", box=(0.0, 0.0, 0.25, 0.5)),
        Element(role="text", text="", box=(0.5, 0.5, 1.0, 1.0)),
    )
    expected = [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]  # four patches, 2 × 2
    np.testing.assert_allclose(coverage(elements, (2, 2)), expected)
    np.testing.assert_allclose(coverage((), (2, 2))[:, 0], 1)
    assert grid_of(144, 256, 144) == (16, 9)
    assert grid_of(12, 30, 40) == (3, 4)
    np.testing.assert_allclose(
        heat_map(np.array([[1.0, 2, 3, 4], [1, 2, 3, 12]]), (2, 2)), [[1 / 8, 2 / 8], [3 / 8, 1]]
    )
    with pytest.raises(ConfigError, match=r"grid=\(2, 3\) does not fit the image's 4 tokens"):
        heat_map(np.ones((1, 4)), (2, 3))


def test_the_look_before_the_tap(maps):
    elements = (
        Element(role="button", text="save", box=(0.0, 0.0, 1.0, 0.25)),
        Element(role="button", text="cancel", box=(0.0, 0.5, 1.0, 0.75)),
    )
    seen = Observation(np.zeros((80, 60, 3), np.uint8), elements, "notes")  # 12 tokens: 4 rows of 3
    context = SensorContext(goal="g", observation=seen, action=Click(point=(0.3, 0.6)))
    reading = ElementGaze(threshold=0.9).read(attempt(read(maps)), context)
    screen = maps[:, :, PROMPT - 1 :, 8:20].mean((0, 1, 2))
    screen = screen / screen.sum()
    assert reading.value == pytest.approx(screen[6:9].sum())
    assert reading.by_element["save"] == pytest.approx(screen[:3].sum())
    assert reading.detail["background"] == pytest.approx(screen[3:6].sum() + screen[9:].sum())
    assert reading.alarm
    assert "'cancel', which is tapped" in reading.reason
    beside = SensorContext(goal="g", observation=seen, action=Click(point=(0.3, 0.4)))
    assert ElementGaze().read(attempt(read(maps)), beside).value == pytest.approx(reading.detail["background"])
    idle = ElementGaze().read(attempt(read(maps)), SensorContext(goal="g", observation=seen))
    assert not idle.judged
    assert idle.by_element["cancel"] == pytest.approx(reading.value)
    last = ElementGaze(tokens="last", heads=[(2, 0)]).read(attempt(read(maps)), context)
    row = maps[2, 0, -1, 8:20]
    assert last.value == pytest.approx(row[6:9].sum() / row.sum())


@pytest.mark.parametrize(
    "sensor",
    [AttentionEntropy(), SinkRate(), Rhythm(), RetrievalHeads(), RetrievalHeads("screen"), ElementGaze()],
    ids=lambda s: s.name,
)
def test_the_contract_is_kept_and_what_was_not_read_is_said(maps, sensor):
    check_sensor(sensor)
    bare = read(maps, keys={}, recent=None, entropy=None, distance=None, top=None)
    reading = sensor.read(attempt(bare, prompt_ids=[1] * PROMPT), CONTEXT)
    assert not reading.judged
    assert "Readout(" in reading.reason
    assert not sensor.read(Attempt(""), CONTEXT).judged


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: AttentionEntropy(2), "threshold=2 is not a normalised entropy"),
        (lambda: SinkRate(epsilon=0), "epsilon=0"),
        (lambda: SinkRate(side="left"), "side='left'"),
        (lambda: Rhythm(0), "threshold=0 is not above 0"),
        (lambda: RetrievalHeads(heads=[]), r"heads=\(\) reads nothing"),
        (lambda: RetrievalHeads(threshold=3), "threshold=3"),
        (lambda: ElementGaze(tokens="some"), "tokens='some'"),
        (lambda: ElementGaze(threshold=-1), "threshold=-1"),
    ],
)
def test_bad_settings_are_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


@pytest.mark.parametrize(
    "answer", ["Eat, a sandwich_2!", "", "the best thing to do in Dolores Park is eat eat eat", "ÄÖ park"]
)
def test_the_recall_is_that_of_the_rouge_package(answer):
    scoring = pytest.importorskip("rouge_score.rouge_scorer")
    needle = "The best thing to do in San Francisco is eat a sandwich 2 and sit in Dolores Park on a sunny day."
    wanted = scoring.RougeScorer(["rouge1"]).score(needle, answer)["rouge1"].recall
    assert rouge1_recall(needle, answer) == pytest.approx(wanted)
