"""The device: rendering, actions, snapshots, Gymnasium."""

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from homeostat import actions as a
from homeostat.envs.core import Env
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.layout import COLUMNS, ROWS, set_words
from homeostat.envs.phone.tasks.oracle import cell
from homeostat.errors import ActionError, ConfigError, UnknownName

SWIPE_UP = a.Swipe(point=cell(4, 11), to=cell(4, 4))


def labels(device):
    return [p.widget.text for p in device.placed()]


@pytest.fixture
def device():
    d = Device()
    d.db.execute(
        "insert into settings values ('wi-fi', 'off'), ('bluetooth', 'on'), ('airplane', 'off'), ('hotspot', 'off')"
    )
    rows = [(f"note{i:02d}", f"body {i}") for i in range(20)]
    d.db.executemany("insert into notes (title, body, pinned) values (?, ?, 'no')", rows)
    return d


def touch(device, text, hold=False):
    p = next(p for p in device.placed() if p.widget.text == text and p.widget.role != "title")
    point = cell(*p.anchor)
    device.act(a.LongPress(point=point) if hold else a.Click(point=point))


def test_gymnasium_accepts_it():
    env = gymnasium.make("homeostat.envs.phone:homeostat/Phone-v0", task="notes_add", render_mode="rgb_array")
    check_env(env.unwrapped)
    assert isinstance(env.unwrapped, Env)
    assert gymnasium.spec("homeostat/Phone-v0").to_json()


def test_same_seed_same_pixels_in_another_process():
    code = (
        "import hashlib\nfrom homeostat.envs.phone import PhoneEnv\nenv = PhoneEnv()\n"
        "for s in range(3):\n    env.reset_task('random', seed=s)\n    env.act(env.oracle())\n"
        "    print(hashlib.sha256(env.observe().screenshot.tobytes()).hexdigest())"
    )
    out = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert out[0] == out[1]
    assert len(set(out[0].split())) == 3


@pytest.mark.parametrize("scale", [1, 4])
def test_one_layout_at_any_scale(device, scale):
    device.act(a.Open(app="notes"))
    seen = device.observe(scale)
    assert seen.screenshot.shape == (256 * scale, 144 * scale, 3)
    small = Device.observe(device, 1)
    assert seen.elements == small.elements
    # the title bar's colour, at the same normalised position
    y, x = int(1.5 / ROWS * 256 * scale), int(8.9 / COLUMNS * 144 * scale)
    assert tuple(seen.screenshot[y, x]) == (176, 132, 10)


def test_every_element_has_role_text_and_box_on_the_screen(device):
    device.act(a.Open(app="notes"))
    for e in device.observe().elements:
        left, top, right, bottom = e.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert e.role
        assert e.text


def test_words_start_on_cells_and_wrap():
    runs = set_words("buy two red bags", 0, 0, "body")
    assert [(r.column, r.row, r.word) for r in runs] == [(0, 0, "buy"), (2, 0, "two"), (4, 0, "red"), (6, 0, "bags")]
    assert {r.row for r in set_words("a" * 40, 0, 0, "body")} == {0, 1, 2}


def test_a_switch_flips_the_database(device):
    device.act(a.Open(app="settings"))
    touch(device, "network")
    touch(device, "wi-fi")
    assert device.db.execute("select value from settings where key = 'wi-fi'").fetchone() == ("on",)
    touch(device, "wi-fi")
    assert device.db.execute("select value from settings where key = 'wi-fi'").fetchone() == ("off",)


def test_lists_scroll_and_stop_at_their_end(device):
    device.act(a.Open(app="notes"))
    assert "note00" in labels(device)
    assert "note15" not in labels(device)
    for _ in range(5):
        device.act(SWIPE_UP)
    assert "note19" in labels(device)
    assert "note00" not in labels(device)
    assert sum(t.startswith("note") and t != "notes" for t in labels(device)) == 12


def test_forms_type_into_the_focused_field_only(device):
    device.act(a.Open(app="notes"))
    touch(device, "new")
    with pytest.raises(ActionError, match="no field has the focus"):
        device.act(a.Type(text="milk"))
    touch(device, "title")
    device.act(a.Type(text="Milk"))
    touch(device, "save")
    assert device.db.execute("select title, body from notes order by id desc").fetchone() == ("milk", "")
    assert device.screen == "notes/list"
    assert "saved" in labels(device)


