"""Non-negative matrix factorization: the numeric core of all NMF modes.

A non-negative spectrogram ``V`` ``(frames, bins)`` is explained as ``H @ W``: a few templates
``W`` ``(components, bins)``, each switched on and off by its column of ``H``
``(frames, components)``. Time runs along the rows, so that a chunk of frames is one piece of
memory: every step walks over chunks small enough for the model of a chunk and everything
derived from it to stay in the processor's cache, and a step costs little more than its matrix
products. All arrays are float32.

The updates are multiplicative (Lee and Seung 2001; Févotte and Idier 2011) and minimise a
beta-divergence: 0 Itakura-Saito, 1 Kullback-Leibler, 2 half the squared Euclidean distance. Values that are
zero stay zero, which is how callers forbid an activation or a bin. :func:`minimize` speeds
them up by extrapolation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from separators.blas_threads import on_one_thread

Matrix = NDArray[np.float32]
State = tuple[Matrix, ...]
"""What an update improves: ``(H, W)``, or ``(H,)`` if the templates are given."""

CHUNK_VALUES = 1 << 18
"""Spectrogram values in a chunk: 1 MB."""
CHECK_EVERY = 10
"""Iterations between two looks at the objective."""
LEAST_CHANGE, MOST_CHANGE = 0.75, 2.0
"""Factors by which a step may have changed a value to be extrapolated fully."""
ACTIVATION_UPDATES = 40
"""Updates of activations for given templates; they bring the divergence to about 0.2 % above its minimum."""
BACKGROUND = 1e-7
"""Every model stands on this part of the spectrogram's mean, so that no bin is divided by zero."""
LEAST_BACKGROUND = 1e-12
"""Of a silent spectrogram: quotients of what sounds later stay finite in float32."""
NEGLIGIBLE = np.float32(1e-30)
"""Factors below this become zero: denormal numbers slow matrix products down many times."""


