"""Tasks in clock, files, shop, and on the phone as a whole."""

from homeostat import actions as a
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import DELETE, path, run
from homeostat.envs.phone.tasks.oracle import OPEN_SHADE, View

__all__ = ["TEMPLATES"]

_ADD = frozenset({"add"})
_BUY = frozenset({"buy"})


def _alarm(w: World) -> Slots:
    i, time, label = w.pick("select id, time, label from alarms")
    return {"_id": str(i), "time": time, "answer": label}


def _alarm_state(state: str) -> Template:
    def draw(w: World) -> Slots:
        i, time = w.pick("select id, time from alarms where state != ?", state)
        return {"_id": str(i), "time": time}

    return Template(
        f"clock_alarm_{state}",
        "clock",
        (
            f"turn {state} the alarm at {{time}}",
            f"switch the {{time}} alarm {state}",
            f"set the alarm of {{time}} to {state}",
            f"the alarm at {{time}} should be {state}",
        ),
        draw,
        path({"clock/alarms": "{time}", "clock/alarm": "active"}),
        lambda s: [("update alarms set state = ? where id = ?", (state, s["_id"]))],
    )


def _timer(w: World) -> Slots:
    w.pick("select 1 from timer where state = 'off'")
    return {"minutes": str(w.rng.randint(1, 99))}


def _file(w: World) -> Slots:
    i, name, size = w.pick("select id, name, size from files where kind = 'file'")
    return {"_id": str(i), "name": name, "answer": size}


def _file_star(star: str) -> Template:
    def draw(w: World) -> Slots:
        i, name = w.pick("select id, name from files where star != ? and kind = 'file'", star)
        return {"_id": str(i), "name": name}

    verb = "star" if star == "yes" else "unstar"
    return Template(
        f"files_{verb}",
        "files",
        (
            f"{verb} the file {{name}}",
            f"{verb} {{name}} in files",
            f"please {verb} my file {{name}}",
            f"the file {{name}} should be set to {verb}",
        ),
        draw,
        path({"files/list": ("hold", "{name}"), "dialog:{name}": verb}),
        lambda s: [("update files set star = ? where id = ?", (star, s["_id"]))],
    )


def _rename_file(w: World) -> Slots:
    return {**_file(w), "other": w.fresh("noun", "select name from files")}


def _product(w: World) -> Slots:
    i, name, price = w.pick("select id, name, price from products")
    return {"_id": str(i), "name": name, "answer": price}


def _buy(w: World) -> Slots:
    i, name = w.pick("select id, name from products where name not in (select name from cart)")
    return {"_id": str(i), "name": name}


def _in_cart(w: World) -> Slots:
    return {"name": w.pick("select name from cart")[0]}


def _order(w: World) -> Slots:
    w.pick("select 1 from cart")
    return {}


def _alerts(w: World) -> Slots:
    w.pick("select 1 from notifications")
    return {}


def _alert(w: World) -> Slots:
    app, text = w.pick("select app, text from notifications group by app having count(*) = 1")
    return {"app": app, "answer": text}


def _open_shade(v: View, s: Slots) -> a.Action | None:
    return None if v.screen == "dialog" else OPEN_SHADE  # no swipe gets past a dialog


def _shade(v: View, s: Slots) -> a.Action | None:
    return v.tap("clear") if v.screen == "shade" else _open_shade(v, s)


def _count(v: View) -> int:
    count: int = v.device.db.execute("select count(*) from cart").fetchone()[0]
    return count


_CART = path({"shop/product": "cart", "shop/cart": "{name}", "dialog:remove {name}": "remove"})
_ORDER = path({"shop/product": "cart", "shop/cart": "order"})

