"""Measures how far a model's attention can be trusted to say which part of a prompt matters.

    python benchmarks/faithfulness.py --cases 120 --json faithfulness.json
    python benchmarks/faithfulness.py --model FOLDER --dtype bfloat16 --tasks chat:20:8,tensortrust:10:5,tools:4:2 \
        --times 1,4 --data tensortrust/inputs --transfer --out runs/faithful --json docs/evidence/faithfulness.json

Attention mass and intensity of each span are compared with two other measures (``homeostat.sensors.faithfulness``):
gradient times input, and the effect of deleting the span on the answer. Each prompt is measured with the answer that
the model generates. Tasks, with nano's phone as the default:

- ``phone``: steps of the oracle's episodes on the phone (training templates, dev words);
- ``chat``: conflicts between system and user and their twins; ``tensortrust``: attacks and helpful requests; ``tools``:
  tool results with an injected order. At 4 times the length, earlier exchanges stand in front.

*Heads*: ``head_trust`` of dev prompts chooses the ``--share`` of heads whose masses rank spans most as deletion does.
On test prompts, the mass over these heads is compared with that over all heads and over random sets of as many heads.

*Transfer* (``--transfer``): the threshold of each reading is set at ``--rate`` of false alarms on benign prompts of one
source, and its false alarms are counted on others: the same task in other wordings, four times as long, under a chat
template that the model does not know, and other tasks.

Started again with ``--out``, the command goes on; the folder holds the rows of every prompt. With ``--tables``, it
measures nothing more and computes the figures of the rows that are there.

JSON, by model: ``cells`` (task and length) with ``cases`` and the correlations, each as value, low, high (bootstrap
over prompts): ``rho`` over all (prompt, span) pairs, ``within`` prompts, and ``labels``: over prompts for each label.
``heads`` and ``transfer`` as above.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from faithful_cases import Shown, chat, first, longer, other_template, phone, tensortrust, tools
from faithful_tables import cells, head_table, plain, show, transfer_table
from journal import Journal

from homeostat import TransformersModel
from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors import FocusScore, Prompt, SensorContext
from homeostat.sensors.attention_drift import intensities
from homeostat.sensors.faithfulness import Case, span_evidence

INSTRUCTIONS, DATA = ("system", "rules"), ("user", "goal", "question", "instruction")
TASKS = ("phone", "chat", "tensortrust", "tools")


def measured(model: TransformersModel, prompt: Prompt, new_tokens: int) -> list[dict[str, Any]]:
    """The measures of every span of a prompt, for the model's own answer."""
    rendered = model.renderer.render(prompt)
    (attempt,) = model.generate(prompt, watch=False, max_new_tokens=new_tokens)
    found = span_evidence(model.model, Case(dict(rendered.inputs), rendered.as_spans(), attempt.tokens))
    rows = []
    for one in found:
        row = asdict(one)
        row["heads"] = np.round(one.heads, 6).tolist()
        rows.append(row)
    return rows


def prompts(model: TransformersModel, task: str, split: str, args: argparse.Namespace) -> Iterator[Shown]:
    """The prompts of a task; dev prompts choose heads, test prompts are reported."""
    dev = args.tasks[task][1]
    number = dev if split == "dev" else args.tasks[task][0]
    if task == "phone":
        yield from phone(model, number) if split == "test" else ()
    elif task == "chat":
        yield from first(chat(split), 0, number)
    elif task == "tensortrust":
        skip = 0 if split == "dev" else dev
        yield from first(tensortrust(model, args.data, args.longest), skip, number)
    else:
        yield from tools(model, split, number, injected=True)


def measure(model: TransformersModel, args: argparse.Namespace, journal: Journal) -> None:
    """Measures all prompts that are not finished."""
    for task in args.tasks:
        for split in ("dev", "test"):
            for number, shown in enumerate(prompts(model, task, split, args)):
                for times in args.times:
                    key = {"task": task, "split": split, "times": times, "number": number}
                    if journal.has(**key):
                        continue
                    prompt = longer(model, shown.prompt, times)
                    if times > 1 and len(model.renderer.render(prompt).ids) > times * args.longest:
                        continue
                    evidence = measured(model, prompt, args.new_tokens)
                    journal.add({**key, "benign": shown.benign, "evidence": evidence})
                    print(f"{task} {split} {times}x {number + 1}", flush=True)