def test_dialogs_back_and_home(device):
    device.act(a.Open(app="notes"))
    touch(device, "note01", hold=True)
    assert device.screen == "dialog"
    touch(device, "delete")
    touch(device, "cancel")
    assert device.db.execute("select count(*) from notes").fetchone() == (20,)
    touch(device, "note01")
    assert device.screen == "notes/note"
    device.act(a.SystemButton(button="Back"))
    assert device.screen == "notes/list"
    device.act(a.SystemButton(button="Home"))
    assert device.app == "home"


def test_the_shade_opens_from_the_top_edge(device):
    device.db.execute("insert into notifications (app, text) values ('shop', 'sale')")
    device.act(a.Swipe(point=cell(4, 0), to=cell(4, 8)))
    assert device.screen == "shade"
    assert "shop" in labels(device)
    touch(device, "clear")
    assert device.db.execute("select count(*) from notifications").fetchone() == (0,)
    device.act(a.SystemButton(button="Back"))
    assert device.app == "home"


def test_refused_actions_leave_the_phone_as_it_was(device):
    before = device.snapshot()
    with pytest.raises(ActionError, match=r"'nots'.*did you mean 'notes'"):
        device.act(a.Open(app="nots"))
    assert device.snapshot() == before


def test_snapshots_are_json_and_restore_everything():
    env = PhoneEnv(adverts=1.0)
    info = env.reset_task("messages_compose", seed=3)
    for _ in range(3):
        env.act(env.oracle())
    saved = json.loads(json.dumps(env.snapshot()))
    other = PhoneEnv()
    other.restore(saved)
    assert other.info == info
    assert other.steps == 3
    assert np.array_equal(other.observe().screenshot, env.observe().screenshot)
    while env.status is None:
        action = env.oracle()
        assert other.oracle() == action
        env.act(action)
        other.act(action)
    assert env.success()
    assert other.success()


def test_a_click_opens_the_pop_ups_way_out():
    env = PhoneEnv(adverts=1.0)
    for seed in range(30):
        info = env.reset_task("tasks_add", seed=seed)
        shown = False
        while env.status is None and env.steps < info.max_steps:
            shown |= env.device.dialog is not None
            env.act(env.oracle())
        assert env.success()
        if shown:
            return
    raise AssertionError("no pop-up in thirty episodes")


def test_bad_arguments_are_named():
    with pytest.raises(UnknownName, match=r"'note_add'.*did you mean 'notes_add'"):
        PhoneEnv(task="note_add")
    with pytest.raises(UnknownName, match="'exam'"):
        PhoneEnv(split="exam")
    with pytest.raises(ConfigError, match="99"):
        PhoneEnv(scale=99)


def test_a_step_that_is_refused_is_named_and_counts():
    env = PhoneEnv(task="notes_add")
    env.reset(seed=1)
    _, reward, done, _, info = env.step(a.Type(text="x"))
    assert "no field has the focus" in info["error"]
    assert not done
    assert reward == 0
    assert env.steps == 1


@pytest.mark.parametrize(
    "task", ["notes_add", "phone_open", "joined_plain", "joined_carried", "dive_nearest_place", None]
)
def test_every_kind_of_task_answers_for_its_subtasks(task):
    env = PhoneEnv(task=task, adverts=0)
    info = env.reset_task(seed=1)
    assert len(env.subtasks()) == len(env.subtask_apps())
    assert not any(env.subtasks())
    if env.instance is None:
        return
    assert info.parts == env.instance.subtask_goals
    assert len(info.parts) == len(env.instance.subtasks)
    while env.status is None:
        env.act(env.oracle())
        progress = json.loads(json.dumps(env.instance.progress()))
        env.instance.restore_progress(progress)
        assert env.instance.progress() == progress
    assert env.success()
    assert all(env.subtasks())


def test_a_value_too_wide_for_its_row_stands_below(device):
    device.db.execute("insert into contacts (name, phone, star) values ('ada', 'a very long text for a number', 'off')")
    device.act(a.Open(app="contacts"))
    touch(device, "ada")
    phone = next(p for p in device.placed() if p.widget.text == "phone")
    assert [r.word for r in phone.runs] == ["phone", *["a", "very", "long", "text", "for", "a", "number"]]
    assert all(0 <= r.column < COLUMNS for r in phone.runs)
    assert phone.box[3] - phone.box[1] > 2


def test_no_column_is_too_narrow_to_set_words_in():
    runs = set_words("abcd ef", 3, 0, "body", right=1)
    assert "".join(r.word for r in runs) == "abcdef"
