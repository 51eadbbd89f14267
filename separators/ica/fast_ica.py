"""FastICA: the rotation that makes whitened signals as independent as possible.

A. Hyvärinen, "Fast and robust fixed-point algorithms for independent component analysis",
IEEE Trans. Neural Networks 10(3), 1999: symmetric decorrelation, log-cosh contrast. A rotation in which
two sources are still mixed half and half can be a fixed point, too; P. Tichavský, Z. Koldovský, E. Oja,
"Performance analysis of the FastICA algorithm and Cramér-Rao bounds", IEEE Trans. Signal
Processing 54(4), 2006, find such saddle points by turning every pair by 45 degrees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from separators.base import Audio
from separators.ica.channels import Matrix

BLOCK = 8192
"""Frames worked on at a time: signals, their tanh and the products stay in the second-level cache."""


PAIR_FRAMES = 16384
"""About so many frames tell whether two sources are still mixed half and half."""
TURN: Matrix = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
"""Turns a pair by 45 degrees."""
NORMAL_LOG_COSH = 0.37456721
"""The mean of log cosh of a standard normal variable, from which independent sources are far."""


class Rotation(NamedTuple):
    """What :func:`fast_ica` found."""

    matrix: Matrix
    """Orthogonal ``(sources, sources)``; ``matrix @ white`` are the sources."""
    change: float
    """How far the last iteration still turned a source: 1 - |cos| of the angle, 0 when settled."""
    iterations: int


def fast_ica(white: Audio, iterations: int, tolerance: float, seed: int) -> Rotation:
    """Rotate ``white`` ``(sources, frames)``, float32 of unit covariance, into independent sources.

    Stops when no source turns by more than ``tolerance`` (1 - |cos|) in an iteration. Products
    are float32, their sums over blocks float64; below 1e-7 float32 cannot tell a change.
    """
    sources, frames = white.shape
    start = np.random.default_rng(seed).standard_normal((sources, sources))
    rotation = _orthogonal(start)
    change = np.inf
    turns = sources  # a pair may have to be turned once for each of its sources; more would be a circle
    for iteration in range(1, iterations + 1):
        moments, slopes = _contrast(rotation.astype(np.float32), white)
        update = _orthogonal(moments / frames - (slopes / frames)[:, None] * rotation)
        change = float(np.max(1 - np.abs(np.sum(update * rotation, axis=1))))
        rotation = update
        if change < tolerance:
            turned = _without_saddles(rotation, white) if turns else rotation
            if turned is rotation:
                return Rotation(rotation, change, iteration)
            rotation, turns = turned, turns - 1
    return Rotation(rotation, change, iterations)


def _contrast(rotation: Audio, white: Audio) -> tuple[Matrix, Matrix]:
    """Sums over all frames of tanh(y) zᵀ ``(sources, sources)`` and of tanh'(y) ``(sources,)``."""
    sources, frames = white.shape
    moments = np.zeros((sources, sources))
    slopes = np.full(sources, float(frames))
    for start in range(0, frames, BLOCK):
        block = white[:, start : start + BLOCK]
        squashed = rotation @ block
        np.tanh(squashed, out=squashed)
        moments += squashed @ block.T
        slopes -= np.einsum("st,st->s", squashed, squashed)  # tanh' = 1 - tanh²
    return moments, slopes


def _without_saddles(rotation: Matrix, white: Audio) -> Matrix:
    """``rotation``, or a new one if turning pairs of sources by 45 degrees makes them more independent."""
    stride = max(1, white.shape[1] // PAIR_FRAMES)
    turned = rotation.copy()
    signals = rotation.astype(np.float32) @ white[:, ::stride]
    contrasts = _log_cosh_contrast(signals)
    found = False
    for first in range(len(signals)):
        for second in range(first + 1, len(signals)):
            pair = [first, second]
            mixed = (TURN.astype(np.float32) @ signals[pair]).astype(np.float32)
            after = _log_cosh_contrast(mixed)
            if after.sum() > contrasts[pair].sum():
                turned[pair] = TURN @ turned[pair]
                signals[pair], contrasts[pair], found = mixed, after, True
    return turned if found else rotation


def _log_cosh_contrast(signals: Audio) -> Matrix:
    """How far each of ``signals`` ``(sources, frames)`` of variance 1 is from normal."""
    size = np.abs(signals)
    log_cosh = np.mean(size + np.log1p(np.exp(-2 * size)), axis=1, dtype=np.float64) - np.log(2)
    contrast: Matrix = np.square(log_cosh - NORMAL_LOG_COSH)
    return contrast


def _orthogonal(matrix: Matrix) -> Matrix:
    """The nearest orthogonal matrix: symmetric decorrelation, which prefers no source."""
    left, _, right = np.linalg.svd(matrix)
    orthogonal: Matrix = left @ right
    return orthogonal
