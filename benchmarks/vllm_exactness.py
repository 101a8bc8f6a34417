"""Compares the masses that vLLM's workers read with eager attention in transformers: the parts of ``vllm_probe.py``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from homeostat.agent.vllm.wire import SpanRequest, joined_masses
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.spans import Spans

__all__ = ["CASES", "Asked", "exactness", "prompts"]

EXTENSION = "homeostat.agent.vllm.worker.AttentionWorker"
TOKENS = 24
TEXT = (
    "The harbour opens at six. Boats with nets leave first, then the ferry to the island. "
    "Never hand the key of the crane to anyone who is not on the list. The list hangs in the office; 14 names, two of "
    "them new. In the evening the log is signed, and the lamp at the end of the pier is lit. "
)
CASES: dict[str, dict[str, Any]] = {
    "whole": {"enable_prefix_caching": True},
    "chunked": {"max_num_batched_tokens": 64, "enable_prefix_caching": False},
    "preempted": {"block_size": 32, "num_gpu_blocks_override": 24, "max_model_len": 512},
    "ranks": {"enable_prefix_caching": False},
}
"""The engines that are started, with their settings: each is one part of the benchmark for each model."""


@dataclass(frozen=True)
class Asked:
    """A prompt with labelled ranges.

    Attributes:
        ids: The prompt's tokens.
        spans: The ranges of every label.
    """

    ids: tuple[int, ...]
    spans: Spans


def prompts(folder: str, lengths: list[int], seed: int = 0) -> list[Asked]:
    """Draws prompts of given lengths, with three or four spans each; a part of the tokens has no label.

    Args:
        folder: The model's folder.
        lengths: The prompts' lengths in tokens.
        seed: The seed.

    Returns:
        The prompts.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = TEXT.split()
    found = []
    for number, length in enumerate(lengths):
        draw = random.Random(seed * 1000 + number)
        ids: list[int] = []
        while len(ids) < length:
            ids += tokenizer(" ".join(draw.sample(words, len(words))), add_special_tokens=False)["input_ids"]
        cuts = sorted(draw.sample(range(1, length), 7))
        ranges = {
            "system": [(0, cuts[0])],
            "rules": [(cuts[1], cuts[2]), (cuts[3], cuts[4])],
            "goal": [(cuts[5], cuts[6])],
        }
        if number % 2:
            ranges["tool.search"] = [(cuts[4], cuts[5])]
        found.append(Asked(tuple(ids[:length]), Spans(ranges, length=length)))
    return found


