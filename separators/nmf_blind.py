"""NMF that knows nothing beforehand: templates learned from the audio, grouped into stems.

The rule of grouping: two templates belong together if they sound alike and play together.
Likeness is the cosine between their mel spectra (square roots of 40 mel bands, so that weak
overtones count), togetherness the correlation of their activations (square roots too);
the distance of two templates is one minus the mean of both. Agglomerative clustering with
average linkage joins them until as many groups are left as stems are wanted. Stems are
ordered from dark to bright, by the frequency below which half of a group's magnitude lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform

from separators.base import Audio, Transform
from separators.factors import Factorized, Factors
from separators.nmf_analysis import Analysis
from separators.nmf_solver import (
    CHECK_EVERY,
    Matrix,
    activations,
    background_of,
    factorize,
    random_start,
)

if TYPE_CHECKING:
    from separators.nmf import NMF

ITERATIONS = 100
MASK_POWER = 1.0
MEL_BANDS = 40


def stem_names(settings: NMF) -> tuple[str, ...]:
    """``stem-1`` (the darkest) to ``stem-n`` (the brightest)."""
    return tuple(f"stem-{index + 1}" for index in range(settings.stems))


def files(settings: NMF) -> list[Path]:
    """Nothing is known from files."""
    return []


def fit(settings: NMF, analysis: Analysis, sample: Audio) -> Transform:
    """Learn templates from ``sample`` and group them; the transform solves for activations only."""
    V = analysis.spectrogram(sample)
    background = background_of(V)
    H, W = random_start(V, settings.components, settings.seed)
    H, W, objectives = factorize(
        V, H, W, settings.beta, settings.iterations or ITERATIONS, settings.tolerance
    )
    groups = group(H, W, settings.stems, analysis.sample_rate)

    def transform(block: Audio) -> Audio:
        spectrum, V = analysis.forward(block)
        H = activations(V, W, settings.beta, background)
        models = np.empty((settings.stems, *V.shape), np.float32)
        for stem, model in enumerate(models):
            np.matmul(H[:, groups == stem], W[groups == stem], out=model)
        return analysis.stems(spectrum, models, block.shape[1], settings.mask_power or MASK_POWER)

    order = np.argsort(groups, kind="stable")
    names = stem_names(settings)
    factors = Factors(
        tuple(names[stem] for stem in groups[order]),
        W[order, np.newaxis],
        H[:, order],
        [(look * CHECK_EVERY, objective) for look, objective in enumerate(objectives)],
        analysis.stft.hop / analysis.sample_rate,
        analysis.sample_rate / analysis.stft.fft_size,
    )
    return Factorized(transform, factors)


def group(H: Matrix, W: Matrix, stems: int, sample_rate: int) -> NDArray[np.intp]:
    """The stem of each template, by this module's rule.

    ``H`` is ``(frames, components)``, ``W`` ``(components, bins)``.
    """
    bands = np.sqrt(W @ mel_filters(MEL_BANDS, W.shape[1], sample_rate))
    levels = np.sqrt(H.T)
    alike = _cosines(bands)
    together = _cosines(levels - levels.mean(axis=1, keepdims=True))
    distances = 1 - (alike + together) / 2
    np.fill_diagonal(distances, 0)
    if len(W) == 1:
        return np.zeros(1, np.intp)
    tree = linkage(squareform(distances.clip(0), checks=False), "average")
    found = cut_tree(tree, stems).ravel()
    magnitudes = (W.T * H.sum(axis=0)).T
    edges = [_median_bin(magnitudes[found == one].sum(axis=0)) for one in range(stems)]
    rank = np.empty(stems, np.intp)
    rank[np.argsort(edges, kind="stable")] = np.arange(stems)
    return np.asarray(rank[found], np.intp)


def mel_filters(bands: int, bins: int, sample_rate: int) -> Matrix:
    """Triangular filters ``(bins, bands)``, equally wide in mel (2595 log10(1 + f / 700))."""
    frequencies = np.linspace(0, sample_rate / 2, bins)
    mels = 2595 * np.log10(1 + frequencies / 700)
    corners = np.linspace(0, mels[-1], bands + 2)
    triangles = 1 - np.abs(mels[:, np.newaxis] - corners[1:-1]) / corners[1]
    return np.asarray(triangles.clip(0), np.float32)


def _cosines(rows: Matrix) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return np.asarray(unit @ unit.T)


def _median_bin(magnitude: Matrix) -> int:
    below = np.cumsum(magnitude, dtype=np.float64)
    return int(np.searchsorted(below, below[-1] / 2))
