"""Play the cases of a suite that are not in the journal yet: in this process, or handed out to Ray workers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from homeostat.envs.harness.journal import Journal
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case, RunnerSpec, attempt
from homeostat.errors import ConfigError

__all__ = ["evaluate"]

Jobs = Sequence[tuple[int, Case]]


def evaluate(
    spec: RunnerSpec,
    cases: Sequence[Case],
    journal: Journal | None = None,
    *,
    workers: int = 1,
    address: str | None = None,
) -> Generator[Result]:
    """Yield every case's result: the journal's first, the others as they end (with several workers, out of order).

    ``workers``: 1 plays in this process and needs no Ray; with more, or with an ``address`` (of a Ray cluster, or
    ``"auto"``), each builds the runner once and episodes go to whichever is free. A worker that dies loses nothing: its
    episode is played again. Raises :class:`ConfigError` where the journal's episodes are not these cases, without Ray
    where it is needed, or where a worker can't be started.
    """
    if workers < 1:
        raise ConfigError(f"workers {workers!r} is below 1; 1 plays in this process")
    done = journal.done(cases) if journal is not None else {}
    yield from done.values()
    jobs = [(index, case) for index, case in enumerate(cases) if index not in done]
    if not jobs:
        return
    for result in _serial(spec, jobs) if workers == 1 and address is None else _parallel(spec, jobs, workers, address):
        if journal is not None:
            journal.add(result)
        yield result


def _serial(spec: RunnerSpec, jobs: Jobs) -> Iterator[Result]:
    runner = spec.build()
    try:
        for index, case in jobs:
            yield attempt(runner, index, case)
    finally:
        runner.close()


def _parallel(spec: RunnerSpec, jobs: Jobs, workers: int, address: str | None) -> Iterator[Result]:
    from homeostat.envs.harness.workers import run_on_ray

    return run_on_ray(spec, jobs, workers=workers, address=address)
