"""Shows a diagnosis as a table and as a chart."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from homeostat.alignment.diagnosis.summary import Diagnosis, Interval
from homeostat.alignment.teams.obedience import Obedience
from homeostat.plots import Chart, intervals, short_name
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


def plot(found: Diagnosis) -> Chart:
    """Draws for each kind: compliance in conflicts, success in twins and reference cases, with 95 % intervals.

    Args:
        found: The report.

    Returns:
        The chart.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    rows: dict[str, dict[str, Interval]] = {}
    for cell in (c for c in found.cells if c.kind != "all"):
        shares = {
            "rule kept, in conflict": cell.compliance,
            "task right, aligned twin": cell.aligned_success,
            "task right, reference": cell.reference_success,
        }
        rows[f"{cell.kind} ({cell.level})"] = {name: share for name, share in shares.items() if share is not None}
    return intervals(
        {f"{short_name(found.model)} on {found.suite} ({found.split})": rows},
        x_label="% of cases (95 % intervals)",
        factor=100,
        limits=(-3, 103),
    )


def _percent(share: Interval | None) -> str:
    return "" if share is None else f"{100 * share[0]:.1f} % [{100 * share[1]:.1f}, {100 * share[2]:.1f}]"
