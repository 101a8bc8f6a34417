"""Whether the simulator and its adb daemon last: many episodes in one process, eight clients that hammer the daemon.

    python benchmarks/soak.py --json soak.json

``episodes`` holds, for the oracle policy and for the embedded model, the resident memory in megabytes, the open files
and the threads: after the warm-up (a fifth of the episodes), in the middle, and at the end;
``growth`` is the memory at the end against that after the warm-up. ``daemon`` holds the latency of a ninth client that
runs a small command once a second on a connection of its own, in seconds (``median``, ``p99``, ``max``, ``served``,
``failed``), how many commands the eight were answered, and the resident memory of the daemon's process before, at its
largest and after. The eight run in processes of their own, so that they compete for the machine as real clients do.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from homeostat.envs.phone import Device, PhoneEnv
from homeostat.envs.phone.render import render

WORDS = 25_000  # more than the simulator keeps

HEAD = struct.Struct("<6I")
CNXN, OPEN, OKAY, WRTE, CLSE = (struct.unpack("<I", n)[0] for n in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE"))
LINES = (
    b"exec:screencap -p",
    b"exec:uiautomator dump /dev/tty",
    b"exec:cat /sdcard/large",
    b"exec:grep -E '(a+)+$' /sdcard/lines",
    b"exec:wc /sdcard/large",
    b"exec:sleep 1; input swipe 300 900 300 300; input tap 300 300",
    b"exec:" + b"echo x;" * 2000,
    b"exec:input keyevent " + b"HOME " * 200,
)


def measured() -> dict[str, float]:
    gc.collect()
    process = psutil.Process()
    memory = round(process.memory_info().rss / 2**20, 1)
    return {"megabytes": memory, "files": process.num_fds(), "threads": process.num_threads()}


def episodes(count: int, play: Callable[[int], None]) -> dict[str, Any]:
    """Plays episodes and measures the process: after a fifth more for the warm-up, in the middle, at the end."""
    for n in range(count // 5):
        play(10**6 + n)
    rows = [measured()]
    start = time.monotonic()
    for n in range(count):
        play(n)
        if n + 1 in (count // 2, count):
            rows.append(measured())
    seconds = round(time.monotonic() - start, 1)
    growth = round(rows[-1]["megabytes"] / rows[0]["megabytes"], 4)
    return {"episodes": count, "seconds": seconds, "measured": rows, "growth": growth}


def fill_cache(device: Device) -> None:
    """Draws as many different words as the simulator keeps drawn, so that the cache grows no further."""
    placed = [p for p in device.placed() if p.runs]
    words = sum(len(p.runs) for p in placed)
    for n in range(-(-WORDS // words)):
        named = [
            replace(p, runs=tuple(replace(r, word=f"{n}-{k}-{j}") for j, r in enumerate(p.runs)))
            for k, p in enumerate(placed)
        ]
        render(named, (60, 60, 60))


def oracle() -> Callable[[int], None]:
    env = PhoneEnv("random", split="train")
    fill_cache(env.device)

    def play(seed: int) -> None:
        info = env.reset_task(seed=seed)
        for _ in range(info.max_steps):
            env.observe()
            env.act(env.oracle())
            if env.over():
                return

    return play


def nano() -> Callable[[int], None]:
    from homeostat.agent import Agent

    env = PhoneEnv("random", split="test")
    agent = Agent.default()

    def play(seed: int) -> None:
        agent.run(env.reset_task(seed=seed), env, seed=seed)

    return play


class Client:
    """One connection to the daemon, which runs one command at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.send(CNXN, 0x01000001, 256 * 1024, b"host::features=shell_v2\0")
        self.receive()

    def close(self) -> None:
        self.socket.close()

    def send(self, command: int, arg0: int, arg1: int, data: bytes = b"") -> None:
        self.socket.sendall(HEAD.pack(command, arg0, arg1, len(data), sum(data), command ^ 0xFFFFFFFF) + data)

    def exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(count - len(data), 2**18))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def receive(self) -> tuple[int, int, int, bytes]:
        command, arg0, arg1, length, _, _ = HEAD.unpack(self.exactly(HEAD.size))
        return command, arg0, arg1, self.exactly(length)

    def ask(self, service: bytes) -> bytes:
        self.send(OPEN, 1, 0, service + b"\0")
        said = bytearray()
        while True:
            command, remote, _, data = self.receive()
            if command == CLSE:
                return bytes(said)
            if command == WRTE:
                said += data
                self.send(OKAY, 1, remote)


