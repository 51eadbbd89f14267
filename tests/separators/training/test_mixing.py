import numpy as np
import pytest
import torch

from separators.training.corpus import load
from separators.training.mixing import Mixer, MixingSettings, active_level
from tests.separators.training.synthetic_voices import RATE, write_corpus

PLAIN = {"equaliser_db": 0.0, "room": 0.0, "band_limit": 0.0, "noise": 0.0, "partial": 0.0, "alone": 0.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return load(write_corpus(folder / "data"), folder / "cache")


def mixer(corpus, **settings):
    return Mixer(corpus, "train", MixingSettings(seconds=1.5, batch=4, **settings))


def draw(mixer, seed):
    return mixer(np.random.default_rng(seed))


def test_shapes_and_level(corpus):
    mixture, targets = draw(mixer(corpus, speakers=(3,)), 0)
    assert mixture.shape == (4, int(1.5 * RATE))
    assert targets.shape == (4, 3, int(1.5 * RATE))
    level_db = 20 * torch.log10(mixture.square().mean(1).sqrt())
    assert level_db.abs().max() < 6.1


def test_the_mixture_is_the_sum_of_its_voices(corpus):
    mixture, targets = draw(mixer(corpus, noise=0.0), 1)
    assert torch.allclose(mixture, targets.sum(1), atol=1e-5)


def test_the_same_seed_gives_the_same_batch_and_another_another(corpus):
    made = mixer(corpus)
    assert torch.equal(draw(made, 2)[0], draw(made, 2)[0])
    assert not torch.equal(draw(made, 2)[0], draw(made, 3)[0])


def test_speakers_of_a_mixture_differ_and_pairs_share_them(corpus):
    _, _, who = mixer(corpus, pairs=True).draw(np.random.default_rng(4))
    names = [[voice.speaker for voice in row] for row in who]
    assert all(len(set(row)) == 2 for row in names)
    assert names[0] == names[1]
    assert names[2] == names[3]


def test_levels_differ_by_at_most_the_range(corpus):
    made = mixer(corpus, level_range_db=5.0, speeds=(1.0, 1.0), **PLAIN)
    differences = []
    for seed in range(6):
        for voices in draw(made, seed)[1]:
            levels = [20 * np.log10(active_level(voice.numpy())) for voice in voices]
            differences.append(abs(levels[0] - levels[1]))
    # The level was set before the lead-in was cut off, hence the tolerance.
    assert max(differences) < 5 + 1
    assert max(differences) > 1


def test_band_limited_mixtures_are_silent_above_the_limit(corpus):
    made = mixer(corpus, **PLAIN | {"band_limit": 1.0})
    for mixture in draw(made, 5)[0]:
        power = np.abs(np.fft.rfft(mixture.numpy() * np.hanning(mixture.shape[0]))) ** 2
        top = power[int(7600 / 8000 * len(power)) :].sum() / power.sum()
        assert top < 1e-6


def test_partial_voices_are_silent_for_a_while(corpus):
    _, targets = draw(mixer(corpus, **PLAIN | {"partial": 1.0}), 6)
    silent = (targets == 0).float().mean(2)
    assert (silent.max(1).values > 0.1).all()
    assert (silent.min(1).values < 0.7).all()


def test_a_voice_may_be_alone(corpus):
    _, targets = draw(mixer(corpus, **PLAIN | {"alone": 1.0}), 7)
    assert (targets == 0).all(2).sum(1).tolist() == [1, 1, 1, 1]
