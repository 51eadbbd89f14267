"""Examples: a third of a second of a part as it was recorded, and mixtures explained by them.

A spectrum alone often does not say whose it is; how it goes on does. So stretches of the mixture's
spectrogram, in mel bands, are explained as sums of stretches that were heard of each part
(J. Gemmeke, T. Virtanen, A. Hurmalainen, "Exemplar-based sparse representations for noise robust
automatic speech recognition", IEEE Trans. ASLP 19(7), 2011). Overlapping stretches are averaged. What
single spectra tell apart, such as two notes, bands do not: :mod:`separators.nmf.supervised` takes both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separators.nmf.solver import Matrix, activations, background_of

BANDS = 80
FRAMES, HOP_SECONDS = 32, 512 / 44100
"""An example's length: 0.37 s."""
MOST_EXAMPLES = 300
"""Of each part."""
STEPS = 4
"""Stretches of the mixture begin so many times within one."""
QUIET = 1e-3
"""Stretches below this part of the mean level (-60 dB) teach nothing."""


def mel_bands(bins: int, nyquist: float, highest: float) -> Matrix:
    """Triangular bands ``(bins, BANDS)`` from 0 to ``highest`` hertz, which sum to one in every bin.

    Bins go from 0 to ``nyquist`` hertz; all above ``highest`` belong to the last band.
    """
    centres = np.linspace(0, _mel(np.array([highest], np.float64))[0], BANDS)
    places = np.minimum(_mel(np.linspace(0, nyquist, bins)), centres[-1])
    at = np.interp(places, centres, np.arange(BANDS))
    bands: Matrix = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(BANDS))).astype(np.float32)
    return bands


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 2595 * np.log10(1 + hertz / 700)
    return mel


def stretches(banded: Matrix, frames: int, starts: Sequence[int]) -> Matrix:
    """Stretches ``(stretches, frames * bands)`` of ``banded`` ``(time, bands)``, silent where that ends."""
    padded = np.pad(banded, ((frames, frames), (0, 0)))
    return np.stack([padded[frames + start : 2 * frames + start].ravel() for start in starts])


def examples_of(spectrograms: Sequence[Matrix], bands: Matrix, hop_seconds: float) -> Matrix:
    """Examples ``(examples, FRAMES, BANDS)`` of a part, spread over what sounds in its ``spectrograms``."""
    found = []
    for V in spectrograms:
        banded = at_hop(V @ bands, hop_seconds, HOP_SECONDS)
        found.append(stretches(banded, FRAMES, range(max(1, len(banded) - FRAMES + 1))))
    levels = np.concatenate([every.sum(axis=1) for every in found])
    sounding = np.flatnonzero(levels > QUIET * levels.mean())
    count = min(MOST_EXAMPLES, len(sounding))
    chosen = sounding[np.linspace(0, len(sounding) - 1, count).astype(int)]
    ends = np.cumsum([len(every) for every in found])
    firsts = ends - [len(every) for every in found]
    where = np.searchsorted(ends, chosen, "right")
    rows = [found[at][number - firsts[at]] for at, number in zip(where, chosen, strict=True)]
    return np.stack(rows).reshape(-1, FRAMES, BANDS)


def at_hop(banded: Matrix, hop_seconds: float, wanted_seconds: float) -> Matrix:
    """``(..., time, bands)`` at another hop."""
    if np.isclose(hop_seconds, wanted_seconds, rtol=0.02):
        return banded
    frames = banded.shape[-2]
    length = max(1, round(frames * hop_seconds / wanted_seconds))
    places = np.minimum(np.arange(length) * wanted_seconds / hop_seconds, frames - 1)
    before = places.astype(int)
    after = np.minimum(before + 1, frames - 1)
    share = (places - before).astype(np.float32)[:, None]
    changed: Matrix = (1 - share) * banded[..., before, :] + share * banded[..., after, :]
    return changed


def models_by_examples(
    V: Matrix, parts: Sequence[Matrix], bands: Matrix, hop_seconds: float, sparsity: float
) -> Matrix:
    """What each part is of ``V`` ``(time, bins)``, by its examples: ``(parts, time, bins)``.

    ``parts`` are examples ``(examples, frames, BANDS)`` at the hop of ``V``.
    """
    frames = parts[0].shape[1]
    banded = V @ bands
    step = max(1, frames // STEPS)
    starts = range(step - frames, len(V), step)
    heard = stretches(banded, frames, starts)
    given = np.concatenate([part.reshape(len(part), -1) for part in parts])
    given /= np.maximum(given.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    H = activations(heard, given, 1, background_of(heard), sparsity)
    models = np.empty((len(parts), *V.shape), np.float32)
    borders = np.cumsum([0, *map(len, parts)])
    for model, first, last in zip(models, borders, borders[1:], strict=False):
        pieces = (H[:, first:last] @ given[first:last]).reshape(len(heard), frames, -1)
        total = np.zeros((len(V) + 2 * frames, bands.shape[1]), np.float32)
        for start, piece in zip(starts, pieces, strict=True):
            total[frames + start : 2 * frames + start] += piece
        np.matmul(total[frames:-frames], bands.T, out=model)
    return models
