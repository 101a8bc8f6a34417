"""Writes reports: one page for a run; for an evaluation or a comparison a folder of pages that link to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from homeostat.envs.harness import Evaluation, read_evaluation
from homeostat.envs.harness.export import is_stream
from homeostat.errors import ConfigError, TraceError
from homeostat.private_files import make_private_folder, write_private
from homeostat.viewer.comparison_page import comparison_page
from homeostat.viewer.evaluation_page import evaluation_page
from homeostat.viewer.found import episodes_among, run_folders
from homeostat.viewer.pages import Page
from homeostat.viewer.reading import TRACE
from homeostat.viewer.run_page import Back, run_page

__all__ = ["names_of", "write_comparison", "write_report"]

Tell = Callable[[int, int], None]
"""Is told how many pages of how many are written."""

_INDEX = "index.html"


def write_report(
    path: Path, out: Path | None = None, *, traces: Sequence[Path] = (), tell: Tell = lambda done, total: None
) -> Path:
    """Writes the report of a run or of an evaluation.

    Args:
        path: A run's folder, or a file that ``homeostat eval --json`` wrote.
        out: For a run, the page's file (default: ``report.html`` in the run's folder); for an evaluation, the folder of
            the pages (default: one beside the file).
        traces: For an evaluation: folders with the runs of its episodes. Default: the file's own folder.
        tell: Is told the progress.

    Returns:
        The file to open.

    Raises:
        TraceError: The folder holds no run.
        ConfigError: The file is no evaluation, or the pages can't be written.
    """
    if path.is_dir():
        if not (path / TRACE).is_file():
            raise TraceError(
                f"folder {str(path)!r} holds no run ({TRACE}); give a run's folder such as runs/<id>, or an "
                "evaluation's JSON file; homeostat view shows all runs under a folder"
            )
        if traces:
            raise ConfigError(f"--traces {str(traces[0])!r} belongs to an evaluation; leave it out with a run")
        target = out if out is not None else path / "report.html"
        target = target / _INDEX if out is not None and out.is_dir() else target
        return _written(run_page(path), target)
    evaluation = read_evaluation(path)
    folder = _folder(out, path, "-report")
    back = Back(f"../{_INDEX}", path.stem)
    links = _episodes(evaluation, traces or [path.parent], folder, "episodes", back, tell)
    return _written(evaluation_page(evaluation, path.stem, links), folder / _INDEX)


def write_comparison(
    before: Path,
    after: Path,
    out: Path | None = None,
    *,
    traces: Sequence[Path] = (),
    tell: Tell = lambda done, total: None,
) -> Path:
    """Writes the comparison of two evaluations, with the pages of the episodes of both.

    Args:
        before: A file that ``homeostat eval --json`` wrote.
        after: Another one, on the same episodes.
        out: The folder of the pages; None for one beside the second file.
        traces: Folders with the runs of the episodes. Default: the folders of the two files.
        tell: Is told the progress.

    Returns:
        The file to open.

    Raises:
        ConfigError: A file is no evaluation, the two share no episode, or the pages can't be written.
    """
    one, other = read_evaluation(before), read_evaluation(after)
    names = names_of(before, after)
    comparison_page(one, other, names)  # what can't be compared is refused before anything is written
    folder = _folder(out, after, "-comparison")
    back = Back(f"../{_INDEX}", f"{names[0]} against {names[1]}")
    links = (
        _episodes(one, traces or [before.parent], folder, "before", back, tell),
        _episodes(other, traces or [after.parent], folder, "after", back, tell),
    )
    return _written(comparison_page(one, other, names, links=links), folder / _INDEX)


def names_of(before: Path, after: Path) -> tuple[str, str]:
    """Names two evaluations after their files.

    Args:
        before: The first file.
        after: The second file.

    Returns:
        Two names that differ, if the files do.
    """
    return (before.stem, after.stem) if before.stem != after.stem else (str(before), str(after))


def _episodes(
    evaluation: Evaluation, traces: Sequence[Path], folder: Path, name: str, back: Back, tell: Tell
) -> Mapping[int, str]:
    """Writes the page of every episode whose run is found; the pages' addresses."""
    found = episodes_among(evaluation.results, (run for root in traces for run in run_folders(root)))
    if (folder / name).is_symlink():
        raise ConfigError(f"{str(folder / name)!r} is a link; delete it, or give another --out")
    links = {}
    for done, (index, run) in enumerate(sorted(found.items())):
        tell(done, len(found))
        try:
            made = run_page(run, back=back)
        except TraceError:
            continue
        links[index] = f"{name}/{index:05d}.html"
        _written(made, folder / links[index])
    return links


def _folder(out: Path | None, file: Path, suffix: str) -> Path:
    folder = out if out is not None else file.with_name(f"{file.stem}{suffix}")
    if out is None and folder.is_symlink():
        raise ConfigError(f"{str(folder)!r} is a link; delete it, or give another --out")
    if folder.is_file():
        raise ConfigError(f"--out {str(folder)!r} is a file; the pages of an evaluation need a folder")
    return folder


def _written(made: Page, path: Path) -> Path:
    """Writes a page. Only the owner may read it: it shows what was on somebody's screen."""
    data = made.html.encode("utf-8", "replace")
    try:
        if is_stream(path):  # such as /dev/stdout, which must not be replaced by a file
            path.write_bytes(data)
            return path
        if not path.parent.exists():
            make_private_folder(path.parent)
        write_private(path, data)
    except OSError as error:
        raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another --out") from None
    return path
