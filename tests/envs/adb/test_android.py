"""``AndroidEnv`` and AndroidWorld's interfaces, through the real client on the simulator."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from homeostat import actions as a
from homeostat.envs.android import AndroidEnv, JSONAction, PhoneWorld, WorldEnv, from_json_action, to_json_action
from homeostat.envs.android.tree import elements
from homeostat.envs.core import Env
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName

adbutils = pytest.importorskip("adbutils", reason="no adbutils")


# adbutils leaves its socket open where a request fails
LEAKS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def android(adb_server, daemon, env):
    """The phone as an Android device, with its task's check."""
    return AndroidEnv(
        daemon.address,
        settle=0,
        check=lambda _: env.success(),
        prepare=lambda seed: env.reset_task("notes_add", seed=seed or 1),
        goal="a goal",
    )


def test_gymnasium_accepts_it(adb_server, daemon):
    made = gymnasium.make("homeostat/Android-v0", serial=daemon.address, settle=0, render_mode="rgb_array")
    check_env(made.unwrapped)
    assert isinstance(made.unwrapped, Env)
    assert gymnasium.spec("homeostat/Android-v0").to_json()


NAMES = ["notes_add", "contacts_star", "files_rename", "settings_turn_on", "messages_delete", "phone_clear_alerts"]


@pytest.mark.parametrize("name", NAMES)
def test_the_oracles_actions_solve_tasks_through_adb(android, env, name):
    android.prepare = lambda seed: env.reset_task(name, seed=seed)
    for seed in (1, 2):
        android.reset_task(seed=seed)
        if env.instance.forbidden:
            continue
        for _ in range(30):
            action = env.oracle()
            android.act(action)
            if isinstance(action, a.Terminate):
                break
        assert android.success(), name


def test_it_sees_what_the_phone_shows(android, env):
    android.reset_task(seed=3)
    env.device.act(a.Open(app="settings"))
    seen, own = android.observe(), env.device.observe(2)
    assert (seen.screenshot == own.screenshot).all()
    assert seen.app == "org.homeostat.settings"
    shown = {e.text: e.box for e in seen.elements}
    for e in own.elements:
        if e.text and e.role != "nav":
            assert np.allclose(shown[e.text], e.box, atol=1 / 256), e


def test_every_action_arrives(android, env):
    android.reset_task(seed=1)
    android.act(a.Open(app="Notes"))
    assert env.device.app == "notes"
    row = next(p for p in env.device.placed() if p.widget.role == "item")
    point = ((row.anchor[0] + 0.5) / 9, (row.anchor[1] + 0.5) / 16)
    android.act(a.LongPress(point=point))
    assert env.device.screen == "dialog"
    android.act(a.SystemButton(button="Back"))
    android.act(a.Click(point=point))
    assert env.device.screen == "notes/note"
    android.act(a.SystemButton(button="Home"))
    android.act(a.Swipe(point=(0.5, 0.01), to=(0.5, 0.6)))
    assert env.device.shade
    android.act(a.Answer(text="done"))
    android.act(a.Terminate(status="failure"))
    assert (android.answers, android.status, android.success()) == (["done"], "failure", False)
    assert android.steps == 8
    with pytest.raises(ActionError, match="after terminate"):
        android.act(a.Wait(seconds=0.01))


def test_what_can_be_held_goes_on_in_another_environment(android, daemon):
    android.reset_task(seed=1)
    android.act(a.Answer(text="so far"))
    other = AndroidEnv(daemon.address, settle=0)
    other.restore(android.snapshot())
    assert (other.answers, other.steps, other.info.goal) == (["so far"], 1, "a goal")


def test_refusals_name_the_value(android):
    android.reset_task(seed=1)
    for action, says in (
        (a.Type(text="naïve"), "'ï'"),
        (a.Open(app="noted"), "did you mean 'notes'"),
    ):
        with pytest.raises(ActionError, match=says):
            android.act(action)
    assert android.steps == 0
    with pytest.raises(UnknownName, match="'notes_add'"):
        android.reset_task("notes_add")


def test_text_arrives_letter_by_letter(android, env, adb):
    android.reset_task(seed=1)
    android.act(a.Open(app="notes"))
    for label, role in (("new", "button"), ("title", "field")):
        placed = next(p for p in env.device.placed() if (p.widget.text, p.widget.role) == (label, role))
        android.act(a.Click(point=((placed.anchor[0] + 0.5) / 9, (placed.anchor[1] + 0.5) / 16)))
    draft = env.device.frame.draft
    text = "100%safe 'n' \"quoted\" $HOME; (a|b) & <c> \\ `d` #e ~ %s"
    android.act(a.Type(text=text))
    assert draft["title"] == text.lower()
    adb("shell", "input keycombination 113 29; ime set com.android.adbkeyboard/.AdbIME")
    android.act(a.Type(text="naïve 日本"))
    assert draft["title"] == "naïve 日本"


