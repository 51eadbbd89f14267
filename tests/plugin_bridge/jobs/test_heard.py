import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.jobs.heard import Heard

RATE = 100
"""Frames a second, to keep the tests small."""


def spans(stems, blocks=()):
    heard = Heard([str(number) for number in range(len(stems))], RATE)
    for part in np.split(np.asarray(stems, np.float32)[:, None], blocks, axis=2):
        heard.add(list(part))
    return list(heard.spans().values())


def tone(seconds, *, start=0.0, stop=None, level=1.0):
    made = np.zeros(int(seconds * RATE))
    made[int(start * RATE) : int((seconds if stop is None else stop) * RATE)] = level
    return made


def test_stems_are_heard_where_they_sound():
    first, second = tone(10, stop=4), tone(10, start=7, stop=9)
    assert spans([first, second]) == [[[0.0, 4.0]], [[7.0, 9.0]]]


def test_silence_is_heard_nowhere():
    assert spans(np.zeros((2, 5 * RATE))) == [[], []]
    assert spans(np.zeros((2, 0))) == [[], []]


def test_the_last_second_may_be_a_part_of_one():
    assert spans([tone(2.5), tone(2.5, stop=0)]) == [[[0.0, 2.5]], []]


@pytest.mark.parametrize(("level_db", "heard"), [(-15, True), (-25, False)])
def test_a_leak_under_another_stem_is_not_heard(level_db, heard):
    leak = tone(3, level=10 ** (level_db / 20))
    assert bool(spans([tone(3), leak])[1]) is heard


@pytest.mark.parametrize(("level_db", "heard"), [(-35, True), (-45, False)])
def test_what_is_faint_beside_the_loudest_second_is_not_heard(level_db, heard):
    late = tone(6, start=4, level=10 ** (level_db / 20))
    assert bool(spans([tone(6, stop=3), late])[1]) is heard


@given(st.lists(st.integers(1, 7 * RATE - 1), max_size=6).map(sorted), st.floats(0.01, 100))
def test_neither_blocks_nor_a_gain_matter(blocks, gain):
    rng = np.random.default_rng(0)
    stems = rng.standard_normal((2, 7 * RATE)) * np.repeat(rng.random((2, 7)) > 0.5, RATE, axis=1)
    assert spans(gain * stems, blocks) == spans(stems)
