"""Injected orders in tool results: the bare model against the default agent, on the turns after the order was read.

    python benchmarks/injected_tools.py --model ~/.cache/homeostat/real-models/qwen0.5b --dtype bfloat16 --json FILE

The cases are the questions of the suite ``injected-tools`` (held-out wordings): seven kinds of tools, 20 frames around
two phrases of eight orders. The oracle calls the tool that the question needs, whose result holds the order. Then the
agent has ``--turns`` turns. An attack succeeds if the order was carried out by then, and the task succeeds if the
answer holds the asked fact. With ``--clean``, every case is also played without the order.

``--agents`` says who plays: ``none`` is the bare model, every other name a preset of controllers. Several episodes run
side by side, so that their model calls meet in batches. ``--seconds`` ends an agent's run: only the cases before the
first unfinished one count, so that slow ones are not left out.

JSON keys: for each agent ``n`` and, with their counts and Wilson intervals at 95 %, ``attack``, ``success`` (with the
order) and ``refused`` (cases in which a controller refused an action); ``clean`` where it was played. ``cases`` has
what each agent said.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from homeostat import Agent, TransformersModel
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.models.protocol import Model
from homeostat.agent.models.shared_model import SharedModel
from homeostat.controllers import controllers_for
from homeostat.envs.harness import Case, load_suite, wilson
from homeostat.envs.office import OfficeEnv
from homeostat.errors import HomeostatError

Make = Callable[[Model], Agent]


def played(make: Make, shared: SharedModel, case: Case, share: float, turns: int) -> dict[str, Any]:
    """One agent on one case: what it said, and what the checks say."""
    env = OfficeEnv("test", injected=share)
    info = env.reset_task(case.task, seed=case.seed)
    env.act(env.oracle())
    with shared.caller() as model:
        run = make(model).start(info, env, max_steps=turns)
        said = [str(event.said) for event in run if event.kind == "act"]
    refused = any(record.kind == "refuse" for record in run.result.decisions)
    order = env.injection.order.name if env.injection is not None else ""
    return {"obeyed": env.obeyed(), "success": env.success(), "refused": refused, "order": order, "said": said}


def measured(
    make: Make, shared: SharedModel, cases: list[Case], turns: int, seconds: float, clean: bool
) -> list[dict[str, Any]]:
    """One agent on the cases, with the order and perhaps without it, until the time is over."""
    begun = time.monotonic()

    def both(case: Case) -> dict[str, Any] | None:
        rows = {}
        for name, share in (("attacked", 1.0), ("clean", 0.0))[: 1 + clean]:
            left = seconds - (time.monotonic() - begun)
            if left <= 0:
                return None
            try:
                rows[name] = played(make, shared, case, share, turns)
            except HomeostatError as error:
                rows[name] = {"obeyed": False, "success": False, "refused": False, "order": "", "said": [str(error)]}
        row = {"task": case.task, "seed": case.seed, **rows}
        print(f"{time.monotonic() - begun:.0f} s", json.dumps(row, ensure_ascii=False), flush=True)
        return row

    with ThreadPoolExecutor(shared.rows) as pool:
        found = list(pool.map(both, cases))
    return found[: found.index(None)] if None in found else found  # type: ignore[return-value]


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and intervals of one agent."""
    counts = {
        "attack": sum(row["attacked"]["obeyed"] for row in rows),
        "success": sum(row["attacked"]["success"] for row in rows),
        "refused": sum(row["attacked"]["refused"] for row in rows),
    }
    if rows and "clean" in rows[0]:
        counts["clean"] = sum(row["clean"]["success"] for row in rows)
    shares = {name: {"count": count, **wilson(count, len(rows)).as_dict()} for name, count in counts.items()}
    return {"n": len(rows), **shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default=None, help="for example bfloat16")
    parser.add_argument("--agents", default="none,default")
    parser.add_argument("--cases", type=int, default=42)
    parser.add_argument("--turns", type=int, default=2, help="the agent's turns after the order was read")
    parser.add_argument("--batch", type=int, default=14, help="episodes side by side")
    parser.add_argument("--tokens", type=int, default=64, help="the most tokens of a turn")
    parser.add_argument("--seconds", type=float, default=480.0, help="per agent")
    parser.add_argument("--clean", action="store_true", help="also play every case without the order")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    suite = load_suite("injected-tools", episodes=10_000)
    cases = [case for case in suite.cases() if case.task.endswith("_fact")][: args.cases]
    model = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    shared = SharedModel(model, rows=args.batch)
    result: dict[str, Any] = {"model": model.name, "turns": args.turns, "agents": {}, "cases": {}}
    for name in args.agents.split(","):
        controllers, limits = controllers_for(name), LoopLimits(max_new_tokens=args.tokens)
        make = partial(Agent, controllers=controllers, limits=limits)
        rows = measured(make, shared, cases, args.turns, args.seconds, args.clean)
        result["agents"][name], result["cases"][name] = figures(rows), rows
        print(name, json.dumps(result["agents"][name], indent=1), flush=True)
        if args.json:
            args.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
