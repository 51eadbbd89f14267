"""Choosing a preset: the list by tasks, suggestions, parameters from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from plugin_bridge.commands.catalogue import HEADINGS
from plugin_bridge.presets.preset import TRACK_STEMS, Preset
from tests.plugin_bridge.command_helpers import RATE, error_of, files, noise, results_of, run, write

IN_WORDS = {"drums-out", "midi-stems", "music-4-demucs", "vocals-spleeter"}
"""They sum stems, need a score, or a model that is not in the package."""


@pytest.mark.parametrize("width", [40, 80, 300])
def test_the_list_is_grouped_by_task_and_fits_the_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("presets", "list").stdout.splitlines()
    assert max(map(len, lines)) <= max(60, min(width, 110))
    groups, heading = {}, ""
    for line in lines[:-1]:
        heading = line if line and not line.startswith(" ") else heading
        if line.startswith("  ") and line[2] != " ":
            groups[line.split()[0]] = heading
    assert sorted(groups) == Preset.names()
    assert groups["music-4"] == "Songs"
    assert groups["two-voices"].startswith("Voices")
    assert groups["drum-kit"] == "Drums"
    assert any("kick, snare, hihat" in line for line in lines)


@pytest.mark.parametrize("name", Preset.names())
def test_every_preset_says_its_task_and_the_stems_that_it_makes(name):
    preset = Preset.load(name)
    assert preset.task in HEADINGS, f"{name}.toml: task must be one of {', '.join(HEADINGS)}"
    assert preset.gives, f"{name}.toml: gives must list its stems"
    if name not in IN_WORDS:
        channels = 1 if name.endswith("-mono") else 2
        made = TRACK_STEMS if preset.together else preset.make_separator().stem_names(channels)
        assert sorted(preset.gives) == sorted(preset.output.stems or made)


def test_the_list_as_json_holds_task_and_stems():
    rows = {row["name"]: row for row in json.loads(run("presets", "list", "--json").stdout)}
    assert rows["drum-loop"]["task"] == "drums"
    assert rows["drum-loop"]["gives"] == ["kick", "snare", "hihat"]
    assert rows["music-4-drums"]["methods"] == ["wave-u-net", "nmf"]


@pytest.mark.parametrize(
    ("wanted", "suggested"),
    [("podcast", "two-voices"), ("snare", "drum-loop"), ("bleed", "mic-bleed"), ("Remixes", "music-2")],
)
def test_a_word_that_is_no_preset_is_answered_by_those_that_speak_of_it(wanted, suggested, tmp_path):
    error = error_of("separate", tmp_path, "-p", wanted, status=2)
    assert f"for {wanted} there are: " in error
    assert f"{suggested} (" in error
    assert "presets list" in error


def test_a_word_that_nothing_speaks_of_is_answered_by_all(tmp_path):
    assert "there are: blind-4, " in error_of("separate", tmp_path, "-p", "xyzzy", status=2)


@pytest.mark.parametrize(
    ("preset", "arguments", "stems"),
    [
        ("blind-4", ["--set", "stems=2", "--set", "iterations=3"], ["stem-1.wav", "stem-2.wav"]),
        ("drum-loop", ["--set", "drums=kick, snare", "--set", "iterations=3"], ["kick.wav", "snare.wav"]),
        ("stereo-unpan", ["--set", "refine=false"], ["source-1.wav", "source-2.wav"]),
    ],
)
def test_parameters_are_set_from_the_command_line(preset, arguments, stems, tmp_path):
    path = write(tmp_path / "in" / "a.wav", noise())
    for command in ("separate", "render"):
        out = tmp_path / command
        run(command, path if command == "separate" else path.parent, "-p", preset, "-o", out, *arguments)
        assert [name for name in files(out / "a") if name.endswith(".wav")] == stems


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "speakers=9"], "a whole number from 2 to 3, not 9"),
        (["--set", "speakers=x"], "a whole number from 2 to 3, not 'x'"),
        (["--set", "speekers=3"], "did you mean 'speakers'"),
        (["--set", "speakers"], "'speakers' is not NAME=VALUE"),
        (["--set", "=3"], "'=3' is not NAME=VALUE"),
        (["--one-shots", "."], "--one-shots needs a preset for drums"),
    ],
)
def test_wrong_parameters_are_wrong_usage(arguments, complaint, tmp_path):
    error = error_of("separate", tmp_path, "-p", "two-voices", "-o", tmp_path / "out", *arguments, status=2)
    assert complaint in error
    assert not (tmp_path / "out").exists()


def test_a_kits_own_one_shots_name_the_stems(tmp_path):
    rng = np.random.default_rng(0)
    for name, decay in (("boom", 0.1), ("tick", 0.01)):
        hit = rng.standard_normal(RATE // 4) * np.exp(-np.arange(RATE // 4) / (decay * RATE))
        write(tmp_path / "kit" / f"{name}.wav", 0.3 * hit[None])
    loop = write(tmp_path / "in" / "loop.wav", noise())
    arguments = ("--one-shots", tmp_path / "kit", "--set", "iterations=3")
    run("separate", loop, "-p", "drum-kit", "-o", tmp_path / "out", *arguments)
    assert files(tmp_path / "out" / "loop") == ["boom.wav", "manifest.json", "tick.wav"]


def test_where_a_preset_falls_short_is_said_once_in_a_run(preset, tmp_path):
    for name in "ab":
        write(tmp_path / "in" / f"{name}.wav", noise())
    preset.write_text('caution = "It is only a test."\n' + preset.read_text())
    arguments = ("separate", tmp_path / "in", "-p", preset, "-o", tmp_path / "out")
    assert run(*arguments).stdout.count("It is only a test.") == 1
    assert results_of(run(*arguments, "--json").stdout)["notes"] == [
        f"preset {preset.stem}: It is only a test."
    ]
    assert "test" not in run(*arguments, "-q").output


def test_no_shipped_preset_hides_that_it_is_weak():
    assert Preset.read("ica-mono").caution
    assert Preset.read("three-voices").caution