def sources(model: TransformersModel, args: argparse.Namespace) -> Iterator[tuple[str, str, TransformersModel, Any]]:
    """The benign prompts of each source: its name, its part, the model to read it with, and the prompts."""
    number, plain = args.benign, other_template(model)
    trust = [shown for shown in tensortrust(model, args.data, args.longest) if shown.benign]
    for part, split, skip in (("set", "dev", 0), ("measured", "test", number)):
        twins = first((shown for shown in chat(split) if shown.benign), 0, number)
        yield "chat", part, model, [shown.prompt for shown in twins]
        yield "chat, 4x", part, model, [longer(model, shown.prompt, 4) for shown in twins]
        yield "chat, other template", part, plain, [shown.prompt for shown in twins]
        yield "tensortrust", part, model, [shown.prompt for shown in first(trust, skip, number)]
        yield "tools", part, model, [s.prompt for s in tools(model, split, number, injected=False)]


def transfer(model: TransformersModel, args: argparse.Namespace, journal: Journal) -> None:
    """Reads the first token of every benign prompt that is not finished."""
    sensor = FocusScore(instructions=INSTRUCTIONS, data=DATA)
    for name, part, reader, given in sources(model, args):
        for number, prompt in enumerate(given):
            if journal.has(source=name, part=part, number=number):
                continue
            (attempt,) = reader.generate(prompt, max_new_tokens=1)
            assert attempt.spans is not None
            _, levels = intensities(attempt.spans, None, "first")
            values = {
                "focus_score": sensor.read(attempt, SensorContext(goal="")).value,
                "intensity of the system span": levels["system"],
                "confidence": float(np.exp(attempt.logprobs[0])),
            }
            journal.add({"source": name, "part": part, "number": number, "values": values})
        print(f"{name}, {part}", flush=True)


def tasks_of(given: str, cases: int, dev: int) -> dict[str, tuple[int, int]]:
    """The numbers of test and dev prompts of each task, from a text such as ``chat,tools:6:3``."""
    found = {}
    for one in given.split(","):
        name, *numbers = one.split(":")
        if name not in TASKS:
            raise UnknownName.of("task", name, TASKS)
        found[name] = (int(numbers[0]) if numbers else cases, int(numbers[1]) if len(numbers) > 1 else dev)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="homeostat/nano", help="a Hugging Face name, a folder, or an embedded model")
    parser.add_argument("--dtype", default="float32", help="the type of the weights")
    parser.add_argument(
        "--tasks", default="phone", help=f"some of {', '.join(TASKS)}, each as TASK, TASK:CASES or TASK:CASES:DEV"
    )
    parser.add_argument("--times", default="1", help="lengths of the prompts, such as 1,4")
    parser.add_argument("--cases", type=int, default=120, help="test prompts of each task")
    parser.add_argument("--dev", type=int, default=0, help="dev prompts of each task, which choose the heads")
    parser.add_argument("--share", type=float, default=0.1, help="the share of heads to choose")
    parser.add_argument("--new-tokens", type=int, default=32, help="the most tokens of an answer")
    parser.add_argument("--data", type=Path, help="the folder with TensorTrust's hijacking.jsonl and helpful.jsonl")
    parser.add_argument("--longest", type=int, default=160, help="the most tokens of a prompt of TensorTrust")
    parser.add_argument("--transfer", action="store_true", help="measure the transfer of thresholds; needs --data")
    parser.add_argument("--benign", type=int, default=19, help="benign prompts of each source and part")
    parser.add_argument("--rate", type=float, default=0.1, help="the false-alarm rate at which thresholds are set")
    parser.add_argument("--out", type=Path, help="the folder of the finished rows")
    parser.add_argument("--tables", action="store_true", help="measure nothing more; compute the figures of --out")
    parser.add_argument("--json", type=Path, help="write the figures here; other models in the file are kept")
    args = parser.parse_args()
    args.tasks = tasks_of(args.tasks, args.cases, args.dev)
    args.times = [int(times) for times in args.times.split(",")]
    if args.data is None and ("tensortrust" in args.tasks or args.transfer):
        raise ConfigError("--data is missing; pass the folder with TensorTrust's hijacking.jsonl and helpful.jsonl")
    folder = Path(args.model).expanduser()
    name = folder.name
    rows = Journal(args.out and args.out / f"{name}_spans.jsonl")
    readings = Journal(args.out and args.out / f"{name}_transfer.jsonl")
    if not args.tables:
        source = str(folder) if folder.exists() else args.model
        model = TransformersModel.load(source, "cpu", args.dtype, reuse=False)
        measure(model, args, rows)
        if args.transfer:
            transfer(model, args, readings)
    result: dict[str, Any] = {"cells": cells(rows.rows), "heads": head_table(rows.rows, args.share)}
    if readings.rows:
        result["transfer"] = transfer_table(readings.rows, args.rate)
    show(result)
    if args.json:
        known = json.loads(args.json.read_text()) if args.json.exists() else {}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(known | {name: plain(result)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
