import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separators.base import Separator
from separators.errors import AudioError, ChannelError, SeparatorWarning
from separators.remarks import heard_by
from separators.streaming import (
    GRID,
    SAMPLE_PIECES,
    ArraySource,
    as_audio,
    fitting_sample,
    separate_array,
    separate_blocks,
)

RATE = 8000
SUM_DB = -120.0


class Halves(Separator):
    """Two stems whose shares differ from block to block, as those of an uncertain method do."""

    name = "halves"
    summary = "a test"
    block_seconds = 2 * GRID / RATE
    overlap_seconds = GRID / RATE
    fit_seconds = 1.0
    samples: list
    blocks: list

    def stem_names(self, channels):
        if channels > 2:
            raise ChannelError("halves serves two channels at most")
        return ("one", "other")

    def fit(self, sample, sample_rate):
        self.samples = [*getattr(self, "samples", []), sample.copy()]
        self.blocks = []

        def transform(block):
            self.blocks.append(block.copy())
            share = np.float32(0.2 if len(self.blocks) % 2 else 0.9)
            return np.stack([share * block, block - share * block])

        return transform


def noise(channels, frames, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


def sum_db(stems, mixture):
    return 20 * np.log10(np.linalg.norm(stems.sum(axis=0) - mixture) / np.linalg.norm(mixture) + 1e-30)


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 8 * GRID), channels=st.integers(1, 2))
def test_any_length_keeps_its_frames_and_sums(frames, channels):
    mixture = noise(channels, frames)
    stems = Halves().separate(mixture, RATE)
    assert stems.array.shape == (2, channels, frames)
    assert stems.array.dtype == np.float32
    assert stems.sample_rate == RATE
    assert sum_db(stems.array, mixture) < SUM_DB


@pytest.mark.parametrize(
    "frames", [3 * GRID, 3 * GRID + 1, 5 * GRID - 1, 5 * GRID, 5 * GRID + 1, 9 * GRID + 77]
)
def test_blocks_start_on_the_grid_overlap_and_are_never_shorter_than_the_overlap(frames):
    separator, mixture = Halves(), noise(1, frames)
    separator.separate(mixture, RATE)
    scale = separator.blocks[0][0, 0] / mixture[0, 0]
    for number, block in enumerate(separator.blocks):
        start = number * 2 * GRID
        expected = mixture[:, start : start + block.shape[1]]
        np.testing.assert_allclose(block, scale * expected, rtol=1e-6)
        assert block.shape[1] > GRID or frames <= GRID
    assert start + block.shape[1] == frames
    assert all(block.shape[1] == 3 * GRID for block in separator.blocks[:-1])


def test_stems_change_over_smoothly_between_blocks():
    constant = np.ones((1, 9 * GRID), np.float32)
    stem = Halves().separate(constant, RATE)["one"][0]
    assert stem.min() == pytest.approx(0.2, abs=1e-6)
    assert stem.max() == pytest.approx(0.9, abs=1e-6)
    # The change is spread over the middle half of the overlap.
    assert np.abs(np.diff(stem)).max() <= 0.7 / (GRID / 2) * 1.01


def test_pieces_join_to_the_length_and_progress_ends_at_it():
    mixture, done = noise(1, 7 * GRID + 5), []
    pieces = list(separate_blocks(Halves(), ArraySource(mixture, RATE), lambda *at: done.append(at)))
    assert sum(piece.shape[2] for piece in pieces) == mixture.shape[1]
    assert sum_db(np.concatenate(pieces, axis=2), mixture) < SUM_DB
    assert [total for _, total in done] == [mixture.shape[1]] * len(pieces)
    assert [frames for frames, _ in done] == list(np.cumsum([piece.shape[2] for piece in pieces]))


def test_progress_may_stop_the_work():
    def stop(done, total):
        raise KeyboardInterrupt

    separator = Halves()
    with pytest.raises(KeyboardInterrupt):
        list(separate_blocks(separator, ArraySource(noise(1, 20 * GRID), RATE), stop))
    assert len(separator.blocks) == 1


