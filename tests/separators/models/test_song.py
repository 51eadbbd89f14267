"""The best model on this machine: which one is taken, what is said of it, what a preset may pin."""

import re
from importlib import metadata

import numpy as np
import pytest

import separators
from separators.errors import ParameterError
from separators.models import song
from separators.models.files import ModelError
from separators.models.song import Song
from separators.models.spleeter import INSTALL
from tests.separators.models import tiny_models

RATE = 44_100
SUM = 1e-5


def noise(channels=2, frames=RATE):
    return np.random.default_rng(0).standard_normal((channels, frames)).astype(np.float32)


@pytest.fixture
def without(monkeypatch, tmp_path):
    """A machine with no model but the package's own."""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    monkeypatch.setenv("STEMBRIDGE_MODELS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_spleeter(without, monkeypatch):
    """One with Spleeter's networks as well, tiny ones."""
    files = sorted((tiny_models.FOLDER / "tiny-spleeter").glob("*.ckpt"))
    monkeypatch.setattr(song.Spleeter, "files", lambda self: files)
    return without


def test_with_nothing_else_the_packages_network_separates_and_says_how_to_get_a_better_one(without):
    assert Song().chosen() == separators.create("wave-u-net", stems=2)
    assert Song(stems=4).chosen() == separators.create("wave-u-net", stems=4)
    (two,) = Song().particulars()
    (four,) = Song(stems=4).particulars()
    assert INSTALL in two
    assert "small network that comes with Stembridge" in two
    assert INSTALL not in four
    assert "docs/big-models.md" in four


def test_spleeters_networks_come_before_it_where_two_stems_are_wanted(with_spleeter):
    assert Song().chosen().name == "spleeter"
    assert Song(stems=4).chosen().name == "wave-u-net"
    assert Song(model="wave-u-net").chosen().name == "wave-u-net"
    assert "Spleeter's networks" in Song().particulars()[0]
    stems = Song().separate(noise(), RATE)
    assert list(stems) == ["vocals", "accompaniment"]
    np.testing.assert_allclose(stems.array.sum(0), noise(), atol=SUM)
    np.testing.assert_allclose(stems["vocals"], song.Spleeter().separate(noise(), RATE)["vocals"], atol=SUM)


@pytest.mark.skipif(not tiny_models.HAS["demucs"], reason="demucs is not installed")
@pytest.mark.parametrize("stems", [2, 4])
def test_a_demucs_checkpoint_comes_before_all(with_spleeter, monkeypatch, stems):
    monkeypatch.setattr(song, "DEMUCS_CHECKPOINTS", ("tiny",))
    file = tiny_models.FOLDER / "tiny-0123abcd.th"
    (with_spleeter / file.name).write_bytes(file.read_bytes())
    best = Song(stems=stems)
    assert best.chosen() == separators.create("demucs", checkpoint="tiny")
    assert best.particulars() == ["song: separated by an HTDemucs checkpoint"]
    found, whole = best.separate(noise(), RATE), best.chosen().separate(noise(), RATE)
    assert list(found) == list(song.STEMS[stems])
    np.testing.assert_allclose(found["vocals"], whole["vocals"], atol=SUM)
    np.testing.assert_allclose(found.array.sum(0), noise(), atol=SUM)


def test_what_is_pinned_and_missing_is_an_error_with_the_command_that_gets_it(without):
    with pytest.raises(ModelError, match=re.escape(INSTALL)):
        Song(model="spleeter").files()
    with pytest.raises(ModelError, match="demucs: there is no 955717e8 in"):
        Song(model="demucs").files()
    with pytest.raises(ParameterError, match="2 stems, not 4"):
        Song(model="spleeter", stems=4)


def test_its_files_are_those_of_the_chosen_model_so_that_results_change_with_it(with_spleeter):
    assert len(Song().files()) == 2
    assert Song(model="wave-u-net").files() == []
