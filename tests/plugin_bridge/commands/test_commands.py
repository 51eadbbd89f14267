"""The command line: what every command prints and writes, exit statuses, errors of one line.

Commands for sessions are in test_sessions.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.audio.files import AudioFileSource
from tests.plugin_bridge.command_helpers import (
    STEM_FILES,
    UNPAN,
    error_of,
    files,
    noise,
    results_of,
    run,
    write,
)
from tests.plugin_bridge.processes import started
from tests.plugin_bridge.session_helpers import read

FLOAT = 1e-6
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
posix = pytest.mark.skipif(os.name != "posix", reason="signals")
COMMAND = [sys.executable, "-m", "plugin_bridge"]


@pytest.fixture
def tree(tmp_path):
    """A folder with a folder, names that are no ASCII, and a file that is no audio."""
    folder = tmp_path / "songs"
    write(folder / "tràck 音.wav", noise(seed=1))
    write(folder / "live" / "a.WAV", noise(seed=2))
    (folder / "notes.txt").write_text("no audio")
    return folder


# -- help ------------------------------------------------------------------------------------------


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom plugin_bridge.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pedalboard', 'soundfile', 'pydantic', 'rich', 'separators'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))\n"
    )
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = subprocess.check_output([sys.executable, "-c", code], text=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert text.endswith("imported: []\n")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_all_commands_are_listed_and_h_is_help():
    text = run("-h").stdout
    assert text == run("--help").stdout
    for name in (
        "demo",
        "render",
        "bounce",
        "separate",
        "inspect",
        "presets",
        "separators",
        "evaluate",
        "train",
        "watch",
    ):
        assert f"  {name} " in text
        assert run(name, "-h").stdout.startswith(f"Usage: main {name}")


def test_the_version_is_the_programs():
    assert run("--version").stdout.startswith("stembridge")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["seperate"], "No such command 'seperate'"),
        (["separate", "no such file.wav", "-p", "drum-loop", "-o", "out"], "does not exist"),
        (["separate", ".", "-p", "drum-lop", "-o", "out"], "did you mean 'drum-loop'"),
        (["separate", ".", "-p", "drum-loop", "-o", "out", "--name", "{trak}"], "no field {trak}"),
        (["separate", ".", "-p", "drum-loop", "-o", "out", "--jobs", "0"], "x>=1"),
        (["separate", ".", "-p", "drum-loop", "-o", "out", "--bit-depth", "8"], "is not one of"),
        (["separate", ".", "-p", "drum-loop", "-o", "out", "--stems", ","], "at least one stem"),
        (["bounce", ".", "-o", "out", "--mix", "--tracks", "a"], "--mix is all tracks"),
    ],
)
def test_wrong_usage_is_said_and_exits_with_2(arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complaint in run(*arguments, status=2).stderr
    assert list(tmp_path.iterdir()) == []


# -- separate --------------------------------------------------------------------------------------


def test_a_folder_keeps_its_tree_and_json_lists_what_was_written(tree, preset, tmp_path):
    out = tmp_path / "out"
    result = results_of(run("separate", tree, "-p", preset, "-o", out, "--json").stdout)
    assert result["status"] == "done"
    written = [Path(path).relative_to(out).as_posix() for job in result["jobs"] for path in job["outputs"]]
    assert sorted(written) == [
        "live/a/source-1.wav",
        "live/a/source-2.wav",
        "tràck 音/source-1.wav",
        "tràck 音/source-2.wav",
    ]
    assert files(out) == sorted([*written, "live/a/manifest.json", "tràck 音/manifest.json"])
    for name, file in (("live/a", "live/a.WAV"), ("tràck 音", "tràck 音.wav")):
        stems = sum(read(out / name / f"source-{k}.wav") for k in (1, 2))
        assert np.abs(stems - read(tree / file)).max() < FLOAT


def test_what_is_done_is_not_done_again_unless_forced(tree, preset, tmp_path):
    arguments = ("separate", tree, "-p", preset, "-o", tmp_path / "out")
    assert "2 done" in run(*arguments, "--jobs", 2).stdout
    assert "2 up to date" in run(*arguments).stdout
    assert "2 done" in run(*arguments, "--force").stdout


def test_workers_give_the_same_stems_to_the_bit(tree, preset, tmp_path):
    for jobs in (1, 2):
        run("separate", tree, "-p", preset, "-o", tmp_path / f"{jobs}", "--jobs", jobs)
    names = [name for name in files(tmp_path / "1") if name.endswith(".wav")]
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_dry_run_says_exactly_what_a_run_will_write(tree, preset, tmp_path):
    out = tmp_path / "out"
    arguments = (
        "separate",
        tree,
        "-p",
        preset,
        "-o",
        out,
        "--name",
        "{index} {parent} {stem}",
        "--format",
        "flac",
    )
    plan = json.loads(run(*arguments, "--dry-run", "--json").stdout)
    text = run(*arguments, "--dry-run").stdout
    assert not out.exists()
    run(*arguments)
    planned = sorted(path for job in plan["jobs"] for path in job["outputs"])
    assert planned == sorted(str(out / name) for name in files(out))
    assert all(path in text for path in planned)
    assert "01 live source-1.flac" in [Path(path).name for path in planned]


def test_results_inside_the_input_folder_are_no_inputs(tree, preset):
    for _ in range(2):
        result = results_of(run("separate", tree, "-p", preset, "-o", tree / "stems", "--json").stdout)
        assert len(result["jobs"]) == 2
    assert "choose another --out" in error_of("separate", tree, "-p", preset, "-o", tree)


def test_a_file_given_twice_is_one_job(tree, preset, tmp_path):
    arguments = ("separate", tree / "live" / "a.WAV", tree / "live" / ".." / "live", "-p", preset)
    assert "1 done" in run(*arguments, "-o", tmp_path / "out").stdout


def test_a_collision_is_found_before_any_work_and_stops_no_other_file(tree, preset, tmp_path):
    write(tree / "Tràck 音.flac", noise(seed=5), bit_depth="24", format="flac")
    out = tmp_path / "out"
    result = run("separate", tree, "-p", preset, "-o", out, status=1)
    assert "2 done, 1 failed" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert "Tràck 音.flac and " in line
    assert line.endswith("tell them apart with {index} in --name")
    assert len(files(out)) == 6
    assert json.loads((out / "Tràck 音" / "manifest.json").read_text())["input"]["path"].endswith(".flac")
    run("separate", tree, "-p", preset, "-o", out, "--name", "{index} {track}/{stem}")
    assert len(files(out)) == 15


@pytest.fixture
def odd_folder(tmp_path):
    """A file that can be separated, and five that look so and cannot."""
    folder = tmp_path / "odd"
    first = write(folder / "a.wav", noise())
    (folder / "b.wav").symlink_to(first)
    (folder / "c.wav").symlink_to("nothing")
    (folder / "d.m4p").touch()
    (folder / "e.wav").touch()
    os.mkfifo(folder / "f.wav")
    return folder


def test_what_looks_like_audio_and_is_left_out_is_said(odd_folder, preset, tmp_path):
    arguments = ("separate", odd_folder, "-p", preset, "-o", tmp_path / "out")
    result = run(*arguments, status=1)
    assert "1 done, 4 left out, 1 failed" in result.stdout
    for name, reason in (("b", "the same file as"), ("c", "a link to nothing"), ("f", "not a regular file")):
        assert re.search(f"warning: .*{name}.wav: left out: is .*{reason}", result.stderr)
    assert re.search("warning: .*d.m4p: left out: is audio of a kind that is not read", result.stderr)
    assert re.search("failed: .*e.wav: the file is empty", result.stderr)
    assert result.stderr.count("left out: ") == 4
    again = run(*arguments, "--quiet", status=1)
    assert again.stderr.count("left out: ") == 4
    jobs = results_of(run(*arguments, "--json", status=1).stdout)["jobs"]
    assert [job["status"] for job in jobs].count("left out") == 4
    strict = run(*arguments, "--strict", status=1)
    assert "1 up to date, 5 failed" in strict.stdout
    assert len(re.findall("^failed: .*--strict refuses this$", strict.stderr, re.MULTILINE)) == 4
    planned = run(*arguments, "--dry-run").stdout
    assert planned.count("left out: ") == 4


def test_a_folder_without_audio_says_what_lies_there_instead(preset, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "d.m4p").touch()
    assert "d.m4p is audio of a kind" in error_of("separate", tmp_path / "in", "-p", preset)


def test_the_command_line_overrides_the_preset(tree, preset, tmp_path):
    preset.write_text(UNPAN + '[output]\nformat = "flac"\nbit_depth = 16\nname = "{stem} of {track}"\n')
    out = tmp_path / "out"
    run("separate", tree / "live", "-p", preset, "-o", out)
    assert files(out) == ["manifest of a.json", "source-1 of a.flac", "source-2 of a.flac"]
    with AudioFileSource(out / "source-1 of a.flac") as stem:
        assert stem.info.bit_depth == "16"
    run("separate", tree / "live", "-p", preset, "-o", out, "--bit-depth", "24", "--stems", "source-2")
    with AudioFileSource(out / "source-2 of a.flac") as stem:
        assert stem.info.bit_depth == "24"


def test_files_together_are_one_mixture(preset, tmp_path):
    first, second = noise(seconds=4)
    names = [
        write(tmp_path / "mics" / name, mic[None]) for name, mic in (("a.wav", first), ("b.wav", second))
    ]
    preset.write_text("together = true\n" + UNPAN)
    out = tmp_path / "out"
    run("separate", *names, "-p", preset, "-o", out)
    assert files(out) == [
        f"{mic}/{name}" for mic in "ab" for name in ("bleed.wav", "direct.wav", "manifest.json")
    ]
    assert np.abs(read(out / "a/direct.wav") + read(out / "a/bleed.wav") - first).max() < FLOAT
    assert "at least two" in error_of("separate", names[0], "-p", preset, "-o", out)
    assert "at least 2 channels" in error_of("separate", names[0], "-p", preset, "-o", out, "--no-together")


def test_quiet_says_nothing_but_errors(tree, preset, tmp_path):
    result = run("separate", tree, "-p", preset, "-o", tmp_path / "out", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")
    write(tree / "mono.wav", noise(1))
    result = run("separate", tree, "-p", preset, "-o", tmp_path / "out", "--quiet", status=1)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_failures_come_last_and_in_the_json_and_the_rest_is_done(tree, preset, tmp_path):
    write(tree / "mono.wav", noise(1))
    result = run("separate", tree, "-p", preset, "-o", tmp_path / "out", status=1)
    assert "2 done, 1 failed" in result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"failed: {tree / 'mono.wav'}: ica needs at least 2 channels")
    result = results_of(
        run("separate", tree, "-p", preset, "-o", tmp_path / "out", "--json", status=1).stdout
    )
    assert result["status"] == "failed"
    assert sorted(job["status"] for job in result["jobs"]) == ["failed", "skipped", "skipped"]


def test_a_common_gain_is_said(tree, preset, tmp_path):
    preset.write_text(UNPAN + '[[stems.source-1]]\nplugin = "Gain"\ngain_db = 40.0\n')
    arguments = ("separate", tree / "live", "-p", preset, "-o", tmp_path / "out", "--bit-depth", "24")
    for quiet in ((), ("-q",)):  # also of what is up to date
        assert "turned down by one gain" in run(*arguments, *quiet).stderr
    assert "one gain" in error_of(*arguments, "--strict", "--force")
    assert "--strict refuses" in error_of(*arguments, "--strict", "--force")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_utf8_work_and_are_printable(preset, tmp_path):
    write(tmp_path / "in" / "a.wav", noise()).rename(tmp_path / "in" / os.fsdecode(b"a\xff.wav"))
    (tmp_path / "in" / "b.wav").touch()
    result = results_of(
        run("separate", tmp_path / "in", "-p", preset, "-o", tmp_path / "out", "--json", status=1).stdout
    )
    assert [job["status"] for job in result["jobs"]] == ["done", "failed"]
    assert result["jobs"][0]["job"].endswith("a\\xff.wav")
    assert len(files(tmp_path / "out")) == 3


# -- the catalogue ---------------------------------------------------------------------------------


def test_presets_are_listed_shown_and_checked(preset, tmp_path):
    listed = {row["name"]: row for row in json.loads(run("presets", "list", "--json").stdout)}
    text = run("presets", "list").stdout
    assert {"drum-loop", "blind-4", "stereo-unpan", "mic-bleed-instant"} <= set(listed)
    for name in listed:
        assert name in text
        shown = tmp_path / f"{name}.toml"
        shown.write_text(run("presets", "show", name).stdout)
    assert run("presets", "check", preset).stdout == f"{preset}: right\n"
    preset.write_text(UNPAN + "iteratons = 3\n")
    assert "did you mean 'iterations'" in error_of("presets", "check", preset)
    assert json.loads(run("presets", "schema").stdout)["properties"]["separator"]


def test_separators_are_listed_and_shown():
    listed = {row["name"] for row in json.loads(run("separators", "list", "--json").stdout)}
    assert {"nmf", "ica"} <= listed
    assert all(name in run("separators", "list").stdout for name in listed)
    values = json.loads(run("separators", "show", "ica", "--json").stdout)
    assert {"sources", "seed"} <= {row["parameter"] for row in values["parameters"]}
    assert "one per channel" in run("separators", "show", "ica").stdout
    assert "no separator 'icka'" in error_of("separators", "show", "icka")


# -- evaluate --------------------------------------------------------------------------------------


def test_evaluate_measures_stems_and_says_what_does_not_fit(tmp_path):
    sources = {"a": noise(1, seed=1), "b": noise(1, seed=2)}
    for name, audio in sources.items():
        write(tmp_path / "known" / f"{name}.wav", audio)
        write(tmp_path / "made" / f"{name}.wav", audio + 0.1 * sources["b" if name == "a" else "a"])
    arguments = ("evaluate", "--references", tmp_path / "known", "--estimates", tmp_path / "made")
    report = json.loads(run(*arguments, "--json").stdout)["mixtures"]["."]
    assert [round(stem["si_sdr"]) for stem in report["stems"]] == [20, 20]
    assert "20.0" in run(*arguments).stdout
    (tmp_path / "made" / "b.wav").unlink()
    assert "references without estimate: b" in error_of(*arguments)


def test_evaluate_measures_every_subfolder(tmp_path):
    for song in ("one", "two"):
        for name, seed in (("a", 1), ("b", 2)):
            write(tmp_path / "known" / song / f"{name}.wav", noise(1, seed=seed))
    shutil.copytree(tmp_path / "known", tmp_path / "made")
    shutil.rmtree(tmp_path / "made" / "two")
    arguments = ("evaluate", "--references", tmp_path / "known", "--estimates", tmp_path / "made", "--json")
    result = json.loads(run(*arguments, status=1).stdout)
    assert list(result["mixtures"]) == ["one"]
    assert list(result["failed"]) == ["two"]


# -- errors ----------------------------------------------------------------------------------------


def test_a_traceback_is_shown_only_with_debug(tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = ("inspect", tmp_path / "empty")
    assert "no audio files" in error_of(*arguments)
    assert "Traceback" in run(*arguments, "--debug", status=1).stderr


# -- processes -------------------------------------------------------------------------------------


def wait_until(condition, process, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@posix
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_no_half_file_and_says_130(preset, tmp_path, jobs):
    for name in "abc":
        write(tmp_path / "in" / f"{name}.wav", noise(seconds=120))
    out = tmp_path / "out"
    arguments = [*COMMAND, "separate", tmp_path / "in", "-p", preset, "-o", out, "--jobs", jobs]
    with started(arguments, env=ENVIRONMENT, stderr=subprocess.PIPE, start_new_session=True) as process:
        wait_until(lambda: out.exists() and any(out.iterdir()), process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert errors.decode().splitlines()[-1] == "Stopped."
    assert "Traceback" not in errors.decode()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    for folder in out.iterdir():  # a job that was faster than the signal
        assert files(folder) == STEM_FILES


@posix
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_python_runs_text_is_130_too(tmp_path):
    """As it happens while dataclasses are made."""
    (tmp_path / "program.py").write_text(
        "import click\n"
        "from plugin_bridge.commands.group import Group\n"
        "@click.group(cls=Group)\n"
        "def main(): pass\n"
        "@main.command()\n"
        "def go(): exec('import signal; signal.raise_signal(signal.SIGINT)')\n"
        "main()\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    command = [sys.executable, "-m", "program", "go"]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.decode().splitlines()[-1] == "Stopped."


def source_of(folder):
    """The name of the file that the stems in ``folder`` are of; nothing while they are replaced."""
    try:
        return Path(json.loads((folder / "manifest.json").read_text())["input"]["path"]).name
    except FileNotFoundError:
        return ""


@posix
@pytest.mark.usefixtures("ctrl_c")
def test_watch_takes_files_as_they_come_and_ends_with_ctrl_c(preset, tmp_path):
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    write(inbox / "a.wav", noise(seed=1))
    arguments = [*COMMAND, "watch", inbox, "-p", preset, "-o", out, "--interval", "0.1"]
    log = tmp_path / "log"
    with log.open("w") as errors, started(arguments, env=ENVIRONMENT, stderr=errors) as process:
        wait_until((out / "a" / "manifest.json").exists, process)
        (inbox / "broken.wav").write_bytes(b"RIFF")
        write(inbox / "b.wav", noise(seed=2))
        wait_until((out / "b" / "manifest.json").exists, process)
        wait_until(lambda: f"failed: {inbox / 'broken.wav'}" in log.read_text(), process)
        # A name that is taken and audio that is not read stop nothing, and are said once.
        write(inbox / "a.aiff", noise(seed=3), format="aiff")
        (inbox / "d.m4p").touch()
        write(inbox / "c.wav", noise(seed=4))
        wait_until((out / "c" / "manifest.json").exists, process)
        wait_until(lambda: f"failed: {inbox / 'a.aiff'}" in log.read_text(), process)
        wait_until(lambda: f"warning: {inbox / 'd.m4p'}: left out" in log.read_text(), process)
        assert json.loads((out / "a" / "manifest.json").read_text())["input"]["path"].endswith("a.wav")
        # When that name is free again the work is done.
        (inbox / "a.wav").unlink()
        wait_until(lambda: source_of(out / "a") == "a.aiff", process)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 130
    assert log.read_text().count("warning: ") == 1
    assert files(out) == sorted(f"{name}/{file}" for name in "abc" for file in STEM_FILES)


# -- demo ------------------------------------------------------------------------------------------


def test_the_demo_ends_with_a_table_of_measured_stems(tmp_path):
    out = tmp_path / "stems"
    result = json.loads(run("demo", "-o", out, "--json", "-q").stdout)
    measured = {(row["track"], row["stem"]): row["si_sdr"] for row in result["measured"]}
    drums = [measured["Drums", drum] for drum in ("kick", "snare", "hihat")]
    assert sum(drums) / 3 > 10
    assert min(measured["Duo", "source-1"], measured["Duo", "source-2"]) > 30
    assert min(measured["Mic Guitar", "direct"], measured["Mic Tabla", "direct"]) > 30
    interview = [row for row in result["measured"] if row["track"] == "Interview"]
    assert len(interview) == 2
    assert all(row["si_sdr"] > row["track_si_sdr"] + 1 for row in interview)
    assert measured["Band", "stem-1"] is None
    assert (out / "session_stems.rpp").is_file()
    text = run("demo", "-o", out).stdout
    assert "5 up to date" in text
    for track, stem in measured:
        assert any(track in line and stem in line for line in text.splitlines())


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every name is text")
def test_names_that_are_no_text_are_told_apart(preset, tmp_path):
    inbox, out = tmp_path / "in", tmp_path / "out"
    for number, name in enumerate((b"\xff take", b"\xfe take", "Träck".encode("latin-1"))):
        write(inbox / f"{os.fsdecode(name)}.wav", noise(seed=number))
    result = run("separate", inbox, "-p", preset, "-o", out, "--json", status=1)
    jobs = results_of(result.stdout)["jobs"]
    assert len({job["job"] for job in jobs}) == 3
    # Both takes are called the same once their names are text.
    assert sorted(job["status"] for job in jobs) == ["done", "done", "failed"]
    run("separate", inbox, "-p", preset, "-o", out, "--name", "{index} {track}/{stem}")
