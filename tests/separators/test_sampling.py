import numpy as np
import pytest

from separators.sampling import MOST_CELLS, cell_frames, stretches_to_hear

CELL, PIECES = 100, 12
MURMUR, SILENCE = 10**-2.5, 1e-7
"""Powers."""


def hear(powers, frames=None):
    return stretches_to_hear(np.asarray(powers, float), frames or len(powers) * CELL, CELL, CELL, PIECES)


def heard(stretches, first, last):
    """How many frames of cells ``first`` to ``last`` are in ``stretches``."""
    bounds = first * CELL, (last + 1) * CELL
    return sum(max(0, min(start + length, bounds[1]) - max(start, bounds[0])) for start, length in stretches)


def test_where_all_sounds_the_pieces_are_spread_evenly_whatever_their_level():
    powers = 10 ** np.random.default_rng(0).uniform(-1.0, 0.0, 240)
    expected = np.linspace(0, 239 * CELL, PIECES).astype(int)
    assert hear(powers) == [(start, CELL) for start in expected]


@pytest.mark.parametrize("around", [SILENCE, MURMUR, 0.0])
@pytest.mark.parametrize("at", range(0, 45, 4))
def test_an_event_is_heard_whole_wherever_it_is(around, at):
    powers = np.full(48, around)
    powers[at : at + 3] = 1.0
    stretches = hear(powers)
    assert heard(stretches, at, at + 2) == 3 * CELL
    assert sum(length for _, length in stretches) == (PIECES if around == MURMUR else 3) * CELL


def test_a_short_event_is_not_all_that_is_heard():
    """It may be a click in something much softer."""
    powers = np.full(48, SILENCE)
    powers[20:22] = 1.0
    assert sum(length for _, length in hear(powers)) == PIECES * CELL


def test_parts_that_sound_share_the_sample_and_silence_has_none():
    powers = np.full(1000, SILENCE)
    powers[100:110], powers[700:710] = 1.0, 0.01
    stretches = hear(powers)
    assert heard(stretches, 100, 109) == pytest.approx(6 * CELL, abs=CELL)
    assert heard(stretches, 700, 709) == pytest.approx(6 * CELL, abs=CELL)
    assert sum(length for _, length in stretches) == PIECES * CELL


def test_a_loud_moment_does_not_hide_what_is_soft_all_along():
    powers = np.full(240, 1e-5)
    powers[77] = 1.0
    stretches = hear(powers)
    assert heard(stretches, 77, 77) == CELL
    for tenth in range(10):
        assert heard(stretches, 24 * tenth, 24 * tenth + 23) >= CELL


def test_stretches_are_in_order_and_apart_and_inside_of_a_source_of_any_length():
    rng = np.random.default_rng(0)
    for cells in range(13, 60):
        frames = (cells - 1) * CELL + int(rng.integers(1, CELL + 1))
        powers = 10 ** rng.uniform(-8, 0, cells)
        stretches = hear(powers, frames)
        ends = [start + length for start, length in stretches]
        assert all(end < start for end, (start, _) in zip(ends, stretches[1:], strict=False))
        assert stretches[0][0] >= 0
        assert ends[-1] <= frames
        assert PIECES // 4 * CELL <= sum(length for _, length in stretches) <= PIECES * CELL


def test_cells_of_long_sources_hold_several_pieces():
    frames = 10 * MOST_CELLS * CELL + 1
    cell = cell_frames(frames, CELL)
    assert cell % CELL == 0
    cells = -(-frames // cell)
    assert cells <= MOST_CELLS
    powers = np.full(cells, SILENCE)
    powers[3000] = 1.0
    stretches = stretches_to_hear(powers, frames, cell, CELL, PIECES)
    assert heard(stretches, 3000 * cell // CELL, 3001 * cell // CELL - 1) == cell
