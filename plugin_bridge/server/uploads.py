"""Files that people send: whole under their names, or not there."""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from plugin_bridge.audio.formats import SUFFIXES
from plugin_bridge.errors import JobError
from plugin_bridge.naming import safe_name
from plugin_bridge.server.guard import BodyError
from plugin_bridge.server.places import OutsideError
from separators.atomic import put_in_place

FOLDER = "uploads"
"""Below the root."""
SPARE_BYTES = 1 << 30
"""What an upload leaves free on the disk."""
UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")
"""What is being sent is called so, or was when a server was killed."""


async def upload_into(root: Path, request: Request) -> str:
    """Take a file; returns its path below the root."""
    name = safe_name(request.path_params["name"])
    if Path(name).suffix.lower() not in SUFFIXES:
        raise JobError(f"{name}: uploads are audio files, by their suffix too")
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    if folder.resolve() != folder:
        raise OutsideError(f"{FOLDER} is a link")
    final = folder / name
    _refuse_taken(final)
    temporary = folder / f".{secrets.token_hex(8)}.part"
    try:
        failed: Exception | None = None
        with temporary.open("xb") as file:
            async for piece in request.stream():
                if failed:
                    continue  # who sends a body reads no answer before it is sent
                try:
                    if shutil.disk_usage(folder).free < SPARE_BYTES + len(piece):
                        raise BodyError(507, "the server's disk is full")
                    await run_in_threadpool(file.write, piece)
                except (OSError, BodyError) as error:
                    failed = error
        if failed:
            raise failed
        _refuse_taken(final)  # somebody else may have been quicker
        await run_in_threadpool(put_in_place, temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    return final.relative_to(root).as_posix()


def _refuse_taken(final: Path) -> None:
    if final.exists():
        raise JobError(f"{final.name}: is there already; give it another name")


def sweep(root: Path) -> None:
    """Remove what killed servers of ``root``, which has no links in its path, left of uploads."""
    folder = root / FOLDER
    with suppress(OSError):
        if folder.resolve() == folder:
            for path in list(folder.iterdir()):
                if UNFINISHED.fullmatch(path.name):
                    path.unlink()
