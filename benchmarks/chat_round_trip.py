"""The round trip of ``mined_round_trip.py --suite chat``: conversations of a language model.

Four steps, each of which is kept and not done again: ``play`` (the agent answers), ``mine``, ``train`` (an adapter for
each choice of layers, measured on dev), and ``test`` (the adapter that dev chose).
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from align_answers import answers, scored
from align_figures import gain
from align_rows import SUITES, distinct, measured_cases
from align_training import write_whole

from homeostat.agent.agent import Agent
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.prompts import TEXT
from homeostat.agent.trace import Trace
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.alignment.conflicts.core import Case
from homeostat.alignment.diagnosis.agents import agent_answers
from homeostat.alignment.preference.mining import corrected_pairs
from homeostat.alignment.preference.pairs import read_pairs
from homeostat.alignment.preference.steps import read_traces
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.controllers import Pull, Remind
from homeostat.sensors import ConflictProbe, ProbeWeights

SUITE = SUITES["chat"]
STEPS = ("play", "mine", "train", "test")
_CHUNK = 32
"""Conversations whose answers are kept together: a killed run loses at most so many."""


class Chats:
    """The conversations of a model: with the loop, and before and after the training.

    Attributes:
        out: The folder for traces and answers. What is in it is not asked again.
    """

    def __init__(self, model: str, dtype: str | None, probe: ProbeWeights, out: Path, batch: int) -> None:
        """Prepares everything; the model is loaded when it is first needed.

        Args:
            model: The model's name or folder.
            dtype: The type of its weights.
            probe: The learned probe, whose alarm closes the loop.
            out: The folder.
            batch: The most conversations at a time.
        """
        self.name, self.dtype, self.probe, self.out, self.batch = model, dtype, probe, out, batch

    @cached_property
    def bare(self) -> TransformersModel:
        """The untrained model."""
        return TransformersModel.load(self.name, None, self.dtype)

    @property
    def agent(self) -> Agent:
        """The agent: on the probe's alarm it restates the system message and pulls attention to it (pull-reminders)."""
        sensor = ConflictProbe(self.probe)
        pull = Pull(base=3.0, heads=frozenset(self.probe.heads))
        controller = Remind(name="pull-reminders", sensors=frozenset({"conflict_probe"}), unparsable=False, pull=pull)
        return Agent(self.bare, [sensor], [controller], limits=LoopLimits(max_new_tokens=SUITE.tokens))

    def play(self, conversations: int) -> list[dict[str, Any]]:
        """Lets the agent answer train conflicts and their twins, and keeps a trace of each.

        Args:
            conversations: How many.

        Returns:
            For each conversation, what came of it by the ground truth, which is only reported: nothing is mined by it.
        """
        found: list[dict[str, Any]] = []
        cases = train_cases(conversations)
        for first in range(0, len(cases), _CHUNK):
            folder = self.out / "traces" / f"{first:05d}"
            file = self.out / "played" / f"{first:05d}.json"
            if not file.is_file():
                shutil.rmtree(folder, ignore_errors=True)
                some = cases[first : first + _CHUNK]
                texts = agent_answers(self.agent, [case.prompt for case in some], batch=self.batch, traces=folder)
                write_whole(file, [outcome(case, text) for case, text in zip(some, texts, strict=True)])
                print(f"{first + len(some)} of {len(cases)} conversations", flush=True)
            found += json.loads(file.read_text())
        return found

    def measured(self, adapter: Path | None, split: str) -> dict[str, Any]:
        """Asks the bare model, without the loop, the conflicts and twins of the alignment table.

        Args:
            adapter: The trained adapter; None for the untrained model.
            split: ``dev`` or ``test``.

        Returns:
            The answers' figures, as ``align_table.py`` has them.
        """
        folder = self.out / "base" if adapter is None else adapter.parent
        cases = measured_cases(None, split, SUITE.test)  # type: ignore[arg-type]

        def load() -> TransformersModel:
            return self.bare if adapter is None else load_adapted(str(adapter), None, self.dtype)

        return scored(answers(load, cases, folder / f"answers-{split}.json", SUITE))


def train_cases(count: int) -> list[Case]:
    """Lists train conflicts and their twins, no prompt twice.

    Args:
        count: The number of cases.

    Returns:
        The cases, each conflict followed by its twin where the twin is new.
    """
    drawn = (case for both in islice(hierarchy_twins("train", 0), 20 * count) for case in (both.conflict, both.aligned))
    return list(islice(distinct(drawn), count))


def outcome(case: Case, text: str) -> dict[str, Any]:
    """What an answer is worth by the ground truth."""
    truth = case.judge(text)
    return {"id": case.id, "aligned": case.aligned, "kept": not truth.broken, "right": truth.reached == 1, "text": text}


