import numpy as np
import pytest

from separators.neural.network import SAMPLE_RATE
from separators.training.conversations import (
    FADE,
    GAP_SECONDS,
    MOST_PAUSES,
    PAUSE_SECONDS,
    TURN_SECONDS,
    turn_gates,
    with_pauses,
)

SECONDS = 60


def gates(seed, speakers=2):
    return turn_gates(speakers, SECONDS * SAMPLE_RATE, np.random.default_rng(seed))


@pytest.mark.parametrize("speakers", [1, 2, 3])
def test_everybody_talks_and_nobody_always(speakers):
    made = gates(0, speakers)
    assert made.shape == (speakers, SECONDS * SAMPLE_RATE)
    assert made.min() >= 0
    assert made.max() <= 1 + 1e-6
    shares = made.mean(1)
    assert shares.min() > 0.1
    assert shares.max() < 0.99


def test_gates_open_and_close_without_clicks():
    steps = np.abs(np.diff(gates(1), axis=1))
    assert steps.max() <= 1.01 / FADE


def test_some_conversations_are_polite_and_others_are_not():
    overlaps = np.array([(gates(seed) > 0.5).all(0).mean() for seed in range(40)])
    assert 0.15 < (overlaps < 0.02).mean() < 0.7
    assert overlaps.max() > 0.1


def test_pauses_are_no_longer_than_the_longest_gap():
    for seed in range(10):
        silent = (gates(seed) < 0.5).all(0)
        edges = np.flatnonzero(np.diff(np.pad(silent.astype(int), 1)))
        assert (edges[1::2] - edges[::2]).max(initial=0) <= GAP_SECONDS[1] * SAMPLE_RATE + 2 * FADE


def test_turns_take_about_the_time_they_are_meant_to():
    lengths = []
    for seed in range(20):
        talking = np.pad((gates(seed)[0] > 0.5).astype(int), 1)
        edges = np.flatnonzero(np.diff(talking))
        lengths += ((edges[1::2] - edges[::2]) / SAMPLE_RATE).tolist()
    assert TURN_SECONDS[0] < np.median(lengths) < TURN_SECONDS[1]


def test_the_same_seed_gives_the_same_turns():
    assert np.array_equal(gates(3), gates(3))
    assert not np.array_equal(gates(3), gates(4))


def test_pauses_cut_a_voice_where_it_is_quiet_and_leave_the_rest_as_it_is():
    frames = 20 * SAMPLE_RATE
    loud = np.arange(frames) // (SAMPLE_RATE // 2) % 2 == 0  # half of the time
    voice = (np.where(loud, 1.0, 0.01) * np.random.default_rng(0).uniform(0.5, 1, frames)).astype(np.float32)
    for seed in range(10):
        made = with_pauses(voice, np.random.default_rng(seed))
        assert made.shape == voice.shape
        edges = np.flatnonzero(np.diff(np.pad((made == 0).astype(int), 1)))
        lengths = (edges[1::2] - edges[::2]) / SAMPLE_RATE
        assert 1 <= len(lengths) <= MOST_PAUSES
        # Two cuts side by side may make one pause.
        assert lengths.max() < MOST_PAUSES * PAUSE_SECONDS[1]
        inside = edges[(edges > 0) & (edges < frames)]
        assert np.abs(made[inside - 1]).max() < 0.02
        assert np.array_equal(made[made != 0], voice[: np.count_nonzero(made)])
