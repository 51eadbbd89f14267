"""A cascade is a separator like the others: names, sums, silence, gain, any length."""

import pickle
import tracemalloc

import numpy as np
import pytest

from separators import Cascade, ChannelError, ParameterError, ScoreError, ScoreNMF
from separators.score import Note, Part, Score
from separators.streaming import ArraySource, separate_blocks
from tests.plugin_bridge.splitters import Bands, Shares, noise

RATE = 8000
SUM_DB = -120.0
SAME = 1e-6


def error_db(stems, mixture):
    error = stems.array.sum(axis=0, dtype=np.float64) - mixture
    return 10 * np.log10(np.mean(error**2) / np.mean(np.square(mixture, dtype=np.float64)))


@pytest.fixture
def cascade():
    return Cascade(Shares(stems=3), {"share-2": Bands(width=5), "share-3": Shares(stems=2)})


NAMES = ("share-1", "share-2/low", "share-2/high", "share-3/share-1", "share-3/share-2")


@pytest.mark.parametrize("frames", [1, 100, 5 * RATE])
def test_stems_of_stems_take_their_place_and_sum_to_the_mixture(cascade, frames):
    mixture = noise(2, frames)
    stems = cascade.separate(mixture, RATE)
    assert stems.names == NAMES == cascade.stem_names(2)
    assert stems.array.shape == (5, 2, frames)
    assert error_db(stems, mixture) < SUM_DB


def test_it_is_one_method_after_the_other(cascade):
    mixture = noise(1, 5 * RATE)
    first = cascade.first.separate(mixture, RATE)
    stems = cascade.separate(mixture, RATE)
    np.testing.assert_allclose(stems["share-1"], first["share-1"], atol=SAME)
    again = Shares(stems=2).separate(first["share-3"], RATE)
    np.testing.assert_allclose(stems["share-3/share-2"], again["share-2"], atol=SAME)


def test_a_cascade_may_stand_inside_a_cascade():
    inner = Cascade(Bands(), {"low": Shares(stems=2)})
    stems = Cascade(Shares(), {"share-1": inner}).separate(noise(1, RATE), RATE)
    assert stems.names == ("share-1/low/share-1", "share-1/low/share-2", "share-1/high", "share-2")
    assert error_db(stems, noise(1, RATE)) < SUM_DB


NOTES = Score((Part("low", (Note(0.0, 1.0, 45, 100),)), Part("high", (Note(0.5, 0.5, 81, 100),))))


@pytest.mark.filterwarnings("ignore:nmf-score. the score does not match")  # noise is no music
def test_each_method_that_needs_a_score_is_given_it():
    own = ScoreNMF(score=NOTES.shifted(1.0))
    inner = Cascade(ScoreNMF(), {"rest": own})
    cascade = Cascade(Shares(), {"share-1": inner, "share-2": Bands()})
    with pytest.raises(ScoreError):
        cascade.stem_names(1)
    assert cascade.follows_score
    ready = cascade.with_score(lambda: NOTES)
    assert ready.further["share-1"] == Cascade(ScoreNMF(score=NOTES), {"rest": own})
    assert ready.stem_names(1)[:3] == ("share-1/low", "share-1/high", "share-1/rest/low")
    mixture = noise(1, 2 * RATE)
    assert (
        error_db(Cascade(ScoreNMF(score=NOTES), {"low": Bands()}).separate(mixture, RATE), mixture) < SUM_DB
    )


def test_without_such_a_method_no_score_is_read(cascade):
    def score():
        raise AssertionError

    assert not cascade.follows_score
    assert cascade.with_score(score) == cascade
    assert ScoreNMF(score=NOTES).with_score(score) == ScoreNMF(score=NOTES)


def test_attributes_of_a_cascade_are_checked_too(cascade):
    with pytest.raises(ParameterError, match="cascade: no parameter 'furhter'; there are: none"):
        cascade.furhter = {}
    with pytest.raises(ParameterError, match="cascade: no parameter 'stems'; there are: none"):
        cascade.replace(stems=3)
    assert cascade.replace() == cascade


def test_silence_and_gain(cascade):
    assert not cascade.separate(np.zeros((1, RATE), np.float32), RATE).array.any()
    mixture = noise(1, 3 * RATE)
    loud, quiet = (cascade.separate(np.float32(gain) * mixture, RATE).array for gain in (1, 1e-3))
    np.testing.assert_allclose(quiet, 1e-3 * loud, atol=1e-9)


def test_a_stem_that_is_silent_for_long_is_heard_when_it_comes():
    """The second method cannot learn before its stem sounds."""

    class Late(Shares):
        """Everything goes to the first stem, but for what is above 0.5."""

        def fit(self, sample, sample_rate):
            return lambda block: np.stack([np.where(block > 0.5, 0, block), np.where(block > 0.5, block, 0)])

    mixture = np.full((1, 30 * RATE), 0.1, np.float32)
    mixture[:, 29 * RATE :] = 0.9
    late = Late()
    late.fit_seconds = 1.0
    stems = Cascade(late, {"share-2": Shares(stems=2)}).separate(mixture / 0.9, RATE)
    np.testing.assert_allclose(stems["share-2/share-2"][:, -100:], 2 / 3, atol=1e-3)


def test_blocks_are_long_enough_for_every_method_and_each_is_told_their_length():
    heard = []

    class Long(Bands):
        block_seconds = 4.0
        overlap_seconds = 0.5

        def fit(self, sample, sample_rate):
            heard.append((self.block_seconds, self.overlap_seconds, sample.shape[1]))
            return super().fit(sample, sample_rate)

    second = Long()
    cascade = Cascade(Shares(), {"share-1": second})
    mixture = noise(1, 20 * RATE)
    blocks = list(separate_blocks(cascade, ArraySource(mixture, RATE)))
    assert heard == [(4.0, 0.5, pytest.approx(RATE, abs=12))]  # one second of sample, as it asks for
    assert len(blocks) == 5
    assert (second.block_seconds, cascade.first.block_seconds) == (4.0, 1.0)


class Endless:
    """Noise of any length that takes no memory: every block begins anew."""

    sample_rate, channels = RATE, 1

    def __init__(self, seconds):
        self.frames = seconds * RATE

    def read(self, start, frames):
        return noise(1, frames, seed=start)


def test_memory_does_not_grow_with_the_length(cascade):
    def peak(seconds):
        tracemalloc.start()
        try:
            frames = sum(stems.shape[2] for stems in separate_blocks(cascade, Endless(seconds)))
            assert frames == seconds * RATE
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    short, long = peak(20), peak(400)
    assert long < 1.1 * short


def test_methods_that_do_not_fit_the_channels_are_refused(cascade):
    with pytest.raises(ChannelError, match="at most 8 channels"):
        cascade.stem_names(9)
    with pytest.raises(
        ChannelError, match=r"shares gives no stem 'share-9' of 1 channels.*: share-1, share-2"
    ):
        Cascade(Shares(), {"share-9": Bands()}).separate(noise(1, 10), RATE)


def test_equal_cascades_are_equal_and_travel(cascade):
    other = Cascade(Shares(stems=3), {"share-2": Bands(width=6), "share-3": Shares(stems=2)})
    assert pickle.loads(pickle.dumps(cascade)) == cascade != other
    assert hash(pickle.loads(pickle.dumps(cascade))) == hash(cascade)
    assert repr(cascade).startswith("Cascade(Shares(stems=3), {'share-2': Bands(width=5), ")
