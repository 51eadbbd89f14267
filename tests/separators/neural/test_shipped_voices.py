"""The weights that come with the package, on two real voices that they have never heard."""

import threading
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from separators import create
from separators.evaluation import si_sdr
from separators.neural import inference
from separators.neural.network import HOP
from separators.neural.precision import bfloat16_is_fast
from separators.neural.talkers import Move, Talkers
from separators.neural.torn import Join
from separators.streaming import ArraySource, fitting_sample

VOICES = Path(__file__).parent / "voices"
NAMES = ("pit", "danet", "deep-clustering")
GAINED_DB = 2.0
"""SI-SDR improvement, well below what the weights reach here; an untrained network has none."""
ROUNDED_DB = -20.0
"""Of rounding noise against the stems, which are some 10 dB from the voices themselves."""
LOST_DB = 0.1
"""SI-SDR that rounding may cost."""


@pytest.fixture(scope="module")
def truth():
    return np.stack(
        [soundfile.read(VOICES / f"{name}.flac", dtype="float32")[0] for name in ("allison", "carlo")]
    )


def improvement(estimates, truth):
    """Mean SI-SDR improvement in dB under the best order, and that order."""
    floor = np.mean([si_sdr(one, truth.sum(0)) for one in truth])
    orders = list(permutations(range(len(estimates)), len(truth)))
    scores = [np.mean([si_sdr(truth[k], estimates[o[k]]) for k in range(len(truth))]) for o in orders]
    return max(scores) - floor, orders[int(np.argmax(scores))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_a_woman_and_a_man_are_separated(truth, name, rate):
    voices = soxr.resample(truth.T, 16_000, rate).T.astype(np.float32)
    stems = create(name).separate(voices.sum(0), rate)
    assert improvement(stems.array[:, 0], voices)[0] > GAINED_DB


@pytest.mark.parametrize("name", NAMES)
def test_stereo_places_are_kept(truth, name):
    """One voice left, one right: each stem's image stays nearer to its own side."""
    places = np.array([[0.9, 0.3], [0.3, 0.9]], np.float32)
    mixture = np.einsum("vc,vf->cf", places, truth)
    stems = create(name).separate(mixture, 16_000).array
    _, order = improvement(stems.mean(1), truth)
    for voice, stem in enumerate(order):
        left, right = np.square(stems[stem]).sum(1)
        assert (left > right) == (voice == 0)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("background", [False, True])
def test_phrases_are_moved_in_the_stems_of_any_rate(truth, rate, background, monkeypatch):
    mixture = soxr.resample(truth.sum(0), 16_000, rate).astype(np.float32)[None]
    left = create("pit", same_person=False, background=background).separate(mixture, rate).array
    monkeypatch.setattr(Talkers, "moves", lambda *_: [Move(16_000, 32_000, 0, 1)])
    moved = create("pit", background=background).separate(mixture, rate).array
    np.testing.assert_allclose(moved.sum(0), left.sum(0), atol=1e-5)
    inside, outside = slice(round(1.03 * rate), round(1.97 * rate)), slice(0, round(0.99 * rate))
    np.testing.assert_allclose(moved[[0, 1], :, inside], left[[1, 0], :, inside], atol=1e-5)
    np.testing.assert_allclose(moved[..., outside], left[..., outside], atol=1e-6)
    np.testing.assert_allclose(moved[2:], left[2:], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "same_person", "joined"),
    [("danet", True, True), ("deep-clustering", True, True), ("danet", False, False), ("pit", True, False)],
)
def test_torn_moments_are_joined_at_any_rate_where_clusters_make_masks(
    truth, name, same_person, joined, monkeypatch
):
    rate = 44_100
    mixture = soxr.resample(truth.sum(0), 16_000, rate).astype(np.float32)[None]
    monkeypatch.setattr(Talkers, "moves", lambda *_: [])
    monkeypatch.setattr(inference, "joins", lambda _: [])
    left = create(name, same_person=same_person).separate(mixture, rate).array
    start, end = 16_000 // HOP, 32_000 // HOP
    monkeypatch.setattr(inference, "joins", lambda _: [Join(start, end, 1, 0)])
    stems = create(name, same_person=same_person).separate(mixture, rate).array
    inside = slice(round(1.03 * rate), round(1.95 * rate))
    expected = left.copy()
    if joined:
        expected[:, :, inside] = np.stack([0 * left[0], left.sum(0)])[..., inside]
    np.testing.assert_allclose(stems[..., inside], expected[..., inside], atol=1e-5)
    np.testing.assert_allclose(stems[..., : round(0.99 * rate)], left[..., : round(0.99 * rate)], atol=1e-6)
    np.testing.assert_allclose(stems.sum(0), left.sum(0), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_fast_costs_nothing_that_is_heard(truth, name):
    mixture = truth.sum(0)
    stems, fast = (create(name, fast=fast).separate(mixture, 16_000).array[:, 0] for fast in (False, True))
    change = np.square(fast - stems).sum() / np.square(stems).sum()
    assert 10 * np.log10(change + 1e-12) < ROUNDED_DB
    assert improvement(fast, truth)[0] > improvement(stems, truth)[0] - LOST_DB
    np.testing.assert_allclose(fast.sum(0), mixture, atol=1e-5)
    if bfloat16_is_fast():
        assert change > 0


def test_threads_share_one_network(truth):
    mixture = truth.sum(0)
    alone = create("pit").separate(mixture, 16_000).array
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(create("pit").separate(mixture, 16_000).array))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(np.array_equal(result, alone) for result in results)


def test_two_people_who_talk_in_parts_of_a_long_silence_are_both_heard(truth):
    """The voices are in the sample, at whatever places: each alone, and some seconds of both."""
    rate, name = 16_000, "pit"
    mixture = 1e-4 * np.random.default_rng(0).standard_normal(110 * rate).astype(np.float32)
    voices = truth * (0.1 / np.square(truth).mean() ** 0.5)
    places = [slice(at, at + truth.shape[1]) for at in (12 * rate, 91 * rate, 50 * rate)]
    for voice, place in zip((*voices, voices.sum(0)), places, strict=True):
        mixture[place] += voice
    _, pieces = fitting_sample(ArraySource(mixture[None], rate), create(name).fit_seconds)
    for place in places:
        shared = [max(0, min(p.start + p.frames, place.stop) - max(p.start, place.start)) for p in pieces]
        assert sum(shared) > 2.5 * rate
    stems = create(name).separate(mixture, rate).array[:, 0]
    alone = [np.square(stems[:, place]).sum(1) for place in places[:2]]
    assert alone[0].argmax() != alone[1].argmax()
    assert all(energy.max() > 10 * energy.min() for energy in alone)
