"""Presets without a separator: files, folders and tracks through chains; tails; what chains listen to."""

from __future__ import annotations

import json

import numpy as np
import pedalboard as pb
import pytest

import plugin_bridge
from plugin_bridge import Automated, Board, Follower, StemRack, load_preset, sidechains
from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import JobsFailedError, PresetError
from plugin_bridge.plugins.mix import StemMix
from tests.plugin_bridge import command_helpers, session_helpers
from tests.plugin_bridge.splitters import Bands, noise

RATE = 48000
FLOAT = {"bit_depth": "float32"}


pytestmark = pytest.mark.usefixtures("splitters")


def write(path, audio):
    return session_helpers.write(path, audio, RATE)


def chain():
    return Board([pb.HighpassFilter(99), StemMix([None, [pb.Delay(0.01), pb.Gain(-6)]]), pb.Limiter(-3)])


def test_a_folder_through_a_chain_like_any_other_job(tmp_path):
    audio = {"a": noise(2, 70000), "b": noise(1, 9000)}
    for name, samples in audio.items():
        write(tmp_path / "in" / "sub" / f"{name}.wav", samples)
    chain().save(tmp_path / "my-chain.toml")
    results = plugin_bridge.process(tmp_path / "in", tmp_path / "my-chain.toml", tmp_path / "out")
    assert [result.status for result in results.jobs] == ["done", "done"]
    for name, samples in audio.items():
        made = session_helpers.read(tmp_path / "out" / "sub" / name / f"{name}.wav")
        np.testing.assert_array_equal(made, chain()(samples, RATE))
    manifest = json.loads((tmp_path / "out" / "sub" / "a" / "manifest.json").read_text())
    assert manifest["outputs"][0]["stems"] == ["processed"]
    again = plugin_bridge.process(tmp_path / "in", tmp_path / "my-chain.toml", tmp_path / "out")
    assert [result.status for result in again.jobs] == ["skipped", "skipped"]


