"""``homeostat adb``: the phone simulator as a device that any adb client can drive."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

__all__ = ["adb"]


def adb(
    task: Annotated[str | None, typer.Option(help="A task's name, or 'random'; without one the phone is free.")] = None,
    seed: Annotated[int, typer.Option(help="The initial state's seed.")] = 0,
    split: Annotated[str, typer.Option(help="Whose words fill the phone: train, dev or test.")] = "test",
    host: Annotated[str, typer.Option(help="The address to listen on; other machines can't reach 127.0.0.1.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any free one.")] = 5555,
    scale: Annotated[int, typer.Option(min=1, max=16, help="The screen is 144·scale × 256·scale pixels.")] = 5,
    apps: Annotated[bool, typer.Option("--all-apps", help="Install every app, not the basic nine.")] = False,
) -> None:
    """Serve the phone simulator over adb until Ctrl-C.

    homeostat adb --task notes_add      then, elsewhere: adb connect 127.0.0.1:5555

    A task that asks a question is answered with
    adb shell am broadcast -a org.homeostat.ANSWER --es text WORD, one that a rule forbids is refused with
    adb shell am broadcast -a org.homeostat.TERMINATE --es status failure.
    """
    from homeostat.envs.adb import PhoneDaemon
    from homeostat.envs.harness import random_case
    from homeostat.envs.phone import PhoneEnv

    if task == "random":
        case = random_case("phone", seed)
        task, seed = case.task, case.seed
    env = PhoneEnv(task, split=split, apps="all" if apps else ())  # type: ignore[arg-type]  # refused by name
    info = env.reset_task(seed=seed)
    with _interrupts() as stop, PhoneDaemon(env, host=host, port=port, scale=scale) as daemon:
        width, height = daemon.handset.size
        typer.echo(f"a phone of {width}×{height} pixels; connect with: adb connect {daemon.address}")
        if task is not None:
            typer.echo(f"goal: {info.goal}")
            for rule in info.rules:
                typer.echo(f"rule: {rule}")
        typer.echo("Ctrl-C ends it")
        stop.wait()
    if task is not None:
        verdict = "solved" if env.success() else "not solved"
        typer.echo(f"{verdict}: {info.name} after {env.steps} actions (optimal: {info.optimal_steps})")


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Within it, Ctrl-C and SIGTERM set the event."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
