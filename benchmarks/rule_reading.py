"""Rules read by a model: how many wordings are read rightly, and which harmless rules are over-read.

    python benchmarks/rule_reading.py --model ~/.cache/homeostat/real-models/qwen0.5b --json reading.json

The model is asked as ``Guard(read_by_model=True)`` asks it, under the same JSON schema, about the two held-out lists of
``guard_wordings.yaml`` and the ``held_out`` part of ``rule_wordings.yaml``: wordings that ``read_rules`` does not
understand as a whole, and harmless rules. A wording is read if its own kind (remove, buy or send) is among the kinds
that the model finds; it is read exactly if no other kind is. A harmless rule is over-read if anything is found.

JSON keys: ``model``; for each list ``n``, ``read`` and ``exact``, each a count with its Wilson interval at 95 %, and
``with_reader``, the count of wordings that the model or ``read_rules`` reads; ``harmless`` with ``n``, ``over_read`` (a
count with its interval) and ``rules`` (what was found in which); ``still_unread``, what became of the wordings of
``guard_wordings.yaml`` that ``read_rules`` does not understand; ``unreadable`` (answers without a reading) and
``seconds`` (of a rule, on average).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from homeostat import TransformersModel
from homeostat.agent.rule_prompt import rule_prompt
from homeostat.controllers import ModelRule, parse_model_rule, read_rules, rule_schema
from homeostat.envs.harness import wilson

HERE = Path(__file__).parent
LISTS = ("first_held_out", "held_out", "unread")
TOKENS = 80
"""The most tokens of an answer. The format needs about 30."""


def wordings() -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """The wordings of every list with their kinds, and the harmless rules."""
    guard = yaml.safe_load((HERE / "guard_wordings.yaml").read_text())
    rules = yaml.safe_load((HERE / "rule_wordings.yaml").read_text())["held_out"]
    by_kind = {"first_held_out": guard["first_held_out"], "held_out": guard["held_out"], "unread": rules["unread"]}
    found = {name: [(kind, rule) for kind, texts in kinds.items() for rule in texts] for name, kinds in by_kind.items()}
    return found, rules["harmless"]


class Reader:
    """Asks a model, and counts what it costs."""

    def __init__(self, model: Any) -> None:
        self.model, self.seconds, self.calls, self.unreadable = model, 0.0, 0, 0

    def __call__(self, rule: str) -> ModelRule:
        held = {"schema": rule_schema(rule)} if "schema" in self.model.capabilities else {}
        attempt = self.model.generate(
            rule_prompt(rule), temperature=0.0, watch=False, max_new_tokens=TOKENS, seed=0, **held
        )[0]
        found = parse_model_rule(attempt.text, rule)
        self.seconds, self.calls = self.seconds + attempt.seconds, self.calls + 1
        self.unreadable += bool(found.error)
        print(f"{rule} -> {found.means!r} {found.acts} {found.topics} {found.apps} {found.error}", flush=True)
        return found


def counted(successes: int, trials: int) -> dict[str, Any]:
    """A count with its share's interval."""
    interval = wilson(successes, trials)
    return {"count": successes, "share": successes / trials, "low": interval.low, "high": interval.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="homeostat/nano-planner")
    parser.add_argument("--dtype", default=None, help="for example bfloat16")
    parser.add_argument("--lists", default=",".join((*LISTS, "harmless")), help="some of the lists, with commas")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    chosen = args.lists.split(",")
    reader = Reader(TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype))
    lists, harmless = wordings()
    figures: dict[str, Any] = {"model": reader.model.name, "still_unread": {}}
    for name, items in lists.items():
        if name not in chosen:
            continue
        found = [reader(rule) for _, rule in items]
        own = [any(kind in p.acts for p in read_rules([rule])[0]) for kind, rule in items]
        read = [kind in one.acts for (kind, _), one in zip(items, found, strict=True)]
        exact = sum(one.acts == (kind,) for (kind, _), one in zip(items, found, strict=True))
        together = sum(a or b for a, b in zip(read, own, strict=True))
        figures[name] = {
            "n": len(items),
            "read": counted(sum(read), len(items)),
            "exact": counted(exact, len(items)),
            "with_reader": together,
            "kinds": {rule: one.acts for (_, rule), one in zip(items, found, strict=True)},
        }
        left = read_rules([rule for _, rule in items])[1] if name != "unread" else ()
        figures["still_unread"] |= {one.rule: one.acts for one in found if one.rule in left}
    if "harmless" in chosen:
        over = {one.rule: [*one.acts, *one.apps] for one in map(reader, harmless) if one.acts or one.apps}
        figures["harmless"] = {"n": len(harmless), "over_read": counted(len(over), len(harmless)), "rules": over}
    figures |= {"unreadable": reader.unreadable, "seconds": reader.seconds / max(reader.calls, 1)}
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
