"""What the server answers: its own page, the state of the queue, pages to listen, submissions, uploads."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from plugin_bridge.audio.formats import SUFFIXES
from plugin_bridge.errors import BridgeError, JobError
from plugin_bridge.presets.preset import Preset
from plugin_bridge.report.page import ASSETS as PAGE_ASSETS
from plugin_bridge.server.guard import BodyError, Guard, refusal
from plugin_bridge.server.places import KINDS, OutsideError, below, page_file
from plugin_bridge.server.queue import FullError, Queue
from plugin_bridge.server.uploads import upload_into

ASSETS = Path(__file__).parent / "assets"
OWN = {
    "/": ASSETS / "queue.html",
    "/assets/queue.css": ASSETS / "queue.css",
    "/assets/queue.js": ASSETS / "queue.js",
    "/assets/page.css": PAGE_ASSETS / "page.css",
}
LISTED = 500
"""Files of one folder that are shown."""


def make_app(root: Path, queue: Queue, token: str, hosts: Collection[str], upload_bytes: int) -> ASGIApp:
    """The server for the folder ``root``, which has no links in its path."""

    async def state(request: Request) -> Response:
        return JSONResponse({"jobs": queue.entries(), "presets": Preset.names()})

    async def files(request: Request) -> Response:
        folder = await run_in_threadpool(below, root, request.query_params.get("path", ""))
        return JSONResponse(await run_in_threadpool(_listed, root, folder))

    async def page(request: Request) -> Response:
        return _file(*await run_in_threadpool(page_file, root, request.path_params["path"]))

    async def submit(request: Request) -> Response:
        values = _object(await request.body())
        path, preset, kind = (values.get(key) for key in ("path", "preset", "kind"))
        kind = "separate" if kind is None else kind
        if not (isinstance(path, str) and isinstance(preset, str) and isinstance(kind, str)):
            raise JobError('say {"path": ..., "preset": ...}, and perhaps "kind", each a text')
        return JSONResponse(await run_in_threadpool(queue.submit, path, preset, kind), 201)

    async def cancel(request: Request) -> Response:
        text = request.path_params["number"]
        queue.cancel(int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0)
        return JSONResponse({})

    async def upload(request: Request) -> Response:
        return JSONResponse({"path": await upload_into(root, request)}, 201)

    routes = [
        *(Route(address, _own(path)) for address, path in OWN.items()),
        Route("/favicon.ico", _no_icon),  # browsers ask for it
        Route("/api/state", state),
        Route("/api/files", files),
        Route("/api/jobs", submit, methods=["POST"]),
        Route("/api/jobs/{number}/cancel", cancel, methods=["POST"]),
        Route("/api/uploads/{name}", upload, methods=["PUT"]),
        Route("/reports/{path:path}", page),
    ]
    handlers: dict[Any, Any] = {
        OutsideError: _answer(404), FullError: _answer(503), BridgeError: _answer(400),
        ClientDisconnect: _answer(400), BodyError: _too_much, OSError: _disk,
    }  # fmt: skip
    return Guard(Starlette(routes=routes, exception_handlers=handlers), token, hosts, upload_bytes)


def _own(path: Path) -> Any:
    async def answer(request: Request) -> Response:
        return _file(path, KINDS[path.suffix])

    return answer


def _file(path: Path, kind: str) -> Response:
    return FileResponse(path, media_type=kind, headers={"cache-control": "no-cache"})


def _answer(status: int) -> Any:
    async def answer(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status)

    return answer


async def _too_much(request: Request, error: Exception) -> Response:
    assert isinstance(error, BodyError)
    return refusal(error.status, str(error))


async def _disk(request: Request, error: Exception) -> Response:
    """A disk that is full, read-only or gone; which path it was is nobody's business."""
    assert isinstance(error, OSError)
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = "the server's disk is full" if is_full else f"the server's disk: {error.strerror or 'it fails'}"
    return refusal(507 if is_full else 500, said)


async def _no_icon(request: Request) -> Response:
    return Response(status_code=204)


def _object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise JobError("the body must be a JSON object")
    return values


def _listed(root: Path, folder: Path) -> dict[str, list[str]]:
    """Folders and audio files in ``folder``, by their paths below the root."""
    if not folder.is_dir():
        raise OutsideError("that is no folder")
    found: dict[str, list[str]] = {"folders": [], "files": []}
    for path in sorted(folder.iterdir())[:LISTED]:
        shown = path.relative_to(root).as_posix()
        if path.name.startswith(".") or not shown.isprintable():
            continue
        if path.is_dir():
            found["folders"].append(shown)
        elif path.suffix.lower() in SUFFIXES:
            found["files"].append(shown)
    return found
