"""Reads public sets of conflicts from the user's own copy. None of their data is part of this package.

The readers of single rows are in ``iheval.py`` (IHEval) and ``realguardrails.py`` (S-IFEval, TensorTrust,
RealGuardrails).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from pathlib import Path

from homeostat.alignment.conflicts.core import SETTINGS, Case
from homeostat.alignment.conflicts.iheval import read_iheval
from homeostat.alignment.conflicts.public_rows import Row
from homeostat.alignment.conflicts.realguardrails import read_realguardrails, read_s_ifeval, read_tensortrust
from homeostat.alignment.rows import read_rows
from homeostat.data_files import StrPath
from homeostat.errors import ConfigError, UnknownName

__all__ = ["FORMATS", "draw_cases", "load_public", "select_cases"]

FORMATS: dict[str, Callable[[Row, Path], Case | None]] = {
    "iheval": read_iheval,
    "s-ifeval": read_s_ifeval,
    "tensortrust": read_tensortrust,
    "realguardrails": read_realguardrails,
}
"""The public sets, and how a row of each is read."""

_FILES = {"iheval": "input_data.json"}
"""The files of a set that hold rows, where its folders hold the authors' raw material too."""


def load_public(name: str, path: StrPath) -> tuple[list[Case], int]:
    """Reads all cases of a public set.

    Args:
        name: The set, one of :data:`FORMATS`.
        path: A ``.json`` or ``.jsonl`` file, or a folder with several files. In IHEval's folders, the files
            ``input_data.json`` are read; the others are its raw material.

    Returns:
        The cases in the order of the files, and the number of rows that were left out because no program here can check
        an answer to them.

    Raises:
        ConfigError: The data have another form; the message names file, row and field. Or no row can be checked, or a
            library that the checks need is not installed.
        UnknownName: The set is not in :data:`FORMATS`.
    """
    if name not in FORMATS:
        raise UnknownName.of("conflict set", name, FORMATS)
    where = Path(path)
    files = [where]
    if where.is_dir():
        files = sorted(file for file in where.rglob("*.json*") if file.suffix in (".json", ".jsonl"))
        files = [file for file in files if file.name == _FILES.get(name)] or files
    if not files or not files[0].is_file():
        raise ConfigError(f"no {name} data at {str(path)!r}; give its .json or .jsonl file, or their folder")
    cases, left_out = list[Case](), 0
    for file in files:
        shown = file.relative_to(where) if where.is_dir() else file.name
        for n, fields in enumerate(read_rows(file), start=1):
            case = FORMATS[name](Row(fields, f"{shown} row {n}", n), file)
            if case is None:
                left_out += 1
            else:
                cases.append(case)
    if not cases:
        raise ConfigError(
            f"{str(path)!r}: a program can check none of its {left_out} rows; give the file of another task"
        )
    return cases, left_out


def select_cases(cases: Sequence[Case], kinds: Collection[str] = (), settings: Collection[str] = ()) -> list[Case]:
    """Selects cases by kind and setting.

    Args:
        cases: The cases.
        kinds: The kinds to keep; empty for all.
        settings: The settings to keep, of :data:`~homeostat.alignment.conflicts.core.SETTINGS`; empty for all.

    Returns:
        The cases that are left, in order.

    Raises:
        UnknownName: A kind or a setting has no case.
        ConfigError: No case is left.
    """
    present = list(dict.fromkeys(case.kind for case in cases))
    for kind in kinds:
        if kind not in present:
            raise UnknownName.of("kind", kind, present)
    for setting in settings:
        if setting not in SETTINGS:
            raise UnknownName.of("setting", setting, SETTINGS)
    left = [c for c in cases if (not kinds or c.kind in kinds) and (not settings or c.setting in settings)]
    if not left:
        raise ConfigError(f"no case is of the settings {', '.join(settings)}; choose other kinds or settings")
    return left


def draw_cases(cases: Sequence[Case], count: int, seed: int = 0) -> list[Case]:
    """Draws a stratified sample: as many cases of each kind and setting as possible, and of each variant within them.

    Args:
        cases: The cases.
        count: The size of the sample.
        seed: The random seed.

    Returns:
        ``count`` cases in their original order, or all of them if there are fewer.
    """
    rng = random.Random(f"public {seed}")
    keys: list[Callable[[Case], str]] = [lambda case: case.kind, lambda case: case.setting, lambda case: case.variant]
    order = _in_turn(list(enumerate(cases)), keys, rng)
    return [case for _, case in sorted(order[:count], key=lambda numbered: numbered[0])]


Numbered = tuple[int, Case]


def _in_turn(cases: list[Numbered], keys: Sequence[Callable[[Case], str]], rng: random.Random) -> list[Numbered]:
    """Orders cases so that every prefix has as many of each group as possible, for each key in turn."""
    if not keys:
        return rng.sample(cases, len(cases))
    groups: dict[str, list[Numbered]] = {}
    for numbered in cases:
        groups.setdefault(keys[0](numbered[1]), []).append(numbered)
    names = rng.sample(list(groups), len(groups))
    ordered = [_in_turn(groups[name], keys[1:], rng) for name in names]
    return [numbered for turn in zip_longest(*ordered) for numbered in turn if numbered is not None]
