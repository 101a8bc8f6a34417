"""Python blocks of the README and the pages for newcomers can be pasted into an interactive Python shell.

The shell ends a compound statement at a blank line only: a line that follows an indented one directly is an error
there, although a file may hold it.
"""

from __future__ import annotations

import codeop
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
)


def refused(code: str) -> str:
    """The line at which the shell reports a syntax error; "" for none."""
    compiled, held = codeop.CommandCompiler(), []
    for line in code.splitlines():
        held.append(line)
        try:
            if compiled("\n".join(held), symbol="single") is not None:
                held = []
        except SyntaxError:
            return line
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_blocks_can_be_pasted_into_a_shell(page: Path) -> None:
    blocks = re.findall(r"```python[^\n]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    scripts = [code for code in blocks if "class " not in code]  # a class with blank lines belongs into a file
    assert [line for code in scripts if (line := refused(code))] == []


def test_what_a_shell_refuses_is_noticed() -> None:
    assert refused("for a in b:\n    c()\n\nd()\n") == ""
    assert refused("for a in b:\n    c()\nd()\n") == "d()"
