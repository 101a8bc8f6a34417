"""A run as a log that Inspect AI reads: its viewer and ``inspect_ai.log.read_eval_log`` (JSON, log format version 2).

Inspect is not needed to write it. One sample an episode: the goal is its input, the outcome its score (``C`` correct,
``I`` incorrect), everything else stands in its metadata. The messages of the model are in no result, so there are none.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import Any

from homeostat.envs.harness.export import write_json
from homeostat.envs.harness.results import Result, nexus_ending

__all__ = ["inspect_log", "inspect_path", "write_inspect"]

_SCORER = "device_state"


def inspect_path(out: Path, suite: str, begun: datetime) -> Path:
    """Beside ``out``, named as Inspect names its logs (time, task, id): by that name it finds them."""
    task, identity = (part.replace("_", "-") for part in (suite, out.stem))
    return out.parent / f"{begun.astimezone(UTC):%Y-%m-%dT%H-%M-%S+00-00}_{task}_{identity}.json"


def write_inspect(results: Sequence[Result], arguments: Mapping[str, Any], out: Path, begun: datetime) -> Path:
    """Write the log to :func:`inspect_path`; the path. Raises :class:`ConfigError` where it can't be written."""
    path = inspect_path(out, str(arguments.get("suite", "suite")), begun)
    write_json(inspect_log(results, arguments, begun), path)
    return path


def inspect_log(results: Sequence[Result], arguments: Mapping[str, Any], begun: datetime) -> dict[str, Any]:
    """The log as plain data. ``begun`` is when the run began; it ended when its episodes' seconds had passed."""
    model = str(arguments.get("model") or arguments.get("policy") or "unknown")
    identity = sha256(json.dumps([dict(arguments), begun.isoformat()], sort_keys=True).encode()).hexdigest()
    ended = begun + timedelta(seconds=sum(r.seconds for r in results))
    usage = _usage(sum(r.prompt_tokens for r in results), sum(r.tokens for r in results))
    failed = sum(r.ended == "error" for r in results)
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "run_id": identity[:22],
            "eval_id": identity[22:44],
            "task_id": identity[:12],
            "created": _utc(begun),
            "task": str(arguments.get("suite", "suite")),
            "task_args": dict(arguments),
            "dataset": {
                "name": f"{arguments.get('suite')}/{arguments.get('split')}",
                "samples": len(results),
                "sample_ids": [r.index for r in results],
                "shuffled": False,
            },
            "model": model,
            "config": {"epochs": 1},
            "packages": {},
            "scorers": [{"name": _SCORER, "metrics": [{"name": "accuracy"}, {"name": "stderr"}]}],
        },
        "plan": {"name": "plan", "steps": [{"solver": str(arguments.get("controllers", "none")), "params": {}}]},
        "results": {
            "total_samples": len(results),
            "completed_samples": len(results) - failed,
            "scores": [_score([r.success for r in results])],
        },
        "stats": {"started_at": _utc(begun), "completed_at": _utc(ended), "model_usage": {model: usage}},
        "samples": [_sample(r, model) for r in results],
    }


def _sample(r: Result, model: str) -> dict[str, Any]:
    kept = r.model_dump(mode="json", exclude={"index", "goal", "success", "seconds"})
    sample: dict[str, Any] = {
        "id": r.index,
        "epoch": 1,
        "input": r.goal,
        "target": "",
        "messages": [],
        "output": {"model": model, "choices": []},
        "scores": {
            _SCORER: {"value": "C" if r.success else "I", "answer": r.ended, "explanation": r.reason or None},
        },
        "metadata": kept | {"ended_nexus": nexus_ending(r)},
        "model_usage": {model: _usage(r.prompt_tokens, r.tokens)},
        "total_time": r.seconds,
        "working_time": r.seconds,
    }
    if r.ended == "error":
        sample["error"] = {"message": r.reason, "traceback": "", "traceback_ansi": ""}
    return sample


def _score(outcomes: Sequence[bool]) -> dict[str, Any]:
    """Inspect's own two figures: the mean, and its standard error s / √n."""
    values = [float(v) for v in outcomes]
    spread = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    mean = statistics.fmean(values) if values else 0.0
    metrics = {name: {"name": name, "value": value} for name, value in (("accuracy", mean), ("stderr", spread))}
    return {"name": _SCORER, "scorer": _SCORER, "metrics": metrics}


def _usage(prompt: int, generated: int) -> dict[str, int]:
    return {"input_tokens": prompt, "output_tokens": generated, "total_tokens": prompt + generated}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
