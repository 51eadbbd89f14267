"""--plots: which pictures lie where, what is in them, and what happens when they cannot be drawn."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from plugin_bridge.audio.files import AudioWriter
from plugin_bridge.report.pictures import draw_spectrogram, new_figure, save_factors
from plugin_bridge.report.spectrogram import Spectrogram
from separators.nmf.factors import Factors
from tests.plugin_bridge.command_helpers import UNPAN, results_of, run

RATE = 8000
DRUMS = 'title = "d"\npurpose = "tests"\n[separator]\nname = "nmf"\nmode = "drums"\niterations = 2\n'
STEMS = ["hihat.wav", "kick.wav", "manifest.json", "snare.wav"]
PICTURES = ["factors.png", "spectrograms.png"]


def write(path, seconds=1.0, channels=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.05 * np.random.default_rng(seed).laplace(size=(channels, round(seconds * RATE)))
    with AudioWriter(path, RATE, channels, bit_depth="float32") as writer:
        writer.write(noise.astype(np.float32))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def size(path):
    """Width and height of a PNG file."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert data.endswith(b"IEND\xaeB`\x82")
    return struct.unpack_from(">II", data, 16)


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "drums.toml"
    path.write_text(DRUMS)
    return path


def test_pictures_lie_beside_the_stems_and_in_the_manifest(tmp_path, preset):
    track = write(tmp_path / "$2 bröken_{音}.wav")
    run("separate", track, "-p", preset, "-o", tmp_path / "out", "--plots")
    folder = tmp_path / "out" / track.stem
    assert names(folder) == sorted(STEMS + PICTURES)
    assert json.loads((folder / "manifest.json").read_text())["pictures"] == [
        "spectrograms.png",
        "factors.png",
    ]
    for picture in PICTURES:
        width, height = size(folder / picture)
        assert 800 <= width <= 1400
        assert 400 <= height <= 1600
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_pictures_are_drawn_once_and_old_ones_do_not_outlive_their_stems(tmp_path, preset):
    track, out = write(tmp_path / "a.wav"), tmp_path / "out"
    command = ("separate", track, "-p", preset, "-o", out, "--json")

    def status(*more):
        return results_of(run(*command, *more).stdout)["jobs"][0]["status"]

    assert status() == "done"
    assert names(out / "a") == STEMS
    assert status("--plots") == "done"
    assert status("--plots") == status() == "skipped"
    assert names(out / "a") == sorted(STEMS + PICTURES)
    (out / "a" / "factors.png").unlink()
    assert status("--plots") == "done"
    write(track, seed=1)
    (out / "a" / "mine.png").write_text("not Stembridge's")
    assert status() == "done"
    assert names(out / "a") == sorted([*STEMS, "mine.png"])


def test_a_dry_run_shows_them(tmp_path, preset):
    track = write(tmp_path / "a.wav")
    planned = run("separate", track, "-p", preset, "-o", tmp_path / "out", "--plots", "--dry-run").stdout
    assert all(name in planned for name in (*STEMS, *PICTURES))


def test_a_name_without_stem_puts_them_beside_the_multichannel_file(tmp_path, preset):
    track = write(tmp_path / "a.wav")
    run(
        "separate", track, "-p", preset, "-o", tmp_path / "out", "--plots",
        "--layout", "multichannel", "--name", "{track}",
    )  # fmt: skip
    assert names(tmp_path / "out") == ["a.factors.png", "a.manifest.json", "a.spectrograms.png", "a.wav"]


def test_separators_without_factors_have_spectrograms_only(tmp_path):
    (tmp_path / "unpan.toml").write_text(UNPAN)
    track = write(tmp_path / "a.wav", channels=2)
    run("separate", track, "-p", tmp_path / "unpan.toml", "-o", tmp_path / "out", "--plots")
    assert names(tmp_path / "out" / "a") == [
        "manifest.json", "source-1.wav", "source-2.wav", "spectrograms.png",
    ]  # fmt: skip


def test_microphones_together_have_a_picture_each(tmp_path):
    (tmp_path / "unpan.toml").write_text(UNPAN)
    for seed, name in enumerate(("a.wav", "b.wav")):
        write(tmp_path / "session" / name, seed=seed)
    command = ("render", tmp_path / "session", "-p", tmp_path / "unpan.toml", "-o", tmp_path / "out")
    run(*command, "--together", "*", "--plots")
    for name in ("a", "b"):
        assert names(tmp_path / "out" / name) == [
            "bleed.wav",
            "direct.wav",
            "manifest.json",
            "spectrograms.png",
        ]


def test_silence_has_a_spectrogram_and_nothing_learned(tmp_path, preset):
    with AudioWriter(tmp_path / "a.wav", RATE, 1, bit_depth="float32") as writer:
        writer.write(np.zeros((1, RATE), np.float32))
    run("separate", tmp_path / "a.wav", "-p", preset, "-o", tmp_path / "out", "--plots")
    assert names(tmp_path / "out" / "a") == sorted([*STEMS, "spectrograms.png"])


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, preset, monkeypatch):
    monkeypatch.setattr("plugin_bridge.report.pictures.find_spec", lambda name: None)
    out = tmp_path / "out"
    said = run("separate", write(tmp_path / "a.wav"), "-p", preset, "-o", out, "--plots", status=1).stderr
    assert said == (
        "Error: pictures need matplotlib, which is not installed: pip install 'stembridge[plots]'\n"
    )
    assert not out.exists()


def test_an_image_shows_the_audio_between_the_floor_and_the_loudest():
    time = np.arange(RATE) / RATE
    audio = np.sin(2 * np.pi * 440 * time)[np.newaxis].astype(np.float32)
    made = Spectrogram(RATE, RATE)
    made.add(audio)
    levels = made.decibels()
    axes = new_figure(4, 3).subplots()
    image = draw_spectrogram(axes, made, levels, levels.max(), "tone")
    shown = image.get_array()
    assert shown.max() == image.norm.vmax == 0
    assert shown.min() == image.norm.vmin == -70
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (0, 1, 0, len(levels))
    brightest = np.unravel_index(np.argmax(shown), shown.shape)[0]
    ticks = dict(zip([text.get_text() for text in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert ticks["100 Hz"] < brightest < ticks["1 kHz"]


@pytest.mark.parametrize("frames", [1, 4])
def test_factors_of_any_number_and_length_are_drawn(tmp_path, frames):
    random = np.random.default_rng(0)
    components = 30
    activations = random.random((5000, components)).astype(np.float32)
    activations[:, 3] = 0  # a component that never sounds
    templates = random.random((components, frames, 129)).astype(np.float32)
    templates[3] = 0
    stems = tuple(f"stem-{index // 10}" for index in range(components))
    factors = Factors(stems, templates, activations, [(0, 5.0), (10, 1.0)], 0.01, 31.25)
    save_factors(factors, tmp_path / "factors.png", "30 components")
    assert size(tmp_path / "factors.png")[0] == 1100
