"""What the server answers: its own page, the state of the queue, pages to listen, submissions, uploads."""

from __future__ import annotations

import json
import secrets
import shutil
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
from plugin_bridge.naming import safe_name
from plugin_bridge.presets.preset import Preset
from plugin_bridge.report.page import ASSETS as PAGE_ASSETS
from plugin_bridge.server.guard import BodyError, Guard, refusal
from plugin_bridge.server.places import KINDS, OutsideError, below, page_file
from plugin_bridge.server.queue import FullError, Queue
from separators.atomic import put_in_place

ASSETS = Path(__file__).parent / "assets"
OWN = {
    "/": ASSETS / "queue.html",
    "/assets/queue.css": ASSETS / "queue.css",
    "/assets/queue.js": ASSETS / "queue.js",
    "/assets/page.css": PAGE_ASSETS / "page.css",
}
UPLOADED = "uploads"
"""The folder below the root that takes uploads."""
LISTED = 500
"""Files of one folder that are shown."""
SPARE_BYTES = 1 << 30
"""What an upload leaves free on the disk."""


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
        queue.cancel(request.path_params["number"])
        return JSONResponse({})

    async def upload(request: Request) -> Response:
        return JSONResponse({"path": await _upload(root, request)}, 201)

    routes = [
        *(Route(address, _own(path)) for address, path in OWN.items()),
        Route("/favicon.ico", _no_icon),  # browsers ask for it
        Route("/api/state", state),
        Route("/api/files", files),
        Route("/api/jobs", submit, methods=["POST"]),
        Route("/api/jobs/{number:int}/cancel", cancel, methods=["POST"]),
        Route("/api/uploads/{name}", upload, methods=["PUT"]),
        Route("/reports/{path:path}", page),
    ]
    handlers: dict[Any, Any] = {
        OutsideError: _answer(404), FullError: _answer(503), BridgeError: _answer(400),
        ClientDisconnect: _answer(400), BodyError: _too_much,
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


async def _upload(root: Path, request: Request) -> str:
    """Take a file; returns its path below the root."""
    name = safe_name(request.path_params["name"])
    if Path(name).suffix.lower() not in SUFFIXES:
        raise JobError(f"{name}: uploads are audio files, by their suffix too")
    folder = root / UPLOADED
    folder.mkdir(exist_ok=True)
    if folder.resolve() != folder:
        raise OutsideError(f"{UPLOADED} is a link")
    final = folder / name
    if final.exists():
        raise JobError(f"{name}: is there already; give it another name")
    temporary = folder / f".{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as file:
            async for piece in request.stream():
                if shutil.disk_usage(folder).free < SPARE_BYTES + len(piece):
                    raise BodyError(507, "the disk is full")
                await run_in_threadpool(file.write, piece)
        await run_in_threadpool(put_in_place, temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    return final.relative_to(root).as_posix()
