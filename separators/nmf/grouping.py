"""Which templates of a blind factorization belong together: the rules that make components into stems.

Each rule says how alike two templates are, from -1 to 1:

- ``sound``: they sound alike and play together, the mean of both. The first is the cosine between their
  mel spectra (square roots of 40 mel bands, so that weak overtones count), the second the correlation
  of their activations (square roots too).
- ``timbre``: the cosine between their MFCC 1 to 13 (Davis and Mermelstein 1980) as spectral envelopes: the
  templates of one instrument at different pitches. Coefficient 0, the level, is left out.
- ``rhythm``: the cosine between the autocorrelations of their onsets over lags of 0.1 to 2 s: what repeats
  with the same period, whatever it sounds like. Onsets are the rises of the activations' square roots.

Where templates have gains for each channel (:mod:`separators.nmf.panning`), the place counts half: the
mean of the rule and of the cosine between the gains.

Agglomerative clustering with average linkage joins templates until as many groups are left as stems
are wanted. Groups are ordered from dark to bright, by the frequency below which half of their
magnitude lies.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform

from separators.nmf.solver import Matrix

RULES = ("sound", "timbre", "rhythm")
MEL_BANDS = 40
COEFFICIENTS = 13
"""MFCC that describe a timbre."""
FLOOR = 1e-3
"""Mel bands below this part of the loudest one (-60 dB) count as that."""
LAG_SECONDS = (0.1, 2.0)
"""Periods that make a rhythm; shorter ones are the length of a sound."""


def group(
    H: Matrix,
    W: Matrix,
    stems: int,
    sample_rate: int,
    rule: str = "sound",
    hop_seconds: float = 0.0116,
    gains: Matrix | None = None,
) -> NDArray[np.intp]:
    """The stem of each template, by one of this module's :data:`RULES`.

    ``H`` is ``(frames, components)``, a frame each ``hop_seconds``; ``W`` is ``(components, bins)``;
    ``gains``, ``(components, channels)``, are given where templates have a place in the panorama.
    """
    if rule == "timbre":
        alike = _cosines(mfcc(W, sample_rate))
    elif rule == "rhythm":
        alike = _cosines(periodicities(H, hop_seconds))
    else:
        levels = np.sqrt(H.T)
        together = _cosines(levels - levels.mean(axis=1, keepdims=True))
        alike = (_cosines(np.sqrt(mel_spectra(W, sample_rate))) + together) / 2
    if gains is not None:
        alike = (alike + _cosines(gains)) / 2
    if len(W) == 1:
        return np.zeros(1, np.intp)
    distances = 1 - alike
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances.clip(0), checks=False), "average")
    found = cut_tree(tree, stems).ravel()
    magnitudes = (W.T * H.sum(axis=0)).T
    edges = [_median_bin(magnitudes[found == one].sum(axis=0)) for one in range(stems)]
    rank = np.empty(stems, np.intp)
    rank[np.argsort(edges, kind="stable")] = np.arange(stems)
    return np.asarray(rank[found], np.intp)


def mfcc(W: Matrix, sample_rate: int) -> NDArray[np.float64]:
    """Mel-frequency cepstral coefficients 1 to 13 of each template: ``(components, 13)``."""
    bands = mel_spectra(W, sample_rate).astype(np.float64)
    loudest = np.maximum(bands.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    logarithms = np.log(np.maximum(bands / loudest, FLOOR))
    found: NDArray[np.float64] = scipy.fft.dct(logarithms, norm="ortho")[:, 1 : COEFFICIENTS + 1]
    return found


def periodicities(H: Matrix, hop_seconds: float) -> NDArray[np.float64]:
    """The autocorrelation of each activation's onsets ``(components, lags)``; zero if it never rises."""
    rises = np.diff(np.sqrt(H.astype(np.float64)), axis=0, prepend=0).clip(0)
    rises -= rises.mean(axis=0)
    power = np.square(np.abs(scipy.fft.rfft(rises, 2 * len(H), axis=0)))
    correlations = scipy.fft.irfft(power, 2 * len(H), axis=0)
    first, last = (max(1, round(seconds / hop_seconds)) for seconds in LAG_SECONDS)
    # At least one lag, however short the audio is.
    return np.asarray(correlations[min(first, len(H) - 1) : min(last, len(H)) + 1].T)


def mel_spectra(W: Matrix, sample_rate: int) -> Matrix:
    """The templates in 40 mel bands: ``(components, 40)``."""
    return W @ mel_filters(MEL_BANDS, W.shape[1], sample_rate)


def mel_filters(bands: int, bins: int, sample_rate: int) -> Matrix:
    """Triangular filters ``(bins, bands)``, equally wide in mel (2595 log10(1 + f / 700))."""
    frequencies = np.linspace(0, sample_rate / 2, bins)
    mels = 2595 * np.log10(1 + frequencies / 700)
    corners = np.linspace(0, mels[-1], bands + 2)
    triangles = 1 - np.abs(mels[:, np.newaxis] - corners[1:-1]) / corners[1]
    return np.asarray(triangles.clip(0), np.float32)


def _cosines(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return np.asarray(unit @ unit.T)


def _median_bin(magnitude: Matrix) -> int:
    below = np.cumsum(magnitude, dtype=np.float64)
    return int(np.searchsorted(below, below[-1] / 2))
