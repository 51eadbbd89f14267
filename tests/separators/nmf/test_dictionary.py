import json
import os

import numpy as np
import pytest
from safetensors.numpy import load, save

from separators.errors import AudioError
from separators.nmf.dictionary import FOLDER_VARIABLE, FORMAT, Dictionary, DictionaryError, Part, find, names
from separators.nmf.dictionary import load as load_dictionary
from separators.nmf.dictionary_learning import MOST_SECONDS, learn
from separators.spectral import STFT
from separators.streaming import ArraySource
from tests.separators.nmf.dictionaries import HIGH, LOW, RATE, hits, learned, notes

HALF_PRECISION = 1e-3
"""Of each template's peak."""


def ones(templates=2, bins=129):
    rows = np.ones((templates, bins), np.float32)
    return Part(rows, rows)


def written(tmp_path, metadata=None, tensors=None, parts=({"name": "a"},), **card):
    """A file that claims to be a dictionary."""
    rows = np.ones((2, 129), np.float16)
    tensors = {"0.found_by": rows, "0.made_of": rows} if tensors is None else tensors
    card = {"sample_rate": 8000, "fft_size": 256, "parts": list(parts), **card}
    path = tmp_path / "claims.safetensors"
    path.write_bytes(
        save(tensors, {"format": FORMAT, "card": json.dumps(card)} if metadata is None else metadata)
    )
    return str(path)


def test_what_is_saved_is_loaded(tmp_path):
    made = learned()
    path = tmp_path / "band.safetensors"
    path.write_bytes(made.to_bytes())
    found = load_dictionary(str(path))
    assert found.names == ("notes", "hits")
    assert (found.sample_rate, found.fft_size, found.sources) == (RATE, made.fft_size, made.sources)
    stft = STFT(made.fft_size)
    for one, other in zip(made.parts_at(stft, RATE), found.parts_at(stft, RATE), strict=True):
        for key in Part._fields:
            before, after = getattr(one, key), getattr(other, key)
            np.testing.assert_allclose(after, before, atol=HALF_PRECISION * before.max())


def test_a_dictionary_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "mine.safetensors").write_bytes(Dictionary({"a": ones()}, 8000, 256).to_bytes())
    assert names() == ["mine"]
    assert find("mine") == tmp_path / "mine.safetensors"
    assert load_dictionary("mine").names == ("a",)
    with pytest.raises(DictionaryError, match="there are: mine; `stembridge dictionary learn` makes one"):
        load_dictionary("yours")


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "one.safetensors"
    for number, name in enumerate(("first", "second")):
        path.write_bytes(Dictionary({name: ones()}, 8000, 256).to_bytes())
        os.utime(path, (number, number))
        assert load_dictionary(str(path)).names == (name,)


def test_templates_move_to_other_rates_and_windows():
    bins = np.arange(129)
    peak = np.exp(-0.5 * ((bins * 8000 / 256 - 1000) / 60) ** 2).astype(np.float32)[np.newaxis]
    dictionary = Dictionary({"tone": Part(peak, peak)}, 8000, 256)
    for rate, size in ((8000, 256), (16000, 1024), (6000, 256), (44100, 2048)):
        stft = STFT(size)
        (part,) = dictionary.parts_at(stft, rate)
        assert part.found_by.shape == (1, stft.bins)
        assert part.found_by.sum() == pytest.approx(1, rel=1e-5)
        assert part.found_by.argmax() * rate / size == pytest.approx(1000, abs=rate / size)


def test_templates_above_what_a_rate_knows_never_play():
    rows = np.zeros((2, 129), np.float32)
    rows[0, 10], rows[1, 128] = 1, 1
    (part,) = Dictionary({"a": Part(rows, rows)}, 48000, 256).parts_at(STFT(256), 8000)
    assert np.isfinite(part.found_by).all()
    assert part.found_by.sum(axis=1).tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metadata": {}}, "format None"),
        ({"metadata": {"format": FORMAT}}, "card"),
        ({"metadata": {"format": FORMAT, "card": "["}}, "no usable dictionary"),
        ({"metadata": {"format": FORMAT, "card": "[" * 100_000}}, "no usable dictionary"),
        ({"sample_rate": "fast"}, "sample rate must be 4000 to 384000, not 'fast'"),
        ({"sample_rate": 10**9}, "sample rate"),
        ({"fft_size": 100}, "card is wrong"),
        ({"fft_size": [256]}, "card is wrong"),
        ({"parts": {"name": "a"}}, "no usable dictionary"),
        ({"parts": ()}, "1 to 32 parts, not 0"),
        ({"parts": [{"name": "a"}] * 33}, "card is wrong"),
        ({"parts": [{"name": "a"}, {"name": "a"}]}, "two parts are called 'a'"),
        ({"parts": [{"name": "rest"}]}, "no part can be called 'rest'"),
        ({"parts": [{"name": "a\nb"}]}, "a line of text"),
        ({"parts": [{"name": "a" * 65}]}, "at most 64 characters"),
        ({"parts": [{"name": 3}]}, "a line of text"),
        ({"tensors": {}}, "no usable dictionary"),
        (
            {"tensors": {"0.found_by": np.ones((2, 7), np.float16)}},
            r"the shape \(2, 7\); allowed are 1 to 512",
        ),
        ({"tensors": {"0.found_by": np.ones((600, 129), np.float16)}}, "the shape"),
        ({"tensors": {"0.found_by": np.ones(129, np.float16)}}, "the shape"),
        (
            {"tensors": dict.fromkeys(("0.found_by", "0.made_of"), np.full((1, 129), np.nan, np.float32))},
            "finite",
        ),
        (
            {"tensors": dict.fromkeys(("0.found_by", "0.made_of"), np.full((1, 129), -1, np.float32))},
            "negative",
        ),
        (
            {"tensors": dict.fromkeys(("0.found_by", "0.made_of"), np.zeros((1, 129), np.float32))},
            "zero everywhere",
        ),
        (
            {
                "tensors": {
                    "0.found_by": np.ones((1, 129), np.float32),
                    "0.made_of": np.ones((2, 129), np.float32),
                }
            },
            "differ in length",
        ),
    ],
)
def test_files_that_are_no_dictionaries_are_refused_in_one_line(tmp_path, values, message):
    with pytest.raises(DictionaryError, match=message) as error:
        load_dictionary(written(tmp_path, **values))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", [b"", b"no dictionary at all", b"\xff" * 4096, b"\x80\x04\x95pickle"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(DictionaryError, match="no usable dictionary"):
        load_dictionary(str(path))


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(learned().to_bytes()[:-100])
    with pytest.raises(DictionaryError, match="no usable dictionary"):
        load_dictionary(str(path))


