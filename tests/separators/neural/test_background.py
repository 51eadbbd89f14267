import numpy as np
import pytest
import torch

from separators.neural import weights
from separators.neural.background import SMOOTH, shared_background
from separators.neural.danet import DANet
from separators.neural.inference import separate_block
from separators.neural.network import BINS, HOP, Architecture, Network
from separators.neural.pit import PIT
from separators.neural.weights import WeightsError

SUM = 1e-6
"""-120 dB of full scale."""
SMALL = {"channels": 12, "dilations": (1, 2), "attention": (), "background": True}
TIMES = 400


def masks_of(parts):
    """Masks ``(3, bins, times)`` that give a third of the bins to each of two voices and the background."""
    made = torch.zeros(3, BINS, TIMES)
    for index, part in enumerate(np.array_split(np.arange(BINS), 3)):
        made[index, part] = 1
    spectrum = torch.einsum("kft,kt->ft", made, torch.as_tensor(parts, dtype=torch.float32))
    return made, spectrum.to(torch.complex64)


def test_shared_masks_sum_to_one():
    masks, spectrum = masks_of(np.random.default_rng(0).random((3, TIMES)))
    shared = shared_background(masks, spectrum)
    assert shared.shape == (2, BINS, TIMES)
    assert torch.allclose(shared.sum(0), torch.ones(BINS, TIMES), atol=1e-5)


def test_the_background_follows_who_talks():
    levels = np.ones((3, TIMES))
    levels[0, TIMES // 2 :] = levels[1, : TIMES // 2] = 0
    masks, spectrum = masks_of(levels)
    background = shared_background(masks, spectrum)[:, -1]
    assert background[0, : TIMES // 2 - SMOOTH].min() > 0.98
    assert background[1, TIMES // 2 + SMOOTH :].min() > 0.98


def test_without_a_voice_all_stays_on_the_first_stem():
    levels = np.zeros((3, TIMES))
    levels[2] = 1
    masks, spectrum = masks_of(levels)
    first, second = shared_background(masks, spectrum) * spectrum
    assert torch.allclose(first, spectrum, atol=1e-5)
    assert second.abs().max() < 1e-5


@pytest.fixture(params=["masks", "embeddings"])
def separator(request, tmp_path):
    torch.manual_seed(0)
    network = Network(Architecture(head=request.param, dimensions=4, **SMALL)).requires_grad_(False)
    weights.save(network, tmp_path / "small.safetensors", {})
    return {"masks": PIT, "embeddings": DANet}[request.param], str(tmp_path / "small.safetensors")


def noise(*shape):
    return (0.1 * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("seconds", [2, 45])
def test_stems_sum_to_the_mixture_with_and_without_a_stem_of_its_own(separator, background, seconds):
    kind, file = separator
    mixture = noise(2, seconds * 16_000)
    stems = kind(weights=file, background=background).separate(mixture, 16_000)
    assert stems.names == ("voice-1", "voice-2", "background")[: 2 + background]
    assert np.abs(stems.array.sum(0) - mixture).max() < SUM


def test_the_last_stem_is_the_background_whatever_the_order_of_the_voices():
    network = Network(Architecture(**SMALL)).eval().requires_grad_(False)

    def masks(audio):
        made = torch.zeros(1, 3, BINS, 1 + audio.shape[-1] // HOP)
        made[:, 2] = 1
        return made

    block = noise(1, 16_000)
    separated = separate_block(network, masks, block, 16_000, background=True)
    assert np.abs(separated.stems[2] - block).max() < 1e-5
    assert separated.leading.shape == (2, 16_000)
    assert np.abs(separated.leading).max() < 1e-5


def test_weights_without_a_background_cannot_give_it_a_stem(tmp_path):
    network = Network(Architecture(**SMALL | {"background": False})).requires_grad_(False)
    weights.save(network, tmp_path / "old.safetensors", {})
    with pytest.raises(WeightsError, match="know of no background"):
        PIT(weights=str(tmp_path / "old.safetensors"), background=True).separate(noise(1, 1000), 16_000)
