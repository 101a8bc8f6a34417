"""Long goals in people's own words: hand-written patterns with their plans (``nano/plans/goals/*.yaml``).

A pattern is a text with ``(a|b)`` (alternatives), ``<word>`` (a line of ``words.yaml``) and ``{slots}``. The lines of a
plan name training templates with their slots, lookups, computations and conditions. Slots, tasks, values and compared
things are drawn, so one pattern gives many thousands of goals. Every eighth pattern is held out. The plans for these
patterns measure how well the planner handles sentences that it was not shown.

None of the hundred compositional templates of ``homeostat.envs.phone.tasks.composed`` is used here, because those are
for testing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from homeostat.controllers.operations import OPERATIONS
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.nano.plans.patterns import Filler, lines, read
from homeostat.nano.plans.speech import Speaker, enumerated

__all__ = ["Scene", "scenes_of", "told"]

_HELD = 8
_BY_LENGTH = sorted(OPERATIONS, key=len, reverse=True)
_ATTRIBUTES = re.compile(r"\{(ask|all|over|under|cmp|has|sup|its|rev)")
_ORDERS = """
    add answer archive bookmark buy call change clear colour compare create delete dismiss drop edit empty erase find
    forward get give go look keep make mark message mute name open order paint pause pin place play put remove rename
    reply save schedule send set shift start star switch take tell text tick turn unmute unpin unstar work write