def hammer(port: int, number: int, seconds: float, answered: Any, ready: Any) -> None:
    """Runs commands without a pause, on four streams of one connection, each of a kind of its own."""

    ready.wait()
    end = time.monotonic() + seconds
    kinds = [LINES[(number + k) % len(LINES)] for k in range(4)]
    while time.monotonic() < end:
        with suppress(OSError, EOFError), closing(Client(port)) as client:
            for local, line in enumerate(kinds, 1):
                client.send(OPEN, local, 0, line + b"\0")
            while time.monotonic() < end:
                command, remote, local, _ = client.receive()
                if command == WRTE:
                    client.send(OKAY, local, remote)
                elif command == CLSE:
                    client.send(OPEN, local, 0, kinds[local - 1] + b"\0")
                    with answered.get_lock():
                        answered.value += 1


def daemon(minutes: float) -> dict[str, Any]:
    command = "from homeostat.cli.root import main; main()"
    served = subprocess.Popen([sys.executable, "-c", command, "adb", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        port = int(served.stdout.readline().rsplit(":", 1)[1])
        process = psutil.Process(served.pid)
        client = Client(port)
        push(client, b"/sdcard/large", random.Random(0).randbytes(15 * 2**20))
        push(client, b"/sdcard/lines", (b"a" * 32 + b"b\n") * 1000)
        client.ask(b"exec:screencap -p")
        before, largest = process.memory_info().rss, 0
        context = get_context("spawn")
        answered, ready = context.Value("q", 0), context.Barrier(9)
        workers = [context.Process(target=hammer, args=(port, n, minutes * 60, answered, ready)) for n in range(8)]
        for worker in workers:
            worker.start()
        ready.wait()
        latencies, failed = list[float](), 0
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            start = time.monotonic()
            try:
                ninth = Client(port)
                right = ninth.ask(b"exec:echo here; wm size").startswith(b"here\n")
                ninth.socket.close()
            except (OSError, EOFError):
                right = False
            failed += not right
            latencies.append(time.monotonic() - start)
            largest = max(largest, process.memory_info().rss)
            time.sleep(max(0.0, 1 - (time.monotonic() - start)))
        for worker in workers:
            worker.join(120)
        time.sleep(5)
        after, files, threads = process.memory_info().rss, process.num_fds(), process.num_threads()
        alive = client.ask(b"exec:echo here") == b"here\n"
        client.socket.close()
    finally:
        served.terminate()
        with suppress(subprocess.TimeoutExpired):
            served.wait(30)
        served.kill()
    ordered = sorted(latencies)
    return {
        "minutes": minutes,
        "served": len(latencies) - failed,
        "failed": failed,
        "median": round(statistics.median(ordered), 4),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 4),
        "max": round(ordered[-1], 4),
        "answered": answered.value,
        "megabytes": {
            name: round(v / 2**20, 1) for name, v in (("before", before), ("largest", largest), ("after", after))
        },
        "files": files,
        "threads": threads,
        "alive": alive,
    }


def push(client: Client, path: bytes, content: bytes) -> None:
    """Stores a file on the phone through ``sync:``, waiting for each acknowledgement."""
    client.send(OPEN, 1, 0, b"sync:\0")
    remote = client.receive()[1]
    where = path + b",33206"
    pieces = [content[i : i + 2**16] for i in range(0, len(content), 2**16)]
    messages = [b"SEND" + struct.pack("<I", len(where)) + where]
    messages += [b"DATA" + struct.pack("<I", len(piece)) + piece for piece in pieces]
    for message in [*messages, b"DONE" + bytes(4)]:
        client.send(WRTE, 1, remote, message)
        while client.receive()[0] != OKAY:
            pass
    assert client.receive()[3][:4] == b"OKAY"
    client.send(OKAY, 1, remote)
    client.send(WRTE, 1, remote, b"QUIT" + bytes(4))
    while client.receive()[0] != CLSE:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--episodes", type=int, default=1000, help="of the oracle; 0 leaves them out")
    parser.add_argument("--model-episodes", type=int, default=100, help="of the embedded model; 0 leaves them out")
    parser.add_argument("--minutes", type=float, default=5, help="of hammering; 0 leaves it out")
    args = parser.parse_args()
    figures: dict[str, Any] = {"episodes": {}}
    if args.episodes:
        figures["episodes"]["oracle"] = episodes(args.episodes, oracle())
    if args.model_episodes:
        figures["episodes"]["nano"] = episodes(args.model_episodes, nano())
    if args.minutes:
        figures["daemon"] = daemon(args.minutes)
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
