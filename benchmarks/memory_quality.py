"""Measures how well questions about a long conversation are answered from a quarter of the key-value cache.

    python benchmarks/memory_quality.py --model ~/.cache/homeostat/real-models/qwen0.5b --dtype bfloat16 --json FILE

Each conversation (``memory_tasks.py``) is read once, before any question is known. Every policy then thins a copy of
the cache to the budget, each question is put behind it, and the model answers greedily. An answer is right if it
holds the exact value. ``full`` is the whole cache. ``ours`` is ``SpanMemory`` with its defaults: it evicts whole spans
by label, and brings those back that the question asks for; the budget counts what it brings back and its index.
``nothing brought back`` is the same without that. The others keep what their paper or kvpress says, and pin nothing but
the prompt's last words. After every conversation the file is written, and a second run goes on where the first ended.

JSON: ``accuracy`` by row and kind of conversation; ``memory_quality`` is ours minus full in points, with a 95 %
bootstrap interval over conversations and their questions (``against`` has the same for the other rows, as ours minus
theirs); ``memory_ratio`` the bytes that a row holds, over those of the full cache; ``tokens`` the keys that it holds;
``recalled`` the share of questions before which spans were brought back, and where these held the answer.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory_tasks import Story, stories, tau_stories
from transformers import DynamicCache

from homeostat import TransformersModel
from homeostat.agent.memory import SpanMemory
from homeostat.agent.memory.evidence import Evidence
from homeostat.agent.memory.span_cache import SpanCache
from homeostat.sensors import watch
from homeostat.sensors.chat.rendering import Rendered

ROWS = ("full", "ours", "nothing brought back", "h2o", "recency", "kvpress:ExpectedAttentionPress")
MORE = (
    "expected",
    "kvpress:SnapKVPress",
    "kvpress:KnormPress",
    "token_mass",
    "dhsa",
    "flex_prefill",
    "task_kv",
    "recycled",
)


def settings(row: str, budget: float) -> SpanMemory:
    """The memory of one row of the table."""
    if row == "full":
        return SpanMemory(budget=1)
    if row == "ours":
        return SpanMemory(budget=budget)
    if row == "nothing brought back":
        return SpanMemory(budget=budget, recall=None)
    return SpanMemory(budget=budget, policy=row, pinned=(), newest=False, recall=None, sinks=4)


def read(model: TransformersModel, rendered: Rendered, caches: dict[str, SpanCache]) -> None:
    """Reads a conversation once, and lets every memory thin a copy of the cache."""
    every_row = any(row == "h2o" for row in caches)
    evidence, cache = Evidence(every_row=every_row), DynamicCache(config=model.model.config)
    ids = rendered.inputs["input_ids"]
    with contextlib.ExitStack() as stack, torch.inference_mode():
        for one in caches.values():
            stack.enter_context(one.around())
        probe = stack.enter_context(watch(model.model, rows=32, sinks=False))
        probe.start(rendered.as_spans(), reader=evidence)
        model.model(input_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=cache, logits_to_keep=1)
    whole = SpanCache(model.model, SpanMemory(budget=1), model.name)
    whole.evidence = evidence
    whole.keep(cache, rendered.ids, (), rendered.as_spans())
    for one in caches.values():
        twin = whole.fork()
        statistics, one.evidence = one.evidence.statistics, copy.deepcopy(evidence)
        one.evidence.statistics = statistics
        one.keep(twin.start(rendered, 0).cache, rendered.ids, (), rendered.as_spans())


def answer(model: TransformersModel, cache: SpanCache, rendered: Rendered, tokens: int) -> tuple[str, SpanCache]:
    """Answers a prompt from a copy of a cache."""
    fork = cache.fork()
    start = fork.start(rendered)
    ids = rendered.inputs["input_ids"]
    with torch.inference_mode():
        out = model.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=start.cache,
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=sorted(model.stops),
            pad_token_id=model.pad,
        )
    return model.renderer.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True), fork


def asked(model: TransformersModel, story: Story, args: argparse.Namespace, rows: list[str]) -> list[dict[str, Any]]:
    """Asks every question of a story, with every memory."""
    style = model.style.conversation
    rendered = model.renderer.render(story.prompt(style))
    caches = {row: SpanCache(model.model, settings(row, args.budget), model.name) for row in rows}
    begun = time.monotonic()
    read(model, rendered, caches)
    print(f"{story.kind}: {len(rendered.ids)} tokens read in {time.monotonic() - begun:.0f} s", flush=True)
    full = caches["full"].held_bytes() - caches["full"].evidence.bytes()
    found = []
    for question, value in story.questions[: args.questions]:
        prompt = model.renderer.render(story.prompt(style, question))
        at = [k for k in range(len(rendered.text)) if rendered.text.startswith(value, k)]
        for row, cache in caches.items():
            text, fork = answer(model, cache, prompt, args.new_tokens)
            back = [s.segment for s in fork.recalled]
            said = [model.renderer.tokenizer.decode(prompt.ids[s.start : s.stop]) for s in back]
            found.append(
                {
                    "row": row,
                    "kind": story.kind,
                    "length": len(rendered.ids),
                    "question": question,
                    "value": value,
                    "text": text,
                    "right": value.lower() in text.lower(),
                    "occurrences": len(at),
                    "tokens": cache.held_tokens() / len(rendered.ids),
                    "bytes": (cache.held_bytes() - (cache.evidence.bytes() if row == "full" else 0)) / full,
                    "recalled": len(back),
                    "estimate": fork.estimate,
                    "recalled_right": any(value in text for text in said),
                }
            )
    print(f"  {len(found)} answers after {time.monotonic() - begun:.0f} s", flush=True)
    return found


def difference(answers: list[dict[str, Any]], one: str, other: str) -> dict[str, Any]:
    """The difference in points, with a bootstrap interval over stories, and over questions within them."""
    groups: dict[int, list[float]] = {}
    by_key = {(a["story"], a["question"], a["row"]): a["right"] for a in answers}
    for (story, question, row), right in by_key.items():
        if row == one and (story, question, other) in by_key:
            groups.setdefault(story, []).append(100.0 * (right - by_key[story, question, other]))
    pairs = [np.array(group) for group in groups.values()]
    if not pairs:
        return {}
    draw = np.random.default_rng(0)
    means = []
    for _ in range(2000):
        chosen = [pairs[k] for k in draw.integers(len(pairs), size=len(pairs))]
        means.append(np.concatenate([draw.choice(group, len(group)) for group in chosen]).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(np.concatenate(pairs).mean())
    return {"mean": mean, "low": float(low), "high": float(high), "n": sum(map(len, pairs))}


def report(answers: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """What the file holds."""
    rows = list(dict.fromkeys(a["row"] for a in answers))

    def mean(row: str, field: str, kind: str | None = None) -> float:
        values = [a[field] for a in answers if a["row"] == row and kind in (None, a["kind"])]
        return float(np.mean(values)) if values else float("nan")

    kinds = sorted({a["kind"] for a in answers})
    ours = [a for a in answers if a["row"] == "ours"]
    back = [a for a in answers if a["row"] == "ours"]
    return {
        "model": Path(args.model).name,
        "budget": args.budget,
        "split": args.split,
        "conversations": len({a["story"] for a in answers}),
        "questions": len(ours),
        "accuracy": {row: {"all": mean(row, "right")} | {k: mean(row, "right", k) for k in kinds} for row in rows},
        "memory_quality": difference(answers, "ours", "full"),
        "against": {row: difference(answers, "ours", row) for row in rows if row != "ours"},
        "memory_ratio": {row: mean(row, "bytes") for row in rows},
        "tokens": {row: mean(row, "tokens") for row in rows},
        "recalled": {
            "any": float(np.mean([a["recalled"] > 0 for a in back])) if back else None,
            "with the answer": float(np.mean([a["recalled_right"] for a in back])) if back else None,
        },
        "answers": answers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--budget", type=float, default=0.25)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--plan", default="needle:8000:2,tools:8000:2", help="kind:tokens:number of conversations, …")
    parser.add_argument("--tau", type=Path, help="gpt-4o-airline.json of tau-bench")
    parser.add_argument("--tau-stories", type=int, default=4)
    parser.add_argument("--questions", type=int, default=6, help="the most for each conversation")
    parser.add_argument("--new-tokens", type=int, default=14)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"rows of the table; more: {', '.join(MORE)}")
    parser.add_argument("--seconds", type=float, default=450.0, help="no conversation is begun after so long")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begun = time.monotonic()
    model = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    style = model.style.conversation
    rows = [row.strip() for row in args.rows.split(",")]
    given: list[Story] = []
    for part in filter(None, args.plan.split(",")):
        kind, tokens, count = part.split(":")
        given += [stories(kind, args.split, int(tokens), style, model.renderer, n) for n in range(int(count))]
    if args.tau:
        fits = [s for s in tau_stories(args.tau, args.split, 200, style, model.renderer) if s.tokens < 7900]
        given += fits[: args.tau_stories]
    answers: list[dict[str, Any]] = []
    if args.json and args.json.exists():
        answers = json.loads(args.json.read_text())["answers"]
    done = {a["story"] for a in answers}
    for number, story in enumerate(given):
        if number in done:
            continue
        if time.monotonic() - begun > args.seconds:
            print("time is up; run again to go on", flush=True)
            break
        answers += [{"story": number} | one for one in asked(model, story, args, rows)]
        if args.json:
            args.json.write_text(json.dumps(report(answers, args), indent=1) + "\n")
    print(json.dumps({k: v for k, v in report(answers, args).items() if k != "answers"}, indent=1))


if __name__ == "__main__":
    main()
