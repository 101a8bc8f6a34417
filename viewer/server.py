"""The application behind ``homeostat view``: lists, pages and their data, all read from one folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from homeostat.controllers import controller_names
from homeostat.errors import HomeostatError
from homeostat.foreign_text import clipped, visible
from homeostat.viewer.attention_pack import pack
from homeostat.viewer.comparison_page import comparison_page
from homeostat.viewer.evaluation_page import evaluation_page
from homeostat.viewer.forking import ForkRequest, Forks, fork_reason, fork_starts, kept_steps
from homeostat.viewer.gate import Gate, Keys
from homeostat.viewer.library import FoundEvaluation, Library
from homeostat.viewer.pages import Page, json_block, page
from homeostat.viewer.reading import TRACE, read_run
from homeostat.viewer.record import run_record
from homeostat.viewer.run_page import Back, Recorded, served_run_page
from homeostat.viewer.screens import encoded

__all__ = ["create_app"]

_HOME = Back("/", "all runs")
_KEPT = 8
"""How many runs are held in memory, so that a page's screenshots don't read the trace again each time."""


class _Open:
    """The runs that were looked at last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[Path, tuple[tuple[int, int], Recorded]] = OrderedDict()

    def get(self, folder: Path) -> Recorded:
        stat = (folder / TRACE).stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
        with self._lock:
            held = self._runs.get(folder)
        if held is None or held[0] != stamp:
            held = (stamp, Recorded(read_run(folder)))
        with self._lock:
            self._runs[folder] = held
            self._runs.move_to_end(folder)
            while len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        return held[1]


