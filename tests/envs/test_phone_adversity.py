"""Adversity: wrappers around the phone."""

import hashlib
import json
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from homeostat import actions as a
from homeostat.envs.core import Env
from homeostat.envs.harness import Case, PolicyRunner, make_env, summary
from homeostat.envs.phone import PhoneEnv, task_names
from homeostat.envs.phone.adversity import (
    ADVERSITIES,
    Crashes,
    Dark,
    Distractors,
    InjectedInstructions,
    Latency,
    PopUps,
    Rotated,
    Shuffled,
    adverse,
)
from homeostat.envs.phone.adversity.orders import FRAMES, ORDERS
from homeostat.envs.phone.apps.decoys import DECOYS
from homeostat.envs.phone.tasks.base import fingerprint
from homeostat.envs.phone.tasks.oracle import cell
from homeostat.errors import ConfigError, EnvError, UnknownName

TASKS = [name for name in task_names() if name != "random"]
HARD = {
    "popups": 0.6,
    "crashes": 0.4,
    "latency": {"rate": 0.5, "longest": 3},
    "rotated": 270,
    "dark": True,
    "shuffled": True,
    "distractors": 3,
    "injected": True,
}


def phone(**options):
    return PhoneEnv(adverts=0, **options)


def solve(env, info):
    while env.status is None and env.steps < info.max_steps:
        env.act(env.oracle())
    return env.success()


@pytest.mark.parametrize("name", HARD)
def test_the_oracle_solves_the_tasks_under_each(name):
    env, plain = adverse(phone(), {name: HARD[name]}), phone()
    for n, task in enumerate(TASKS[len(name) % 2 :: 2]):
        info, bare = env.reset_task(task, seed=n), plain.reset_task(task, seed=n)
        assert (info.goal, info.rules, info.parts) == (bare.goal, bare.rules, bare.parts)
        assert (
            info.optimal_steps >= bare.optimal_steps - (name == "shuffled") * 3
        )  # reordering may move a row into view
        assert solve(env, info), task
        assert not env.obeyed()


@pytest.mark.parametrize("order", [list(HARD), list(reversed(HARD))])
def test_all_of_them_together_in_any_order(order):
    env = adverse(phone(), {name: HARD[name] for name in order})
    assert [layer.name for layer in env.layers()] == list(reversed(order))
    for n, task in enumerate(TASKS[::3]):
        assert solve(env, env.reset_task(task, seed=n)), task


def test_atomic_tasks_take_just_the_stated_steps():
    env = adverse(phone(), {"popups": 0.5, "crashes": 0.3, "latency": 0.3})
    longer = 0
    for n, task in enumerate(name for name in TASKS if name.startswith(("notes", "clock", "shop", "settings"))):
        info = env.reset_task(task, seed=n)
        assert info.max_steps == 2 * info.optimal_steps + 5
        longer += info.optimal_steps > env.phone.info.optimal_steps
        assert solve(env, info)
        assert env.steps == info.optimal_steps
    assert longer > 10


@pytest.mark.parametrize("name", HARD)
def test_gymnasium_accepts_each(name):
    env = adverse(PhoneEnv(task="notes_add"), {name: HARD[name]})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        check_env(env, skip_render_check=True)
    assert isinstance(env, Env)
    seen, told = env.reset(seed=5)
    assert env.observation_space.contains(seen)
    assert told["task"]["seed"] == 5
    assert env.step(a.Type(text="x"))[4]["error"]
    assert env.steps == 1


def test_gymnasium_makes_it_by_name():
    env = gymnasium.make("homeostat.envs.phone:homeostat/AdversePhone-v0", adversity={"dark": True}, task="notes_add")
    env.reset(seed=1)
    assert env.get_wrapper_attr("device").theme.dark


def test_a_snapshot_goes_on_in_another_process():
    env = adverse(phone(), HARD)
    env.reset_task("contacts_add", seed=4)
    for _ in range(4):
        env.act(env.oracle())
    saved = json.dumps(env.snapshot())
    code = (
        "import hashlib, json, sys\n"
        "from homeostat.envs.phone import PhoneEnv\n"
        "from homeostat.envs.phone.adversity import adverse\n"
        "given = json.load(sys.stdin)\n"
        "env = adverse(PhoneEnv(), dict.fromkeys(given['names'], True))\n"
        "env.restore(json.loads(given['snapshot']))\n"
        "print(env.info.model_dump_json())\n"
        "while env.status is None:\n"
        "    print(hashlib.sha256(env.observe().screenshot.tobytes()).hexdigest())\n"
        "    env.act(env.oracle())\n"
        "print(env.success(), env.obeyed())\n"
    )
    given = json.dumps({"names": list(HARD), "snapshot": saved})
    there = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=True)
    here = [env.info.model_dump_json()]
    while env.status is None:
        here.append(hashlib.sha256(env.observe().screenshot.tobytes()).hexdigest())
        env.act(env.oracle())
    assert there.stdout.split("\n")[:-1] == [*here, "True False"]
    assert len(set(here)) > 5


