"""A run as an evaluation log of Inspect AI, for its viewer and for ``inspect_ai.log.read_eval_log``.

Inspect's own classes build and write the log, so its format follows the installed library. Inspect is an optional
dependency (``pip install 'homeostat[inspect]'``) and takes about 1.6 s to import; nothing here imports it before a log
is built.

Each episode becomes one sample: the goal is its input, the outcome its score (``C`` for correct, ``I`` for incorrect),
and every other field of :class:`Result` stands in its metadata. A result holds no chat messages, so neither does a
sample.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat.envs.harness.export import write_whole
from homeostat.envs.harness.results import Result, nexus_ending
from homeostat.errors import ConfigError

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore
    from inspect_ai.model import ModelUsage

__all__ = ["inspect_log", "inspect_path", "require_inspect", "write_inspect"]

_SCORER = "device_state"


def require_inspect() -> Any:
    """Imports Inspect AI's log module.

    Returns:
        The module ``inspect_ai.log``.

    Raises:
        ConfigError: Inspect AI is not installed.
    """
    try:
        import inspect_ai.log
    except ImportError:
        raise ConfigError("an Inspect log needs inspect_ai; pip install 'homeostat[inspect]'") from None
    return inspect_ai.log


def inspect_path(out: Path, suite: str, begun: datetime) -> Path:
    """Returns where the log of a run is written.

    Inspect finds logs by their names, ``{time}_{task}_{identifier}``. It takes ``_`` for a separator everywhere and
    ``-`` for one in the identifier, so these characters are replaced.

    Args:
        out: The run's result file. The log is written beside it, and the file's stem is the identifier.
        suite: The suite's name, which becomes the task's.
        begun: When the run began.

    Returns:
        The log's path.
    """
    task, identity = suite.replace("_", "-"), re.sub("[-_]", ".", out.stem)
    return out.parent / f"{begun.astimezone(UTC):%Y-%m-%dT%H-%M-%S+00-00}_{task}_{identity}.json"


def write_inspect(results: Sequence[Result], arguments: Mapping[str, Any], out: Path, begun: datetime) -> Path:
    """Writes a run's log in Inspect's JSON format.

    Args:
        results: The run's episodes.
        arguments: What the run was started with: suite, split, model or policy, and so on.
        out: The run's result file. See :func:`inspect_path`.
        begun: When the run began.

    Returns:
        The path of the log.

    Raises:
        ConfigError: Inspect AI is not installed, or the file can't be written.
    """
    log = inspect_log(results, arguments, begun)
    path = inspect_path(out, str(arguments.get("suite", "suite")), begun)
    write_whole(path, "--json", lambda part: require_inspect().write_eval_log(log, str(part), format="json"))
    return path


def inspect_log(results: Sequence[Result], arguments: Mapping[str, Any], begun: datetime) -> EvalLog:
    """Builds a run's log.

    The identifiers are a hash of the arguments and of the time, so that writing a log again gives the same one.

    Args:
        results: The run's episodes.
        arguments: What the run was started with: suite, split, model or policy, and so on.
        begun: When the run began. The log says that it ended after the sum of its episodes' seconds.

    Returns:
        An ``inspect_ai.log.EvalLog``.

    Raises:
        ConfigError: Inspect AI is not installed.
    """
    api = require_inspect()
    suite, model = str(arguments.get("suite", "suite")), _model(arguments)
    identity = sha256(json.dumps([dict(arguments), begun.isoformat()], sort_keys=True).encode()).hexdigest()
    ended = begun + timedelta(seconds=sum(r.seconds for r in results))
    usage = _usage(sum(r.prompt_tokens for r in results), sum(r.tokens for r in results))
    dataset = api.EvalDataset(
        name=f"{arguments.get('suite')}/{arguments.get('split')}",
        samples=len(results),
        sample_ids=[r.index for r in results],
        shuffled=False,
    )
    return api.EvalLog(
        status="success",
        eval=api.EvalSpec(
            run_id=identity[:22],
            eval_id=identity[22:44],
            task_id=identity[:12],
            created=_utc(begun),
            task=suite,
            task_args=dict(arguments),
            dataset=dataset,
            model=model,
            config=api.EvalConfig(epochs=1),
        ),
        plan=api.EvalPlan(steps=[api.EvalPlanStep(solver=str(arguments.get("controllers", "none")))]),
        results=api.EvalResults(
            total_samples=len(results),
            completed_samples=sum(r.ended != "error" for r in results),
            scores=[_score([r.success for r in results])],
        ),
        stats=api.EvalStats(started_at=_utc(begun), completed_at=_utc(ended), model_usage={model: usage}),
        samples=[_sample(r, model) for r in results],
    )


def _model(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("model") or arguments.get("policy") or "unknown")


def _sample(r: Result, model: str) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score

    kept = r.model_dump(mode="json", exclude={"index", "goal", "success", "seconds"})
    score = Score(value="C" if r.success else "I", answer=r.ended, explanation=r.reason or None)
    failed = r.ended == "error"
    return EvalSample(
        id=r.index,
        epoch=1,
        input=r.goal,
        target="",
        output=ModelOutput(model=model),
        scores={_SCORER: score},
        metadata=kept | {"ended_nexus": nexus_ending(r)},
        model_usage={model: _usage(r.prompt_tokens, r.tokens)},
        total_time=r.seconds,
        working_time=r.seconds,
        error=EvalError(message=r.reason, traceback="", traceback_ansi="") if failed else None,
    )


def _score(outcomes: Sequence[bool]) -> EvalScore:
    """The two metrics that Inspect computes by default: the mean, and its standard error s / √n."""
    from inspect_ai.log import EvalMetric, EvalScore

    values = [float(v) for v in outcomes]
    spread = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    mean = statistics.fmean(values) if values else 0.0
    metrics = {name: EvalMetric(name=name, value=value) for name, value in (("accuracy", mean), ("stderr", spread))}
    return EvalScore(name=_SCORER, scorer=_SCORER, metrics=metrics)


def _usage(prompt: int, generated: int) -> ModelUsage:
    from inspect_ai.model import ModelUsage

    return ModelUsage(input_tokens=prompt, output_tokens=generated, total_tokens=prompt + generated)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
