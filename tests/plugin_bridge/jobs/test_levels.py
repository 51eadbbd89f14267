"""The default output keeps its promise: files sum to the input at any level; what cannot is said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.bounce import BounceJob
from plugin_bridge.jobs.inputs import FileInput
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.jobs.levels import PROMISED_DB, Rounding, fit
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.presets.preset import Preset
from separators.models.running import LocalModel
from tests.plugin_bridge.session_helpers import read, write

RATE = 8000
UNPAN = 'title = "t"\n[separator]\nname = "ica"\n'
OUT_OF_PHASE = np.array([[1.0, 0.6], [-0.6, 0.9]])
"""Stems of such a mixture are louder than it."""
READ_BACK_DB = 0.05
"""What a residual of the files may differ by from that of the manifest."""


def mastered(peak=1.0, seconds=4.0):
    """Two noises with changing levels, so loud and dense that their stems pass full scale."""
    rng = np.random.default_rng(0)
    levels = rng.uniform(0.2, 1, (2, 16)).repeat(round(seconds * RATE) // 16, axis=1)
    audio = np.tanh(3 * OUT_OF_PHASE @ (levels * rng.uniform(-1, 1, levels.shape)))
    return (peak * audio / np.abs(audio).max()).astype(np.float32)


def job(path, text=UNPAN, **settings):
    part = Part(FileInput(path), path.parent / "out", path.stem)
    return SeparateJob("job", (part,), PresetText("p", text, "p.toml"), Settings(**settings))


def run(made):
    return made.run(lambda stage, fraction: None)


def residual_of(result, path):
    """Of the files on the disk, measured here."""
    mixture = read(path).astype(np.float64)
    rest = mixture - sum(read(file).astype(np.float64) for file in result.outputs)
    return 10 * math.log10(max(np.sum(rest**2), 1e-300) / np.sum(mixture**2))


def depths(result):
    found = set()
    for path in result.outputs:
        with AudioFileSource(path) as file:
            found.add(file.info.bit_depth)
    return found


@pytest.mark.parametrize("format", ["wav", "aiff"])
@pytest.mark.parametrize("depth", ["16", "24"])
def test_stems_that_would_clip_are_float_unless_integers_were_asked_for(tmp_path, depth, format):
    path = write(tmp_path / "loud.wav", mastered(), RATE, bit_depth=depth)
    result = run(job(path, format=format))
    (track,) = result.tracks
    assert depths(result) == {"float32"}
    assert residual_of(result, path) < PROMISED_DB
    assert (track.gain, track.bit_depth) == (1, "float32")
    assert "32-bit float" in result.notes[0]
    assert not result.warnings
    manifest = Manifest.read(Path(track.manifest))
    assert (manifest.bit_depth, manifest.notes) == ("float32", result.notes)
    again = run(job(path, format=format))
    assert (again.status, again.notes) == ("skipped", result.notes)
    assert run(job(path, format=format, strict=True)).status == "skipped"


@pytest.mark.parametrize(
    "asked", [{"bit_depth": "16"}, {"bit_depth": "24"}, {"format": "flac"}, {"format": "ogg"}], ids=str
)
def test_a_common_gain_is_a_warning_that_strict_refuses(tmp_path, asked):
    path = write(tmp_path / "loud.wav", mastered(), RATE, bit_depth="16")
    result = run(job(path, **asked))
    assert result.tracks[0].gain < 1
    assert "turned down by one gain" in result.warnings[0]
    with pytest.raises(JobError, match=r"one gain.*--strict refuses this"):
        run(job(path, **asked, strict=True))  # what is there already is no better
    with pytest.raises(JobError, match=r"one gain.*--strict refuses this"):
        run(job(path, **asked, strict=True, force=True))


def test_asking_for_the_depth_that_was_not_enough_makes_the_stems_again(tmp_path):
    path = write(tmp_path / "loud.wav", mastered(), RATE, bit_depth="16")
    run(job(path))
    result = run(job(path, bit_depth="24"))
    assert result.status == "done"
    assert depths(result) == {"24"}


def test_stems_of_a_mixture_too_quiet_for_24_bits_are_float(tmp_path):
    quiet = write(tmp_path / "quiet.wav", mastered(0.001), RATE, bit_depth="24")
    normal = write(tmp_path / "normal.wav", mastered(0.5), RATE, bit_depth="24")
    for path, depth in ((quiet, "float32"), (normal, "24")):
        result = run(job(path))
        assert depths(result) == {depth}
        assert residual_of(result, path) < PROMISED_DB


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bit_depth": "16"},
        {"bit_depth": "24"},
        {"bit_depth": "float32"},
        {"format": "ogg"},
        {"stems": ("source-1",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("peak", [0.001, 0.3, 1.0])
def test_the_residual_is_that_of_the_files_as_written(tmp_path, settings, peak):
    path = write(tmp_path / "a.wav", mastered(peak), RATE, bit_depth="24")
    result = run(job(path, **settings))
    expected = residual_of(result, path)
    assert result.tracks[0].residual_db == pytest.approx(expected, abs=READ_BACK_DB)


def test_one_file_with_all_stems_has_their_residual(tmp_path):
    path = write(tmp_path / "a.wav", mastered(0.3), RATE, bit_depth="24")
    files, one = run(job(path)), run(job(path, layout="multichannel", force=True))
    assert one.tracks[0].residual_db == files.tracks[0].residual_db < PROMISED_DB


def test_a_bounce_that_would_clip_says_so(tmp_path):
    path = write(tmp_path / "hot.wav", 1.5 * mastered(), RATE)
    part = Part(FileInput(path), tmp_path / "out", "hot")
    for asked in ({"bit_depth": "16"}, {"format": "flac"}):
        settings = Settings(template="{track}", **asked)
        result = run(BounceJob("hot", part, settings))
        assert "turned down by one gain" in result.warnings[0]
        with pytest.raises(JobError, match="--strict refuses"):
            run(BounceJob("hot", part, Settings(template="{track}", strict=True, **asked)))
    result = run(BounceJob("hot", part, Settings(template="{track}")))
    assert (result.warnings, result.tracks[0].gain) == ([], 1)


@pytest.mark.parametrize("depth", ["16", "24"])
def test_rounding_is_half_a_step_at_most_and_a_twelfth_of_its_square_on_average(depth):
    stems = 0.1 * np.random.default_rng(0).standard_normal((3, 2, 10000)).astype(np.float32)
    rounding = Rounding(depth)
    for start in (0, 5000):
        rounding.add(stems[:, :, start : start + 5000])
    step = 2.0 ** (1 - int(depth))
    expected = 3 * step**2 / 12 / np.mean(np.square(stems.sum(axis=0)))
    assert rounding.decibels == pytest.approx(10 * math.log10(expected), abs=0.2)


def test_silence_and_float_are_not_rounded():
    for depth, audio in (("16", np.zeros((1, 9), np.float32)), ("float32", np.ones((1, 9), np.float32) / 3)):
        rounding = Rounding(depth)
        rounding.add([audio, audio])
        assert rounding.decibels == -math.inf


def test_what_fits_is_left_alone():
    assert fit("wav", "24", asked=False, peak=1.0) == fit("wav", "24", asked=True, peak=1.0)
    assert fit("wav", "24", asked=False, peak=1.0).bit_depth == "24"
    assert fit("wav", "float32", asked=False, peak=9.0).gain == 1


# -- the presets that come with Stembridge --------------------------------------------------------


@pytest.mark.parametrize("name", Preset.names())
def test_every_shipped_preset_writes_files_that_sum_to_a_loud_file(name, tmp_path):
    preset = Preset.load(name)
    separator = preset.make_separator()
    if separator.follows_score or isinstance(separator, LocalModel):
        pytest.skip("it needs a score, or a model that is not in the package")
    loud = write(tmp_path / "in" / "a.wav", mastered(seconds=2.0), RATE, bit_depth="16")
    parts = [Part(FileInput(loud), tmp_path / "out", "a")]
    if preset.together:
        parts = []
        for number, channel in enumerate(mastered(seconds=2.0), 1):
            path = write(tmp_path / "in" / f"{number}.wav", channel[None], RATE, bit_depth="16")
            parts.append(Part(FileInput(path), tmp_path / "out", str(number), number))
    made = SeparateJob(name, tuple(parts), PresetText(name, preset.dump(), name), Settings(), preset.together)
    result = run(made)
    for part, track in zip(parts, result.tracks, strict=True):
        assert track.gain == 1
        if not (preset.stems or preset.remix):  # chains change stems, which is what they are for
            mixture = read(part.input.path).astype(np.float64)
            rest = mixture - sum(read(path).astype(np.float64) for path in track.stems.values())
            assert np.sum(rest**2) <= 10 ** (PROMISED_DB / 10) * np.sum(mixture**2)
            assert track.residual_db < PROMISED_DB
