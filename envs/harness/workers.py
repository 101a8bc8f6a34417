"""Plays episodes on Ray actors, each of which builds the runner once.

Notable choices:

- The queue is here and not in Ray. An actor gets its next episode when it has returned one, so a fast actor never waits
  for a slow one, and it is known which episodes an actor was playing when it died. Each of these is then played again
  with no other beside it, so that one that kills its worker takes no other with it twice.
- Ray restarts no actor and retries no call (``max_restarts=0``), because it would play an episode again without notice.
  An episode whose worker died goes to the front of the queue, and a new worker is started. After ``1 + RETRIES`` dead
  workers the episode is recorded as an ``error`` with its reason.
- Results are returned as JSON text, so they hold no objects of Ray or of the runner.
- Ray is quiet: no dashboard, no logs of workers, no usage statistics.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case, Runner, RunnerSpec, attempt, error_result
from homeostat.envs.harness.threads import shared_runners
from homeostat.errors import ConfigError, HomeostatError

__all__ = ["RETRIES", "run_on_ray"]

RETRIES = 2
"""How often an episode is played again after its worker died, and how many workers in a row may die unused."""

_STORE_BYTES = 128 * 2**20  # results take a few hundred bytes; Ray's default is a third of the memory
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # it prints a page of addresses at every SIGTERM
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without a share of a GPU a worker sees what the driver sees
}


def run_on_ray(
    spec: RunnerSpec,
    jobs: Sequence[tuple[int, Case]],
    *,
    workers: int,
    address: str | None = None,
    batch: int = 1,
) -> Iterator[Result]:
    """Plays episodes on Ray and yields their results as they end.

    Each worker takes one CPU and its share of the GPUs.

    Args:
        spec: How a worker builds its runner.
        jobs: (index, case) of each episode.
        workers: The number of worker processes.
        address: The address of a cluster whose machines have this package installed; ``"auto"`` finds the cluster that
            this machine belongs to. None: Ray is started on this machine for the duration of the run.
        batch: The number of episodes that each worker plays at once, in threads.

    Yields:
        The results.

    Raises:
        ConfigError: Ray is not installed, the address does not answer, or the workers can't be built.
    """
    with _ray(workers, address) as ray:
        dispatcher = _Dispatcher(ray, spec, jobs, workers, batch)
        try:
            yield from dispatcher.results()
        finally:
            dispatcher.stop()


class _Worker:
    """A Ray actor: a runner in a process of its own. Several calls of :meth:`run` come in several threads."""

    def __init__(self) -> None:
        self.runner: Runner | None = None
        self.make: Callable[[], Runner] | None = None
        self.mine = threading.local()

    def build(self, spec: str, batch: int) -> str:
        """Builds the runner; returns "" or why that failed."""
        try:
            self.runner = RunnerSpec.model_validate_json(spec).build()
            self.make = shared_runners(self.runner, batch) if batch > 1 else None
        except HomeostatError as error:
            return str(error)
        except Exception as error:
            return f"a worker can't be built: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return ""

    def run(self, index: int, task: str, seed: int) -> str:
        """Plays one episode; returns its result as JSON."""
        assert self.runner is not None
        if self.make is not None and not hasattr(self.mine, "runner"):
            self.mine.runner = self.make()
        runner = self.runner if self.make is None else self.mine.runner
        return attempt(runner, index, Case(task, seed)).model_dump_json()

    def close(self) -> None:
        """Releases what the runner holds."""
        if self.runner is not None:
            self.runner.close()


@dataclass(frozen=True)
class _Call:
    """What an actor is doing."""

    actor: Any
    doing: Literal["build", "run", "close"]
    job: tuple[int, Case] | None = None


class _Dispatcher:
    """The queue of episodes, and what every actor is doing."""

    def __init__(self, ray: Any, spec: RunnerSpec, jobs: Sequence[tuple[int, Case]], workers: int, batch: int) -> None:
        self.ray, self.spec = ray, spec.model_dump_json()
        self.waiting, self.batch = deque(jobs), batch
        self.workers = min(workers, -(-len(jobs) // batch))
        self.calls: dict[Any, _Call] = {}
        self.deaths: Counter[int] = Counter()  # by episode
        self.unbuilt = 0  # workers in a row that died before they could play
        gpus = ray.cluster_resources().get("GPU", 0)
        share = min(1.0, gpus / workers) if gpus else 0
        options = {"num_cpus": 1, "num_gpus": share, "max_restarts": 0, "max_task_retries": 0}
        self.make = ray.remote(**options, **({"max_concurrency": batch} if batch > 1 else {}))(_Worker)
        self.dead: set[Any] = set()

    def results(self) -> Iterator[Result]:
        """Yields results until the queue is empty and every actor is done."""
        for _ in range(self.workers):
            self._start()
        while self.calls:
            (ready,), _ = self.ray.wait(list(self.calls), num_returns=1)
            call = self.calls.pop(ready)
            try:
                value = self.ray.get(ready)
            except self.ray.exceptions.RayError as error:
                lost = self._lost(call, error)
                if lost is not None:
                    yield lost
                continue
            if call.doing == "build":
                if value:
                    raise ConfigError(value)
                self.unbuilt = 0
            if call.doing == "run":
                self._next(call.actor)
                yield Result.model_validate_json(value)
            elif call.doing == "build":
                self._next(call.actor)

    def stop(self) -> None:
        """Kills the actors that still work."""
        for call in self.calls.values():
            with suppress(Exception):
                self.ray.kill(call.actor)

    def _start(self) -> None:
        actor = self.make.remote()
        self.calls[actor.build.remote(self.spec, self.batch)] = _Call(actor, "build")

    def _next(self, actor: Any) -> None:
        """Gives a worker what it can take, or closes it when nothing is left. A suspect episode is played alone."""
        playing = [call.job for call in self.calls.values() if call.actor is actor and call.job is not None]
        while self.waiting and len(playing) < self.batch and not any(self.deaths[job[0]] for job in playing):
            if playing and self.deaths[self.waiting[0][0]]:
                return
            index, case = job = self.waiting.popleft()
            self.calls[actor.run.remote(index, case.task, case.seed)] = _Call(actor, "run", job)
            playing.append(job)
        if not playing:
            self.calls[actor.close.remote()] = _Call(actor, "close")

    def _lost(self, call: _Call, error: Exception) -> Result | None:
        """Handles a worker's death: queues its episode again and starts another worker, or gives the episode up."""
        first = call.actor not in self.dead
        self.dead.add(call.actor)
        with suppress(Exception):
            self.ray.kill(call.actor)
        if call.doing == "close":
            return None
        reason = _first_line(error)
        given_up = None
        if call.job is None:
            self.unbuilt += 1
            if self.unbuilt > RETRIES:
                raise ConfigError(f"workers die before they can play: {reason}; use fewer --workers")
        else:
            index, case = call.job
            self.deaths[index] += 1
            if self.deaths[index] <= RETRIES:
                self.waiting.appendleft(call.job)
            else:
                given_up = error_result(index, case, f"its worker died {self.deaths[index]} times: {reason}")
        if self.waiting and (first or all(other.actor in self.dead for other in self.calls.values())):
            self._start()
        return given_up


@contextmanager
def _ray(workers: int, address: str | None) -> Iterator[Any]:
    """Starts Ray or connects to a cluster, and shuts it down afterwards."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise ConfigError("several workers need Ray; pip install 'homeostat[harness]'") from None
    local = {"num_cpus": max(workers, os.cpu_count() or 1), "object_store_memory": _STORE_BYTES}
    local |= {"include_dashboard": False}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else local),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"at {address!r}" if address else "here"
        raise ConfigError(
            f"Ray can't be reached {where}: {_first_line(error)}; correct --address, or leave it out"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
