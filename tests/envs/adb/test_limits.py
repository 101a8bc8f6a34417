"""What one client may use, and that the others are served meanwhile."""

import contextlib
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.adb.limits import Account, Limits, Memory, OutOfMemory
from homeostat.envs.phone import Device
from homeostat.errors import ConfigError

re2 = pytest.importorskip("re2", reason="no google-re2")
MB = 2**20
OPEN, OKAY, WRTE, CLSE = (struct.unpack("<I", n)[0] for n in (b"OPEN", b"OKAY", b"WRTE", b"CLSE"))


@pytest.fixture
def daemon():
    with PhoneDaemon(Device(), scale=1) as daemon:
        yield daemon


@contextlib.contextmanager
def crowd(*works):
    """Runs functions again and again until the block ends, each in a thread of its own."""
    done, failures = threading.Event(), []

    def forever(work):
        while not done.is_set():
            try:
                work()
            except (OSError, EOFError):
                time.sleep(0.01)
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=forever, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def slowest(Client, daemon, seconds=3.0):
    """The longest time that a newcomer's command takes."""
    worst, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        with Client(daemon) as client:
            assert client.ask(b"exec:echo here; wm size").startswith(b"here\n")
        worst = max(worst, time.monotonic() - start)
        time.sleep(0.05)
    return worst


@pytest.fixture
def bound(Client):
    """The longest time that a newcomer may wait: 1 s, and more on a machine that is busy with other things.

    Without any load, a newcomer needs about 3 ms. Five times what it needs now is added.
    """
    with PhoneDaemon(Device(), scale=1) as idle:
        return 1 + 5 * slowest(Client, idle, 1.0)


def megabytes():
    return psutil.Process().memory_info().rss / MB


# -- patterns ----------------------------------------------------------------------------------------------------------


def test_a_pattern_takes_linear_time(daemon):
    daemon.files.write("/sdcard/t", b"a" * 32 + b"b\n")
    for pattern in ("(a+)+$", "(a|aa)+$", "(a*)*c", "(a|a?)+c", "([a-z]+)*1"):
        start = time.thread_time()
        done = daemon.shell.run(f"grep -E '{pattern}' /sdcard/t")
        assert (done.out, done.err, done.code) == (b"", b"", 1)
        assert time.thread_time() - start < 0.5


def test_grep_finds_what_the_systems_grep_finds(daemon, tmp_path):
    rng = random.Random(5)
    pieces = [
        "a",
        "b",
        "ab",
        ".",
        "*",
        "a*",
        "[ab]",
        "[^a]",
        "^",
        "$",
        "(ab)",
        "(a|b)",
        "a+",
        "b?",
        "a{2}",
        " ",
        "é",
        "\\.",
    ]
    lines = ["".join(rng.choice("ab .é") for _ in range(rng.randint(0, 9))) for _ in range(40)]
    text = "".join(line + "\n" for line in lines).encode()
    (tmp_path / "t").write_bytes(text)
    daemon.files.write("/sdcard/t", text)
    compared = 0
    for _ in range(250):
        flags, pattern = (
            rng.choice(["-E", "-Ev", "-Ec", "-F", "-Fi", "-Eo"]),
            "".join(rng.choices(pieces, k=rng.randint(1, 4))),
        )
        if re.match(r"[*+?{]|.*[(^|][*+?{]|.*[*+?}][*+?{]", pattern):
            continue  # undefined by POSIX
        real = subprocess.run(
            ["grep", flags, "-e", pattern, str(tmp_path / "t")],
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        done = daemon.shell.run(f"grep {flags} -- '{pattern}' /sdcard/t")
        assert (done.out, done.code) == (real.stdout, real.returncode), (flags, pattern)
        compared += 1
    assert compared > 150


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (r"echo aa | grep '\(a\)\1'", "invalid escape sequence"),
        ("echo aa | grep -E '(a{1,99}){1,99}'", "bad regex"),
        ("echo aa | grep -E '(a{1,30}){1,20}'", "more than 1000"),
        (f"echo aa | grep -E '{'(a|b)' * 400}'", "longer than 1000 characters"),
        ("grep -E '(a|b)c' /sdcard/long", "a line is longer than"),
    ],
)
def test_patterns_and_lines_that_cost_too_much_are_refused(daemon, line, says):
    daemon.files.write("/sdcard/long", b"a" * MB)
    done = daemon.shell.run(line)
    assert done.code == 2
    assert says in done.err.decode()
    assert len(done.err) < 300


