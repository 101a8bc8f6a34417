"""Two evaluations of the same episodes, paired: what the second one rescued, what it harmed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeostat.agent.evaluate import Result
from homeostat.agent.intervals import Interval, newcombe_paired, wilson
from homeostat.envs.errors import ConfigError

__all__ = ["Comparison", "compare", "read_results"]


@dataclass(frozen=True)
class Comparison:
    """``before`` and ``after`` on the same ``pairs`` episodes.

    ``rescue``: of the episodes that failed before, those that succeed after. ``harm``: of those that succeeded before,
    those that fail after. ``gain``: after − before with Newcombe's interval for paired proportions.
    """

    pairs: int
    before: Interval
    after: Interval
    rescue: Interval
    harm: Interval
    gain: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        names = ("before", "after", "rescue", "harm", "gain")
        return {"pairs": self.pairs} | {name: getattr(self, name).as_dict() for name in names}


def compare(before: Sequence[Result], after: Sequence[Result]) -> Comparison:
    """Pair by task and seed. Raises :class:`ConfigError` where no episode is in both."""
    first = {(r.task, r.seed): r.success for r in before}
    second = {(r.task, r.seed): r.success for r in after}
    shared = [key for key in first if key in second]
    if not shared:
        raise ConfigError("the two evaluations share no episode; run both with the same suite, split and seed")
    both = sum(first[k] and second[k] for k in shared)
    rescued = sum(second[k] and not first[k] for k in shared)
    harmed = sum(first[k] and not second[k] for k in shared)
    n = len(shared)
    return Comparison(
        pairs=n,
        before=wilson(both + harmed, n),
        after=wilson(both + rescued, n),
        rescue=wilson(rescued, n - both - harmed),
        harm=wilson(harmed, both + harmed),
        gain=newcombe_paired(both, rescued, harmed, n - both - rescued - harmed),
    )


def read_results(path: Path) -> list[Result]:
    """The episodes of a file that ``homeostat eval --json`` wrote. Raises :class:`ConfigError`."""
    try:
        episodes = json.loads(path.read_text(encoding="utf-8"))["episodes"]
        return [Result.model_validate(episode) for episode in episodes]
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}; give a file that eval --json wrote") from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise ConfigError(f"{str(path)!r} is no evaluation; give a file that eval --json wrote") from None
