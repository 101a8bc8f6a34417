"""What ``homeostat plot heads`` draws from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.data_files import DataError, read_json
from homeostat.errors import ConfigError
from homeostat.plots import Chart, head_maps, head_table, short_name

__all__ = ["heads"]

_EXPECTED = "a file of homeostat localize, profile (or its .effects.json) or fit-probe"


def heads(files: Sequence[Path], title: str) -> Chart:
    """Draws maps of heads."""
    if len(files) != 1:
        raise ConfigError(f"plot heads got {len(files)} files; give {_EXPECTED}")
    file = files[0] / "localization.json" if files[0].is_dir() else files[0]
    try:
        data = read_json(file)
    except DataError as error:
        raise ConfigError(f"can't read {str(file)!r}: {error}; give {_EXPECTED}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{str(file)!r} holds a {type(data).__name__}; give {_EXPECTED}")
    if "magnitude" in data:
        from homeostat.alignment.sail.localization import Localization
        from homeostat.alignment.sail.plots import heat_map

        return heat_map(Localization.load(file))
    if "coefficients" in data:
        return _probe(file, title)
    if "head_weights" in data or ("gains" in data and "model" in data):
        return _profile(file, title)
    return _effects(data, file, title)


def _probe(file: Path, title: str) -> Chart:
    from homeostat.sensors import ProbeWeights

    probe = ProbeWeights.load(file)
    maps: dict[str, NDArray[np.float64]] = {}
    layers: tuple[int, ...] = ()
    for k, name in enumerate(("on the higher span", "on the lower span")):
        rows = [(layer, head, probe.coefficients[2 * n + k]) for n, (layer, head) in enumerate(probe.heads)]
        maps[name], layers = head_table(rows)
    return head_maps(
        maps,
        layers=layers,
        units="weight of the standardised log intensity",
        centre=0,
        title=title or short_name(probe.model),
    )


def _profile(file: Path, title: str) -> Chart:
    """The weight of every head, and in a map of its own the heads that each use has chosen."""
    from homeostat.controllers.profiles import HeadProfile

    profile = HeadProfile.load(file)
    chosen = {f"{use}: {len(found)} heads": found for use, found in profile.heads.items() if found}
    weights = {f"weight on {span}": rows for span, rows in profile.head_weights.items() if rows}
    every = [(layer, head) for found in chosen.values() for layer, head in found]
    every += [(layer, head) for rows in weights.values() for layer, head, _ in rows]
    if not every:
        raise ConfigError(f"{str(file)!r} names no head; give {_EXPECTED}")
    size = (max(layer for layer, _ in every) + 1, max(head for _, head in every) + 1)
    maps: dict[str, NDArray[np.float64]] = {}
    for name, rows in weights.items():
        maps[name] = np.full(size, np.nan)
        for layer, head, weight in rows:
            maps[name][layer, head] = np.log2(max(weight, 2**-6))
    for name, found in chosen.items():
        maps[name] = np.zeros(size)
        for layer, head in found:
            maps[name][layer, head] = 1
    units = {name: "log₂ of the weight" if name in weights else "1: chosen" for name in maps}
    return head_maps(maps, units=units, title=title or short_name(profile.model))


def _effects(data: Mapping[str, Any], file: Path, title: str) -> Chart:
    """The effect of steering each head alone, which ``homeostat profile`` measures."""
    tables, marked = {}, {}
    try:
        for use, rows in data.items():
            if isinstance(rows, list):
                values = [(int(one["layer"]), int(one["head"]), float(one["effect"])) for one in rows]
                tables[use] = head_table(values)
                marked[use] = [
                    (int(r["layer"]), int(r["head"])) for r in rows if float(r["effect"]) > float(r["error"])
                ]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{str(file)!r} holds no heads; give {_EXPECTED}") from None
    if not tables:
        raise ConfigError(f"{str(file)!r} holds no heads; give {_EXPECTED}")
    layers = next(iter(tables.values()))[1]
    if any(found != layers for _, found in tables.values()):
        raise ConfigError(f"{str(file)!r} measured different layers for each use; draw them apart")
    maps = {use: table for use, (table, _) in tables.items()}
    note = "effect of steering one head on the right answer; framed: above its standard error"
    return head_maps(maps, layers=layers, marked=marked, units="nats per token", centre=0, title=title or note)
