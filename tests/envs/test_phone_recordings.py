"""Screen recordings, and the questions about them."""

import re
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
from PIL import Image

from homeostat import actions as a
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.adversity import PopUps, Rotated
from homeostat.envs.phone.recordings import (
    PHRASINGS,
    QUESTION_KINDS,
    export_picture,
    load_recording,
    record,
    recording_questions,
    save_recording,
)
from homeostat.envs.phone.tasks.words import is_drawn, split_of
from homeostat.errors import ConfigError, TraceError, UnknownName

N = 120
LISTS = {"notes": "title", "contacts": "name", "tasks": "title", "events": "title", "files": "name", "alarms": "time"}


@pytest.fixture(scope="module")
def asked():
    return list(recording_questions("test", N, seed=11))


def waiting(n):
    left = iter(range(n))
    return lambda env: a.Wait() if next(left, None) is not None else None


# -- recordings -------------------------------------------------------------------------------------------------------


def test_a_short_episode_is_kept_whole():
    env = PhoneEnv(adverts=0)
    env.reset_task("contacts_add", seed=2)
    screens, copy = [], PhoneEnv(adverts=0)
    copy.reset_task("contacts_add", seed=2)
    screens.append(copy.observe().screenshot)
    while copy.status is None:
        copy.act(copy.oracle())
        screens.append(copy.observe().screenshot)
    made = record(env)
    assert made.complete
    assert env.success()
    assert made.steps == tuple(range(len(screens)))
    assert all(np.array_equal(one, two) for one, two in zip(made.frames, screens, strict=True))
    (added,) = made.changes("contacts", "added")
    assert added.after["phone"] == env.instance.slots["phone"]
    assert not made.changes("contacts", "removed")
    assert len(made.start["contacts"]) + 1 == env.device.db.execute("select count(*) from contacts").fetchone()[0]
    kinds = [m.action.kind for m in made.moments]
    assert kinds[0] == "open"
    assert kinds[-1] == "terminate"
    assert made.between(0)[0].app == "contacts"


@pytest.mark.parametrize(("steps", "most"), [(40, 8), (40, 16), (63, 32), (20, 32)])
def test_frames_are_spread_from_the_first_to_the_last(steps, most):
    env = PhoneEnv(task=None, adverts=0, max_steps=100)
    env.reset_task(seed=1)
    made = record(env, waiting(steps), most=most)
    assert len(made.moments) == steps
    assert len(made.frames) == min(most, steps + 1)
    assert made.steps[0] == 0
    assert made.steps[-1] == steps
    gaps = [two - one for one, two in pairwise(made.steps)]
    assert max(gaps) - min(gaps) <= 1
    assert sum(len(made.between(i)) for i in range(len(made.frames) - 1)) == steps
    assert np.array_equal(made.frames[-1], env.observe().screenshot)


def test_a_refused_action_is_in_the_recording():
    env = PhoneEnv(task=None, adverts=0)
    env.reset_task(seed=1)
    plan = iter([a.Type(text="x"), a.Open(app="notes"), None])
    made = record(env, lambda env: next(plan))
    assert "no field has the focus" in made.moments[0].error
    assert not made.moments[1].error
    assert np.array_equal(made.frames[0], made.frames[1])


def test_frames_are_what_the_agent_sees():
    env = Rotated(PhoneEnv(adverts=0), 90)
    env.reset_task("notes_add", seed=2)
    assert {f.shape for f in record(env).frames} == {(144, 256, 3)}
    with pytest.raises(ConfigError, match="most 7 frames"):
        record(env, most=7)


