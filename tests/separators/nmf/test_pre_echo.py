import numpy as np
import pytest

from separators import NMF
from separators.nmf.pre_echo import without_pre_echo
from separators.spectral import STFT, apply_masks, ratio_masks

RATE = 44100
SUM_DB = -120.0
GAINED_DB = 6.0
"""Less energy before the hit than the masks of long windows leave."""
HIT = RATE // 2
BEFORE = round(0.02 * RATE)


def error_db(estimate, reference):
    return 20 * np.log10(np.linalg.norm(estimate - reference) / np.linalg.norm(reference) + 1e-30)


def pad_and_hit(channels=1, rate=RATE):
    """Steady noise, and a burst of noise in its middle: ``(2, channels, frames)``."""
    random = np.random.default_rng(0)
    steady, burst = random.standard_normal((2, channels, rate)).astype(np.float32)
    since = np.arange(rate) - rate // 2
    burst *= np.where(since < 0, 0, np.exp(-since.clip(0) / (0.05 * rate))).astype(np.float32)
    return np.stack([0.05 * steady, burst])


def masked(sources, size=2048):
    """What the ideal mask with long windows makes of the sources' sum."""
    stft = STFT(size)
    masks = ratio_masks(np.abs(stft.forward(sources)).mean(axis=1), 2)
    return apply_masks(stft.forward(sources.sum(axis=0)), masks, stft, sources.shape[2])


def before(stem, frames=BEFORE, hit=HIT):
    return 10 * np.log10(np.sum(np.square(stem[:, hit - frames : hit], dtype=np.float64)))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_hit_has_no_echo_before_it_and_the_sum_stays(channels):
    sources = pad_and_hit(channels)
    mixture, stems = sources.sum(axis=0), masked(sources)
    cleaned = without_pre_echo(mixture, stems, RATE)
    assert before(cleaned[1]) < before(stems[1]) - GAINED_DB
    assert error_db(cleaned.sum(axis=0), mixture) < SUM_DB
    for source, stem, was in zip(sources, cleaned, stems, strict=True):
        assert error_db(stem, source) < error_db(was, source) + 0.1


def test_away_from_hits_nothing_changes():
    sources = pad_and_hit()
    stems = masked(sources)
    cleaned = without_pre_echo(sources.sum(axis=0), stems, RATE)
    far = np.r_[: HIT - RATE // 10, HIT + RATE // 100 : HIT + RATE // 10]
    np.testing.assert_array_equal(cleaned[:, :, far], stems[:, :, far])


def test_stems_without_hits_are_returned_as_they_are():
    sources = np.random.default_rng(0).standard_normal((2, 1, 9000)).astype(np.float32)
    stems = masked(sources)
    np.testing.assert_array_equal(without_pre_echo(sources.sum(axis=0), stems, RATE), stems)


@pytest.mark.parametrize("rate", [8000, 96000])
@pytest.mark.parametrize("frames", [1, 50, 3000])
def test_any_length_and_rate(rate, frames):
    sources = pad_and_hit(2, rate)[:, :, rate // 2 - frames // 2 :][:, :, :frames]
    cleaned = without_pre_echo(sources.sum(axis=0), sources, rate)
    assert cleaned.shape == sources.shape
    assert error_db(cleaned.sum(axis=0), sources.sum(axis=0)) < SUM_DB


def test_drums_keep_their_attacks(monkeypatch):
    """Through the whole separator: what the snare has of the kick's tail before its hits."""
    random = np.random.default_rng(1)
    time = np.arange(round(0.3 * RATE)) / RATE
    snare = random.standard_normal(len(time)) * np.exp(-time / 0.06)
    kick = 2 * np.sin(2 * np.pi * (50 * time - 4 * np.exp(-time / 0.03))) * np.exp(-time / 0.08)
    step, hits = round(0.25 * RATE), range(1, 8, 2)
    drums = np.zeros((2, 1, 8 * step + len(time)), np.float32)
    for beat in range(0, 8, 2):
        drums[0, 0, beat * step :][: len(kick)] += kick
    for beat in hits:
        drums[1, 0, beat * step :][: len(snare)] += snare
    separator = NMF(mode="drums", drums="kick, snare")

    def echo():
        stem = separator.separate(drums.sum(axis=0), RATE)["snare"]
        assert error_db(stem, drums[1]) < -15
        return max(before(stem - drums[1], hit=beat * step) for beat in hits)

    cleaned = echo()
    monkeypatch.setattr("separators.nmf.drums.without_pre_echo", lambda block, stems, rate: stems)
    assert cleaned < echo() - GAINED_DB