class Terms(ABC):
    """The two sides of the multiplicative updates of one divergence, chunk by chunk.

    The gradient of a divergence is a difference of non-negative terms; an update multiplies
    by their quotient. Models are ``h @ templates + background``.
    """

    exponent = 1.0
    """Power of the quotient with which the update never increases the divergence."""

    def __init__(self, templates: Matrix, background: float) -> None:
        self.templates = templates
        self.background = np.float32(background)
        self.numerator = np.zeros_like(templates)
        self._buffer = np.empty((0, templates.shape[1]), np.float32)
        self._product = np.empty_like(templates)

    def model(self, h: Matrix) -> Matrix:
        """``h @ templates + background`` in a buffer that the next call overwrites."""
        if len(self._buffer) < len(h):
            self._buffer = np.empty((len(h), self.templates.shape[1]), np.float32)
        model = self._buffer[: len(h)]
        np.matmul(h, self.templates, out=model)
        np.add(model, self.background, out=model)
        return model

    @abstractmethod
    def activations(self, v: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
        """Numerator and denominator of the update of ``h``."""

    @abstractmethod
    def add(self, v: Matrix, h: Matrix) -> None:
        """Add this chunk to the sums for the update of the templates."""

    @abstractmethod
    def denominator(self) -> Matrix:
        """The denominator of the update of the templates, after all chunks were added."""

    @abstractmethod
    def divergence(self, v: Matrix, h: Matrix) -> float:
        """The divergence of this chunk from its model."""

    def quotient(self, numerator: Matrix, denominator: Matrix) -> Matrix:
        """The factor of an update: ``(numerator / denominator) ** exponent``, 0 for 0 / 0."""
        factor = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
        return factor if self.exponent == 1 else np.sqrt(factor, out=factor)

    def updated_templates(self) -> Matrix:
        """The templates after the update."""
        return flushed(self.templates * self.quotient(self.numerator, self.denominator()))

    def _accumulate(self, h: Matrix, weighted: Matrix, total: Matrix) -> None:
        total += np.matmul(h.T, weighted, out=self._product)


class _KullbackLeibler(Terms):
    """Beta 1: sum of ``v log(v / model) - v + model``."""

    def __init__(self, templates: Matrix, background: float) -> None:
        super().__init__(templates, background)
        self._weights = templates.sum(axis=1)
        self._activity = np.zeros(len(templates), np.float32)

    def _ratio(self, v: Matrix, h: Matrix) -> Matrix:
        model = self.model(h)
        return np.divide(v, model, out=model)

    def activations(self, v: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
        numerator = self._ratio(v, h) @ self.templates.T
        return numerator, np.broadcast_to(self._weights, numerator.shape)

    def add(self, v: Matrix, h: Matrix) -> None:
        self._accumulate(h, self._ratio(v, h), self.numerator)
        self._activity += h.sum(axis=0)

    def denominator(self) -> Matrix:
        return np.broadcast_to(self._activity[:, np.newaxis], self.templates.shape)

    def divergence(self, v: Matrix, h: Matrix) -> float:
        ratio = self._ratio(v, h)
        total = float(h.sum(axis=0) @ self._weights) + float(self.background) * v.size - float(v.sum())
        np.maximum(ratio, NEGLIGIBLE, out=ratio)
        return total + float(np.vdot(v, np.log(ratio, out=ratio)))


class _ItakuraSaito(Terms):
    """Beta 0: sum of ``v / model - log(v / model) - 1``, for power spectrograms without zeros."""

    exponent = 0.5

    def __init__(self, templates: Matrix, background: float) -> None:
        super().__init__(templates, background)
        self._denominator = np.zeros_like(templates)

    def _parts(self, v: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
        model = self.model(h)
        inverse = np.reciprocal(model, out=model)
        return v * inverse * inverse, inverse

    def activations(self, v: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
        numerator, denominator = self._parts(v, h)
        return numerator @ self.templates.T, denominator @ self.templates.T

    def add(self, v: Matrix, h: Matrix) -> None:
        numerator, denominator = self._parts(v, h)
        self._accumulate(h, numerator, self.numerator)
        self._accumulate(h, denominator, self._denominator)

    def denominator(self) -> Matrix:
        return self._denominator

    def divergence(self, v: Matrix, h: Matrix) -> float:
        model = self.model(h)
        ratio = np.divide(v, model, out=model)
        return float(ratio.sum()) - float(np.log(ratio).sum()) - ratio.size


class _Euclidean(Terms):
    """Beta 2: half the sum of ``(v - model) ** 2``; needs no model for its updates."""

    def __init__(self, templates: Matrix, background: float) -> None:
        super().__init__(templates, 0.0)
        self._gram = templates @ templates.T
        self._activity = np.zeros_like(self._gram)

    def activations(self, v: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
        return v @ self.templates.T, h @ self._gram

    def add(self, v: Matrix, h: Matrix) -> None:
        self._accumulate(h, v, self.numerator)
        self._activity += h.T @ h

    def denominator(self) -> Matrix:
        return self._activity @ self.templates

    def divergence(self, v: Matrix, h: Matrix) -> float:
        difference = self.model(h)
        np.subtract(difference, v, out=difference)
        return 0.5 * float(np.vdot(difference, difference))


TERMS: dict[int, type[Terms]] = {0: _ItakuraSaito, 1: _KullbackLeibler, 2: _Euclidean}


class _Sparse(Terms):
    """Other terms with a penalty on activations: few large ones cost less than many small ones.

    The penalty of an activation is ``sparsity * unit * sqrt(share)``: ``share`` is its part of the
    frame's level, ``unit`` the frame's own size in the divergence (its bins for Itakura-Saito, the sum
    of its values, half that of their squares), so that a gain on the frame changes nothing. Counting
    activations times the sum of their template leaves no gain in scaling the two against each other
    (Le Roux, Weninger and Hershey, "Sparse NMF - half-baked or well done?", 2015). A plain sum would
    penalise nothing then, as with Kullback-Leibler it always equals the level; the square root does. It
    is replaced by its tangent, which lies above it, so that updates still never increase the objective.
    """

    def __init__(self, terms: Terms, beta: int, sparsity: float) -> None:
        super().__init__(terms.templates, float(terms.background))
        self.exponent = terms.exponent
        self.numerator = terms.numerator
        self._terms = terms
        self._beta = beta
        self._half = np.float32(sparsity / 2)
        self._sums = terms.templates.sum(axis=1)
        self._slopes = np.zeros_like(self._sums)

    def activations(self, v: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
        numerator, denominator = self._terms.activations(v, h)
        return numerator, denominator + self._slope(v, h) * self._sums

    def add(self, v: Matrix, h: Matrix) -> None:
        self._terms.add(v, h)
        self._slopes += np.einsum("tk,tk->k", self._slope(v, h), h)

    def denominator(self) -> Matrix:
        denominator: Matrix = self._terms.denominator() + self._slopes[:, np.newaxis]
        return denominator

    def divergence(self, v: Matrix, h: Matrix) -> float:
        # An activation is worth twice its tangent at itself: sqrt(x) = 2 x / (2 sqrt(x)).
        penalty = 2 * float(np.vdot(self._slope(v, h), h * self._sums))
        return self._terms.divergence(v, h) + penalty

    def _slope(self, v: Matrix, h: Matrix) -> Matrix:
        """How the penalty grows with each activation times its template's sum, ``(frames, components)``."""
        level = v.sum(axis=1, keepdims=True)
        unit = {0: np.float32(v.shape[1]), 1: level, 2: np.square(v).sum(axis=1, keepdims=True) / 2}[
            self._beta
        ]
        loudness = np.maximum(level, NEGLIGIBLE)
        share = np.maximum(h * self._sums, NEGLIGIBLE) / loudness
        slope: Matrix = self._half * unit / (np.sqrt(share) * loudness)
        return slope


def terms_of(W: Matrix, beta: int, background: float, sparsity: float = 0.0) -> Terms:
    """The terms of a divergence for the templates ``W``, penalised by ``sparsity`` if it is not 0."""
    terms = TERMS[beta](W, background)
    return _Sparse(terms, beta, sparsity) if sparsity else terms


def flushed(factor: Matrix) -> Matrix:
    """``factor`` with negligible values set to zero, in place."""
    factor[factor < NEGLIGIBLE] = 0
    return factor


def chunks(V: Matrix) -> Iterator[slice]:
    """Slices over the frames of ``V`` ``(frames, bins)``, each about :data:`CHUNK_VALUES` values."""
    rows = max(1, CHUNK_VALUES // V.shape[1])
    return (slice(start, start + rows) for start in range(0, len(V), rows))


def background_of(V: Matrix) -> float:
    """The constant on which models of ``V`` stand; see :data:`BACKGROUND`."""
    return max(BACKGROUND * float(V.mean()), LEAST_BACKGROUND)


def update(
    V: Matrix, H: Matrix, W: Matrix, beta: int, background: float, sparsity: float = 0.0
) -> tuple[Matrix, Matrix]:
    """One multiplicative update of ``H``, then of ``W`` with the new ``H``, in one pass over ``V``."""
    terms = terms_of(W, beta, background, sparsity)
    return updated_activations(V, H, terms), terms.updated_templates()


class Prior(NamedTuple):
    """What activations are expected to be; for beta 1 and templates that sum to one.

    The prior is a gamma distribution, whose step is a weighted mean of the plain update and ``expected``.
    """

    expected: Matrix
    """``(frames, components)``"""
    weight: float | Matrix
    """How much it counts beside the spectrogram, for all or ``(components,)``; 0 is not at all."""

    def drawn(self, h: Matrix, rows: slice) -> Matrix:
        """The activations ``h`` of frames ``rows`` after a plain update, drawn to what is expected."""
        return np.asarray((h + self.weight * self.expected[rows]) / (1 + self.weight), np.float32)


def updated_activations(V: Matrix, H: Matrix, terms: Terms, prior: Prior | None = None) -> Matrix:
    """``H`` after one update; ``terms`` then hold what the update of their templates needs."""
    updated = np.empty_like(H)
    for rows in chunks(V):
        v, h = V[rows], H[rows]
        h = h * terms.quotient(*terms.activations(v, h))
        h = updated[rows] = flushed(prior.drawn(h, rows) if prior else h)
        terms.add(v, h)
    return updated


def divergence(
    V: Matrix, H: Matrix, W: Matrix, beta: int, background: float = 0.0, sparsity: float = 0.0
) -> float:
    """The beta-divergence of ``V`` from ``H @ W + background``, the latter only for beta 0 and 1.

    With ``sparsity`` the penalty on the activations is added.
    """
    terms = terms_of(W, beta, background, sparsity)
    return math.fsum(terms.divergence(V[rows], H[rows]) for rows in chunks(V))


S = TypeVar("S", bound=State)


def minimize(
    step: Callable[..., S],
    objective: Callable[..., float],
    start: S,
    iterations: int,
    tolerance: float,
) -> tuple[S, list[float]]:
    """Repeat ``state = step(*state)``, extrapolated; returns the last state and the objectives.

    ``step`` must never increase ``objective``. Each step is taken from a point ahead of the
    present state, ``x * (1 + a * (x / x_before - 1))`` with Nesterov's growing weights ``a``
    (block majorization-minimization with extrapolation: Hien, Leplat and Gillis 2024,
    arXiv 2401.06646). Unlike there, all factors are extrapolated together, and decreases are,
    too, but the quotient is kept between :data:`LEAST_CHANGE` and :data:`MOST_CHANGE`:
    measured on songs, a third fewer steps than with increases of any size alone. Every
    :data:`CHECK_EVERY` iterations the objective is looked at: had it increased, the state
    of the last look is restored and goes on by plain steps until the next look. So the
    objectives returned, the start's first, never increase. Ends early once the objective
    falls by less than ``tolerance`` of itself between two looks.
    """
    state = before = checked = start
    history = [objective(*start)]
    momentum = 1.0
    plain = False
    for iteration in range(1, iterations + 1):
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        weight = 0.0 if plain else (momentum - 1) / following
        momentum = following
        ahead = tuple(_ahead(now, old, weight) for now, old in zip(state, before, strict=True))
        before, state = state, step(*ahead)
        if iteration % CHECK_EVERY and iteration != iterations:
            continue
        value = objective(*state)
        if value <= history[-1]:
            plain = False
        elif plain:  # plain steps cannot increase it: this is rounding, nothing is left to gain
            return checked, history
        else:
            state = before = checked
            momentum, plain = 1.0, True
            continue
        checked = state
        history.append(value)
        if history[-2] - value < tolerance * abs(history[-2]):
            break
    return checked, history


def _ahead(now: Matrix, before: Matrix, weight: float) -> Matrix:
    if weight == 0:
        return now
    change = np.divide(now, before, out=np.ones_like(now), where=before > 0)
    np.clip(change, LEAST_CHANGE, MOST_CHANGE, out=change)
    change -= 1
    change *= np.float32(weight)
    change += 1
    change *= now
    return change


class Factorization(NamedTuple):
    """``V`` explained as ``H @ W``, and how the objective fell."""

    H: Matrix
    W: Matrix
    objectives: list[float]


@on_one_thread
def factorize(
    V: Matrix,
    H: Matrix,
    W: Matrix,
    beta: int = 1,
    iterations: int = 100,
    tolerance: float = 1e-4,
    sparsity: float = 0.0,
    given: Matrix | None = None,
) -> Factorization:
    """Factorize ``V`` ``(frames, bins)`` from ``H`` ``(frames, components)``, ``W`` ``(components, bins)``.

    ``V`` must be non-negative and finite, for beta 0 positive. The templates returned sum to
    one each; ``H`` carries the level. See :func:`minimize` for the method. Templates that are ``given``
    stand before those of ``W`` and stay as they are; ``H`` has activations for both.
    """
    background = background_of(V)
    fixed = W[:0] if given is None else given

    def step(H: Matrix, W: Matrix) -> tuple[Matrix, Matrix]:
        H, both = update(V, H, np.concatenate([fixed, W]), beta, background, sparsity)
        return H, both[len(fixed) :]

    def objective(H: Matrix, W: Matrix) -> float:
        return divergence(V, H, np.concatenate([fixed, W]), beta, background, sparsity)

    (H, W), objectives = minimize(step, objective, (H, W), iterations, tolerance)
    W = np.concatenate([fixed, W])
    weights = W.sum(axis=1)
    scale: Matrix = np.reciprocal(weights, out=np.zeros_like(weights), where=weights > 0)
    return Factorization(H * weights, W * scale[:, np.newaxis], objectives)


@on_one_thread
def activations(
    V: Matrix,
    W: Matrix,
    beta: int,
    background: float,
    sparsity: float = 0.0,
    prior: Prior | None = None,
) -> Matrix:
    """The activations ``H`` of ``V`` ``(frames, bins)`` for given templates ``W`` that sum to one each.

    They start out equal, or in proportion to what the ``prior`` expects: where that is zero, they stay
    zero.
    Frames are solved each on their own, by plain updates, so that blocks
    of a long file are solved as the whole would be. (The problem is convex for beta 1 and 2;
    extrapolation gains little: measured, a fifth fewer updates.)
    """
    terms = terms_of(W, beta, background, sparsity)
    shares = prior.expected if prior else np.ones((len(V), len(W)), np.float32)
    H: Matrix = shares * (
        V.sum(axis=1, keepdims=True) / np.maximum(shares.sum(axis=1, keepdims=True), NEGLIGIBLE)
    )
    for rows in chunks(V):
        v, h = V[rows], H[rows]
        for _ in range(ACTIVATION_UPDATES):
            h *= terms.quotient(*terms.activations(v, h))
            if prior:
                h[:] = prior.drawn(h, rows)
        flushed(h)
    return H


def random_start(V: Matrix, components: int, seed: int) -> tuple[Matrix, Matrix]:
    """Random ``H`` and ``W`` for :func:`factorize`, at the level of ``V``; the same for the same seed."""
    random = np.random.default_rng(seed)
    W = random.random((components, V.shape[1]), np.float32) + np.float32(0.1)
    H = random.random((len(V), components), np.float32) + np.float32(0.1)
    H *= V.mean() / np.float32(components * 0.6**2)
    return H, W
