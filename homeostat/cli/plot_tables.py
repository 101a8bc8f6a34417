"""What ``homeostat plot drift``, ``rescue`` and ``spans`` draw from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.data_files import DataError, read_json
from homeostat.errors import ConfigError
from homeostat.plots import Chart, rescue

__all__ = ["rescued", "runs", "spans"]

_EXPECTED = "two files of eval --json, files of eval --compare --json, or a table's table.json"
_Point = tuple[tuple[float, float, float], tuple[float, float, float]]


def runs(files: Sequence[Path], title: str) -> Chart:
    """Draws one run step by step, or the mean of several."""
    from homeostat.agent.run_views import mean_chart, trace_chart
    from homeostat.agent.trace import read_trace

    traces = [read_trace(file) for file in files]
    return trace_chart(traces[0], title) if len(traces) == 1 else mean_chart(traces, title)


def spans(files: Sequence[Path], title: str, by: str) -> Chart:
    """Draws saved span masses."""
    from homeostat.plots import span_masses
    from homeostat.sensors import SpanMass

    if len(files) != 1:
        raise ConfigError(f"plot spans got {len(files)} files; give one file of SpanMass.save")
    mass = SpanMass.load(files[0])
    known: Any = by  # span_masses says which words it knows
    return span_masses(
        mass.mass, mass.labels, by=known, layers=mass.layers, position=mass.position.tolist(), title=title
    )


def rescued(files: Sequence[Path], title: str) -> Chart:
    """Draws what was rescued against what was harmed."""
    from homeostat.envs.harness import compare, read_evaluation

    data = [_json(file) for file in files]
    if all("episodes" in one for one in data):
        if len(files) != 2:
            raise ConfigError(f"plot rescue got {len(files)} evaluations; give two, before and after")
        before, after = (read_evaluation(file) for file in files)
        found = compare(before.results, after.results)
        point = _point(found.as_dict(), files[1])
        return rescue({title or f"{found.pairs} episodes in both": {_name(after.arguments, files[1]): point}})
    panels: dict[str, dict[str, _Point]] = {}
    for one, file in zip(data, files, strict=True):
        cells = one.get("cells")
        if isinstance(cells, list):
            for cell in cells:
                if isinstance(cell, dict) and cell.get("change") is not None:
                    points = panels.setdefault(str(cell.get("column", "")), {})
                    points[str(cell.get("row", ""))] = _point(cell["change"], file)
        else:
            panels.setdefault("", {})[_distinct(file, panels.get("", {}))] = _point(one, file)
    if not panels:
        raise ConfigError(f"{str(files[0])!r} compares nothing with the bare model; give {_EXPECTED}")
    return rescue(panels, title=title)


def _point(figures: Any, file: Path) -> _Point:
    """(rescue, harm) of a comparison's figures."""
    try:
        one, other = (figures[name] for name in ("rescue", "harm"))
        numbers = [[float(side[key]) for key in ("mean", "low", "high")] for side in (one, other)]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{str(file)!r} holds no comparison; give {_EXPECTED}") from None
    (a, b, c), (d, e, f) = numbers
    return (a, b, c), (d, e, f)


def _name(arguments: Mapping[str, Any], file: Path) -> str:
    chosen = arguments.get("controllers")
    return ", ".join(map(str, chosen)) if isinstance(chosen, list | tuple) else str(chosen or file.stem)


def _distinct(file: Path, taken: Mapping[str, Any]) -> str:
    return file.stem if file.stem not in taken else str(file)


def _json(file: Path) -> dict[str, Any]:
    try:
        data = read_json(file)
    except DataError as error:
        raise ConfigError(f"can't read {str(file)!r}: {error}; give {_EXPECTED}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{str(file)!r} holds a {type(data).__name__}; give {_EXPECTED}")
    return data
