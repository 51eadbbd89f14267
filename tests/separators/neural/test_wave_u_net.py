"""The Wave-U-Net: layouts, sums, context, block borders, rates, channels; and the shipped weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from separators.evaluation import si_sdr
from separators.neural.wave_u_net import BASS, TWICE, WaveUNet, load, save, separate_segments
from separators.neural.wave_u_net_architecture import Architecture
from separators.neural.wave_u_net_fourier import ChannelNorm, bands, overlap_add
from separators.neural.wave_u_net_network import build
from separators.neural.weights import FOLDER, WeightsError

RATE = 44_100
SUM = 1e-5
"""Largest difference between a mixture around 1 and the sum of its stems."""
SAME = 1e-4
"""Largest difference between two ways to compute the same stems in float32."""
LINE_DB = -80.0
"""Allowed level of lines at the rate of segments or blocks, relative to the stem."""
LEVEL_DB = -40.0
"""Allowed difference where a network hears the same at another level, relative to the stem."""

GAINED_DB = 2.0
"""SI-SDR improvement of a plain synthetic band, well below what the weights reach."""

SMALL = Architecture(
    channels=(12, 16),
    strides=(32, 1, 2),
    kernels=(128, 3),
    resolution=8,
    dilations=(1, 2),
    bottom_dilations=(1, 2),
)
SMALL_TWICE = replace(SMALL, passes=2)
SMALL_PAPER = Architecture.paper(levels=4, growth=6)
layouts = pytest.mark.parametrize(
    "architecture", [SMALL, SMALL_TWICE, SMALL_PAPER], ids=["fourier", "twice", "paper"]
)


def lively(architecture, seed=0):
    """A random network whose stems differ clearly from equal shares of the mixture."""
    torch.manual_seed(seed)
    network = build(architecture).eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if name.removeprefix("first.").startswith(("shares", "detail")):
            value.normal_(0, 0.1)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save(lively(SMALL), path, {"steps": 0})
    return str(path)


def noise(channels, frames, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


def segment(network, frames):
    """Noise for a segment of at least ``frames``, and how many of its frames come out in full context."""
    needed, length = network.segment(frames)
    return torch.from_numpy(noise(2, needed))[None], length


def test_the_papers_layout_has_the_published_size_and_lengths():
    paper = build(Architecture.paper())
    parameters = sum(value.numel() for value in paper.parameters())
    assert parameters == pytest.approx(10.26e6, rel=0.001)
    # The paper's M4 takes 147443 frames in and gives 16389, of which a multiple of 2**12 is used.
    assert paper.segment(16_384) == (147_443, 16_384)
    with torch.inference_mode():
        stems = paper(torch.zeros(1, 2, 147_443))
    assert stems.shape == (1, 4, 2, 16_389)


def test_the_default_layout_is_small_enough_to_ship():
    parameters = sum(value.numel() for value in build(Architecture()).parameters())
    assert parameters * 2 < 20e6  # bytes in half precision


@layouts
def test_architectures_survive_json(architecture):
    assert Architecture.from_dict(architecture.to_dict()) == architecture


@layouts
def test_stems_sum_to_the_mixture_and_depend_on_it(architecture):
    network = lively(architecture)
    mixture, length = segment(network, 5000)
    stems = network(mixture)
    assert stems.shape[:3] == (1, 4, 2)
    assert stems.shape[-1] >= length >= 5000
    margin = (mixture.shape[-1] - stems.shape[-1]) // 2
    heard = mixture[..., margin : margin + stems.shape[-1]]
    assert (stems.sum(1) - heard).abs().max() < SUM
    assert (stems[:, 0] - heard / 4).abs().max() > 0.01


def test_training_begins_with_equal_shares_of_the_mixture():
    network = build(SMALL)
    for part in (*network.shares.parameters(), *network.detail.parameters()):
        torch.nn.init.zeros_(part)
    mixture = torch.from_numpy(noise(2, 20_000))[None]
    stems = network(mixture)
    assert (stems - mixture[:, None] / 4).abs().max() < SUM


@pytest.mark.parametrize("architecture", [SMALL, SMALL_TWICE], ids=["once", "twice"])
def test_the_network_does_not_hear_beyond_its_context(architecture):
    network = lively(architecture)
    frames, context = 60_000, network.context
    mixture = torch.from_numpy(noise(2, frames))[None]
    changed = mixture.clone()
    changed[..., 30_000] += 3
    difference = (network(changed) - network(mixture)).abs().amax((0, 1, 2))
    reached = np.flatnonzero(difference.numpy() > 0)
    assert 30_000 - context <= reached.min()
    assert reached.max() <= 30_000 + context
    assert difference[30_000] > 0.1


def test_a_second_pass_hears_the_stems_of_the_first():
    network = lively(SMALL_TWICE)
    mixture = torch.from_numpy(noise(2, 20_000))[None]
    before = network(mixture)
    for value in network.first.shares.parameters():
        value.mul_(-1)
    assert (network(mixture) - before).abs().max() > 0.01


@layouts
def test_the_wanted_frames_are_those_of_the_whole(architecture):
    network = lively(architecture)
    mixture, length = segment(network, 3000)
    whole = network(mixture)
    margin = (whole.shape[-1] - length) // 2
    wanted = network(mixture, length)
    assert wanted.shape == (1, 4, 2, length)
    torch.testing.assert_close(wanted, whole[..., margin : margin + length], atol=SAME, rtol=0)


@layouts
@pytest.mark.parametrize("frames", [1, 700, 31_000])
def test_segments_give_the_same_as_the_whole(architecture, frames):
    network = lively(architecture)
    audio = noise(2, frames)
    whole = separate_segments(network, audio, segment_seconds=2.0)
    pieces = separate_segments(network, audio, segment_seconds=0.1)
    assert whole.shape == (4, 2, frames)
    np.testing.assert_allclose(pieces, whole, atol=SAME)


def test_silence_inside_the_audio_stays_silent():
    network = lively(SMALL)
    audio = noise(2, 40_000)
    audio[:, 10_000:30_000] = 0
    stems = separate_segments(network, audio)
    reach = SMALL.kernels[0]
    assert not stems[:, :, 10_000 + reach : 30_000 - reach].any()


def test_bands_cover_every_bin_and_widen_with_frequency():
    band = bands(4096, 160)
    sizes = torch.bincount(band)
    assert len(band) == 2049
    assert sizes[:320].eq(1).all()
    # The last one ends where the spectrum does.
    assert (sizes[:-1].diff() >= 0).all()
    first = torch.arange(2049)[torch.cat([torch.tensor([True]), band.diff() > 0])]
    assert (sizes[320:-1] == first[320:-1] // 160).all()


def test_with_one_stem_for_all_the_filters_give_the_mixture_back():
    network = build(SMALL).requires_grad_(False)
    network.shares.bias.reshape(4, -1)[0] = 100
    mixture = torch.from_numpy(noise(2, 5000))[None]
    assert (network(mixture)[:, 0] - mixture).abs().max() < SUM


def test_overlap_add_inverts_framing():
    signal = torch.randn(1, 2, 160)
    added = overlap_add(signal.unfold(-1, 32, 8), 8)
    # Every frame is covered by four windows, except at the ends.
    torch.testing.assert_close(added[..., 24:-24], 4 * signal[..., 24:-24])


def test_channel_norm_gives_unit_power_and_leaves_silence():
    norm = ChannelNorm(16)
    assert norm(torch.randn(2, 16, 9, 50)).square().mean(1).sub(1).abs().max() < 0.01
    assert not norm(torch.zeros(1, 16, 9, 5)).any()


def test_weights_keep_the_network(tmp_path):
    network = lively(SMALL)
    path = tmp_path / "net.safetensors"
    save(network, path, {"steps": 3})
    again = load(path)
    assert again.architecture == SMALL
    audio = noise(2, 9000)
    # Half precision: 11 bits.
    np.testing.assert_allclose(separate_segments(again, audio), separate_segments(network, audio), atol=0.05)


def test_other_and_missing_weights_are_refused_in_one_line(tmp_path):
    stranger = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, stranger, {"format": "something-else"})
    with pytest.raises(WeightsError, match="holds weights of the format something-else"):
        WaveUNet(weights=str(stranger)).separate(noise(2, 1000), RATE)
    with pytest.raises(WeightsError, match="there is no weights file"):
        WaveUNet(weights=str(tmp_path / "none.safetensors")).separate(noise(2, 1000), RATE)


@pytest.mark.parametrize("sample_rate", [22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("stems", [2, 4])
def test_stems_sum_at_every_rate(weights, sample_rate, stems):
    mixture = noise(2, sample_rate // 2)
    found = WaveUNet(stems=stems, weights=weights).separate(mixture, sample_rate)
    assert len(found) == stems
    np.testing.assert_allclose(found.array.sum(0), mixture, atol=SUM * 10)


def test_two_stems_are_the_vocals_and_all_the_rest(weights):
    mixture = noise(2, 20_000)
    four = WaveUNet(weights=weights).separate(mixture, RATE)
    two = WaveUNet(weights=weights, stems=2).separate(mixture, RATE)
    np.testing.assert_allclose(two["vocals"], four["vocals"], atol=SUM)
    np.testing.assert_allclose(
        two["accompaniment"], four["drums"] + four["bass"] + four["other"], atol=SUM * 10
    )


def test_mono_is_a_stereo_pair_of_equal_channels(weights):
    mono = noise(1, 20_000)
    separator = WaveUNet(weights=weights)
    both = separator.separate(np.repeat(mono, 2, 0), RATE)
    np.testing.assert_allclose(separator.separate(mono, RATE)["drums"][0], both["drums"].mean(0), atol=SAME)


def test_more_channels_are_pairs(weights):
    separator = WaveUNet(weights=weights)
    surround = noise(5, 20_000)
    stems = separator.separate(surround, RATE)
    assert stems.array.shape == (4, 5, 20_000)
    np.testing.assert_allclose(stems.array.sum(0), surround, atol=SUM * 10)


def test_a_silent_channel_stays_silent(weights):
    mixture = noise(2, 20_000)
    mixture[0] = 0
    stems = WaveUNet(weights=weights).separate(mixture, RATE)
    assert not stems.array[:, 0].any()
    assert stems["vocals"][1].any()


def test_turned_polarity_turns_the_stems(weights):
    mixture = noise(2, 20_000) ** 3
    separator = WaveUNet(weights=weights)
    turned = separator.separate(-mixture, RATE).array
    np.testing.assert_allclose(turned, -separator.separate(mixture, RATE).array, atol=SAME)


def test_bfloat16_is_close_to_float32(weights):
    mixture = noise(2, 30_000)
    exact = WaveUNet(weights=weights).separate(mixture, RATE).array
    fast = WaveUNet(weights=weights, fast=True).separate(mixture, RATE).array
    error = np.square(fast - exact).sum() / np.square(mixture).sum()
    assert 10 * np.log10(error + 1e-12) < -30
    np.testing.assert_allclose(fast.sum(0), mixture, atol=SUM * 10)


shipped = pytest.mark.skipif(
    not (FOLDER / "wave-u-net.safetensors").is_file(), reason="the package ships no weights yet"
)


@shipped
def test_shipped_weights_have_a_card_and_overlap_enough():
    heard = 0
    for name in (TWICE, BASS):
        file = FOLDER / f"{name}.safetensors"
        assert file.with_suffix(".md").is_file()
        assert file.stat().st_size < 20e6
        heard += load(file).context
    # A quarter of the blocks' overlap is all the context a block's edge has.
    assert heard <= WaveUNet.overlap_seconds * RATE / 4


@shipped
def test_four_stems_have_the_vocals_of_two_and_the_bass_of_what_they_leave():
    # A low rumble: what finds the bass hears no more of it where it hears up to the highest band.
    low = np.fft.rfft(noise(2, RATE)) / (1 + np.square(np.arange(RATE // 2 + 1) / 60))
    mixture = np.fft.irfft(low).astype(np.float32)
    two, four = (WaveUNet(stems=stems, mute_absent=False).separate(mixture, RATE) for stems in (2, 4))
    assert np.array_equal(four["vocals"], two["vocals"])
    twice = WaveUNet(weights=str(FOLDER / f"{TWICE}.safetensors")).separate(mixture, RATE)
    left = WaveUNet(weights=str(FOLDER / f"{BASS}.safetensors")).separate(two["accompaniment"], RATE)
    assert np.array_equal(four["drums"], twice["drums"])
    # Alone, what is left is heard at another level.
    difference_db = 20 * np.log10(np.linalg.norm(four["bass"] - left["bass"]) / np.linalg.norm(left["bass"]))
    assert difference_db < LEVEL_DB, f"{difference_db:.0f} dB"


def test_a_network_that_hears_low_bands_only_finds_what_the_whole_one_finds_there():
    network = lively(SMALL)
    low = network.below(RATE / 8)
    mixture = torch.from_numpy(noise(2, 20_000))[None]
    found, whole = (np.fft.rfft(each(mixture)[0, :-1].numpy()) for each in (low, network))
    hertz = np.fft.rfftfreq(20_000, 1 / RATE)
    bass, treble = hertz < RATE / 64, hertz > RATE / 8
    assert np.linalg.norm((found - whole)[..., bass]) < 0.2 * np.linalg.norm(whole[..., bass])
    assert np.linalg.norm(found[..., treble]) < 0.05 * np.linalg.norm(whole[..., treble])
    torch.testing.assert_close(low(mixture).sum(1), mixture, atol=SUM, rtol=0)


@shipped
@pytest.mark.parametrize("signal", ["tone", "noise"])
def test_segments_and_blocks_leave_no_trace(signal):
    """Cut or whole, a steady tone and a steady noise give the same stems: no line at the rate of cuts."""
    network = load(FOLDER / "wave-u-net.safetensors")
    frames = 6 * RATE
    t = np.arange(frames) / RATE
    audio = noise(2, frames) if signal == "noise" else np.stack([np.sin(2 * np.pi * 440 * t)] * 2)
    audio = audio.astype(np.float32)
    # Cut twelve times a second, at places that are no whole number of periods of the tone.
    whole = separate_segments(network, audio, segment_seconds=6.0)
    pieces = separate_segments(network, audio, segment_seconds=0.5)
    for stem, cut in zip(whole, pieces, strict=True):
        difference_db = 20 * np.log10(np.linalg.norm(cut - stem) / np.linalg.norm(audio) + 1e-12)
        assert difference_db < LINE_DB


@shipped
def test_blocks_of_the_separator_join_without_trace():
    kind = type("InBlocks", (WaveUNet,), {"block_seconds": 4.0})
    audio = np.repeat(np.sin(2 * np.pi * 441.7 / RATE * np.arange(9 * RATE))[None], 2, 0).astype(np.float32)
    whole, blocks = (each(mute_absent=False).separate(audio, RATE).array for each in (WaveUNet, kind))
    for one, other in zip(whole, blocks, strict=True):
        difference_db = 20 * np.log10(np.linalg.norm(one - other) / np.linalg.norm(audio) + 1e-12)
        assert difference_db < LINE_DB


@shipped
def test_shipped_weights_tell_a_beat_a_chord_and_a_bass_apart():
    rng = np.random.default_rng(0)
    t = np.arange(6 * RATE) / RATE
    beat = t % 0.5
    kick = np.sin(2 * np.pi * (50 * beat + 8 * (1 - np.exp(-30 * beat)))) * np.exp(-9 * beat)
    snare = 0.5 * rng.standard_normal(len(t)) * np.exp(-18 * ((t + 0.5) % 1.0))
    hat = 0.3 * np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-60 * (t % 0.25))
    played = {
        "drums": kick + snare + hat,
        "other": sum(
            np.sin(2 * np.pi * f * k * t) / k**1.5 for f in (220, 277.2, 329.6, 440) for k in range(1, 8)
        ),
        "bass": sum(np.sin(2 * np.pi * 55 * k * t) / k**2 for k in range(1, 6))
        * (0.3 + np.exp(-2 * (t % 1))),
    }
    played = {name: np.repeat(s[None] / s.std(), 2, 0).astype(np.float32) for name, s in played.items()}
    mixture = 0.1 * sum(played.values())
    stems = WaveUNet().separate(mixture, RATE)
    for name, wanted in played.items():
        gained = si_sdr(wanted, stems[name]) - si_sdr(wanted, mixture)
        assert gained > GAINED_DB, f"{name}: {gained:.1f} dB"