def create_app(root: Path, *, host: str = "127.0.0.1", forks: bool = True) -> FastAPI:
    """Builds the application.

    Args:
        root: The folder whose runs and evaluations are shown.
        host: The name or address that the server listens on.
        forks: Whether runs can be forked.

    Returns:
        An ASGI application. Its handlers run in threads, because they read files.
    """
    library, keys, started, opened = Library(root), Keys(), Forks(), _Open()
    forked: dict[str, Path] = {}
    app = FastAPI(title="homeostat view", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Gate, host=host, keys=keys)
    app.add_exception_handler(HTTPException, _failed_route)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(HomeostatError, _refused)
    app.add_exception_handler(OSError, _gone)
    app.state.forks = started

    def folder_of(name: str) -> Path:
        folder = library.run_folder(name)
        if folder is None:
            raise HTTPException(404, "there is no such run; it may have been deleted")
        return folder

    def found(name: str) -> FoundEvaluation:
        one = library.evaluations().get(name)
        if one is None:
            raise HTTPException(404, "there is no such evaluation; it may have been deleted")
        return one

    @app.get("/")
    def home() -> Response:
        """The list of runs and evaluations."""
        return _sent(_list_page(library), keys)

    @app.get("/api/library")
    def listed(request: Request, text: str = "") -> Response:
        """What the list shows; with ``text``, only the runs that hold all its words."""
        version = f'"{library.version}{hashlib.sha256(text.encode()).hexdigest()[:8]}"'
        if request.headers.get("if-none-match") == version:
            return Response(status_code=304)
        words = text.lower().split()
        runs = [
            {k: v for k, v in dataclasses.asdict(one).items() if k != "text"} | {"name": name}
            for name, one in library.runs().items()
            if all(word in one.text for word in words)
        ]
        evaluations = [_listed(name, one) for name, one in library.evaluations().items()]
        return _json({"runs": runs, "evaluations": evaluations}, version)

    @app.get("/runs/{name}")
    def run(name: str) -> Response:
        """The page of a run."""
        folder = folder_of(name)
        told = {"base": f"/api/runs/{name}", "forks": forks, "token": keys.token}
        return _sent(served_run_page(f"{visible(folder.name)} – homeostat", told, _HOME), keys)

    @app.get("/api/runs/{name}")
    def record(name: str, request: Request) -> Response:
        """A run's data."""
        folder = folder_of(name)
        kept, relations = opened.get(folder), library.runs()
        mine = relations[name].run if name in relations else folder.name
        forked = sum(one.forked_from == mine for one in relations.values())
        stat = (folder / TRACE).stat()
        version = f'"{stat.st_size}-{stat.st_mtime_ns}-{forked}"'
        if request.headers.get("if-none-match") == version:
            return Response(status_code=304)
        told = run_record(kept.run)
        told["parent"] = [n for n, one in relations.items() if one.run and one.run == told["start"]["forked_from"]][:1]
        told["children"] = [
            {"name": n, "run": one.run}
            for n, one in relations.items()
            if one.forked_from and one.forked_from == told["run"]
        ]
        return _json(told, version)

    @app.get("/api/runs/{name}/screens/{digest}")
    def screen(name: str, digest: str) -> Response:
        """A screenshot."""
        pixels = opened.get(folder_of(name)).pixels(digest)
        if pixels is None:
            raise HTTPException(404, "the screenshot is missing or damaged")
        picture = encoded(pixels)
        return Response(picture.data, media_type=picture.kind, headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/api/runs/{name}/attention/{record}")
    def attention(name: str, record: str) -> Response:
        """The attention of a model call, packed."""
        loaded = opened.get(folder_of(name)).attention(record)
        if isinstance(loaded, str):
            raise HTTPException(404, loaded)
        return Response(pack(loaded[0], size=loaded[1]), media_type="application/octet-stream")

    @app.get("/api/runs/{name}/forks")
    def forkable(name: str) -> Response:
        """The steps at which a run can be forked, or why it can't be."""
        folder = folder_of(name)
        reason = fork_reason(folder) if forks else "Forks are only started by a server on a loopback address."
        steps = [] if reason else list(kept_steps(folder))
        starts = fork_starts(folder)
        return _json({"reason": reason, "steps": steps, "starts": starts, "controllers": sorted(controller_names())})

    @app.post("/api/runs/{name}/fork")
    def fork(name: str, wanted: ForkRequest) -> Response:
        """Starts a fork of a run."""
        folder = folder_of(name)
        if not forks:
            raise HTTPException(403, "forks are only started by a server on a loopback address")
        new = started.start(folder, wanted)
        forked[library.name_of(new)] = new
        return _json({"name": library.name_of(new), "run": visible(new.name), "parent": name}, status=202)

    @app.get("/api/runs/{name}/forks/{fork}")
    def state(name: str, fork: str) -> Response:
        """How a fork is doing that was started here."""
        if fork not in forked:
            raise HTTPException(404, "this server has started no such fork")
        return _json(started.state(forked[fork]))

    @app.get("/evaluations/{name}")
    def evaluation(name: str) -> Response:
        """The page of an evaluation."""
        one = found(name)
        if one.evaluation is None:
            raise HTTPException(422, one.note)
        links = {index: f"/runs/{run}" for index, run in library.episodes(one.evaluation).items()}
        notes = [one.note] if one.note else []
        made = evaluation_page(one.evaluation, one.name, links, notes=notes, back=_HOME, connect=True)
        return _sent(made, keys)

    @app.get("/compare")
    def compare(before: str, after: str) -> Response:
        """The page that compares two evaluations."""
        pair = [found(before), found(after)]
        told = [one.evaluation for one in pair if one.evaluation is not None]
        if len(told) < 2:
            raise HTTPException(422, "one of the two evaluations can't be read")
        links = [{i: f"/runs/{run}" for i, run in library.episodes(one).items()} for one in told]
        names = (pair[0].name, pair[1].name)
        made = comparison_page(told[0], told[1], names, links=(links[0], links[1]), back=_HOME, connect=True)
        return _sent(made, keys)

    return app


def _list_page(library: Library) -> Page:
    return page(
        "list.html.j2",
        title=f"{visible(library.root.name or str(library.root))} – homeostat view",
        styles=("base.css", "tables.css", "list.css"),
        scripts=("dom.js", "list.js"),
        connect=True,
        root=visible(str(library.root)),
        blocks=[json_block("settings", {})],
    )


def _listed(name: str, one: FoundEvaluation) -> dict[str, Any]:
    told = one.evaluation
    words = {key: told.arguments.get(key) for key in ("suite", "model", "policy", "controllers")} if told else {}
    return {
        "name": name,
        "file": one.name,
        "note": one.note,
        "modified": one.modified,
        "solved": sum(r.success for r in told.results) if told else 0,
        "episodes": len(told.results) if told else 0,
        "readable": told is not None,
        "arguments": {key: visible(clipped(str(value), 120)) for key, value in words.items() if value is not None},
    }


def _sent(made: Page, keys: Keys) -> Response:
    policy = f"{made.policy}; frame-ancestors 'none'"
    return HTMLResponse(_encoded(made.html), headers={"Content-Security-Policy": policy, "Set-Cookie": keys.cookie})


def _json(told: Any, version: str = "", status: int = 200) -> Response:
    text = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    headers = {"ETag": version, "Cache-Control": "no-cache"} if version else {}
    return Response(_encoded(text), status, headers, "application/json")


def _encoded(text: str) -> bytes:
    """The text as bytes, with ``?`` for halves of surrogate pairs, which names of files can hold."""
    return text.encode("utf-8", "replace")


def _failed_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "this failed"
    return _told(request, status, str(detail))


def _refused(request: Request, error: Exception) -> Response:
    text = "the request is incomplete or malformed" if isinstance(error, RequestValidationError) else str(error)
    return _told(request, 422, text)


def _gone(request: Request, error: Exception) -> Response:
    return _told(request, 404, "a file of the run can't be read; it may have been deleted")


def _told(request: Request, status: int, text: str) -> Response:
    """An error: as a page for whoever opens an address, as JSON for a page's script."""
    text = visible(text)
    if request.url.path.startswith("/api/"):
        return _json({"error": text}, status=status)
    made = page("message.html.j2", title="Not shown", styles=("base.css", "tables.css"), back=_HOME, text=text)
    return HTMLResponse(
        _encoded(made.html), status, headers={"Content-Security-Policy": f"{made.policy}; frame-ancestors 'none'"}
    )
