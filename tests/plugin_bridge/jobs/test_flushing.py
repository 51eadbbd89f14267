"""Files get onto the disk beside the work, all of them before they are put in place."""

from __future__ import annotations

import errno
import os
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from plugin_bridge.audio.files import AudioWriter
from plugin_bridge.cli import main
from plugin_bridge.jobs.flushing import Flusher


@pytest.fixture
def song(tmp_path):
    audio = 0.05 * np.random.default_rng(0).laplace(size=(2, 8000)).astype(np.float32)
    with AudioWriter(tmp_path / "song.wav", 8000, 2) as writer:
        writer.write(audio)
    return tmp_path / "song.wav"


def test_files_are_flushed_by_another_thread_and_waited_for(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"content")
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (seen.append(threading.get_ident()), real(number)))
    with Flusher(tmp_path) as flusher:
        for path in paths:
            flusher.add(path)
        flusher.wait()
        assert len(seen) == 3
    assert threading.get_ident() not in seen


def test_an_error_names_the_output_folder(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"content")

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with Flusher(tmp_path) as flusher:
        flusher.add(tmp_path / "a")
        with pytest.raises(OSError, match=str(tmp_path)) as caught:
            flusher.wait()
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "layout", [[], ["--layout", "multichannel"], ["--format", "ogg"], ["--format", "flac"]]
)
def test_every_file_of_a_set_is_flushed_before_its_manifest_has_its_name(
    tmp_path, song, preset, monkeypatch, layout
):
    flushed = set()
    real_sync = os.fsync

    def sync(number):
        flushed.add(os.fstat(number).st_ino)
        real_sync(number)

    monkeypatch.setattr(os, "fsync", sync)
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["separate", str(song), "-p", str(preset), "-o", str(out), *layout])
    assert done.exit_code == 0, done.output
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {path.stat().st_ino for path in files} <= flushed


def test_a_disk_that_refuses_at_the_last_moment_leaves_nothing_under_a_final_name(
    tmp_path, song, preset, monkeypatch
):
    def broken(number):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["separate", str(song), "-p", str(preset), "-o", str(out)])
    assert done.exit_code == 1
    assert "input/output error" in done.output
    assert [path for path in out.rglob("*") if path.is_file()] == []
