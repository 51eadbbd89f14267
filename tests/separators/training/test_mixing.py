import numpy as np
import pytest
import soundfile
import torch

from separators.training.corpus import BACKGROUND, load
from separators.training.mixing import NOISE_DB, Mixer, MixingSettings, active_level
from separators.training.pitch import median_pitch
from tests.separators.training.synthetic_voices import RATE, write_corpus

PLAIN = {
    "equaliser_db": 0.0,
    "room": 0.0,
    "band_limit": 0.0,
    "noise": 0.0,
    "turns": 0.0,
    "partial": 0.0,
    "pauses": 0.0,
    "alone": 0.0,
    "close": 0.0,
}


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


def test_voices_may_stop_now_and_then(corpus):
    silent = []
    for pauses in (0.0, 1.0):
        made = Mixer(corpus, "train", MixingSettings(seconds=8.0, batch=4, **PLAIN | {"pauses": pauses}))
        # The filters leave rounding where there was nothing.
        silent.append((draw(made, 7)[1].abs() < 1e-5).float().mean(2))
    assert silent[1].max() < 0.9
    assert silent[1].mean() > silent[0].mean() + 0.05


def test_noise_stays_between_its_levels_and_has_many_colours(corpus):
    made = Mixer(corpus, "train", MixingSettings(seconds=4.0, batch=16, **PLAIN | {"noise": 1.0}))
    mixture, targets = draw(made, 11)
    noise = mixture - targets.sum(1)
    levels = [active_level(voice.numpy()) for voice in targets[:, 0]]
    decibels = 20 * np.log10(noise.square().mean(1).sqrt().numpy() / levels)
    assert decibels.min() > NOISE_DB[0] - 1
    assert decibels.max() < NOISE_DB[1] + 1
    power = torch.fft.rfft(noise).abs().square()
    low = power[:, : power.shape[1] // 8].sum(1) / power.sum(1)
    assert low.min() < 0.4
    assert low.max() > 0.8


def test_voices_take_turns(corpus):
    made = Mixer(corpus, "train", MixingSettings(seconds=8, batch=4, **PLAIN | {"turns": 1.0}))
    _, targets = draw(made, 10)
    silent = targets == 0
    assert (silent.float().mean(2).amax(1) > 0.3).all()  # somebody listens for a good part
    assert silent.all(1).float().mean() < 0.3  # and hardly ever both


def test_of_three_voices_only_one_is_alone(corpus):
    _, targets = draw(mixer(corpus, speakers=(3,), **PLAIN | {"alone": 1.0}), 8)
    assert (targets == 0).all(2).sum(1).tolist() == [2, 2, 2, 2]


def test_close_voices_have_nearly_the_same_pitch(corpus):
    distances = []
    for close in (0.0, 1.0):
        made = Mixer(
            corpus, "train", MixingSettings(seconds=3, batch=4, speeds=(0.5, 2.0), **PLAIN | {"close": close})
        )
        pairs = [pair for seed in range(4) for pair in draw(made, seed)[1].numpy()]
        semitones = [12 * np.log2(median_pitch(a) / median_pitch(b)) for a, b in pairs]
        distances.append(np.abs(semitones))
    # Where a speed would have to be too high or too low, the pitch stays.
    assert np.mean(distances[1] < 3.5) > np.mean(distances[0] < 3.5) + 0.2


@pytest.fixture(scope="module")
def with_backgrounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backgrounds")
    data = write_corpus(folder / "data")
    (data / BACKGROUND / "album").mkdir(parents=True)
    for number in range(10):
        music = np.sign(np.sin(np.arange(4 * RATE) * 2 * np.pi * (3000 + 50 * number) / RATE))
        soundfile.write(data / BACKGROUND / "album" / f"{number}.wav", 0.1 * music, RATE)
    return load(data, folder / "cache")


def test_backgrounds_are_no_speakers(with_backgrounds):
    assert BACKGROUND not in with_backgrounds.speakers("train") | with_backgrounds.speakers("valid")
    assert len(with_backgrounds.backgrounds("train")) == 8
    assert len(with_backgrounds.backgrounds("valid")) == 2


@pytest.mark.parametrize("level_db", [-10.0, 0.0])
def test_what_the_voices_leave_is_the_background(with_backgrounds, level_db):
    made = mixer(
        with_backgrounds, **PLAIN | {"background": 1.0, "background_db": (level_db, level_db)}, speeds=(1, 1)
    )
    mixture, targets = draw(made, 9)
    for row, voices in zip(mixture.numpy(), targets.numpy(), strict=True):
        rest = row - voices.sum(0)
        power = np.abs(np.fft.rfft(rest)) ** 2
        assert power[int(2900 / 8000 * len(power)) :].sum() > 0.9 * power.sum()
        level = 20 * np.log10(active_level(rest) / np.mean([active_level(voice) for voice in voices]))
        assert level == pytest.approx(level_db, abs=3)


def test_without_backgrounds_nothing_is_behind_the_voices(corpus):
    mixture, targets = draw(mixer(corpus, **PLAIN | {"background": 1.0}), 1)
    assert torch.allclose(mixture, targets.sum(1), atol=1e-5)
