"""Kills, full disks and damaged inputs: nothing half-written, one clear line, the other jobs still done."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from plugin_bridge.audio.files import AudioFileSource, AudioWriter
from plugin_bridge.cli import main
from plugin_bridge.jobs.workspace import PREFIX
from tests.plugin_bridge.command_helpers import UNPAN, results_of
from tests.plugin_bridge.processes import started

RATE = 44100
FILES = 4
SECONDS = 12
COMMAND = [sys.executable, "-m", "plugin_bridge"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def write(path, seconds=1.0, channels=2, seed=0, bit_depth="float32"):
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = 0.05 * np.random.default_rng(seed).laplace(size=(2, round(seconds * RATE)))
    audio = (np.array([[1, 0.3], [0.4, 1]])[:channels] @ sources).astype(np.float32)
    with AudioWriter(path, RATE, channels, bit_depth=bit_depth) as writer:
        writer.write(audio)
    return path


@pytest.fixture
def songs(tmp_path):
    for seed in range(FILES):
        write(tmp_path / "songs" / f"{seed}.wav", SECONDS, seed=seed)
    return tmp_path / "songs"


def run(*arguments, **options):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, **options)


def start(*arguments):
    return started([*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def failures(process):
    """What is said about failures; never a traceback."""
    assert "Traceback" not in process.stderr
    return [line for line in process.stderr.splitlines() if line.startswith(("failed: ", "Error: "))]


def visible(folder):
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def temporaries(folder):
    return list(folder.glob(f"{PREFIX}*"))


def at_work(out):
    """Whether a job has begun to write and another one is done."""
    return any(out.glob(f"{PREFIX}*/0/*")) and any(out.glob("*/manifest.json"))


def below(pid):
    """All processes that a process has started, of whichever of its threads, and that those have."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [int(child) for text in lists for child in text.split()]
    return [one for child in children for one in (child, *below(child))]


def is_worker(pid):
    """Whether it does jobs: the process that workers are forked from has children itself."""
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes() and not below(pid)


