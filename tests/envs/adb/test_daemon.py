"""The daemon against the stock client, and against bytes that no client sends."""

import io
import random
import re
import socket
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from homeostat.envs import actions as a
from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.adb.lines import LineError, parse
from homeostat.envs.adb.shell import Shell
from homeostat.envs.errors import ConfigError, EnvError
from homeostat.envs.phone import Device, PhoneEnv


def test_the_screen_is_the_phones_own(adb, env):
    for words in (("exec-out", "screencap -p"), ("shell", "screencap", "-p")):
        png = adb(*words).stdout
        assert (np.asarray(Image.open(io.BytesIO(png))) == env.device.observe(2).screenshot).all()


def test_taps_keys_and_text_do_what_they_say(adb, env):
    adb("shell", "am start -n org.homeostat.notes/.MainActivity")
    assert env.device.app == "notes"
    adb("shell", "monkey -p org.homeostat.contacts -c android.intent.category.LAUNCHER 1")
    assert env.device.app == "contacts"
    adb("shell", "input keyevent KEYCODE_HOME")
    assert env.device.app == "home"
    env.device.act(a.Open(app="tasks"))
    env.device.stack[-1].screen = "edit"
    env.device.changed()
    field = next(p for p in env.device.placed() if p.widget.role == "field")
    left, top, right, bottom = (v * 32 for v in field.box)
    adb("shell", f"input tap {(left + right) // 2} {(top + bottom) // 2}")
    adb("shell", "input text buy%smilk")
    assert env.device.frame.draft["title"] == "buy milk"
    adb("shell", "input text ' and tea'")
    assert env.device.frame.draft["title"] == "buy milk and tea"
    for key in ("KEYCODE_DEL", "67", "29"):
        adb("shell", "input", "keyevent", key)
    assert env.device.frame.draft["title"] == "buy milk and ta"
    adb("shell", "input keyevent 4; input keyevent 3")
    assert env.device.app == "home"
    assert adb("shell", "input keyevent KEYCODE_NONSENSE").returncode == 255


def test_a_long_swipe_in_one_place_is_a_long_press(adb, env):
    env.device.act(a.Open(app="notes"))
    row = next(p for p in env.device.placed() if p.widget.role == "item")
    x, y = row.anchor[0] * 32 + 16, row.anchor[1] * 32 + 16
    adb("shell", f"input swipe {x} {y} {x} {y} 800")
    assert env.device.screen == "dialog"


