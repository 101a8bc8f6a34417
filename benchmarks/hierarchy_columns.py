"""The columns of the hierarchy table: sets of conflicts between system and user, with aligned cases beside them.

``chat`` has the wordings of each split in the package. ``chat, unseen`` has those of ``hierarchy_unseen.yaml``, which
no part of the package has and on which nothing is chosen.
"""

from __future__ import annotations

import zlib
from itertools import islice
from pathlib import Path

import yaml

from homeostat.agent.prompts import PromptStyle
from homeostat.alignment.conflicts.chat import HIERARCHY_KINDS, hierarchy_twins, own_twins
from homeostat.alignment.conflicts.core import Case, cases_of
from homeostat.alignment.conflicts.public import draw_cases, load_public, select_cases
from homeostat.alignment.conflicts.team import TEAM_KINDS, team_twins

FOLDERS = {
    "s-ifeval": "realguardrails/evals/ifeval/inputs",
    "tensortrust": "realguardrails/evals/tensortrust/inputs",
    "iheval": "iheval/benchmark",
}
# column: set, kinds, settings
PUBLIC: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "s-ifeval": ("s-ifeval", (), ()),
    "hijacking": ("tensortrust", ("hijacking", "helpful"), ()),
    "extraction": ("tensortrust", ("extraction", "helpful"), ()),
    "iheval rules": ("iheval", ("single-turn",), ("conflict", "aligned")),
    "iheval rules, turns": ("iheval", ("multi-turn",), ("conflict", "aligned")),
    "iheval tasks": ("iheval", ("translation", "verb-extract", "lang-detect"), ("conflict", "aligned")),
    "iheval safety": ("iheval", ("user-prompt-hijack", "system-prompt-extract"), ("conflict", "aligned")),
    "iheval slack": ("iheval", ("slack-user",), ("conflict", "aligned")),
}
COLUMNS = ("chat", "chat, unseen", "team", *PUBLIC)
_DRAWS = 2000  # twins of a generated set that are looked through: it repeats itself before
TOKENS = {
    "chat": 24,
    "chat, unseen": 24,
    "team": 40,
    "hijacking": 32,
    "extraction": 48,
    "iheval slack": 48,
    "iheval safety": 48,
}
"""The longest answer of a column, in tokens; 64 for those that are not named."""


def distinct(cases: list[Case], most: int) -> list[Case]:
    """Drops repeated prompts, and what exceeds so many conflicts and so many aligned cases of a kind."""
    found: list[Case] = []
    seen: set[str] = set()
    counts: dict[tuple[str, bool], int] = {}
    for case in cases:
        prompt = repr([(m.role, [part.text for part in m.parts]) for m in case.prompt.messages])
        side = (case.kind, case.aligned)
        if prompt not in seen and counts.get(side, 0) < most:
            seen.add(prompt)
            counts[side] = counts.get(side, 0) + 1
            found.append(case)
    return found


def column(name: str, split: str, count: int, data: Path | None, style: PromptStyle | None) -> list[Case]:
    """Loads the cases of a column.

    Args:
        name: The column's name.
        split: ``dev`` or ``test``. Of a public set, a third is ``dev``, by the hash of each case's id; nothing is
            chosen on the rest.
        count: The number of conflicts; as many aligned cases are taken where there are so many. Of generated sets, the
            same number of each kind. No prompt is taken twice.
        data: The folder of the public sets.
        style: How the model's prompts are worded; only the team suite needs it.

    Returns:
        The cases.
    """
    if name == "chat":
        return distinct(cases_of(islice(hierarchy_twins(split), _DRAWS)), -(-count // len(HIERARCHY_KINDS)))  # type: ignore[arg-type]
    if name == "chat, unseen":
        if split != "test":
            raise SystemExit("nothing is chosen on 'chat, unseen'; it has a test split only")
        texts = yaml.safe_load(Path(__file__).with_name("hierarchy_unseen.yaml").read_text(encoding="utf-8"))
        return distinct(cases_of(islice(own_twins(texts), _DRAWS)), -(-count // len(HIERARCHY_KINDS)))
    if name == "team":
        return distinct(cases_of(islice(team_twins(style, split, 0), _DRAWS)), -(-count // len(TEAM_KINDS)))  # type: ignore[arg-type]
    if name not in PUBLIC:
        raise SystemExit(f"no column {name!r}; known: {', '.join(COLUMNS)}")
    if data is None:
        raise SystemExit(f"column {name!r} needs --data, the folder that holds {FOLDERS[PUBLIC[name][0]]}")
    kind, kinds, settings = PUBLIC[name]
    every, _ = load_public(kind, data / FOLDERS[kind])
    mine = [case for case in every if (zlib.crc32(case.id.encode()) % 3 == 0) == (split == "dev")]
    chosen = select_cases(mine, kinds, settings)
    sides = [[case for case in chosen if case.aligned is aligned] for aligned in (False, True)]
    return [case for side in sides for case in draw_cases(side, count)]
