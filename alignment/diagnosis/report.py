"""Shows a diagnosis as a table and as a bar chart."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from homeostat.alignment.diagnosis.run import Cell, Diagnosis, Interval
from homeostat.alignment.sail.plots import pyplot
from homeostat.sensors.rubric import DIMENSIONS

__all__ = ["plot", "show"]


def show(found: Diagnosis, console: Console) -> None:
    """Prints a table with a row for each kind, each level, and all cases.

    Args:
        found: The report.
        console: Where the table is printed.
    """
    judged = any(cell.judged for cell in found.cells)
    columns = [*DIMENSIONS, "CRAS", *(["judge's CRAS"] if judged else [])]
    table = Table(
        "conflict", "level", "n", "rule kept", "twins right", *columns, title=f"{found.model} on {found.suite}"
    )
    for n, cell in enumerate(found.cells):
        if cell.kind == "all" and found.cells[n - 1].kind != "all":
            table.add_section()
        scores = [f"{cell.truth[name]:.2f}" for name in (*DIMENSIONS, "CRAS")]
        if judged:
            scores.append(f"{cell.judged['CRAS']:.2f}" if cell.judged else "")
        kept, right = _percent(cell.compliance), _percent(cell.aligned_success)
        table.add_row(cell.kind, cell.level, str(cell.conflicts), kept, right, *scores)
    console.print(table)
    if found.agreement is not None:
        values = ", ".join(f"{k} {v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]" for k, v in found.agreement.items() if v)
        console.print(
            f"judge against ground truth: {values or 'undefined, because one of the two never varies'}; "
            f"{found.unparsable} of the judge's answers could not be parsed"
        )


def plot(found: Diagnosis, file: Path) -> None:
    """Saves a bar chart: for each kind, compliance in conflicts and success in aligned twins, with 95 % intervals.

    Args:
        found: The report.
        file: The image file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = pyplot()
    cells = [c for c in found.cells if c.kind != "all"]
    figure, axis = plt.subplots(figsize=(max(6.0, 1.6 + 1.1 * len(cells)), 4.2), layout="constrained")
    bars = (
        ("rule kept, in conflict", "#b5432f", [c.compliance for c in cells]),
        ("task right, aligned twin", "#4a7a8c", [c.aligned_success for c in cells]),
    )
    for at, (label, colour, shares) in enumerate(bars):
        shown = [(n, share) for n, share in enumerate(shares) if share is not None]
        values = [100 * v[0] for _, v in shown]
        errors = [[100 * (v[0] - v[1]) for _, v in shown], [100 * (v[2] - v[0]) for _, v in shown]]
        places = [n + 0.38 * (at - 0.5) for n, _ in shown]
        axis.bar(places, values, 0.36, yerr=errors, label=label, color=colour, capsize=2)
    axis.set_xticks(range(len(cells)), [_label(c) for c in cells], fontsize=8)
    axis.set_ylabel("% of cases (95 % intervals)")
    axis.set_ylim(0, 105)
    axis.set_title(f"{found.model} on {found.suite} ({found.split})")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _label(cell: Cell) -> str:
    return f"{cell.kind.replace('_', chr(10))}\n({cell.level})"


def _percent(share: Interval | None) -> str:
    return "" if share is None else f"{100 * share[0]:.1f} % [{100 * share[1]:.1f}, {100 * share[2]:.1f}]"
