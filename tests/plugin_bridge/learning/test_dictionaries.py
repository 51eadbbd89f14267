import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from plugin_bridge.cli import main
from plugin_bridge.presets.preset import Preset
from separators.evaluation import si_sdr
from separators.nmf.dictionary import FOLDER_VARIABLE, load
from tests.separators.nmf.dictionaries import HIGH, LOW, RATE, hits, notes

FAILED, USAGE = 1, 2
BETTER_DB = 4.0
PRESET = """title = "My band"
[separator]
name = "nmf"
mode = "supervised"
dictionary = "{}"
"""


@pytest.fixture(scope="module")
def takes(tmp_path_factory):
    """Solo takes: a file of notes, a folder of hits, a mixture of others."""
    folder = tmp_path_factory.mktemp("takes")
    (folder / "drums" / "more").mkdir(parents=True)
    soundfile.write(folder / "notes.wav", notes(LOW, seed=10)[0], RATE)
    for number, place in enumerate(("one.wav", "more/two.flac")):
        soundfile.write(folder / "drums" / place, hits(1.5, seed=20 + number)[0], RATE)
    (folder / "drums" / "readme.txt").write_text("no audio")
    soundfile.write(folder / "song.wav", (notes(LOW, seed=1) + hits(seed=2))[0], RATE, "FLOAT")
    return folder


@pytest.fixture
def run(monkeypatch, takes, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    monkeypatch.chdir(takes)
    return lambda *words: CliRunner().invoke(main, ["dictionary", *map(str, words)])


def test_learned_on_the_command_line_used_in_a_preset(run, takes, tmp_path):
    result = run("learn", "--out", tmp_path / "band.safetensors", "notes=notes.wav", "hits=drums/")
    assert result.exit_code == 0, result.output
    assert "one.wav" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["band.safetensors"]  # and nothing half made
    preset = tmp_path / "my.toml"
    preset.write_text(PRESET.format("band.safetensors"))  # beside the preset, not in the working folder
    assert Preset.load(preset).make_separator().stem_names(1) == ("notes", "hits")
    arguments = ["separate", str(takes / "song.wav"), "--preset", str(preset), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    song = soundfile.read(takes / "song.wav")[0]
    for name, source in (("notes", notes(LOW, seed=1)[0]), ("hits", hits(seed=2)[0])):
        stem = soundfile.read(tmp_path / "out" / "song" / f"{name}.wav")[0]
        assert si_sdr(source, stem) > si_sdr(source, song) + BETTER_DB


def test_a_changed_dictionary_makes_new_stems(run, takes, tmp_path):
    preset, out = tmp_path / "my.toml", tmp_path / "out"
    preset.write_text(PRESET.format("band.safetensors"))
    arguments = ["separate", str(takes / "song.wav"), "--preset", str(preset), "--out", str(out)]
    said = []
    for templates in (2, 2, 4):
        if templates == 4 or not said:
            run(
                "learn",
                "--out",
                tmp_path / "band.safetensors",
                "--templates",
                templates,
                "a=notes.wav",
                "b=drums",
            )
        said.append(CliRunner().invoke(main, arguments).output)
    assert "1 done" in said[0]
    assert "1 up to date" in said[1]
    assert "1 done" in said[2]


def test_a_named_dictionary_is_listed_shown_and_found(run, tmp_path):
    result = run(
        "learn", "--name", "mine", "--templates", 2, "--json", "a=notes.wav", "b=drums", "a=song.wav"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(run("list", "--json").stdout)[0]["name"] == "mine"
    assert "a, b" in run("list").output
    shown = json.loads(run("show", "mine", "--json").stdout)
    assert shown["sample_rate"] == RATE
    assert [part["files"] for part in shown["parts"]] == [["notes.wav", "song.wav"], ["two.flac", "one.wav"]]
    assert "one.wav" in run("show", "mine").output
    assert load("mine").names == ("a", "b")
    preset = tmp_path / "my.toml"
    preset.write_text(PRESET.format("mine"))
    assert CliRunner().invoke(main, ["presets", "check", str(preset)]).exit_code == 0


def test_a_preset_says_which_dictionary_is_missing(run, tmp_path):
    preset = tmp_path / "my.toml"
    preset.write_text(PRESET.format("other.safetensors"))
    result = CliRunner().invoke(main, ["presets", "check", str(preset)])
    assert result.exit_code == FAILED
    assert "my.toml: separator: there is no dictionary 'other.safetensors'" in result.output
    assert "stembridge dictionary learn" in result.output


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["a=notes.wav"], FAILED, "either --out FILE.safetensors or --name NAME"),
        (["--name", "x", "--out", "y.safetensors", "a=notes.wav"], FAILED, "either --out"),
        (["--out", "band.txt", "a=notes.wav"], FAILED, "a dictionary's file ends in .safetensors"),
        (["--name", "../x", "a=notes.wav"], FAILED, "cannot be a dictionary's name"),
        (["--name", "x", "notes.wav"], USAGE, "not of the form NAME=FILE"),
        (["--name", "x", "a=nothing.wav"], USAGE, "there is no file or folder 'nothing.wav'"),
        (["--name", "x", "rest=notes.wav"], FAILED, "no part can be called 'rest'"),
        (["--name", "x", "a=drums/readme.txt"], FAILED, "readme.txt: cannot be read as audio"),
        (["--name", "x", "--templates", "0", "a=notes.wav"], USAGE, "0 is not in the range"),
    ],
)
def test_wrong_words_are_one_line(run, words, status, message):
    result = run("learn", *words)
    assert result.exit_code == status
    assert message in result.output.splitlines()[-1]


def test_a_folder_without_audio_is_named(run, tmp_path):
    result = run("learn", "--name", "x", f"a={tmp_path}")
    assert result.exit_code == FAILED
    assert "there is no audio file in this folder" in result.output


def test_nothing_is_left_where_learning_fails(run, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), RATE)
    result = run("learn", "--out", tmp_path / "x.safetensors", f"a={tmp_path / 'silent.wav'}")
    assert result.exit_code == FAILED
    assert "all recordings of 'a' are silent" in result.output
    assert not (tmp_path / "x.safetensors").exists()


def test_hundreds_of_one_shots_do_not_stay_open(tmp_path, monkeypatch):
    from plugin_bridge.learning import dictionaries

    opened = []
    plain = dictionaries._Brief.read
    monkeypatch.setattr(
        dictionaries._Brief, "read", lambda self, *place: (opened.append(self), plain(self, *place))[1]
    )
    for number in range(8):
        soundfile.write(tmp_path / f"{number}.wav", notes(HIGH, 0.25, seed=number)[0], RATE)
    dictionaries.learn_from_files({"a": [tmp_path]}, tmp_path / "a.safetensors", 2)
    assert len(set(map(id, opened))) == 8
    assert all(source._reader is None for source in opened)
