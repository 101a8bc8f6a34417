"""A double of the Hugging Face hub's API on this machine: repositories, commits and files over HTTP.

It knows what huggingface_hub asks for in order to make a repository, upload a folder in a commit and download a file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


@dataclass
class Repo:
    """One repository."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        return next(reversed(self.commits), "0" * 40)

    def files(self, revision: str) -> dict[str, bytes] | None:
        found = self.head if revision == "main" else revision
        return self.commits.get(found, {} if revision == "main" else None)


@dataclass
class Hub:
    """The hub's state.

    Attributes:
        url: The address.
        repos: The repositories by their type and name, such as ``"models/org/name"``.
        tokens: The tokens that clients sent with writing requests.
        accepted: The token that may write; None lets everybody.
        blobs: Large files that were uploaded on their own, by sha256.
        requests: Every request's method and path.
    """

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    accepted: str | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def put(self, name: str, files: dict[str, bytes], kind: str = "models") -> str:
        """Makes a commit with these files in place of all others; its id."""
        repo = self.repos.setdefault(f"{kind}/{name}", Repo(private=False))
        commit = hashlib.sha1(f"{name}{len(repo.commits)}".encode()).hexdigest()
        repo.commits[commit] = dict(files)
        return commit


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: Any) -> None: ...

    def do_POST(self) -> None:
        hub, body = self.hub, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(f"POST {self.path}")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        hub.tokens.append(token)
        if hub.accepted is not None and token != hub.accepted:
            return self._json({"error": "Invalid credentials"}, 403 if token else 401)
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            key = f"{asked.get('type') or 'model'}s/{name}"
            if key in hub.repos:
                return self._json({"error": "You already created this repo", "url": f"{hub.url}/{name}"}, 409)
            hub.repos[key] = Repo(private=bool(asked.get("private")) or asked.get("visibility") == "private")
            prefix = "" if key.startswith("models/") else key.partition("/")[0] + "/"
            return self._json({"url": f"{hub.url}/{prefix}{name}", "name": name})
        if path == "/api/validate-yaml":
            return self._json({"errors": _faults(json.loads(body)["content"]), "warnings": []})
        if found := re.fullmatch(r"/api/(models|datasets)/(.+)/preupload/(\w+)", path):
            files = json.loads(body)["files"]
            told = [{"path": f["path"], "uploadMode": _mode(f["path"]), "shouldIgnore": False} for f in files]
            return self._json({"files": told})
        if found := re.fullmatch(r"/(?:datasets/)?(.+)\.git/info/lfs/objects/batch", path):
            objects = json.loads(body)["objects"]
            told = [{**o, "actions": {"upload": {"href": f"{hub.url}/blob/{o['oid']}", "header": {}}}} for o in objects]
            return self._json({"transfer": "basic", "objects": told})
        if found := re.fullmatch(r"/api/(models|datasets)/(.+)/commit/(\w+)", path):
            repo = hub.repos[f"{found[1]}/{found[2]}"]
            files = dict(repo.files("main") or {})
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "header":
                    repo.messages.append(value["summary"])
                elif line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.blobs[value["oid"]]
            commit = hub.put(found[2], files, found[1])
            return self._json(
                {
                    "commitUrl": f"{hub.url}/{'datasets/' if found[1] == 'datasets' else ''}{found[2]}/commit/{commit}",
                    "commitOid": commit,
                    "success": True,
                }
            )
        return self._json({"error": f"unknown request {path}"}, 404)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self._json({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(found[1] or "models/", found[2], found[3], found[4])
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            repo = self.hub.repos.get(f"{found[1]}/{found[2]}")
            files = None if repo is None else repo.files(found[3] or "main")
            if repo is None or files is None:
                return self._missing("RepoNotFound" if repo is None else "RevisionNotFound")
            sha = repo.head if found[3] in (None, "main") else found[3]
            names = [{"rfilename": name} for name in files]
            return self._json({"id": found[2], "sha": sha, "private": repo.private, "siblings": names})
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/([^/]+)/?.*", path):
            repo = self.hub.repos.get(f"{found[1]}/{found[2]}")
            files = None if repo is None else repo.files(found[3])
            if files is None:
                return self._missing("RepoNotFound" if repo is None else "RevisionNotFound")
            rows = [{"type": "file", "path": n, "size": len(b), "oid": _oid(b)} for n, b in files.items()]
            return self._json(rows)
        return self._json({"error": f"unknown request {path}"}, 404)

    def _file(self, kind: str, name: str, revision: str, file: str) -> None:
        repo = self.hub.repos.get(f"{kind}{name}")
        if repo is None:
            return self._missing("RepoNotFound")
        files = repo.files(revision)
        if files is None:
            return self._missing("RevisionNotFound")
        commit = repo.head if revision == "main" else revision
        if file not in files:
            return self._missing("EntryNotFound", commit)
        body = files[file]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{_oid(body)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _missing(self, code: str, commit: str = "") -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, data: Any, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _faults(card: str) -> list[dict[str, str]]:
    """What the hub would say about a card's front matter."""
    data = yaml.safe_load(card.split("---\n")[1]) if card.startswith("---\n") else {}
    kinds = {"library_name": str, "base_model": str, "tags": list, "datasets": list, "metrics": list}
    wrong = [name for name, kind in kinds.items() if name in data and not isinstance(data[name], kind)]
    return [{"message": f"{name} has a wrong type"} for name in wrong]


def _mode(path: str) -> str:
    return "lfs" if path.endswith((".safetensors", ".parquet")) else "regular"


def _oid(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@contextmanager
def hub_double() -> Iterator[Hub]:
    """Runs the double."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
