"""``homeostat adb``: serves the phone simulator as a device that any adb client can drive."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from homeostat.cli.completion import completes
from homeostat.foreign_text import shown

__all__ = ["adb"]

_TURN = 0.001  # seconds after which a busy thread lets others run, so that a client hardly waits for another


def adb(
    task: Annotated[
        str | None,
        typer.Option(
            autocompletion=completes("tasks", "random"),
            help="A task's name ('homeostat list tasks'), or 'random'. Without a task nothing is judged.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of the phone's initial state.")] = 0,
    split: Annotated[str, typer.Option(help="The data split of the phone's content: train, dev or test.")] = "test",
    host: Annotated[str, typer.Option(help="The address to listen on. Other machines can't reach 127.0.0.1.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes any free one.")] = 5555,
    scale: Annotated[int, typer.Option(min=1, max=16, help="The screen has 144·scale × 256·scale pixels.")] = 5,
    apps: Annotated[bool, typer.Option("--all-apps", help="Install every app instead of the basic nine.")] = False,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HOMEOSTAT_ADB_TOKEN",
            help="What a client must give before it can use the phone: adb shell auth TOKEN. "
            "Required if other machines can reach --host.",
        ),
    ] = None,
) -> None:
    """Serve the phone simulator over adb until Ctrl-C.

    Connect to it in another terminal. The other two commands answer a task that asks a question, and refuse a task
    that a rule forbids:

    \b
    adb connect 127.0.0.1:5555
    adb shell am broadcast -a org.homeostat.ANSWER --es text WORD
    adb shell am broadcast -a org.homeostat.TERMINATE --es status failure

    'homeostat run --env android' finds the phone by itself. If adb lists several devices, add
    --serial 127.0.0.1:5555 to it.

    Without --token every client that can reach the port can drive the simulated phone.
    """
    from homeostat.envs.adb import PhoneDaemon
    from homeostat.envs.adb.access import is_loopback
    from homeostat.envs.harness import random_case
    from homeostat.envs.phone import PhoneEnv

    if task == "random":
        case = random_case("phone", seed)
        task, seed = case.task, case.seed
    env = PhoneEnv(task, split=split, apps="all" if apps else ())  # type: ignore[arg-type]  # refused by name
    info = env.reset_task(seed=seed)
    sys.setswitchinterval(_TURN)
    with _interrupts() as stop, PhoneDaemon(env, host=host, port=port, scale=scale, token=token) as daemon:
        if not is_loopback(host):
            warning = (
                f"warning: other machines can reach {daemon.address}; adb sends everything unencrypted, the token too"
            )
            typer.echo(warning, err=True)
        width, height = daemon.handset.size
        typer.echo(f"a phone of {width}×{height} pixels; connect with: adb connect {daemon.address}")
        if token is not None:
            typer.echo("then, once for each connection: adb shell auth TOKEN")
        if task is not None:
            typer.echo(f"goal: {shown(info.goal)}")
            for rule in info.rules:
                typer.echo(f"rule: {shown(rule)}")
        typer.echo("Ctrl-C stops the phone")
        stop.wait()
    if task is not None:
        verdict = "solved" if env.success() else "not solved"
        typer.echo(f"{verdict}: {info.name} after {env.steps} actions (optimal: {info.optimal_steps})")


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Within the context, Ctrl-C and SIGTERM set the event instead of ending the process."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