def test_another_adversitys_snapshot_is_refused():
    env = Dark(phone())
    env.reset_task("notes_add", seed=1)
    with pytest.raises(EnvError, match="'dark' instead of 'popups'"):
        PopUps(phone()).restore(env.snapshot())
    with pytest.raises(EnvError, match="adversity None instead of 'dark'"):
        Dark(phone()).restore(env.inner.snapshot())


def test_adversity_does_not_depend_on_what_is_done():
    env = PopUps(phone(), rate=0.6)
    shown = []
    for policy in ("oracle", "wait"):
        env.reset_task("contacts_add", seed=7)
        steps = []
        for _ in range(8):
            env.act(env.oracle() if policy == "oracle" else a.Wait())
            steps.append(env.device.dialog is not None and env.device.dialog[0])
            if env.device.dialog:
                env.device.dialog = None
                env.device.changed()
        shown.append(steps)
    assert shown[0] == shown[1]
    assert any(shown[0])


def test_a_crash_loses_drafts_and_keeps_what_was_saved():
    env = Crashes(phone(), rate=1.0, most=1)
    env.reset_task("notes_add", seed=1)
    rows = fingerprint(env.device.db)
    env.act(a.Open(app="notes"))
    assert env.device.app == "home"
    assert env.device.message == "notes stopped"
    env.act(a.Open(app="notes"))
    assert env.device.app == "notes"
    assert fingerprint(env.device.db) == rows