def test_apps_have_the_names_that_the_user_gives(daemon, env, adb_server):
    android = AndroidEnv(daemon.address, settle=0, apps={"notebook": "org.homeostat.notes"})
    android.act(a.Open(app="notebook"))
    assert env.device.app == "notes"
    assert android.observe().app == "notebook"


def test_the_registered_id_and_a_turned_screen(android, daemon):
    made = gymnasium.make("homeostat/Android-v0", serial=daemon.address, settle=0).unwrapped
    seen, _ = made.reset(seed=3)
    assert seen["screen"].shape == (512, 288, 3)
    daemon.handset.scale = 3
    with pytest.raises(EnvError, match=r"432×768 pixels; turn it back"):
        made.step(a.Wait(seconds=0.01))


@LEAKS
def test_devices_that_are_not_there_are_named(adb_server, monkeypatch):
    with pytest.raises(EnvError, match=r"'emulator-1' is not there"):
        AndroidEnv("emulator-1")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    there = []
    monkeypatch.setattr(adbutils.AdbClient, "list", lambda client: there)
    for devices, says in (
        ({}, "adb sees no device, and nothing answers at 127.0.0.1:5555; connect one"),
        ({"one": "offline"}, "'one' is offline; reconnect it"),
        ({"one": "unauthorized"}, "'one' is unauthorized; allow this computer on its screen"),
        ({"one": "device", "two": "device"}, "several devices: one, two; name one"),
    ):
        there[:] = [adbutils.AdbDeviceInfo(serial=s, state=state, tags={}) for s, state in devices.items()]
        with pytest.raises(EnvError, match=says):
            AndroidEnv()
    monkeypatch.undo()
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "/none/adb")
    with pytest.raises(EnvError, match=r"no adb server .*install Android's platform-tools"):
        AndroidEnv("emulator-1")
    monkeypatch.setitem(sys.modules, "adbutils", None)
    with pytest.raises(ConfigError, match=r"homeostat\[android\]"):
        AndroidEnv("emulator-1")


@LEAKS
def test_a_device_that_goes_away_in_the_middle_is_one_line(android, daemon):
    android.reset_task(seed=1)
    subprocess.run(["adb", "disconnect", daemon.address], check=True, capture_output=True, timeout=60)
    with pytest.raises(EnvError, match="does not answer"):
        android.observe()


def test_a_tree_is_read_with_its_oddities():
    xml = """<?xml version='1.0' ?><hierarchy><node class="android.widget.FrameLayout" bounds="[0,0][100,200]">
      <node class="x.Switch" text="wi-fi" checkable="true" checked="true" bounds="[0,0][50,20]"/>
      <node class="x.EditText" text="tea" content-desc="title" bounds="[0,20][100,40]"/>
      <node class="x.View" text="" clickable="false" bounds="[0,0][9,9]"/>
      <node class="x.View" text="off screen" bounds="[0,300][9,309]"/>
      <node class="x.ImageButton" content-desc="more" clickable="true" bounds="[90,-5][110,20]"/></node></hierarchy>"""
    found = elements(xml, (100, 200))
    assert [(e.role, e.text) for e in found] == [("toggle", "wi-fi on"), ("field", "title tea"), ("button", "more")]
    assert found[2].box == (0.9, 0.0, 1.0, 0.1)
    with pytest.raises(EnvError, match="no XML"):
        elements("ERROR: could not get idle state", (1, 1))


SIZE = (144, 256)


@pytest.mark.parametrize(
    "action",
    [
        a.Click(point=(0.25, 0.5)),
        a.LongPress(point=(0.25, 0.5)),
        a.SystemButton(button="Back"),
        a.SystemButton(button="Home"),
        a.SystemButton(button="Enter"),
        a.Open(app="notes"),
        a.Wait(),
        a.Answer(text="7"),
        a.Terminate(status="success"),
        a.Terminate(status="failure"),
    ],
)
def test_actions_go_to_android_world_and_back(action):
    assert from_json_action(JSONAction(**to_json_action(action, SIZE)), [], SIZE) == [action]


