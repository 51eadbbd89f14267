import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separators import NMF, ParameterError
from separators.evaluation import si_sdr
from separators.nmf.grouping import group, mel_filters

RATE = 16000
SUM_DB = -120.0
QUICK = {"components": 4, "stems": 2, "iterations": 30}


def error_db(estimate, reference):
    return 20 * np.log10(np.linalg.norm(estimate - reference) / np.linalg.norm(reference) + 1e-30)


def harmonic(fundamental, envelope, rate=RATE):
    time = np.arange(len(envelope)) / rate
    overtones = [np.sin(2 * np.pi * fundamental * n * time) / n for n in range(1, 4)]
    return (np.sum(overtones, axis=0) * envelope).astype(np.float32)


def pulses(length, period, offset, decay, rate=RATE):
    """An envelope that starts anew every ``period`` seconds."""
    since = (np.arange(length) / rate - offset) % period
    return np.exp(-since / decay)


def noise(channels, length, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, length)).astype(np.float32)


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_two_tones_with_envelopes_of_their_own_separate(beta):
    low = harmonic(220, pulses(4 * RATE, 0.5, 0.0, 0.1))
    high = harmonic(1870, pulses(4 * RATE, 0.37, 0.1, 0.1))
    separator = NMF(stems=2, components=4, beta=beta)
    stems = separator.separate(low + high, RATE)
    assert list(stems) == ["stem-1", "stem-2"]  # the dark one first
    assert si_sdr(low[None], stems["stem-1"]) > 25
    assert si_sdr(high[None], stems["stem-2"]) > 25


def test_panning_is_kept():
    low = harmonic(220, pulses(4 * RATE, 0.5, 0.0, 0.1))
    high = harmonic(1870, pulses(4 * RATE, 0.37, 0.1, 0.1))
    left, right = low + 0.2 * high, 0.2 * low + high
    stems = NMF(stems=2, components=4).separate(np.stack([left, right]), RATE)
    for name, gains in (("stem-1", (1, 0.2)), ("stem-2", (0.2, 1))):
        levels = np.linalg.norm(stems[name], axis=1)
        assert levels[0] / levels[1] == pytest.approx(gains[0] / gains[1], rel=0.05)


@settings(max_examples=20, deadline=None)
@given(
    length=st.one_of(st.just(1), st.integers(2, 20000)),
    channels=st.sampled_from([1, 2, 6]),
    rate=st.sampled_from([8000, 22050, 44100, 96000]),
    beta=st.sampled_from([0, 1, 2]),
)
def test_stems_of_any_audio_sum_to_it(length, channels, rate, beta):
    mixture = noise(channels, length, seed=length)
    stems = NMF(**QUICK, beta=beta).separate(mixture, rate)
    assert stems.array.shape == (2, channels, length)
    assert stems.sample_rate == rate
    assert error_db(stems.array.sum(axis=0), mixture) < SUM_DB


@pytest.mark.parametrize("value", [1e-20, 1e-3, 1e4])
def test_a_gain_on_the_mixture_is_a_gain_on_the_stems(value):
    mixture = noise(1, 8000)
    stems = NMF(**QUICK).separate(mixture, RATE)
    scaled = NMF(**QUICK).separate(mixture * np.float32(value), RATE)
    assert error_db(scaled.array / np.float32(value), stems.array) < -60


def test_digital_silence_inside_stays_silent():
    mixture = noise(2, 32000)
    mixture[:, 8000:24000] = 0
    stems = NMF(**QUICK).separate(mixture, RATE)
    assert np.isfinite(stems.array).all()
    assert not stems.array[:, :, 12000:20000].any()


def test_a_steady_tone_of_one_bin_is_no_trouble():
    stems = NMF(**QUICK).separate(np.ones((1, 5000), np.float32), RATE)
    assert error_db(stems.array.sum(axis=0), np.ones((1, 5000))) < SUM_DB


