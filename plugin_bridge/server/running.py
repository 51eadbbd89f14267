"""Runs the server: one process, a bounded number of connections, none that only waits."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from plugin_bridge.errors import JobError
from plugin_bridge.server.app import make_app
from plugin_bridge.server.queue import Queue

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
CONNECTIONS = 100
HEAD_BYTES = 1 << 14
"""Longest head of a request."""
WAITING_SECONDS = 15.0
"""How long a connection may be open without a request that is being answered."""


class PromptProtocol(H11Protocol):
    """Ends connections that send no request, or only the beginning of one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is open."""
        super().connection_made(transport)
        self._answered: Any = None
        self._timer = self.loop.call_later(WAITING_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        cycle = self.cycle
        is_busy = cycle is not None and not cycle.response_complete
        if not is_busy and cycle is self._answered:  # nothing new since the last look
            self.transport.abort()
            return
        self._answered = cycle
        self._timer = self.loop.call_later(WAITING_SECONDS, self._look)


def server(app: ASGIApp) -> uvicorn.Server:
    """A server of ``app`` that is yet to be run with a socket."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=PromptProtocol,
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="critical",
            limit_concurrency=CONNECTIONS,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket at ``host`` and ``port`` (0: any free one); raises :class:`JobError` if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise JobError(
            f"{host}:{port}: cannot listen there: {error.strerror}; choose another {other}"
        ) from None
    made.listen(CONNECTIONS)
    return made


def serve(root: Path, queue: Queue, token: str, where: socket.socket, host: str, upload_bytes: int) -> None:
    """Answer requests at the socket ``where`` until Ctrl-C."""
    hosts = {*LOOPBACK, host.lower(), f"[{host.lower()}]"}
    with queue:
        server(make_app(root, queue, token, hosts, upload_bytes)).run(sockets=[where])
