import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from separators import ICA
from separators.errors import ChannelError, ParameterError, SeparatorWarning
from separators.evaluation import si_sdr
from separators.ica.delays import largest_delay
from separators.ica.fast_ica import fast_ica
from separators.ica.nonstationarity import FLOOR, diagonalize, stretch_covariances
from separators.remarks import heard_by

RATE = 16000
SUM_DB = -120.0
UNMIXED_DB = 30.0
"""What the images must reach at least; every mixture here starts below 10 dB."""
PAN_DB = 40.0
ROUNDING = 1e-6


def voices(count, seconds=4.0, seed=0):
    """Independent signals ``(count, frames)`` that come and go: noise through filters and envelopes."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    out = np.empty((count, frames), np.float32)
    for voice in out:
        syllables = rng.random(max(4, int(seconds * 8))) ** 4
        envelope = np.interp(np.arange(frames), np.linspace(0, frames, len(syllables)), syllables)
        coloured = np.convolve(rng.laplace(size=frames), rng.standard_normal(9), mode="same")
        voice[:] = envelope * coloured
    return out / out.std(axis=1, keepdims=True)


def level_db(part, whole):
    return 20 * np.log10(np.linalg.norm(part) / np.linalg.norm(whole) + 1e-30)


def mixed(matrix, sources):
    """The mixture, and the sources' images ``(sources, channels, frames)``."""
    images = np.asarray(matrix, np.float32).T[:, :, None] * sources[:, None, :]
    return images.sum(axis=0), images


DIAGONAL = {
    2: [[1, 0.4], [0.5, 1]],
    3: [[1, 0.3, -0.5], [0.4, 1, 0.2], [0.3, 0.6, 1]],
    4: np.eye(4) + 0.35 * np.array([[0, 1, -1, 1], [1, 0, 1, -1], [-1, 1, 0, 1], [1, 1, -1, 0]]),
    6: np.eye(6) + 0.2 * (1 - np.eye(6)),
}


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("count", DIAGONAL)
def test_every_microphone_gets_its_own_source_at_its_own_level(count, refined):
    sources = voices(count, seconds=8.0, seed=count)
    mixture, images = mixed(DIAGONAL[count], sources)
    stems = ICA(refine=refined).separate(mixture, RATE)
    for number, image in enumerate(images):
        estimate = stems[f"source-{number + 1}"]
        # Not scale-invariant: level, polarity and place in the mix must be right too.
        assert level_db(estimate - image, image) < -UNMIXED_DB
    assert level_db(stems.array.sum(axis=0) - mixture, mixture) < SUM_DB


def test_refinement_separates_players_of_the_same_note_who_pause_at_different_times():
    # Correlated as long as both play, which FastICA's sources cannot be.
    t = np.arange(8 * RATE) / RATE
    tone = np.sin(2 * np.pi * 220 * t) + 0.5 * np.sin(2 * np.pi * 440 * t + 1.0)
    first, second = np.sin(2 * np.pi * 0.9 * t) > 0, np.sin(2 * np.pi * 1.3 * t) > 0
    sources = np.stack([first * tone, second * np.roll(tone, 9)]).astype(np.float32)
    mixture, images = mixed(DIAGONAL[2], sources)
    plain, refined = (ICA(refine=flag).separate(mixture, RATE)["source-1"] for flag in (False, True))
    assert si_sdr(images[0], plain) < UNMIXED_DB < si_sdr(images[0], refined)


def test_stereo_unpans_from_left_to_right():
    mixture, images = mixed([[0.5, 0.9], [0.8, 0.3]], voices(2))
    stems = ICA().separate(mixture, RATE)
    assert list(stems) == ["source-1", "source-2"]
    assert level_db(stems["source-1"] - images[1], images[1]) < -PAN_DB  # the left one comes first
    assert level_db(stems["source-2"] - images[0], images[0]) < -PAN_DB


@settings(max_examples=15, deadline=None)
@given(
    order=st.permutations(range(3)),
    gains=st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
    levels=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
)
@example(order=[0, 2, 1], gains=[1.0, 1.0, 1.0], levels=[8.875, 2.25, 9.0])  # runs into a saddle point
def test_order_of_channels_their_gains_and_the_sources_levels_do_not_change_whose_is_whose(
    order, gains, levels
):
    sources = voices(3) * np.array(levels, np.float32)[:, None]
    mixture, images = mixed(np.array(gains)[:, None] * DIAGONAL[3], sources)
    stems = ICA().separate(mixture[list(order)], RATE)
    for place, channel in enumerate(order):
        image = images[channel][list(order)]
        assert si_sdr(image, stems[f"source-{place + 1}"]) > UNMIXED_DB


