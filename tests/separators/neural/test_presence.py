"""Whether a stem sounds: levels, gains, how far it hears, its weights file, and the shipped network."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from separators import create
from separators.neural import presence, wave_u_net
from separators.neural.presence import BANDS, HOP, SAMPLE_RATE, Mixture, Presence, gains, level_db, levels
from separators.neural.wave_u_net import LISTENER, WaveUNet
from separators.neural.weights import FOLDER, WeightsError, trained

EXAMPLES = Path(__file__).parents[3] / "examples"
SAME = 1e-5
"""Largest difference of levels, in units of 20 dB, or gains that ought to be equal."""
HALF_PRECISION = 1e-3
"""Largest difference of gains by weights that were stored in half precision."""


def network(bias=0.0):
    torch.manual_seed(0)
    made = Presence(16).eval().requires_grad_(False)
    made.output.bias.fill_(bias)
    return made


def noise(seconds, seed=0, channels=2):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((channels, round(seconds * SAMPLE_RATE))).astype(np.float32)


def test_levels_are_relative_to_the_mixture():
    audio = noise(1)
    plain = levels(torch.from_numpy(audio), level_db(audio))
    assert plain.shape == (BANDS, 1 + audio.shape[1] // HOP)
    for other in (0.01 * audio, -audio, audio[::-1], 30 * audio):
        other = np.ascontiguousarray(other)
        changed = levels(torch.from_numpy(other), level_db(other))
        assert torch.allclose(changed, plain, atol=SAME)
    silence = levels(torch.zeros(2, SAMPLE_RATE), level_db(audio))
    assert (silence == presence.FLOOR_DB / 20).all()


def test_the_bands_hold_all_power_between_the_lowest_and_the_highest():
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz in (150.0, 1000.0, 9000.0):
        tone = np.sin(2 * np.pi * hertz * t, dtype=np.float32)[None]
        found = levels(torch.from_numpy(tone), level_db(tone)).numpy()[:, 5:-5]
        total = 10 * np.log10((10 ** (2 * found)).sum(0))
        np.testing.assert_allclose(total, 0, atol=0.5)


@pytest.mark.parametrize("frames", [1, 100, 5000, 44_100, 200_001])
@pytest.mark.parametrize(("bias", "expected"), [(-50.0, 0.0), (50.0, 1.0)])
def test_a_stem_is_silenced_or_left_as_it_is(frames, bias, expected):
    audio = noise(5)[:, :frames]
    found = gains(network(bias), Mixture(audio), audio / 2, "vocals")
    assert found.shape == (frames,)
    assert found.dtype == np.float32
    assert (found == expected).all()


def test_silence_has_gains():
    silent = np.zeros((2, SAMPLE_RATE), np.float32)
    assert np.isfinite(gains(network(), Mixture(silent), silent, "drums")).all()


def test_it_hears_no_further_than_half_the_overlap_of_blocks():
    """In the middle of the cross-fade of two blocks each of them still has as much."""
    reach = sum(presence.DILATIONS) + 1
    assert reach * presence.MOMENT * HOP / SAMPLE_RATE < WaveUNet.overlap_seconds / 2
    moments = 3 * reach
    heard = torch.randn(1, 2, BANDS, moments * presence.MOMENT)
    changed = heard.clone()
    changed[..., moments // 2 * presence.MOMENT :] = 0
    before, after = (network()(each, torch.tensor([0]))[0] for each in (heard, changed))
    assert torch.allclose(after[: moments // 2 - reach], before[: moments // 2 - reach], atol=SAME)
    assert (after - before).abs().max() > 10 * SAME


def test_only_in_training_something_is_left_out():
    made, heard = network(), torch.randn(1, 2, BANDS, 10 * presence.MOMENT)
    with torch.no_grad():
        assert torch.equal(made(heard, torch.tensor([0])), made(heard, torch.tensor([0])))
        made.train()
        assert not torch.equal(made(heard, torch.tensor([0])), made(heard, torch.tensor([0])))


def test_weights_keep_the_network(tmp_path):
    made, path = network(-2.5), tmp_path / "presence.safetensors"
    presence.save(made, path, {"steps": 3})
    audio = noise(3)
    networks = made, presence.load(path)
    before, after = (gains(each, Mixture(audio), audio, "drums") for each in networks)
    np.testing.assert_allclose(after, before, atol=HALF_PRECISION)
    with pytest.raises(WeightsError, match="weights of the format stembridge-wave-u-net-1"):
        presence.load(FOLDER / "wave-u-net.safetensors")


def test_what_is_silenced_stays_in_the_other_stems(tmp_path, monkeypatch):
    path = tmp_path / "nobody.safetensors"
    presence.save(network(bias=-50.0), path, {})
    monkeypatch.setattr(wave_u_net, "LISTENER", (presence.NAME, str(path), presence.load))
    audio = noise(2)
    two = WaveUNet(stems=2).separate(audio, SAMPLE_RATE)
    assert (two["vocals"] == 0).all()
    np.testing.assert_allclose(two["accompaniment"], audio, atol=SAME)
    four = WaveUNet().separate(audio, SAMPLE_RATE)
    assert (four["vocals"] == 0).all()
    assert (four["drums"] == 0).all()
    np.testing.assert_allclose(four["bass"] + four["other"], audio, atol=SAME)
    own = WaveUNet(stems=2, weights=str(FOLDER / "wave-u-net-2.safetensors")).separate(audio, SAMPLE_RATE)
    assert np.abs(own["vocals"]).max() > SAME


@pytest.fixture(scope="module")
def shipped():
    return trained(*LISTENER)


def example(name):
    audio, rate = soundfile.read(EXAMPLES / name, dtype="float32", always_2d=True)
    return audio.T, rate


def test_two_people_who_talk_are_not_silenced(shipped):
    """Speech alone, of which the vocals are everything."""
    talk, rate = example("session/audio/Interview.wav")
    stems = create("wave-u-net", stems=2).separate(talk, rate)
    assert np.square(stems["vocals"]).sum() > 0.5 * np.square(talk).sum()


def test_of_drums_alone_no_voice_is_heard(shipped):
    drums, rate = example("session/audio/Drums.wav")
    muted, plain = (
        create("wave-u-net", stems=2, mute_absent=mute).separate(drums, rate)["vocals"]
        for mute in (True, False)
    )
    power = np.square(drums).sum()
    assert np.square(plain).sum() > 0
    assert np.square(muted).sum() < 1e-5 * power


def test_every_card_names_what_was_learned_from():
    card = (FOLDER / f"{presence.NAME}.md").read_text(encoding="utf-8")
    assert "stembridge train wave-u-net-presence" in card
