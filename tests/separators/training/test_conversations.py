import numpy as np
import pytest

from separators.neural.network import SAMPLE_RATE
from separators.training import conversations
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


@pytest.mark.parametrize("quiet", [0.0, 1.0])
def test_pauses_cut_a_voice_and_leave_the_rest_as_it_is(quiet, monkeypatch):
    monkeypatch.setattr(conversations, "QUIET", quiet)
    frames = 20 * SAMPLE_RATE
    loud = np.arange(frames) // (SAMPLE_RATE // 2) % 2 == 0  # half of the time
    numbers = 1 + np.random.default_rng(0).permutation(frames)
    # Every frame of it is known by its value.
    voice = np.where(loud, frames + numbers, numbers / 128).astype(np.float32)
    position = dict(zip(voice.tolist(), range(frames), strict=True))
    before = []
    for seed in range(10):
        made = with_pauses(voice, np.random.default_rng(seed))
        assert made.shape == voice.shape
        silent = np.flatnonzero(np.diff(np.pad((made == 0).astype(int), 1)))
        starts, ends = silent[::2], silent[1::2]
        pauses = ends - starts > FADE
        assert 1 <= pauses.sum() <= MOST_PAUSES
        # Two cuts side by side may make one pause.
        assert (ends - starts).max() / SAMPLE_RATE < MOST_PAUSES * PAUSE_SECONDS[1]
        before += [made[start - FADE] for start in starts[pauses] if start > FADE]
        kept = [position[value] for value in made.tolist() if value in position]
        assert np.mean(np.diff(kept) == 1) > 0.99  # what is faded may be like another frame
        assert np.count_nonzero(made) - len(kept) <= 2 * FADE * MOST_PAUSES
    assert (np.max(before) < frames) == (quiet == 1)


def test_pauses_begin_and_end_without_clicks():
    voice = np.ones(10 * SAMPLE_RATE, np.float32)
    made = with_pauses(voice, np.random.default_rng(0))
    assert np.abs(np.diff(made)).max() <= 1.01 / FADE