def test_the_command_formats_and_names(tmp_path):
    write(tmp_path / "in" / "a.wav", 0.1 * noise(2, 9000))
    chain().save(tmp_path / "c.toml")
    arguments = ("--preset", tmp_path / "c.toml", "--out", tmp_path / "out", "--format", "flac")
    command_helpers.run("process", tmp_path / "in", *arguments, "--name", "{track}", "--tail", "0.5")
    assert command_helpers.files(tmp_path / "out") == ["a.flac", "a.manifest.json"]
    assert session_helpers.read(tmp_path / "out" / "a.flac").shape == (2, 9000 + RATE // 2)
    said = command_helpers.error_of("process", tmp_path / "in", "--preset", "drum-loop", status=2)
    assert "it separates; use separate" in said
    said = command_helpers.error_of("process", tmp_path / "in", *arguments, "--tail", "long", status=2)
    assert "'long' is neither seconds nor auto" in said
    said = command_helpers.error_of("separate", tmp_path / "in", *arguments[:4], "--set", "a=3", status=2)
    assert "it separates nothing, so that there is no a to set" in said


def test_tracks_of_a_session_through_a_chain_that_listens_to_another(tmp_path):
    voice, music = noise(1, RATE), noise(1, 2 * RATE, seed=1)
    write(tmp_path / "v.wav", voice)
    write(tmp_path / "m.wav", music)
    session_helpers.save(
        tmp_path,
        session_helpers.project(
            session_helpers.track("Music", session_helpers.item(0.5, 2, "m.wav")),
            session_helpers.track("Voice", session_helpers.item(1.0, 1, "v.wav")),
        ),
    )
    duck = Automated(pb.Gain(), {"gain_db": Follower([-50, -20], [0, -12], track="Voice")})
    Board([duck]).save(tmp_path / "duck.toml")
    results = plugin_bridge.render(
        tmp_path / "song.rpp", tmp_path / "duck.toml", tmp_path / "out", tracks="Music", **FLOAT
    )
    assert results.project is not None
    heard = np.pad(voice, ((0, 0), (RATE // 2, RATE // 2)))  # it begins half a second after the music
    with sidechains(tracks={"Voice": heard}):
        expected = duck(music, RATE)
    made = session_helpers.read(tmp_path / "out" / "Music" / "Music.wav")
    np.testing.assert_array_equal(made[0], expected[0])
    # What is listened to decides the result, too.
    write(tmp_path / "v.wav", 0.5 * voice)
    again = plugin_bridge.render(
        tmp_path / "song.rpp", tmp_path / "duck.toml", tmp_path / "out", tracks="Music", **FLOAT
    )
    assert again.jobs[0].status == "done"
    (tmp_path / "duck.toml").write_text((tmp_path / "duck.toml").read_text().replace("Voice", "Voise"))
    with pytest.raises(JobsFailedError, match=r"no track 'Voise' to listen to \(did you mean 'Voice'"):
        plugin_bridge.render(tmp_path / "song.rpp", tmp_path / "duck.toml", tmp_path / "out", tracks="Music")


def test_a_mix_bounced_through_a_chain_with_its_tail(tmp_path):
    music = noise(2, RATE)
    write(tmp_path / "m.wav", music)
    session_helpers.save(
        tmp_path,
        session_helpers.project(session_helpers.track("Music", session_helpers.item(0, 1, "m.wav"))),
    )
    preset = plugin_bridge.Preset.from_board(Board([pb.Reverb(0.3)]), "x", tail_seconds=0.25)
    preset.save(tmp_path / "hall.toml")
    command_helpers.run(
        "bounce", tmp_path, "--mix", "--preset", tmp_path / "hall.toml", "--out", tmp_path / "out",
        "--bit-depth", "float32",
    )  # fmt: skip
    made = session_helpers.read(tmp_path / "out" / "song mix.wav")
    padded = np.pad(music, ((0, 0), (0, RATE // 4)))
    np.testing.assert_array_equal(made, pb.Reverb(0.3)(padded, RATE))


def test_each_command_takes_a_tail(tmp_path):
    """Stems of a file and of a track, and a bounced track, as long as the option says."""
    write(tmp_path / "m.wav", noise(2, RATE))
    path = session_helpers.save(
        tmp_path,
        session_helpers.project(session_helpers.track("Music", session_helpers.item(0, 1, "m.wav"))),
    )
    rack, hall = tmp_path / "rack.toml", tmp_path / "hall.toml"
    Board([StemRack(Bands(), {"low": [pb.Reverb(0.5)]})]).save(rack)
    Board([pb.Reverb(0.5)]).save(hall)
    out = tmp_path / "out"
    tail = ("--out", out, "--tail", "0.25")
    command_helpers.run("separate", tmp_path / "m.wav", "--preset", rack, *tail, "--name", "{track} {stem}")
    command_helpers.run("render", path, "--preset", rack, *tail, "--name", "{track} {stem}")
    command_helpers.run("bounce", path, "--preset", hall, *tail)
    made = ["m low", "m high", "Music low", "Music high", "Music"]
    for name in made:
        assert session_helpers.read(out / f"{name}.wav").shape == (2, RATE + RATE // 4), name
    command_helpers.run("bounce", path, "--preset", hall, "--out", out)
    assert session_helpers.read(out / "Music.wav").shape == (2, RATE)
    said = command_helpers.error_of("separate", tmp_path / "m.wav", "--preset", "drum-loop", *tail)
    assert "there is no plug-in in it whose tail could be heard" in said
    assert "a tail is that of a chain" in command_helpers.error_of("bounce", path, *tail)


def test_a_file_listens_to_another_of_its_folder(tmp_path):
    voice, music = noise(2, 20000), noise(2, 30000, seed=1)
    write(tmp_path / "in" / "voice.wav", voice)
    write(tmp_path / "in" / "music.wav", music)
    duck = Board([Automated(pb.Gain(), {"gain_db": Follower([-50, -20], [0, -12], track="voice")})])
    plugin_bridge.process(tmp_path / "in" / "music.wav", duck, tmp_path / "out")
    with sidechains(tracks={"voice": voice}):
        expected = duck(music, RATE)
    made = session_helpers.read(tmp_path / "out" / "music" / "music.wav")
    np.testing.assert_array_equal(made, expected)


def test_a_stem_ducks_under_another_as_in_the_board(tmp_path):
    audio = noise(2, 3 * RATE)
    duck = Automated(pb.Gain(), {"gain_db": Follower([-50, -20], [0, -12], stem="high")})
    board = Board([StemRack(Bands(), {"low": [duck, pb.Reverb(0.2)]})])
    write(tmp_path / "a.wav", audio)
    plugin_bridge.separate(tmp_path / "a.wav", board, tmp_path / "out", **FLOAT)
    low, high = np.split(board(audio, RATE), 2)
    np.testing.assert_array_equal(session_helpers.read(tmp_path / "out" / "a" / "low.wav"), low)
    np.testing.assert_array_equal(session_helpers.read(tmp_path / "out" / "a" / "high.wav"), high)


def test_separators_inside_a_chain_and_impulses_from_files(tmp_path):
    audio = noise(2, 2 * RATE)
    write(tmp_path / "a.wav", audio)
    write(tmp_path / "hall.wav", noise(2, 900))
    board = Board(
        [
            pb.Convolution(str(tmp_path / "hall.wav"), 0.5),
            StemMix([None, StemRack(Bands(), {"low": [pb.Gain(-6)]}, remix=True)]),
            Bands(),
        ]
    )
    board.save(tmp_path / "chain.toml")
    text = (tmp_path / "chain.toml").read_text()
    (tmp_path / "chain.toml").write_text(text.replace(f"{tmp_path}/", ""))  # found beside the preset
    plugin_bridge.separate(tmp_path / "a.wav", tmp_path / "chain.toml", tmp_path / "out", **FLOAT)
    made = tmp_path / "out" / "a"
    expected = board(audio, RATE)
    if (made / "a.wav").exists():
        np.testing.assert_array_equal(session_helpers.read(made / "a.wav"), expected)
    else:
        both = [session_helpers.read(made / f"{name}.wav") for name in ("low", "high")]
        np.testing.assert_allclose(np.concatenate(both), expected, atol=1e-6)
    write(tmp_path / "hall.wav", noise(2, 800))
    again = plugin_bridge.separate(tmp_path / "a.wav", tmp_path / "chain.toml", tmp_path / "out", **FLOAT)
    assert again.jobs[0].status == "done"


@pytest.mark.parametrize("tail", [0.5, "auto"])
def test_stems_ring_on_together(tail, tmp_path):
    audio = noise(1, RATE)
    write(tmp_path / "a.wav", audio)
    board = Board([StemRack(Bands(), {"low": [pb.Reverb(0.5)], "high": [pb.Gain(-3)]})])
    preset = plugin_bridge.Preset.from_board(board, "x", tail_seconds=tail)
    results = plugin_bridge.separate(tmp_path / "a.wav", preset, tmp_path / "out", **FLOAT)
    low, high = (session_helpers.read(path) for path in results.jobs[0].outputs)
    assert low.shape == high.shape
    assert not high[:, RATE:].any()
    padded = np.pad(audio, ((0, 0), (0, low.shape[1] - RATE)))
    wet = pb.Reverb(0.5)(np.pad(Bands().separate(audio, RATE)["low"], ((0, 0), (0, 20 * RATE))), RATE)
    np.testing.assert_array_equal(low, wet[:, : low.shape[1]])
    assert padded.shape == low.shape
    if tail == 0.5:
        assert low.shape[1] == RATE + RATE // 2
    else:
        limit = np.abs(wet).max() / 1000
        assert low.shape[1] == np.flatnonzero(np.abs(wet[0]) > limit)[-1] + 1 > 1.5 * RATE


def test_a_chain_is_no_separator(tmp_path):
    write(tmp_path / "a.wav", noise(2, 9000))
    preset = plugin_bridge.Preset.from_board(chain(), "x")
    with pytest.raises(PresetError, match="separates nothing, so that there is no speakers to set"):
        plugin_bridge.separate(tmp_path, preset, tmp_path / "out", parameters={"speakers": 2})
    with pytest.raises(plugin_bridge.JobError, match="separates nothing; leave out together"):
        plugin_bridge.separate(tmp_path, preset, tmp_path / "out", together=True)
    with pytest.raises(plugin_bridge.JobError, match="no stems can be chosen"):
        plugin_bridge.separate(tmp_path, preset, tmp_path / "out", stems=["low"])
    assert isinstance(preset.board(), Board)
    preset.save(tmp_path / "x.toml")
    assert len(load_preset(tmp_path / "x.toml")) == 3
    with AudioFileSource(tmp_path / "a.wav") as source:
        assert source.frames == 9000
