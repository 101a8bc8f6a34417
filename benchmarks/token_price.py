"""Measures what a generated token costs: by ``generate`` and in a batch that rows may join, with and without the probe.

    OMP_NUM_THREADS=1 python benchmarks/token_price.py --model FOLDER --dtype bfloat16 --prompt 700 --json FILE

A row's price is the difference between an answer of ``--tokens`` tokens and one of a single token, so that reading the
prompt does not count. The fastest of ``--rounds`` counts.

JSON, in milliseconds for a step of all rows: ``generate`` and ``batch_1`` (one row), ``batch_8`` (eight rows), each
with ``plain`` and ``probed``; ``prompt`` is the number of the prompt's tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from homeostat import TransformersModel
from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.rows import Row
from homeostat.agent.models.side_by_side import answer_rows
from homeostat.sensors import Prompt

WORDS = "The train to the sea stops at every village, and nobody on it is in a hurry today. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default=None, help="for example bfloat16")
    parser.add_argument("--prompt", type=int, default=700, help="about how many tokens a prompt has")
    parser.add_argument("--tokens", type=int, default=17)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    model = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    model.stops = frozenset()
    copies = max(1, args.prompt // len(model.renderer.tokenizer(WORDS)["input_ids"]))
    prompts = [Prompt.from_chat([{"role": "user", "content": WORDS * copies + f"Story {n}?"}]) for n in range(8)]

    def timed(way: str, tokens: int, watch: bool) -> tuple[float, int]:
        """The seconds of a call, and how many tokens its first answer has: ``generate`` may end by itself."""
        begun = time.perf_counter()
        if way == "generate":
            answer = model.generate(prompts[0], max_new_tokens=tokens, watch=watch)[0]
        else:
            call = GenerationCall(max_new_tokens=tokens, watch=watch)
            rows = [Row(prompt, call, owner=n) for n, prompt in enumerate(prompts[: int(way[-1])])]
            answer = answer_rows(model, rows, pools[way])[0][0]
        return time.perf_counter() - begun, len(answer.tokens)

    ways = ("generate", "batch_1", "batch_8")
    pools = {way: PrefixPool(model.model.config.get_text_config(decoder=True), 8) for way in ways[1:]}
    found: dict[str, dict[str, list[float]]] = {way: {"plain": [], "probed": []} for way in ways}
    for _ in range(args.rounds):
        for way in ways:
            for name, watch in (("plain", False), ("probed", True)):
                timed(way, 1, watch)
                (whole, tokens), (first, _) = timed(way, args.tokens, watch), timed(way, 1, watch)
                found[way][name].append(1000 * (whole - first) / (tokens - 1))
    prices = {way: {name: round(min(times), 1) for name, times in by.items()} for way, by in found.items()}
    length = len(model.renderer.render(prompts[0]).ids)
    result = {**prices, "prompt": length, "load": [load, os.getloadavg()[0]]}
    print(json.dumps(result))
    if args.json is not None:
        args.json.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
