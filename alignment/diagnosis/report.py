"""Shows a diagnosis as a table and as a bar chart."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from homeostat.alignment.diagnosis.summary import Cell, Diagnosis, Interval
from homeostat.alignment.sail.plots import pyplot
from homeostat.alignment.teams.obedience import Obedience
from homeostat.sensors.rubric import DIMENSIONS

__all__ = ["plot", "show", "show_obedience"]


def show(found: Diagnosis, console: Console) -> None:
    """Prints a table with a row for each kind, each level, and all cases, and the metrics of the set's authors.

    Args:
        found: The report.
        console: Where the table is printed.
    """
    judged = any(cell.judged for cell in found.cells)
    columns = [*DIMENSIONS, "CRAS", *(["judge's CRAS"] if judged else [])]
    references = any(cell.references for cell in found.cells)
    numbers = "conflicts + twins" + (" + references" if references else "")
    shares = ["rule kept", "twins right", *(["reference right"] if references else [])]
    table = Table("conflict", "level", numbers, *shares, *columns, title=f"{found.model} on {found.suite}")
    for n, cell in enumerate(found.cells):
        if cell.kind == "all" and found.cells[n - 1].kind != "all":
            table.add_section()
        scores = [f"{cell.truth[name]:.2f}" for name in (*DIMENSIONS, "CRAS")]
        if judged:
            scores.append(f"{cell.judged['CRAS']:.2f}" if cell.judged else "")
        counted = [_percent(cell.compliance), _percent(cell.aligned_success)]
        counted += [_percent(cell.reference_success)] if references else []
        number = " + ".join(str(n) for n in (cell.conflicts, cell.twins, cell.references)[: 2 + references])
        table.add_row(cell.kind, cell.level, number, *counted, *scores)
    console.print(table)
    if found.obedience is not None:
        show_obedience(found.obedience, console)
    else:
        _show_measures(found, console)
    if found.agreement is not None:
        values = ", ".join(f"{k} {v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]" for k, v in found.agreement.items() if v)
        console.print(
            f"judge against ground truth: {values or 'undefined, because one of the two never varies'}; "
            f"{found.unparsable} of the judge's answers could not be parsed"
        )


def show_obedience(found: Obedience, console: Console) -> None:
    """Prints who followed whom, and the scores of each member.

    Args:
        found: The matrix.
        console: Where the tables are printed.
    """
    header, *rows = found.rows()
    table = Table(*header, title="demands that were followed")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if found.members:
        scores = Table("member", *DIMENSIONS, "CRAS", title="role adherence of each member")
        for name, each in found.members.items():
            scores.add_row(name, *(f"{each[one]:.2f}" for one in (*DIMENSIONS, "CRAS")))
        console.print(scores)
    if found.last is not None:
        console.print(f"of two members who contradict each other, the last is followed in {_percent(found.last)}")


def _show_measures(found: Diagnosis, console: Console) -> None:
    """Prints the metrics of the set's authors: a row for each kind and setting."""
    rows = [(c.kind, s, measures) for c in found.cells if c.kind != "all" for s, measures in c.measures.items()]
    if not rows:
        return
    table = Table("kind", "setting", "metric", title=f"{found.suite}: the metrics of its authors")
    for kind, setting, measures in rows:
        table.add_row(kind, setting, ", ".join(f"{name} {100 * value:.1f} %" for name, value in measures.items()))
    console.print(table)


def plot(found: Diagnosis, file: Path) -> None:
    """Saves a bar chart of each kind: compliance in conflicts, success in twins and reference cases, 95 % intervals.

    Args:
        found: The report.
        file: The image file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = pyplot()
    cells = [c for c in found.cells if c.kind != "all"]
    figure, axis = plt.subplots(figsize=(max(6.0, 1.6 + 1.1 * len(cells)), 4.2), layout="constrained")
    bars = [
        ("rule kept, in conflict", "#b5432f", [c.compliance for c in cells]),
        ("task right, aligned twin", "#4a7a8c", [c.aligned_success for c in cells]),
    ]
    if any(cell.references for cell in cells):
        bars.append(("task right, reference", "#9a9a9a", [c.reference_success for c in cells]))
    width = 0.76 / len(bars)
    for at, (label, colour, shares) in enumerate(bars):
        shown = [(n, share) for n, share in enumerate(shares) if share is not None]
        values = [100 * v[0] for _, v in shown]
        errors = [[100 * (v[0] - v[1]) for _, v in shown], [100 * (v[2] - v[0]) for _, v in shown]]
        places = [n + width * (at - (len(bars) - 1) / 2) for n, _ in shown]
        axis.bar(places, values, 0.95 * width, yerr=errors, label=label, color=colour, capsize=2)
    axis.set_xticks(range(len(cells)), [_label(c) for c in cells], fontsize=8)
    axis.set_ylabel("% of cases (95 % intervals)")
    axis.set_ylim(0, 105)
    axis.set_title(f"{found.model} on {found.suite} ({found.split})")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(bars), frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _label(cell: Cell) -> str:
    return f"{cell.kind.replace('_', chr(10))}\n({cell.level})"


def _percent(share: Interval | None) -> str:
    return "" if share is None else f"{100 * share[0]:.1f} % [{100 * share[1]:.1f}, {100 * share[2]:.1f}]"
