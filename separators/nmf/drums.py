"""Convolutive NMF that knows drums: a loop becomes kick, snare and hi-hat.

The method is NMFD started from how these drums sound on average (:mod:`separators.nmf.drum_templates`), as
in the NMF Toolbox (López-Serrano, Dittmar, Özer and Müller, DAFx 2019): the average sounds are
near enough for each component to find its own drum, and then the component learns how that drum
sounds in this loop. So stems come out named. Several typical sounds per drum were tried
as a start and gained nothing over one average.

Sounds that are none of the three go to the stem whose drum they resemble most.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from separators.base import Audio, Transform
from separators.errors import ParameterError
from separators.nmf import one_shots
from separators.nmf.analysis import Analysis
from separators.nmf.drum_templates import DRUMS, learned, templates
from separators.nmf.factors import Factorized, Factors
from separators.nmf.nmfd import event_models, events, factorize_events
from separators.nmf.pre_echo import without_pre_echo
from separators.nmf.solver import Matrix, background_of
from separators.remarks import remark

if TYPE_CHECKING:
    from separators.nmf.separator import NMF

ITERATIONS = 15
MASK_POWER = 2.0
DEFAULT = ("kick", "snare", "hihat")
ATTACK_SECONDS = 0.02
LEAST_STRUCK = 0.26
"""Drum loops and kits have 0.28 to 0.51 of new magnitude, songs 0.20 to 0.31."""
LEAST_SECONDS = 5.0
"""Of a shorter sample nothing is said."""


def stem_names(settings: NMF) -> tuple[str, ...]:
    """The drums that are looked for; raises :class:`ParameterError` for unknown ones."""
    own = _own(settings)
    if not settings.drums:
        return tuple(own) or DEFAULT
    names = tuple(name.strip() for name in settings.drums.split(","))
    known = (*own, *(drum for drum in DRUMS if drum not in own))
    for name in names:
        if name not in known:
            raise ParameterError(f"nmf: drums: no drum {name!r}; there are: {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ParameterError(f"nmf: drums: {settings.drums!r} names a drum twice; name each once")
    return names


def files(settings: NMF) -> list[Path]:
    """The user's recordings that the templates are made from."""
    return [path for paths in _own(settings).values() for path in paths]


def _own(settings: NMF) -> dict[str, list[Path]]:
    return one_shots.find(Path(settings.one_shots)) if settings.one_shots else {}


def struck(V: Matrix, analysis: Analysis) -> float:
    """The part of the magnitudes ``V`` ``(frames, bins)`` that was not there ATTACK_SECONDS before."""
    frames = max(1, round(ATTACK_SECONDS * analysis.sample_rate / analysis.stft.hop))
    later = V[frames:]
    new = np.maximum(later - V[:-frames], 0).sum(dtype=np.float64)
    return float(new / max(later.sum(dtype=np.float64), np.finfo(np.float32).tiny))


def _say_if_no_drums(V: Matrix, analysis: Analysis) -> None:
    """Say so if the sample ``V`` sounds on where drums would be struck anew."""
    share = struck(np.sqrt(V) if analysis.beta == 0 else V, analysis)
    if len(V) * analysis.stft.hop >= LEAST_SECONDS * analysis.sample_rate and share < LEAST_STRUCK:
        remark(
            f"nmf: only {100 * share:.0f} % of what sounds is struck, of drums alone it is more than "
            f"{100 * LEAST_STRUCK:.0f} %: this is no drum loop, or others play along; "
            "preset music-4-drums takes the drums out of a song first"
        )


def fit(settings: NMF, analysis: Analysis, sample: Audio) -> Transform:
    """Adapt the drums to ``sample``; the transform solves for their events only."""
    names, own = stem_names(settings), _own(settings)
    known = [one_shots.average(own[name]) if name in own else learned()[name] for name in names]
    V = analysis.spectrogram(sample)
    background = background_of(V)
    _say_if_no_drums(V, analysis)
    start = templates(known, analysis.stft, analysis.sample_rate)
    if settings.beta == 0:
        start = np.square(start)
    iterations = settings.iterations or ITERATIONS
    H, W, objectives = factorize_events(V, start, settings.beta, background, iterations)

    def transform(block: Audio) -> Audio:
        spectrum, V = analysis.forward(block)
        models = event_models(events(V, W, settings.beta, background), W)
        stems = analysis.stems(spectrum, models, block.shape[1], settings.mask_power or MASK_POWER)
        return without_pre_echo(block, stems, analysis.sample_rate)

    factors = Factors(
        names,
        W,
        H[W.shape[1] - 1 :],
        list(enumerate(objectives)),
        analysis.stft.hop / analysis.sample_rate,
        analysis.sample_rate / analysis.stft.fft_size,
    )
    return Factorized(transform, factors)
