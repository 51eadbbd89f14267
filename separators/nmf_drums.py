"""Convolutive NMF that knows drums: a loop becomes kick, snare and hi-hat.

The method is NMFD started from how these drums sound on average (:mod:`separators.drum_templates`), as
in the NMF Toolbox (López-Serrano, Dittmar, Özer and Müller, DAFx 2019): the average sounds are
near enough for each component to find its own drum, and then the component learns how that drum
sounds in this loop. So stems come out named. Several typical sounds per drum were tried
as a start and gained nothing over one average.

Sounds that are none of the three go to the stem whose drum they resemble most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from separators.base import Audio, Transform
from separators.drum_templates import DRUMS, templates
from separators.nmf_analysis import Analysis
from separators.nmf_solver import background_of
from separators.nmfd import event_models, events, factorize_events

if TYPE_CHECKING:
    from separators.nmf import NMF

ITERATIONS = 15
"""More let the templates learn from each other's drums: they are the better for stopping early."""
MASK_POWER = 2.0


def stem_names(settings: NMF) -> tuple[str, ...]:
    """``kick``, ``snare``, ``hihat``."""
    return DRUMS


def fit(settings: NMF, analysis: Analysis, sample: Audio) -> Transform:
    """Adapt the three drums to ``sample``; the transform solves for their events only."""
    V = analysis.spectrogram(sample)
    background = background_of(V)
    start = templates(analysis.stft, analysis.sample_rate)
    if settings.beta == 0:
        start = np.square(start)
    iterations = settings.iterations or ITERATIONS
    W = factorize_events(V, start, settings.beta, background, iterations, settings.tolerance).W

    def transform(block: Audio) -> Audio:
        spectrum, V = analysis.forward(block)
        models = event_models(events(V, W, settings.beta, background), W)
        return analysis.stems(spectrum, models, block.shape[1], settings.mask_power or MASK_POWER)

    return transform
