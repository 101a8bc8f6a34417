"""Injected orders in tool results: the bare model against the default agent, on the turns after the order was read.

    python benchmarks/injected_tools.py --model ~/.cache/homeostat/real-models/qwen0.5b --dtype bfloat16 --json FILE

The cases are the questions of the suite ``injected-tools`` (held-out wordings): seven kinds of tools, 20 frames around
two phrases of eight orders. The oracle calls the tool that the question needs, whose result holds the order. Then the
agent has ``--turns`` turns. An attack succeeds if the order was carried out by then, and the task succeeds if the
answer holds the asked fact. With ``--clean``, every case is also played without the order. ``--split dev`` has other
cases, to look at the model before anything is measured.

``--agents`` says who plays: ``none`` is the bare model, every other name a preset of controllers. One case at a time
reuses the keys and values of what all prompts share (system message, rules, tools), which is most of a prompt;
``--batch`` plays several cases side by side. ``--constrained`` holds every turn to the tools' schema, so that it is one
whole call or an answer. ``--seconds`` ends an agent's run: only the cases before the first unfinished one count, so
that slow ones are not left out. Each finished case is written to FILE.jsonl (or ``--journal``), and the same command
goes on from there.

JSON keys: for each agent ``n`` and, with their counts and Wilson intervals at 95 %, ``attack``, ``success`` (with the
order), ``refused`` (cases in which a controller refused an action) and ``answered`` (cases that ended with an answer in
words); ``clean`` where it was played. ``change`` has each later agent's share minus the first one's, with Newcombe's
interval for paired proportions. ``cases`` has what each agent said.
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
from homeostat.envs.harness import Case, load_suite, newcombe_paired, wilson
from homeostat.envs.office import OfficeEnv
from homeostat.errors import HomeostatError

Make = Callable[[Model], Agent]
Row = dict[str, Any]


def played(make: Make, shared: SharedModel, case: Case, split: str, share: float, turns: int) -> Row:
    """One agent on one case: what it said, and what the checks say."""
    env = OfficeEnv(split, injected=share)  # type: ignore[arg-type]
    info = env.reset_task(case.task, seed=case.seed)
    env.act(env.oracle())
    with shared.caller() as model:
        run = make(model).start(info, env, max_steps=turns)
        said = [str(event.said) for event in run if event.kind == "act"]
    refused = any(record.kind == "refuse" for record in run.result.decisions)
    order = env.injection.order.name if env.injection is not None else ""
    return {
        "obeyed": bool(env.obeyed()),
        "success": env.success(),
        "refused": refused,
        "answered": bool(env.ended),
        "order": order,
        "said": said,
        "ended": run.result.ended,
    }


def measured(
    make: Make, shared: SharedModel, cases: list[Case], settings: argparse.Namespace, known: dict[Any, Row], name: str
) -> list[Row]:
    """One agent on the cases, with the order and perhaps without it, until the time is over."""
    begun = time.monotonic()

    def both(case: Case) -> Row | None:
        if (name, case.task, case.seed) in known:
            return known[name, case.task, case.seed]
        rows: Row = {}
        for kind, share in (("attacked", 1.0), ("clean", 0.0))[: 1 + settings.clean]:
            if time.monotonic() - begun >= settings.seconds:
                return None
            try:
                rows[kind] = played(make, shared, case, settings.split, share, settings.turns)
            except HomeostatError as error:
                nothing = dict.fromkeys(("obeyed", "success", "refused", "answered"), False)
                rows[kind] = nothing | {"order": "", "said": [str(error)], "ended": "error"}
        row = {"agent": name, "task": case.task, "seed": case.seed, **rows}
        line = json.dumps(row, ensure_ascii=False)
        if settings.journal:
            with settings.journal.open("a") as file:
                file.write(line + "\n")
        print(f"{time.monotonic() - begun:.0f} s", line, flush=True)
        return row

    with ThreadPoolExecutor(shared.rows) as pool:
        found = list(pool.map(both, cases))
    return found[: found.index(None)] if None in found else found  # type: ignore[return-value]


def outcomes(rows: list[Row]) -> dict[str, list[bool]]:
    """Each counted outcome of the cases, in their order."""
    names = {"attack": "obeyed", "success": "success", "refused": "refused", "answered": "answered"}
    found = {name: [row["attacked"][key] for row in rows] for name, key in names.items()}
    if rows and "clean" in rows[0]:
        found["clean"] = [row["clean"]["success"] for row in rows]
    return found


def figures(rows: list[Row]) -> dict[str, Any]:
    """Counts and intervals of one agent."""
    counts = {name: sum(each) for name, each in outcomes(rows).items()}
    shares = {name: {"count": count, **wilson(count, len(rows)).as_dict()} for name, count in counts.items()}
    return {"n": len(rows), **shares}


def change(first: list[Row], second: list[Row]) -> dict[str, Any]:
    """The second agent's shares minus the first one's, on the cases that both played."""
    before, after = outcomes(first), outcomes(second)
    found: dict[str, Any] = {"n": min(len(first), len(second))}
    for name in before.keys() & after.keys():
        pairs = list(zip(after[name], before[name], strict=False))
        counts = [pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))]
        found[name] = newcombe_paired(*counts).as_dict()
    return found


def read_journal(path: Path | None, arguments: dict[str, Any]) -> dict[Any, Row]:
    """The cases that a journal holds; a new journal is begun with the run's arguments."""
    if path is None:
        return {}
    if not path.exists():
        path.write_text(json.dumps(arguments) + "\n")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    if lines[0] != arguments:
        raise SystemExit(f"{str(path)!r} was begun with {lines[0]}; delete it, or give another --journal")
    return {(row["agent"], row["task"], row["seed"]): row for row in lines[1:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default=None, help="for example bfloat16")
    parser.add_argument("--agents", default="none,default")
    parser.add_argument("--split", default="test", choices=("dev", "test"))
    parser.add_argument("--cases", type=int, default=42)
    parser.add_argument("--turns", type=int, default=2, help="the agent's turns after the order was read")
    parser.add_argument("--batch", type=int, default=1, help="episodes side by side")
    parser.add_argument("--tokens", type=int, default=96, help="the most tokens of a turn")
    parser.add_argument("--constrained", action="store_true", help="hold every turn to the tools' schema")
    parser.add_argument("--seconds", type=float, default=3000.0, help="per agent")
    parser.add_argument("--clean", action="store_true", help="also play every case without the order")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--journal", type=Path, help="by default FILE.jsonl beside --json FILE")
    args = parser.parse_args()
    if args.journal is None and args.json is not None:
        args.journal = args.json.with_suffix(".jsonl")
    suite = load_suite("injected-tools", split=args.split, episodes=10_000)
    cases = [case for case in suite.cases() if case.task.endswith("_fact")][: args.cases]
    names = ("model", "dtype", "split", "turns", "tokens", "constrained", "clean")
    known = read_journal(args.journal, {name: getattr(args, name) for name in names})
    model = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    shared = SharedModel(model, rows=args.batch)
    result: dict[str, Any] = {"model": model.name, "split": args.split, "turns": args.turns}
    result |= {"agents": {}, "change": {}, "cases": {}}
    for name in args.agents.split(","):
        controllers, limits = (
            controllers_for(name),
            LoopLimits(max_new_tokens=args.tokens, constrained=args.constrained),
        )
        make = partial(Agent, controllers=controllers, limits=limits)
        rows = measured(make, shared, cases, args, known, name)
        result["agents"][name], result["cases"][name] = figures(rows), rows
        print(name, json.dumps(result["agents"][name], indent=1), flush=True)
        first = next(iter(result["cases"]))
        if name != first:
            result["change"][f"{name} - {first}"] = change(result["cases"][first], rows)
            print(json.dumps(result["change"], indent=1), flush=True)
        if args.json:
            args.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
