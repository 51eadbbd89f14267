"""Convolutive NMF (NMFD): templates that are short spectrograms instead of single spectra.

``V`` ``(frames, bins)`` is explained by events: ``H[length - 1 + t, r]`` is how strongly sound ``r``
starts at frame ``t``, and ``W[r]`` ``(length, bins)`` is how it then goes on (Smaragdis 2004). ``H``
has ``length - 1`` rows more than ``V`` has frames: sounds may have started before ``V``.

Seen frame by frame this is an NMF with ``components * length`` templates whose activations are
delayed copies of ``H``, so the terms of :mod:`separators.nmf.solver` serve here, too.
"""

from __future__ import annotations

import math

import numpy as np

from separators.blas_threads import on_one_thread
from separators.nmf.solver import NEGLIGIBLE, TERMS, Factorization, Matrix, Terms, chunks, flushed

START_UPDATES = 10
"""Updates of the activations alone, before the templates may change."""
HOLD = 4
"""How quickly templates are let go; see :func:`factorize_events`."""
EVENT_UPDATES = 60
"""Updates of the activations for given templates."""


def level_start(V: Matrix, W: Matrix) -> Matrix:
    """Activations as likely everywhere, at the level of ``V``."""
    components, length, _ = W.shape
    level = V.sum(axis=1).mean() / max(float(W.sum()), float(np.finfo(np.float32).tiny))
    return np.full((len(V) + length - 1, components), level, np.float32)


@on_one_thread
def factorize_events(V: Matrix, W: Matrix, beta: int, background: float, iterations: int) -> Factorization:
    """Explain ``V`` by events, adapting the templates ``W`` ``(components, length, bins)`` to it.

    The templates, which sum to one each, are let go by and by: after update k they are pulled back
    to where they began by a share of ``(1 - k / iterations) ** HOLD`` (semi-adaptive bases: Dittmar and
    Gärtner, DAFx 2014). Otherwise sounds that only ever occur together would learn from each other
    before it is settled which of them is struck when. ``V`` must be non-negative and finite, for
    beta 0 positive. The objectives are those before and after each update.
    """
    W = start = _scaled(W, 1 / W.sum(axis=(1, 2)))
    H = level_start(V, W)
    for _ in range(START_UPDATES):
        H = _updated_events(V, H, W, beta, background)
    objectives = [event_divergence(V, H, W, beta, background)]
    for iteration in range(1, iterations + 1):
        H = _updated_events(V, H, W, beta, background)
        W = _updated_templates(V, H, W, beta, background)
        weights = W.sum(axis=(1, 2))
        held = np.float32((1 - iteration / iterations) ** HOLD)
        W = _scaled(W, (1 - held) / np.maximum(weights, NEGLIGIBLE)) + held * start
        H = H * weights
        objectives.append(event_divergence(V, H, W, beta, background))
    return Factorization(H, W, objectives)


def _scaled(W: Matrix, factors: Matrix) -> Matrix:
    return W * factors[:, np.newaxis, np.newaxis]


@on_one_thread
def events(V: Matrix, W: Matrix, beta: int, background: float) -> Matrix:
    """The activations ``(frames + length - 1, components)`` of ``V`` for given templates ``W``."""
    H = level_start(V, W)
    for _ in range(EVENT_UPDATES):
        H = _updated_events(V, H, W, beta, background)
    return H


@on_one_thread
def event_models(H: Matrix, W: Matrix) -> Matrix:
    """What each component contributes to the spectrogram: ``(components, frames, bins)``."""
    components, length, bins = W.shape
    models = np.empty((components, len(H) - length + 1, bins), np.float32)
    for component, model in enumerate(models):
        for rows in chunks(model):
            np.matmul(_delayed(H[:, component : component + 1], length, rows), W[component], out=model[rows])
    return models


def event_divergence(V: Matrix, H: Matrix, W: Matrix, beta: int, background: float) -> float:
    """The beta-divergence of ``V`` from its model; see :func:`separators.nmf.solver.divergence`."""
    terms = _terms(W, beta, background)
    return math.fsum(terms.divergence(V[rows], _delayed(H, W.shape[1], rows)) for rows in chunks(V))


def _updated_events(V: Matrix, H: Matrix, W: Matrix, beta: int, background: float) -> Matrix:
    """One multiplicative update of ``H``."""
    terms = _terms(W, beta, background)
    length = W.shape[1]
    numerator, denominator = np.zeros_like(H), np.zeros_like(H)
    for rows in chunks(V):
        parts = terms.activations(V[rows], _delayed(H, length, rows))
        for total, part in zip((numerator, denominator), parts, strict=True):
            delayed = part.reshape(len(part), -1, length)
            for delay in range(length):
                # An event explains its frame through delay 0, the next one through delay 1, ...
                first = rows.start + length - 1 - delay
                total[first : first + len(part)] += delayed[:, :, delay]
    return flushed(H * terms.quotient(numerator, denominator))


def _updated_templates(V: Matrix, H: Matrix, W: Matrix, beta: int, background: float) -> Matrix:
    """One multiplicative update of ``W``."""
    terms = _terms(W, beta, background)
    for rows in chunks(V):
        terms.add(V[rows], _delayed(H, W.shape[1], rows))
    return terms.updated_templates().reshape(W.shape)


def _terms(W: Matrix, beta: int, background: float) -> Terms:
    return TERMS[beta](W.reshape(-1, W.shape[2]), background)


def _delayed(H: Matrix, length: int, rows: slice) -> Matrix:
    """``H`` for the frames ``rows``, delayed by 0 to ``length - 1``: ``(frames, components * length)``."""
    part = H[rows.start : rows.stop + length - 1]
    windows = np.lib.stride_tricks.sliding_window_view(part, length, axis=0)[:, :, ::-1]
    return np.ascontiguousarray(windows).reshape(len(windows), -1)
