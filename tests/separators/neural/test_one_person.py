"""Which stems are one person's, from block to block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from separators.neural.one_person import CLEARLY_TWO, ENOUGH, KNOWN, ONE, OnePerson
from separators.neural.talkers import Talkers
from tests.separators.neural.test_talkers import Ear, put_right, said, swapped

SAME = 1e-6
"""Largest difference of samples that ought to be equal."""
BLOCK = 1000.0
"""Hops of a voice's phrases."""


def heard(judge, cosine, blocks=1, voices=2, known=BLOCK):
    """``judge`` after ``blocks`` in which phrases are by ``cosine`` more like their own voice's."""
    hops = np.full((voices, voices), 2 * BLOCK, np.float32)
    cosines = np.broadcast_to(np.asarray(cosine, np.float32), hops.shape)
    for _ in range(blocks):
        judge.hear(cosines * hops, hops, np.full(voices, known) - np.arange(voices))
    return judge.owners.tolist()


@pytest.mark.parametrize(("cosine", "owners"), [(0.0, [0, 0]), (ONE - 0.01, [0, 0]), (ONE + 0.01, [0, 1])])
def test_stems_that_are_alike_are_one_person(cosine, owners):
    assert heard(OnePerson(2), cosine) == owners


def test_nobody_is_joined_before_enough_is_heard():
    assert heard(OnePerson(2), 0.0, known=KNOWN - 1) == [0, 1]
    few = np.full((2, 2), ENOUGH / 2 - 1, np.float32)
    judge = OnePerson(2)
    for owners in ([0, 1], [0, 1], [0, 0]):
        judge.hear(0 * few, few, np.array([BLOCK, BLOCK]))
        assert judge.owners.tolist() == owners


def test_a_block_or_two_do_not_decide_what_a_minute_has_told():
    two = OnePerson(2)
    assert heard(two, 0.4, blocks=3) == [0, 1]
    assert heard(two, 0.05) == [0, 1]
    assert heard(two, 0.05, blocks=6) == [0, 0]


def test_who_joins_in_after_minutes_of_another_is_told_at_once():
    one = OnePerson(2)
    assert heard(one, 0.02, blocks=20) == [0, 0]
    assert heard(one, CLEARLY_TWO + 0.01) == [0, 1]


def test_of_three_stems_two_are_one_person():
    cosines = np.array([[0, 0.5, 0.02], [0.5, 0, 0.5], [0.02, 0.5, 0]])
    judge = OnePerson(3)
    assert heard(judge, cosines, voices=3) == [0, 1, 0]
    assert judge.gone == [2]


def test_the_better_known_keeps_the_stem():
    judge = OnePerson(2)
    hops = np.full((2, 2), 2 * BLOCK, np.float32)
    judge.hear(0 * hops, hops, np.array([300.0, 900.0]))
    assert judge.owners.tolist() == [1, 1]


@given(st.floats(-1, 1), st.integers(1, 3), st.integers(2, 3))
def test_joined_stems_sum_to_the_same_and_are_silent_but_one(cosine, blocks, voices):
    judge = OnePerson(voices)
    heard(judge, cosine, blocks, voices)
    stems = np.random.default_rng(0).standard_normal((voices, 2, 50)).astype(np.float32)
    joined = stems.copy()
    judge.join(joined)
    np.testing.assert_allclose(joined.sum(0), stems.sum(0), atol=SAME)
    assert all(not joined[voice].any() for voice in judge.gone)
    assert len(judge.gone) < voices
    assert all(judge.owners[owner] == owner for owner in judge.owners)


def test_one_who_was_torn_is_whole_and_another_who_comes_later_has_a_stem_of_his_own():
    talkers = Talkers(2, Ear.dimensions)
    whole = said("a" * 12)
    for _ in range(2):
        torn = put_right(swapped(whole, [1, 2, 5]), talkers)
        talkers.one_person.join(torn)
        np.testing.assert_allclose(torn.sum(0), whole.sum(0), atol=SAME)
        assert sorted(np.square(torn).sum(1) > 0) == [False, True]
    both = put_right(said("abab"), talkers)
    assert talkers.one_person.gone == []
    np.testing.assert_allclose(both, said("abab"), atol=SAME)
