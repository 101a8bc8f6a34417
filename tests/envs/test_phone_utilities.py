"""Browser, calculator, mail, maps, weather: what their screens do when they are touched."""

import random

import pytest

from homeostat import actions as a
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.base import fingerprint
from homeostat.envs.phone.tasks.oracle import View


def phone(app, *statements):
    device = Device({app, "settings"})
    for statement in statements:
        device.db.execute(statement)
    device.act(a.Open(app=app))
    return device


def touch(device, *labels):
    for label in labels:
        device.act(View(device).tap(label))


def shown(device):
    return {p.widget.text: p.widget.value or p.widget.sub for p in device.placed()}


def enter(device, **values):
    for key, value in values.items():
        touch(device, key)
        device.act(a.Type(text=value))


def test_the_calculator_agrees_with_arithmetic():
    device, rng = phone("calculator"), random.Random(3)
    sums = []
    for _ in range(30):
        one, sign, two = rng.randint(1, 999), rng.choice("+-*/"), rng.randint(1, 999)
        touch(device, "c", *f"{one}{sign}{two}=")
        wanted = {"+": one + two, "-": one - two, "*": one * two, "/": one // two}[sign]
        assert shown(device)["typed"] == f"{one} {sign} {two}"
        assert shown(device)["result"] == str(wanted)
        sums.append((f"{one} {sign} {two}", str(wanted)))
    assert device.db.execute("select sum, value from results order by id").fetchall() == sums


def test_a_result_is_gone_on_from_kept_and_recalled():
    device = phone("calculator")
    touch(device, *"12+7=", *"*3=")
    assert (shown(device)["typed"], shown(device)["result"]) == ("19 * 3", "57")
    touch(device, "keep", "c", *"100-", "recall", "=")
    assert (shown(device)["typed"], shown(device)["result"]) == ("100 - 57", "43")
    touch(device, "5")
    assert (shown(device)["typed"], shown(device)["result"]) == ("5", "")
    touch(device, "memory")
    assert shown(device)["holds"] == "57"


@pytest.mark.parametrize("typed", ["5/0=", "7=", "=", "-="])
def test_a_sum_without_a_result_says_so(typed):
    device = phone("calculator")
    touch(device, *typed)
    assert "no result" in shown(device)
    assert not device.db.execute("select * from results").fetchall()
    for _ in range(3):
        touch(device, "c", *"999*999=", *"*999=")
    assert shown(device)["result"] == ""


def test_the_history_holds_a_page_once_and_the_tab_what_was_opened_last():
    rows = "('bread', 'bread.com', 'hi', 'on'), ('nail', 'nail.org', 'ho', 'off')"
    pages = f"insert into pages (title, address, text, site) values {rows}"
    device = phone("browser", pages, "insert into links (page, target) values ('bread', 'nail'), ('nail', 'bread')")
    touch(device, "bread", "nail", "bread", "nail")
    assert View(device).title == "nail"
    assert device.db.execute("select page from visits order by id").fetchall() == [("bread",), ("nail",)]
    touch(device, "mark")
    device.act(a.SystemButton(button="Back"))
    enter(device, address="bread.net")
    touch(device, "go")
    assert "no such page" in shown(device)
    enter(device, address="bread.com")
    touch(device, "go")
    assert View(device).title == "bread"
    assert device.db.execute("select page from tab").fetchall() == [("bread",)]
    assert device.db.execute("select title from pages where marked = 'on'").fetchall() == [("nail",)]


def test_what_was_looked_at_counts_only_where_a_task_is_about_it():
    env = PhoneEnv(adverts=0, apps="all")
    env.reset_task("browser_count_marks", seed=1)
    db = env.device.db
    before, watched = fingerprint(db), fingerprint(db, frozenset({"visits"}))
    db.execute("delete from visits")
    assert fingerprint(db) == before
    assert fingerprint(db, frozenset({"visits"})) != watched


def test_a_trip_ends_with_its_place():
    device = phone("maps", "insert into places (name, road, kind, km) values ('bread', 'oak', 'cafe', '10')")
    touch(device, "bread", "route", "way", "walk")
    assert shown(device)["minutes"] == "120"
    touch(device, "start")
    assert device.db.execute("select place, way from trip").fetchall() == [(1, "walk")]
    device.act(a.SystemButton(button="Back"))
    touch(device, "delete", "delete")
    touch(device, "trip")
    assert "no trip" in shown(device)


def test_a_deleted_city_can_be_added_again_in_either_unit():
    city = "insert into cities (name, sky, temp, humid, gusts) values ('bread', 'sunny', '-3', '40%', '9kmh')"
    device = phone("weather", city, "update climate set home = 1")
    touch(device, "bread")
    assert shown(device)["temp"] == "-3c"
    touch(device, "delete", "delete")
    assert "bread" not in shown(device)
    touch(device, "options")
    assert shown(device)["home"] == ""
    touch(device, "unit", "kelvin")
    device.act(a.SystemButton(button="Back"))
    touch(device, "add", "bread", "bread")
    assert shown(device)["temp"] == "270k"


def test_a_reply_goes_to_the_sender_and_a_mail_moves_between_boxes():
    mail = "insert into mails (subject, sender, text, filed) values ('bread', 'greta', 'hi', 'inbox')"
    device = phone("mail", mail)
    touch(device, "bread", "reply")
    enter(device, text="oak tree")
    touch(device, "send")
    sent = "select subject, sender, receiver, text from mails where filed = 'sent'"
    assert device.db.execute(sent).fetchall() == [("bread", "me", "greta", "oak tree")]
    touch(device, "more", "to archive")
    assert View(device).title == "mail"
    touch(device, "boxes")
    assert {box: shown(device)[box] for box in ("inbox", "archive", "sent")} == {
        "inbox": "0",
        "archive": "1",
        "sent": "1",
    }
