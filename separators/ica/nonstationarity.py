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

from separators.base import Audio
from separators.ica.channels import Matrix

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


def refine(unmixing: Matrix, audio: Audio, mean: Matrix, sample_rate: int) -> Refined:
    """Turn ``unmixing`` ``(sources, channels)`` so that short stretches of its sources are uncorrelated.

    ``mean`` ``(channels,)`` is taken off ``audio`` ``(channels, frames)``. Newton steps with the pairwise
    approximation of the Hessian; a step that does not lower the negative log-likelihood is halved.
    """
    covariances = stretch_covariances(unmixing, audio, mean, sample_rate)
    if covariances.shape[2] < COVARIANCES_PER_SOURCE * len(unmixing):
        return Refined(unmixing, False)
    turn, settled = diagonalize(covariances)
    return Refined(turn @ unmixing, settled)


def stretch_covariances(unmixing: Matrix, audio: Audio, mean: Matrix, sample_rate: int) -> Matrix:
    """Covariances ``(sources, sources, stretches)`` of the sources over short stretches.

    The stretches as they are and the differenced ones are scaled to the same mean power.
    Of the sources, not of the channels: channels that are much alike leave float32 no room.
    """
    sources, frames = len(unmixing), audio.shape[1]
    length = max(2, round(STRETCH_SECONDS * sample_rate))
    count = min(frames // length, MAXIMUM_STRETCHES)
    starts = np.linspace(0, frames - length, count).astype(int)
    matrix = unmixing.astype(np.float32)
    offset = (unmixing @ mean).astype(np.float32)[:, None]
    plain, differenced = np.zeros((2, count, sources, sources))
    for index, start in enumerate(starts):
        stretch = matrix @ audio[:, start : start + length] - offset
        plain[index] = stretch @ stretch.T
        difference = stretch[:, 1:] - stretch[:, :-1]
        differenced[index] = difference @ difference.T
    kinds = []
    for kind in (plain, differenced):
        power = np.einsum("kss->k", kind)
        if power.any():
            kinds.append(kind[power > 0] / power.mean())
    if not kinds:
        return np.zeros((sources, sources, 0))
    return np.ascontiguousarray(np.concatenate(kinds).transpose(1, 2, 0))


def diagonalize(covariances: Matrix) -> tuple[Matrix, bool]:
    """The matrix ``(sources, sources)`` that makes covariances ``(sources, sources, stretches)`` diagonal.

    Starts from the identity, which must be near. Also says whether it converged and could
    tell every pair of sources apart.
    """
    turn = np.eye(len(covariances))
    loss, turned, levels = _evaluate(turn, covariances)
    for _ in range(MAXIMUM_STEPS):
        step, told_apart = _newton_step(turned, levels)
        size = float(np.abs(step).max())
        if size < TOLERANCE:
            return turn, told_apart
        step *= min(1.0, 0.5 / size)
        for _ in range(20):
            trial = turn + step @ turn
            new_loss, turned, levels = _evaluate(trial, covariances)
            if new_loss < loss:
                break
            step /= 2
        else:  # no lower loss along the step: as good as float64 gets
            return turn, told_apart
        turn, loss = trial, new_loss
    return turn, False


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
    sources = len(turn)
    products = np.kron(turn, turn) @ covariances.reshape(sources * sources, -1)
    turned: Matrix = products.reshape(covariances.shape)
    levels = np.maximum(np.einsum("ssk->sk", turned), 0.0)
    levels += FLOOR * levels.mean(axis=1, keepdims=True)
    loss = 0.5 * float(np.log(levels).mean(axis=1).sum()) - float(np.linalg.slogdet(turn)[1])
    return loss, turned, levels
