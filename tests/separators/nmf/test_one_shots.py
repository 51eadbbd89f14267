import numpy as np
import pytest
import soundfile

from separators import NMF, ParameterError
from separators.evaluation import si_sdr
from separators.nmf.drum_templates import FRAMES
from separators.nmf.one_shots import average, find, one_shot

RATE = 44100
SUM_DB = -120.0


def tone(frequency, rate=RATE, seconds=0.3, silence=0.0, decay=0.06):
    time = np.arange(round(seconds * rate)) / rate
    hit = np.sin(2 * np.pi * frequency * time) * np.exp(-time / decay)
    return np.concatenate([np.zeros(round(silence * rate)), hit]).astype(np.float32)


def save(path, audio, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate)
    return path


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "Bongo.wav", tone(400))
    save(tmp_path / "zap" / "1.flac", tone(3000))
    save(tmp_path / "zap" / "2.wav", tone(3600))
    (tmp_path / "notes.txt").write_text("not audio")
    (tmp_path / "empty").mkdir()
    save(tmp_path / ".hidden.wav", tone(100))
    (tmp_path / "linked.wav").symlink_to(tmp_path / "Bongo.wav")
    return tmp_path


def test_files_and_folders_are_drums_called_by_their_names(folder):
    found = find(folder)
    assert {drum: [path.name for path in paths] for drum, paths in found.items()} == {
        "bongo": ["Bongo.wav"],
        "zap": ["1.flac", "2.wav"],
    }


def test_stems_are_the_drums_of_the_folder_and_come_apart(folder):
    drums = np.zeros((2, 1, 2 * RATE), np.float32)
    for drum, frequency, hits in zip(
        drums[:, 0], (400, 3300), ((0, 0.5, 1, 1.5), (0.25, 0.5, 1.25)), strict=True
    ):
        for seconds in hits:
            drum[round(seconds * RATE) :][: round(0.3 * RATE)] += tone(frequency)
    separator = NMF(mode="drums", one_shots=str(folder))
    stems = separator.separate(drums.sum(axis=0), RATE)
    assert list(stems) == ["bongo", "zap"]
    assert min(si_sdr(drum, stem) for drum, stem in zip(drums, stems.values(), strict=True)) > 20
    error = np.linalg.norm(stems.array.sum(axis=0) - drums.sum(axis=0)) / np.linalg.norm(drums.sum(axis=0))
    assert 20 * np.log10(error) < SUM_DB


def test_own_drums_go_before_the_shipped_ones_and_beside_them(folder):
    save(folder / "kick.wav", tone(60))
    separator = NMF(mode="drums", one_shots=str(folder), drums="snare, kick")
    assert separator.stem_names(1) == ("snare", "kick")
    assert {path.name for path in separator.files()} == {"Bongo.wav", "1.flac", "2.wav", "kick.wav"}
    with pytest.raises(ParameterError, match="no drum 'gong'; there are: bongo, kick, zap, snare"):
        NMF(mode="drums", one_shots=str(folder), drums="gong")


def test_a_template_begins_with_the_attack_whatever_the_rate_and_channels(tmp_path):
    plain = one_shot(save(tmp_path / "plain.wav", tone(1000)))
    late = one_shot(save(tmp_path / "late.wav", tone(1000, silence=0.5)))
    stereo = one_shot(save(tmp_path / "stereo.wav", np.stack([tone(1000)] * 2, axis=1)))
    slow = one_shot(save(tmp_path / "slow.wav", tone(1000, rate=22050), 22050))
    assert plain.shape[0] == FRAMES
    assert plain.sum() == pytest.approx(1, abs=1e-4)
    for other in (late, stereo, slow):
        assert np.vdot(plain, other) / np.linalg.norm(plain) / np.linalg.norm(other) > 0.9


def test_recordings_of_one_drum_count_the_same(tmp_path):
    low, high = save(tmp_path / "low.wav", 0.1 * tone(500)), save(tmp_path / "high.wav", tone(5000))
    np.testing.assert_allclose(average([low, high]), (one_shot(low) + one_shot(high)) / 2, atol=1e-7)


@pytest.mark.parametrize("case", ["missing", "file", "nothing in it"])
def test_a_folder_that_is_none_is_refused_at_once(tmp_path, case):
    path = tmp_path / case
    if case == "file":
        save(path.with_suffix(".wav"), tone(100)).rename(path)
    elif case == "nothing in it":
        path.mkdir()
    with pytest.raises(ParameterError, match=r"nmf: one_shots: .*give (a folder|it from 1 to)") as error:
        NMF(mode="drums", one_shots=str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"RIFF, but not really", None])
def test_a_recording_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "kick.wav"
    if content is None:
        save(path, np.zeros(1000, np.float32))
    else:
        path.write_bytes(content)
    separator = NMF(mode="drums", one_shots=str(tmp_path))
    with pytest.raises(ParameterError, match=r"kick\.wav (cannot be read as audio|holds no sound)") as error:
        separator.separate(tone(100), RATE)
    assert "\n" not in str(error.value)