def test_the_seed_decides_the_result():
    mixture = noise(1, 16000)
    first, again, other = (NMF(**QUICK, seed=seed).separate(mixture, RATE).array for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert error_db(other, first) > -60


def test_blocks_follow_one_another_without_a_seam():
    """Separated in blocks of a second or in one: the same templates give the same stems."""
    low = harmonic(220, pulses(6 * RATE, 0.5, 0.0, 0.1))
    high = harmonic(1870, pulses(6 * RATE, 0.37, 0.1, 0.1))

    class InShortBlocks(NMF):
        block_seconds = 1.0
        overlap_seconds = 0.5

    whole = NMF(**QUICK).separate(low + high, RATE)
    pieces = InShortBlocks(**QUICK).separate(low + high, RATE)
    assert error_db(pieces.array, whole.array) < -40


@pytest.mark.parametrize("overlap", [2, 4, 8])
@pytest.mark.parametrize("fft_size", [256, 4096])
def test_the_window_can_be_chosen(fft_size, overlap):
    mixture = noise(1, 9000)
    stems = NMF(**QUICK, fft_size=fft_size, overlap=overlap).separate(mixture, RATE)
    assert error_db(stems.array.sum(axis=0), mixture) < SUM_DB


def test_more_contrast_moves_the_stems_apart():
    low = harmonic(220, pulses(4 * RATE, 0.5, 0.0, 0.1))
    mixture = low + noise(1, 4 * RATE)[0] * np.float32(0.1)
    soft, hard = (NMF(**QUICK, mask_power=power).separate(mixture, RATE).array for power in (0.5, 4.0))
    assert np.square(hard[0] - hard[1]).sum() > np.square(soft[0] - soft[1]).sum()


def test_fewer_components_than_stems_are_refused():
    with pytest.raises(ParameterError, match=r"components must be at least stems \(4\), not 3"):
        NMF(components=3, stems=4)


@pytest.mark.parametrize(("key", "value"), [("mode", "magic"), ("beta", 3), ("stems", 0), ("overlap", 3)])
def test_values_outside_the_table_are_refused(key, value):
    with pytest.raises(ParameterError, match=f"nmf: {key} must be"):
        NMF(**{key: value})


def test_groups_are_templates_that_sound_alike_and_play_together():
    random = np.random.default_rng(0)
    bins, frames = 257, 200
    shapes = np.stack([np.exp(-(((np.arange(bins) - center) / 12.0) ** 2)) for center in (20, 28, 120, 130)])
    times = random.exponential(size=(2, frames))
    H = times[[0, 0, 1, 1]].T + 0.05 * random.exponential(size=(frames, 4))
    order = [2, 0, 3, 1]
    found = group(H[:, order].astype(np.float32), shapes[order].astype(np.float32), 2, RATE)
    assert found.tolist() == [1, 0, 1, 0]


def test_templates_that_are_all_the_same_still_make_the_stems_asked_for():
    found = group(np.ones((20, 5), np.float32), np.ones((5, 33), np.float32), 3, RATE)
    assert sorted(set(found.tolist())) == [0, 1, 2]


def test_templates_that_never_play_are_no_trouble():
    H, W = np.zeros((20, 5), np.float32), np.zeros((5, 33), np.float32)
    assert sorted(set(group(H, W, 2, RATE).tolist())) == [0, 1]


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_mel_filters_cover_every_frequency_between_their_outer_corners_once(rate):
    filters = mel_filters(40, 1025, rate)
    total = filters.sum(axis=1)
    mels = 2595 * np.log10(1 + np.linspace(0, rate / 2, 1025) / 700)
    inside = (mels > mels[-1] / 41) & (mels < mels[-1] * 40 / 41)
    np.testing.assert_allclose(total[inside], 1, atol=1e-4)


@pytest.mark.parametrize("at", [0.05, 0.31, 0.5, 0.77])
def test_an_event_in_minutes_of_near_silence_is_learned_wherever_it_is(at):
    low = harmonic(220, pulses(12 * RATE, 0.5, 0.0, 0.1))
    high = harmonic(1870, pulses(12 * RATE, 0.37, 0.1, 0.1))
    mixture = 1e-5 * noise(1, 200 * RATE)[0]
    event = slice(int(at * (len(mixture) - len(low))), int(at * (len(mixture) - len(low))) + len(low))
    mixture[event] += low + high
    stems = NMF(stems=2, components=4).separate(mixture, RATE)
    assert si_sdr(low[None], stems["stem-1"][:, event]) > 22
    assert si_sdr(high[None], stems["stem-2"][:, event]) > 22
