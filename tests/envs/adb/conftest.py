"""A private adb server, so that nobody's own is touched, and a daemon to reach through it."""

import os
import shutil
import socket
import struct
import subprocess

import pytest

from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.phone import PhoneEnv

HEAD = struct.Struct("<6I")
CNXN, OPEN, OKAY, WRTE, CLSE = (struct.unpack("<I", n)[0] for n in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE"))
NEW = 0x01000001


def message(command, arg0, arg1, data=b"", check=None):
    check = sum(data) if check is None else check
    return HEAD.pack(command, arg0, arg1, len(data), check, command ^ 0xFFFFFFFF) + data


class Client:
    """The host's side, one message at a time."""

    message = staticmethod(message)

    def __init__(self, daemon, version=NEW, largest=4096):
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
        self.socket.sendall(message(CNXN, version, largest, b"host::features=shell_v2\0"))
        try:
            self.banner = self.receive()
        except (OSError, EOFError):
            self.socket.close()
            raise

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def receive(self):
        command, arg0, arg1, length, check, magic = HEAD.unpack(self.exactly(24))
        assert magic == command ^ 0xFFFFFFFF
        data = self.exactly(length)
        assert check == sum(data)
        return command, arg0, arg1, data

    def send(self, *words, **options):
        self.socket.sendall(message(*words, **options))

    def ask(self, service):
        """Everything that a service writes."""
        self.send(OPEN, 1, 0, service + b"\0")
        command, remote, _, _ = self.receive()
        assert command == OKAY
        said = b""
        while True:
            command, remote, _, data = self.receive()
            if command == CLSE:
                return said
            if command == WRTE:
                said += data
                self.send(OKAY, 1, remote)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture(name="Client")
def client_class():
    """The class of a client that speaks the protocol by hand."""
    return Client


@pytest.fixture(scope="session")
def adb_server():
    """The port of an adb server of our own."""
    if shutil.which("adb") is None:
        pytest.skip("no adb on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = os.environ.get("ANDROID_ADB_SERVER_PORT")
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(port)
    subprocess.run(["adb", "start-server"], check=True, capture_output=True, timeout=60)
    yield port
    subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)
    if before is None:
        del os.environ["ANDROID_ADB_SERVER_PORT"]
    else:
        os.environ["ANDROID_ADB_SERVER_PORT"] = before


@pytest.fixture
def env():
    """A phone with a task."""
    env = PhoneEnv(split="test", adverts=0)
    env.reset_task("notes_add", seed=1)
    return env


@pytest.fixture
def daemon(env):
    """A daemon in front of it."""
    with PhoneDaemon(env, scale=2) as daemon:
        yield daemon


@pytest.fixture
def adb(adb_server, daemon):
    """The stock client, connected: ``adb("shell", "wm size")`` gives the finished process."""

    def run(*words, **options):
        return subprocess.run(
            ["adb", "-s", daemon.address, *words], capture_output=True, timeout=60, check=False, **options
        )

    subprocess.run(["adb", "connect", daemon.address], check=True, capture_output=True, timeout=60)
    yield run
    subprocess.run(["adb", "disconnect", daemon.address], check=False, capture_output=True, timeout=60)
