"""What devices write that nobody expects: broken trees, broken pictures, no answer at all; and the default device."""

import itertools
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from xml.etree import ElementTree

import numpy as np
import pytest

from homeostat import actions as a
from homeostat.agent import Agent, read_trace
from homeostat.cli.event_text import lines
from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.android import AndroidEnv, device
from homeostat.envs.android.tree import cleaned, elements
from homeostat.envs.mobile_use import Grid
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import EnvError, EnvTimeout
from homeostat.testing import ScriptedModel

adbutils = pytest.importorskip("adbutils", reason="no adbutils")
LEAKS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # adbutils' sockets
TREE = "<?xml version='1.0' ?><hierarchy><node class='x.Button' text='{}' bounds='[0,0][50,20]'/></hierarchy>"


def text_of(raw):
    (found,) = elements(TREE.format(raw), (100, 200))
    return found.text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("&#55357;&#56832; hi", "😀 hi"),
        ("&#xD83D;&#xde00; hi", "😀 hi"),
        ("&#128512; hi", "😀 hi"),
        ("a&#0;b&#11;c&#xFFFF;d", "abcd"),
        ("a\x0bb\x00c\x1b[31md\ufffe", "abc[31md"),
        ("&#55357;lone&#56832;", "lone"),
        ("&#56832;&#55357;swapped", "swapped"),
        ("&#99999999999999999999;&#x110000;x", "x"),
        ("&#" + "9" * 5000 + ";&#" + "0" * 5000 + "65;", "A"),
        ("&#38;lt; is &lt;", "&lt; is <"),
        ("R&D &copy; &unknown; &amp;", "R&D &copy; &unknown; &"),
        ("line&#10;break", "line\nbreak"),
        ("\x9bcsi", "csi"),
    ],
)
def test_a_text_is_read_whatever_xml_says_to_it(raw, text):
    assert text_of(raw) == text


def test_clean_text_is_left_alone_and_any_text_becomes_readable():
    rng = random.Random(1)
    for _ in range(2000):
        characters = [
            chr(rng.choice([rng.randrange(32), rng.randrange(0x110000), rng.randint(32, 126)])) for _ in range(6)
        ]
        raw = "".join(c for c in characters if c not in "<'&")
        shown = text_of(raw + "".join(f"&#{ord(c)};" for c in characters) + "ok") if raw or characters else ""
        assert shown.endswith("ok")
        shown.encode()  # no half of a surrogate pair
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", shown)
        whole = [c for c in characters if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF]
        root = ElementTree.Element("node", text="".join(whole))
        xml = ElementTree.tostring(root, encoding="unicode")
        assert ElementTree.fromstring(cleaned(xml)).get("text") == "".join(whole)


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "\0",
        "<hierarchy>",
        "<hierarchy a='1' a='2'/>",
        "<a>" * 100_000,
        "x" * (33 * 2**20),
    ],
)
def test_what_is_no_tree_is_one_short_line(xml):
    start = time.thread_time()
    with pytest.raises(EnvError, match="uiautomator wrote") as caught:
        elements(xml, (100, 200))
    assert len(str(caught.value)) < 300
    assert time.thread_time() - start < 1


def test_entities_are_not_expanded():
    names = ["a", *(f"a{n}" for n in range(1, 9))]
    entities = "".join(f"<!ENTITY {name} '{f'&{of};' * 10}'>" for of, name in itertools.pairwise(names))
    tree = TREE.format("&a8;").replace("<hierarchy>", f"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>{entities}]><hierarchy>")
    (found,) = elements(tree, (100, 200))
    assert found.text == "&a8;"


def test_boxes_of_any_size_are_taken_or_left_out():
    many = "9" * 5000
    xml = TREE.format("a").replace("[50,20]", f"[{many},20]")
    assert elements(xml, (100, 200)) == ()
    (found,) = elements(TREE.format("a").replace("[50,20]", "[999999999,20]"), (100, 200))
    assert found.box == (0.0, 0.0, 1.0, 0.1)


@pytest.fixture
def phone(daemon, adb_server, monkeypatch):
    """An environment on the phone, and a function that replaces what one of the phone's commands writes."""
    android = AndroidEnv(daemon.address, settle=0)
    run = daemon.shell.command

    def say(name, data):
        def command(words, stdin=b""):
            done = run(words, stdin)
            if words[0] == name:
                done.out, done.code = data, 0
            return done

        monkeypatch.setattr(daemon.shell, "command", command)

    return android, say