def is_running(pid):
    """Whether the process is there and more than an entry that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- kills -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_after_a_kill_the_same_command_finishes_the_batch(songs, preset, tmp_path, jobs):
    out = tmp_path / "out"
    arguments = ("separate", songs, "-p", preset, "-o", out, "--jobs", jobs, "--json")
    with start(*arguments) as process:
        wait_until(lambda: at_work(out))
        workers = below(process.pid)
        process.kill()
        process.wait(30)
    assert process.returncode == -signal.SIGKILL
    # Orphaned workers notice and end. They clean up if they are given the time; if not, and for the
    # process itself, the next run does (asserted below).
    wait_until(lambda: not any(map(is_running, workers)))
    assert len(temporaries(out)) <= jobs
    done = {path: path.stat().st_mtime_ns for path in out.glob("*/manifest.json")}
    assert 1 <= len(done) < FILES
    for path in visible(out).values():
        if path.suffix == ".wav":
            with AudioFileSource(path) as stem:
                assert stem.frames == SECONDS * RATE

    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    status = {Path(job["tracks"][0]["manifest"]): job["status"] for job in results_of(again.stdout)["jobs"]}
    assert {path for path, word in status.items() if word == "skipped"} == set(done)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not temporaries(out)

    reference = tmp_path / "reference"
    CliRunner().invoke(main, ["separate", str(songs), "-p", str(preset), "-o", str(reference)])
    assert set(visible(out)) == set(visible(reference))
    for name, path in visible(reference).items():
        if path.suffix == ".wav":
            assert path.read_bytes() == (out / name).read_bytes()


def test_the_job_of_a_killed_worker_is_done_by_another(songs, preset, tmp_path):
    out = tmp_path / "out"
    with start("separate", songs, "-p", preset, "-o", out, "--jobs", 2, "--json") as process:
        wait_until(lambda: at_work(out))
        os.kill(next(pid for pid in below(process.pid) if is_worker(pid)), signal.SIGKILL)
        result = results_of(process.communicate(timeout=120)[0])
    assert process.returncode == 0
    # A job that was complete when its worker died, but not yet reported, is found done.
    assert {job["status"] for job in result["jobs"]} <= {"done", "skipped"}
    assert len(result["jobs"]) == FILES
    assert len(visible(out)) == 3 * FILES
    assert not temporaries(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
@pytest.mark.parametrize("jobs", [1, 2])
def test_whoever_asks_the_program_to_end_finds_everything_cleaned_up(songs, preset, tmp_path, jobs, number):
    out = tmp_path / "out"
    command = [*COMMAND, "separate", songs, "-p", preset, "-o", out, "--jobs", jobs]
    options = {"env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    # In a group of its own, which a terminal that closes tells as a whole.
    with subprocess.Popen(list(map(str, command)), start_new_session=True, **options) as process:
        try:
            wait_until(lambda: any(out.glob(f"{PREFIX}*/0/*")))
            os.killpg(process.pid, number)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped."
    assert "Traceback" not in said
    assert not temporaries(out)


def test_a_signal_that_was_to_be_ignored_is_ignored(songs, preset, tmp_path):
    """As nohup does it."""
    out = tmp_path / "out"
    words = [*COMMAND, "separate", songs / "0.wav", "-p", preset, "-o", out]
    line = " ".join(shlex.quote(str(word)) for word in words)
    with subprocess.Popen(["sh", "-c", f"trap '' HUP; exec {line}"], env=ENVIRONMENT) as process:
        try:
            wait_until(lambda: any(out.glob(f"{PREFIX}*/*")) or any(out.glob("*/manifest.json")))
            process.send_signal(signal.SIGHUP)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


# -- full disks ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB, where the system lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("depth", ["float32", "16"])
def test_a_full_disk_is_said_and_leaves_no_file(small_disk, preset, tmp_path, depth):
    """float32 fails while the stems are written, 16 bits while they wait for their gain."""
    long = write(tmp_path / "long.wav", 30)
    short = write(tmp_path / "short.wav", 1)
    out = small_disk / "out"
    process = run("separate", long, short, "-p", preset, "-o", out, "--bit-depth", depth)
    assert process.returncode == 1
    (line,) = failures(process)
    assert line.startswith(f"failed: {long}: ")
    assert "no space left on device" in line
    assert sorted(visible(out)) == ["short/manifest.json", "short/source-1.wav", "short/source-2.wav"]
    assert not temporaries(out)


@pytest.mark.parametrize("depth", ["float32", "16"])
def test_a_file_that_may_not_grow_is_said_and_leaves_no_file(preset, tmp_path, depth):
    resource = pytest.importorskip("resource")
    long = write(tmp_path / "long.wav", 10)
    out = tmp_path / "out"
    limit = 1_000_000
    process = run(
        *("separate", long, "-p", preset, "-o", out, "--bit-depth", depth),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert process.returncode == 1
    assert "file too large" in failures(process)[0]
    assert list(out.iterdir()) == []


def test_an_output_folder_that_cannot_be_one_is_said(preset, tmp_path):
    song = write(tmp_path / "song.wav")
    (tmp_path / "taken").write_text("a file")
    process = run("separate", song, "-p", preset, "-o", tmp_path / "taken" / "out")
    assert process.returncode == 1
    assert "cannot be written to" in failures(process)[0]


# -- damaged inputs --------------------------------------------------------------------------------


def _cut(path):
    data = write(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _cut_flac(path):
    with AudioWriter(path, RATE, 2, format="flac") as writer:
        writer.write(np.random.default_rng(0).uniform(-0.5, 0.5, (2, RATE)).astype(np.float32))
    _cut_file(path)


def _cut_file(path):
    os.truncate(path, path.stat().st_size // 2)


def _noise(path):
    path.write_bytes(np.random.default_rng(0).bytes(10000))


def _mono(path):
    write(path, channels=1)


DAMAGE = {
    "empty.wav": (lambda path: path.touch(), "the file is empty"),
    "cut.wav": (_cut, "cut short"),
    "cut.flac": (_cut_flac, "cut short"),
    "noise.wav": (_noise, "cannot be read as audio"),
    "text.mp3": (lambda path: path.write_text("no music"), "cannot be read as audio"),
    "mono.wav": (_mono, "at least 2 channels"),
}


def test_damaged_files_are_one_line_each_and_the_others_are_done(preset, tmp_path):
    folder = tmp_path / "in"
    for name in ("good 1.wav", "good 2.wav"):
        write(folder / name)
    for name, (damage, _) in DAMAGE.items():
        damage(folder / name)
    process = run(
        "separate", folder, "-p", preset, "-o", tmp_path / "out", "--name", "{index} {track}/{stem}"
    )
    assert process.returncode == 1
    lines = failures(process)
    assert len(lines) == len(DAMAGE)
    for name, (_, complaint) in DAMAGE.items():
        (line,) = [line for line in lines if line.startswith(f"failed: {folder / name}: ")]
        assert complaint in line
    names = visible(tmp_path / "out")
    assert len(names) == 2 * 3
    assert all("good" in name for name in names)


def _project(folder, *files):
    folder.mkdir(parents=True, exist_ok=True)
    tracks = "".join(
        f'<TRACK\n NAME "{Path(file).stem}"\n'
        f'<ITEM\n POSITION 0\n LENGTH 1\n <SOURCE WAVE\n FILE "{file}"\n >\n >\n>\n'
        for file in files
    )
    path = folder / "song.rpp"
    path.write_text(f'<REAPER_PROJECT 0.1 "7.0" 0\n SAMPLERATE {RATE} 0 0\n{tracks}>\n')
    return path


def test_a_session_whose_media_are_missing_fails_for_those_tracks_only(preset, tmp_path):
    project = _project(tmp_path / "song", "here.wav", "gone.wav", "damaged.wav", "../outside.wav")
    write(tmp_path / "song" / "here.wav")
    write(tmp_path / "outside.wav")
    _cut(tmp_path / "song" / "damaged.wav")
    out = tmp_path / "out"
    process = run("render", project, "-p", preset, "-o", out)
    assert process.returncode == 1
    lines = failures(process)
    assert [line.split(": ")[1] for line in lines] == ["gone", "damaged", "outside"]
    assert sorted(visible(out)) == [
        "here/manifest.json",
        "here/source-1.wav",
        "here/source-2.wav",
        "song_stems.rpp",
    ]


def test_a_project_cut_in_the_middle_is_one_line(preset, tmp_path):
    project = _project(tmp_path / "song", "here.wav", "there.wav")
    write(tmp_path / "song" / "here.wav")
    _cut_file(project)
    for arguments in (("inspect", project), ("render", project, "-p", preset, "-o", tmp_path / "out")):
        process = run(*arguments)
        assert process.returncode == 1
        (line,) = failures(process)
        assert str(project) in line
    assert not (tmp_path / "out").exists()


def test_a_preset_with_a_wrong_key_is_one_line_and_nothing_is_done(preset, tmp_path):
    song = write(tmp_path / "song.wav")
    preset.write_text(UNPAN + "[outptu]\n")
    process = run("separate", song, "-p", preset, "-o", tmp_path / "out")
    assert process.returncode == 2
    (line,) = failures(process)
    assert "outptu" in line
    assert "did you mean 'output'" in line
    assert not (tmp_path / "out").exists()
