import numpy as np
import pytest
import torch

from separators.neural import inference, weights
from separators.neural.inference import Separated, resample, separate_block, voices_transform
from separators.neural.network import BINS, HOP, SAMPLE_RATE, Architecture, Network
from separators.neural.pit import PIT
from separators.neural.tracking import agreement, best_order

SMALL = Architecture(channels=12, dilations=(1, 2), attention=(1,))
SUM = 1e-6
"""-120 dB of full scale."""


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(SMALL).eval().requires_grad_(False)


@pytest.fixture
def separator(network, tmp_path):
    weights.save(network, tmp_path / "small.safetensors", {})
    return PIT(weights=str(tmp_path / "small.safetensors"))


def noise(seed, *shape):
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def test_network_masks_sum_to_one(network):
    masks = network(torch.from_numpy(noise(0, 2, 8000)))
    assert masks.shape == (2, 2, BINS, 1 + 8000 // HOP)
    assert (masks.sum(1) - 1).abs().max() < 1e-5


def test_the_transform_pair_is_exact(network):
    audio = torch.from_numpy(noise(1, 3, 5000))
    assert (network.audio(network.spectrogram(audio), 5000) - audio).abs().max() < SUM


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_sum_to_the_mixture_at_any_rate(separator, rate, channels):
    mixture = noise(2, channels, rate * 2)
    stems = separator.separate(mixture, rate)
    assert stems.array.shape == (2, channels, rate * 2)
    assert np.abs(stems.array.sum(0) - mixture).max() < SUM


@pytest.mark.parametrize("frames", [1, 2, 100, 513])
def test_tiny_inputs(separator, frames):
    mixture = noise(3, 1, frames)
    assert np.abs(separator.separate(mixture, 44_100).array.sum(0) - mixture).max() < SUM


def test_what_lies_above_8_khz_is_kept_and_shared_like_the_octave_below(network):
    """One stem gets all between 4 and 8 kHz: it must get all above, too."""

    def masks(audio):
        mask = torch.zeros(1, 2, *network.spectrogram(audio).shape[1:])
        mask[:, 0] = 1.0
        return mask

    block = noise(4, 1, 44_100)
    stems, *_ = separate_block(network, masks, block, 44_100)
    assert np.abs(stems[0] - block).max() < 1e-5
    above = np.abs(np.fft.rfft(stems[0, 0]))[8000:]
    assert np.square(above).sum() == pytest.approx(
        np.square(np.abs(np.fft.rfft(block[0]))[8000:]).sum(), rel=1e-4
    )


def test_panning_is_kept(network):
    """The same masks on both channels: a channel that is half the other stays so in every stem."""
    left = noise(5, 44_100)
    stems, *_ = separate_block(network, network, np.stack([left, 0.5 * left]), 44_100)
    assert np.abs(stems[:, 1] - 0.5 * stems[:, 0]).max() < SUM


def test_channels_that_cancel_are_still_heard(network):
    heard = []
    one = noise(6, 16_000)

    def masks(audio):
        heard.append(audio)
        return network(audio)

    separate_block(network, masks, np.stack([one, -one]), 16_000)
    assert heard[0].square().mean().item() == pytest.approx(1, rel=1e-3)


def test_resampling_there_and_back_keeps_length():
    audio = noise(7, 2, 2, 44_101)
    assert resample(resample(audio, 44_100, 16_000), 16_000, 44_100, 44_101).shape == audio.shape


def voices(seconds, seed=0):
    """Two "voices" of different spectra, ``(2, frames)`` at 16 kHz, each with pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    out = []
    for pitch in (110, 210):
        syllables = np.repeat(rng.random(int(seconds * 4) + 1) > 0.4, SAMPLE_RATE // 4)[: len(time)]
        tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 15))
        out.append(0.1 * syllables * tone)
    return np.array(out, np.float32)


@pytest.mark.parametrize("silent", [None, 0, 1])
def test_stems_are_put_in_the_order_of_what_is_known(silent):
    """Also when only one of the voices speaks."""
    truth = voices(2)
    if silent is not None:
        truth[silent] = 0
    assert best_order(agreement(truth, truth[::-1])) == [1, 0]
    assert best_order(agreement(truth, 0.3 * truth)) == [0, 1]


def test_nothing_known_leaves_the_order():
    assert best_order(agreement(np.zeros((3, 10), np.float32), noise(9, 3, 10))) == [0, 1, 2]


def test_blocks_whose_outputs_are_swapped_are_put_in_order(network, monkeypatch):
    """A separator that swaps its outputs in every second block must give unswapped stems."""
    truth = voices(8)
    calls = []

    def swapping(_network, _masks, _block, _rate, front, _background):
        assert not front.size  # blocks are too short for one: the overlap alone must tell
        start = len(calls) * SAMPLE_RATE
        part = truth[:, start : start + SAMPLE_RATE + 16_384]
        calls.append(start)
        part = part[::-1] if len(calls) % 2 == 0 else part
        return Separated(part[:, None].copy(), part.copy(), np.zeros((2, 0), np.float32), 0.0)

    monkeypatch.setattr(inference, "separate_block", swapping)
    transform = voices_transform(network, network, truth[:1, :1], SAMPLE_RATE, 20, 1.024)
    for start in range(0, 4 * SAMPLE_RATE, SAMPLE_RATE):
        end = start + SAMPLE_RATE + 16_384
        stems = transform(truth.sum(0, keepdims=True)[:, start:end])
        assert np.array_equal(stems[:, 0], truth[:, start:end])
    assert len(calls) == 4


def test_weights_survive_their_file_in_half_precision(network, tmp_path):
    weights.save(network, tmp_path / "w.safetensors", {"hours": 1})
    loaded = weights.load(tmp_path / "w.safetensors")
    assert loaded.architecture == SMALL
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())


def test_wrong_weights_files_are_refused(tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 100)
    with pytest.raises(weights.WeightsError, match="cannot load the weights"):
        weights.load(tmp_path / "junk.safetensors")
    with pytest.raises(weights.WeightsError, match="there is no weights file"):
        PIT(weights=str(tmp_path / "none.safetensors")).separate(noise(8, 1, 1000), 16_000)


def test_a_weights_file_is_read_once(network, tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(network, path, {})
    assert weights.network("pit", str(path)) is weights.network("pit", str(path))