@pytest.mark.parametrize(
    ("dump", "texts"),
    [
        (TREE.format("&#55357;&#56832; hi").encode(), ["😀 hi"]),
        (TREE.format("caf\N{LATIN SMALL LETTER E WITH ACUTE}").encode("latin-1"), ["caf\ufffd"]),
        (TREE.format("&#0;a\x0bb").encode() + b"\n", ["ab"]),
        (TREE.format("no declaration").encode().partition(b"?>")[2], ["no declaration"]),
        (b"\xff\xfe\x00\x00garbage", []),
        (b"<?xml version='1.0'?><hierarchy><node", []),
        (b"ERROR: could not get idle state.", []),
        (b"", []),
    ],
)
def test_a_broken_dump_does_not_end_the_episode(phone, dump, texts, tmp_path):
    android, say = phone
    say("cat", dump)
    seen = android.observe()
    assert [e.text for e in seen.elements] == texts
    assert seen.screenshot.shape == (512, 288, 3)
    assert seen.app == "org.homeostat.home"
    assert (seen.problem == "") is bool(texts)

    model = ScriptedModel(['{"action": "open", "text": "notes"}', '{"action": "terminate", "status": "success"}'])
    run = Agent(model).start("open my notes", android, run_folder=tmp_path / "run")
    observed = [event for event in run if event.kind == "observe"]
    assert (run.result.ended, run.result.steps) == ("finished", 2)
    assert android.device.package() == "org.homeostat.notes"
    assert len(observed) == 2
    traced = [event for event in read_trace(tmp_path / "run").events if event.kind == "observe"]
    for event in (*observed, *traced):
        assert [e.text for e in event.elements] == texts
        assert event.problem == seen.problem
        said = list(lines(event, Grid(288, 512)))[1:]
        assert len(said) == (not texts)
        assert all("without its elements: uiautomator wrote no XML" in line and len(line) < 300 for line in said)


def test_a_dump_that_could_not_be_made_says_why(phone):
    android, say = phone
    say("cat", b"ERROR: could not get idle state.")
    assert "ERROR: could not get idle state." in android.observe().problem


@pytest.mark.parametrize(
    "png", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 40]
)
def test_a_broken_picture_is_one_line(phone, png):
    android, say = phone
    say("screencap", png)
    with pytest.raises(EnvError, match="gave no screenshot") as caught:
        android.observe()
    assert len(str(caught.value)) < 300


@LEAKS
def test_a_device_that_hangs_or_drips_is_given_up_in_time(phone, daemon):
    android, _ = phone
    android.device.timeout = 0.5
    with daemon.lock:  # every command waits
        start = time.monotonic()
        with pytest.raises(EnvTimeout, match=r"does not answer within 0.5 s"):
            android.act(a.SystemButton(button="Home"))
        assert time.monotonic() - start < 10
    drips = "; ".join(["echo x", "sleep 0.2"] * 40)
    start = time.monotonic()
    with pytest.raises(EnvTimeout):
        android.device._run(drips)
    assert time.monotonic() - start < 10


@LEAKS
def test_an_adb_server_that_hangs_is_given_up_in_time(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(silent.getsockname()[1]))
        start = time.monotonic()
        with pytest.raises(EnvError):
            AndroidEnv("emulator-1", timeout=0.5)
        assert time.monotonic() - start < 15


def test_a_device_that_adb_lists_twice_is_one(adb_server, daemon, monkeypatch):
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    other = f"emulator-{daemon.port - 1}"
    real = adbutils.AdbClient.list
    subprocess.run(["adb", "connect", daemon.address], check=True, capture_output=True, timeout=60)
    try:

        def listed(client):
            return [*real(client), adbutils.AdbDeviceInfo(serial=other, state="device", tags={})]

        monkeypatch.setattr(adbutils.AdbClient, "list", listed)
        assert AndroidEnv(settle=0).device.serial == daemon.address
        monkeypatch.setattr(adbutils.AdbClient, "list", lambda client: [*real(client), *listed(client), *_third()])
        with pytest.raises(EnvError, match=r"several devices: .*--serial"):
            AndroidEnv()
    finally:
        subprocess.run(["adb", "disconnect", daemon.address], check=False, capture_output=True, timeout=60)