def chat_round_trip(args: argparse.Namespace, run: Callable[..., None]) -> dict[str, Any]:
    """Plays, mines, trains and measures.

    Args:
        args: The options of ``mined_round_trip.py``.
        run: Runs a command of ``homeostat``.

    Returns:
        The figures: ``round_trip_gain``, ``round_trip_twins``, ``intervals`` and ``round_trip``; empty before the step
        ``test``.
    """
    probe = ProbeWeights.load(args.probe)
    if args.threshold is not None:
        probe = probe.model_copy(update={"threshold": args.threshold})
    chats = Chats(args.model, args.dtype, probe, args.out, args.rows)
    loop = chats.play(args.conversations) if "play" in args.steps else []
    if "mine" in args.steps and not (args.out / "mined").is_dir():
        model = ("--model", args.model, "--dtype", args.dtype)
        run(
            "mine", "--traces", str(args.out / "traces"), "--sources", "corrected", *model, "--out", f"{args.out}/mined"
        )
    if "train" not in args.steps:
        return {}
    layers = args.layers or ["all"]
    adapters = {name: trained(args, name, run) for name in layers}
    dev = {}
    for name, adapter in adapters.items() if len(layers) > 1 else ():
        base, one = chats.measured(None, "dev"), chats.measured(adapter, "dev")
        dev[name] = {key: interval(gain([one], base, side)) for key, side in (("kept", "kept"), ("twins", "right"))}
        print(f"dev, {name}: {dev[name]}", flush=True)
    chosen = max(layers, key=lambda name: worth(dev[name])) if dev else layers[0]
    if "test" not in args.steps:
        return {}
    told, after = tested(chats, adapters[chosen])
    traces = read_traces([args.out / "traces"])
    mined = {"conversations": len(traces), "pairs": len(read_pairs(args.out / "mined" / "pairs")), "loop": shares(loop)}
    mined |= by_truth(traces, train_cases(args.conversations))
    return told | {"round_trip": mined | {"layers": chosen, "dev": dev, "after": after}}


def trained(args: argparse.Namespace, layers: str, run: Callable[..., None]) -> Path:
    """Trains an adapter by the recipe of ``align_table.py``, once.

    Args:
        args: The options of ``mined_round_trip.py``.
        layers: The layers, as for ``homeostat align``.
        run: Runs a command of ``homeostat``.

    Returns:
        The adapter's folder.
    """
    out = args.out / f"aligned-{layers}"
    if not (out / "finished").is_file():
        told = SUITE.recipe | {key: value for key in ("rate", "epochs") if (value := getattr(args, key)) is not None}
        focal = layers in ("focal", "random")
        rank = SUITE.rank if focal else 5  # five of 24 layers are focal: equally many parameters
        data = ("--data", f"{args.out}/mined/pairs", "--out", str(out), "--cache", f"{args.out}/states")
        model = ("--model", args.model, "--dtype", args.dtype, "--layers", layers)
        where = ("--localization", str(args.localization)) if focal or args.localization else ()
        weights = (
            "--weights",
            "attention" if layers == "focal" else "uniform",
            "--r",
            str(rank),
            "--alpha",
            str(2 * rank),
        )
        rest = ("--forgetting", "0", "--attention-steps", "0", "--save-steps", "5")  # a killed training goes on
        recipe = [part for key, value in told.items() for part in (f"--{key}", str(value))]
        run("align", *data, *model, *where, *weights, *recipe, *rest)
        (out / "finished").touch()
    return Path(out / "adapter")


def tested(chats: Chats, adapter: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measures the adapter on the test split.

    Args:
        chats: The conversations.
        adapter: The adapter's folder.

    Returns:
        The gains over the untrained model with their intervals, and the figures of the trained one.
    """
    base, after = chats.measured(None, "test"), chats.measured(adapter, "test")
    found: dict[str, Any] = {"intervals": {}}
    for name, key in (("gain", "kept"), ("twins", "right"), ("twins_kept", "both")):
        for wordings in (False, True):
            mean, *ends = interval(gain([after], base, key, wordings=wordings))
            found[f"round_trip_{name}"] = mean
            found["intervals"][f"round_trip_{name}{', whole wordings drawn' if wordings else ''}"] = ends
    return found, after


def interval(one: tuple[float, float, float]) -> list[float]:
    """A gain with the ends of its interval, in percentage points."""
    return [round(value, 2) for value in one]


def worth(dev: dict[str, list[float]]) -> float:
    """What the choice goes by: the rule kept, and what twins lose."""
    return dev["kept"][0] + min(dev["twins"][0], 0.0)


def by_truth(traces: list[Trace], cases: list[Case]) -> dict[str, Any]:
    """Compares the loop's first answers and its corrections with the ground truth. Nothing is mined or chosen by it.

    Args:
        traces: The conversations, in order.
        cases: Their cases.

    Returns:
        ``alarmed``, the number of conversations with an alarm at the first answer; ``first``, what came of the first
        answers, as ``loop`` has it of the last; and ``pairs_by_truth``: of all pairs and of those of twins, in how
        many the chosen answer is better, worse, or neither. An answer is good if it keeps the rule and, in a twin, is
        right.
    """
    counts = {side: {"better": 0, "worse": 0, "neither": 0} for side in ("all", "twins")}
    firsts = []
    for trace, case in zip(traces, cases, strict=True):
        firsts.append(outcome(case, trace.attempts[0].text.strip()))
        for pair in corrected_pairs(trace, TEXT):
            chosen, rejected = good(case, pair.chosen), good(case, pair.rejected)
            worth = "neither" if chosen == rejected else "better" if chosen else "worse"
            for side in ("all", "twins") if case.aligned else ("all",):
                counts[side][worth] += 1
    alarmed = sum(any(reading.alarm for reading in trace.attempts[0].readings) for trace in traces)
    return {"alarmed": alarmed, "first": shares(firsts), "pairs_by_truth": counts}


def good(case: Case, text: str) -> bool:
    """Whether an answer keeps the rule and, in a twin, is right."""
    truth = case.judge(text)
    return not truth.broken and (not case.aligned or truth.reached == 1)


def shares(loop: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of the conversations with the loop, by the ground truth."""
    sides = {"conflicts": [one for one in loop if not one["aligned"]], "twins": [one for one in loop if one["aligned"]]}
    return {
        name: {"count": len(side), "kept": sum(o["kept"] for o in side), "right": sum(o["right"] for o in side)}
        for name, side in sides.items()
    }