# -- memory and time ---------------------------------------------------------------------------------------------------


def test_an_account_adds_up():
    memory = Memory(Limits(own_memory=10, client_memory=20, shared_memory=30))
    one, two = Account(memory), Account(memory)
    rng, held = random.Random(1), {one: [], two: []}
    for _ in range(2000):
        account, count = rng.choice((one, two)), rng.randint(0, 15)
        sums = {a: sum(counts) + (count if a is account else 0) for a, counts in held.items()}
        beyond = {a: max(0, total - 10) for a, total in sums.items()}
        if held[account] and rng.random() < 0.5:
            account.free(held[account].pop())
        elif beyond[account] > 20 or sum(beyond.values()) > 30:
            with pytest.raises(OutOfMemory):
                account.take(count)
        else:
            account.take(count)
            held[account].append(count)
        assert [one.held, two.held] == [sum(held[one]), sum(held[two])]
        assert memory.shared == sum(max(0, sum(counts) - 10) for counts in held.values())


def test_large_output_is_sent_or_refused_and_memory_stays_bounded(daemon, Client, bound):
    content = random.Random(0).randbytes(15 * MB)
    daemon.files.write("/sdcard/f", content)
    with Client(daemon, largest=256 * 1024) as client:
        assert client.ask(b"exec:cat /sdcard/f") == content
    before = megabytes()
    said = daemon.shell.run("cat" + " /sdcard/f" * 60)
    assert (said.out, said.code) == (b"", 137)
    assert b"Out of memory" in said.err
    stuck = [Client(daemon) for _ in range(60)]  # none of them takes what it asked for
    for client in stuck:
        client.send(OPEN, 1, 0, b"exec:cat /sdcard/f /sdcard/f\0")
    try:
        assert slowest(Client, daemon) < bound
        assert megabytes() - before < 300
        assert daemon.shell.memory.shared <= daemon.limits.shared_memory
    finally:
        for client in stuck:
            client.socket.close()
    wait_until(lambda: daemon.shell.memory.shared == 0)


def wait_until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_client_that_never_acknowledges_or_never_reads_is_put_out(Client, bound):
    limits = Limits(patience=0.3)
    with PhoneDaemon(Device(), scale=1, limits=limits) as daemon:
        daemon.files.write("/sdcard/f", bytes(8 * MB))
        daemon.files.write("/sdcard/g", bytes(200_000))
        with Client(daemon) as client:
            client.send(OPEN, 1, 0, b"exec:cat /sdcard/f\0")
            kinds = [client.receive()[0] for _ in range(3)]
            assert kinds == [OKAY, WRTE, CLSE]
            assert client.ask(b"exec:echo on") == b"on\n"
        with Client(daemon, largest=256 * 1024) as client:
            with contextlib.suppress(OSError):
                for number in range(300):  # 38 MB of replies, far more than the sockets hold, and nothing is read
                    client.send(OPEN, number + 1, 0, b"exec:cat /sdcard/g\0")
                    time.sleep(0.4 if number % 60 == 59 else 0)
            time.sleep(1)
            start = time.monotonic()
            with pytest.raises((OSError, EOFError)):  # noqa: PT012 - whichever comes first
                while True:
                    client.receive()
            assert time.monotonic() - start < 10
        wait_until(lambda: daemon.shell.memory.shared == 0)
        assert slowest(Client, daemon, 0.2) < bound


def test_a_pipeline_that_takes_too_long_is_ended():
    with PhoneDaemon(Device(), scale=1, limits=Limits(seconds=0.2)) as daemon:
        for n in range(500):
            daemon.files.write(f"/sdcard/{n}", b"")
        start = time.thread_time()
        done = daemon.shell.run("ls " + "/sdcard " * 7000)
        assert (done.code, b"Killed" in done.err or b"Out of memory" in done.err) == (137, True)
        done = daemon.shell.run("input keyevent " + "HOME " * 10_000)
        assert (done.code, b"Killed" in done.err) == (137, True)
        assert time.thread_time() - start < 2


