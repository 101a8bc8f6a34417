"""Clock: the tasks of alarms and of the timer."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run

__all__ = ["TEMPLATES"]


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
        tags=ADD,
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
)
