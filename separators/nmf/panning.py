"""NMF that hears where sounds are: channels share activations, templates carry a gain for each channel.

Channel ``c`` of the spectrogram is explained as ``H @ (Q[:, c, None] * W)``: a template of ``W``
``(components, bins)`` sounds in all channels, in each at the gain ``Q`` ``(components, channels)`` that its
place in the panorama gives it (non-negative tensor factorization: FitzGerald, Cranitch and Coyle 2005;
Févotte and Ozerov 2010).
Seen with the channels' bins side by side this is an NMF whose templates are :func:`spread`, so that the
terms of :mod:`separators.nmf.solver` serve here, too; they only must not break the gains' form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from separators.blas_threads import on_one_thread
from separators.nmf.solver import (
    Matrix,
    Terms,
    background_of,
    divergence,
    flushed,
    minimize,
    terms_of,
    updated_activations,
)


class PannedFactorization(NamedTuple):
    """What explains the channels, and how the objective fell."""

    H: Matrix
    W: Matrix
    """Templates that sum to one."""
    Q: Matrix
    """Gains of each template that sum to one."""
    objectives: list[float]


def spread(W: Matrix, Q: Matrix) -> Matrix:
    """The templates over the channels' bins, side by side: ``(components, channels * bins)``."""
    return (Q[:, :, np.newaxis] * W[:, np.newaxis, :]).reshape(len(W), -1)


@on_one_thread
def factorize_panned(
    V: Matrix,
    H: Matrix,
    W: Matrix,
    channels: int,
    beta: int,
    iterations: int,
    tolerance: float,
    sparsity: float = 0.0,
    given: Matrix | None = None,
) -> PannedFactorization:
    """Factorize ``V`` ``(frames, channels * bins)`` from ``H`` ``(frames, components)``, ``W``.

    ``W`` is ``(components, bins)``; all templates begin in the middle. The other arguments are those of
    :func:`separators.nmf.solver.factorize`; templates that are ``given`` stand first and keep their
    shape, and get their gains here.
    """
    background = background_of(V)
    fixed = W[:0] if given is None else given

    def swept(H: Matrix, W: Matrix, Q: Matrix) -> tuple[Matrix, Terms]:
        terms = terms_of(spread(W, Q), beta, background, sparsity)
        return updated_activations(V, H, terms), terms

    def step(H: Matrix, W: Matrix, Q: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        both = np.concatenate([fixed, W])
        if len(W):  # else all are given
            H, terms = swept(H, both, Q)
            up, down = (np.einsum("kc,kcf->kf", Q, part) for part in _by_channel(terms, channels))
            W = flushed(both * terms.quotient(up, down))[len(fixed) :]
            both = np.concatenate([fixed, W])
        H, terms = swept(H, both, Q)
        up, down = (np.einsum("kf,kcf->kc", both, part) for part in _by_channel(terms, channels))
        return H, W, flushed(Q * terms.quotient(up, down))

    def objective(H: Matrix, W: Matrix, Q: Matrix) -> float:
        return divergence(V, H, spread(np.concatenate([fixed, W]), Q), beta, background, sparsity)

    Q = np.full((len(fixed) + len(W), channels), 1 / channels, np.float32)
    (H, W, Q), objectives = minimize(step, objective, (H, W, Q), iterations, tolerance)
    W, levels = _normalized(np.concatenate([fixed, W]))
    Q, gains = _normalized(Q)
    return PannedFactorization(H * levels * gains, W, Q, objectives)


def _by_channel(terms: Terms, channels: int) -> tuple[Matrix, Matrix]:
    """Numerator and denominator of the templates' update, ``(components, channels, bins)``."""
    shape = (len(terms.templates), channels, -1)
    return terms.numerator.reshape(shape), terms.denominator().reshape(shape)


def _normalized(rows: Matrix) -> tuple[Matrix, Matrix]:
    """Rows that sum to one, or to zero if they are zero, and what they summed to."""
    sums = rows.sum(axis=1)
    scale: Matrix = np.reciprocal(sums, out=np.zeros_like(sums), where=sums > 0)
    return rows * scale[:, np.newaxis], sums