def test_fewer_sources_than_channels_leave_a_rest():
    sources = voices(2)
    mixture, images = mixed(np.array([[1, 0.2], [0.3, 1], [0.6, -0.7]]), sources)
    noise = 0.01 * np.random.default_rng(1).standard_normal(mixture.shape).astype(np.float32)
    stems = ICA(sources=2).separate(mixture + noise, RATE)
    assert list(stems) == ["source-1", "source-2", "rest"]
    assert si_sdr(images[0], stems["source-1"]) > UNMIXED_DB
    assert si_sdr(images[1], stems["source-2"]) > UNMIXED_DB
    assert level_db(stems["rest"], noise) < 0  # noise that lies beside both sources
    assert level_db(stems.array.sum(axis=0) - mixture - noise, mixture) < SUM_DB


def test_noise_in_the_microphones_is_borne():
    mixture, images = mixed(DIAGONAL[3], voices(3))
    noisy = mixture + 0.003 * np.random.default_rng(3).standard_normal(mixture.shape).astype(np.float32)
    stems = ICA().separate(noisy, RATE)
    assert min(si_sdr(image, stem) for image, stem in zip(images, stems.values(), strict=True)) > UNMIXED_DB


def test_a_constant_offset_does_not_disturb():
    mixture, images = mixed(DIAGONAL[2], voices(2))
    offset = np.array([[0.7], [-0.3]], np.float32)
    stems = ICA().separate(mixture + offset, RATE)
    for image, stem in zip(images, stems.values(), strict=True):
        centred = stem - stem.mean(axis=1, keepdims=True)
        assert si_sdr(image - image.mean(axis=1, keepdims=True), centred) > UNMIXED_DB
    assert level_db(stems.array.sum(axis=0) - mixture - offset, mixture) < SUM_DB


def test_a_silent_channel_stays_apart():
    mixture, images = mixed(DIAGONAL[2], voices(2))
    stems = ICA().separate(np.insert(mixture, 1, 0.0, axis=0), RATE)
    assert not stems["source-2"].any()
    assert not stems.array[:, 1].any()
    assert si_sdr(images[0], stems["source-1"][[0, 2]]) > UNMIXED_DB
    assert si_sdr(images[1], stems["source-3"][[0, 2]]) > UNMIXED_DB


def test_one_sounding_channel_is_its_own_source():
    mixture = np.stack([np.zeros(RATE, np.float32), voices(1, seconds=1.0)[0]])
    stems = ICA().separate(mixture, RATE)
    np.testing.assert_allclose(stems["source-2"], mixture, rtol=ROUNDING)
    assert not stems["source-1"].any()


@pytest.mark.parametrize("gain", [1.0, -0.5])
def test_the_same_signal_in_two_channels_is_named(gain):
    voice = voices(1)[0]
    with pytest.raises(ChannelError, match=r"channels 1 and 3 hold the same signal.*nmf"):
        ICA().separate(np.stack([voice, voices(1, seed=5)[0], gain * voice]), RATE)


def test_a_panned_recording_is_one_source():
    voice = voices(1)[0]
    mixture = np.stack([voice, 0.8 * voice])
    (line,) = said(mixture)
    assert "one signal at different levels" in line
    with heard_by([].append):
        stems = ICA().separate(mixture, RATE)
    np.testing.assert_allclose(stems["source-1"], mixture, rtol=ROUNDING)
    assert not stems["source-2"].any()


def test_a_channel_that_mixes_others_is_named_and_fewer_sources_help():
    first, second = voices(2)
    mixture = np.stack([first, second, 0.5 * first - 0.8 * second])
    with pytest.raises(ChannelError, match="channels 1, 2 and 3 hold only 2 different signals"):
        ICA().separate(mixture, RATE)
    stems = ICA(sources=2).separate(mixture, RATE)
    assert level_db(stems["rest"], mixture) < -100.0


def test_mono_is_refused_with_alternatives():
    with pytest.raises(ChannelError, match=r"at least 2 channels.*not 1.*ica-mono.*nmf"):
        ICA().separate(voices(1), RATE)
    with pytest.raises(ChannelError, match=r"at least 4 channels.*not 2"):
        ICA(sources=4).separate(voices(2), RATE)


