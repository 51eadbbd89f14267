"""The team server: a browser that works with it, and requests that must not get through."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plugin_bridge import api
from plugin_bridge.server import guard, journal, running, uploads
from plugin_bridge.server.places import OutsideError, below, check_tree, page_file
from plugin_bridge.server.queue import Entry, FullError, Queue
from tests.browser import chromium, opened, serious, small_targets
from tests.plugin_bridge.command_helpers import error_of, noise, write
from tests.plugin_bridge.processes import started
from tests.plugin_bridge.server.hostile import (
    ESCAPES,
    SECRET,
    TOKEN,
    UPLOAD_BYTES,
    ask,
    fuzz,
    make_root,
    request,
    served,
)

RIGHT = f"Authorization: Bearer {TOKEN}"
JOB = b'{"path": "Duo.wav", "preset": "mic-bleed"}'


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


@pytest.fixture
def port(root):
    with served(root) as (number, _):
        yield number


def status(answer):
    return int(answer[9:12])


def body(answer):
    return answer.partition(b"\r\n\r\n")[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def wait_for_end(port, number=1):
    for _ in range(600):
        jobs = json.loads(body(ask(port, request("GET", "/api/state"))))["jobs"]
        (job,) = [one for one in jobs if one["number"] == number]
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.2)
    raise AssertionError(job)


def test_pages_are_sent_and_nothing_else(port):
    assert body(ask(port, request("GET", "/reports/report/"))).endswith(b"the page")
    assert b"the track" in ask(port, request("GET", "/reports/report/tracks/One/track.js"))
    for path in ESCAPES:
        answer = ask(port, request("GET", f"/reports/{path}"))
        assert status(answer) in (307, 400, 404), path
        assert SECRET not in answer
        answer = ask(port, request("GET", f"/api/files?path={path}"))
        assert SECRET not in answer
        assert (
            b"secret" not in body(answer).replace(b"secret.html: there is no", b"") or status(answer) == 404
        )


def test_every_answer_forbids_what_pages_do_not_need(port):
    for content in (request("GET", "/"), request("POST", "/api/jobs"), request("GET", "/nothing")):
        answer = ask(port, content).lower()
        assert b"content-security-policy: default-src 'none'" in answer
        assert b"x-content-type-options: nosniff" in answer
        assert b"server:" not in answer


@pytest.mark.parametrize(
    "token",
    ["", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", "Bearer \xff\xfe"],
)
def test_without_the_right_token_nothing_is_changed(root, token):
    headers = [f"Authorization: {token}"] if token else []
    with served(root) as (port, queue):
        for method, path in (
            ("POST", "/api/jobs"),
            ("POST", "/api/jobs/1/cancel"),
            ("PUT", "/api/uploads/a.wav"),
        ):
            assert status(ask(port, request(method, path, *headers, body=JOB))) == 401
        both = request("POST", "/api/jobs", RIGHT, RIGHT, body=JOB)
        assert status(ask(port, both)) == 401
        assert queue.entries() == []
    assert not (root / "uploads").exists()


def test_other_names_methods_and_encodings_are_refused(port):
    assert status(ask(port, request("GET", "/", host="evil.example"))) == 421  # DNS rebinding
    assert status(ask(port, request("GET", "/", "Host: evil.example"))) in (400, 421)
    assert status(ask(port, request("DELETE", "/api/jobs", RIGHT))) == 405
    assert status(ask(port, request("POST", "/api/jobs", RIGHT, "Content-Encoding: gzip", body=JOB))) == 415


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"[" * 60000, b"\xff\xfe\x00", b'{"path": 1, "preset": "x"}',
     b'{"path": "..", "preset": "x"}', b'{"path": "linked", "preset": "mic-bleed"}',
     b'{"path": "linked/secret.wav", "preset": "mic-bleed"}',
     b'{"path": "report/a.wav", "preset": "../../evil"}', b'{"path": "\\u0000", "preset": "mic-bleed"}',
     b'{"path": "report/a.wav", "preset": "mic-bleed", "kind": "shell"}',
     b'{"path": "\\ud800", "preset": "x"}'],
)  # fmt: skip
def test_jobs_that_make_no_sense_are_refused(root, content):
    with served(root) as (port, queue):
        answer = ask(port, request("POST", "/api/jobs", RIGHT, body=content))
        assert status(answer) in (400, 404)
        assert str(root).encode() not in answer
        assert queue.entries() == []


def test_huge_bodies_are_not_read_into_memory(port):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    big = request("POST", "/api/jobs", RIGHT, "Content-Length: 10000000000")
    assert status(ask(port, big)) == 413
    lie = request("POST", "/api/jobs", RIGHT, "Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    assert status(ask(port, lie + 2 * chunk)) == 413
    upload = request("PUT", "/api/uploads/a.wav", RIGHT, "Transfer-Encoding: chunked")
    assert status(ask(port, upload + chunk * (2 + UPLOAD_BYTES // len(chunk)))) == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_slow_heads_and_bodies_end(root, monkeypatch):
    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(running, "WAITING_SECONDS", 0.3)
    with served(root) as (port, _):
        slow = request("POST", "/api/jobs", RIGHT, "Content-Length: 100") + b"{"
        assert status(ask(port, slow)) == 408
        for beginning in (b"", b"GET / HT"):
            begun = time.monotonic()
            assert ask(port, beginning, 20) == b""
            assert time.monotonic() - begun < 10
        # Whoever holds many connections open keeps nobody else out for long.
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
        time.sleep(2)
        assert status(ask(port, request("GET", "/"))) == 200
        for connection in held:
            connection.close()


def test_uploads_appear_whole_or_not_at_all(root, tmp_path):
    content = write(tmp_path / "Duo.wav", noise()).read_bytes()
    with served(root) as (port, _):
        answer = ask(port, request("PUT", "/api/uploads/..%2F..%2FDuo.wav", RIGHT, body=content))
        assert status(answer) in (201, 404)
        answer = ask(port, request("PUT", "/api/uploads/Duo%20%E9%9F%B3.wav", RIGHT, body=content))
        assert json.loads(body(answer)) == {"path": "uploads/Duo 音.wav"}
        assert (root / "uploads/Duo 音.wav").read_bytes() == content
        again = ask(port, request("PUT", "/api/uploads/Duo%20%E9%9F%B3.wav", RIGHT, body=b"other"))
        assert status(again) == 400
        assert status(ask(port, request("PUT", "/api/uploads/a.html", RIGHT, body=content))) == 400
        cut = request("PUT", "/api/uploads/cut.wav", RIGHT, "Content-Length: 100") + b"half"
        ask(port, cut, 0.5)
        time.sleep(0.5)
    assert names(root / "uploads") == ["Duo 音.wav"]
    assert not (tmp_path / "uploads").exists()
    assert names(tmp_path) == ["Duo.wav", "root", "secret.html", "secret.wav"]


def test_of_two_uploads_of_one_name_the_first_stays(root):
    late = request("PUT", "/api/uploads/a.wav", RIGHT, "Content-Length: 6")
    with served(root) as (port, _), socket.create_connection(("127.0.0.1", port), 5) as slow:
        slow.sendall(late + b"sec")
        assert status(ask(port, request("PUT", "/api/uploads/a.wav", RIGHT, body=b"first"))) == 201
        slow.sendall(b"ond")
        assert status(slow.recv(1000)) == 400
    assert (root / "uploads/a.wav").read_bytes() == b"first"
    assert names(root / "uploads") == ["a.wav"]


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENOSPC, 507, "the server's disk is full"),
        (errno.EROFS, 500, "the server's disk: Read-only file"),
    ],
)
def test_a_disk_that_takes_no_upload_is_said_and_nothing_is_left(root, monkeypatch, number, code, said):
    def fails(*paths):
        raise OSError(number, os.strerror(number), str(root))

    monkeypatch.setattr(uploads, "put_in_place", fails)
    with served(root) as (port, _):
        answer = ask(port, request("PUT", "/api/uploads/a.wav", RIGHT, body=b"sound"))
        assert status(answer) == code
        error = json.loads(body(answer))["error"]
        assert error.startswith(said)
        assert str(root) not in error
        assert status(ask(port, request("GET", "/api/state"))) == 200
    assert names(root / "uploads") == []


def test_a_full_disk_is_said_to_who_sends_a_large_file(root, monkeypatch):
    """Who is cut off while sending hears no answer."""
    monkeypatch.setattr(uploads, "SPARE_BYTES", 1 << 62)
    with served(root) as (port, _):
        sent = request("PUT", "/api/uploads/a.wav", RIGHT, body=bytes(UPLOAD_BYTES // 2))
        answer = ask(port, sent)
        assert status(answer) == 507
        assert b"the server's disk is full" in body(answer)
    assert names(root / "uploads") == []


def test_what_failed_is_named_as_it_lies_in_the_folder(root):
    (root / "broken.wav").write_bytes(b"RIFF")
    with Queue(root) as queue:
        queue.submit("broken.wav", "stereo-unpan")
        for _ in range(600):
            (entry,) = queue.entries()
            if entry["state"] == "failed":
                break
            time.sleep(0.1)
    assert entry["error"].startswith("broken.wav: ")


def test_an_upload_folder_that_is_a_link_takes_nothing(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (root / "uploads").symlink_to(tmp_path / "elsewhere")
    (root / "stems").symlink_to(tmp_path / "elsewhere")
    write(root / "Duo.wav", noise())
    with served(root) as (port, _):
        assert status(ask(port, request("PUT", "/api/uploads/a.wav", RIGHT, body=b"a"))) == 404
        assert status(ask(port, request("POST", "/api/jobs", RIGHT, body=JOB))) == 201
        assert wait_for_end(port)["state"] == "failed"
    assert names(tmp_path / "elsewhere") == []


def test_fuzzed_requests_are_not_served_and_crash_nothing(root):
    with served(root) as (port, queue):
        assert fuzz(port, 300) == []
        assert queue.entries() == []
        assert status(ask(port, request("GET", "/"))) == 200


def test_the_queue_takes_what_it_can_and_cancels(root, monkeypatch):
    write(root / "Duo.wav", noise(seconds=20))
    with served(root) as (port, queue):
        for _ in range(3):
            assert status(ask(port, request("POST", "/api/jobs", RIGHT, body=JOB))) == 201
        assert status(ask(port, request("POST", "/api/jobs/3/cancel", RIGHT))) == 200
        for number in ("99", "9" * 5000, "%D9%A1", "-1"):
            assert status(ask(port, request("POST", f"/api/jobs/{number}/cancel", RIGHT))) == 400
        assert queue.entries()[0]["state"] == "cancelled"
        monkeypatch.setattr("plugin_bridge.server.queue.MOST_WAITING", 0)
        assert status(ask(port, request("POST", "/api/jobs", RIGHT, body=JOB))) == 503
        assert wait_for_end(port, 2)["state"] == "done"  # the second finds all done


def test_a_browser_submits_a_job_and_listens_to_what_comes_of_it(root):
    write(root / "Duo.wav", noise())
    with served(root) as (port, _), chromium() as browser:
        address = f"http://127.0.0.1:{port}/"
        with opened(browser, address) as page:
            page.wait_for_selector("#preset option", state="attached")
            assert page.locator("#no-token").is_visible()
        with opened(browser, f"{address}#token={TOKEN}") as page:
            page.wait_for_selector("#preset option", state="attached")
            assert page.url == address  # the token does not stay in the address
            assert serious(page) == []
            page.fill("#path", "Duo.wav")
            page.select_option("#preset", "mic-bleed")
            page.click(".go")
            page.click("#jobs a", timeout=60_000)
            page.wait_for_selector(".play")
            page.click(".play")
            page.wait_for_selector(".play[aria-label=Pause]")
            while page.evaluate("stembridge.page.player.state") == "loading":
                page.wait_for_timeout(50)
            page.wait_for_selector(".play[aria-label=Play]")  # a second later it has come to the end
            assert page.evaluate("stembridge.page.player.position") == 8000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_queue_fits_a_phone_and_keeps_what_is_being_pressed(root, scheme):
    error = "songs/Band.wav: has one channel, and this needs at least 2, one for each source"
    name = "songs/A name as long as people give them (take 12, remix by somebody else).wav"
    with served(root) as (port, queue), chromium() as browser:
        rows = [("running", "", ""), ("waiting", "", ""), ("failed", error, ""), ("done", "", "report")]
        for number, (state, error, page) in enumerate(rows, 1):
            entry = Entry(number, name, "stereo-unpan", "separate", 0.0, state, error=error, page=page)
            queue._entries[number] = entry
        phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
        with opened(browser, f"http://127.0.0.1:{port}/#token={TOKEN}", **phone) as page:
            page.wait_for_selector("#jobs li")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert serious(page) == []
            assert small_targets(page) == []
            button = page.locator("#jobs li:last-child button")
            button.focus()
            queue._entries[1].fraction = 0.5
            page.locator("#jobs small", has_text="50 %").wait_for()
            assert button.evaluate("(one) => one === document.activeElement")
            queue._entries[2].state = "cancelled"  # another row changes
            page.locator("#jobs .cancelled").wait_for()
            assert button.evaluate("(one) => one === document.activeElement")


def test_paths(root):
    assert below(root, "") == root
    assert below(root, "report/a.wav") == root / "report/a.wav"
    assert page_file(root, "report")[0] == root / "report/index.html"
    os.mkfifo(root / "pipe")
    for path in ("pipe", "/", "report/outside", "..", "a\0b", "report\\a.wav", ".hidden"):
        with pytest.raises(OutsideError):
            below(root, path)
    with pytest.raises(OutsideError, match="leads out"):
        check_tree(root, root / "linked")


def test_the_command_says_what_is_wrong(tmp_path, monkeypatch):
    with running.listening("127.0.0.1", 0) as taken:
        taken_port = str(taken.getsockname()[1])
        assert "choose another --port" in error_of("serve", "--root", tmp_path, "--port", taken_port)
    nowhere = error_of("serve", "--root", tmp_path, "--host", "999.9.9.9")
    assert "999.9.9.9:8765: cannot listen there" in nowhere
    assert "choose another --host" in nowhere
    monkeypatch.setenv("STEMBRIDGE_TOKEN", "short")
    assert "at least 16" in error_of("serve", "--root", tmp_path, "--port", "0")


def test_a_second_server_of_a_folder_is_refused_until_the_first_is_gone(root):
    command = [sys.executable, "-m", "plugin_bridge", "serve", "--root", root, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
    (root / "uploads").mkdir()
    for name in (".0123456789abcdef.part", ".mine.part"):  # the first is of a server that was killed
        (root / "uploads" / name).touch()
    with started(command, **pipes) as first:
        assert first.stdout.readline().startswith("Open http://")
        with started(command, **pipes) as second:
            said = second.communicate(timeout=60)[0]
        assert second.returncode == 1
        assert f"{root}: another server serves this folder (process {first.pid} on " in said
        assert said.count("\n") == 1
        first.kill()  # a lock ends with its process, whichever way that ends
        first.wait(30)
    with started(command, **pipes) as third:
        assert third.stdout.readline().startswith("Open http://")
        third.send_signal(signal.SIGINT)
        third.wait(30)
    assert not list(root.glob(".stembridge*"))
    assert names(root / "uploads") == [".mine.part"]


# -- restarts ----------------------------------------------------------------------------------------


def test_what_has_not_ended_is_done_after_a_restart(root):
    for name in ("one", "two"):
        write(root / f"{name}.wav", noise(seconds=0.5))
    first = Queue(root)  # never begins: as a server that is killed at once
    for name in ("one", "two"):
        first.submit(f"{name}.wav", "stereo-unpan")
    first.submit("one.wav", "mic-bleed")
    first.cancel(3)
    (root / "two.wav").unlink()
    with Queue(root) as queue:
        for _ in range(600):
            states = {entry["number"]: entry["state"] for entry in queue.entries()}
            if states[1] in ("done", "failed"):
                break
            time.sleep(0.1)
        assert states == {1: "done", 2: "failed"}
        assert "there is no such file" in queue.entries()[0]["error"]
        assert queue.submit("one.wav", "stereo-unpan")["number"] == 4  # numbers are not given out again
    with Queue(root) as queue:
        assert {entry["number"] for entry in queue.entries()} <= {4}


def test_a_full_queue_and_the_job_that_runs_are_all_found_again(root, monkeypatch):
    write(root / "one.wav", noise(seconds=0.5))
    monkeypatch.setattr("plugin_bridge.server.queue.MOST_WAITING", 2)
    monkeypatch.setattr(Queue, "_work", lambda queue: None)
    first = Queue(root)
    first.submit("one.wav", "stereo-unpan")
    first._waiting.popleft().state = "running"
    for _ in range(2):
        first.submit("one.wav", "stereo-unpan")
    with pytest.raises(FullError):
        first.submit("one.wav", "stereo-unpan")
    with Queue(root) as queue:
        assert [entry["number"] for entry in queue.entries()] == [3, 2, 1]
        assert {entry["state"] for entry in queue.entries()} == {"waiting"}


def test_a_job_that_runs_when_the_server_ends_is_done_by_the_next(root, monkeypatch):
    write(root / "song.wav", noise(seconds=0.5))
    begun = threading.Event()

    def slow(*arguments, progress, **options):
        begun.set()
        while True:
            progress("song", "separating", 0.5)
            time.sleep(0.01)

    with monkeypatch.context() as patched, Queue(root) as queue:
        patched.setattr(api, "separate", slow)
        queue.submit("song.wav", "stereo-unpan")
        assert begun.wait(30)
    assert [job.path for job in journal.read(root)[1]] == ["song.wav"]
    with Queue(root) as queue:
        for _ in range(600):
            if queue.entries()[0]["state"] == "done":
                break
            time.sleep(0.1)
        assert queue.entries()[0]["state"] == "done"
    assert journal.read(root) == (1, [])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"numbers": -1, "jobs": []}', b"[" * 100_000, b" " * 2_000_000,
        b'{"numbers": 1, "jobs": [{"number": 1, "path": "../secret.wav", "preset": "mic-bleed",'
        b' "kind": "separate", "submitted": 0.0}]}',
    ],
)  # fmt: skip
def test_a_journal_that_somebody_wrote_does_nothing(root, content):
    (root / journal.NAME).write_bytes(content)
    with Queue(root) as queue:
        assert all(entry["state"] == "failed" for entry in queue.entries())
        assert len(queue.entries()) <= 1


def test_no_request_can_name_the_journal(root, port):
    with pytest.raises(OutsideError):
        page_file(root, journal.NAME)
    (root / journal.NAME).write_text("{}")
    assert status(ask(port, request("GET", f"/reports/{journal.NAME}"))) == 404
