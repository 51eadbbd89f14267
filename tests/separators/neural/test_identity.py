"""Vectors of who talks: levels, what does not matter, weights files, the shipped network on real voices."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from separators.neural import identity
from separators.neural.identity import BANDS, HOP, NAME, Identity, levels
from separators.neural.network import SAMPLE_RATE
from separators.neural.weights import FOLDER, WeightsError, trained

VOICES = Path(__file__).parent / "voices"
SAME = 1e-4
"""Largest difference of levels, in units of 20 dB, that ought to be equal."""
HALF_PRECISION = 1e-2
"""Largest difference of vectors by weights that were stored in half precision."""


def network():
    torch.manual_seed(0)
    return Identity(16, 8).eval().requires_grad_(False)


def noise(seconds=1.0, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32)
    )


@pytest.mark.parametrize("gain", [1e-3, -1.0, 100.0])
def test_levels_are_relative_to_the_phrase(gain):
    audio = noise()
    found = levels(audio)
    assert found.shape == (BANDS, 1 + len(audio) // HOP)
    assert torch.allclose(levels(gain * audio), found, atol=SAME)


def test_a_tone_is_loudest_in_its_own_band():
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    loudest = [
        levels(torch.sin(2 * torch.pi * hertz * time)).mean(1).argmax().item()
        for hertz in (200, 800, 3000, 7000)
    ]
    assert loudest == sorted(set(loudest))


@pytest.mark.parametrize("audio", [torch.zeros(SAMPLE_RATE), noise(0.01), noise(0.0001), noise(3.0)])
def test_vectors_have_length_one(audio):
    found = network()(levels(audio)[None])
    assert found.shape == (1, 8)
    assert found.norm().item() == pytest.approx(1, abs=1e-5)


def test_phrases_of_a_batch_do_not_matter_to_each_other():
    parts = torch.stack([levels(noise(seed=seed)) for seed in range(3)])
    together = network()(parts)
    for part, found in zip(parts, together, strict=True):
        assert torch.allclose(network()(part[None])[0], found, atol=SAME)


def test_what_lies_behind_a_phrase_does_not_matter():
    parts = [levels(noise(seconds)) for seconds in (0.7, 1.0, 0.81)]
    hops = torch.tensor([part.shape[1] for part in parts])
    padded = torch.stack(
        [torch.nn.functional.pad(part, (0, int(hops.max()) - part.shape[1])) for part in parts]
    )
    for part, found in zip(parts, network()(padded, hops), strict=True):
        assert torch.allclose(network()(part[None])[0], found, atol=SAME)


def test_weights_are_saved_and_loaded(tmp_path):
    file = tmp_path / "mine.safetensors"
    identity.save(network(), file, {"steps": 1})
    loaded = identity.load(file)
    heard = levels(noise())[None]
    assert torch.allclose(loaded(heard), network()(heard), atol=HALF_PRECISION)
    with pytest.raises(WeightsError, match="format"):
        identity.load(FOLDER / "pit.safetensors")


def test_the_shipped_network_tells_a_woman_from_a_man():
    shipped = trained(NAME, "", identity.load)
    phrases = []
    for name in ("allison", "carlo"):
        audio, rate = soundfile.read(VOICES / f"{name}.flac", dtype="float32")
        assert rate == SAMPLE_RATE
        parts = np.array_split(audio, len(audio) // (2 * SAMPLE_RATE))
        phrases.append(torch.cat([shipped(levels(torch.from_numpy(part))[None]) for part in parts]))
    one, other = phrases
    between = (one @ other.T).max()
    for own in phrases:
        likeness = own @ own.T
        assert likeness[~torch.eye(len(own), dtype=torch.bool)].min() > between
