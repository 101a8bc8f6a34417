"""Plays the cases of a suite that are not in the journal yet, in this process or on Ray workers."""

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
    batch: int = 1,
) -> Generator[Result]:
    """Plays the cases that the journal does not hold, and yields every case's result.

    The journal's results come first. The others follow as their episodes end, which with several workers is not the
    order of the cases. Each worker builds the runner once and gets the next episode when it is free. If a worker dies,
    its episode is played again.

    Args:
        spec: How to build the runner.
        cases: The episodes, in order.
        journal: Where results are read from and written to. None: nothing is kept.
        workers: The number of processes. 1: this process plays, without Ray.
        address: The address of a Ray cluster, or ``"auto"``. None: Ray is started on this machine if it is needed.
        batch: The number of episodes that each process plays at once, on one model.

    Yields:
        The results.

    Raises:
        ConfigError: The journal holds other episodes, Ray is needed but not installed, or a worker can't be started.
    """
    if workers < 1:
        raise ConfigError(f"workers {workers!r} is below 1; give 1 to play in this process")
    done = journal.done(cases) if journal is not None else {}
    yield from done.values()
    jobs = [(index, case) for index, case in enumerate(cases) if index not in done]
    if not jobs:
        return
    here = workers == 1 and address is None
    if batch < 1:
        raise ConfigError(f"batch {batch!r} is below 1; give 1 to play one episode after the other")
    for result in _here(spec, jobs, batch) if here else _parallel(spec, jobs, workers, address, batch):
        if journal is not None:
            journal.add(result)
        yield result


def _here(spec: RunnerSpec, jobs: Jobs, batch: int) -> Iterator[Result]:
    if batch == 1:
        return _serial(spec, jobs)
    from homeostat.envs.harness.threads import run_in_threads

    return run_in_threads(spec, jobs, batch)


def _serial(spec: RunnerSpec, jobs: Jobs) -> Iterator[Result]:
    runner = spec.build()
    try:
        for index, case in jobs:
            yield attempt(runner, index, case)
    finally:
        runner.close()


def _parallel(spec: RunnerSpec, jobs: Jobs, workers: int, address: str | None, batch: int) -> Iterator[Result]:
    from homeostat.envs.harness.workers import run_on_ray

    return run_on_ray(spec, jobs, workers=workers, address=address, batch=batch)
