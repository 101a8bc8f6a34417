"""The transport, spoken by hand: what the protocol asks of a device, and bytes that no client sends."""

import contextlib
import random
import socket
import struct
import threading

import pytest

from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.phone import Device

HEAD = struct.Struct("<6I")
CNXN, OPEN, OKAY, WRTE, CLSE, AUTH = (
    struct.unpack("<I", n)[0] for n in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"AUTH")
)
NEW, OLD = 0x01000001, 0x01000000


@pytest.fixture
def daemon():
    with PhoneDaemon(Device(), scale=1) as daemon:
        yield daemon


@pytest.mark.parametrize("version", [OLD, NEW])
def test_the_handshake_and_every_kind_of_shell(daemon, version, Client):
    with Client(daemon, version) as client:
        command, its, largest, banner = client.banner
        assert (command, its, largest) == (CNXN, NEW, 256 * 1024)
        assert banner.startswith(b"device::ro.product.name=homeostat_phone;")
        assert b"shell_v2" in banner.split(b"features=")[1]
        assert client.ask(b"shell:echo hi; nonsense").startswith(b"hi\n/system/bin/sh: nonsense:")
        assert client.ask(b"exec:echo hi") == b"hi\n"
        out, err, code = b"\1\3\0\0\0hi\n", b"nonsense: inaccessible or not found\n", b"\3\1\0\0\0\x7f"
        said = client.ask(b"shell,v2,raw:echo hi; nonsense")
        assert said.startswith(out + b"\2")
        assert said.endswith(err + code)
        client.send(OPEN, 5, 0, b"framebuffer:\0")
        assert client.receive()[:3] == (CLSE, 0, 5)


def test_a_terminal_is_echoed_and_a_line_can_be_mended(daemon, Client):
    typed = b"echo hellx\x7fo\rnonsense\x03\x1b\tfalse\r\x04"
    with Client(daemon) as client:
        client.send(OPEN, 1, 0, b"shell,v2,TERM=xterm,pty:\0")
        remote = client.receive()[1]
        client.send(WRTE, 1, remote, struct.pack("<BI", 0, len(typed)) + typed)
        said = b""
        while (got := client.receive())[0] != CLSE:
            if got[0] == WRTE:
                said += got[3]
                client.send(OKAY, 1, remote)
    shown = b""
    while said:
        number, length = struct.unpack("<BI", said[:5])
        shown, said, code = (shown + said[5 : 5 + length] if number < 3 else shown), said[5 + length :], number
    prompt = b"phone:/ $ "
    assert shown == (
        prompt + b"echo hellx\b \bo\r\nhello\r\n" + prompt + b"nonsense^C\r\n" + prompt + b"false\r\n" + prompt
    )
    assert code == 3


def test_payloads_are_no_larger_than_the_client_takes(daemon, Client):
    with Client(daemon, largest=100) as client:
        client.send(OPEN, 1, 0, b"exec:uiautomator dump /dev/tty\0")
        sizes = []
        while (got := client.receive())[0] != CLSE:
            if got[0] == WRTE:
                sizes.append(len(got[3]))
                client.send(OKAY, 1, got[1])
    assert max(sizes) == 100
    assert len(sizes) > 10


def test_checksums_count_for_old_clients_only(daemon, Client):
    with Client(daemon, NEW) as client:
        client.send(OPEN, 1, 0, b"exec:echo hi\0", check=1)
        assert client.receive()[0] == OKAY
    with Client(daemon, OLD) as client:
        client.send(OPEN, 1, 0, b"exec:echo hi\0", check=1)
        with pytest.raises((EOFError, ConnectionError)):
            client.receive()


def test_a_client_that_does_not_wait_is_put_out(daemon, Client):
    """A service that reads slowly must not hold whatever is written to it."""

    def flood(client):
        client.send(OPEN, 1, 0, b"shell,v2,raw:\0")
        remote = client.receive()[1]
        client.send(WRTE, 1, remote, struct.pack("<BI", 0, 9) + b"sleep 20\n")
        for _ in range(40):
            client.send(WRTE, 1, remote, bytes(256 * 1024))
        while True:
            client.receive()

    with Client(daemon) as client, pytest.raises((EOFError, ConnectionError)):
        flood(client)
    with Client(daemon) as client:
        assert client.ask(b"exec:echo still here") == b"still here\n"


def test_touches_of_many_clients_come_one_after_the_other(daemon, Client):
    def use():
        with Client(daemon) as client:
            for _ in range(5):
                client.ask(b"exec:input keyevent HOME; uiautomator dump /dev/tty")

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert daemon.handset.device.clock == 9 * 60 + 40  # a minute an action


def garbage(rng):
    """One thing that no client sends."""
    command = rng.choice([CNXN, OPEN, OKAY, WRTE, CLSE, AUTH, rng.getrandbits(32)])
    magic = rng.choice([command ^ 0xFFFFFFFF, command ^ 0xFFFFFFFF, rng.getrandbits(32)])
    services = [b"shell,v2:input tap \xff\xfe 1\0", b"sync:\0", b"exec:\0", b"shell:'\0", b"tcp:99999\0", b"\0" * 9]
    data = rng.choice([rng.randbytes(rng.choice([0, 1, 24, 300, 5000])), *services])
    length = rng.choice([len(data), len(data), len(data), 0, rng.getrandbits(32), len(data) + 7])
    raw = HEAD.pack(command, rng.getrandbits(8), rng.getrandbits(3), length, rng.getrandbits(32), magic) + data
    return raw[: rng.choice([len(raw), len(raw), rng.randint(0, len(raw))])]


def test_two_hundred_malformed_packets_leave_it_serving(daemon, Client):
    rng = random.Random(7)
    state = daemon.handset.device.snapshot()
    for n in range(200):
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as raw, contextlib.suppress(OSError):
            if n % 2:
                raw.sendall(Client.message(CNXN, NEW, 4096, b"host::\0"))
            for _ in range(rng.randint(1, 4)):
                raw.sendall(garbage(rng))
            if n % 5 == 0:  # see whether it answers or hangs up, instead of leaving at once
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass
    with Client(daemon) as client:
        assert client.ask(b"exec:echo still here") == b"still here\n"
    assert daemon.handset.device.snapshot() == state


def test_malformed_requests_for_files_leave_it_serving(daemon, Client):
    rng = random.Random(9)
    for _ in range(60):
        with Client(daemon) as client, contextlib.suppress(OSError, EOFError):
            client.send(OPEN, 1, 0, b"sync:\0")
            remote = client.receive()[1]
            name = rng.choice([b"STAT", b"RECV", b"SEND", b"LIST", b"DATA", b"DONE", b"QUIT", rng.randbytes(4)])
            path = rng.choice([b"/sdcard/a,33206", b"/", b"\xff\0..", b"", b"/sdcard", rng.randbytes(40)])
            length = rng.choice([len(path), len(path), 0, 2**31, 3])
            more = rng.choice(
                [b"", b"DATA" + struct.pack("<I", 2**30), b"DATA\2\0\0\0okDONE\0\0\0\0", rng.randbytes(30)]
            )
            client.send(WRTE, 1, remote, name + struct.pack("<I", length) + path + more)
            client.send(CLSE, 1, remote)
            while client.receive()[0] != CLSE:
                pass
    with Client(daemon) as client:
        assert client.ask(b"exec:echo still here") == b"still here\n"
