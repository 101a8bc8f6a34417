"""Times ways to run one model against plain SDPA, in paired rounds; ``*_price.py`` use it. It measures nothing itself.

The watched models share the weights of the plain one. In each round, every way reads the prompt once, in an order that
rotates. They then decode in turns, token by token, so that each token is compared with the plain model's token of the
same moment, and work beside the benchmark slows both. Times are CPU times of the process, on one thread.

A *ratio* is the median over all pairs: of whole prompts for prefill, of tokens for decoding.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LABELS = ("system", "rules", "goal", "plan", "reminder", "history", "screen", "elements", "tool", "user")


@dataclass(frozen=True)
class Way:
    """One way to run the model.

    Attributes:
        settings: The arguments of ``watch``; None runs the model without the probe.
        steer: The steering rules.
    """

    settings: Mapping[str, Any] | None = None
    steer: Sequence[Any] = ()


@dataclass
class Times:
    """Seconds of CPU time: of each prompt, and of each token, by round."""

    prefill: list[float] = field(default_factory=list)
    tokens: list[list[float]] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser, *, tokens: int, rounds: int) -> None:
    """Adds the options that all price benchmarks have."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write the figures to this JSON file.")
    parser.add_argument(
        "--model",
        metavar="FOLDER",
        help="A model's folder or name; without it, a random Qwen2 with four layers of the 0.5B model's shape.",
    )
    parser.add_argument(
        "--dtype", default="float32", choices=("float32", "bfloat16"), help="The type of weights and activations."
    )
    parser.add_argument("--tokens", type=int, default=tokens, help="The number of tokens to decode in each round.")
    parser.add_argument("--rounds", type=int, default=rounds, help="How many rounds are timed.")


def load(name: str | None, dtype: str, longest: int) -> Any:
    """Loads a model, or builds a random one: four layers of a 0.5B Qwen2 with a vocabulary of 1,024."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

    if name is not None:
        return AutoModelForCausalLM.from_pretrained(name, dtype=getattr(torch, dtype)).eval()
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=4,
        num_attention_heads=14,
        num_key_value_heads=2,
        vocab_size=1024,
        max_position_embeddings=longest,
    )
    return Qwen2ForCausalLM(config).eval().to(getattr(torch, dtype))


def twin(model: Any) -> Any:
    """Returns another model that shares the weights, and can be watched while this one is not."""
    import torch

    with torch.device("meta"):
        other = type(model)(model.config.__class__.from_dict(model.config.to_dict()))
    state = model.state_dict(keep_vars=True)
    other.load_state_dict(state, assign=True, strict=False)
    for (_, mine), (_, theirs) in zip(model.named_modules(), other.named_modules(), strict=True):
        for name, buffer in mine.named_buffers(recurse=False):
            theirs.register_buffer(name, buffer, persistent=False)
    other.config._attn_implementation = "sdpa"
    return other.eval()


def equal_spans(length: int) -> Any:
    """Returns ten labels that share a prompt evenly."""
    from homeostat.sensors import Spans

    step = length // len(LABELS)
    return Spans({label: [(i * step, (i + 1) * step)] for i, label in enumerate(LABELS)}, length=length)


def measure(
    model: Any, ways: Mapping[str, Way], *, spans: Any, tokens: int, rounds: int, batch: int = 1, seed: int = 0
) -> dict[str, Times]:
    """Times all ways on prompts of random tokens.

    Args:
        model: The model.
        ways: What to compare; the first is the plain one.
        spans: The spans of a prompt, with its length.
        tokens: The number of tokens to decode.
        rounds: The number of rounds.
        batch: The number of rows that decode. They continue one prompt; each row hides another number of its first
            tokens, as left padding does.
        seed: The seed of the tokens.

    Returns:
        The times of each way.
    """
    import torch

    models = {name: model if way.settings is None else twin(model) for name, way in ways.items()}
    times = {name: Times() for name in ways}
    with torch.inference_mode():
        for number in range(-1, rounds):  # the first round only warms up
            if number < 0:
                short = equal_spans(64)
                _round(models, ways, {name: Times() for name in ways}, short, list(ways), 2, batch, seed)
                continue
            order = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
            _round(models, ways, times, spans, order, tokens, batch, seed + number)
            print(f"round {number + 1} of {rounds}, {spans.length} tokens, batch {batch}", file=sys.stderr)
    return times


def _round(
    models: Mapping[str, Any],
    ways: Mapping[str, Way],
    times: Mapping[str, Times],
    spans: Any,
    order: Sequence[str],
    tokens: int,
    batch: int,
    seed: int,
) -> None:
    import torch

    from homeostat.sensors import watch

    plain = models[next(iter(ways))]
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, min(1000, plain.config.vocab_size), (1, spans.length), generator=generator)
    mask = torch.ones(batch, spans.length, dtype=torch.long)
    for row in range(batch):
        mask[row, :row] = 0
    with ExitStack() as stack:
        probes, outs, seconds = {}, {}, {name: [] for name in order}
        for name in order:
            way = ways[name]
            context: AbstractContextManager[Any] = (
                nullcontext() if way.settings is None else watch(models[name], **way.settings)
            )
            probes[name] = probe = stack.enter_context(context)
            begin = time.process_time()
            if probe is not None:
                probe.start(spans, steer=way.steer)
            outs[name] = models[name](ids, use_cache=True, logits_to_keep=1)
            times[name].prefill.append(time.process_time() - begin)
            if batch > 1:
                outs[name].past_key_values.batch_repeat_interleave(batch)
        for step in range(tokens):
            more = {} if batch == 1 else {"attention_mask": torch.nn.functional.pad(mask, (0, step + 1), value=1)}
            for name in order[step % len(order) :] + order[: step % len(order)]:
                out = outs[name]
                begin = time.process_time()
                chosen = out.logits[:, -1:].argmax(-1).expand(batch, 1)
                outs[name] = models[name](chosen, past_key_values=out.past_key_values, **more)
                seconds[name].append(time.process_time() - begin)
        for name in order:
            times[name].tokens.append(seconds[name])
            if probes[name] is not None:
                found = probes[name].results()
                every = (ways[name].settings or {}).get("every", 1)
                assert found[0].mass.shape[0] == tokens // every + 1


def ratios(times: Mapping[str, Times], generated: int | None = None) -> dict[str, dict[str, float]]:
    """Compares every way with the first one.

    Args:
        times: The times of each way.
        generated: The number of tokens of a whole answer; None for as many as were decoded.

    Returns:
        By way: ``prefill_ratio``, ``decode_ratio``, the same of a whole answer (``ratio``, with the ``lowest`` and
        ``highest`` round), and the median seconds of prefill and of a token.
    """
    plain = next(iter(times.values()))
    found = {}
    for name, one in times.items():
        rounds = zip(one.tokens, plain.tokens, strict=True)
        pairs = [a / b for mine, theirs in rounds for a, b in zip(mine, theirs, strict=True)]
        count = generated or len(one.tokens[0])
        whole = [
            (one.prefill[i] + count * statistics.median(one.tokens[i]))
            / (plain.prefill[i] + count * statistics.median(plain.tokens[i]))
            for i in range(len(one.prefill))
        ]
        found[name] = {
            "prefill_ratio": statistics.median(a / b for a, b in zip(one.prefill, plain.prefill, strict=True)),
            "decode_ratio": statistics.median(pairs),
            "ratio": statistics.median(whole),
            "lowest": min(whole),
            "highest": max(whole),
            "prefill_seconds": statistics.median(one.prefill),
            "token_seconds": statistics.median(second for each in one.tokens for second in each),
        }
    return found
