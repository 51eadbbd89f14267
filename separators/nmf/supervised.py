"""NMF that knows how the stems sound: modes ``supervised`` and ``semi-supervised``.

The templates of a dictionary (:mod:`separators.nmf.dictionary`) stay as they are; each frame of the mixture
is explained by them, and each part of the dictionary is a stem. Supervised, the parts share all there is;
then stretches of the mixture are explained by the dictionary's examples, too (:mod:`separators.nmf.examples`,
unless channels are panned), and the masks follow both.
Semi-supervised (Smaragdis, Raj and Shashanka, "Supervised and semi-supervised separation of sounds
from single-channel mixtures", 2007), ``components`` further templates are learned from the mixture itself
for what the dictionary does not explain: the stem ``rest``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from separators.base import Audio, Transform
from separators.errors import ParameterError
from separators.nmf.analysis import Analysis
from separators.nmf.dictionary import REST, Part, find, load, scaled
from separators.nmf.examples import models_by_examples
from separators.nmf.factors import Factorized, Factors
from separators.nmf.panning import factorize_panned, spread
from separators.nmf.solver import (
    CHECK_EVERY,
    Matrix,
    activations,
    background_of,
    factorize,
    random_start,
)

if TYPE_CHECKING:
    from separators.nmf.separator import NMF

SEMI = "semi-supervised"
ITERATIONS = 100
MASK_POWER = 2.0


def stem_names(settings: NMF) -> tuple[str, ...]:
    """The parts of the dictionary, then ``rest`` in mode semi-supervised.

    Raises :class:`~separators.errors.ParameterError` if there is no dictionary or it cannot be read.
    """
    if not settings.dictionary:
        raise ParameterError(
            f"nmf: mode {settings.mode} needs a dictionary; `stembridge dictionary learn` makes one"
        )
    names = load(settings.dictionary).names
    return (*names, REST) if settings.mode == SEMI else names


def files(settings: NMF) -> list[Path]:
    """The dictionary, wherever it lies."""
    return [find(settings.dictionary)]


def fit(settings: NMF, analysis: Analysis, sample: Audio) -> Transform:
    """Learn the rest's templates and the panning; the transform solves for activations only."""
    V = analysis.spectrogram(sample)
    background = background_of(V)
    dictionary = load(settings.dictionary)
    parts = dictionary.parts_at(analysis.stft, analysis.sample_rate)
    if settings.beta == 0:  # its spectrograms are powers
        parts = [scaled(Part(*map(np.square, part))) for part in parts]
    W = np.concatenate([part.found_by for part in parts])
    made_of = np.concatenate([part.made_of for part in parts])
    borders = np.cumsum([0, *(len(part.found_by) for part in parts)])
    rest, gains, objectives = _learned(V, W, len(sample), settings, analysis)
    if settings.mode == SEMI:
        W, made_of = np.concatenate([W, rest]), np.concatenate([made_of, rest])
        borders = np.append(borders, len(W))
    by_examples = settings.mode != SEMI and not analysis.panned and bool(dictionary.examples)
    if by_examples:
        examples, bands = dictionary.examples_at(analysis.stft, analysis.sample_rate)
    hop_seconds = analysis.stft.hop / analysis.sample_rate
    sounds = W
    if gains is not None:
        W, made_of = spread(W, gains), spread(made_of, gains)

    def transform(block: Audio) -> Audio:
        spectrum, V = analysis.forward(block)
        H = activations(V, W, settings.beta, background, settings.sparsity)
        models = np.empty((len(borders) - 1, *V.shape), np.float32)
        for model, first, last in zip(models, borders, borders[1:], strict=False):
            np.matmul(H[:, first:last], made_of[first:last], out=model)
        if by_examples:
            magnitude = np.sqrt(V) if settings.beta == 0 else V
            heard = models_by_examples(magnitude, examples, bands, hop_seconds, settings.sparsity)
            # How a sound goes on says more about whose it is than its spectra, which are finer.
            models = np.sqrt(models) * (np.square(heard) if settings.beta == 0 else heard)
        return analysis.stems(spectrum, models, block.shape[1], settings.mask_power or MASK_POWER)

    names = np.repeat(stem_names(settings), np.diff(borders))
    factors = Factors(
        tuple(map(str, names)),
        sounds[:, np.newaxis],
        activations(V, W, settings.beta, background, settings.sparsity),
        [(look * CHECK_EVERY, objective) for look, objective in enumerate(objectives)],
        hop_seconds,
        analysis.sample_rate / analysis.stft.fft_size,
    )
    return Factorized(transform, factors)


def _learned(
    V: Matrix, given: Matrix, channels: int, settings: NMF, analysis: Analysis
) -> tuple[Matrix, Matrix | None, list[float]]:
    """The rest's templates, the gains of all if the analysis is panned, and how the divergence fell."""
    bins = given.shape[1]
    H, W = np.zeros((len(V), 0), np.float32), np.zeros((0, bins), np.float32)
    if settings.mode == SEMI:
        H, W = random_start(V, settings.components, settings.seed)
        W = W[:, :bins]
    elif not analysis.panned:
        return W, None, []
    level = V.sum(axis=1, keepdims=True) / np.float32(len(given))
    H = np.concatenate([np.repeat(level, len(given), axis=1), H], axis=1)
    how = (settings.beta, settings.iterations or ITERATIONS, settings.tolerance, settings.sparsity, given)
    if analysis.panned:
        _, both, gains, objectives = factorize_panned(V, H, W, channels, *how)
        return both[len(given) :], gains, objectives
    _, both, objectives = factorize(V, H, W, *how)
    return both[len(given) :], None, objectives
