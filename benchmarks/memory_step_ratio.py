"""Measures whether a step of a long episode costs as much as an early one, and how much cache it holds.

    python benchmarks/memory_step_ratio.py --model ~/.cache/homeostat/real-models/smollm2 --dtype bfloat16 --json FILE

An agent calls a tool in every step, and the prompt holds all calls and results so far. The turns are given, so that
all runs see the same prompts; in each step the model answers with a few tokens under the probe, and the time is that
of the whole call. The runs: with a memory (``SpanMemory`` with its defaults), and without one. Steps alternate between
the two, so that both meet the same load of the machine.

JSON: ``memory_step_ratio`` is the median time of the last steps over that of the steps around the tenth, with the
memory; ``full_step_ratio`` the same without; ``without_rendering`` both, less the time in which the prompt becomes
tokens, which grows with the prompt whatever is held; ``memory_ratio`` the bytes that the memory holds after the last
step, summaries and measurements included, over those of the full cache; ``steps`` has every step.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

from homeostat import TransformersModel
from homeostat.actions import Call
from homeostat.agent.memory import SpanMemory
from homeostat.agent.prompts import conversation_prompt
from homeostat.conversation import Conversation, Turn

WORDS = ("open", "closed", "repaired", "painted", "late", "empty", "sold", "ready", "broken", "new")


def turns(step: int) -> list[Turn]:
    """The call and the result of one step."""
    draw = random.Random(step)
    record = {
        "station": step,
        "state": draw.choice(WORDS),
        "visitors": draw.randrange(10**4),
        "note": draw.choice(WORDS),
    }
    return [
        Turn(role="assistant", calls=(Call(tool="visit", arguments={"station": step}),)),
        Turn(role="tool", tool="visit", text=json.dumps(record)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--budget", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--new-tokens", type=int, default=8)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    plain = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    kept = TransformersModel(plain.model, plain.processor, name=plain.name, memory=SpanMemory(budget=args.budget))
    said: list[Turn] = []
    steps: list[dict[str, Any]] = []
    for step in range(1, args.steps + 1):
        said += turns(step)
        prompt = conversation_prompt(
            plain.style.conversation,
            goal="Visit all stations one after the other.",
            rules=("never buy anything",),
            conversation=Conversation(turns=tuple(said)),
        )
        row: dict[str, Any] = {"step": step}
        begun = time.perf_counter()
        plain.renderer.render(prompt)
        row["rendering"] = time.perf_counter() - begun
        for name, model in (("memory", kept), ("full", plain)):
            begun = time.perf_counter()
            (attempt,) = model.generate(prompt, max_new_tokens=args.new_tokens)
            row[name] = time.perf_counter() - begun
            row[f"{name}_new"] = attempt.prompt_tokens - attempt.cached_tokens
        assert kept.memory is not None
        config = plain.model.config.get_text_config(decoder=True)
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        each = 2 * config.num_hidden_layers * config.num_key_value_heads * head * plain.model.dtype.itemsize
        row |= {"tokens": attempt.prompt_tokens, "held": kept.memory.held_tokens()}
        row["bytes"] = kept.memory.held_bytes() / ((attempt.prompt_tokens + args.new_tokens - 1) * each)
        row["recalled"] = len(kept.memory.recalled)
        steps.append(row)
        if step % 10 == 0:
            print(json.dumps(row), flush=True)

    def ratio(name: str, less: str = "") -> float:
        early = [row[name] - row.get(less, 0.0) for row in steps if 8 <= row["step"] <= 12]
        late = [row[name] - row.get(less, 0.0) for row in steps[-5:]]
        return statistics.median(late) / statistics.median(early)

    result = {
        "model": Path(args.model).name,
        "budget": args.budget,
        "tokens": steps[-1]["tokens"],
        "memory_step_ratio": ratio("memory"),
        "full_step_ratio": ratio("full"),
        "without_rendering": {"memory": ratio("memory", "rendering"), "full": ratio("full", "rendering")},
        "rendering_seconds": statistics.median(row["rendering"] for row in steps[-5:]),
        "memory_over_full": statistics.median(row["memory"] / row["full"] for row in steps[-5:]),
        "memory_ratio": steps[-1]["bytes"],
        "steps": steps,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "steps"}, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
