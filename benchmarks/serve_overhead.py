"""Measures ``homeostat serve`` beside ``transformers serve``: the same model, prompts and clients.

    python benchmarks/serve_overhead.py --model FOLDER --json serve.json

Both servers run as processes of their own with the weights in bfloat16, ours with its default sensors and without
controllers, so that both write each answer once. Clients ask greedily for answers of the same length, not streamed. The
two servers take turns, round by round. Every figure of a server is that of its fastest round, which other work on the
machine affects least.

JSON: ``time_ratio_1`` and ``time_ratio_8`` are our time per token over theirs with 1 and with 8 clients (bar: ≤ 1.1);
``throughput_8`` is our throughput with 8 clients over ours with one (bar: ≥ 3). ``ours`` and ``theirs`` hold the
seconds per token of every round, ``load`` the machine's load average before and after. The ``cpu_ratio`` keys compare
the servers' processor time per token, which other work on the machine affects less than the time on the wall.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

TOPICS = ["rain", "a lamp", "the sea", "bread", "chess", "a train", "the moon", "glass"]
SYSTEM = "You are a careful assistant. Answer in plain sentences, and never use a list."


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def started(command: list[str], port: int, seconds: float) -> subprocess.Popen[bytes]:
    """Starts a server and waits until it takes requests."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=2)
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return process
    process.kill()
    said = process.stderr.read().decode()[-400:] if process.stderr is not None else ""
    raise SystemExit(f"{command[0]} does not serve: {said}")


def asked(port: int, model: str, topic: str, tokens: int) -> int:
    """Asks for one answer; the number of its tokens."""
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"Write a long story about {topic}."}]
    body = {"model": model, "messages": chat, "max_tokens": tokens, "temperature": 0}
    response = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=300)
    response.raise_for_status()
    return int(response.json()["usage"]["completion_tokens"])


def seconds_per_token(
    process: subprocess.Popen[bytes], port: int, model: str, clients: int, requests: int, tokens: int
) -> tuple[float, float]:
    """The wall-clock time of all requests, and the server's processor time, over the tokens of all answers."""
    topics = [TOPICS[n % len(TOPICS)] for n in range(requests)]
    begin, cpu = time.perf_counter(), cpu_seconds(process)
    with ThreadPoolExecutor(clients) as pool:
        written = sum(pool.map(lambda topic: asked(port, model, topic, tokens), topics))
    return (time.perf_counter() - begin) / written, (cpu_seconds(process) - cpu) / written


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """The processor time of a server so far."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--model", default=str(Path.home() / ".cache/homeostat/real-models/smollm2"))
    parser.add_argument("--tokens", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300, help="no round begins after so many seconds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    begin, load = time.monotonic(), [os.getloadavg()[0]]
    ports = {"ours": free_port(), "theirs": free_port()}
    scripts = Path(sys.executable).parent
    ours = ["serve", "--model", options.model, "--dtype", "bfloat16", "--name", "m", "--controllers", "none"]
    theirs = ["serve", options.model, "--dtype", "bfloat16", "--device", "cpu"]
    commands = {
        "ours": [str(scripts / "homeostat"), *ours, "--batch", "8", "--port", str(ports["ours"])],
        "theirs": [str(scripts / "transformers"), *theirs, "--port", str(ports["theirs"])],
    }
    names = {"ours": "m", "theirs": options.model}
    found: dict[str, dict[int, list[float]]] = {side: {1: [], 8: []} for side in ports}
    used: dict[str, dict[int, list[float]]] = {side: {1: [], 8: []} for side in ports}
    processes = {side: started(command, ports[side], 150) for side, command in commands.items()}
    try:
        for side, port in ports.items():
            asked(port, names[side], "rain", 4)
        for round_ in range(options.rounds):
            if round_ and time.monotonic() - begin > options.seconds:
                break
            for clients, requests in ((1, 3), (8, 8)):
                for side in ("ours", "theirs") if round_ % 2 == 0 else ("theirs", "ours"):
                    asks = (ports[side], names[side], clients, requests, options.tokens)
                    wall, cpu = seconds_per_token(processes[side], *asks)
                    found[side][clients].append(wall)
                    used[side][clients].append(cpu)
                    told = f"{side}, {clients} clients: {wall * 1000:.1f} ms a token, {cpu * 1000:.1f} ms CPU"
                    print(told, file=sys.stderr)
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        for process in processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
    best = {side: {clients: min(values) for clients, values in by.items()} for side, by in found.items()}
    least = {side: {clients: min(values) for clients, values in by.items()} for side, by in used.items()}
    result: dict[str, Any] = {
        "time_ratio_1": best["ours"][1] / best["theirs"][1],
        "time_ratio_8": best["ours"][8] / best["theirs"][8],
        "throughput_8": best["ours"][1] / best["ours"][8],
        "cpu_ratio_1": least["ours"][1] / least["theirs"][1],
        "cpu_ratio_8": least["ours"][8] / least["theirs"][8],
        **found,
        "load": [*load, os.getloadavg()[0]],
    }
    print(json.dumps(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