def test_a_recording_is_saved_and_loaded(tmp_path):
    env = PhoneEnv(adverts=0)
    env.reset_task("tasks_delete", seed=5)
    made = record(env)
    save_recording(made, tmp_path / "r")
    back = load_recording(tmp_path / "r")
    assert back.task == made.task
    assert back.moments == made.moments
    assert (back.steps, back.start, back.split) == (made.steps, made.start, made.split)
    assert all(np.array_equal(one, two) for one, two in zip(back.frames, made.frames, strict=True))
    with pytest.raises(ConfigError, match="already holds"):
        save_recording(made, tmp_path / "r")
    frame = next((tmp_path / "r" / "frames").iterdir())
    whole = frame.read_bytes()
    Image.new("RGB", (144, 256)).save(frame)
    with pytest.raises(TraceError, match="other pixels"):
        load_recording(tmp_path / "r")
    frame.write_bytes(whole[:100])
    with pytest.raises(TraceError, match="damaged"):
        load_recording(tmp_path / "r")
    (tmp_path / "r" / "recording.json").write_text("{}")
    with pytest.raises(TraceError, match="is damaged"):
        load_recording(tmp_path / "r")
    with pytest.raises(TraceError, match="can't be read"):
        load_recording(tmp_path / "none")


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_a_moving_picture_to_look_at(tmp_path, ending):
    env = PhoneEnv(adverts=0)
    env.reset_task("contacts_add", seed=2)
    made = record(env)
    path = tmp_path / f"r.{ending}"
    export_picture(made, path, seconds=0.5)
    with Image.open(path) as image:
        assert image.size == (144, 256)
        assert 2 <= image.n_frames <= len(made.frames)  # equal frames may be merged
        if ending != "gif":  # GIF has only 256 colours
            assert np.array_equal(np.asarray(image.convert("RGB")), made.frames[0])
    with pytest.raises(ConfigError, match="not a moving picture"):
        export_picture(made, tmp_path / "r.mp4")
    with pytest.raises(ConfigError, match="seconds 0"):
        export_picture(made, path, seconds=0)
    with pytest.raises(ConfigError, match="can't write"):
        export_picture(made, tmp_path / "none" / f"r.{ending}")


# -- questions --------------------------------------------------------------------------------------------------------


def words_of(question):
    """Returns the words that were filled into the question's phrasing."""
    for phrasing in PHRASINGS[question.form]["test"]:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(phrasing))
        found = re.fullmatch(pattern, question.question)
        if found:
            return found.groupdict()
    raise AssertionError(question.question)


class Replay:
    """Repeats the actions on a new phone, and observes only the database and the device."""

    def __init__(self, recording, popups):
        env = PhoneEnv(task=None, split="test", adverts=0, apps="all")
        env = PopUps(env, 0.15) if popups else env
        env.reset_task(seed=recording.task.seed)
        device, self.env = env.device, env
        query = env.device.db.execute
        self.start = {
            t: [dict(zip(("id", c), r, strict=True)) for r in query(f"select id, {c} from {t}")]
            for t, c in LISTS.items()
        }
        self.apps, self.typed, self.dialogs, self.popups = [], [], [], 0
        self.bodies = dict(query("select title, body from notes").fetchall())
        self.numbers = dict(query("select name, phone from contacts").fetchall())
        self.prices = dict(query("select name, price from products").fetchall())
        front, title = "home", ""
        for moment, pixels in zip(recording.moments, recording.frames[1:], strict=True):
            env.act(moment.action)
            assert np.array_equal(env.observe().screenshot, pixels)
            if device.app not in ("home", front):
                self.apps.append(device.app)
            front = device.app
            if moment.action.kind == "type":
                self.typed.append((device.frame.focus, moment.action.text))
            now = device.dialog[0] if device.dialog else ""
            if now and now != title:
                self.dialogs.append((moment.action.kind, now, env.state.get("last") == env.steps if popups else False))
            title = now
        self.end = {
            t: [dict(zip(("id", c), r, strict=True)) for r in query(f"select id, {c} from {t}")]
            for t, c in LISTS.items()
        }

    def gone(self, table):
        kept = {row["id"] for row in self.end[table]}
        return [row[LISTS[table]] for row in self.start[table] if row["id"] not in kept]


def truth(q):
    replay, words = Replay(q.recording, q.form == "dialog"), words_of(q)
    apps = replay.apps
    table = {"notes": "notes", "contacts": "contacts", "tasks": "tasks", "events": "events", "files": "files"}
    match q.form:
        case "first app":
            return apps[0]
        case "last app":
            return apps[-1]
        case "next app":
            return apps[apps.index(words["app"]) + 1]
        case "app before":
            return apps[apps.index(words["app"]) - 1]
        case "times opened":
            return str(apps.count(words["app"]))
        case "times deleted":
            return str(len(replay.gone(table.get(words["items"], "alarms"))))
        case "typed":
            (text,) = [text for field, text in replay.typed if field == words["field"]]
            return text
        case "alarm":
            before = {(r["id"], r["time"]) for r in replay.start["alarms"]}
            ((_, time),) = {(r["id"], r["time"]) for r in replay.end["alarms"]} - before
            return time
        case "note said":
            return replay.bodies[words["title"]]
        case "number read":
            return replay.numbers[words["title"]]
        case "price read":
            return replay.prices[words["title"]]
        case "shorter list":
            (title,) = replay.gone(table.get(words["items"], "alarms"))
            return f"{title} was deleted"
        case "dialog":
            ((kind, title, by_itself),) = replay.dialogs
            if by_itself:
                return "nothing was touched for it, it came by itself"
            if kind == "long_press":
                return f"the row {title} was held down"
            if title.startswith("delete "):
                return "the button delete was touched"
            return f"the row {title} was touched"
    raise AssertionError(q.form)


