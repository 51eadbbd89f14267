"""What a factorization learned, for those who want to look at it.

A mode of NMF whose :meth:`~separators.base.Separator.fit` returns a :class:`Factorized` transform
separates as any other; whoever drives it finds the templates, their activations and the course
of learning in ``factors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from separators.base import Audio, Transform
from separators.nmf.solver import Matrix


@dataclass(frozen=True)
class Factors:
    """A spectrogram explained as templates and activations."""

    names: tuple[str, ...]
    """The stem that each component belongs to."""
    templates: Matrix
    """``(components, frames, bins)``; one frame if a template is a single spectrum."""
    activations: Matrix
    """``(frames, components)`` of the sample that was learned from."""
    objectives: Sequence[tuple[int, float]]
    """Iterations done and the divergence then; empty where all templates were known."""
    hop_seconds: float
    """Between two frames."""
    bin_hz: float
    """Between two bins."""


class Factorized:
    """A transform together with the factors behind it."""

    def __init__(self, transform: Transform, factors: Factors) -> None:
        self._transform = transform
        self.factors = factors

    def __call__(self, block: Audio) -> Audio:
        """Transform ``block``; see :data:`~separators.base.Transform`."""
        return self._transform(block)
