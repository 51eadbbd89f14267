"""FastICA: the rotation that makes whitened signals as independent as possible.

A. Hyvärinen, "Fast and robust fixed-point algorithms for independent component analysis",
IEEE Trans. Neural Networks 10(3), 1999: symmetric decorrelation, log-cosh contrast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from separators.base import Audio
from separators.channels import Matrix

BLOCK = 8192
"""Frames worked on at a time: signals, their tanh and the products stay in the second-level cache."""


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
    for iteration in range(1, iterations + 1):
        moments, slopes = _contrast(rotation.astype(np.float32), white)
        update = _orthogonal(moments / frames - (slopes / frames)[:, None] * rotation)
        change = float(np.max(1 - np.abs(np.sum(update * rotation, axis=1))))
        rotation = update
        if change < tolerance:
            return Rotation(rotation, change, iteration)
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


def _orthogonal(matrix: Matrix) -> Matrix:
    """The nearest orthogonal matrix: symmetric decorrelation, which prefers no source."""
    left, _, right = np.linalg.svd(matrix)
    orthogonal: Matrix = left @ right
    return orthogonal