def test_one_source_is_refused():
    with pytest.raises(ParameterError, match=r"sources must be 0 .* or at least 2, not 1"):
        ICA(sources=1)


def test_too_short_a_sample_warns_and_keeps_the_channels():
    mixture = mixed(DIAGONAL[2], voices(2))[0][:, 20000:20100]
    with pytest.warns(SeparatorWarning, match="100 frames are too few"):
        stems = ICA().separate(mixture, RATE)
    np.testing.assert_allclose(stems["source-1"], mixture * [[1], [0]], rtol=ROUNDING)
    np.testing.assert_allclose(stems["source-2"], mixture * [[0], [1]], rtol=ROUNDING)


def test_stationary_gaussian_noise_has_no_sources_and_warns():
    noise = np.random.default_rng(0).standard_normal((2, 40 * RATE)).astype(np.float32)
    with pytest.warns(SeparatorWarning, match="may still be mixed"):
        stems = ICA(iterations=3).separate(noise, RATE)
    assert level_db(stems.array.sum(axis=0) - noise, noise) < SUM_DB


def test_steady_tones_are_told_apart_without_changing_levels():
    t = np.arange(4 * RATE) / RATE
    tones = np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 1234.5 * t)]).astype(np.float32)
    mixture, images = mixed(DIAGONAL[2], tones)
    stems = ICA().separate(mixture, RATE)
    assert si_sdr(images[0], stems["source-1"]) > UNMIXED_DB
    assert si_sdr(images[1], stems["source-2"]) > UNMIXED_DB


def test_another_seed_finds_the_same_sources():
    mixture, _ = mixed(DIAGONAL[3], voices(3))
    one, other = (ICA(seed=seed).separate(mixture, RATE).array for seed in (0, 7))
    assert level_db(one - other, one) < -60.0


def test_subsampling_keeps_quality():
    mixture, images = mixed(DIAGONAL[2], voices(2, seconds=20.0))
    every = ICA(subsample=1, refine=False).separate(mixture, RATE)
    few = ICA(subsample=16, refine=False).separate(mixture, RATE)
    assert not np.array_equal(every.array, few.array)
    assert min(si_sdr(image, stem) for image, stem in zip(images, few.values(), strict=True)) > UNMIXED_DB


def test_fast_ica_returns_a_rotation_and_says_when_it_has_settled():
    white = np.random.default_rng(0).laplace(size=(3, 20000)).astype(np.float32)
    white = np.linalg.inv(np.linalg.cholesky(np.cov(white))).astype(np.float32) @ white
    settled = fast_ica(white, iterations=100, tolerance=1e-5, seed=1)
    assert settled.change < 1e-5
    assert settled.iterations < 100
    np.testing.assert_allclose(settled.matrix @ settled.matrix.T, np.eye(3), atol=1e-12)
    assert fast_ica(white, iterations=1, tolerance=1e-5, seed=1).change > 1e-5


def coherence(covariances):
    """The mean squared correlation of two sources within a stretch, in front of faint noise."""
    power = np.einsum("ssk->sk", covariances)
    size = np.sqrt(power + FLOOR * power.mean(axis=1, keepdims=True))
    squared = np.square(covariances / (size[:, None] * size[None]))
    return np.mean(squared[~np.eye(len(covariances), dtype=bool)])


def test_refinement_makes_sources_as_uncorrelated_in_every_stretch_as_the_true_ones():
    mixture, _ = mixed(DIAGONAL[3], voices(3))
    mean = mixture.mean(axis=1, dtype=np.float64)
    rough = np.linalg.inv(DIAGONAL[3] + 0.1 * np.arange(9).reshape(3, 3) % 0.3)
    before = stretch_covariances(rough, mixture, mean, RATE)
    turn, settled = diagonalize(before)
    assert settled
    after = np.einsum("ic,cdk,jd->ijk", turn, before, turn)
    true = stretch_covariances(np.linalg.inv(DIAGONAL[3]), mixture, mean, RATE)
    assert coherence(before) > 4 * coherence(true)
    assert coherence(after) < 1.05 * coherence(true)


def test_channels_that_are_nearly_alike_still_separate():
    # Coincident microphones: the channels differ by a thousandth.
    mixture, images = mixed([[1, 1], [0.999, 1.001]], voices(2, seconds=8.0))
    stems = ICA().separate(mixture, RATE)
    assert si_sdr(images[0], stems["source-1"]) > UNMIXED_DB
    assert si_sdr(images[1], stems["source-2"]) > UNMIXED_DB
    assert level_db(stems.array.sum(axis=0) - mixture, mixture) < SUM_DB


