"""Learns the images of sources that reach all channels at the same time, by ICA.

The mixture is ``x = A s`` with one matrix A for all time and all frequencies: pan pots, or
microphones at one place. The image of source k is what it contributes to every channel,
``A[:, k] s[k]``; images keep level and panning and sum to the mixture.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from separators.base import Audio
from separators.blas_threads import on_one_thread
from separators.errors import ChannelError, SeparatorWarning
from separators.fast_ica import Matrix, fast_ica
from separators.nonstationarity import refine

SILENT = 1e-12
"""A channel whose power is at most this much of the loudest one's (-120 dB) counts as silent."""
DEPENDENT = 1e-7
"""Channels of power 1 are mixtures of each other if some combination leaves no more than this (-70 dB)."""
MINIMUM_FITTED = 32768
"""Frames that subsampling leaves at least, where there are as many."""
FRAMES_PER_ENTRY = 32
"""A sample with fewer frames per entry of the unmixing matrix says nothing about it."""


@dataclass(frozen=True)
class Settings:
    """What :class:`separators.ica.ICA` lets people set; its parameter table explains each."""

    iterations: int
    tolerance: float
    subsample: int
    refine: bool
    seed: int


@on_one_thread
def image_matrices(sample: Audio, sample_rate: int, count: int, settings: Settings) -> Matrix:
    """Matrices ``(count, channels, channels)`` that turn the mixture into the sources' images.

    With as many sources as channels they sum to the identity and source k is that of channel
    k; a silent channel is a source of its own. Raises :class:`ChannelError` if the channels
    hold fewer than ``count`` signals; warns with :class:`SeparatorWarning` if no independent
    sources were found or the sample is too short to look for them.
    """
    channels, frames = sample.shape
    own: Matrix = np.einsum("kc,kd->kcd", np.eye(count, channels), np.eye(count, channels))
    if frames < FRAMES_PER_ENTRY * channels**2:
        _warn(f"{frames} frames are too few to find sources in; every source is what one channel holds")
        return own

    stride = max(1, min(settings.subsample, frames // MINIMUM_FITTED))
    fitted = sample[:, ::stride]
    power = np.var(fitted, axis=1, dtype=np.float64)
    active = np.flatnonzero(power > SILENT * power.max())
    if len(active) < 2:
        return own
    if len(active) < channels:
        sample, fitted = sample[active], fitted[active]

    found = min(count, len(active))
    unmixing, mixing = _unmix(sample, fitted, sample_rate, found, settings, active + 1)
    nearest = _nearest_channels(mixing)
    if count == channels:
        images, places = own, active[nearest]
    else:
        images, places = np.zeros_like(own), np.argsort(np.argsort(nearest))
    for place, row, column in zip(places, unmixing, mixing.T, strict=True):
        images[place] = 0.0
        images[place][np.ix_(active, active)] = np.outer(column, row)
    return images


def _unmix(
    sample: Audio, fitted: Audio, sample_rate: int, found: int, settings: Settings, numbers: NDArray[np.intp]
) -> tuple[Matrix, Matrix]:
    """The unmixing ``(found, channels)`` and the mixing matrix ``(channels, found)``.

    FastICA learns from ``fitted``, some frames of ``sample``; ``numbers`` name the channels in messages.
    """
    mean = fitted.mean(axis=1, dtype=np.float64)
    centred = fitted - mean.astype(np.float32)[:, None]
    covariance = (centred @ centred.T).astype(np.float64) / centred.shape[1]
    level = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(level, level)
    values, vectors = np.linalg.eigh(correlation)
    if values[-found] <= DEPENDENT:
        raise ChannelError(_dependence(values, vectors, numbers))

    whitener = (vectors[:, -found:] / np.sqrt(values[-found:])).T / level
    white = whitener.astype(np.float32) @ centred
    rotation = fast_ica(white, settings.iterations, settings.tolerance, settings.seed)
    unmixing = rotation.matrix @ whitener
    settled = rotation.change < settings.tolerance
    if settings.refine:
        refined = refine(unmixing, sample, mean, sample_rate)
        unmixing, settled = refined.unmixing, settled or refined.settled
    if not settled:
        _warn(
            f"FastICA still turned its sources by {rotation.change:.1g} (tolerance {settings.tolerance:g}) "
            f"after {settings.iterations} iterations, so they may still be mixed; allow more iterations"
        )
    if found == len(level):
        mixing = np.linalg.inv(unmixing)
    else:  # what the sources explain best in the least-squares sense
        mixing = covariance @ unmixing.T @ np.linalg.inv(unmixing @ covariance @ unmixing.T)
    return unmixing, mixing


def _nearest_channels(mixing: Matrix) -> NDArray[np.intp]:
    """The channel of each source's own: that with the largest product of the mixing matrix's entries.

    Gains on channels and levels of sources scale every product alike where there are as
    many sources as channels, and so do not matter.
    """
    size = np.abs(mixing) + np.finfo(np.float64).tiny
    _, channels = linear_sum_assignment(-np.log(size).T)
    nearest: NDArray[np.intp] = channels
    return nearest


def _dependence(values: Matrix, vectors: Matrix, numbers: NDArray[np.intp]) -> str:
    """The error message that names the channels whose combinations vanish."""
    vanishing = vectors[:, values <= DEPENDENT]
    involved = numbers[np.sum(vanishing**2, axis=1) > 0.01]
    listed = ", ".join(map(str, involved[:-1])) + f" and {involved[-1]}"
    signals = len(involved) - vanishing.shape[1]
    held = "the same signal" if signals == 1 else f"only {signals} different signals"
    return (
        f"ica: channels {listed} hold {held}, so their sources cannot be told apart; leave out what is "
        "double (a mono recording in stereo is one channel), ask for fewer sources, or use nmf"
    )


def _warn(message: str) -> None:
    warnings.warn(f"ica: {message}", SeparatorWarning, stacklevel=2)
