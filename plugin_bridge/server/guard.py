"""What stands before every request: who it is for, how large and slow it may be, who may change something."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Collection

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 1 << 16
"""Bytes of every body but uploads."""
SILENT_SECONDS = 10.0
"""Between two pieces of a body, at most."""
BODY_SECONDS = 20.0
"""For a whole body that is no upload."""
SLOWEST_UPLOAD = 20_000
"""Bytes a second that an upload must have on average, after its first twenty seconds."""
READING = frozenset({"GET", "HEAD"})
UPLOADS = "/api/uploads/"
HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class BodyError(Exception):
    """A body that is too large or too slow."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refusal(status: int, text: str) -> Response:
    """The answer to a request whose body is not read to its end: the connection ends, too."""
    return JSONResponse({"error": text}, status, headers={"connection": "close"})


class Guard:
    """Lets through requests for our own hosts; those that change something need the token."""

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str], upload_bytes: int) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        refused = self._refusal(scope)
        if refused is None:
            is_upload = scope["path"].startswith(UPLOADS) and scope["method"] == "PUT"
            await self._app(scope, self._measured(receive, is_upload), secured)
        else:
            await refusal(*refused)(scope, receive, secured)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why the request is not even looked at."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        host = headers.get(b"host", [b""])
        name = re.sub(rb":\d{1,5}$", b"", host[0]).decode("ascii", "replace").lower()
        if len(host) != 1 or name not in self._hosts:  # a page elsewhere that has its name point to us
            return 421, "this server does not go by that name"
        if b"content-encoding" in headers:
            return 415, "bodies are taken as they are, without a content encoding"
        lengths = headers.get(b"content-length", [])
        limit = self._upload_bytes if scope["path"].startswith(UPLOADS) else BODY_LIMIT
        if any(not value.isdigit() or len(value) > 18 or int(value) > limit for value in lengths):
            return 413, f"a body may have {limit} bytes"
        if scope["method"] in READING:
            return None
        if scope["method"] not in ("POST", "PUT"):
            return 405, "only GET, HEAD, POST and PUT are known"
        said = headers.get(b"authorization", [])
        if len(said) != 1 or not hmac.compare_digest(said[0], b"Bearer " + self._token):
            return 401, "this changes something, and needs the token that the server printed when it began"
        return None

    def _measured(self, receive: Receive, is_upload: bool) -> Receive:
        limit = self._upload_bytes if is_upload else BODY_LIMIT
        begun, got = time.monotonic(), 0

        async def read() -> Message:
            nonlocal got
            try:
                message = await asyncio.wait_for(receive(), SILENT_SECONDS)
            except TimeoutError:
                raise BodyError(408, "the body does not come") from None
            got += len(message.get("body", b""))
            spent = time.monotonic() - begun
            if got > limit:
                raise BodyError(413, f"a body may have {limit} bytes")
            if spent > BODY_SECONDS and (not is_upload or got < spent * SLOWEST_UPLOAD):
                raise BodyError(408, "the body comes too slowly")
            return message

        return read