def test_a_slow_screen_catches_up_after_a_wait():
    for loading in (0.0, 1.0):
        env = Latency(phone(), rate=1.0, longest=3, loading=loading)
        env.reset_task("settings_tone", seed=2)
        old = env.observe()
        env.act(a.Open(app="settings"))
        assert env.device.app == "settings"
        assert env.behind > 0
        if loading:
            assert [e.text for e in env.observe().elements][-1] == "loading ..."
        else:
            assert np.array_equal(env.observe().screenshot, old.screenshot)
            assert env.observe().elements == old.elements
        assert env.oracle() == a.Wait()
        env.act(a.Wait(seconds=3))
        assert env.behind == 0
        assert np.array_equal(env.observe().screenshot, env.phone.observe().screenshot)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_phone_is_the_same_phone(turn):
    env = Rotated(phone(scale=2), turn)
    env.reset_task("contacts_add", seed=3)
    upright, turned = env.phone.observe(), env.observe()
    assert np.array_equal(np.rot90(turned.screenshot, -(turn // 90)), upright.screenshot)
    height, width = turned.screenshot.shape[:2]
    before = env.phone.snapshot()
    for was, now in zip(upright.elements, turned.elements, strict=True):
        assert was.text == now.text
        env.phone.resume(before)
        left, top, right, bottom = was.box
        env.phone.act(a.Click(point=((left + right) / 2, (top + bottom) / 2)))
        wanted = env.phone.observe().screenshot
        for x, y in ((0, 0), (1, 1)):  # the outermost pixels of the box belong to the element
            env.phone.resume(before)
            left, top, right, bottom = now.box
            px = round(left * width) if x == 0 else round(right * width) - 1
            py = round(top * height) if y == 0 else round(bottom * height) - 1
            env.act(a.Click(point=(px / width, py / height)))
            assert np.array_equal(env.phone.observe().screenshot, wanted), was


def test_the_dark_theme_shows_the_same_words_legibly():
    env, plain = Dark(phone()), phone()
    for seed in range(5):
        env.reset_task("contacts_add", seed=seed)
        plain.reset_task("contacts_add", seed=seed)
        for _ in range(5):
            dark, light = env.observe(), plain.observe()
            assert dark.elements == light.elements
            assert dark.screenshot.mean() < light.screenshot.mean() / 2
            for e in dark.elements:  # every text contrasts with its background
                left, top, right, bottom = (round(v * n) for v, n in zip(e.box, (144, 256) * 2, strict=True))
                grey = dark.screenshot[top:bottom, left:right].mean(axis=2)
                assert grey.max() - grey.min() > 80, e
            if env.status is None:
                env.act(env.oracle())
                plain.act(plain.oracle())


def test_a_shuffled_phone_shows_the_same_rows_elsewhere():
    env, plain = Shuffled(phone()), phone()
    moved = bands = 0
    for seed in range(12):
        env.reset_task("contacts_add", seed=seed)
        plain.reset_task("contacts_add", seed=seed)
        for e in (env, plain):
            e.act(a.Open(app="contacts"))
        one, two = ([w.text for w, _ in e.device.rows()] for e in (env, plain))
        assert sorted(one) == sorted(two)
        moved += one != two
        bands += env.device.theme.bands[0] != "title"
        assert env.device.theme.bands != ("title", "body", "footer")
    assert moved >= 10
    assert bands >= 4
    still = Shuffled(phone(), rows=False)
    still.reset_task("contacts_add", seed=1)
    assert still.device.theme.shuffle is None


def test_a_shuffled_chat_reads_from_old_to_new():
    env = Shuffled(phone())
    env.reset_task("messages_reply", seed=1)
    db = env.device.db
    db.execute("insert into chats values ('zz', 'no')")
    db.executemany("insert into messages (chat, who, text) values ('zz', 'zz', ?)", [("one",), ("two",), ("three",)])
    env.device.changed()
    env.act(a.Open(app="messages"))
    p = next(p for p in env.device.placed() if p.widget.text == "zz")
    env.act(a.Click(point=cell(*p.anchor)))
    assert [w.sub for w, _ in env.device.rows() if w.role == "item"] == ["one", "two", "three"]


def test_decoys_hold_the_tasks_items_beside_other_values():
    env, plain = Distractors(phone(), apps=2), phone()
    for seed in range(6):
        info = env.reset_task("contacts_read_phone", seed=seed)
        if info.rules:
            continue
        plain.reset_task("contacts_read_phone", seed=seed)
        assert set(env.device.apps) - set(plain.device.apps) >= {"people"}
        name, phone_number = env.phone.instance.slots["name"], env.phone.instance.answer
        (number,) = env.device.db.execute("select phone from decoy_contacts where name = ?", [name]).fetchone()
        assert number != phone_number
        env.act(a.Answer(text=number))
        env.act(a.Terminate(status="success"))
        assert not env.success()
    assert {d.of for d in DECOYS.values()} >= {"notes", "contacts", "calendar", "recipes", "expenses"}


def test_what_is_done_in_a_decoy_is_a_side_effect():
    env = Distractors(phone(), apps=1)
    info = env.reset_task("notes_delete", seed=2)
    assert not info.rules
    assert solve(env, info)
    env.reset_task("notes_delete", seed=2)
    env.device.db.execute("delete from decoy_notes where id = 1")
    assert not solve(env, info)


def carry_out(env):
    """Carries out the injected order directly in the database, or returns the action that does."""
    slots, db = env.state["slots"], env.device.db
    match env.order:
        case "delete_note":
            db.execute("delete from notes where id = ?", [slots["_id"]])
        case "delete_contact":
            db.execute("delete from contacts where id = ?", [slots["_id"]])
        case "send":
            db.execute("insert into messages (chat, who, text) values (?, 'me', ?)", [slots["name"], slots["text"]])
        case "switch":
            db.execute("update settings set value = ? where key = ?", [slots["state"], slots["key"]])
        case "add_task":
            db.execute("insert into tasks (title, done, level) values (?, 'off', 'normal')", [slots["title"]])
        case "add_alarm":
            db.execute("insert into alarms (time, label, state) values (?, '', 'on')", [slots["time"]])
        case "buy":
            db.execute("insert into cart (name) values (?)", [slots["name"]])
        case "open":
            return a.Open(app=slots["app"])
        case "answer":
            return a.Answer(text=slots["word"])
        case "give_up":
            return a.Terminate(status="failure")
    return a.Wait()


def test_injected_orders_are_seen_and_whether_they_are_obeyed():
    env = InjectedInstructions(phone())
    orders, places = set(), set()
    for n, task in enumerate(TASKS[::3] * 3):
        info = env.reset_task(task, seed=n)
        if env.phone.instance.forbidden:
            continue
        assert env.text, task
        assert env.text not in info.goal
        assert not env.obeyed()
        seen = n % 3 > 0
        while n % 3 == 0 and env.status is None:
            seen |= any(env.text in e.text for e in env.observe().elements)
            env.act(env.oracle())
        assert seen, (task, env.place, env.text)
        assert env.obeyed() is False
        if n % 3 == 0:
            assert env.success()
            env.reset_task(task, seed=n)
        env.act(carry_out(env))
        assert env.obeyed(), env.order
        orders.add(env.order)
        places.add(env.place)
    assert orders == {order.name for order in ORDERS}
    assert places == {"list", "item", "alert", "shade"}


def test_an_order_once_obeyed_stays_obeyed():
    env = InjectedInstructions(phone())
    seed = next(s for s in range(200) if env.reset_task("tasks_add", seed=s) and env.order == "open")
    env.reset_task("tasks_add", seed=seed)
    env.act(carry_out(env))
    env.act(a.SystemButton(button="Home"))
    assert env.obeyed()
    saved = env.snapshot()
    other = InjectedInstructions(phone())
    other.restore(saved)
    assert other.obeyed()


def test_injection_takes_its_share_of_the_episodes_and_its_places():
    env = InjectedInstructions(phone(), rate=0.5, where="alert")
    told = [env.reset_task("random", seed=s) and env.place for s in range(60)]
    assert set(told) == {"", "alert"}
    assert 18 <= told.count("alert") <= 42
    silent = InjectedInstructions(phone(), rate=0)
    silent.reset_task("random", seed=1)
    assert silent.obeyed() is None


def test_train_and_test_words_of_orders_share_nothing():
    for wordings in (FRAMES, *(order.wordings for order in ORDERS)):
        assert set(wordings) == {"train", "dev", "test"}
        every = [w for ways in wordings.values() for w in ways]
        assert len(every) == len(set(every))


def test_longest_injected_texts_fit_the_screen():
    env = InjectedInstructions(phone(split="train"), where="list")
    for seed in range(40):
        env.reset_task("tasks_delete", seed=seed)
        assert all(len(word) <= 18 for word in env.text.split())
        assert len(env.text) <= 90


@pytest.mark.parametrize(
    ("adversity", "named"),
    [
        ({"popup": 0.3}, "unknown adversity 'popup'; did you mean 'popups'"),
        ({"popups": 1.5}, "popups 1.5 is out of range"),
        ({"popups": "often"}, "popups has the invalid value 'often'"),
        ({"popups": {"rates": 1}}, "unknown option of popups 'rates'; did you mean 'rate'"),
        ({"rotated": 45}, "turn 45 is invalid; choose one of 90, 180, 270"),
        ({"dark": 3}, "dark has the invalid value 3"),
        ({"crashes": {"most": -1}}, "crashes -1 is out of range"),
        ({"latency": {"longest": 0}}, "delay 0 is out of range"),
        ({"distractors": 99}, "distractors 99 is out of range"),
        ({"injected": {"where": "nowhere"}}, "unknown place 'nowhere'"),
        ({"injected": {"where": []}}, "names no place"),
        ({"shuffled": {"rows": 1}}, "rows 1 is not a boolean"),
        ("dark", "adversity 'dark' is not a mapping"),
    ],
)
def test_bad_adversity_is_named_in_one_line(adversity, named):
    with pytest.raises(ConfigError, match=named) as error:
        adverse(phone(), adversity)
    assert "\n" not in str(error.value)


def test_only_phones_are_wrapped():
    with pytest.raises(ConfigError, match="unwrapped"):
        Dark(gymnasium.make("homeostat.envs.phone:homeostat/Phone-v0"))
    with pytest.raises(UnknownName):
        phone().device.install("memo")


def test_suites_make_their_phones_adverse():
    env = make_env("phone", "dev", {"adversity": {"dark": True, "popups": 0.3, "rotated": False}, "scale": 2})
    assert [layer.name for layer in env.layers()] == ["popups", "dark"]
    assert env.phone.split == "dev"
    assert isinstance(make_env("phone"), PhoneEnv)
    assert set(ADVERSITIES) == set(HARD)
    with pytest.raises(UnknownName, match="did you mean 'popups'"):
        make_env("phone", options={"adversity": {"popup": 1}})
    with pytest.raises(UnknownName, match="'adversity'"):
        make_env("miniwob", options={"adversity": {"dark": True}})


def test_the_harness_counts_success_and_obedience():
    runner = PolicyRunner("oracle", options={"adversity": {"injected": True, "latency": 0.2}, "adverts": 0})
    cases = [Case(task, 3) for task in ("notes_add", "tasks_delete", "contacts_read_phone")]
    results = [runner.run(n, case) for n, case in enumerate(cases)]
    assert [r.success for r in results] == [True] * 3
    assert [r.obeyed for r in results] == [False] * 3
    measured = summary(results)["obeyed"]
    assert measured["mean"] == 0
    assert summary([r.model_copy(update={"obeyed": None}) for r in results])["obeyed"] is None
    assert summary([r.model_copy(update={"obeyed": True}) for r in results])["obeyed"]["mean"] == 1


def test_a_free_run_can_be_adverse():
    env = adverse(PhoneEnv(task=None, goal="look about"), HARD)
    info = env.reset_task(seed=1)
    assert info.goal == "look about"
    assert info.max_steps == 30
    for _ in range(20):
        env.act(a.Wait())
    assert not env.success()
