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
from separators.ica.channels import Matrix, Numbers

STRETCH_SECONDS = 0.046
QUIETEST = 0.03
"""Stretches this far (-15 dB) below the level at which most of the energy lies count not: in pauses every
microphone holds its own noise, which many stretches alike would pass for sources."""
FLOOR = 1e-4
"""A source's level in a stretch counts at least this much of its mean power: below lies noise."""
MINIMUM_CONTRAST = 0.5
"""Pairs of sources whose levels run more alike than this are left as they are."""
COVARIANCES_PER_SOURCE = 4
"""With fewer the sources' levels tell too little: a tenth of a second for every source."""
MAXIMUM_STRETCHES = 1280
"""More (about 30 seconds of them), spread over the audio, add time but little precision."""
AT_ONCE = 16
"""Stretches, so that they stay in the cache."""
LEVEL_STRIDE = 8
"""Every so many frames tell how loud a stretch is."""
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
    """Covariances ``(sources, sources, stretches)`` of the sources over short stretches that sound.

    The stretches overlap by half under a Hann window: so it matters little where they begin. As they are
    and differenced they are scaled to the same mean power.
    Of the sources, not of the channels: channels that are much alike leave float32 no room.
    """
    sources, frames = len(unmixing), audio.shape[1]
    length = min(max(2, round(STRETCH_SECONDS * sample_rate)), frames)
    matrix = unmixing.astype(np.float32)
    offset = (unmixing @ mean).astype(np.float32)[:, None]
    starts = _sounding(matrix, audio, offset, length)
    window = np.hanning(length + 2)[1:-1].astype(np.float32)
    plain, differenced = np.zeros((2, len(starts), sources, sources))
    every = np.lib.stride_tricks.sliding_window_view(audio, length, axis=1)
    for first in range(0, len(starts), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        channels = every[:, starts[some]]
        stretches = (matrix @ channels.reshape(len(channels), -1) - offset).reshape(sources, -1, length)
        stretches = np.ascontiguousarray(stretches.swapaxes(0, 1))
        differences = (stretches[:, :, 1:] - stretches[:, :, :-1]) * window[1:]
        differenced[some] = differences @ differences.swapaxes(1, 2)
        stretches *= window
        plain[some] = stretches @ stretches.swapaxes(1, 2)
    kinds = []
    for kind in (plain, differenced):
        power = np.einsum("kss->k", kind)
        if power.any():
            kept = _not_quiet(power)
            kinds.append(kind[kept] / power[kept].mean())
    if not kinds:
        return np.zeros((sources, sources, 0))
    return np.ascontiguousarray(np.concatenate(kinds).transpose(1, 2, 0))


def _sounding(matrix: Audio, audio: Audio, offset: Audio, length: int) -> Numbers:
    """Where stretches begin, half of ``length`` apart, that are not quiet; at most MAXIMUM_STRETCHES."""
    hop = length // 2
    steps = audio.shape[1] // hop
    signals = matrix @ audio[:, : steps * hop : LEVEL_STRIDE] - offset
    at = np.arange(0, steps * hop, LEVEL_STRIDE) // hop
    power: Matrix = np.bincount(at, np.einsum("st,st->t", signals, signals), steps).astype(np.float64)
    power = power[:-1] + power[1:]
    found = np.flatnonzero(_not_quiet(power))
    if len(found) > MAXIMUM_STRETCHES:
        found = found[np.linspace(0, len(found) - 1, MAXIMUM_STRETCHES).astype(int)]
    return found * hop


def _not_quiet(power: Matrix) -> NDArray[np.bool_]:
    """Which stretches of this power are heard."""
    heard: NDArray[np.bool_] = power * power.sum() > QUIETEST * np.square(power).sum()
    return heard


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
