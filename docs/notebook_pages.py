"""Runs the notebooks of ``docs/notebooks`` and writes the page that the site shows for each of them.

    python docs/notebook_pages.py
    python docs/notebook_pages.py --models HuggingFaceTB/SmolLM2-135M-Instruct=FOLDER --out FOLDER

A page holds the notebook's cells and what they printed, drew or showed as HTML. Notebooks themselves are stored without
outputs. ``--models`` puts a folder in the place of a model's name while a notebook runs; the page keeps the name.
"""

import argparse
import base64
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent / "notebooks"


def run(notebook: Path, models: dict[str, str]) -> Any:
    """Runs a notebook in an empty folder.

    Args:
        notebook: The notebook's file.
        models: Folders by the model names that they replace.

    Returns:
        The notebook with its outputs and the original sources.
    """
    book = nbformat.read(notebook, as_version=4)
    sources = [cell.source for cell in book.cells]
    for cell in book.cells:
        for name, folder in models.items():
            cell.source = cell.source.replace(name, folder)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell, source in zip(book.cells, sources, strict=True):
        cell.source = source
    return book


def plain_html(html: str) -> str:
    """Leaves out what pandas says about the looks of a table, and blank lines, which would end a block of HTML.

    Args:
        html: What a cell showed.

    Returns:
        The HTML without these.
    """
    html = re.sub(r"<style scoped>.*?</style>", "", html, flags=re.DOTALL)
    html = re.sub(r' (border="1" class="dataframe"|style="text-align: right;")', "", html)
    return re.sub(r"\n\s*\n", "\n", html.strip())


def page(book: Any, name: str, out: Path) -> str:
    """Writes a notebook's pictures, and makes its page.

    Args:
        book: The notebook with its outputs.
        name: The name of the notebook's file, without its ending.
        out: The folder of the page.

    Returns:
        The page, as Markdown.
    """
    parts = []
    for number, cell in enumerate(book.cells):
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
        outputs = cell.get("outputs", ())
        if printed := "".join(one.text for one in outputs if one.output_type == "stream" and one.name == "stdout"):
            parts.append(f"```text\n{printed.rstrip()}\n```")
        for k, output in enumerate(outputs):
            data = output.get("data", {})
            if output.output_type == "stream":
                continue
            if "image/png" in data:
                file = f"{name}_{number}_{k}.png"
                (out / file).write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![Output of the cell above]({file})")
            elif "text/html" in data:
                parts.append(f'<div class="output">{plain_html(data["text/html"])}</div>')
            elif "text/plain" in data:
                parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    source = f"https://github.com/homeostat/homeostat/blob/main/docs/notebooks/{name}.ipynb"
    parts.insert(1, f"This page shows a [notebook]({source}) with its outputs.")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Runs every notebook and writes its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=NOTEBOOKS)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="The notebooks to run; default: all.")
    settings = parser.parse_args()
    models = dict(pair.split("=", 1) for pair in settings.models)
    settings.out.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not settings.only or notebook.stem in settings.only:
            made = page(run(notebook, models), notebook.stem, settings.out)
            (settings.out / f"{notebook.stem}.md").write_text(made, encoding="utf-8")
            print(settings.out / f"{notebook.stem}.md")


if __name__ == "__main__":
    main()
