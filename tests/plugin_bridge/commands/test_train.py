"""``stembridge train``: survives a kill, refuses what cannot be trained on, learns from DAW sessions."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from plugin_bridge.cli import main
from plugin_bridge.commands.train import NETWORKS
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.progress import Event, Reporter, reporter
from plugin_bridge.learning.multitracks import song_corpus, track_stem
from plugin_bridge.sessions import find_sessions
from separators.neural.wave_u_net_architecture import Architecture
from separators.training import music
from separators.training.recipes import RECIPES
from separators.training.song_mixing import MixingSettings
from separators.training.songs import load
from tests.plugin_bridge import session_helpers as made
from tests.plugin_bridge.processes import started
from tests.separators.training.synthetic_voices import write_corpus

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
SMALL_NETWORK = """
from plugin_bridge.cli import main
from separators.neural.network import Architecture
from separators.training import voices
from separators.training.mixing import MixingSettings
small = {"channels": 24, "dilations": (1, 2, 4), "dimensions": 4}
voices.Architecture = lambda **given: Architecture(**small | given)
voices.MixingSettings = lambda **given: MixingSettings(**given | {"seconds": 1.0})
voices.VALIDATION_BATCHES = 1
voices.FEATURE_BATCHES = 2
main()
"""
"""The command as it is, on a network that trains in no time."""
TINY = Architecture(
    channels=(16, 24), strides=(256, 1, 2), kernels=(512, 3), resolution=40, bottom_dilations=(1,)
)
QUARTER = ": training, 25 %"
SECONDS = 4
LEARNED_DB = 1.0
"""By so much a few dozen steps lower the loss at least."""


def command(*arguments):
    return [sys.executable, "-c", SMALL_NETWORK, "train", *map(str, arguments)]


def run(*arguments, status=0):
    result = CliRunner().invoke(main, ["train", *map(str, arguments)])
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result


class Heard(Reporter):
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


# -- the run ---------------------------------------------------------------------------------------


def test_there_is_a_recipe_for_each_network():
    assert tuple(RECIPES) == NETWORKS


def test_a_killed_process_goes_on_as_if_nothing_had_been(tmp_path):
    data = write_corpus(tmp_path / "voices", speakers=3)
    (data / "speaker-0" / "broken.wav").write_bytes(b"no audio")
    settings = ["--data", data, "--steps", 24, "--warm-up-steps", 5, "--checkpoint-minutes", 0]
    whole = subprocess.run(
        command("pit", *settings, "--out", tmp_path / "whole.safetensors"),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    broken = command("pit", *settings, "--out", tmp_path / "broken.safetensors")
    with started(broken, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert any(QUARTER in line for line in process.stderr)
        process.kill()
    assert process.returncode == -9
    assert not (tmp_path / "broken.safetensors").exists()
    again = subprocess.run(broken, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    resumed = next(line for line in again.stderr.splitlines() if line.startswith("resumed at step "))
    assert 4 < int(resumed.split()[3]) < 24
    (row,) = map(json.loads, (tmp_path / "broken.safetensors.training/log.jsonl").read_text().splitlines())
    assert row["step"] == 24
    # The same weights as without the kill, bit by bit: batches depend on seed and step alone.
    expected, got = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(expected[key], got[key]) for key in expected)
    assert "left out" in whole.stderr
    assert "broken.wav" in whole.stderr
    assert "validation score" in whole.stdout


def test_asked_to_end_it_saves_and_says_how_to_go_on(tmp_path):
    data, out = write_corpus(tmp_path / "voices", speakers=2), tmp_path / "out.safetensors"
    line = command("pit", "--data", data, "--steps", 400, "--out", out)
    with started(line, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert any(": training, " in line for line in process.stderr)
        process.terminate()
        said = process.stderr.read()
        process.wait(30)
    assert process.returncode == 130
    assert "the same command goes on from the checkpoint" in said
    assert "Traceback" not in said
    assert (tmp_path / "out.safetensors.training/checkpoint.pt").is_file()


def test_one_speaker_is_refused_in_one_line(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=1, recordings=1)
    result = run("pit", "--data", data, "--out", tmp_path / "out.safetensors", status=1)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert "fewer than 2 speakers" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nmf", "--data", ".", "--out", "x"], "'nmf' is not one of 'pit', 'danet'"),
        (["pit", "--data", "no folder", "--out", "x"], "does not exist"),
        (["pit", "--data", ".", "--out", "x", "--source-weight", "libri"], "is not SOURCE=WEIGHT"),
        (["wave-u-net", "--data", ".", "--out", "x", "--stem", "Juno"], "is not PATTERN=STEM"),
        (["pit", "--data", ".", "--out", "x", "--stem", "Juno=other"], "for the songs of wave-u-net"),
    ],
)
def test_wrong_usage_is_said_before_any_work(arguments, complaint):
    assert complaint in run(*arguments, status=2).stderr


def test_a_checkpoint_of_another_network_is_refused_in_one_line(tmp_path, monkeypatch):
    data, out = write_songs(tmp_path / "songs", 2), tmp_path / "out.safetensors"
    monkeypatch.setattr(music, "Architecture", lambda: TINY)
    (tmp_path / "out.safetensors.training").mkdir()
    torch.save({"network": {}}, tmp_path / "out.safetensors.training/checkpoint.pt")
    result = run("wave-u-net", "--data", data, "--out", out, "--quiet", status=1)
    assert "checkpoint.pt does not fit" in result.stderr
    assert result.stderr.count("\n") == 1


def test_on_a_terminal_the_bar_shows_step_and_loss():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    with reporter(stream=terminal) as progress:
        progress.update(Event("pit", "training", 0.25, "step 20, loss -3.21"))
        progress.say("left out a.wav")
    assert "pit: training step 20, loss -3.21" in terminal.getvalue()
    assert "25%" in terminal.getvalue()
    assert "left out a.wav" in terminal.getvalue()
    plain = io.StringIO()
    with reporter(stream=plain) as progress:
        for step in range(100):
            progress.update(Event("pit", "training", step / 100, f"step {step}"))
    assert plain.getvalue().splitlines() == [f"pit: training, {quarter} %" for quarter in (0, 25, 50, 75)]


# -- DAW sessions ----------------------------------------------------------------------------------


def tone(hertz, rng):
    time = np.arange(SECONDS * made.RATE) / made.RATE
    return (
        0.2 * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6)) * (np.sin(2 * np.pi * 0.7 * time) > -0.6)
    )


def hits(rng):
    time = np.arange(SECONDS * made.RATE) / made.RATE
    return 0.3 * rng.standard_normal(len(time)) * np.exp(-25 * (time % 0.25))


def write_session(folder, seed):
    """A REAPER project: a drum take cut into two items inside a group, a synth, a muted reference."""
    rng = np.random.default_rng(seed)
    media = {
        "a": tone(rng.uniform(500, 900), rng),
        "b": hits(rng),
        "c": tone(rng.uniform(80, 120), rng),
        "d": tone(rng.uniform(1500, 3000), rng),
    }
    for name, audio in media.items():
        made.write(folder / "Media" / f"{name}.wav", audio[None].astype(np.float32))
    half = SECONDS / 2
    text = made.project(
        made.track("Lead Vox", made.item(length=SECONDS, file="Media/a.wav")),
        made.track("Kit", strip="ISBUS 1 1"),
        made.track(
            "Take 3",
            made.item(length=half, file="Media/b.wav"),
            made.item(half, half, file="Media/b.wav", extra=f"SOFFS {half}"),
            strip="ISBUS 2 -1",
        ),
        made.track("E-Bass", made.item(length=SECONDS, file="Media/c.wav")),
        made.track("Juno", made.item(1, SECONDS - 1, file="Media/d.wav")),
        made.track("Vocal reference", made.item(length=SECONDS, file="Media/a.wav"), strip="MUTESOLO 1 0 0"),
    )
    made.save(folder, text)
    return folder


def write_songs(folder, count):
    for number in range(count):
        write_session(folder / f"song {number}", number)
    return folder


def listed(corpus):
    with (corpus / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_few_steps_on_sessions_lower_the_validation_loss(tmp_path, monkeypatch):
    data = write_songs(tmp_path / "songs", 3)
    short = MixingSettings(batch=2, frames=16_384, loudness_db=0.0)
    monkeypatch.setattr(music, "Architecture", lambda: TINY)
    monkeypatch.setattr(music, "MixingSettings", lambda: short)
    out = tmp_path / "mine.safetensors"
    arguments = ["wave-u-net", "--data", data, "--out", out, "--stem", "juno=other"]
    arguments += ["--warm-up-steps", 5, "--learning-rate", 0.003]
    first = run(*arguments, "--steps", 2)
    second = run(*arguments, "--steps", 25)
    log = (tmp_path / "mine.safetensors.training/log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["validation_loss"] for line in log]
    assert losses[-1] < losses[0] - LEARNED_DB
    assert str(out) in second.stdout
    assert first.stderr.count("Vocal reference: muted") == 3
    assert "rendering" in first.stderr
    # The longer run goes on from the shorter one and renders nothing anew.
    assert "rendering" not in second.stderr
    assert "resumed at step 2" in second.stderr


def test_a_sessions_tracks_are_read_where_they_lie_on_the_timeline(tmp_path):
    data = write_songs(tmp_path / "songs", 2)
    corpus = song_corpus(data, tmp_path / "cache", [("JUNO", "other")], (), Reporter())
    rows = listed(corpus)
    assert [row["stem"] for row in rows] == 2 * ["vocals", "drums", "bass", "other"]
    assert {(row["song"], row["split"]) for row in rows} == {("song 0", "train"), ("song 1", "valid")}
    songs = load(corpus, tmp_path / "decoded")
    assert {recording.frames for recording in songs.recordings} == {SECONDS * 44_100}
    juno = next(recording for recording in songs.recordings if recording.stem == "other")
    audio = songs.audio(juno, 0, juno.frames)
    assert not audio[:, : 44_100 - 100].any()
    assert np.abs(audio[:, 44_100:]).max() > 0.1
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache/tracks").rglob("*.flac")}
    assert len(before) == 8
    (data / "song 0/Media/b.wav").write_bytes((data / "song 1/Media/b.wav").read_bytes())
    song_corpus(data, tmp_path / "cache", [("JUNO", "other")], (), Reporter())
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache/tracks").rglob("*.flac")}
    assert len(after) == 12  # the changed song's tracks, anew
    assert before.items() <= after.items()


def test_exported_tracks_are_songs_too_and_only_later_ones_are_rendered(tmp_path):
    start = 3600 * made.RATE
    folder = tmp_path / "songs" / "live" / "export"
    made.write(folder / "Vox.wav", made.noise(2), time_reference=start)
    made.write(folder / "Drums.wav", made.noise(2, seed=1), time_reference=start + made.RATE)
    corpus = song_corpus(tmp_path / "songs", tmp_path / "cache", [], (), Reporter())
    paths = {row["stem"]: Path(row["path"]) for row in listed(corpus)}
    assert paths["vocals"] == (folder / "Vox.wav").resolve()
    assert paths["drums"].is_relative_to((tmp_path / "cache").resolve())
    assert {row["song"] for row in listed(corpus)} == {"live/export"}


def test_what_cannot_be_read_or_told_is_said_and_left_out(tmp_path):
    data = write_songs(tmp_path / "songs", 2)
    (data / "song 0/Media/c.wav").unlink()
    (data / "song 2").mkdir()
    (data / "song 2" / "song.rpp").write_text("no project")
    heard = Heard()
    corpus = song_corpus(data, tmp_path / "cache", [], (), heard)
    assert len(listed(corpus)) == 5  # without the two synths, one bass and the third song
    assert any("song 2" in line for line in heard.lines)
    assert any("song 0: 4 E-Bass" in line and "c.wav" in line for line in heard.lines)
    assert sum("Juno: the name tells no stem; --stem 'Juno=STEM'" in line for line in heard.lines) == 2


def test_a_manifest_is_left_as_it_is(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,song,stem\n")
    assert song_corpus(tmp_path, tmp_path / "cache", [], (), Reporter()) == tmp_path


def test_no_session_and_no_such_stem_are_clear_errors(tmp_path):
    with pytest.raises(JobError, match="holds no session; give a folder"):
        song_corpus(tmp_path, tmp_path / "cache", [], (), Reporter())
    with pytest.raises(JobError, match="no stem 'keys'; there are: vocals, drums, bass, other, rest"):
        song_corpus(tmp_path, tmp_path / "cache", [("Juno", "keys")], (), Reporter())


@pytest.mark.parametrize(
    ("names", "patterns", "stem"),
    [
        (["Lead Vox"], [], "vocals"),
        (["Take 3", "Kit"], [], "drums"),
        (["Take 3", "Part", "Kit"], [], "drums"),
        (["Vox Synth"], [("*synth", "other")], "other"),
        (["Click"], [("click", "none")], "none"),
        (["Take 3"], [], None),
    ],
)
def test_a_track_is_known_by_its_name_its_group_or_the_users_table(names, patterns, stem):
    assert track_stem(names, patterns) == stem


def test_sessions_are_found_at_any_depth_but_not_among_their_media(tmp_path):
    write_session(tmp_path / "2024" / "a", 0)
    made.write(tmp_path / "b" / "Vox.wav", made.noise(0.1))
    made.write(tmp_path / "b" / "old takes" / "Vox.wav", made.noise(0.1))
    made.write(tmp_path / ".trash" / "Vox.wav", made.noise(0.1))
    found = [path.relative_to(tmp_path).as_posix() for path in find_sessions(tmp_path)]
    assert found == ["2024/a", "b"]
    assert list(find_sessions(tmp_path / "b")) == [tmp_path / "b"]
