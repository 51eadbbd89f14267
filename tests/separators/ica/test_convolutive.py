import numpy as np
import pytest

from separators import ICA
from separators.errors import ChannelError, ParameterError, SeparatorWarning
from separators.evaluation import si_sdr
from separators.ica import convolutive
from separators.remarks import heard_by
from separators.streaming import ArraySource, separate_blocks

RATE = 16000
SUM_DB = -120.0
BETTER_DB = 8.0
"""What must be gained over the microphone's own signal, in echoes of some 30 ms."""
BLOCKS_DB = -30.0
ALGORITHMS = ("auxiva", "ilrma")


def voices(count, seconds, seed=0):
    """Notes and noises that come and go ``(count, frames)``."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    t = np.arange(frames) / RATE
    out = np.empty((count, frames))
    for voice in out:
        steps = int(seconds * 5)
        held = np.minimum(np.arange(frames) * steps // frames, steps - 1)
        pitch = 100 * 2 ** rng.uniform(0, 2, steps)[held]
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
        loud = (rng.random(steps) ** 3)[held] * np.exp(-3 * ((t * 5) % 1))
        voice[:] = loud * (tone + 0.3 * rng.standard_normal(frames))
    return out / out.std(axis=1, keepdims=True)


def room(sources, seed=0):
    """Images ``(sources, channels, frames)`` of sources, each close to its own microphone."""
    rng = np.random.default_rng(seed)
    count, frames = sources.shape
    echo = np.exp(-np.arange(480) / 70.0)
    images = np.empty((count, count, frames), np.float32)
    for source in range(count):
        for channel in range(count):
            response = np.zeros(600)
            distance = 0 if source == channel else rng.integers(12, 40)
            response[distance] = 1.0 if source == channel else 0.6
            response[distance + 20 : distance + 500] += 0.1 * echo * rng.standard_normal(480)
            images[source, channel] = np.convolve(sources[source], response)[:frames]
    return images


@pytest.fixture(scope="module")
def two():
    return room(voices(2, 8.0))


@pytest.fixture(scope="module")
def three():
    return room(voices(3, 8.0, seed=3), seed=3)


def gains(images, stems):
    """How much better each stem is on its own microphone than what the microphone heard, in dB."""
    mixture = images.sum(axis=0)
    return [
        si_sdr(images[k, k], stems[f"source-{k + 1}"][k]) - si_sdr(images[k, k], mixture[k])
        for k in range(len(images))
    ]


def difference_db(one, other):
    return 20 * np.log10(np.linalg.norm(one - other) / np.linalg.norm(other) + 1e-30)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_microphone_gets_its_own_source_without_bleed(two, algorithm):
    mixture = two.sum(axis=0)
    stems = ICA(model="convolutive", algorithm=algorithm).separate(mixture, RATE)
    assert min(gains(two, stems)) > BETTER_DB
    assert difference_db(stems.array.sum(axis=0), mixture) < SUM_DB


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_three_microphones(three, algorithm):
    mixture = three.sum(axis=0)
    stems = ICA(model="convolutive", algorithm=algorithm).separate(mixture, RATE)
    assert min(gains(three, stems)) > BETTER_DB
    assert difference_db(stems.array.sum(axis=0), mixture) < SUM_DB


def test_an_instantaneous_matrix_cannot_do_that_and_says_what_can(two):
    with pytest.warns(SeparatorWarning, match=r"hear the same sound 1\.\d ms apart.*preset mic-bleed"):
        stems = ICA().separate(two.sum(axis=0), RATE)
    assert max(gains(two, stems)) < BETTER_DB


def test_images_keep_level_and_delay(two):
    stems = ICA(model="convolutive").separate(two.sum(axis=0), RATE)
    for channel in range(2):
        image, estimate = two[0, channel], stems["source-1"][channel]
        lags = np.arange(-60, 61)
        match = [np.vdot(image[100:-100], np.roll(estimate, -lag)[100:-100]) for lag in lags]
        assert lags[int(np.argmax(match))] == 0
        assert max(match) / np.vdot(image, image) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("gain", [0.01, 30.0])
def test_order_of_channels_and_their_gains_do_not_change_whose_is_whose(three, gain):
    images = three[:, [2, 0, 1]] * np.array([1.0, gain, 1.0], np.float32)[:, None]
    stems = ICA(model="convolutive").separate(images.sum(axis=0), RATE)
    for place, source in enumerate([2, 0, 1]):
        before = si_sdr(images[source, place], images.sum(axis=0)[place])
        assert si_sdr(images[source, place], stems[f"source-{place + 1}"][place]) > before + BETTER_DB


def test_block_by_block_is_as_in_one_piece(two):
    mixture = np.tile(two.sum(axis=0), 2)
    separator = ICA(model="convolutive")
    separator.block_seconds = 60.0
    whole = separator.separate(mixture, RATE).array
    separator.block_seconds = 2.0
    blocks = list(separate_blocks(separator, ArraySource(mixture, RATE)))
    assert len(blocks) > 4
    assert difference_db(np.concatenate(blocks, axis=2), whole) < BLOCKS_DB


def test_a_silent_channel_stays_apart(two):
    mixture = np.insert(two.sum(axis=0), 1, 0.0, axis=0)
    stems = ICA(model="convolutive").separate(mixture, RATE)
    assert difference_db(stems["source-2"] + 1, np.ones_like(mixture)) < -100.0
    alone = ICA(model="convolutive").separate(two.sum(axis=0), RATE)
    assert difference_db(stems["source-3"][[0, 2]], alone["source-2"]) < SUM_DB / 2


def test_the_same_signal_in_two_channels_is_named(two):
    with pytest.raises(ChannelError, match="channels 1 and 2 hold the same signal"):
        ICA(model="convolutive").separate(two[0, [0, 0]], RATE)


def test_a_panned_recording_is_one_source(two):
    mixture = two[0, [0, 0]] * np.array([[1], [0.6]], np.float32)
    with pytest.warns(SeparatorWarning, match="one signal at different levels"):
        stems = ICA(model="convolutive").separate(mixture, RATE)
    np.testing.assert_allclose(stems["source-1"], mixture, rtol=1e-6)
    assert not stems["source-2"].any()


@pytest.mark.parametrize("gains", [(1, 0.6), (1, 0.1)])
@pytest.mark.parametrize("peak", [0.5, 0.02])
def test_so_it_is_when_rounded_to_16_bits(two, gains, peak):
    """The rounding is no second source."""
    voice = two[0, 0] * peak / np.abs(two[0, 0]).max()
    mixture = np.rint(np.outer(gains, voice) * 32768).astype(np.float32) / 32768
    with pytest.warns(SeparatorWarning, match=r"there is one source|there are fewer sources than 2"):
        stems = ICA(model="convolutive").separate(mixture, RATE)
    assert difference_db(np.sum(list(stems.values()), axis=0), mixture) < SUM_DB


def test_two_voices_in_a_room_are_two_sources_even_if_one_is_soft(two):
    for level in (1, 0.1):
        with heard_by(pytest.fail):
            ICA(model="convolutive").separate(two[0] + level * two[1], RATE)


def test_too_short_a_sample_warns_and_keeps_the_channels(two):
    mixture = two.sum(axis=0)[:, 20000:24000]
    with pytest.warns(SeparatorWarning, match="4000 frames are too few to learn a room from"):
        stems = ICA(model="convolutive").separate(mixture, RATE)
    assert difference_db(stems["source-1"][0], mixture[0]) < SUM_DB
    assert np.abs(stems["source-1"][1]).max() < 1e-6 * np.abs(mixture).max()


def test_codecs_that_cut_the_treble_do_not_disturb(two):
    spectrum = np.fft.rfft(two.sum(axis=0))
    spectrum[:, round(spectrum.shape[1] * 0.7) :] = 0.0
    mixture = np.fft.irfft(spectrum).astype(np.float32)
    stems = ICA(model="convolutive").separate(mixture, RATE)
    assert np.isfinite(stems.array).all()
    assert si_sdr(two[0, 0], stems["source-1"][0]) > si_sdr(two[0, 0], mixture[0]) + BETTER_DB / 2


def test_seed_matters_only_to_ilrma(two):
    mixture = two.sum(axis=0)
    one, other = (ICA(model="convolutive", seed=seed).separate(mixture, RATE).array for seed in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_fewer_sources_than_channels_are_refused():
    with pytest.raises(
        ParameterError, match="sources 2 needs model instantaneous or subspace, not model conv"
    ):
        ICA(model="convolutive", sources=2)


def test_skipping_windows_where_products_are_too_many_keeps_quality(three, monkeypatch):
    monkeypatch.setattr(convolutive, "MAXIMUM_PRODUCTS", 1 << 20)  # of some two million
    stems = ICA(model="convolutive").separate(three.sum(axis=0), RATE)
    assert min(gains(three, stems)) > BETTER_DB / 2


def test_an_algorithm_for_rooms_is_refused_without_their_model():
    with pytest.raises(ParameterError, match="algorithm ilrma needs model convolutive"):
        ICA(algorithm="ilrma")
