"""Closed streams, libraries that print, folders with long paths, names of any bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin_bridge.command_helpers import UNPAN, noise, results_of, write

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
COMMAND = [sys.executable, "-m", "plugin_bridge"]
posix = pytest.mark.skipif(os.name != "posix", reason="the test needs a shell")
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "unpan.toml"
    path.write_text(UNPAN)
    return path


@pytest.fixture
def songs(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.wav", noise())
    return tmp_path / "in"


def run(*arguments, environment=None, **options):
    line = [*COMMAND, *map(str, arguments)]
    return subprocess.run(line, env={**ENVIRONMENT, **(environment or {})}, check=False, **options)


@posix
@pytest.mark.parametrize(("closed", "jobs"), [((2,), 1), ((0, 1, 2), 2)])
def test_closed_streams_stop_nothing_and_get_into_no_file(songs, preset, tmp_path, closed, jobs):
    """The next file that is opened would else get the number of a stream, and what is printed there."""

    def close():
        for number in closed:
            os.close(number)

    out = tmp_path / "out"
    done = run("separate", songs, "-p", preset, "-o", out, "--jobs", jobs, preexec_fn=close)
    assert done.returncode == 0
    assert sorted(path.name for path in out.glob("*/*.wav")) == ["source-1.wav"] * 2 + ["source-2.wav"] * 2
    for path in out.glob("*/manifest.json"):
        json.loads(path.read_text(encoding="utf-8"))


@posix
def test_a_reader_that_goes_away_stops_nothing(songs, preset, tmp_path):
    out = tmp_path / "out"
    reading, writing = os.pipe()
    os.close(reading)
    done = run("separate", songs, "-p", preset, "-o", out, stderr=writing, stdout=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 0
    assert len(list(out.glob("*/*.wav"))) == 4


@posix
def test_workers_start_where_temporary_files_lie_deep(songs, preset, tmp_path):
    """A socket's path has a hundred characters at most."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    out = tmp_path / "out"
    done = run(
        "separate", songs, "-p", preset, "-o", out, "-q", "--jobs", 2, environment={"TMPDIR": str(deep)}
    )
    assert done.returncode == 0
    assert len(list(out.glob("*/*.wav"))) == 4


def test_what_libraries_print_does_not_reach_people():
    code = (
        "import os, sys, warnings; from plugin_bridge.cli import main; import click\n"
        "@main.command('noise')\n"
        "def noisy():\n"
        "    os.write(2, b'[src/libmpg123/frame.c] error: noise'); warnings.warn('torch: noise')\n"
        "    print('said', file=sys.stderr)\n"
        "main()\n"
    )
    for options, words in ((["noise"], "said\n"), (["noise", "--debug"], "libmpg123")):
        line = [sys.executable, "-c", code, *options]
        done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        assert words in done.stderr
        assert ("noise" in done.stderr) == ("--debug" in options)


@linux
def test_names_of_any_bytes_are_rendered_bounced_and_found_again(preset, tmp_path):
    folder = tmp_path / os.fsdecode(b"session \xfe")
    folder.mkdir()
    for name in (b"a\xff.wav", b"a\xfe.wav", b"b\x1b[2J\n.wav"):
        write(tmp_path / "in.wav", noise()).rename(folder / os.fsdecode(name))
    options = {"capture_output": True, "encoding": "utf-8"}
    arguments = ("-o", tmp_path / "out", "--name", "{index} {track}/{stem}")
    for status in ("done", "skipped"):
        done = run("render", folder, "-p", preset, *arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        assert [job["status"] for job in results_of(done.stdout)["jobs"]] == [status] * 3
        assert "\x1b" not in done.stdout + done.stderr
    (project,) = (tmp_path / "out").glob("*.rpp")
    assert project.read_bytes().count(b"<TRACK") == 3 + 6
    bounced = run("bounce", folder, "-o", tmp_path / "whole", "--name", "{index} {track}", **options)
    assert bounced.returncode == 0, bounced.stderr
    shown = run("inspect", folder, **options)
    assert shown.returncode == 0, shown.stderr
    assert not set("\x1b\udcff") & set(shown.stdout)


@posix
def test_a_name_cannot_forge_a_line(preset, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a\nfailed: other.wav").write_bytes(b"no audio at all")
    done = run(
        "separate", tmp_path / "in", "-p", preset, "-o", tmp_path / "out", capture_output=True, text=True
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 1
    assert "a\\nfailed: other.wav: " in lines[0]
    missing = run("separate", "x\nError: y", "-p", preset, capture_output=True, text=True)
    assert sum(line.startswith("Error: ") for line in missing.stderr.splitlines()) == 1


def test_a_failure_is_said_once_and_names_its_file_once(preset, tmp_path):
    write(tmp_path / "in" / "a.wav", noise())
    bad = tmp_path / "in" / "b.wav"
    bad.write_bytes(b"no audio at all")
    done = run(
        "separate", tmp_path / "in", "-p", preset, "-o", tmp_path / "out", capture_output=True, text=True
    )
    assert done.returncode == 1
    (last,) = [line for line in done.stderr.splitlines() if "cannot be read" in line]
    assert last.startswith(f"failed: {bad}: cannot be read")
    assert last.count("b.wav") == 1
    assert done.stderr.splitlines()[-1] == last
