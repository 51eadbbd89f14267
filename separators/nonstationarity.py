"""Refines an unmixing matrix by the ups and downs of the sources' levels.

FastICA takes frames for independent draws and its sources for exactly uncorrelated. Two
tracks of a song are neither, which limits it to some 25 to 45 dB. But their levels rise
and fall differently, and so the covariances of short stretches of the mixture tell the
sources apart far more sharply: the unmixing matrix is the one that makes all of them
diagonal at once, in the sense of the Gaussian likelihood.

D.-T. Pham, J.-F. Cardoso, "Blind separation of instantaneous mixtures of nonstationary
sources", IEEE Trans. Signal Processing 49(9), 2001. Every stretch counts twice, as it is and
differenced: the difference is what treble says about a mixture that the bass dominates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio

Matrix = NDArray[np.float64]

STRETCH_SECONDS = 0.046
FLOOR = 1e-4
"""A source's level in a stretch counts at least this much of its mean power: below lies noise."""
MINIMUM_CONTRAST = 0.5
"""Pairs of sources whose levels run more alike than this are left as they are."""
COVARIANCES_PER_SOURCE = 4
"""With fewer the sources' levels tell too little: a tenth of a second for every source."""
MAXIMUM_STRETCHES = 640
"""More (about 30 seconds of them), spread over the audio, add time but little precision."""
MAXIMUM_STEPS = 50
TOLERANCE = 1e-6


class Refined(NamedTuple):
    """What :func:`refine` found."""

    unmixing: Matrix
    settled: bool
    """Whether it converged and every pair of sources could be told apart."""


def stretch_covariances(audio: Audio, mean: Matrix, sample_rate: int) -> Matrix:
    """Covariances ``(channels, channels, stretches)`` of short stretches of ``audio``.

    ``mean`` ``(channels,)`` is taken off. The stretches as they are and the differenced ones
    are scaled to the same mean power.
    """
    channels, frames = audio.shape
    length = max(2, round(STRETCH_SECONDS * sample_rate))
    count = min(frames // length, MAXIMUM_STRETCHES)
    starts = np.linspace(0, frames - length, count).astype(int)
    offset = mean.astype(np.float32)[:, None]
    plain, differenced = np.zeros((2, count, channels, channels))
    for index, start in enumerate(starts):
        stretch = audio[:, start : start + length] - offset
        plain[index] = stretch @ stretch.T
        difference = stretch[:, 1:] - stretch[:, :-1]
        differenced[index] = difference @ difference.T
    kinds = []
    for kind in (plain, differenced):
        power = np.einsum("kcc->k", kind)
        if power.any():
            kinds.append(kind[power > 0] / power.mean())
    if not kinds:
        return np.zeros((channels, channels, 0))
    return np.ascontiguousarray(np.concatenate(kinds).transpose(1, 2, 0))


def refine(unmixing: Matrix, covariances: Matrix) -> Refined:
    """Turn ``unmixing`` ``(sources, channels)`` so that it diagonalizes ``covariances`` jointly.

    Newton steps with the pairwise approximation of the Hessian; a step that does not lower
    the negative log-likelihood is halved. Rows should come with about unit power.
    """
    sources = len(unmixing)
    if covariances.shape[2] < COVARIANCES_PER_SOURCE * sources:
        return Refined(unmixing, False)
    within = _transformed(unmixing, covariances)
    turn = np.eye(sources)
    loss, turned, levels = _evaluate(turn, within)
    told_apart = False
    for _ in range(MAXIMUM_STEPS):
        step, told_apart = _newton_step(turned, levels)
        size = float(np.abs(step).max())
        if size < TOLERANCE:
            return Refined(turn @ unmixing, told_apart)
        step *= min(1.0, 0.5 / size)
        for _ in range(20):
            trial = turn + step @ turn
            new_loss, turned, levels = _evaluate(trial, within)
            if new_loss < loss:
                break
            step /= 2
        else:  # no lower loss along the step: as good as float64 gets
            return Refined(turn @ unmixing, told_apart)
        turn, loss = trial, new_loss
    return Refined(turn @ unmixing, False)


def _newton_step(turned: Matrix, levels: Matrix) -> tuple[Matrix, bool]:
    """The relative step ``(sources, sources)``, and whether all pairs could be told apart."""
    inverse = 1 / levels
    gradient = np.einsum("ijk,ik->ij", turned, inverse) / levels.shape[1]
    curvature = inverse @ levels.T / levels.shape[1]
    contrast = curvature * curvature.T - 1  # 0 where two levels run in proportion
    np.fill_diagonal(contrast, np.inf)
    clear = contrast > MINIMUM_CONTRAST
    step = np.where(clear, -(curvature.T * gradient - gradient.T) / np.where(clear, contrast, 1.0), 0.0)
    return step, bool(clear.all())


def _evaluate(turn: Matrix, covariances: Matrix) -> tuple[float, Matrix, Matrix]:
    """Negative log-likelihood, turned covariances and the sources' levels ``(sources, stretches)``."""
    turned = _transformed(turn, covariances)
    levels = np.einsum("ssk->sk", turned)
    levels = levels + FLOOR * levels.mean(axis=1, keepdims=True)
    loss = 0.5 * float(np.log(levels).mean(axis=1).sum()) - float(np.linalg.slogdet(turn)[1])
    return loss, turned, levels


def _transformed(matrix: Matrix, covariances: Matrix) -> Matrix:
    """``matrix @ C @ matrix.T`` of every covariance, as one product."""
    rows, columns = matrix.shape
    products: Matrix = np.kron(matrix, matrix) @ covariances.reshape(columns * columns, -1)
    return products.reshape(rows, rows, -1)
