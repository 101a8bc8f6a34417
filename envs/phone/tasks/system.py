"""The phone itself: the tasks of opening an app and of the notification shade."""

from homeostat import actions as a
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.oracle import OPEN_SHADE, View

__all__ = ["TEMPLATES"]


def _alerts(w: World) -> Slots:
    w.pick("select 1 from notifications")
    return {}


def _alert(w: World) -> Slots:
    app, text = w.pick("select app, text from notifications group by app having count(*) = 1")
    return {"app": app, "answer": text}


def _open_shade(v: View, s: Slots) -> a.Action | None:
    return None if v.screen == "dialog" else OPEN_SHADE  # a dialog blocks every swipe


def _shade(v: View, s: Slots) -> a.Action | None:
    return v.tap("clear") if v.screen == "shade" else _open_shade(v, s)


TEMPLATES = (
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