def test_a_folder_is_no_dictionary(tmp_path):
    with pytest.raises(DictionaryError, match="there is no dictionary"):
        load_dictionary(f"{tmp_path}/")


def test_the_file_is_small_and_says_what_it_was_learned_from():
    made = learn({"low": [ArraySource(notes(LOW), RATE)] * 2}, 4, labels={"low": ["one.wav", "two.wav"]})
    assert made.sources == {"low": {"files": ["one.wav", "two.wav"], "seconds": 6.0}}
    content = made.to_bytes()
    assert len(content) < 4 * 2 * 2 * 600 + 2000
    assert set(load(content)) == {"0.found_by", "0.made_of"}


def test_learning_is_the_same_again_and_hears_every_level_alike():
    quiet, loud = (learned(a=notes(LOW, gain=gain), b=hits(gain=gain)) for gain in (1e-3, 10.0))
    again = learned(a=notes(LOW, gain=10.0), b=hits(gain=10.0))
    for name in ("a", "b"):
        np.testing.assert_array_equal(again.parts[name], loud.parts[name])
        np.testing.assert_allclose(quiet.parts[name].found_by, loud.parts[name].found_by, atol=1e-3)


def test_templates_are_those_of_the_notes():
    made = learned(templates=3, low=notes(LOW), high=notes(HIGH))
    hertz = np.arange(made.fft_size // 2 + 1) * RATE / made.fft_size
    for name, frequencies in (("low", LOW), ("high", HIGH)):
        peaks = sorted(hertz[made.parts[name].found_by.argmax(axis=1)])
        assert peaks == pytest.approx(frequencies, abs=RATE / made.fft_size)


class CountingSource(ArraySource):
    heard = 0

    def read(self, start, frames):
        type(self).heard += frames
        return super().read(start, frames)


def test_no_more_is_heard_than_memory_allows():
    source = CountingSource(np.tile(notes(LOW, rate=4000, seconds=2.0), (1, 200)), 4000)
    learn({"long": [source, source, source]}, 2)
    assert CountingSource.heard <= MOST_SECONDS * 4000


def test_recordings_of_different_rates_and_widths_are_learned_from_together():
    wide = np.repeat(notes(LOW, rate=48000), 2, axis=0)
    made = learn({"low": [ArraySource(notes(LOW), RATE), ArraySource(wide, 48000)]}, 3)
    assert made.sample_rate == 48000
    assert made.sources["low"]["seconds"] == pytest.approx(6.0)


def test_silent_recordings_teach_nothing():
    silence = ArraySource(np.zeros((1, 5000), np.float32), RATE)
    made = learn({"low": [silence, ArraySource(notes(LOW), RATE)]}, 2)
    assert made.sources["low"]["files"] == ["recording 2"]
    with pytest.raises(DictionaryError, match="all recordings of 'low' are silent"):
        learn({"low": [silence]})


def test_a_one_shot_shorter_than_a_window_is_enough():
    click = np.array([[1.0, -1.0, 0.5]], np.float32)
    assert learn({"click": [ArraySource(click, RATE)]}, 50).names == ("click",)


@pytest.mark.parametrize(
    ("parts", "message"),
    [({}, "1 to 32 parts"), ({"a": []}, "no recording"), ({"rest": [None]}, "called 'rest'")],
)
def test_wrong_parts_are_refused(parts, message):
    with pytest.raises(DictionaryError, match=message):
        learn(parts)


def test_a_recording_with_nan_is_named():
    audio = notes(LOW)
    audio[0, 5] = np.nan
    with pytest.raises(AudioError, match=r"low: bad\.wav: the audio holds nan at frame 5"):
        learn({"low": [ArraySource(audio, RATE)]}, labels={"low": ["bad.wav"]})
