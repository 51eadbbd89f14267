"""``stembridge serve``: the small team server."""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from pathlib import Path

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.errors import JobError
from plugin_bridge.terminal import say

TOKEN = "STEMBRIDGE_TOKEN"  # noqa: S105  # the variable's name
SHORTEST_TOKEN = 16
LOCK = ".stembridge-server.lock"
"""Two servers of one folder would do each job twice, and write over each other's queue."""
SERVING = ("another server serves this folder", "use that one, or serve another --root")


@click.command(cls=Command)
@click.option(
    "--root", type=options.EXISTING_FOLDER, required=True, help="The folder to serve; nothing outside it."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="The port; 0: any."
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    metavar="MB",
    help="The largest file that may be uploaded.",
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=1, help="Worker processes. [default: 1]")
def serve(root: Path, host: str, port: int, max_upload: int, jobs: int) -> None:
    """Serve a page with a queue of jobs, and the pages to listen of finished ones (extra `serve`).

    Jobs are submitted by preset, on files below --root; their results go into its folder `stems`,
    uploads into `uploads`. What has not ended when the server does is done after its next start.
    Everybody who reaches the port may look; who submits, cancels or uploads needs the token that is
    printed when the server begins (or STEMBRIDGE_TOKEN, if that is set). It listens on this computer
    alone unless --host says otherwise; put a proxy with encryption before it then.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise JobError("the server needs starlette and uvicorn: pip install 'stembridge[serve]'")
    from plugin_bridge.engine.memory import can_measure
    from plugin_bridge.jobs.folder_lock import locked
    from plugin_bridge.server import running
    from plugin_bridge.server.queue import Queue
    from plugin_bridge.server.uploads import sweep

    token = os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise JobError(f"{TOKEN} must have at least {SHORTEST_TOKEN} characters, of ASCII")
    with locked(root, LOCK, SERVING):
        where = running.listening(host, port)
        name = f"[{host}]" if ":" in host else host
        say(f"Open http://{name}:{where.getsockname()[1]}/#token={token}", "Ctrl-C ends it.")
        sweep(root.resolve())
        queue = Queue(root.resolve(), jobs=jobs, memory="8GB" if can_measure() else None)
        running.serve(root.resolve(), queue, token, where, host, max_upload * 1_000_000)
