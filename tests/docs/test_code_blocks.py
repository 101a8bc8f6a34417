"""Every code block of the tutorials and the how-to pages runs as it is written, and prints what the page says.

A ``python`` block runs, in one namespace for each page. With a title it is a file that is written first. Lines of a
``sh`` block run when they start with ``homeostat``; those that end with ``&`` run beside the rest until the page ends.
A ``text`` block behind one of these is its output: words must be equal, numbers may differ by a twentieth, and a line
``…`` stands for any number of lines. A comment ``<!-- not run: REASON -->`` in front of a block leaves it out; of its
commands, the options are still looked up.
"""

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.cli.root import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("tutorials", "how-to")
    for path in (ROOT / "docs" / folder).glob("*.md")
)
HERE = Path.home() / ".cache" / "homeostat" / "real-models"
MODELS = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": HERE / "smollm2",
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": HERE / "qwen0.5b",
}
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?"
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?")
PROGRAMS = {"homeostat", "pip", "make", "curl", "docker", "adb", "apt", "git", "export", "jupyter"}


@dataclass
class Block:
    """One code block of a page."""

    page: str
    line: int
    language: str
    title: str
    code: str
    reason: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, outputs joined to what prints them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        one = Block(page, line, match["language"], match["title"] or "", match["code"], match["reason"] or "")
        if one.language == "text" and found and not text[end : match.start()].strip() and found[-1].output is None:
            found[-1].output = one.code
        else:
            found.append(one)
        end = match.end()
    return found


def with_local_models(code: str) -> str:
    """The code with the folders of this machine in place of the models' names on the hub."""
    for name, folder in MODELS.items():
        code = code.replace(name, str(folder))
    return code


def commands_of(code: str) -> Iterator[list[str]]:
    """The commands of a shell block, as words; the last word is & where the command runs beside the rest."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


@dataclass
class Reader:
    """Somebody who goes through a page and does what it says."""

    names: dict[str, Any]
    background: list[subprocess.Popen[bytes]]
    capture: Any

    def follow(self, block: Block) -> None:
        """Does what one block says, and compares what it prints."""
        code = with_local_models(block.code)
        if block.title:
            Path(block.title).write_text(code, encoding="utf-8")
            return
        if block.language == "python":
            exec(compile("\n" * block.line + code, block.page, "exec"), self.names)
            said = self.capture.readouterr().out
        elif block.language == "sh":
            said = "".join(self.command(block, words) for words in commands_of(code))
        else:
            return
        if block.output is not None:
            check_output(block, said)

    def command(self, block: Block, words: list[str]) -> str:
        """Runs one command of ours, and says what it printed."""
        assert words[0] in PROGRAMS, f"{block}: {words[0]} is no known program"
        if words[0] != "homeostat":
            return ""
        if words[-1] == "&":
            call = [sys.executable, "-c", "from homeostat.cli.root import main; main()", *words[1:-1]]
            port = words[words.index("--port") + 1]
            self.background.append(subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait_for(int(port), self.background[-1])
            return ""
        self.capture.readouterr()
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{block}: {shlex.join(words)}\n{result.output}\n{result.exception!r}"
        return result.stdout


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Waits until somebody listens on a port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on port {port}")


def same_line(told: str, said: str) -> bool:
    """Whether two lines have the same words, and numbers within a twentieth (or 0.02)."""
    if " ".join(NUMBER.sub("#", told).split()) != " ".join(NUMBER.sub("#", said).split()):
        return False
    read = [[float(n.replace(",", "").replace("−", "-")) for n in NUMBER.findall(line)] for line in (told, said)]
    return all(abs(a - b) <= max(0.02, abs(a) / 20) for a, b in zip(*read, strict=True))


def check_output(block: Block, said: str) -> None:
    """Compares an output with the page's, line by line."""
    told = [line.rstrip() for line in block.output.splitlines()] if block.output else []
    lines = [line.rstrip() for line in said.strip("\n").splitlines()]

    def fits(a: int, b: int) -> bool:
        while a < len(told) and told[a] != "…":
            if b >= len(lines) or not same_line(told[a], lines[b]):
                return False
            a, b = a + 1, b + 1
        return b == len(lines) if a == len(told) else any(fits(a + 1, c) for c in range(b, len(lines) + 1))

    assert fits(0, 0), f"{block} prints\n{said}"


@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_says(page, tmp_path, monkeypatch, capsys):
    blocks = blocks_of(page)
    for name, folder in MODELS.items():
        if not folder.is_dir() and any(name in block.code for block in blocks if not block.reason):
            pytest.skip(f"{name} is not on this machine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.syspath_prepend(str(tmp_path))
    reader = Reader({"__name__": "__main__"}, [], capsys)
    try:
        for block in blocks:
            if not block.reason:
                reader.follow(block)
    finally:
        for process in reader.background:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_every_kind_of_block_is_known():
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in {"python", "sh", "yaml", "toml", "text", "json"}, block
            assert block.language not in {"yaml", "toml"} or block.title, f"{block} has no file name"


@pytest.fixture(scope="module")
def help_of():
    """The help text of a command, made once for each."""
    known: dict[str, str] = {}

    def text(command: str) -> str:
        if command not in known:
            known[command] = CliRunner().invoke(app, [command, "--help"]).output
        return known[command]

    return text


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page, help_of):
    text = (ROOT / page).read_text(encoding="utf-8")
    said = [words for block in blocks_of(page) if block.language == "sh" for words in commands_of(block.code)]
    said += [shlex.split(line) for line in re.findall(r"`(homeostat [^`]+)`", text)]
    for words in said:
        if words[0] == "homeostat" and words[1] != "--help" and words[1] != "COMMAND":
            for word in words[2:]:
                assert not word.startswith("--") or re.search(rf"{word}\b", help_of(words[1])), f"{page}: {words}"
