import numpy as np
import pytest
import torch

from separators.neural.clustered import ClusteredMasks
from separators.neural.danet import DANet
from separators.neural.inference import voices_transform
from separators.neural.network import BANDS, BINS, SAMPLE_RATE, Architecture, Network
from separators.neural.pit import PIT
from separators.neural.same_voice import join, same_voices

RATE = SAMPLE_RATE
SILENT = 1e-4
"""A stem's energy against another's: -40 dB, where it is not heard."""


def noise(seconds, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((1, seconds * RATE), np.float32))


def at(*degrees):
    """Unit vectors at angles in a plane."""
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin(), torch.zeros(len(degrees))], 1)


@pytest.mark.parametrize(
    ("degrees", "owners"),
    [
        ((0, 90), [0, 1]),
        ((0, 10), [0, 0]),
        ((0, 90, 5), [0, 1, 0]),
        ((0, 90, 95), [0, 1, 1]),
        ((0, 15, 30), [0, 0, 0]),  # each the same as the next one
        ((0, 60, 120), [0, 1, 2]),
    ],
)
def test_centroids_close_together_are_one_voice(degrees, owners):
    assert same_voices(at(*degrees)) == owners
    assert same_voices(0.3 * at(*degrees)) == owners


def test_joined_masks_keep_their_sum_and_the_background():
    masks = torch.rand(1, 4, BINS, 9)
    joined = join(masks, same_voices(at(0, 90, 4)))
    assert torch.allclose(joined.sum(1), masks.sum(1), atol=1e-5)
    assert torch.equal(joined[:, 0], masks[:, 0] + masks[:, 2])
    assert joined[:, 2].abs().max() == 0
    assert torch.equal(joined[:, [1, 3]], masks[:, [1, 3]])


class Leaking(Network):
    """Stands for a network that leaves a little on the output of somebody who is not there."""

    def __init__(self, leak):
        super().__init__(Architecture(channels=6, dilations=(1,), attention=(), background=True))
        self.leak = leak

    def outputs_of(self, features):
        masks = torch.zeros(len(features), 3, BINS, features.shape[-1])
        masks[:, 0] = self.leak
        masks[:, 1] = 1 - self.leak
        return masks


@pytest.mark.parametrize(("leak_db", "left"), [(-25, True), (-35, False)])
def test_what_is_left_for_nobody_goes_to_the_one_who_talks(leak_db, left):
    leak = 10 ** (leak_db / 20)
    made = Leaking(leak).eval()
    masks = PIT().masks(made)(noise(3))
    wanted = torch.tensor([leak, 1 - leak, 0.0]) if left else torch.tensor([0.0, 1.0, 0.0])
    assert torch.allclose(masks.mean((0, 2, 3)), wanted, atol=1e-5)


def test_weights_that_heard_no_voice_alone_are_left_as_they_are():
    old = Network(Architecture(channels=12, dilations=(1, 2), attention=())).eval()
    assert PIT().masks(old) is old


class SortedByPitch(Network):
    """Stands for a perfectly trained network: bands below 1 kHz are one voice, others another."""

    def __init__(self, passes=1):
        shape = {"head": "embeddings", "channels": 6, "dilations": (1,), "dimensions": 4, "attention": ()}
        super().__init__(Architecture(**shape, background=True, passes=passes))

    def outputs_of(self, features):
        embeddings = torch.zeros(len(features), BANDS, features.shape[-1], 4)
        embeddings[:, :32, :, 0] = 1
        embeddings[:, 32:, :, 1] = 1
        return embeddings


@pytest.mark.parametrize("speakers", [2, 3])
def test_more_clusters_than_voices_leave_stems_silent(speakers):
    """Three are asked for and two talk, or two are asked for and one talks."""
    made = SortedByPitch().eval()
    time = np.arange(3 * RATE) / RATE
    tones = [
        0.1 * np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (300, 3000)[: speakers - 1]
    ]
    mixture = np.sum(tones, 0)[None]
    sample = np.zeros((1, 1), np.float32)
    transform = voices_transform(made, ClusteredMasks(made, speakers, seed=0), sample, RATE, 20, 1.0)
    energies = np.sort(np.square(transform(mixture)).sum((1, 2)))
    assert energies[0] < SILENT * energies[1]
    assert energies[-1] > 0.4 * np.square(mixture).sum()


@pytest.mark.parametrize("speakers", [2, 3])
@pytest.mark.parametrize(("leak_db", "voices"), [(-25, 2), (-35, 1)])
def test_clusters_are_one_voice_where_the_first_pass_heard_one(leak_db, voices, speakers):
    made = SortedByPitch(passes=2)
    made.first = Leaking(10 ** (leak_db / 20))
    turns = torch.arange(3 * RATE) // (RATE // 2) % 2  # bands below 1 kHz and above take turns
    tones = torch.stack([torch.arange(3 * RATE) * hertz for hertz in (300, 3000)]) * 2 * np.pi / RATE
    mixture = torch.where(turns == 1, tones[0].sin(), tones[1].sin())[None]
    masks = ClusteredMasks(made.eval(), speakers, seed=0)(mixture)
    energy = (masks[0, :speakers] * made.spectrogram(mixture)[0]).abs().square().sum((1, 2))
    assert int((energy > SILENT * energy.max()).sum()) == voices


def test_an_open_number_of_voices_has_stems_for_all():
    assert DANet(speakers="auto").stem_names(1) == ("voice-1", "voice-2", "voice-3")
    assert DANet(speakers="auto", background=True).stem_names(1)[-1] == "background"
