"""Two processes on one output folder: the second says who is there, and harms nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from plugin_bridge.jobs.folder_lock import NAME, FolderTakenError, locked, placing
from plugin_bridge.jobs.workspace import PREFIX, sweep
from tests.plugin_bridge.command_helpers import error_of, files, noise, run, write
from tests.plugin_bridge.processes import started

HOLD = """
import sys
from pathlib import Path
from plugin_bridge.jobs.folder_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def holder(folder):
    return started(
        [sys.executable, "-c", HOLD, folder],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_folder_that_another_process_writes_into_is_refused_until_that_is_gone(tmp_path, preset):
    song = write(tmp_path / "song.wav", noise())
    out = tmp_path / "out"
    with holder(out) as process:
        assert process.stdout.readline() == "held\n"
        line = error_of("separate", song, "-p", preset, "-o", out)
        assert f"{out}: another run is writing here (process {process.pid} on " in line
        assert "choose another --out" in line
        run("separate", song, "-p", preset, "-o", out, "--dry-run")  # looks only
        process.kill()  # a lock ends with its process, whichever way that ends
        process.wait(30)
    run("separate", song, "-p", preset, "-o", out)
    assert NAME not in files(out)


def test_threads_of_one_process_share_a_folder_and_the_last_one_leaves_nothing(tmp_path):
    with locked(tmp_path), locked(tmp_path):
        assert (tmp_path / NAME).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_not_held(tmp_path):
    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / "out"):
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_moved_into_a_folder_by_one_at_a_time(tmp_path):
    inside, most, lock = 0, 0, threading.Lock()

    def work():
        nonlocal inside, most
        for _ in range(50):
            with placing(tmp_path):
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1


def test_a_refusal_names_nobody_if_nothing_can_be_read(tmp_path):
    with holder(tmp_path) as process:
        assert process.stdout.readline() == "held\n"
        (tmp_path / NAME).write_bytes(b"\xff{")
        with pytest.raises(FolderTakenError, match="another run is writing here; wait"), locked(tmp_path):
            pass
        process.kill()


def test_a_temporary_folder_loses_its_lock_last(tmp_path, monkeypatch):
    """So that one whose removal was cut short by a kill is removed by the next job."""
    (tmp_path / f"{PREFIX}1" / "0").mkdir(parents=True)
    for name in ("lock", "0/stem.wav", "another"):
        (tmp_path / f"{PREFIX}1" / name).touch()
    removed = []

    def noted(remove, path, *rest, **more):
        removed.append(Path(path).name)
        return remove(path, *rest, **more)

    for name in ("unlink", "rmdir"):
        monkeypatch.setattr(os, name, partial(noted, getattr(os, name)))
    sweep(tmp_path)
    assert removed[-2:] == ["lock", f"{PREFIX}1"]
    assert list(tmp_path.iterdir()) == []
