"""NMF that knows nothing beforehand: templates learned from the audio, grouped into stems.

:mod:`separators.nmf.grouping` groups them. Stems are ordered from dark to bright.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from separators.base import Audio, Transform
from separators.nmf.analysis import Analysis
from separators.nmf.factors import Factorized, Factors
from separators.nmf.grouping import group
from separators.nmf.panning import factorize_panned, spread
from separators.nmf.solver import CHECK_EVERY, activations, background_of, factorize, random_start

if TYPE_CHECKING:
    from separators.nmf.separator import NMF

ITERATIONS = 100
MASK_POWER = {0: 2.0, 1: 1.0, 2: 1.0}
"""By beta: Itakura-Saito models the powers of Gaussian signals, whose best estimate is the Wiener filter
(Févotte, Bertin and Durrieu 2009)."""


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
    iterations = settings.iterations or ITERATIONS
    how = (settings.beta, iterations, settings.tolerance)
    hop_seconds = analysis.stft.hop / analysis.sample_rate
    H, W = random_start(V, settings.components, settings.seed)
    if analysis.panned:
        W = W[:, : analysis.stft.bins]
        H, W, Q, objectives = factorize_panned(V, H, W, len(sample), *how, settings.sparsity)
        groups = group(H, W, settings.stems, analysis.sample_rate, settings.grouping, hop_seconds, Q)
        sounds, W = W, spread(W, Q)
    else:
        H, W, objectives = factorize(V, H, W, *how, settings.sparsity)
        groups = group(H, W, settings.stems, analysis.sample_rate, settings.grouping, hop_seconds)
        sounds = W

    def transform(block: Audio) -> Audio:
        spectrum, V = analysis.forward(block)
        H = activations(V, W, settings.beta, background, settings.sparsity)
        models = np.empty((settings.stems, *V.shape), np.float32)
        for stem, model in enumerate(models):
            np.matmul(H[:, groups == stem], W[groups == stem], out=model)
        return analysis.stems(
            spectrum, models, block.shape[1], settings.mask_power or MASK_POWER[settings.beta]
        )

    order = np.argsort(groups, kind="stable")
    names = stem_names(settings)
    factors = Factors(
        tuple(names[stem] for stem in groups[order]),
        sounds[order, np.newaxis],
        H[:, order],
        [(look * CHECK_EVERY, objective) for look, objective in enumerate(objectives)],
        hop_seconds,
        analysis.sample_rate / analysis.stft.fft_size,
    )
    return Factorized(transform, factors)
