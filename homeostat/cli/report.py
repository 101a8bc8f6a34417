"""``homeostat report``: a run, an evaluation or a comparison as pages that a browser opens without a server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from homeostat.errors import ConfigError

__all__ = ["report"]

_EVERY = 5.0  # seconds between two lines about the progress


def report(
    path: Annotated[Path, typer.Argument(help="A run's folder, or an evaluation's JSON file.")],
    other: Annotated[
        Path | None, typer.Argument(help="A second evaluation, to compare with the first one.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page's file, for a run; else the folder of the pages. Default: report.html in the run's folder, "
            "or a folder beside the evaluation's file."
        ),
    ] = None,
    traces: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder with the runs of an evaluation's episodes (eval --traces). May be given several times. "
            "Default: they are looked for under the evaluation's folder."
        ),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Show a run, an evaluation or a comparison of two evaluations as self-contained HTML pages.

    \b
    Examples:
      homeostat report runs/ID --open
      homeostat report default.json
      homeostat report none.json default.json --out comparison
    """
    for given in (path, other, *(traces or ())):
        if given is not None and not given.exists():
            raise ConfigError(f"{str(given)!r} does not exist; give a run's folder or an evaluation's JSON file")
        if given is not None and other is not None and given not in (traces or ()) and given.is_dir():
            raise ConfigError(f"{str(given)!r} is a folder; two evaluations are compared: give their JSON files")
    from homeostat.viewer import write_comparison, write_report

    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            typer.echo(f"{done} of {total} episodes", err=True)

    if other is None:
        written = write_report(path, out, traces=traces or (), tell=tell)
    else:
        written = write_comparison(path, other, out, traces=traces or (), tell=tell)
    typer.echo(f"page: {written}")
    if open_it:
        typer.launch(written.resolve().as_uri())
