"""Presets that separate stems again: TOML, boards, files, manifests, sessions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pedalboard
import pytest
from click.testing import CliRunner

from plugin_bridge import Board, Preset, StemRack, load_preset, save_preset
from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.cli import main
from plugin_bridge.errors import PresetError
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.naming import Template
from plugin_bridge.sessions import open_session
from separators import Cascade
from tests.plugin_bridge import session_helpers as made
from tests.plugin_bridge.command_helpers import results_of
from tests.plugin_bridge.splitters import Bands, Shares, noise

RATE = 44100
SUM_DB = -120.0
SAME = 1e-6
CASCADE = """title = "Test"
[separator]
name = "bands"
width = 5
[separate.low]
name = "shares"
[separate."low/share-2"]
name = "bands"
width = 3
"""
STEMS = ("low/share-1", "low/share-2/low", "low/share-2/high", "high")


def separator():
    return Cascade(Bands(width=5), {"low": Cascade(Shares(), {"share-2": Bands(width=3)})})


pytestmark = pytest.mark.usefixtures("splitters")


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "cascade.toml"
    path.write_text(CASCADE)
    return path


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return results_of(result.stdout)


def read(path):
    with AudioFileSource(path) as source:
        return source.read(0, source.frames)


def sum_db(stems, mixture):
    error = np.sum(stems, axis=0, dtype=np.float64) - mixture
    return 10 * np.log10(np.mean(error**2) / np.mean(np.square(mixture, dtype=np.float64)))


def test_a_preset_makes_the_cascade_it_says(preset):
    loaded = Preset.load(preset)
    assert loaded.make_separator() == separator()
    assert loaded.methods == ["bands", "shares"]
    assert loaded.make_separator().stem_names(2) == STEMS
    assert Preset.parse(loaded.dump(), str(preset)) == loaded


@pytest.mark.parametrize("remix", [False, True])
def test_a_board_with_a_cascade_comes_back_with_the_same_audio(tmp_path, remix):
    chains = {"low/share-2/high": [pedalboard.Gain(-3.0)], "high": [pedalboard.Reverb(0.3)]}
    board, path = Board([StemRack(separator(), chains, remix=remix)]), tmp_path / "own.toml"
    save_preset(board, path, "Own")
    assert Preset.load(path).make_separator() == separator()
    audio = noise(2, 20000)
    out = load_preset(path)(audio, RATE)
    np.testing.assert_array_equal(out, board(audio, RATE))
    assert len(out) == (2 if remix else 2 * len(STEMS))
    assert "StemRack bands width=5, low: shares, share-2: bands width=3 remix=" in repr(board[0])


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (
            '[separate.mid]\nname = "bands"',
            "separate.mid: bands gives no stem 'mid' here; its stems are: low",
        ),
        ('[separate."high/low/x"]\nname = "bands"', r"separate.high/low/x: high/low is not separated; add"),
        ('[separate."low/share-1"]\nname = "band"', r"separate.low/share-1.name: .*did you mean 'bands'"),
        ('[separate.high]\nname = "bands"\nwidht = 3', "separate.high.widht: bands has no such parameter"),
        ('[separate.high]\nname = "bands"\nwidth = 0', "separate.high: bands: width must be a whole number"),
        ("[separate.high]\nwidth = 3", "separate.high.name: is missing"),
        ('[[stems.low]]\nplugin = "Gain"', "stems: cascade gives no stem 'low' here; .* low/share-1, low"),
        ('[output]\nstems = ["low"]', "stems: cascade gives no stem 'low' here"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(extra, says):
    with pytest.raises(PresetError, match=says) as error:
        Preset.parse(CASCADE + extra, "own.toml").check()
    assert str(error.value).startswith("own.toml: ")
    assert "\n" not in str(error.value)


def test_microphones_taken_together_have_no_stems_to_separate_again():
    with pytest.raises(PresetError, match="separate: with together = true the stems are the tracks'"):
        Preset.parse("together = true\n" + CASCADE)


def test_the_schema_knows_the_separators_of_stems():
    schema = Preset.model_json_schema()
    assert schema["properties"]["separate"]["additionalProperties"] == {"$ref": "#/$defs/SeparatorTable"}


def test_a_stem_of_a_stem_lies_in_its_folder():
    fields = {"track": "AC/DC", "stem": "drums/../kick"}
    assert Template().path(**fields).as_posix() == "AC_DC/drums/kick"
    assert Template("{track} {stem}").path(**fields).as_posix() == "AC_DC drums_.._kick"


def test_files_and_manifest_of_a_cascade(tmp_path, preset):
    audio = noise(2, 5 * RATE)  # several blocks of these separators
    file = made.write(tmp_path / "a.wav", audio, RATE)
    arguments = ["separate", file, "--preset", preset, "--out", tmp_path / "out", "--json"]
    (job,) = run(*arguments)["jobs"]
    stems = {stem: tmp_path / "out" / "a" / f"{stem}.wav" for stem in STEMS}
    assert {Path(path) for path in job["outputs"]} == set(stems.values())
    assert sum_db([read(path) for path in stems.values()], audio) < SUM_DB
    manifest = Manifest.read(tmp_path / "out/a/manifest.json")
    assert [output.path for output in manifest.outputs] == [f"{stem}.wav" for stem in STEMS]
    assert manifest.residual_db < SUM_DB
    again = manifest.key["separator"]["separate"]["low"]
    assert (again["name"], again["separate"]["share-2"]["width"]) == ("shares", 3)
    assert run(*arguments)["jobs"][0]["status"] == "skipped"
    preset.write_text(CASCADE.replace("width = 3", "width = 4"))
    assert run(*arguments)["jobs"][0]["status"] == "done"
    chosen = run(*arguments, "--stems", "low/share-1,high", "--force")["jobs"][0]["outputs"]
    assert [Path(path).relative_to(tmp_path / "out/a").as_posix() for path in chosen] == [
        "low/share-1.wav",
        "high.wav",
    ]


def test_a_job_gives_what_its_presets_board_gives(tmp_path, preset):
    text = CASCADE + '[[stems."low/share-2/low"]]\nplugin = "Compressor"\nthreshold_db = -40.0\n'
    preset.write_text(text)
    audio = noise(1, 5 * RATE)
    file = made.write(tmp_path / "a.wav", audio, RATE)
    run("separate", file, "--preset", preset, "--out", tmp_path / "out", "--layout", "multichannel", "--json")
    got = read(tmp_path / "out/a/stems.wav")
    np.testing.assert_allclose(got, load_preset(preset)(audio, RATE), atol=SAME)


def test_a_sessions_stems_of_stems_stand_under_their_track(tmp_path, preset):
    made.write(tmp_path / "song" / "Loop.wav", noise(1, made.RATE), made.RATE)
    result = run("render", tmp_path / "song", "--preset", preset, "--out", tmp_path / "out", "--json")
    session = open_session(Path(result["further_outputs"][0]), media_roots=[tmp_path])
    tracks = {track.name: track for track in session.walk()}
    for stem in STEMS:
        (clip,) = tracks[f"Loop {stem}"].clips
        assert clip.source == (tmp_path / "out/Loop" / f"{stem}.wav").resolve()
    assert session.not_honoured == []


# -- shipped presets -------------------------------------------------------------------------------


def music(seconds=2.0):
    """Drum hits and a chord, so that no stem of a song is silent."""
    time = np.arange(round(seconds * RATE)) / RATE
    hits = np.random.default_rng(0).standard_normal(len(time)) * np.exp(-30 * (time % 0.5))
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (55, 220, 277, 330))
    return np.stack([0.2 * hits + 0.05 * chord, 0.15 * hits + 0.06 * chord]).astype(np.float32)


def test_the_drums_of_a_song_come_apart_and_everything_sums_to_it():
    audio = music()
    board = load_preset("music-4-drums")
    names = board[0].stem_names(2)
    assert names == ("vocals", "drums/kick", "drums/snare", "drums/hihat", "bass", "other")
    stems = board(audio, RATE).reshape(len(names), *audio.shape)
    assert sum_db(stems, audio) < SUM_DB
    drums = load_preset("music-4")(audio, RATE).reshape(4, *audio.shape)[1]
    assert drums.any()
    np.testing.assert_allclose(stems[1:4].sum(axis=0), drums, atol=SAME)


def test_drums_out_is_the_song_without_its_drums():
    audio = music()
    drums = load_preset("music-4")(audio, RATE).reshape(4, *audio.shape)[1]
    np.testing.assert_allclose(load_preset("drums-out")(audio, RATE), audio - drums, atol=SAME)


@pytest.mark.parametrize(
    ("name", "stem"), [("dialogue-cleanup", "voice-1"), ("vocals-denoise-chain", "vocals")]
)
def test_a_cleaning_chain_is_gentle_and_without_latency(name, stem):
    chain = Board(Preset.load(name).make_chain(f"stems.{stem}"))
    time = np.arange(2 * RATE) / RATE
    speech = np.float32(0.1) * np.sin(2 * np.pi * 300 * time, dtype=np.float32)
    kept, steady = chain(speech, RATE), slice(RATE, None)
    level_db = 20 * np.log10(np.std(kept[steady]) / np.std(speech[steady]))
    assert -6 < level_db < 0.5
    click = np.zeros(RATE, np.float32)
    click[5000] = 0.5
    assert np.flatnonzero(chain(click, RATE))[0] == 5000
    rumble = chain(np.float32(0.1) * np.sin(2 * np.pi * 20 * time, dtype=np.float32), RATE)
    hiss = chain(np.float32(1e-3) * noise(1, len(time))[0], RATE)
    assert 20 * np.log10(np.std(rumble[steady]) / 0.0707) < -9
    assert np.std(hiss[steady]) < 0.5 * 1e-3 * 0.2