def test_answers_are_what_the_actions_did_to_the_phone(asked):
    for q in asked:
        assert q.options[q.answer] == truth(q), (q.question, q.options)
        assert len(set(q.options)) == 4
        assert 8 <= len(q.recording.frames) <= 32
        assert q.recording.complete


def test_every_kind_and_form_is_asked_in_several_ways(asked):
    assert Counter(q.kind for q in asked) == dict.fromkeys(QUESTION_KINDS, N // 4)
    assert {q.form for q in asked} >= set(PHRASINGS) - {"note said", "number read", "price read"}
    assert {q.form for q in asked} & {"note said", "number read", "price read"}
    for form, ways in PHRASINGS.items():
        assert set(ways) == {"train", "dev", "test"}, form
        every = [w for some in ways.values() for w in some]
        assert len(every) == len(set(every)) >= 6


def test_the_words_are_the_splits(asked):
    words = {
        word
        for q in asked
        for table, column in (("notes", "title"), ("contacts", "name"), ("products", "name"))
        for row in q.recording.start[table]
        for word in row[column].split()
    }
    assert len(words) > 100
    assert all(split_of(word) == "test" for word in words if is_drawn(word))


def guesses(asked):
    """Yields each question's answer, and the guesses of strategies that know only the texts and the earlier answers."""
    seen_right, seen_wrong, positions = Counter(), Counter(), Counter()
    for q in asked:

        def often(i, q=q):
            word = (q.form, q.options[i])
            return seen_right[word] / (seen_right[word] + seen_wrong[word] + 1)

        def shape(i, q=q):
            word = (q.form, "shape", len(q.options[i].split()), q.options[i].split()[0])
            return seen_right[word] / (seen_right[word] + seen_wrong[word] + 1)

        yield (
            q.answer,
            {
                "position": positions.most_common(1)[0][0] if positions else 0,
                "majority": max(range(4), key=often),
                "shape": max(range(4), key=shape),
                "longest": max(range(4), key=lambda i, q=q: len(q.options[i])),
                "shortest": min(range(4), key=lambda i, q=q: len(q.options[i])),
                "first in the alphabet": min(range(4), key=lambda i, q=q: q.options[i]),
                "in the question": max(
                    range(4), key=lambda i, q=q: len({*q.options[i].split()} & {*q.question.split()})
                ),
            },
        )
        positions[q.answer] += 1
        for i, option in enumerate(q.options):
            for word in ((q.form, option), (q.form, "shape", len(option.split()), option.split()[0])):
                (seen_right if i == q.answer else seen_wrong)[word] += 1


def test_no_answer_can_be_guessed_from_the_text(asked):
    right = Counter()
    for answer, tries in guesses(asked):
        right.update(name for name, guess in tries.items() if guess == answer)
    spread = 3.3 * (0.25 * 0.75 / N) ** 0.5  # the 99.9 % interval of a random guess
    for name in ("position", "majority", "shape", "longest", "shortest", "first in the alphabet", "in the question"):
        assert abs(right[name] / N - 0.25) < spread, (name, right[name] / N)
    positions = Counter(q.answer for q in asked)
    assert sum((positions[i] - N / 4) ** 2 / (N / 4) for i in range(4)) < 16.3  # chi-squared, 3 degrees, 99.9 %


def test_questions_are_seeded_and_splits_differ():
    one, two = (list(recording_questions("dev", 4, seed=3)) for _ in range(2))
    for x, y in zip(one, two, strict=True):
        assert (x.question, x.options, x.answer, x.form) == (y.question, y.options, y.answer, y.form)
        assert all(np.array_equal(f, g) for f, g in zip(x.recording.frames, y.recording.frames, strict=True))
    (other,) = islice(recording_questions("dev", 4, seed=4), 1)
    assert (other.question, other.options) != (one[0].question, one[0].options)
    assert all(q.recording.split == "dev" for q in one)
    with pytest.raises(UnknownName, match="'exam'"):
        recording_questions("exam", 1, seed=0)
    with pytest.raises(ConfigError, match="questions -1"):
        recording_questions("dev", -1, seed=0)