def test_nothing_warns_where_all_is_well():
    mixture, _ = mixed(DIAGONAL[4], voices(4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ICA().separate(mixture, RATE)
    assert not caught


@pytest.mark.parametrize("noise_db", [-80.0, -60.0])
def test_an_event_in_minutes_of_near_silence_is_unmixed_as_alone_wherever_it_is(noise_db):
    """15 s of two sources in 4 minutes; alone, with the same noise, they come apart as well."""
    rate, frames = 8000, 15 * 8000
    rng = np.random.default_rng(0)
    swells = np.repeat(rng.random((2, 150)), frames // 150, axis=1) ** 3
    sources = (rng.laplace(size=(2, frames)) * swells).astype(np.float32)
    images = np.array([[1.0, 0.4], [0.5, 1.0]], np.float32).T[:, :, None] * sources[:, None]
    noise = rng.standard_normal((2, 240 * rate)).astype(np.float32) * 10 ** (noise_db / 20)
    event = images.sum(axis=0)

    def worst(mixture, at):
        stems = ICA().separate(mixture, rate).array[:, :, at : at + frames]
        return min(si_sdr(image, stem) for image, stem in zip(images, stems, strict=True))

    alone = worst(event + noise[:, :frames], 0)
    assert alone > 40
    for at in np.linspace(0, 225 * rate, 12).astype(int):
        mixture = noise.copy()
        mixture[:, at : at + frames] += event
        assert worst(mixture, at) > alone - 3


def said(mixture, **parameters):
    """What ICA says about a mixture."""
    lines = []
    with heard_by(lines.append):
        ICA(**parameters).separate(mixture, RATE)
    return lines


def click(at, frames=4 * RATE):
    signal = np.zeros(frames, np.float32)
    signal[at] = 1.0
    return signal


@pytest.mark.parametrize("model", ["instantaneous", "convolutive"])
def test_channels_that_hold_constants_are_no_sources(model):
    mixture = np.full((2, 4 * RATE), 0.25, np.float32)
    assert said(mixture, model=model) == [
        "ica: no channel holds more than a constant, so there are no sources; each is what one channel holds"
    ]


@pytest.mark.parametrize("model", ["instantaneous", "convolutive"])
@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("signal", [click(12345), voices(1)[0]], ids=["click", "voice"])
def test_the_same_in_two_channels_is_refused_whatever_it_is(model, offset, signal):
    mixture = np.stack([signal, signal + np.float32(offset)])
    with pytest.raises(ChannelError, match="channels 1 and 2 hold the same signal"):
        ICA(model=model).separate(mixture, RATE)


@pytest.mark.parametrize("model", ["instantaneous", "convolutive"])
def test_the_same_in_two_channels_but_for_a_click_is_said(model):
    signal = voices(1)[0]
    (line, *_) = said(np.stack([signal, signal + 3 * click(12345)]), model=model)
    assert line.startswith("ica: channels 1, 2 hold the same but for a moment of 0.1 s, a click")


def test_a_source_that_is_hardly_there_is_said():
    sources = voices(2)
    noise = 3e-3 * np.random.default_rng(0).laplace(size=sources.shape[1]).astype(np.float32)
    (line,) = said(np.stack([sources[0], 0.7 * sources[0] + noise]))
    assert "dB below every channel, so there are fewer sources than 2" in line


@pytest.mark.parametrize("milliseconds", [1.0, 2.0])
def test_microphones_that_stand_apart_are_told_which_model_fits(milliseconds):
    one, other = voices(2)
    late = round(milliseconds / 1000 * RATE)
    mixture = np.stack([one[late:] + 0.3 * other[:-late], other[late:] + 0.3 * one[:-late]])
    lines = said(mixture)
    assert any(
        f"channels 1 and 2 hear the same sound {milliseconds:.1f} ms apart" in line
        and "preset mic-bleed or mic-bleed-hq" in line
        for line in lines
    )
    assert not any("apart" in line for line in said(mixture, model="convolutive"))


def test_pan_pots_and_channels_of_their_own_have_no_delay():
    sources = voices(3)
    assert largest_delay(sources, RATE) is None
    for signs in ([1, 1], [1, -1]):
        assert largest_delay(mixed(DIAGONAL[2] * np.array(signs), sources[:2])[0], RATE) is None