def test_the_fit_sees_a_bounded_sample_of_the_whole_at_a_fixed_level():
    mixture = 0.01 * noise(2, 30 * RATE)
    separator = Halves()
    separator.separate(mixture, RATE)
    (sample,) = separator.samples
    assert sample.shape[0] == 2
    assert RATE - SAMPLE_PIECES < sample.shape[1] <= RATE
    assert np.sqrt(np.mean(np.square(sample))) == pytest.approx(1.0, rel=1e-5)


def test_a_short_source_is_its_own_sample():
    mixture = noise(1, RATE // 2)
    sample, pieces = fitting_sample(ArraySource(mixture, RATE), 1.0)
    np.testing.assert_array_equal(sample, mixture)
    assert pieces == [(0, 0, RATE // 2)]


def test_a_long_source_is_sampled_from_its_start_to_its_end_without_clicks():
    ramp = np.arange(1, 100 * RATE + 1, dtype=np.float32)[np.newaxis]
    sample = fitting_sample(ArraySource(ramp, RATE), 1.2)[0]
    pieces = sample.reshape(SAMPLE_PIECES, -1)
    middles = pieces[:, pieces.shape[1] // 2]
    assert middles[0] < RATE
    assert middles[-1] > 99 * RATE
    np.testing.assert_allclose(np.diff(middles), np.diff(middles).mean(), rtol=1e-3)
    fade = round(0.005 * RATE)
    assert (pieces[:, 0] < middles / fade).all()
    assert (pieces[:, -1] < middles / fade * 1.01).all()


@pytest.mark.parametrize("gain", [0.25, -1.0, 1024.0])
def test_a_power_of_two_on_the_mixture_is_the_same_on_the_stems_to_the_bit(gain):
    mixture = noise(2, 5 * GRID)
    gain = np.float32(gain)
    scaled = Halves().separate(gain * mixture, RATE).array
    np.testing.assert_array_equal(scaled, gain * Halves().separate(mixture, RATE).array)


@pytest.mark.parametrize("peak", [1e-44, 1e-38, 1e-20, 1e18])
def test_extreme_levels_neither_vanish_nor_overflow(peak):
    mixture = np.clip(noise(1, 5 * GRID), -1, 1) * np.float32(peak)
    stems = Halves().separate(mixture, RATE).array
    assert np.isfinite(stems).all()
    assert np.abs(stems.sum(axis=0) - mixture).max() <= max(1e-6 * peak, 1e-44)


def test_one_faint_frame_in_silence_stays_finite():
    mixture = np.zeros((1, 5 * GRID), np.float32)
    mixture[0, 100] = 1e-45
    with pytest.warns(SeparatorWarning, match=r"halves: only 0\.05 s of the audio's 3 s"):
        assert np.isfinite(Halves().separate(mixture, RATE).array).all()


def test_silence_is_not_fitted_and_stays_silent():
    separator = Halves()
    stems = separator.separate(np.zeros((2, 5 * GRID), np.float32), RATE)
    assert not stems.array.any()
    assert not hasattr(separator, "samples")


def test_a_source_whose_sample_is_silent_is_fitted_on_its_first_sound():
    mixture = np.zeros((1, 60 * RATE), np.float32)
    piece = RATE // SAMPLE_PIECES
    at = 200 * piece
    mixture[:, at : at + piece] = 1.0  # a constant is no sound that the sample would be chosen by
    assert not fitting_sample(ArraySource(mixture, RATE), Halves.fit_seconds)[0].any()
    separator = Halves()
    stems = separator.separate(mixture, RATE)
    assert len(separator.samples) == 1
    assert sum_db(stems.array, mixture) < SUM_DB
    assert not stems.array[:, :, : at - 3 * GRID].any()


def test_a_sound_of_moments_is_in_the_sample_wherever_it_is_and_said_to_be_short():
    for at in (20 * RATE + 3, 0, 60 * RATE - 100):
        mixture = np.zeros((1, 60 * RATE), np.float32)
        mixture[:, at : at + 100] = noise(1, 100)
        separator, lines = Halves(), []
        with heard_by(lines.append):
            separator.separate(mixture, RATE)
        (sample,) = separator.samples
        assert np.count_nonzero(sample) > 50
        assert len(lines) == 1
        assert lines[0].startswith("halves: only 0.")
        assert "of the audio's 60 s" in lines[0]


def test_nothing_is_said_of_a_source_that_sounds_or_is_short_or_silent():
    lines = []
    short = np.zeros((1, RATE), np.float32)
    short[:, :10] = 1.0
    with heard_by(lines.append):
        for mixture in (noise(2, 10 * RATE), short, np.zeros((1, 10 * RATE), np.float32)):
            Halves().separate(mixture, RATE)
    assert lines == []


@pytest.mark.parametrize("gain", [0.3, 1e-4, 777.0])
def test_a_gain_or_an_offset_does_not_move_the_sample(gain):
    mixture = noise(2, 60 * RATE) * np.repeat(10 ** (-3 * np.random.default_rng(1).random(60)), RATE)
    mixture = mixture.astype(np.float32)
    pieces = fitting_sample(ArraySource(mixture, RATE), 5.0)[1]
    for other in (np.float32(gain) * mixture, mixture + np.float32(0.25)):
        assert fitting_sample(ArraySource(other, RATE), 5.0)[1] == pieces


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("frame", [0, 6 * GRID + 17])
def test_non_finite_frames_are_found_and_named(value, frame):
    mixture = noise(2, 8 * GRID)
    mixture[1, frame] = value
    with pytest.raises(AudioError, match=f"holds {value} at frame {frame} of channel 2"):
        Halves().separate(mixture, RATE)
    with pytest.raises(AudioError, match=f"holds {value} at frame {frame} of channel 2"):
        list(separate_blocks(Halves(), ArraySource(mixture, RATE)))


def test_float64_beyond_float32_is_refused():
    with pytest.raises(AudioError, match="at frame 3 of channel 1"):
        as_audio(np.array([[0.0, 1.0, 2.0, 1e39]]))


def test_audio_comes_as_float32_channels_by_frames():
    assert as_audio(np.zeros(5)).shape == (1, 5)
    assert as_audio(np.zeros((2, 5))).dtype == np.float32
    same = noise(2, 5)
    assert as_audio(same) is same


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((1, 4), np.int16), "must be float32 or float64, not int16"),
        (np.zeros((1, 4), complex), "not complex128"),
        (np.zeros((1, 2, 4)), r"not \(1, 2, 4\)"),
        (np.float64(1.0), r"not \(\)"),
        (np.zeros((0, 4)), "has no channels"),
    ],
)
def test_other_arrays_are_refused(audio, message):
    with pytest.raises(AudioError, match=message):
        Halves().separate(audio, RATE)


@pytest.mark.parametrize("rate", [0, -44100, 0.4, np.nan, np.inf])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(AudioError, match="sample rate must be at least 1 Hz"):
        separate_array(Halves(), noise(1, 10), rate)


def test_no_frames_give_no_frames_but_wrong_channels_are_still_refused():
    stems = Halves().separate(np.zeros((2, 0), np.float32), RATE)
    assert stems.array.shape == (2, 2, 0)
    with pytest.raises(ChannelError):
        Halves().separate(np.zeros((3, 0), np.float32), RATE)


def test_channels_are_refused_before_anything_is_read():
    class Unread(ArraySource):
        def read(self, start, frames):
            raise AssertionError("read too early")

    with pytest.raises(ChannelError):
        next(separate_blocks(Halves(), Unread(noise(3, GRID), RATE)))


def test_the_mixture_is_left_as_it_is():
    mixture = noise(2, 5 * GRID)
    before = mixture.copy()
    Halves().separate(mixture, RATE)
    np.testing.assert_array_equal(mixture, before)


class Endless:
    """A source that makes its audio when it is read."""

    sample_rate, channels = RATE, 2

    def __init__(self, seconds):
        self.frames = seconds * RATE

    def read(self, start, frames):
        wave = np.sin(0.01 * np.arange(start, start + frames, dtype=np.float64))
        return np.stack([wave, wave]).astype(np.float32)


class Forgetful(Halves):
    """Keeps nothing of what it sees."""

    def fit(self, sample, sample_rate):
        return lambda block: np.stack([np.float32(0.3) * block, np.float32(0.7) * block])


def test_memory_does_not_grow_with_length():
    def peak(seconds):
        tracemalloc.start()
        for _ in separate_blocks(Forgetful(), Endless(seconds)):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(3000) < 1.05 * peak(60)
