"""The daemon against the stock client, and against bytes that no client sends."""

import io
import random
import re
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from homeostat import actions as a
from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.phone import Device, PhoneEnv
from homeostat.errors import ConfigError, EnvError


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
    assert done.stdout == b"hello\n"  # no terminal, so neither prompt nor echo
    assert b"nonsense: inaccessible or not found" in done.stderr
    assert done.returncode == 3
    assert adb("shell", input=b"false").returncode == 1


def test_errors_go_their_own_way(adb):
    done = adb("shell", "ls /none /sdcard; nonsense")
    assert done.stdout == b"Download\n"
    assert done.stderr == (
        b"ls: /none: No such file or directory\n/system/bin/sh: nonsense: inaccessible or not found\n"
    )
    assert adb("exec-out", "nonsense 2>&1 | wc -l").stdout == b"1\n"
    told = adb("exec-out", "echo one; nonsense; echo two $?; ls > /sdcard/x 2>&1; wc -w < /none").stdout
    assert told == b"/system/bin/sh: syntax error: unexpected '<'\n"
    told = adb("exec-out", "echo one; nonsense; echo two $?").stdout.splitlines()
    assert told == [b"one", b"/system/bin/sh: nonsense: inaccessible or not found", b"two 127"]


def test_what_agents_ask_of_a_phone(adb, env):
    assert adb("shell", "cmd package resolve-activity --brief org.homeostat.notes").stdout.endswith(
        b"org.homeostat.notes/.MainActivity\n"
    )
    assert adb("shell", "settings get global airplane_mode_on").stdout == b"null\n"
    assert adb("shell", "settings put global x 1 && settings get global x").stdout == b"1\n"
    assert adb("shell", "am start -a android.intent.action.VIEW -d http://example.org").returncode == 1
    assert adb("shell", "am start -W org.homeostat.shop/.MainActivity").stdout.endswith(b"Complete\n")
    assert env.device.app == "shop"
    adb("shell", "am force-stop org.homeostat.shop")
    assert env.device.app == "home"
    adb("shell", "cmd statusbar expand-notifications")
    assert env.device.shade
    adb("shell", "cmd statusbar collapse")
    assert not env.device.shade
    adb("shell", "am start -a android.intent.action.MAIN -c android.intent.category.HOME")
    assert adb("logcat", "-d").returncode == 0
    raw = adb("exec-out", "screencap").stdout
    assert struct.unpack("<4I", raw[:16]) == (288, 512, 1, 0)
    pixels = np.frombuffer(raw[16:], np.uint8).reshape(512, 288, 4)
    assert (pixels[..., :3] == env.device.observe(2).screenshot).all()


def test_a_question_is_answered_and_the_episode_ended_over_adb(adb, env):
    env.reset_task("messages_read_last", seed=2)
    adb("shell", f"am broadcast -a org.homeostat.ANSWER --es text '{env.instance.answer}'")
    assert env.answers == [env.instance.answer]
    assert adb("shell", "am broadcast -a org.homeostat.TERMINATE --es status maybe").returncode == 255
    adb("shell", "am broadcast -a org.homeostat.TERMINATE --es status success")
    assert env.status == "success"
    assert adb("shell", "am start -n org.homeostat.notes/.MainActivity").returncode == 1  # the episode is over


def test_a_field_takes_keys_as_androids_does(adb, env):
    env.device.act(a.Open(app="notes"))
    env.device.act(a.Click(point=_point(env, "new")))
    env.device.act(a.Click(point=_point(env, "title")))
    draft = env.device.frame.draft
    for line, held in (
        ("input text tea%s", "tea"),
        ("input text for%stwo", "tea for two"),
        ("input keyevent DEL DEL DEL", "tea for"),
        ("input keycombination 113 29 && input text milk", "milk"),
        ("input text 'a;b&c'", "milka;b&c"),
        (r"input text \$5\ \(ok\)", "milka;b&c$5 (ok)"),
    ):
        assert adb("shell", line).returncode == 0
        assert draft["title"] == held
    done = adb("shell", "input text naïve")
    assert (done.returncode, b"NullPointerException" in done.stderr) == (255, True)
    assert draft["title"] == "milka;b&c$5 (ok)"


def test_adbutils_finds_what_it_asks_for(adb, daemon, env, tmp_path):
    adbutils = pytest.importorskip("adbutils", reason="no adbutils")
    phone = adbutils.AdbClient().device(daemon.address)
    phone.app_start("org.homeostat.notes")
    now = phone.app_current()
    assert (now.package, now.activity) == ("org.homeostat.notes", "org.homeostat.notes.MainActivity")
    assert phone.window_size() == (288, 512)
    assert phone.rotation() == 0
    assert phone.is_screen_on()
    assert phone.battery().level == 100
    assert (np.asarray(phone.screenshot()) == env.device.observe(2).screenshot).all()
    assert ElementTree.fromstring(phone.dump_hierarchy()).tag == "hierarchy"
    for v2 in (False, True):
        done = phone.shell2("echo out; nonsense", v2=v2)
        assert done.returncode == 127
        assert "out\n" in done.output
    assert done.stderr == "/system/bin/sh: nonsense: inaccessible or not found\n"
    phone.sync.push(b"text", "/data/local/tmp/folder/a.txt", check=True)
    assert phone.sync.read_text("/data/local/tmp/folder/a.txt") == "text"
    assert [f.path for f in phone.sync.list("/data/local/tmp")] == ["folder", "uidump.xml"]
    phone.sync.pull_dir("/data/local/tmp", tmp_path)
    assert (tmp_path / "folder" / "a.txt").read_text() == "text"
    assert "org.homeostat.notes" in phone.list_packages(["-3"])
    phone.app_stop("org.homeostat.notes")
    assert env.device.app == "home"


def _point(env, label):
    placed = next(p for p in env.device.placed() if p.widget.text == label and p.widget.role in ("button", "field"))
    return (placed.anchor[0] + 0.5) / 9, (placed.anchor[1] + 0.5) / 16


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


def test_a_device_alone_will_do_and_bad_settings_are_named():
    with PhoneDaemon(Device()) as daemon:
        assert daemon.shell.run("wm size; wm density").out == b"Physical size: 720x1280\nPhysical density: 320\n"
        with pytest.raises(EnvError, match="can't listen"), PhoneDaemon(Device(), port=daemon.port):
            pass
    with pytest.raises(ConfigError, match="scale 0"):
        PhoneDaemon(PhoneEnv(), scale=0)
    daemon.stop()  # once more is no harm
    with daemon:
        assert daemon.address.endswith(str(daemon.port))
