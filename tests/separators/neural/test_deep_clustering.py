import numpy as np
import pytest
import torch

from separators.neural.clustered import ClusteredMasks
from separators.neural.deep_clustering import DeepClustering
from separators.neural.inference import voices_transform
from separators.neural.network import BANDS, LINEAR_BINS, SAMPLE_RATE, Architecture, Network

SECONDS = 3


class SortedByPitch(Network):
    """Stands for a perfectly trained network: bands below 1 kHz are one voice, those above the other."""

    def outputs_of(self, features):
        embeddings = torch.zeros(len(features), BANDS, features.shape[-1], 4)
        embeddings[:, :32, :, 0] = 1
        embeddings[:, 32:, :, 1] = 1
        return embeddings


@pytest.fixture(scope="module")
def network():
    return SortedByPitch(
        Architecture(head="embeddings", channels=6, dilations=(1,), dimensions=4, attention=())
    ).eval()


def clustered_transform(network, rate):
    sample = np.zeros((1, 1), np.float32)
    return voices_transform(network, ClusteredMasks(network, 2, seed=0), sample, rate, 20, 1.0)


def tones(rate, *hertz):
    time = np.arange(SECONDS * rate) / rate
    return np.array([0.1 * np.sin(2 * np.pi * h * time) for h in hertz], np.float32)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_clusters_become_stems(network, rate):
    truth = tones(rate, 300, 3000)
    mixture = truth.sum(0, keepdims=True)
    stems = clustered_transform(network, rate)(mixture)[:, 0]
    order = [0, 1] if np.square(stems[0] - truth[0]).sum() < np.square(stems[1] - truth[0]).sum() else [1, 0]
    error = np.square(stems[order] - truth).sum() / np.square(truth).sum()
    assert 10 * np.log10(error) < -30


def test_a_voice_alone_stays_on_its_stem(network):
    """Blocks in which only one voice speaks go to its stem, not to both and not to the other."""
    truth = tones(SAMPLE_RATE, 300, 3000)
    transform = clustered_transform(network, SAMPLE_RATE)
    together = transform(truth.sum(0, keepdims=True))[:, 0]
    for index in range(2):
        alone = transform(truth[index : index + 1])[:, 0]
        energy = np.square(alone).sum(1)
        assert energy.max() > 0.99 * energy.sum()
        assert np.vdot(together[energy.argmax()], truth[index]) > np.vdot(
            together[energy.argmin()], truth[index]
        )


def test_bands_above_4_khz_are_pooled():
    assert LINEAR_BINS * SAMPLE_RATE / 512 == 4000
    assert BANDS == 128 + 33


def test_names_and_defaults():
    assert DeepClustering().stem_names(2) == ("voice-1", "voice-2")
    assert DeepClustering(speakers=3).stem_names(1)[-1] == "voice-3"
    assert repr(DeepClustering(speakers=3)) == "DeepClustering(speakers=3)"