@pytest.mark.parametrize(
    "line",
    [
        "for i; do settings put system {i} " + "x" * 5000,
        "echo x > /sdcard/" + "n" * 2000,
        "am broadcast -a org.homeostat.ANSWER --es text " + "x" * 5000,
    ],
)
def test_what_would_be_kept_for_ever_is_bounded(daemon, line):
    done = daemon.shell.run(line.split("do ")[-1])
    assert done.code != 0
    assert 0 < len(done.err) < 6000


def test_the_storage_takes_a_bounded_number_of_files(daemon):
    for n in range(4096):
        daemon.files.write(f"/sdcard/{n}", b"")
    with pytest.raises(OSError, match="No space left"):
        daemon.files.write("/sdcard/more", b"")
    daemon.files.write("/sdcard/7", b"still")


def test_words_lines_and_ends_are_those_of_the_systems_tools(daemon, tmp_path):
    rng = random.Random(2)
    for size in (0, 1, 2, 50, 4000, 3 * MB):
        text = bytes(rng.choices(b"ab \n\t", k=size))
        (tmp_path / "t").write_bytes(text)
        daemon.files.write("/sdcard/t", text)
        for tool in (
            "wc -w",
            "wc -l",
            "head -n 0",
            "head -n 3",
            "head -n 100000",
            "tail -n 0",
            "tail -n 1",
            "tail -n 7",
        ):
            real = subprocess.run([*tool.split(), str(tmp_path / "t")], capture_output=True, check=True).stdout
            ours = daemon.shell.run(f"{tool} /sdcard/t").out
            assert (ours.split() == real.split()[:1]) if tool.startswith("wc") else (ours == real), (tool, size)


# -- fairness ----------------------------------------------------------------------------------------------------------


def test_sleepers_hold_nobody_up(daemon, Client, bound):
    sleepers = [Client(daemon) for _ in range(40)]
    for client in sleepers:
        for number in range(1, 65):  # 2,560 of them
            client.send(OPEN, number, 0, b"exec:sleep 30\0")
    for client in sleepers:
        assert [client.receive()[0] for _ in range(64)] == [OKAY] * 64
    try:
        assert slowest(Client, daemon) < bound
    finally:
        for client in sleepers:
            client.socket.close()


def test_a_pause_keeps_its_place(daemon):
    start = time.monotonic()
    assert daemon.shell.run("echo a; sleep 0.3 && echo b || echo c; sleep 0.2 | echo d").out == b"a\nb\nd\n"
    assert time.monotonic() - start >= 0.5


def test_a_ninth_client_is_served_while_eight_hammer(tmp_path, bound):
    """The benchmark, which plays the clients in processes of their own, for a short time."""
    soak = Path(__file__).parents[3] / "benchmarks" / "soak.py"
    words = ["--episodes", "0", "--model-episodes", "0", "--minutes", "0.15", "--json", str(tmp_path / "soak.json")]
    subprocess.run([sys.executable, str(soak), *words], capture_output=True, check=True, timeout=300)
    figures = json.loads((tmp_path / "soak.json").read_text())["daemon"]
    assert (figures["failed"], figures["alive"]) == (0, True)
    assert figures["served"] >= 1
    assert figures["answered"] >= 8
    assert figures["max"] < bound
    assert figures["megabytes"]["largest"] < 600


def test_floods_of_messages_hold_nobody_up(daemon, Client, bound):
    def flood(message):
        def work():
            with Client(daemon) as client:
                client.socket.settimeout(0.5)
                for _ in range(50):
                    client.socket.sendall(message * 2000)

        return work

    opens = Client.message(OPEN, 7, 0, b"exec:true\0")
    messages = [Client.message(OKAY, 1, 1), Client.message(CLSE, 1, 1), opens, Client.message(OPEN, 7, 0, b"tcp:1\0")]
    with crowd(*(flood(m) for m in messages * 2)):
        assert slowest(Client, daemon) < bound


