"""Success on a list of tasks, episode by episode, so that nothing is lost when the run is cut.

Every episode is a line of a journal beside the result file as soon as it ends. A rerun with the same arguments takes
the journal's episodes as done and goes on after them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.agent.agent import Agent
from homeostat.agent.driving import Episode
from homeostat.agent.intervals import Interval, wilson
from homeostat.envs.core import Env
from homeostat.envs.errors import ConfigError, TraceError

__all__ = ["Case", "Journal", "Result", "evaluate", "per_template", "summary"]


@dataclass(frozen=True)
class Case:
    """One episode to run: a task's name and the seed of its initial state."""

    task: str
    seed: int


class Result(BaseModel):
    """One episode's outcome. ``corrections`` counts the controllers' decisions by kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    task: str
    seed: int
    goal: str
    success: bool
    ended: str
    reason: str = ""
    steps: int
    optimal_steps: int
    calls: int
    tokens: int
    prompt_tokens: int
    seconds: float
    corrections: dict[str, int] = {}

    @classmethod
    def of(cls, index: int, case: Case, episode: Episode) -> Result:
        """The episode's outcome as a line."""
        return cls(
            index=index,
            task=case.task,
            seed=case.seed,
            goal=episode.task.goal,
            success=bool(episode.success),
            ended=episode.ended,
            reason=episode.reason,
            steps=episode.steps,
            optimal_steps=episode.task.optimal_steps,
            calls=episode.calls,
            tokens=episode.tokens,
            prompt_tokens=episode.prompt_tokens,
            seconds=round(episode.seconds, 4),
            corrections=dict(Counter(record.kind for record in episode.decisions)),
        )


class Journal:
    """The lines beside the result file: first the arguments, then one :class:`Result` each.

    Raises :class:`ConfigError` where the file was written with other arguments, :class:`TraceError` (file and line)
    where a line is damaged; a last line that was cut in writing is dropped.
    """

    def __init__(self, path: Path, arguments: Mapping[str, Any]) -> None:
        """Open or create the file; ``arguments`` must be what it was begun with."""
        self.path = path
        self.results: list[Result] = []
        head = json.dumps({"arguments": dict(arguments)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_bytes().split(b"\n") if path.exists() else []
            if len(lines) > 1:
                self._read(lines[:-1], json.loads(head)["arguments"])
                kept = b"".join(line + b"\n" for line in lines[:-1])
            else:
                kept = head.encode() + b"\n"
            path.write_bytes(kept)
            self._file = path.open("ab")
        except OSError as error:
            raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another --json") from None

    def add(self, result: Result) -> None:
        """Append one episode."""
        self.results.append(result)
        self._file.write(result.model_dump_json().encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, lines: Sequence[bytes], arguments: Mapping[str, Any]) -> None:
        try:
            before = json.loads(lines[0])["arguments"]
            changed = sorted(k for k in {*before, *arguments} if before.get(k) != arguments.get(k))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TraceError(f"{self.path}:1: no arguments; delete the file, or give another --json") from None
        if changed:
            name = changed[0]
            raise ConfigError(
                f"{str(self.path)!r} was begun with {name}={before.get(name)!r}, not {arguments.get(name)!r}; "
                "delete it, or give another --json"
            )
        for number, line in enumerate(lines[1:], start=2):
            try:
                self.results.append(Result.model_validate_json(line))
            except ValidationError as error:
                problem = error.errors()[0]["msg"]
                raise TraceError(f"{self.path}:{number}: no episode: {problem}; delete the line and rerun") from None


def evaluate(agent: Agent, env: Env, cases: Sequence[Case], journal: Journal | None = None) -> Iterator[Result]:
    """Run every case that the journal does not hold yet; yields all results in order, old ones first.

    Raises :class:`ConfigError` where the journal's episodes are not these cases.
    """
    done = journal.results[: len(cases)] if journal is not None else []
    for index, (result, case) in enumerate(zip(done, cases, strict=False)):
        if (result.index, result.task, result.seed) != (index, case.task, case.seed):
            assert journal is not None
            raise ConfigError(
                f"{str(journal.path)!r} holds {result.task!r} with seed {result.seed} as episode {index}, not "
                f"{case.task!r} with {case.seed}; delete it, or give another --json"
            )
    yield from list(done)
    for index in range(len(done), len(cases)):
        case = cases[index]
        episode = agent.run(env.reset_task(case.task, seed=case.seed), env, seed=case.seed)
        result = Result.of(index, case, episode)
        if journal is not None:
            journal.add(result)
        yield result


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """``success`` with its Wilson interval, endings, cost, and every episode.

    ``steps_ratio`` is steps / optimal steps over the solved episodes (None without one); tokens and seconds are means.
    """
    solved = [r for r in results if r.success]
    count = max(len(results), 1)
    ratios = [r.steps / r.optimal_steps for r in solved if r.optimal_steps]
    corrections: Counter[str] = Counter()
    for r in results:
        corrections.update(r.corrections)
    return {
        "success": wilson(len(solved), len(results)).as_dict(),
        "solved": len(solved),
        "endings": dict(Counter(r.ended for r in results).most_common()),
        "steps_ratio": sum(ratios) / len(ratios) if ratios else None,
        "calls": sum(r.calls for r in results) / count,
        "tokens": sum(r.tokens for r in results) / count,
        "prompt_tokens": sum(r.prompt_tokens for r in results) / count,
        "seconds": sum(r.seconds for r in results) / count,
        "corrections": dict(corrections),
        "templates": {name: interval.as_dict() for name, (_, _, interval) in per_template(results).items()},
        "episodes": [r.model_dump() for r in results],
    }


def per_template(results: Sequence[Result]) -> dict[str, tuple[int, int, Interval]]:
    """Task name to (solved, episodes, Wilson interval), the weakest first."""
    found: dict[str, list[bool]] = {}
    for r in results:
        found.setdefault(r.task, []).append(r.success)
    rows = {name: (sum(v), len(v), wilson(sum(v), len(v))) for name, v in found.items()}
    return dict(sorted(rows.items(), key=lambda item: (item[1][2].mean, item[0])))
