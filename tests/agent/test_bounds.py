"""Calls and episodes within bounds: deadlines in prefill, interruptions, long prompts, memory, budgets."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from homeostat.agent import VERBOSE, Agent, AgentSpec, LoopLimits, TransformersModel, nano_path
from homeostat.agent.events import Decide, Finish, Sampled, Sense
from homeostat.agent.models import answer_all, capacity, stopping
from homeostat.agent.prompts import act_prompt
from homeostat.agent.registry import sensor_names
from homeostat.controllers.decisions import Choose, Proceed, Sample
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import CallInterrupted, ModelError, OutOfMemory, PromptTooLong
from homeostat.observation import Observation
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.steering.actuators import Actuator

STYLE = VERBOSE.model_copy(update={"system": "You operate a phone."})


def prompt(goal: str = "open the settings") -> Prompt:
    image = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    return act_prompt(STYLE, goal=goal, rules=["never"], history=["a"], observation=Observation(image, (), "home"))


def model_of(pair: Any, **settings: Any) -> TransformersModel:
    model = TransformersModel(*pair, style=STYLE, **settings)
    model.stops = frozenset()  # an answer has no end but its budget
    return model


def layers_of(pair: Any) -> Any:
    return pair[0].model.language_model.layers


@contextmanager
def hooked(layer: Any, hook: Callable[..., None]) -> Iterator[None]:
    """Runs a hook in front of a layer."""
    handle = layer.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def slow(pair: Any, seconds: float) -> Iterator[None]:
    """Every layer of the decoder takes so long, as in a large model."""
    handles = [layer.register_forward_hook(lambda *_: time.sleep(seconds)) for layer in layers_of(pair)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def same(one: Attempt, other: Attempt) -> None:
    assert one.tokens == other.tokens
    np.testing.assert_allclose(one.logprobs, other.logprobs, atol=2e-5)


def clean(pair: Any) -> None:
    """Nothing of a call is left on the model."""
    assert pair[0].config.get_text_config()._attn_implementation == "sdpa"
    assert not any(layer._forward_pre_hooks for layer in layers_of(pair))


@pytest.mark.parametrize("settings", [{}, {"watch": False}, {"steer": True}, {"n": 3, "temperature": 1.0}])
def test_a_deadline_holds_in_the_prefill(llava: Any, settings: dict[str, Any]) -> None:
    model = model_of(llava)
    if "steer" in settings:
        settings = {"steer": (Actuator("goal", target=0.3),)}
    model.generate(prompt(), max_new_tokens=4)
    with slow(llava, 0.4):
        begun = time.monotonic()
        attempts = model.generate(prompt("close it all"), deadline=begun + 0.1, max_new_tokens=4, **settings)
        seconds = time.monotonic() - begun
    assert seconds < 0.4 * 2  # one layer; the prefill has three
    for attempt in attempts:
        assert (attempt.text, attempt.tokens, attempt.logprobs, attempt.finish) == ("", (), (), "length")
        assert attempt.spans is None
        assert attempt.prompt_tokens > 0
    clean(llava)
    after = model.generate(prompt("close it all"), max_new_tokens=4)[0]
    same(after, model_of(llava, reuse=False).generate(prompt("close it all"), max_new_tokens=4)[0])


def test_a_deadline_between_tokens_keeps_what_there_is(llava: Any) -> None:
    model = model_of(llava)
    with slow(llava, 0.05):
        attempt = model.generate(prompt(), deadline=time.monotonic() + 0.6, max_new_tokens=400)[0]
    whole = model_of(llava).generate(prompt(), max_new_tokens=40)[0]
    count = len(attempt.tokens)
    assert 0 < count < 40
    assert attempt.tokens == whole.tokens[:count]
    assert attempt.spans is not None
    assert len(attempt.spans.mass) == count
    assert model.generate(prompt(), max_new_tokens=4, watch=False)[0].cached_tokens > 0  # the cache is whole


def test_a_token_that_takes_too_long_is_given_up(llava: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_DECODE_PATIENCE", 0.0)
    model, whole = model_of(llava), model_of(llava).generate(prompt(), max_new_tokens=40)[0]
    with slow(llava, 0.1):
        for seconds in (3.0, 3.1, 3.2):  # a pass can't be ended behind its last layer, so one deadline may miss it
            attempt = model.generate(prompt(), deadline=time.monotonic() + seconds, max_new_tokens=400)[0]
            if attempt.spans is None:
                break
    count = len(attempt.tokens)
    assert 0 < count < 40
    assert attempt.tokens == whole.tokens[:count]
    np.testing.assert_allclose(attempt.logprobs, whole.logprobs[:count], atol=2e-5)
    assert attempt.spans is None
    after = model.generate(prompt(), max_new_tokens=6)[0]
    assert after.cached_tokens == 0  # the partial cache is forgotten
    assert after.tokens == whole.tokens[:6]


CALLS: dict[str, Callable[[TransformersModel], object]] = {
    "generate": lambda model: model.generate(prompt(), max_new_tokens=400),
    "score": lambda model: model.score(prompt(), [5, 6, 7]),
    "read": lambda model: model.read(prompt(), [5, 6, 7]),
    "hidden": lambda model: model.hidden(prompt()),
    "batched": lambda model: answer_all(model, [prompt(), prompt("close it")], max_new_tokens=400),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_interruption_ends_the_present_call_and_no_other(llava: Any, name: str) -> None:
    model, call = model_of(llava), CALLS[name]
    model.interrupt()  # without a call it does nothing
    with slow(llava, 0.3):
        timer = threading.Timer(0.1, model.interrupt)
        timer.start()
        begun = time.monotonic()
        if name == "generate":
            (attempt,) = model.generate(prompt(), max_new_tokens=400)
            assert (attempt.tokens, attempt.finish) == ((), "length")
        else:
            with pytest.raises(CallInterrupted, match="interrupted"):
                call(model)
        assert time.monotonic() - begun < 0.75
    clean(llava)
    if name not in ("generate", "batched"):
        call(model)
    same(model.generate(prompt(), max_new_tokens=4)[0], model_of(llava).generate(prompt(), max_new_tokens=4)[0])


def test_a_batch_is_interrupted_between_tokens_too(llava: Any) -> None:
    model = model_of(llava)
    threading.Timer(0.5, model.interrupt).start()
    with slow(llava, 0.02), pytest.raises(CallInterrupted):
        answer_all(model, [prompt(), prompt("close it")], max_new_tokens=2000)


def test_a_signal_handler_may_interrupt(llava: Any) -> None:
    model = model_of(llava)
    before = signal.signal(signal.SIGALRM, lambda *_: model.interrupt())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with slow(llava, 0.02):
            begun = time.monotonic()
            (attempt,) = model.generate(prompt(), max_new_tokens=2000)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 5
    assert 0 < len(attempt.tokens) < 2000
    assert attempt.finish == "length"


@pytest.mark.parametrize(
    ("settings", "limit", "length"),
    [
        ({"max_position_embeddings": 300}, 50, 300),  # the tokenizer's number may be an outdated one
        ({"rope_parameters": {"factor": 4.0, "original_max_position_embeddings": 100}}, 50, 400),
        ({}, 50, 50),
        ({}, int(1e30), None),
    ],
)
def test_the_context_is_what_the_model_states(settings: dict[str, Any], limit: int, length: int | None) -> None:
    text = SimpleNamespace(to_dict=lambda: settings)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda decoder: text))
    assert capacity.context_length(model, SimpleNamespace(model_max_length=limit)) == length


def test_a_prompt_beyond_the_context_is_refused_before_any_forward(llava: Any) -> None:
    model = model_of(llava)
    count = model.generate(prompt(), max_new_tokens=1)[0].prompt_tokens
    ran: list[int] = []
    with hooked(layers_of(llava)[0], lambda *_: ran.append(1)):
        model.context = count + 8
        model.generate(prompt(), max_new_tokens=8)
        assert ran
        ran.clear()
        with pytest.raises(PromptTooLong, match=rf"{count} tokens.*context of {count + 8} tokens.*{count - 1} beside"):
            model.generate(prompt(), max_new_tokens=9)
        for call in (
            lambda: model.score(prompt(), list(range(5, 14))),
            lambda: model.read(prompt(), list(range(5, 14))),
            lambda: model.hidden(prompt("open the settings " * 9)),
            lambda: answer_all(model, [prompt()], max_new_tokens=9),
        ):
            with pytest.raises(PromptTooLong):
                call()
    assert not ran


WAIT = '{"action": "wait", "time": 1}'


def words_of(prompt: Prompt) -> int:
    return sum(len(part.text.split()) + 40 * (part.image is not None) for m in prompt.messages for part in m.parts)


class Counting:
    """A scripted model that counts words, and 40 for an image (a test double)."""

    def __init__(self, tools: Any, context: int, **style: Any) -> None:
        self._inner = tools.Scripted([WAIT], style=STYLE.model_copy(update={"compacts": True, **style}))
        self.name, self.style, self.capabilities = "counting", self._inner.style, self._inner.capabilities
        self.prompts, self.context = self._inner.prompts, context

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        return max(words_of(prompt) + max_new_tokens - self.context, 0)

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        if over := self.excess(prompt, settings["max_new_tokens"]):
            raise PromptTooLong(f"{over} words too many")
        found: list[Attempt] = self._inner.generate(prompt, **settings)
        return found


@pytest.mark.parametrize(("room", "last"), [(110, {"screens": 1}), (60, {"screens": 2, "history": 2})])
def test_a_long_prompt_loses_its_oldest_screens_and_actions(
    tools: Any, lamp: Any, room: int, last: dict[str, int]
) -> None:
    model = Counting(tools, 128 + room, screens=3)
    run = Agent(model, limits=LoopLimits(max_new_tokens=128)).start("look at it", lamp, max_steps=8, rules=["be kind"])
    senses = [event for event in run if isinstance(event, Sense)]
    assert len(senses) == len(model.prompts) == 8
    first = {part.label: part.text for message in model.prompts[0].messages for part in message.parts}
    free = Counting(tools, 10**6, screens=3)
    _ = (
        Agent(free, limits=LoopLimits(max_new_tokens=128))
        .start("look at it", lamp, max_steps=8, rules=["be kind"])
        .result
    )
    for step, (event, short, whole) in enumerate(zip(senses, model.prompts, free.prompts, strict=True)):
        assert model.excess(short, 128) == 0
        kept = {part.label: part.text for message in short.messages for part in message.parts}
        for label in ("system", "rules", "goal"):
            assert kept[label] == first[label]
        assert "screen" in kept
        screens = sum(label.startswith("screen-") for label in kept)
        actions = kept["history"].count("wait")
        dropped = {"screens": min(step, 2) - screens, "history": min(step, 12) - actions}
        assert event.dropped == {name: number for name, number in dropped.items() if number}
        if not model.excess(whole, 128):
            assert not event.dropped
        if event.dropped.get("history"):
            assert not screens  # the screens go first
    assert senses[-1].dropped == last
    assert not senses[0].dropped


@pytest.mark.parametrize("compacts", [True, False])
def test_a_goal_beyond_the_context_is_refused_at_once(llava: Any, lamp: Any, compacts: bool) -> None:
    model = TransformersModel(*llava, style=STYLE.model_copy(update={"compacts": compacts}))
    model.context = 400
    begun = time.monotonic()
    with pytest.raises(PromptTooLong, match="400 tokens"):
        _ = Agent(model).start("open the settings " * 5000, lamp).result
    assert time.monotonic() - begun < 10


def test_the_embedded_models_prompts_are_never_shortened() -> None:
    try:
        from homeostat.agent.models.loading import load_style

        style = load_style(str(nano_path()), "llava")
    except ModelError:
        pytest.skip("homeostat/nano is not in this installation")
    assert not style.compacts


def failing(most: int, error: Exception) -> Callable[..., None]:
    """A hook that raises for a batch of more rows, as a device without the memory for it does."""

    def hook(layer: Any, args: Sequence[Any]) -> None:
        if args[0].shape[0] > most:
            raise error

    return hook


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["torch", "cpu", "windows", "python"])
@pytest.mark.parametrize(("most", "drawn", "batch"), [(8, 8, 8), (5, 8, 4), (3, 8, 2), (1, 8, 1), (0, 0, 0)])
def test_samples_are_drawn_in_smaller_batches(llava: Any, error: Exception, most: int, drawn: int, batch: int) -> None:
    model = model_of(llava)
    with hooked(layers_of(llava)[1], failing(most, error)):
        attempts = model.generate(prompt(), n=8, temperature=1.0, max_new_tokens=3, seed=4)
    assert len(attempts) == drawn
    assert {attempt.batch for attempt in attempts} == ({batch} if drawn else set())
    assert all(len(attempt.tokens) == 3 and attempt.spans is not None for attempt in attempts)
    if drawn:
        assert len({attempt.tokens for attempt in attempts}) > 4  # no batch repeats another one's draws
    clean(llava)
    same(model.generate(prompt(), max_new_tokens=3)[0], model_of(llava).generate(prompt(), max_new_tokens=3)[0])


@pytest.mark.parametrize("error", ERRORS, ids=["torch", "cpu", "windows", "python"])
def test_a_single_answer_without_memory_says_what_to_do(llava: Any, error: Exception) -> None:
    model = model_of(llava)
    with (
        hooked(layers_of(llava)[1], failing(0, error)),
        pytest.raises(OutOfMemory, match="use a smaller model, a shorter dtype") as caught,
    ):
        model.generate(prompt(), max_new_tokens=3)
    assert "\n" not in str(caught.value)
    clean(llava)


class Draws:
    """Samples at every attempt and takes the last candidate (a test double)."""

    name, sensors = "draws", frozenset[str]()

    def decide(self, readings: Any, context: Any) -> Any:
        if context.phase == "attempt":
            return Sample(n=4, temperature=1.0, cause="wanted")
        return Choose(index=len(context.candidates) - 1) if context.phase == "candidates" else Proceed()


@pytest.mark.parametrize(("most", "drawn", "batch"), [(4, 4, 0), (2, 4, 2), (0, 0, 0)])
def test_the_loop_goes_on_with_fewer_candidates_and_says_so(
    llava: Any, lamp: Any, most: int, drawn: int, batch: int
) -> None:
    model = TransformersModel(*llava, style=STYLE)

    def hook(layer: Any, args: Sequence[Any]) -> None:
        if args[0].shape[0] > max(most, 1) or (not most and sampling):
            raise MemoryError

    sampling: list[int] = []
    generate = model.generate

    def watched(*args: Any, n: int = 1, **settings: Any) -> list[Attempt]:
        sampling[:] = [1] if n > 1 else []
        return generate(*args, n=n, **settings)

    model.generate = watched  # type: ignore[method-assign]
    agent = Agent(model, controllers=[Draws()], limits=LoopLimits(max_new_tokens=4, garbled=9))
    with hooked(layers_of(llava)[1], hook):
        events = list(agent.start("look", lamp, max_steps=2))
    told = [event for event in events if isinstance(event, Sampled)]
    assert told == ([] if most == 4 else [Sampled(step=k, asked=4, drawn=drawn, batch=batch) for k in range(2)])
    drawn_events = [event for event in events if isinstance(event, Sense) and event.candidate is not None]
    assert len(drawn_events) == 2 * drawn
    assert [e.decision.index for e in events if isinstance(e, Decide) and e.phase == "candidates"] == [drawn] * 2  # type: ignore[union-attr]
    assert isinstance(events[-1], Finish)


def test_a_budget_of_tokens_ends_the_episode(tools: Any, lamp: Any) -> None:
    model = tools.Scripted([WAIT])  # every answer has two tokens
    limits = LoopLimits(tokens=5, max_new_tokens=50)
    episode = Agent(model, limits=limits).start("look", lamp, max_steps=20).result
    assert (episode.ended, episode.reason, episode.steps) == ("budget", "all 5 tokens were used", 3)
    assert [call["max_new_tokens"] for call in model.calls] == [5, 3, 1]


def test_a_budget_of_tokens_counts_samples_and_stops_further_calls(tools: Any, lamp: Any) -> None:
    model = tools.Scripted([WAIT])
    agent = Agent(model, controllers=[Draws()], limits=LoopLimits(tokens=2))
    episode = agent.start("look", lamp, max_steps=20).result
    assert (episode.ended, episode.reason, episode.calls) == ("budget", "all 2 tokens were used", 1)
    assert episode.steps == 0  # the controller wanted another call, so the action was not decided on


def test_a_budget_of_time_ends_the_episode_and_its_present_call(llava: Any, lamp: Any) -> None:
    model = TransformersModel(*llava, style=STYLE)
    model.stops = frozenset()
    limits = LoopLimits(episode_seconds=1.5, max_new_tokens=2000, garbled=99)
    with slow(llava, 0.02):
        begun = time.monotonic()
        episode = Agent(model, limits=limits).start("look", lamp, max_steps=50).result
    assert (episode.ended, episode.reason) == ("budget", "all 1.5 s were used")
    assert time.monotonic() - begun < 1.5 + 1


def test_every_sensor_reads_an_answer_without_a_token() -> None:
    try:
        nano_path()
    except ModelError:
        pytest.skip("homeostat/nano is not in this installation")
    spec = AgentSpec(sensors=sensor_names(), controllers=("none",), limits=LoopLimits(seconds=1e-6), device="cpu")
    phone = PhoneEnv()
    events = list(spec.build().start(phone.reset_task("notes_add", seed=1), phone))
    assert isinstance(events[-1], Finish)
    assert events[-1].ended == "collapse"
    for event in events:
        if isinstance(event, Sense):
            assert (event.text, event.tokens, event.finish) == ("", (), "length")
            assert not any(reading.alarm for reading in event.readings)