TEMPLATES = (
    Template(
        "clock_add_alarm",
        "clock",
        (
            "set an alarm for {time} labelled {label}",
            "add an alarm at {time} with the label {label}",
            "new alarm {time} {label}",
            "wake me at {time}, call the alarm {label}",
        ),
        lambda w: {"time": w.fresh("time", "select time from alarms"), "label": w.words.noun()},
        path({"clock/alarms": "new", "clock/edit": {"time": "{time}", "label": "{label}", "then": "save"}}, new=True),
        run("insert into alarms (time, label, state) values (?, ?, 'on')", "time", "label"),
        tags=_ADD,
    ),
    Template(
        "clock_delete_alarm",
        "clock",
        (
            "delete the alarm at {time}",
            "remove the {time} alarm",
            "erase the alarm of {time}",
            "get rid of the alarm at {time}",
        ),
        _alarm,
        path({"clock/alarms": "{time}", "clock/alarm": "delete"}),
        run("delete from alarms where id = ?", "_id"),
        tags=DELETE,
    ),
    _alarm_state("on"),
    _alarm_state("off"),
    Template(
        "clock_change_alarm",
        "clock",
        (
            "move the alarm at {time} to {other}",
            "change the {time} alarm to {other}",
            "the alarm of {time} should ring at {other}",
            "set the alarm at {time} to {other} instead",
        ),
        lambda w: {**_alarm(w), "other": w.fresh("time", "select time from alarms")},
        path(
            {"clock/alarms": "{time}", "clock/alarm": "edit", "clock/edit": {"time": "{other}", "then": "save"}},
            new=False,
        ),
        run("update alarms set time = ? where id = ?", "other", "_id"),
    ),
    Template(
        "clock_read_label",
        "clock",
        (
            "what is the label of the alarm at {time}?",
            "tell me the label of the {time} alarm",
            "what is the alarm at {time} for?",
            "look up the label of the alarm at {time}",
        ),
        _alarm,
        path({"clock/alarms": "{time}"}),
        at="clock/alarm",
        answer=lambda s: s["answer"],
    ),
    Template(
        "clock_timer",
        "clock",
        (
            "start a timer of {minutes} minutes",
            "set the timer to {minutes} minutes and start it",
            "run a {minutes} minute timer",
            "timer for {minutes} minutes",
        ),
        _timer,
        path({"clock/alarms": "timer", "clock/timer": {"minutes": "{minutes}", "then": "start"}}),
        run("update timer set minutes = ?, state = 'on'", "minutes"),
    ),
    Template(
        "files_delete",
        "files",
        (
            "delete the file {name}",
            "remove {name} from files",
            "erase the file {name}",
            "the file {name} can go, delete it",
        ),
        _file,
        path({"files/list": ("hold", "{name}"), "dialog:{name}": "delete", "dialog:delete {name}": "delete"}),
        run("delete from files where id = ?", "_id"),
        tags=DELETE,
    ),
    Template(
        "files_rename",
        "files",
        (
            "rename the file {name} to {other}",
            "change the name of the file {name} to {other}",
            "call the file {name} {other} from now on",
            "give the file {name} the name {other}",
        ),
        _rename_file,
        path({"files/list": "{name}", "files/info": "rename", "files/rename": {"name": "{other}", "then": "save"}}),
        run("update files set name = ? where id = ?", "other", "_id"),
    ),
    Template(
        "files_folder",
        "files",
        (
            "create a folder {name}",
            "make a new folder called {name}",
            "add the folder {name} to files",
            "new folder {name}",
        ),
        lambda w: {"name": w.fresh("noun", "select name from files")},
        path({"files/list": "folder", "files/folder": {"name": "{name}", "then": "save"}}),
        run("insert into files (name, size, kind, star) values (?, '0kb', 'folder', 'no')", "name"),
        tags=_ADD,
    ),
    Template(
        "files_read_size",
        "files",
        (
            "how big is the file {name}?",
            "what is the size of the file {name}?",
            "tell me the size of the file {name}",
            "look up the size of the file {name}",
        ),
        _file,
        path({"files/list": "{name}"}),
        at="files/info",
        answer=lambda s: s["answer"],
    ),
    _file_star("yes"),
    _file_star("no"),
    Template(
        "shop_add",
        "shop",
        (
            "put {name} into the cart",
            "add {name} to my cart",
            "i want {name}, put it in the shopping cart",
            "place {name} in the cart",
        ),
        _buy,
        path({"shop/list": "{name}", "shop/product": "add"}),
        run("insert into cart (name) values (?)", "name"),
        tags=_BUY,
    ),
    Template(
        "shop_remove",
        "shop",
        (
            "take {name} out of the cart",
            "remove {name} from my cart",
            "i do not want {name}, take it out of the cart",
            "drop {name} from the cart",
        ),
        _in_cart,
        lambda v, s: v.tap(f"cart {_count(v)}") if v.screen == "shop/list" else _CART(v, s),
        run("delete from cart where name = ?", "name"),
    ),
    Template(
        "shop_order",
        "shop",
        ("order what is in the cart", "place the order", "check out the cart", "buy everything in the cart"),
        _order,
        lambda v, s: v.tap(f"cart {_count(v)}") if v.screen == "shop/list" else _ORDER(v, s),
        lambda s: [("insert into orders (name) select name from cart", ()), ("delete from cart", ())],
        tags=_BUY,
    ),
    Template(
        "shop_read_price",
        "shop",
        (
            "what does {name} cost?",
            "how much is {name} in the shop?",
            "tell me the price of {name}",
            "look up the price of {name}",
        ),
        _product,
        path({"shop/list": "{name}"}),
        at="shop/product",
        answer=lambda s: s["answer"],
    ),
    Template(
        "phone_open",
        "any",
        ("open {app}", "go to the {app} app", "show me {app}", "start {app}"),
        lambda w: {"app": w.rng.choice([n for n in w.device.apps if n != w.device.app])},
        lambda v, s: a.Open(app=s["app"]),
        front=True,
    ),
    Template(
        "phone_clear_alerts",
        "any",
        ("clear all alerts", "clear my notifications", "dismiss every notification", "empty the list of alerts"),
        _alerts,
        _shade,
        lambda s: [("delete from notifications", ())],
        watch=frozenset({"notifications"}),
    ),
    Template(
        "phone_read_alert",
        "any",
        (
            "what does the alert from {app} say?",
            "read me the {app} alert",
            "tell me the text of the {app} notification",
            "which alert came from {app}?",
        ),
        _alert,
        _open_shade,
        at="shade",
        answer=lambda s: s["answer"],
    ),
)
