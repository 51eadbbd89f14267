import numpy as np
import pytest
import soundfile

from separators.training.corpus import CorpusError, load
from tests.separators.training.synthetic_voices import RATE, voice, write_corpus


def test_a_folder_per_speaker(tmp_path):
    corpus = load(write_corpus(tmp_path / "data"), tmp_path / "cache")
    train, valid = corpus.speakers("train"), corpus.speakers("valid")
    assert len(train) == 4
    assert len(valid) == 2
    assert not train.keys() & valid.keys()
    utterance = train["speaker-0"][0] if "speaker-0" in train else valid["speaker-0"][0]
    original, _ = soundfile.read(tmp_path / "data" / utterance.path)
    kept = corpus.audio(utterance)
    assert len(kept) == len(original)
    assert np.corrcoef(kept, original)[0, 1] > 0.9999


def test_other_rates_and_channels_become_mono_at_16_khz(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=2, recordings=1)
    stereo = np.repeat(voice(120, 3, 0)[:, None], 2, 1)
    soundfile.write(data / "speaker-0" / "stereo.wav", stereo, 44_100)
    corpus = load(data, tmp_path / "cache")
    found = next(u for u in corpus.utterances if "stereo" in u.path)
    assert found.frames == pytest.approx(len(stereo) * RATE / 44_100, abs=2)


def test_unreadable_and_empty_files_are_reported_and_left_out(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=3, recordings=1)
    (data / "speaker-0" / "broken.wav").write_bytes(b"not audio")
    soundfile.write(data / "speaker-0" / "silent.wav", np.zeros(RATE * 2), RATE)
    lines = []
    corpus = load(data, tmp_path / "cache", lines.append)
    assert len(corpus.utterances) == 3
    assert [("broken.wav" in line, "silent.wav" in line) for line in lines] == [(True, False), (False, True)]


def test_the_copy_is_used_until_a_file_changes(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=2, recordings=1)
    load(data, tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    load(data, tmp_path / "cache")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before
    soundfile.write(data / "speaker-0" / "new.wav", voice(100, 3, 99), RATE)
    assert len(load(data, tmp_path / "cache").utterances) == 3


def test_copies_that_are_left_in_the_cache_are_told_of_once(tmp_path):
    data, lines = write_corpus(tmp_path / "data"), []
    load(data, tmp_path / "cache", lines.append)
    assert lines == []
    file = next(data.rglob("*.wav"))
    file.write_bytes(file.read_bytes() + b"\0\0")
    for _ in range(2):
        load(data, tmp_path / "cache", lines.append)
    (line,) = lines
    assert line.startswith(f"decoded copies of other or older recordings in {tmp_path / 'cache'}: 1, 0.0 GB")
    assert len(list((tmp_path / "cache").glob("*.int16"))) == 2


def test_manifest_names_splits_and_sexes(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=3, recordings=1)
    rows = ["path,speaker,split,sex,source"]
    rows += [
        f"speaker-{n}/0.wav,person {n},{split},F,here" for n, split in enumerate(["train", "train", "test"])
    ]
    (data / "manifest.csv").write_text("\n".join(rows))
    corpus = load(data, tmp_path / "cache")
    assert list(corpus.speakers("train")) == ["person 0", "person 1"]
    assert list(corpus.speakers("test")) == ["person 2"]
    assert {u.sex for u in corpus.utterances} == {"F"}


def test_a_manifest_without_speakers_is_refused(tmp_path):
    data = write_corpus(tmp_path / "data", speakers=2, recordings=1)
    (data / "manifest.csv").write_text("path\nspeaker-0/0.wav\n")
    with pytest.raises(CorpusError, match="columns path and speaker"):
        load(data, tmp_path / "cache")


def test_one_speaker_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="fewer than 2 speakers"):
        load(write_corpus(tmp_path / "data", speakers=1), tmp_path / "cache")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="is not a folder"):
        load(tmp_path / "nowhere", tmp_path / "cache")
