"""``TeamRun``: the handle of a team at work."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.agent.teams.results import TeamEvent, TeamResult
from homeostat.errors import ConfigError

__all__ = ["TeamRun"]


class TeamRun:
    """A team at work: iterate it for its events, or ask for its result."""

    def __init__(self, items: Iterator[TeamEvent | TeamResult]) -> None:
        """Wraps a stream; :meth:`Team.start` and :meth:`Team.resume` make runs.

        Args:
            items: The events, and last the result.
        """
        self._items = items
        self._result: TeamResult | None = None

    def __iter__(self) -> Iterator[TeamEvent]:
        """The events that are still to come."""
        for item in self._items:
            if isinstance(item, TeamResult):
                self._result = item
            else:
                yield item

    @property
    def result(self) -> TeamResult:
        """The result. The team works to its end, its question or its pause if that has not happened yet.

        Raises:
            HomeostatError: A turn failed.
        """
        for _ in self:
            pass
        if self._result is None:
            raise ConfigError("the team's run failed or was closed before its end; resume it, or start it again")
        return self._result