"""


@dataclass(frozen=True)
class Scene:
    """Patterns with one meaning, and their plan.

    Attributes:
        goals: The patterns.
        plan: The lines of the plan.
        domain: Whether the scene is about things with an attribute that can be compared.
        use: What the value is used as: ``thing`` (a name) or "" (the attribute's value).
        only: How the attribute's values have to look (see ``domains.yaml``); "" for any look.
        same: Not empty if the same action is done with each thing.
        value: The kind of value that is used, if the scene looks up none.
        number: Not empty if looked-up values have to be numbers.
    """

    goals: tuple[str, ...]
    plan: tuple[str, ...]
    domain: bool
    use: str = ""
    only: str = ""
    same: str = ""
    value: str = ""
    number: str = ""


@cache
def scenes_of(split: Literal["train", "dev"]) -> tuple[Scene, ...]:
    """Reads the scenes of a split.

    Args:
        split: ``train`` for the patterns that are shown in training, ``dev`` for those that are held out.

    Returns:
        The scenes that have patterns of this split.
    """
    found, seen = [], 0
    for group, scenes in read("scenes").items():
        for s in scenes:
            goals = lines(s["goals"])
            held = {n for n in range(len(goals)) if (seen + n) % _HELD == 3}
            seen += len(goals)
            mine = tuple(g for n, g in enumerate(goals) if (n in held) == (split == "dev"))
            more = {k: s[k] for k in ("use", "only", "same", "value", "number") if k in s}
            if mine:
                found.append(Scene(mine, lines(s["plan"]), group.startswith("domain"), **more))
    return tuple(found)


def told(s: Speaker, scene: Scene) -> tuple[str, list[Any]]:
    """Draws a goal of a scene.

    Args:
        s: Draws tasks and values, and words them.
        scene: The scene.

    Returns:
        The goal, and the subtasks of its plan as in the plan's JSON.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    goal = s.rng.choice(scene.goals)
    telling = _Compared(s, scene, goal) if scene.domain else _Telling(s, scene)
    text, parts = telling.fill(goal), [telling.step(line.strip()) for line in scene.plan]
    if s.rng.random() < 0.12:
        spoken, part = s.task()
        text += s.rng.choice((", then ", ". then ", "; ", ". ", " and ", ". also ", ", and also ")) + spoken
        parts.append(part)
    return _beside(s, text), parts


def _beside(s: Speaker, text: str) -> str:
    """The goal with a reason, a courtesy or neither, in some cases with fewer articles."""
    rng, roll = s.rng, s.rng.random()
    if roll < 0.22:
        forms = ("{w}. {t}", "{w}, so {t}", "{w}: {t}", "because {w}, {t}", "as {w}, {t}", "{t}, because {w}")
        more = ("{t}, since {w}", "{t}. {w}", "{w} and so {t}", "{w}; {t}", "since {w}, {t}", "{t}: {w}")
        text = rng.choice(forms + more).format(w=Filler(s).word("why"), t=text)
    elif roll < 0.36 and text.split()[0] in _ORDERS.split():
        text = f"{Filler(s).word('please')} {text}"
    elif roll < 0.42:
        text += rng.choice((" please", ", please", ". thanks", ", thank you", ". that is all", "!"))
    if rng.random() < 0.12:
        text = re.sub(r"\b(the|my|a|an) ", lambda m: "" if rng.random() < 0.5 else m.group(0), text)
    return text


class _Telling(Filler):
    """One goal of a scene. ``behind`` maps each task, find, use and act to its subtask; ``@`` stands for its object."""

    def __init__(self, s: Speaker, scene: Scene) -> None:
        super().__init__(s)
        self.scene, self.behind = scene, dict[str, str]()
        self.kinds = [scene.value] if scene.value else list[str]()
        for name in sorted({m for line in scene.plan for m in re.findall(r"\bfind\d?\b", line)}):
            self._find(name)

    def slot(self, name: str) -> str:
        kind, _, said = name.partition(":")
        if kind in ("use", "use2"):
            return self._use(kind, said)
        if kind.startswith("task") and kind not in self.slots:
            self.slots[kind], self.behind[kind] = self.s.task()
        return super().slot(name)

    def _find(self, name: str) -> None:
        entries = read("values")["finds"]
        if self.scene.number:
            entries = [e for e in entries if e["kind"] == "number"]
        entry = self.rng.choice(entries)
        own = Filler(self.s)
        said, asked = own.one_of(entry["said"]), own.one_of(entry["asked"])
        self.behind[name] = own.part(entry["part"])
        self.slots |= {name: said, "whatis" + name.removeprefix("find"): asked}
        self.kinds.append(entry["kind"])

    def _use(self, name: str, said: str) -> str:
        kind = self.kinds[-1 if name == "use2" else 0] if self.kinds else "thing"
        fits = {"any", kind} | ({"thing"} if kind == "name" else set())
        entries = [u for u in read("values")["uses"] if u["kind"] in fits]
        entry = self.rng.choices(entries, [u.get("weight", 1) for u in entries])[0]
        return self._done(name, entry["said"], entry["part"], said)

    def _done(self, name: str, spoken: str, part: str, said: str) -> str:
        """Words an action on the thing that the goal calls ``said``, and keeps the subtask."""
        own = Filler(self.s, {"v": "@", "it": "@", "n": "@"})
        text = own.one_of(spoken).replace("@", said)
        self.behind[name] = own.part(part)
        return text

    def step(self, line: str) -> Any:
        """The subtask for a line of the plan."""
        if found := re.fullmatch(r"if ((?:not )?\d): (.+)", line):
            part = self.step(found.group(2))
            part = part if isinstance(part, dict) else {"instruction": part}
            return part | {"when": found.group(1)}
        if line.startswith("say: "):
            return {"say": self.value(line.removeprefix("say: "))}
        line = re.sub(r"\{r?op\}", lambda m: self.slots[m.group(0)[1:-1]], line)
        for operation in _BY_LENGTH:
            if line.startswith(f"{operation} "):
                inputs = line.removeprefix(f"{operation} ").split()
                return {"compute": operation, "of": [self.value(i) for i in inputs]}
        if line.startswith('"'):
            return self.value(line.strip('"'))
        head, _, rest = line.partition(" ")
        return self.behind[head].replace("@", self.value(rest)) if head in self.behind else self.part(line)


class _Compared(_Telling):
    """A goal about one to three things of a kind and one of their attributes (``domains.yaml``)."""

    def __init__(self, s: Speaker, scene: Scene, goal: str) -> None:
        super().__init__(s, scene)
        domains = [d for d in read("domains").values() if scene.only in d["look"]]
        if "{act" in " ".join(scene.goals):
            domains = [d for d in domains if d["acts"]]
        if {"sum", "average"} & {line.split()[0] for line in scene.plan}:
            domains = [d for d in domains if not d["thing"].startswith("event")]  # times of day are not added up
        said = bool(_ATTRIBUTES.search(goal))
        if not said:  # the goal names no attribute, so it is the first one of this kind of thing
            domains = [d for d in domains if d.get("first")]
        self.of, self.acted = self.rng.choice(domains), ""
        xs = [self.slot(x) for x in "xyz"]
        self._each(xs)
        self._several(xs, bare=said and bool(self.of.get("bare")))
        self._clauses()
        looks = {"$": "money", "kb": "any", ":": "time" if self.of["thing"].startswith("event") else "any"}
        self.kinds = ["thing" if scene.use == "thing" else looks.get(self.of["look"], "number")]

    def _one(self, key: str, **known: str) -> str:
        return Filler(self.s, known).one_of(self.of[key])

    def _each(self, xs: list[str]) -> None:
        for name, x in zip("xyz", xs, strict=True):
            self.slots[name.upper()] = self._one("it", x=x)
            self.slots[f"ask{name}"] = self._one("asks", x=x)
            self.behind[f"read_{name}"] = Filler(self.s, {"x": x}).part(self.of["read"])

    def _several(self, xs: list[str], *, bare: bool) -> None:
        thing = self.slots["thing"] = self._one("thing")
        plural = re.sub(r"y$", "ie", re.sub(r"sh$", "she", thing)) + "s"
        heads = (f"the {plural} ", f"my {plural} ", f"the {plural} ", *(("", "") if bare else ()))
        for n in (2, 3):
            self.slots[f"all{n}"] = self._one("all", l=enumerated(self.rng, xs[:n], " and "))
            self.slots[f"l{n}"] = self.rng.choice(heads) + enumerated(self.rng, xs[:n], " and ")
            head = self.rng.choice(("", f"the {thing} ")) if bare else f"the {thing} "
            self.slots[f"l{n}or"] = head + enumerated(self.rng, xs[:n], " or ")

    def _clauses(self) -> None:
        rng, of, slots = self.rng, self.of, self.slots
        number = rng.randint(*{"kb": (1, 999), ":": (0, 23)}.get(of["look"], (1, 300)))
        shown = {"$": f"${number}", "kb": f"{number}kb", ":": f"{number:02d}:{rng.choice(('00', '15', '30', '45'))}"}
        slots["w"] = shown.get(of["look"], str(number))
        sides = ("more", "less") if rng.random() < 0.5 else ("less", "more")
        for side, has in (("over", "has_more"), ("under", "has_less")):
            slots[f"{side}x"] = self._one(side, x=slots["x"], w=slots["w"])
            slots[has] = self._one(has)
            slots[f"{side}xy"] = (
                self._one(side, x=slots["x"], w=rng.choice((slots["Y"], slots["y"])))
                if of.get("first") and rng.random() < 0.5
                else f"{slots['X']} {self._one(has)} than {slots['Y']}"
            )
        slots |= {
            "its": self._one("its"),
            "cmp": self._one(sides[0]),
            "rev": self._one(sides[1]),
            "sup": self._one("most" if sides[0] == "more" else "least"),
            "has": self._one(f"has_{sides[0]}"),
            "op": "largest" if sides[0] == "more" else "smallest",
            "rop": "largest" if sides[0] == "less" else "smallest",
        }

    def slot(self, name: str) -> str:
        kind, _, said = name.partition(":")
        if kind not in ("act", "act2"):
            return super().slot(name)
        acts = [a for a in self.of["acts"] if a != self.acted]
        if self.scene.same and self.acted:
            acts = [self.acted]
        if not acts:
            raise NotPossible("this kind of thing has no other action")
        self.acted = self.rng.choice(acts)
        spoken, part = self.acted.split(" = ")
        return self._done(kind, spoken, part, said)

    def step(self, line: str) -> Any:
        return super().step(re.sub(r"^read ", "read_", line))