def test_thousands_of_connections_leave_room_for_a_client(daemon, Client, bound, monkeypatch):
    monkeypatch.setattr("homeostat.envs.adb.daemon._IDLE", 1000.0)
    half_open, greeted = [], []
    try:
        with Client(daemon) as first:
            for n in range(1500):
                half_open.append(socket.create_connection(("127.0.0.1", daemon.port), timeout=20))
                if n % 3 == 0:
                    half_open[-1].sendall(b"CNXN")  # and nothing more
                if len(half_open) > 400:
                    half_open.pop(0).close()
            assert first.ask(b"exec:echo on") == b"on\n"
            for _ in range(daemon.limits.clients - 1):
                greeted.append(Client(daemon))
            for _ in range(3):
                with pytest.raises((OSError, EOFError)):  # all others spoke a moment ago
                    greeted.append(Client(daemon))
            assert first.ask(b"exec:echo on") == b"on\n"
    finally:
        for raw in half_open:
            raw.close()
        for client in greeted:
            client.socket.close()
    wait_until(lambda: slowest(Client, daemon, 0.01) < bound)


def test_idle_clients_make_room(daemon, Client, monkeypatch):
    monkeypatch.setattr("homeostat.envs.adb.daemon._IDLE", 0.0)
    clients = [Client(daemon) for _ in range(daemon.limits.clients)]
    try:
        assert clients[0].ask(b"exec:echo on") == b"on\n"
        with Client(daemon) as late:
            assert late.ask(b"exec:echo late") == b"late\n"
        assert clients[0].ask(b"exec:echo on") == b"on\n"
        with pytest.raises((OSError, EOFError)):
            clients[1].ask(b"exec:echo on")  # the one that was silent longest
    finally:
        for client in clients:
            client.socket.close()


def test_a_stream_that_its_client_closes_ends_its_command(daemon, Client):
    with Client(daemon) as client:
        for number in range(1, 65):
            client.send(OPEN, number, 0, b"exec:sleep 30\0")
        remotes = [client.receive()[1] for _ in range(64)]
        client.send(OPEN, 99, 0, b"exec:echo full\0")
        assert client.receive()[:3] == (CLSE, 0, 99)
        for number, remote in enumerate(remotes, 1):
            client.send(CLSE, number, remote)
        for _ in remotes:
            assert client.receive()[0] == CLSE
        assert client.ask(b"exec:echo on") == b"on\n"


# -- the token ---------------------------------------------------------------------------------------------------------


def test_other_machines_need_a_token():
    for host in ("0.0.0.0", "", "::", "192.0.2.1", "phone.example"):
        with pytest.raises(ConfigError, match="give a token"):
            PhoneDaemon(Device(), host=host)
    for token in ("short", "with blanks in it", "naïve-token", "a'quoted'one"):
        with pytest.raises(ConfigError, match="the token has"):
            PhoneDaemon(Device(), token=token)
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        PhoneDaemon(Device(), host=host)


def test_nothing_is_served_before_the_token(Client):
    with PhoneDaemon(Device(), scale=1, token="open-sesame") as daemon:
        daemon.files.write("/sdcard/secret", b"secret")
        with Client(daemon) as client:
            for service in (b"exec:cat /sdcard/secret", b"shell:cat /sdcard/secret; auth open-sesame", b"shell:"):
                assert client.ask(service) == b"unauthorized; first run: adb shell auth TOKEN\n"
            assert client.ask(b"sync:") == b""
            assert client.ask(b"shell,v2,raw:auth open-sesame").startswith(b"\1\x0b\0\0\0authorized\n")
            assert client.ask(b"exec:cat /sdcard/secret") == b"secret"
        with Client(daemon) as client:  # another connection is another client
            assert client.ask(b"exec:cat /sdcard/secret").startswith(b"unauthorized")
            for _ in range(3):
                start = time.monotonic()
                with contextlib.suppress(OSError, EOFError):
                    assert client.ask(b"shell:auth open-sesamf") == b"wrong token\n"
                assert time.monotonic() - start > 0.9
            with pytest.raises((OSError, EOFError)):
                client.ask(b"shell:auth open-sesame")


def test_the_stock_client_gives_the_token(adb_server):
    with PhoneDaemon(Device(), scale=1, token="open-sesame") as daemon:

        def adb(*words):
            return subprocess.run(["adb", *words], capture_output=True, timeout=60, check=False)

        adb("connect", daemon.address)
        try:
            refused = adb("-s", daemon.address, "shell", "wm size")
            assert (refused.returncode, refused.stderr[:12]) == (1, b"unauthorized")
            assert adb("-s", daemon.address, "shell", "auth", "open-sesame").stdout == b"authorized\n"
            assert adb("-s", daemon.address, "shell", "wm size").stdout == b"Physical size: 144x256\n"
        finally:
            adb("disconnect", daemon.address)
