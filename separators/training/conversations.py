"""When who talks in a conversation: turns, pauses, overlaps and interjections drawn at random.

Networks that only ever heard voices on top of each other put polite people on one stem. How long turns
and the gaps between them are follows what is measured in conversations (Levinson and Torreira 2015): most
gaps are short, many are negative, and listeners throw in a word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separators.neural.network import SAMPLE_RATE

TURN_SECONDS = (0.8, 6.0)
"""Turns are drawn between these, evenly on a logarithmic scale."""
GAP_SECONDS = (-1.0, 0.7)
"""From the end of a turn to the next one; negative: they overlap."""
POLITE_GAP_SECONDS = (-0.1, 0.7)
POLITE = 0.4
"""Probability that nobody talks into another's turn."""
INTERJECTION = 0.3
"""Probability that somebody else throws in a word during a turn."""
INTERJECTION_SECONDS = (0.3, 1.0)
CHANGE = 0.9
"""Probability that a turn is not by who talked before."""
FADE = SAMPLE_RATE // 25
"""Gates open and close over 40 ms."""
QUIET = 0.5
"""Probability that one who goes on stops where it is quiet; else anywhere, as turns end."""
PAUSE_SECONDS = (0.15, 3.0)
"""Pauses of one who goes on, evenly on a logarithmic scale."""
MOST_PAUSES = 4


def turn_gates(speakers: int, frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gains ``(speakers, frames)`` at 16 kHz from 0 to 1 that make voices which never stop talk in turns."""
    gates = np.zeros((speakers, frames), np.float32)
    polite = rng.random() < POLITE
    # The first turn has begun before the segment.
    start = -round(rng.uniform(0, TURN_SECONDS[0]) * SAMPLE_RATE)
    who = int(rng.integers(speakers))
    while start < frames:
        length = round(float(np.exp(rng.uniform(*np.log(TURN_SECONDS)))) * SAMPLE_RATE)
        _open(gates[who], start, length)
        if speakers > 1 and not polite and rng.random() < INTERJECTION:
            word = min(length, round(rng.uniform(*INTERJECTION_SECONDS) * SAMPLE_RATE))
            _open(gates[_other(who, speakers, rng)], start + round(rng.uniform(0, length - word)), word)
        gap = rng.uniform(*(POLITE_GAP_SECONDS if polite else GAP_SECONDS))
        start += max(length + round(gap * SAMPLE_RATE), FADE)
        if speakers > 1 and rng.random() < CHANGE:
            who = _other(who, speakers, rng)
    return _smoothed(gates)


def with_pauses(voice: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """``voice`` ``(frames,)`` with a few silent pauses; its end is cut off.

    People stop in the middle of what they say, and editors and gates make silence of it. A network that
    hears silence only between people takes everybody who stops for two, and one that hears words cut off
    only between people everybody who was cut.
    """
    frames = len(voice)
    level = np.square(voice[: frames // FADE * FADE].reshape(-1, FADE)).mean(1)
    places = level <= np.quantile(level, 0.2) if rng.random() < QUIET else level >= 0
    cuts = np.flatnonzero(places) * FADE + FADE // 2
    count = min(int(rng.integers(1, MOST_PAUSES + 1)), len(cuts))
    shortest, longest = np.log(PAUSE_SECONDS)
    lengths = SAMPLE_RATE * np.exp(rng.uniform(shortest, longest, count))
    lengths *= min(1.0, frames / 2 / lengths.sum())  # half of it is heard at least
    silences = np.rint(lengths).astype(int).tolist()
    parts, last, start = [], 0, 0
    gate, reach = np.ones((1, frames), np.float32), FADE // 2 + 1  # what is smoothed reaches so far
    for cut, silence in zip(sorted(rng.choice(cuts, count, replace=False)), silences, strict=True):
        parts += [voice[last:cut], np.zeros(silence, np.float32)]
        start += cut - last
        gate[0, max(0, start - reach) : start + silence + reach] = 0
        last, start = cut, start + silence
    stopping: NDArray[np.float32] = np.concatenate([*parts, voice[last:]])[:frames] * _smoothed(gate)[0]
    return stopping


def _open(gate: NDArray[np.float32], start: int, length: int) -> None:
    gate[max(0, start) : max(0, start + length)] = 1


def _other(who: int, speakers: int, rng: np.random.Generator) -> int:
    return (who + 1 + int(rng.integers(speakers - 1))) % speakers


def _smoothed(gates: NDArray[np.float32]) -> NDArray[np.float32]:
    """The running means over :data:`FADE` frames; the ends are continued."""
    padded = np.pad(gates, ((0, 0), (FADE // 2 + 1, FADE - FADE // 2 - 1)), "edge")
    sums = padded.cumsum(1, dtype=np.float64)
    sums = np.pad(sums, ((0, 0), (1, 0)))
    smooth: NDArray[np.float32] = ((sums[:, FADE:] - sums[:, :-FADE]) / FADE).astype(np.float32)
    return smooth[:, : gates.shape[1]]
