"""Screenshots in a terminal that answers: kitty's protocol, sixels, and terminals that must not be asked."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WITHOUT = find_spec("textual_image") is None
PROGRAM = """
import numpy as np
from rich.console import Console
from homeostat.agent import events as e
from homeostat.cli.live import view_for

pixels = np.zeros((64, 32, 3), np.uint8)
pixels[:32, :, 0] = 255
pixels[32:, :, 2] = 255
with view_for(Console(highlight=False)) as view:
    view.show(e.Observe(app="notes", screenshot=pixels))
    view.show(e.Sense(instruction="go on", text=""))
print("the end")
"""
KITTY = {b"\x1b[c": b"\x1b[?62;22c", b"\x1b_G": b"\x1b_Gi=1;OK\x1b\\"}
SIXEL = {b"\x1b[c": b"\x1b[?62;4;22c"}
OLD = {b"\x1b[c": b"\x1b[?1;2c"}


def shown_in(answers: dict[bytes, bytes], **environment: str) -> bytes:
    """What the program writes to a terminal of 100 × 30 cells of 10 × 20 pixels that answers so."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 1000, 600))
    environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=side, stdout=side, stderr=side, env={**kept, **environment}
    )
    os.close(side)
    written, answered, until = b"", set[bytes](), time.monotonic() + 90
    with contextlib.suppress(OSError):  # the terminal is gone once the program has ended
        while time.monotonic() < until and select.select([main], [], [], 60)[0]:
            written += os.read(main, 65536)
            for query, answer in answers.items():
                if query in written and query not in answered:
                    answered.add(query)
                    os.write(main, answer)
    os.close(main)
    assert process.wait(timeout=60) == 0, written
    assert b"the end" in written
    return written


@pytest.mark.skipif(WITHOUT, reason="textual-image is not installed")
def test_kitty_gets_the_pixels_themselves() -> None:
    written = shown_in(KITTY)
    chunks = re.findall(rb"\x1b_G([^;\x1b]*);([A-Za-z0-9+/=]+)\x1b\\", written)
    sent = b"".join(payload for keys, payload in chunks if b"f=100" in keys)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(sent))).convert("RGB"))
    height, width = image.shape[:2]
    assert abs(height - 2 * width) <= 2 * 20  # one cell
    assert (image[2, width // 2] == (255, 0, 0)).all()
    assert (image[-3, width // 2] == (0, 0, 255)).all()
    assert chr(0x10EEEE).encode() in written
    assert "▄".encode() not in written


@pytest.mark.skipif(WITHOUT, reason="textual-image is not installed")
def test_a_terminal_with_sixels_gets_sixels() -> None:
    written = shown_in(SIXEL)
    assert re.search(rb"\x1bP[0-9;]*q", written)
    assert "▄".encode() not in written


def test_other_terminals_get_half_blocks() -> None:
    written = shown_in(OLD)
    assert "▄".encode() in written
    assert b"\x1bP" not in written


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_dumb_terminal_is_asked_nothing_and_gets_plain_lines(environment: dict[str, str]) -> None:
    written = shown_in({}, **environment)
    assert b"\x1b" not in written
    assert b"step 1: on notes" in written


def test_without_the_library_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "textual_image.py").write_text("raise ImportError\n")
    written = shown_in({}, PYTHONPATH=str(tmp_path))
    assert b"\x1b[c" not in written
    assert "▄".encode() in written