def exactness(folder: str, case: str) -> dict[str, Any]:
    """Runs one engine and compares everything that it reads.

    Args:
        folder: The model's folder.
        case: One of :data:`CASES`.

    Returns:
        For each situation the largest difference, whether the tokens are those of the engine without the extension, and
        what shows that the situation was there.
    """
    from vllm import LLM

    settings = {"max_model_len": 1024, **CASES[case]}
    if case == "ranks":  # SmolLM2 has 9 heads, so it takes 3 ranks
        settings["tensor_parallel_size"] = 3 if "smollm2" in folder else 2
    llm = LLM(
        folder,
        dtype="float32",
        enforce_eager=True,
        seed=0,
        disable_log_stats=False,
        worker_extension_cls=EXTENSION,
        **settings,
    )
    runs: list[tuple[str, list[Asked], list[bool]]] = []
    lengths = [int(length) for length in np.random.default_rng(1).integers(60, 320, 16)]
    asked = prompts(folder, lengths)
    if case == "whole":
        runs.append(("alone", asked[:1], [True]))
        runs.append(("batch_16", asked, [bool(n % 2) for n in range(16)]))
        long = prompts(folder, [320], seed=2)[0]
        other = prompts(folder, [320], seed=3)[0]
        shared = Asked((*long.ids[:280], *other.ids[280:]), other.spans)
        runs.append(("prefix_hit", [long], [True]))
        runs.append(("prefix_hit", [shared], [True]))
    elif case == "chunked":
        runs.append(("chunked_64", asked[:6], [n != 2 for n in range(6)]))
    elif case == "preempted":
        runs.append(("preempted", prompts(folder, [150] * 7, seed=4), [n != 3 for n in range(7)]))
    else:
        runs.append((f"ranks_{settings['tensor_parallel_size']}", asked[:5], [n != 1 for n in range(5)]))
    tokens = 60 if case == "preempted" else TOKENS
    before = [_generated(llm, each, [False] * len(each), tokens, "plain")[0] for _, each, _ in runs]
    llm.reset_prefix_cache()
    setup = llm.collective_rpc("homeostat_setup")
    if refused := next((one["refused"] for one in setup if one["refused"]), ""):
        raise SystemExit(f"{folder}, {case}: refused: {refused}")
    found: dict[str, Any] = {}
    for number, (name, each, watched) in enumerate(runs):
        written, masses, cached = _generated(llm, each, watched, tokens, f"r{number}")
        read = [(one, out, mass) for one, out, mass in zip(each, written, masses, strict=True) if mass is not None]
        found[name] = {
            "same_tokens": written == before[number],
            "cached_tokens": sum(cached),
            "pairs": read,
        }
    preempted = sum(int(m.value) for m in llm.get_metrics() if m.name == "vllm:num_preemptions")
    status = llm.collective_rpc("homeostat_status")[0]
    del llm
    eager = _eager(folder, torch.float32)
    worst: tuple[float, Any] = (-1.0, None)
    for told in found.values():
        for one, out, mass in told.pop("pairs"):
            off = float(np.abs(_rows(mass) - _sums(eager, one, out, mass)).max())
            told["max_difference"] = max(off, told.get("max_difference", 0.0))
            worst = max(worst, (off, (one, out, mass)), key=lambda pair: pair[0])
    single, exact = (_sums(model, *worst[1]) for model in (eager, _eager(folder, torch.float64)))
    return {
        "situations": found,
        "eager_rounding": float(np.abs(single - exact).max()),
        "difference_from_float64": float(np.abs(_rows(worst[1][2]) - exact).max()),
        "preemptions": preempted,
        "status": status,
        "setup": setup[0],
        "ranks": len(setup),
    }


def _eager(folder: str, dtype: torch.dtype) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def _generated(
    llm: Any, asked: list[Asked], watched: list[bool], tokens: int, key: str
) -> tuple[list[list[int]], list[SpanMass | None], list[int]]:
    from vllm import SamplingParams

    requests = [SpanRequest(f"{key}-{n}", one.spans, rows=8) if watched[n] else None for n, one in enumerate(asked)]
    params = [
        SamplingParams(
            temperature=0, max_tokens=tokens, ignore_eos=True, extra_args=None if one is None else one.extra_args()
        )
        for one in requests
    ]
    outs = llm.generate([{"prompt_token_ids": list(one.ids)} for one in asked], params, use_tqdm=False)
    keys = [one.key for one in requests if one is not None]
    taken = llm.collective_rpc("homeostat_take", args=(keys,)) if keys else []
    masses: list[SpanMass | None] = []
    for request in requests:
        if request is None:
            masses.append(None)
        else:
            masses.append(joined_masses(request, [rank[request.key] for rank in taken], {0: tokens})[0])
    return [list(out.outputs[0].token_ids) for out in outs], masses, [out.num_cached_tokens or 0 for out in outs]


def _rows(mass: SpanMass) -> Any:
    """(W + T − 1, L, H, S + 1): all rows that were read, in order; the prompt's last row is the first token's, too."""
    return np.concatenate([mass.prompt_mass, mass.mass[1:]])


def _sums(model: Any, asked: Asked, written: list[int], mass: SpanMass) -> Any:
    """The same rows' sums of eager attention weights by label, those of the written tokens last."""
    ids = [*asked.ids, *written]
    length = len(asked.ids)
    labels = np.full(len(ids), -1)
    for index, label in enumerate(asked.spans):
        for start, stop in asked.spans[label]:
            labels[start:stop] = index
    labels[length:] = len(asked.spans)
    with torch.no_grad():
        maps = model(torch.tensor([ids]), output_attentions=True, use_cache=False).attentions
    rows = slice(length - len(mass.prompt_mass), length - 1 + len(written))
    weights = np.stack([maps[layer][0, :, rows].numpy() for layer in mass.layers])  # (L, H, T, K)
    members = np.stack([labels == kind for kind in range(len(asked.spans) + 1)], -1).astype(weights.dtype)
    return (weights @ members).transpose(2, 0, 1, 3)
