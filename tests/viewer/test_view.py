"""The server behind ``homeostat view``: what it lists, what it refuses, and what it survives."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

httpx = pytest.importorskip("httpx")


def runs_of(address: str, text: str = "") -> dict[str, dict[str, Any]]:
    told = httpx.get(f"{address}/api/library", params={"text": text}).json()
    return {run["run"]: run for run in told["runs"]}


@pytest.fixture
def root(make: Any, tmp_path: Path) -> Path:
    make.write_run(tmp_path / "runs" / "deep" / "one", goal="save the note")
    make.write_run(tmp_path / "runs" / "two", goal="call Anna", model="other", text="the word xyzzy", attention=False)
    return tmp_path / "runs"


def test_it_lists_every_run_with_its_figures(root: Path, served: Any) -> None:
    found = runs_of(served(root))
    assert set(found) == {"one", "two"}
    one = found["one"]
    assert (one["goal"], one["model"], one["ended"], one["success"]) == ("save the note", "tiny", "premature", False)
    assert (one["steps"], one["tokens"], one["alarms"]) == (4, 15, {"attention_drift": 1})
    assert one["corrections"] == {"remind": 1, "guard": 1}
    assert one["controllers"] == ["guard", "remind"]


def test_it_searches_goals_models_and_answers(root: Path, served: Any) -> None:
    address = served(root)
    assert set(runs_of(address, "anna")) == {"two"}
    assert set(runs_of(address, "XYZZY other")) == {"two"}
    assert set(runs_of(address, "notes_add")) == {"one", "two"}
    assert runs_of(address, "xyzzy tiny") == {}


def test_it_serves_a_runs_data(root: Path, served: Any, make: Any) -> None:
    address = served(root)
    base = f"{address}/api/runs/{runs_of(address)['one']['name']}"
    answer = httpx.get(base)
    record = answer.json()
    assert record["totals"]["calls"] == 5
    again = httpx.get(base, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    screen = record["steps"][0]["screen"]
    assert httpx.get(f"{base}/screens/{screen}").headers["content-type"] == "image/png"
    from homeostat.viewer.attention_pack import pack

    assert httpx.get(f"{base}/attention/0-0.npz").content == pack(make.record_of(0), size=(64, 48))


def test_every_answer_has_strict_headers(root: Path, served: Any) -> None:
    address = served(root)
    for path in ("/", f"/runs/{runs_of(address)['one']['name']}", "/api/library", "/nothing", "/api/runs/x"):
        headers = httpx.get(address + path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
    assert "SameSite=Strict" in httpx.get(address).headers["set-cookie"]
    assert "HttpOnly" in httpx.get(address).headers["set-cookie"]


def test_other_hosts_and_methods_are_refused(root: Path, served: Any) -> None:
    address = served(root)
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1"):
        assert httpx.get(address, headers={"Host": host}).status_code in (400, 421), host
    for host in ("localhost", "localhost:1234", "127.0.0.1", "[::1]:80"):
        assert httpx.get(address, headers={"Host": host}).status_code == 200, host
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "POST"):
        assert httpx.request(method, f"{address}/api/library").status_code == 405, method


def test_a_fork_needs_the_token_and_the_cookie(root: Path, served: Any) -> None:
    address = served(root)
    name = runs_of(address)["one"]["name"]
    where = f"{address}/api/runs/{name}/fork"
    page = httpx.get(f"{address}/runs/{name}")
    token = json.loads(page.text.partition('id="source">')[2].partition("<")[0])["token"]
    cookie = page.headers["set-cookie"].partition(";")[0]
    wanted = {"step": 1}
    assert httpx.post(where, json=wanted).status_code == 403
    assert httpx.post(where, json=wanted, headers={"X-Homeostat-Token": token}).status_code == 403
    assert httpx.post(where, json=wanted, headers={"Cookie": cookie}).status_code == 403
    both = {"X-Homeostat-Token": token, "Cookie": cookie}
    assert httpx.post(where, json=wanted, headers=both | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    refused = httpx.post(where, json=wanted, headers=both)
    assert refused.status_code == 422
    assert "run.json" in refused.json()["error"]
    assert httpx.post(where, json={"step": -1, "command": "x"}, headers=both).status_code == 422
    state = httpx.get(f"{address}/api/runs/{name}/forks").json()
    assert state["steps"] == []
    assert "run.json" in state["reason"]


def test_no_path_leaves_the_folder(root: Path, served: Any, make: Any, tmp_path: Path) -> None:
    outside = make.write_run(tmp_path / "secret", goal="a secret")
    (root / "link").symlink_to(outside)
    inside = root / "half"
    inside.mkdir()
    (inside / "trace.jsonl").symlink_to(outside / "trace.jsonl")
    (root / "stolen.json").symlink_to("/etc/hostname")
    address = served(root)
    assert set(runs_of(address)) == {"one", "two"}
    base = f"{address}/api/runs/{runs_of(address)['one']['name']}"
    (root / "deep" / "one" / "screens" / f"{'0' * 64}.png").symlink_to("/etc/hostname")
    for path in (
        f"{address}/runs/../secret", f"{address}/runs/%2e%2e%2fsecret", f"{base}/screens/..%2f..%2f..%2fsecret",
        f"{base}/screens/{'0' * 64}", f"{base}/attention/..%2ftrace.jsonl", f"{base}/attention/%00",
        f"{address}/api/runs/..%2f..%2fsecret", f"{address}/evaluations/stolen.json", f"{address}/%2e%2e/etc/hostname",
    ):  # fmt: skip
        answer = httpx.get(path)
        assert answer.status_code == 404, path
        assert "a secret" not in answer.text


def test_damaged_runs_are_listed_with_a_word(root: Path, served: Any) -> None:
    whole = (root / "two" / "trace.jsonl").read_bytes()
    lines = whole.split(b"\n")
    cases = {
        "empty": b"",
        "garbage": b"\x00\xff" * 1000,
        "headless": b"\n".join(lines[1:]),
        "partial": whole[: len(whole) // 2],
        "nested": lines[0] + b"\n" + b'{"a":' * 50_000 + b"\n",
        "odd": lines[0].replace(b'"task":{', b'"task":7,"x":{') + b"\n",
        "numbers": lines[0] + b'\n{"kind":"sense","tokens":[],"seconds":1e999,"readings":[7]}\n',
        "list": b"[1, 2]\n[3]\n",
    }
    for name, data in cases.items():
        (root / name).mkdir()
        (root / name / "trace.jsonl").write_bytes(data)
    (root / "gone").mkdir()
    (root / "gone" / "trace.jsonl").mkdir()
    address = served(root)
    answer = httpx.get(f"{address}/api/library")
    assert answer.status_code == 200
    listed = {run["name"]: run for run in answer.json()["runs"]}
    assert len(listed) == len(cases) + 2
    for name, run in listed.items():
        assert httpx.get(f"{address}/runs/{name}").status_code == 200
        assert httpx.get(f"{address}/api/runs/{name}").status_code in (200, 404, 422), run
    notes = {run["run"]: run["note"] for run in listed.values()}
    assert notes["empty"] == "The trace is empty."
    assert "does not begin with a start event" in notes["garbage"]
    assert sum(bool(run["note"]) for run in listed.values()) == len(cases)


def test_it_follows_a_run_that_goes_on(root: Path, served: Any, make: Any) -> None:
    address = served(root)
    before = httpx.get(f"{address}/api/library")
    make.write_run(root / "three", ended=False)
    time.sleep(0.8)
    after = httpx.get(f"{address}/api/library", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert runs_of(address)["three"]["ended"] == "running"
    trace = root / "three" / "trace.jsonl"
    os.utime(trace, (time.time() - 600, time.time() - 600))
    time.sleep(0.8)
    assert runs_of(address)["three"]["ended"] == "interrupted"


def test_evaluations_link_to_their_runs(root: Path, served: Any) -> None:
    episode = {
        "index": 0, "task": "notes_add", "seed": 5, "goal": "save", "success": False, "ended": "premature", "steps": 4,
        "optimal_steps": 3, "calls": 5, "tokens": 15, "prompt_tokens": 1, "seconds": 1.5,
    }  # fmt: skip
    told = {"arguments": {"suite": "atomic", "model": "tiny"}, "episodes": [episode]}
    (root / "before.json").write_text(json.dumps(told))
    (root / "after.json").write_text(json.dumps(told | {"episodes": [episode | {"success": True}]}))
    (root / "going.jsonl").write_text(json.dumps({"arguments": {}}) + "\n" + json.dumps(episode) + "\n{")
    (root / "broken.json").write_text('{"arguments": {}, "episodes": [')
    (root / "other.json").write_text('{"a": 1}')
    address = served(root)
    listed = httpx.get(f"{address}/api/library").json()
    found = {one["file"]: one for one in listed["evaluations"]}
    assert set(found) == {"before.json", "after.json", "going.jsonl", "broken.json"}
    assert (found["going.jsonl"]["episodes"], found["going.jsonl"]["note"]) == (1, "It has not ended.")
    assert not found["broken.json"]["readable"]
    page = httpx.get(f"{address}/evaluations/{found['before.json']['name']}").text
    assert any(f'href="/runs/{run["name"]}"' in page for run in listed["runs"])
    pair = {"before": found["before.json"]["name"], "after": found["after.json"]["name"]}
    assert "rescued" in httpx.get(f"{address}/compare", params=pair).text
    for bad in (
        {"before": "x", "after": "y"},
        {"before": pair["before"]},
        pair | {"after": found["broken.json"]["name"]},
    ):
        assert httpx.get(f"{address}/compare", params=bad).status_code in (404, 422), bad


def test_a_thousand_runs_are_listed(make: Any, served: Any, tmp_path: Path) -> None:
    source = make.write_run(tmp_path / "source", attention=False)
    data = (source / "trace.jsonl").read_bytes()
    for number in range(1000):
        folder = tmp_path / "runs" / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / "trace.jsonl").write_bytes(data.replace(b'"run":"source"', b'"run":"%04d"' % number))
    assert len(runs_of(served(tmp_path / "runs"))) == 1000
