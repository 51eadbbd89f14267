"""Read-only disks, inputs that vanish, slow and broken network folders, clocks that jump: real ones.

Slow reads and the clock are those of the C library, which a shim stands before (``faulty_system.c``).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import plugin_bridge
from plugin_bridge.audio.files import AudioWriter
from plugin_bridge.errors import JobsFailedError
from tests.plugin_bridge.command_helpers import STEM_FILES, UNPAN, files, noise, results_of
from tests.plugin_bridge.jobs.test_faults import ENVIRONMENT, RATE, failures, run, temporaries, visible, write

SHIM = Path(__file__).with_name("faulty_system.c")


def stems(folder):
    return {name: path.read_bytes() for name, path in visible(folder).items() if name.endswith(".wav")}


@pytest.mark.parametrize("out", ["/dev/full", "pipe"])
def test_something_that_is_no_folder_in_the_place_of_the_output_is_said(tmp_path, preset, out):
    os.mkfifo(tmp_path / "pipe")
    path = write(tmp_path / "a.wav", 0.5)
    done = run("separate", path, "-p", preset, "-o", out, cwd=tmp_path)
    assert done.returncode == 1
    assert failures(done) == [
        f"failed: {path}: {out}: cannot be written to: a file of that name is in the way"
    ]


# -- read-only output --------------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path):
    """Makes a folder read-only for everybody, root too, by mounting it over itself."""
    mounted = []

    def make(folder):
        try:
            subprocess.run(["mount", "--bind", folder, folder], check=True, capture_output=True)
            mounted.append(folder)
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("needs the right to mount a file system")

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_output_is_one_line_a_job_and_other_outputs_are_done(tmp_path, read_only):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "unpan.toml").write_text(UNPAN)
    (tmp_path / "locked").mkdir()
    read_only(tmp_path / "locked")
    jobs = tmp_path / "jobs.toml"
    rows = [f'[[job]]\ninputs = "in"\npreset = "unpan.toml"\nout = "{out}"\n' for out in ("locked", "open")]
    jobs.write_text("\n".join(rows))
    process = run("batch", jobs)
    assert process.returncode == 1
    lines = failures(process)
    assert len(lines) == 2
    assert all(line.endswith("locked: cannot be written to: Read-only file system") for line in lines)
    assert files(tmp_path / "locked") == []
    assert sorted(visible(tmp_path / "open")) == [f"{song}/{name}" for song in "ab" for name in STEM_FILES]


def test_what_is_done_already_is_found_so_on_a_disk_that_is_read_only_now(tmp_path, preset, read_only):
    song = write(tmp_path / "song.wav")
    out = tmp_path / "out"
    assert run("separate", song, "-p", preset, "-o", out).returncode == 0
    before = stems(out)
    read_only(out)
    again = run("separate", song, "-p", preset, "-o", out, "--json", "--quiet")
    assert again.returncode == 0, again.stderr
    assert [job["status"] for job in results_of(again.stdout)["jobs"]] == ["skipped"]
    forced = run("separate", song, "-p", preset, "-o", out, "--force")
    assert forced.returncode == 1
    assert "Read-only file system" in failures(forced)[0]
    assert stems(out) == before


# -- inputs that vanish ------------------------------------------------------------------------------


def separated(folder, preset, out, do, stage, **options):
    """The results by name, where ``do`` is called once when the first job is at ``stage``."""
    done = []

    def progress(job, now, fraction):
        if now == stage and not done:
            done.append(job)
            do()

    try:
        results = plugin_bridge.separate(folder, preset, out, progress=progress, **options)
    except JobsFailedError as error:
        results = error.results
    assert done
    return {Path(result.job).name: result for result in results.jobs}


def test_an_input_that_vanishes_before_its_turn_fails_alone(tmp_path, preset):
    for name in ("a", "b", "c"):
        write(tmp_path / "in" / f"{name}.wav", 2)
    found = separated(
        tmp_path / "in", preset, tmp_path / "out", (tmp_path / "in" / "b.wav").unlink, "separating"
    )
    assert {name: result.status for name, result in found.items()} == {
        "a.wav": "done",
        "b.wav": "failed",
        "c.wav": "done",
    }
    assert found["b.wav"].error.endswith("no such file or directory")
    assert sorted(visible(tmp_path / "out")) == [f"{song}/{name}" for song in "ac" for name in STEM_FILES]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_an_input_that_is_cut_while_it_is_read_gives_no_stems(tmp_path, preset, suffix):
    song = tmp_path / "in" / f"a.{suffix}"
    song.parent.mkdir()
    with AudioWriter(song, RATE, 2, format=suffix, bit_depth="24") as writer:
        writer.write(noise(seconds=100).astype(np.float32))  # at 8 kHz, and 18 s at this rate
    write(tmp_path / "in" / "b.wav")
    found = separated(tmp_path / "in", preset, tmp_path / "out", lambda: os.truncate(song, 5000), "learning")
    assert found[song.name].status == "failed"
    assert (
        found[song.name].error
        == {
            "wav": "cut short or damaged at frame 820, it says it has 800000 frames; copy or export it again",
            "flac": "cannot be read as audio: it is damaged",
        }[suffix]
    )
    assert found["b.wav"].status == "done"
    assert sorted(visible(tmp_path / "out")) == [f"b/{name}" for name in STEM_FILES]
    assert not temporaries(tmp_path / "out")


def test_an_input_that_is_removed_while_it_is_read_is_read_to_its_end(tmp_path, preset):
    """As the system keeps it for those that have opened it."""
    song = write(tmp_path / "in" / "a.wav", 5)
    shutil.copy(song, tmp_path / "copy.wav")
    found = separated(tmp_path / "in", preset, tmp_path / "out", song.unlink, "learning")
    assert found["a.wav"].status == "done"
    plugin_bridge.separate(tmp_path / "copy.wav", preset, tmp_path / "reference")
    assert list(stems(tmp_path / "out").values()) == list(stems(tmp_path / "reference").values())


# -- a slow network folder, a clock that jumps ---------------------------------------------------------


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The shim as a library."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc, to build what stands before the C library")
    library = tmp_path_factory.mktemp("shim") / "faulty.so"
    words = ["gcc", "-O1", "-shared", "-fPIC", SHIM, "-o", library, "-ldl"]
    subprocess.run(words, check=True)
    return library


def faulty(shim, *words, **settings):
    """A command of the program behind the shim."""
    from tests.plugin_bridge.jobs.test_faults import COMMAND

    environment = {
        **ENVIRONMENT,
        "LD_PRELOAD": str(shim),
        **{key: str(value) for key, value in settings.items()},
    }
    return subprocess.run(
        [*COMMAND, *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )


def test_a_slow_folder_that_breaks_once_gives_the_same_stems_but_for_that_file(tmp_path, preset, shim):
    share = tmp_path / "share"
    for number, name in enumerate(("a", "b", "broken", "c")):
        write(share / f"{name}.wav", 2, seed=number)
    words = ("separate", share, "-p", preset)
    begin = time.monotonic()
    process = faulty(
        shim, *words, "-o", tmp_path / "out", "--jobs", 2, SLOW_FOLDER=share, SLOW_MICROSECONDS=2000
    )
    slow = time.monotonic() - begin
    assert process.returncode == 1
    (line,) = failures(process)
    assert line == f"failed: {share / 'broken.wav'}: cannot be read as audio: input/output error"
    assert run(*words, "-o", tmp_path / "reference").returncode == 0
    reference = {name: data for name, data in stems(tmp_path / "reference").items() if "broken" not in name}
    assert stems(tmp_path / "out") == reference
    assert not temporaries(tmp_path / "out")
    reads = 3 * 2 * RATE * 2 * 4 / 4096  # of the good files, each at least once
    assert slow > reads * 0.002 / 2  # two at a time
    # The folder is well again: the same command does what is left.
    again = run(*words, "-o", tmp_path / "out", "--json", "--quiet")
    assert [job["status"] for job in results_of(again.stdout)["jobs"]] == [
        "skipped",
        "skipped",
        "done",
        "skipped",
    ]
    assert stems(tmp_path / "out") == stems(tmp_path / "reference")


def test_ctrl_c_ends_a_program_that_waits_for_a_slow_folder(tmp_path, preset, shim):
    from tests.plugin_bridge.jobs.test_faults import COMMAND

    share = tmp_path / "share"
    write(share / "a.wav", 20)
    words = [*COMMAND, "separate", share, "-p", preset, "-o", tmp_path / "out"]
    environment = {
        **ENVIRONMENT, "LD_PRELOAD": str(shim), "SLOW_FOLDER": str(share), "SLOW_MICROSECONDS": "200000"
    }  # fmt: skip
    with subprocess.Popen(
        list(map(str, words)), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            while "reading" not in process.stderr.readline():
                assert process.poll() is None
            begin = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 130
            assert time.monotonic() - begin < 10  # 2 s, on a machine that does nothing else
        finally:
            process.kill()
    assert not visible(tmp_path / "out")
    assert not temporaries(tmp_path / "out")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_clock_that_jumps_changes_nothing(tmp_path, preset, shim, jobs):
    for number in range(3):
        write(tmp_path / "in" / f"{number}.wav", 2, seed=number)
    os.utime(tmp_path / "in" / "0.wav", (2**32, 2**32))  # from the year 2106
    os.utime(tmp_path / "in" / "1.wav", (0, 0))
    out = tmp_path / "out"
    words = ("separate", tmp_path / "in", "-p", preset, "--json")
    process = faulty(shim, *words, "-o", out, "--jobs", jobs, CLOCK_JUMPS=1)
    assert process.returncode == 0, process.stderr
    told = [json.loads(line) for line in process.stdout.splitlines()]
    times = [event["time"] for event in told]
    assert max(times) - min(times) > 86400  # it did jump
    for event in told:
        assert (event.get("seconds_left") or 0) >= 0
        assert 0 <= (event.get("seconds") or 0) < 600
    assert not temporaries(out)
    assert run(*words, "-o", tmp_path / "reference").returncode == 0
    assert stems(out) == stems(tmp_path / "reference")
    before = {path: path.stat().st_mtime_ns for path in visible(out).values()}
    again = faulty(shim, *words, "-o", out, "--quiet", CLOCK_JUMPS=1)
    assert {job["status"] for job in results_of(again.stdout)["jobs"]} == {"skipped"}
    assert {path: path.stat().st_mtime_ns for path in visible(out).values()} == before
