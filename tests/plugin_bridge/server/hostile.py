"""Requests that nobody sends in good faith; ``python -m tests.plugin_bridge.server.hostile`` sends 10,000."""

from __future__ import annotations

import random
import resource
import socket
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from plugin_bridge.report.page import MARK
from plugin_bridge.server.app import make_app
from plugin_bridge.server.queue import Queue
from plugin_bridge.server.running import LOOPBACK, listening, server

TOKEN = "the right token, of some length"
SECRET = b"what no request may see"
UPLOAD_BYTES = 3_000_000
ESCAPES = [
    "../secret.html", "..%2fsecret.html", "%2e%2e/secret.html", "%2e%2e%2fsecret.html", "....//secret.html",
    "..%5csecret.html", "..%c0%afsecret.html", "..%252fsecret.html", "/etc/passwd",
    "//etc/passwd", "%2fetc%2fpasswd",
    "report/../../secret.html", "report/%2e%2e/%2e%2e/secret.html", "report/link.html",
    "report/outside/secret.html",
    "report/.hidden.html", ".git/config", "report/index.html%00.png", "report/a.wav", "plain/index.html",
    "file:///etc/passwd", "C:%5cWindows", "report/tracks/../../../secret.html", "%ff%fe",
    "report/" + "a/" * 3000,
]  # fmt: skip


def make_root(folder: Path) -> Path:
    """A root with one page, links that lead out of it, and a secret beside it."""
    root = folder / "root"
    (root / "report/tracks/One").mkdir(parents=True)
    (folder / "secret.html").write_bytes(MARK.encode() + SECRET)
    (folder / "secret.wav").write_bytes(SECRET)
    (root / "report/index.html").write_text(f"<meta content={MARK}>the page")
    (root / "report/tracks/One/track.js").write_text("the track")
    (root / "report/.hidden.html").write_bytes(SECRET)
    (root / "report/a.wav").write_bytes(SECRET)
    (root / "report/link.html").symlink_to(folder / "secret.html")
    (root / "report/outside").symlink_to(folder)
    (root / "plain").mkdir()
    (root / "plain/index.html").write_bytes(SECRET)
    (root / "linked").mkdir()
    (root / "linked/secret.wav").symlink_to(folder / "secret.wav")
    return root.resolve()


@contextmanager
def served(root: Path):
    """A server of ``root`` in a thread; yields its port and queue."""
    where = listening("127.0.0.1", 0)
    with Queue(root) as queue:
        running = server(make_app(root, queue, TOKEN, LOOPBACK, UPLOAD_BYTES))
        running.install_signal_handlers = lambda: None
        thread = threading.Thread(target=running.run, kwargs={"sockets": [where]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield where.getsockname()[1], queue
        finally:
            running.should_exit = True
            thread.join()


def ask(port: int, content: bytes, seconds: float = 5.0) -> bytes:
    """Send ``content`` and read what comes until the server ends the connection, or is silent."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        try:
            connection.sendall(content)
            while piece := connection.recv(1 << 16):
                got += piece
        except OSError:
            pass
    return got


def request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """A request that ends its connection."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def mutated(dice: random.Random) -> bytes:
    """One request of any kind of badness."""
    token = dice.choice(
        ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"bearer {TOKEN}x", "Bearer " + "y" * 9000]
    )
    path = dice.choice(
        [
            "/",
            "/api/state",
            "/api/files?path=",
            "/api/jobs",
            "/api/jobs/1/cancel",
            "/reports/",
            "/api/uploads/a.wav",
        ]
    )
    made = request(
        dice.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "\0", "CONNECT"]),
        path + dice.choice([*ESCAPES, "", "report/", "?" + "a=b&" * 99]),
        *([f"Authorization: {token}"] if token else []),
        *dice.sample(
            ["Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 5",
             "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Encoding: gzip",
             "Expect: 100-continue", "Host: evil.example", "Upgrade: websocket", "Cookie: \xff\xfe",
             "X-A: " + "b" * dice.randrange(20000), "Range: bytes=0-,-1,5-2"],
            dice.randrange(4),
        ),
        body=dice.choice(
            [b"", b"{", b"[" * 5000, b"\xff\xfe{}", b'{"path": "..", "preset": "x"}', b"5\r\nhello\r\n0\r\n"]
        ),
        host=dice.choice(["localhost", "127.0.0.1:80", "evil.example", "", "[::1]"]),
    )  # fmt: skip
    for _ in range(dice.choice([0, 0, 1, 5])):
        at = dice.randrange(len(made))
        made = (
            made[:at] + dice.choice([b"", b"\0", b"\r\n", b"\n", b"\xff", dice.randbytes(9)]) + made[at + 1 :]
        )
    return made[: dice.randrange(1, len(made) + 1)] + b"\r\n\r\n" if dice.random() < 0.2 else made


def fuzz(port: int, count: int, seed: int = 0) -> list[bytes]:
    """Send ``count`` such requests; returns those that got what they should not."""
    dice = random.Random(seed)
    wrong = []
    for _ in range(count):
        content = mutated(dice)
        got = ask(port, content, 0.25)
        status = got[9:12]
        if (
            SECRET in got
            or b"root:" in got
            or status == b"500"
            or (status[:1] == b"2" and not _harmless(content))
        ):
            wrong.append(content)
    return wrong


def _harmless(content: bytes) -> bool:
    """Whether the request only reads."""
    return content.lstrip().split(b" ")[0] in (b"GET", b"HEAD")


def main(count: int) -> int:
    """Send them and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_root(Path(folder))
        with served(root) as (port, queue):
            fuzz(port, 100)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.monotonic()
            wrong = fuzz(port, count, seed=1)
            spent = time.monotonic() - begun
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            alive = b" 200 " in ask(port, request("GET", "/"))[:20]
            print(
                f"{count} requests in {spent:.0f} s: {len(wrong)} wrong, {len(queue.entries())} jobs, "
                f"{grown / 1024:.1f} MB more memory, answers still: {alive}",
                *wrong[:5],
                sep="\n",
            )
            return int(bool(wrong) or not alive)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