def test_the_tree_tells_every_element_with_its_pixels(adb, env):
    env.device.act(a.Open(app="settings"))
    env.device.act(a.Click(point=(0.2, 0.16)))
    text = adb("shell", "uiautomator dump /dev/tty").stdout.decode().rsplit("UI hierchary", 1)[0]
    nodes = list(ElementTree.fromstring(text).iter("node"))[1:]
    assert len(nodes) == len(env.device.placed())
    for node, p in zip(nodes, env.device.placed(), strict=True):
        assert [int(v) // 32 for v in re.findall(r"\d+", node.get("bounds"))] == list(p.box)
        assert node.get("content-desc") == p.widget.text
        if p.widget.role == "toggle":
            assert node.get("checked") == ("true" if p.widget.value == "on" else "false")


def test_files_go_there_and_back(adb, tmp_path):
    source = tmp_path / "a.bin"
    source.write_bytes(random.Random(0).randbytes(300_000))
    assert adb("push", str(source), "/sdcard/x/a.bin").returncode == 0
    assert adb("pull", "/sdcard/x/a.bin", str(tmp_path / "b.bin")).returncode == 0
    assert (tmp_path / "b.bin").read_bytes() == source.read_bytes()
    assert adb("shell", "ls /sdcard/x").stdout == b"a.bin\n"
    assert adb("pull", "/sdcard/none", str(tmp_path / "c")).returncode != 0
    adb("shell", "uiautomator dump")
    assert adb("pull", "/sdcard/window_dump.xml", str(tmp_path / "w.xml")).returncode == 0
    ElementTree.parse(tmp_path / "w.xml")


@pytest.mark.parametrize(
    ("line", "out", "code"),
    [
        ("wm size", "Physical size: 288x512\n", 0),
        ("getprop ro.product.model", "Homeostat_Phone\n", 0),
        ("dumpsys window | grep mCurrentFocus", "org.homeostat.home/", 0),
        ("dumpsys activity activities | grep -i mresumedactivity", "org.homeostat.home/", 0),
        ("pm list packages notes", "package:org.homeostat.notes\n", 0),
        ("echo one && echo two; false || echo three", "one\ntwo\nthree\n", 0),
        ("echo 'a  b' > /sdcard/t; cat /sdcard/t; rm /sdcard/t; cat /sdcard/t 2>/dev/null", "a  b\n", 1),
        ("nonsense", "", 127),
        ("am start -n org.other/.Main", "", 1),
        ("echo 'open", "", 1),
        ("input tap here there", "", 255),
        ("exit 3", "", 3),
    ],
)
def test_shell_lines(adb, line, out, code):
    done = adb("shell", line)
    assert out in done.stdout.decode()
    assert done.returncode == code


def test_a_shell_to_type_in(adb):
    done = adb("shell", input=b"echo hello\nnonsense\nexit 3\n")
    assert b"hello" in done.stdout
    assert b"not found" in done.stdout
    assert done.returncode == 3


def garbage(rng):
    """One thing that no client sends."""
    head = struct.Struct("<6I")
    known = [0x4E584E43, 0x4E45504F, 0x59414B4F, 0x45545257, 0x45534C43, 0x48545541]
    command = rng.choice([*known, rng.getrandbits(32)])
    magic = rng.choice([command ^ 0xFFFFFFFF, rng.getrandbits(32)])
    data = rng.randbytes(rng.choice([0, 1, 24, 300, 5000]))
    length = rng.choice([len(data), len(data), 0, rng.getrandbits(32), len(data) + 7])
    raw = head.pack(command, rng.getrandbits(32), rng.getrandbits(8), length, rng.getrandbits(32), magic) + data
    return raw[: rng.choice([len(raw), len(raw), rng.randint(0, len(raw))])]


def test_two_hundred_malformed_packets_leave_it_serving(daemon, adb):
    rng = random.Random(7)
    hello = struct.pack("<6I", 0x4E584E43, 0x01000001, 4096, 7, 0, 0x4E584E43 ^ 0xFFFFFFFF) + b"host::\0"
    for n in range(200):
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as client:
            if n % 2:
                client.sendall(hello)
            for _ in range(rng.randint(1, 4)):
                try:
                    client.sendall(garbage(rng))
                except OSError:  # the daemon has closed already, as it should
                    break
    done = adb("shell", "echo still here")
    assert done.stdout == b"still here\n"
    assert not daemon.shell.handset.device.dialog


def test_two_hundred_malformed_lines_leave_it_serving(daemon, adb):
    rng = random.Random(8)
    pieces = "input tap swipe text keyevent -1 1e99 nan 99999 ' \" | ; && > 2> am start -n uiautomator dump grep ( [ \\"
    pieces += " $(rm) \0 é 🙂 settings monkey -p pm list cat rm -r / head sleep x dumpsys < & exit"
    choices = [*pieces.split(" "), "\n"]
    for n in range(200):
        line = " ".join(rng.choice(choices) for _ in range(rng.randint(1, 9)))
        done = daemon.shell.run(line)
        assert 0 <= done.code <= 255
        if n % 20 == 0:
            adb("shell", line.replace("\0", ""))
    assert adb("shell", "echo still here").stdout == b"still here\n"


def test_streams_of_one_client_do_not_mix(adb):
    big = adb("exec-out", "screencap -p; screencap -p; screencap -p").stdout
    assert big.count(b"IEND") == 3


def test_lines_are_cut_as_a_shell_cuts_them():
    (one, two) = parse("a 'b c' | grep x > /y 2>/dev/null && d")
    assert [c.words for c in one.calls] == [["a", "b c"], ["grep", "x"]]
    assert (one.calls[1].out, one.calls[1].silent, two.after) == ("/y", True, "&&")
    with pytest.raises(LineError, match="quotation"):
        parse("'")
    assert parse("  ;; ") == []


def test_a_device_alone_will_do_and_bad_settings_are_named():
    with PhoneDaemon(Device()) as daemon:
        assert Shell(daemon.handset, {}).run("wm size").out == b"Physical size: 720x1280\n"
        with pytest.raises(EnvError, match="can't listen"), PhoneDaemon(Device(), port=daemon.port):
            pass
    with pytest.raises(ConfigError, match="scale 0"):
        PhoneDaemon(PhoneEnv(), scale=0)