@pytest.mark.parametrize(
    ("start", "end", "direction"), [((0.5, 0.7), (0.5, 0.2), "down"), ((0.5, 0.2), (0.5, 0.7), "up")]
)
def test_scrolling_down_moves_the_finger_up(start, end, direction):
    fields = to_json_action(a.Swipe(point=start, to=end), SIZE)
    assert fields == {"action_type": "scroll", "direction": direction}
    (back,) = from_json_action(JSONAction(**fields), [], SIZE)
    assert (back.to[1] < back.point[1]) is (direction == "down")


def test_a_drag_from_the_top_edge_opens_the_notifications():
    fields = to_json_action(a.Swipe(point=(0.5, 0.02), to=(0.5, 0.5)), SIZE)
    assert fields == {"action_type": "swipe", "direction": "down"}
    env = PhoneEnv(split="test", adverts=0)
    PhoneWorld(env, "notes_add", seed=1).execute_action(JSONAction(**fields))
    assert env.device.shade


def test_a_json_action_is_android_worlds():
    action = JSONAction("click", index="3", clear_text=True)
    assert (action.index, action.json_str()) == (3, '{"action_type":"click","index":3,"clear_text":true}')
    assert repr(JSONAction("open_app", app_name="Notes")) == "JSONAction(action_type='open_app', app_name='Notes')"
    assert JSONAction("open_app", app_name="Notes") == JSONAction("open_app", app_name="notes", clear_text=True)
    assert JSONAction("click", x=1, y=2) != JSONAction("click", x=1, y=3)
    for fields in ({"index": 1, "x": 2}, {"direction": "in"}, {"keycode": "HOME"}):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is AndroidWorld's business
            JSONAction("scroll", **fields)
    typed = from_json_action(JSONAction("input_text", text="tea"), [], SIZE)
    assert typed == [a.Type(text="tea"), a.SystemButton(button="Enter")]


def test_android_worlds_swipe_is_turned_round_sideways_only():
    (left,) = from_json_action(JSONAction("swipe", direction="left"), [], SIZE)
    (down,) = from_json_action(JSONAction("swipe", direction="down"), [], SIZE)
    assert left.to[0] > left.point[0]
    assert down.to[1] > down.point[1]


def test_what_neither_side_can_say_is_refused():
    with pytest.raises(ActionError, match="needs a place"):
        to_json_action(a.Type(text="tea"), SIZE)
    with pytest.raises(ActionError, match=r"element 5 is not on the screen"):
        from_json_action(JSONAction("click", index=5), [], SIZE)
    with pytest.raises(ActionError, match="off the screen"):
        from_json_action(JSONAction("click", x=144, y=3), [], SIZE)
    with pytest.raises(ValueError, match="Invalid action type"):
        JSONAction("poke")


class ByName:
    """An agent in AndroidWorld's manner: it looks for the elements that a list of labels names, one a step."""

    def __init__(self, env, plan):
        self.env, self.plan = env, list(plan)

    def step(self, goal):
        state = self.env.get_state(wait_to_stabilize=True)
        kind, *rest = self.plan.pop(0)
        if kind == "open":
            self.env.execute_action(JSONAction("open_app", app_name=rest[0]))
        elif kind == "status":
            self.env.execute_action(JSONAction("status", goal_status="complete"))
        else:
            labels = [(e.text or " ").split()[:1] if e.is_clickable else [] for e in state.ui_elements]
            index = labels.index([rest[0]])
            fields = {"text": rest[1]} if kind == "input_text" else {}
            self.env.execute_action(JSONAction(kind, index=index, **fields))
        return not self.plan


def test_an_agent_of_android_world_solves_a_task_on_our_phone():
    env = PhoneEnv(split="test", adverts=0)
    world = PhoneWorld(env, "notes_add", seed=1)
    slots = env.instance.slots
    plan = [("open", "notes"), ("click", "new"), ("input_text", "title", slots["title"])]
    plan += [("input_text", "text", slots["text"]), ("click", "save"), ("status",)]
    agent = ByName(world, plan)
    while not agent.step(world.info.goal):
        pass
    assert env.success()
    assert world.foreground_activity_name.startswith("org.homeostat.notes/")
    assert world.logical_screen_size == (144, 256)
    assert world.reset(go_home=True).pixels.shape == (256, 144, 3)
    assert not env.success()


def test_an_environment_of_android_world_is_one_of_ours():
    env = PhoneEnv(split="test", adverts=0)
    inside = WorldEnv(PhoneWorld(env, "notes_add", seed=1))
    for _ in range(30):
        action = env.oracle()
        inside.act(action)
        if isinstance(action, a.Terminate):
            break
    env.act(action)
    assert env.success()
    assert (inside.observe().screenshot == env.observe().screenshot).all()
    with pytest.raises(EnvError, match="'notes_add'"):
        inside.reset_task("notes_add")
