"""Runs and evaluations that somebody else made: nothing outside is read, nothing waits for ever.

Archives can hold named pipes, links and any file name, so a folder from elsewhere may hold them, too.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.errors import ConfigError, TraceError
from homeostat.viewer import write_report

EPISODE = {
    "index": 0, "task": "notes_add", "seed": 5, "goal": "save", "success": False, "ended": "premature", "steps": 4,
    "optimal_steps": 3, "calls": 5, "tokens": 15, "prompt_tokens": 1, "seconds": 1.5,
}  # fmt: skip


def evaluation(path: Path, *episodes: dict[str, Any], **arguments: Any) -> Path:
    path.write_text(json.dumps({"arguments": arguments, "episodes": list(episodes)}))
    return path


@pytest.fixture
def client() -> Any:
    httpx = pytest.importorskip("httpx")
    with httpx.Client(timeout=20) as opened:
        yield opened


@pytest.fixture
def root(make: Any, tmp_path: Path) -> Path:
    make.write_run(tmp_path / "runs" / "one")
    return tmp_path / "runs"


def listed(client: Any, address: str) -> dict[str, Any]:
    answer = client.get(f"{address}/api/library")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pipes_sockets_and_loops_do_not_stop_the_list(root: Path, served: Any, client: Any) -> None:
    os.mkfifo(root / "pipe.json")
    os.mkfifo(root / "pipe.jsonl")
    (root / "loop.json").symlink_to("loop.json")
    (root / "dangling.json").symlink_to("nowhere.json")
    for name, make_trace in (("pipe", os.mkfifo), ("loop", lambda path: path.symlink_to(path.name))):
        (root / name).mkdir()
        make_trace(root / name / "trace.jsonl")
    bound = socket.socket(socket.AF_UNIX)
    (root / "socket").mkdir()
    here = Path.cwd()
    os.chdir(root / "socket")  # the path of a socket is short
    try:
        bound.bind("trace.jsonl")
    finally:
        os.chdir(here)
        bound.close()
    address = served(root)
    runs = {run["run"]: run for run in listed(client, address)["runs"]}
    assert set(runs) == {"one", "pipe", "socket"}
    assert runs["pipe"]["note"] == "The trace can't be read: not a regular file."
    assert runs["socket"]["ended"] == "damaged"
    for name in ("pipe", "socket"):
        assert client.get(f"{address}/runs/{runs[name]['name']}").status_code == 200
        assert client.get(f"{address}/api/runs/{runs[name]['name']}").status_code in (404, 422)


def test_what_is_no_plain_request_is_refused(root: Path, served: Any) -> None:
    address = served(root)
    port = int(address.rpartition(":")[2])
    key = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        + "A" * 22
        + "=="
    )
    here = f"Host: 127.0.0.1:{port}"
    for line, headers, status in (
        ("GET / HTTP/1.1", f"{here}\r\n{key}", (403, 200)),  # 200: a server without WebSockets ignores the wish
        ("GET / HTTP/1.0", "Accept: */*", (421,)),
        ("GET http://evil.example/ HTTP/1.1", "Host: evil.example", (421,)),
        ("GET / HTTP/1.1", f"{here}\r\nHost: evil.example", (400, 421)),
        ("GET / HTTP/1.1", "Host: 2130706433", (421,)),
        ("GET / HTTP/1.1", "Host: evil.example:localhost", (421,)),
        ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", here, (404,)),
        ("GET /..%2f..%2fetc/passwd HTTP/1.1", here, (404,)),
    ):
        with socket.create_connection(("127.0.0.1", port), 10) as opened:
            opened.sendall(f"{line}\r\n{headers}\r\n\r\n".encode())
            assert int(opened.recv(200).split()[1]) in status, line


def test_any_file_name_is_listed_and_shown(root: Path, served: Any, client: Any, make: Any) -> None:
    names = ['"><script>alert(1)<script>', "a\nb", "\u202eexe", "-rf", "\x1b[2J", "é" * 100, os.fsdecode(b"\xff\xfe")]
    for name in names:
        os.rename(make.write_run(root.parent / "made", attention=False), root / name)
        evaluation(root / f"{name}.json", EPISODE)
    address = served(root)
    told = listed(client, address)
    assert len(told["runs"]) == len(names) + 1
    assert len(told["evaluations"]) == len(names)
    for where in [f"/runs/{run['name']}" for run in told["runs"]] + [
        f"/evaluations/{one['name']}" for one in told["evaluations"]
    ]:
        page = client.get(address + where)
        assert page.status_code == 200, page.text
        assert "<script>alert" not in page.text
        assert "\u202e" not in page.text
        assert "\x1b" not in page.text


def test_a_folder_of_any_name_is_served(make: Any, tmp_path: Path, served: Any, client: Any) -> None:
    root = tmp_path / os.fsdecode(b"\xff\xe2\x80\xae<b>")
    make.write_run(root / "one", attention=False)
    address = served(root)
    page = client.get(address)
    assert page.status_code == 200
    assert "<b>" not in page.text
    assert "\u202e" not in page.text
    (run,) = listed(client, address)["runs"]
    assert client.get(f"{address}/api/runs/{run['name']}").status_code == 200


def test_an_evaluation_with_any_text_is_listed(root: Path, served: Any, client: Any) -> None:
    strange = "\ud800\u202e\x1b[2J<i>"
    evaluation(root / "strange.json", EPISODE | {"goal": strange}, suite=strange, model=strange, seed=float("nan"))
    evaluation(root / "other.json", EPISODE, suite=[[strange]], policy={strange: strange})
    address = served(root)
    told = listed(client, address)
    assert {one["file"] for one in told["evaluations"]} == {"strange.json", "other.json"}
    assert "\u202e" not in json.dumps(told, ensure_ascii=False)
    names = [one["name"] for one in told["evaluations"]]
    for where in (
        f"/evaluations/{names[0]}",
        f"/evaluations/{names[1]}",
        f"/compare?before={names[0]}&after={names[1]}",
    ):
        assert client.get(address + where).status_code == 200, where


def test_an_evaluation_names_no_run_elsewhere(root: Path, served: Any, client: Any, make: Any, tmp_path: Path) -> None:
    make.write_run(tmp_path / "secret-5", goal="a secret")
    (root / "00001-").mkdir()
    elsewhere = EPISODE | {"index": 1, "task": f"/../../{'secret'}", "steps": 9}
    file = evaluation(root / "evil.json", EPISODE, elsewhere)
    address = served(root)
    (one,) = listed(client, address)["evaluations"]
    page = client.get(f"{address}/evaluations/{one['name']}")
    assert page.status_code == 200
    assert page.text.count('href="/runs/') == 1
    index = write_report(file, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "episodes").iterdir()] == ["00000.html"]
    assert "a secret" not in index.read_text()


def test_a_pipe_is_written_to_and_stays_one(make: Any, tmp_path: Path) -> None:
    run = make.write_run(tmp_path / "run", steps=1, attention=False)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_report(run, pipe)
    reader.join(20)
    assert pipe.is_fifo()
    assert read[0].startswith(b"<!doctype html>")


def test_a_page_is_never_written_through_a_link(make: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    run = make.write_run(tmp_path / "run", attention=False)
    (run / "report.html.part").symlink_to(mine)
    assert write_report(run) == run / "report.html"
    assert mine.read_text() == "mine"
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(tmp_path / "site")
    try:
        write_report(run)
    except ConfigError as error:
        assert "give another --out" in str(error)  # noqa: PT017
    assert (tmp_path / "site" / "index.html").read_text() == "mine"
    file = evaluation(tmp_path / "all.json", EPISODE)
    (tmp_path / "all-report").mkdir()
    (tmp_path / "all-report" / "episodes").symlink_to(tmp_path / "site")
    with pytest.raises(ConfigError, match="episodes' is a link; delete it"):
        write_report(file)
    shutil.rmtree(tmp_path / "all-report")
    (tmp_path / "all-report").symlink_to(tmp_path / "site")
    with pytest.raises(ConfigError, match="give another --out"):
        write_report(file)
    assert (tmp_path / "site" / "index.html").read_text() == "mine"


@pytest.mark.parametrize("kind", ["pipe", "zero"])
@pytest.mark.parametrize("part", ["trace.jsonl", "screens", "attention"])
def test_a_report_reads_files_only(make: Any, tmp_path: Path, part: str, kind: str) -> None:
    run = make.write_run(tmp_path / "run", steps=2)
    for path in [run / part] if part.endswith(".jsonl") else list((run / part).iterdir()):
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    if part == "trace.jsonl":
        with pytest.raises(TraceError):
            write_report(run)
        return
    text = write_report(run).read_text()
    told = "Screenshots that are missing or damaged: 2." if part == "screens" else "can't be read"
    assert told in text


def test_a_picture_is_read_as_png_only(make: Any, tmp_path: Path) -> None:
    from PIL import Image

    from homeostat.envs.screens import load_screen, screen_digest

    pixels = make.picture(3)
    digest = screen_digest(pixels)
    Image.fromarray(pixels).save(tmp_path / f"{digest}.png", "PNG")
    np.testing.assert_array_equal(load_screen(tmp_path, digest), pixels)
    Image.fromarray(pixels).save(tmp_path / f"{digest}.png", "BMP")
    with pytest.raises(TraceError, match="missing or damaged"):
        load_screen(tmp_path, digest)
    Image.fromarray(np.zeros((20_000, 20_000), np.uint8)).save(tmp_path / f"{digest}.png", "PNG")  # 400 megapixels
    with pytest.raises(TraceError, match="missing or damaged"):
        load_screen(tmp_path, digest)
