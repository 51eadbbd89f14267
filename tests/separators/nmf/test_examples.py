from dataclasses import replace

import numpy as np
import pytest

from separators import NMF
from separators.evaluation import si_sdr
from separators.nmf.dictionary import DictionaryError, load
from separators.nmf.dictionary_learning import learn
from separators.nmf.examples import (
    BANDS,
    FRAMES,
    HOP_SECONDS,
    MOST_EXAMPLES,
    at_hop,
    examples_of,
    mel_bands,
    stretches,
)
from separators.streaming import ArraySource

RATE = 16000


def calls(rising, seconds, seed):
    """Two-tone calls at random moments: low then high, or high then low. Frame by frame they are alike."""
    random = np.random.default_rng(seed)
    audio = np.zeros((1, round(seconds * RATE)), np.float32)
    length = RATE // 8
    time = np.arange(length) / RATE
    tones = [np.sin(2 * np.pi * hertz * time) * np.hanning(length) for hertz in (500, 2000)]
    call = np.concatenate(tones if rising else tones[::-1]).astype(np.float32)
    at = 0
    while (at := at + round(RATE * random.uniform(0.3, 0.9))) < audio.shape[1] - len(call):
        audio[0, at : at + len(call)] += call
    return audio


@pytest.fixture(scope="module")
def made():
    parts = {name: [ArraySource(calls(name == "up", 20, 1), RATE)] for name in ("up", "down")}
    return learn(parts, 4)


def worst(dictionary, path, rate=RATE):
    path.write_bytes(dictionary.to_bytes())
    truth = {name: calls(name == "up", 8, seed) for name, seed in (("up", 5), ("down", 6))}
    stems = NMF(mode="supervised", dictionary=str(path)).separate(truth["up"] + truth["down"], RATE)
    return min(si_sdr(truth[name], stems[name]) for name in truth)


def test_how_sounds_go_on_tells_parts_of_the_same_spectra_apart(made, tmp_path):
    assert worst(replace(made, examples={}), tmp_path / "templates.safetensors") < 3
    assert worst(made, tmp_path / "examples.safetensors") > 6


def test_examples_are_saved_and_loaded(made, tmp_path):
    path = tmp_path / "calls.safetensors"
    path.write_bytes(made.to_bytes())
    read = load(str(path))
    assert list(read.examples) == ["up", "down"]
    for name, examples in made.examples.items():
        assert examples.shape[0] <= MOST_EXAMPLES
        assert examples.shape[1:] == (FRAMES, BANDS)
        expected = examples / examples.max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(read.examples[name], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"up": np.ones((1, FRAMES, BANDS), np.float32)}, "only some of its parts have examples"),
        (dict.fromkeys(("up", "down"), np.ones((1, 3, BANDS), np.float32)), "allowed are 1 to 300 of 32"),
        (dict.fromkeys(("up", "down"), np.zeros((1, FRAMES, BANDS), np.float32)), "are no sound"),
        (dict.fromkeys(("up", "down"), np.full((1, FRAMES, BANDS), np.nan, np.float32)), "are no sound"),
    ],
)
def test_wrong_examples_are_refused(made, examples, message):
    with pytest.raises(DictionaryError, match=message):
        replace(made, examples=examples)


def test_bands_share_every_bin_and_those_above_belong_to_the_last():
    bands = mel_bands(1025, 24000, 8000)
    np.testing.assert_allclose(bands.sum(axis=1), 1, atol=1e-5)
    assert bands[1025 * 9 // 24 :, -1].min() == 1
    assert (bands >= 0).all()


def test_silence_teaches_nothing_and_short_recordings_are_filled_up():
    bands = mel_bands(129, 4000, 4000)
    sound = np.zeros((100, 129), np.float32)
    sound[90:] = 1
    examples = examples_of([sound, np.ones((2, 129), np.float32)], bands, HOP_SECONDS)
    assert examples.any(axis=(1, 2)).all()
    assert not examples[-1, 2:].any()


def test_another_hop_keeps_levels_and_lengths():
    banded = np.linspace(0, 1, 32, dtype=np.float32)[None, :, None] * np.ones((3, 1, 2), np.float32)
    slower = at_hop(banded, 0.01, 0.016)
    assert slower.shape == (3, 20, 2)
    np.testing.assert_allclose(slower[0, :, 0], np.arange(20) * 1.6 / 31, atol=1e-6)
    assert at_hop(banded, 0.01, 0.01) is banded


def test_stretches_reach_over_both_ends():
    banded = np.arange(1, 5, dtype=np.float32)[:, None]
    assert stretches(banded, 3, range(-1, 4, 2)).tolist() == [[0, 1, 2], [2, 3, 4], [4, 0, 0]]
