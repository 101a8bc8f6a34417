"""Checks what works without torch: imports, the command line, an oracle's evaluation, the adb daemon.

Run it with an interpreter that has homeostat and ``.ci/smoke-requirements.txt`` installed, in an empty folder:
``python smoke.py``. It uses the standard library only, prints one line a check, and stops at the first that fails.
"""

import importlib
import pkgutil
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

ROOMS = ("homeostat.envs", "homeostat.controllers", "homeostat.cli")
ROOT = ("homeostat.actions", "homeostat.errors", "homeostat.json_values", "homeostat.observation", "homeostat.plugins")
HOMEOSTAT = str(Path(sys.executable).with_name("homeostat"))


def homeostat(*arguments):
    done = subprocess.run([HOMEOSTAT, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"homeostat {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def imports():
    names = ["homeostat", *ROOT]
    for room in ROOMS:
        package = importlib.import_module(room)
        names += [room, *(module.name for module in pkgutil.walk_packages(package.__path__, f"{room}."))]
    for name in names:
        importlib.import_module(name)
    assert "torch" not in sys.modules, "torch was imported"
    return f"{len(names)} modules import"


def command_line():
    assert homeostat("--version").startswith("homeostat "), "no version"
    names = sorted(entry.name for entry in entry_points(group="homeostat.commands"))
    shown = homeostat("--help")
    for name in names:
        assert re.search(rf"^ +{name} +\w", shown, re.MULTILINE), f"{name} has no help"
    assert "unavailable" not in shown, shown
    return f"--version and --help, {len(names)} commands"


def evaluation():
    shown = homeostat("eval", "--suite", "atomic", "--policy", "oracle", "--episodes", "3")
    assert "3 of 3 solved" in shown, shown
    return shown.splitlines()[-1]


def adb_daemon():
    """Serves a phone, asks it for its model name over adb's own protocol, and ends it with Ctrl-C."""
    serve = [HOMEOSTAT, "adb", "--port", "0", "--scale", "1"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = next(found[1] for line in process.stdout if (found := re.search(r"adb connect (\S+)", line)))
            model, client = ask_with_adb(address) if shutil.which("adb") else ask_over_socket(address)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert process.returncode == 0, f"the daemon ended with status {process.returncode}"
    assert model, "the phone told no model name"
    return f"the phone at {address} tells {client} that it is {model!r}"


def ask_with_adb(address):
    def adb(*arguments):
        command = ["adb", "-P", str(port), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    with socket.socket() as probe:  # a server of its own, so that one that runs on this machine is left alone
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        adb("connect", address)
        return adb("-s", address, "shell", "getprop", "ro.product.model").strip(), "adb"
    finally:
        adb("kill-server")


def ask_over_socket(address):
    """Speaks adb's transport: six little-endian words, then the payload (AOSP's protocol.txt)."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:

        def send(command, first, second, payload=b""):
            word = int.from_bytes(command, "little")
            header = (word, first, second, len(payload), sum(payload) & 0xFFFFFFFF, word ^ 0xFFFFFFFF)
            link.sendall(struct.pack("<6I", *header) + payload)

        def receive():
            word, first, second, length, _, _ = struct.unpack("<6I", read(24))
            return word.to_bytes(4, "little"), first, second, read(length)

        def read(count):
            data = b""
            while len(data) < count:
                more = link.recv(count - len(data))
                assert more, "the daemon closed the connection"
                data += more
            return data

        send(b"CNXN", 0x01000000, 1 << 18, b"host::\0")
        assert receive()[0] == b"CNXN", "the daemon refused the connection"
        send(b"OPEN", 1, 0, b"shell:getprop ro.product.model\0")
        said = b""
        while True:
            command, theirs, _, payload = receive()
            if command == b"WRTE":
                said += payload
                send(b"OKAY", 1, theirs)
            elif command == b"CLSE":
                return said.decode().strip(), "a raw socket (no adb on this machine)"


def main():
    for check in (imports, command_line, evaluation, adb_daemon):
        print(f"smoke, Python {platform.python_version()}: {check()}", flush=True)


if __name__ == "__main__":
    main()