def _third():
    return [adbutils.AdbDeviceInfo(serial="emulator-5580", state="device", tags={})]


def test_the_phone_that_is_served_is_found_without_a_word(adb_server, env, monkeypatch):
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    with PhoneDaemon(env, scale=2) as daemon:
        monkeypatch.setattr(device, "_DEFAULT", daemon.address)
        try:
            android = AndroidEnv(settle=0)
            assert android.device.serial == daemon.address
            assert (android.observe().screenshot == env.device.observe(2).screenshot).all()
        finally:
            subprocess.run(["adb", "disconnect", daemon.address], check=False, capture_output=True, timeout=60)


def test_an_action_goes_on_while_the_caller_waits_no_longer(adb_server, daemon, env):
    """Between the tap and the end of ``act`` the device has changed already, so it must not be tapped again."""
    android = AndroidEnv(daemon.address, settle=1.5)
    assert android.restores is False
    before = env.steps
    acting = threading.Thread(target=android.act, args=(a.Open(app="notes"),))
    acting.start()
    time.sleep(0.75)
    assert acting.is_alive()
    assert (env.device.app, env.steps) == ("notes", before + 1)
    acting.join()
    assert np.array_equal(android.observe().screenshot, env.device.observe(2).screenshot)
    assert PhoneEnv.restores is True


def test_the_command_line_takes_a_serial(adb_server, tmp_path):
    command = "from homeostat.cli.root import main; main()"
    words = ["run", "--env", "android", "--serial", "emulator-1", "--runs", str(tmp_path), "open notes"]
    done = subprocess.run(
        [sys.executable, "-c", command, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "emulator-1" in done.stderr or "adb" in done.stderr
    words[2:5] = ["phone", "--serial", "x"]
    done = subprocess.run(
        [sys.executable, "-c", command, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "serial" in done.stderr


def test_the_served_phone_and_a_run_find_each_other_on_their_defaults(adb_server, tmp_path, monkeypatch):
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 5555)) == 0:
            pytest.skip("port 5555 is in use on this machine")
    command = "from homeostat.cli.root import main; main()"
    served = subprocess.Popen(
        [sys.executable, "-c", command, "adb", "--task", "notes_add", "--seed", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert "adb connect 127.0.0.1:5555" in served.stdout.readline()
        words = ["run", "open the notes", "--env", "android", "--controllers", "none", "--max-steps", "2", "--plain"]
        done = subprocess.run(
            [sys.executable, "-c", command, *words, "--runs", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "step 2: on org.homeostat.notes" in done.stdout
    finally:
        served.send_signal(signal.SIGINT)
        said = served.communicate(timeout=30)[0]
        subprocess.run(["adb", "disconnect", "127.0.0.1:5555"], check=False, capture_output=True, timeout=60)
    assert "not solved: notes_add after 1 actions" in said or "not solved: notes_add after 2 actions" in said


def test_a_serial_chooses_among_devices_and_errors_name_those_that_there_are(adb_server, daemon, monkeypatch):
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    with PhoneDaemon(PhoneEnv("notes_add", split="test"), scale=3) as other:
        try:
            for address in (daemon.address, other.address):
                subprocess.run(["adb", "connect", address], check=True, capture_output=True, timeout=60)
            with pytest.raises(EnvError, match="several devices") as caught:
                AndroidEnv()
            assert daemon.address in str(caught.value)
            assert other.address in str(caught.value)
            assert AndroidEnv(daemon.address).device.size == (288, 512)
            assert AndroidEnv(other.address).device.size == (432, 768)
            monkeypatch.setenv("ANDROID_SERIAL", other.address)
            assert AndroidEnv().device.serial == other.address
            assert AndroidEnv(daemon.address).device.serial == daemon.address
            with pytest.raises(EnvError, match=rf"'mine' is not there; the devices .*{re.escape(other.address)}"):
                AndroidEnv("mine")
            with pytest.raises(EnvError, match=r"'127.0.0.1:9' is not there \(.*failed to connect.*\)"):
                AndroidEnv("127.0.0.1:9")
        finally:
            for address in (daemon.address, other.address):
                subprocess.run(["adb", "disconnect", address], check=False, capture_output=True, timeout=60)
