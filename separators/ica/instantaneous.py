"""Learns the images of sources that reach all channels at the same time, by ICA.

The mixture is ``x = A s`` with one matrix A for all time and all frequencies: pan pots, or
microphones at one place. The image of source k is what it contributes to every channel,
``A[:, k] s[k]``; images keep level and panning and sum to the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from separators.base import Audio, Transform
from separators.blas_threads import on_one_thread
from separators.ica.channels import (
    CONSTANT,
    PANNED,
    Matrix,
    Numbers,
    covariance,
    heard_in,
    is_panned,
    nearest_channels,
    principal_components,
    refuse_double,
    say_if_empty,
    warn,
)
from separators.ica.delays import largest_delay
from separators.ica.fast_ica import fast_ica
from separators.ica.nonstationarity import refine

MINIMUM_FITTED = 32768
"""Frames that subsampling leaves at least, where there are as many."""
FRAMES_PER_ENTRY = 32
"""A sample with fewer frames per entry of the unmixing matrix says nothing about it."""
BLOCK = 8192
"""Frames that the transform works on at a time, so that they stay in the cache."""


@dataclass(frozen=True)
class Settings:
    """What :class:`separators.ica.separator.ICA` lets people set; its parameter table explains each."""

    sources: int
    iterations: int
    tolerance: float
    subsample: int
    refine: bool
    seed: int


def fit(sample: Audio, sample_rate: int, settings: Settings) -> Transform:
    """Learn the sources' images; the transform is a matrix for each stem.

    Where there are fewer sources than channels, a last stem takes what they leave.
    Raises and warns like :func:`image_matrices`.
    """
    channels = len(sample)
    count = settings.sources or channels
    images = image_matrices(sample, sample_rate, count, settings)
    # The last stem is what the others leave, so that no rounding shows in the sum.
    maps = images[: channels - 1 if count == channels else count].reshape(-1, channels).astype(np.float32)
    others = len(maps) // channels

    @on_one_thread
    def transform(block: Audio) -> Audio:
        out = np.empty((others + 1, *block.shape), np.float32)
        for start in range(0, block.shape[1], BLOCK):
            piece = block[:, start : start + BLOCK]
            parts = (maps @ piece).reshape(others, *piece.shape)
            out[:-1, :, start : start + BLOCK] = parts
            out[-1, :, start : start + BLOCK] = piece - parts.sum(axis=0)
        return out

    return transform


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
        warn(f"{frames} frames are too few to find sources in; every source is what one channel holds")
        return own

    heard = heard_in(sample)
    active = heard.numbers
    if not len(active):
        warn(CONSTANT)
    if len(active) < 2:
        return own
    if len(active) < channels:
        sample = sample[active]
    if is_panned(heard):
        warn(PANNED)
        images = np.zeros_like(own)
        images[0] = np.eye(channels)
        return images
    found = min(count, len(active))
    refuse_double(heard, sample_rate, found)
    _say_if_delayed(sample, sample_rate, active)
    stride = max(1, min(settings.subsample, frames // MINIMUM_FITTED))
    fitted = sample[:, ::stride]
    if len(heard_in(fitted).numbers) < len(active):  # what sounds is shorter than the stride
        fitted = sample
    unmixing, mixing = _unmix(sample, fitted, sample_rate, found, settings, active)
    say_if_empty(np.square(mixing) / np.diag(covariance(fitted))[:, None])
    nearest = nearest_channels(np.abs(mixing))
    if count == channels:
        images, places = own, active[nearest]
    else:
        images, places = np.zeros_like(own), np.argsort(np.argsort(nearest))
    for place, row, column in zip(places, unmixing, mixing.T, strict=True):
        images[place] = 0.0
        images[place][np.ix_(active, active)] = np.outer(column, row)
    return images


def _say_if_delayed(sample: Audio, sample_rate: int, numbers: Numbers) -> None:
    """Say so if channels, called ``numbers`` from 0, hear the same sound at different times."""
    delay = largest_delay(sample, sample_rate)
    if delay is not None:
        warn(
            f"channels {numbers[delay.first] + 1} and {numbers[delay.second] + 1} hear the same sound "
            f"{1000 * delay.seconds:.1f} ms apart, which model instantaneous cannot undo; microphones that "
            "stand apart need model convolutive (preset mic-bleed or mic-bleed-hq)"
        )


def _unmix(
    sample: Audio, fitted: Audio, sample_rate: int, found: int, settings: Settings, numbers: Numbers
) -> tuple[Matrix, Matrix]:
    """The unmixing ``(found, channels)`` and the mixing matrix ``(channels, found)``.

    FastICA learns from ``fitted``, some frames of ``sample``; ``numbers`` name the channels in messages.
    """
    mean = fitted.mean(axis=1, dtype=np.float64)
    centred = fitted - mean.astype(np.float32)[:, None]
    cov = covariance(centred)
    whitener = principal_components(cov, found, numbers)
    white = whitener.astype(np.float32) @ centred
    rotation = fast_ica(white, settings.iterations, settings.tolerance, settings.seed)
    unmixing = rotation.matrix @ whitener
    settled = rotation.change < settings.tolerance
    if settings.refine:
        refined = refine(unmixing, sample, mean, sample_rate)
        unmixing, settled = refined.unmixing, settled or refined.settled
    if not settled:
        warn(
            f"FastICA still turned its sources by {rotation.change:.1g} (tolerance {settings.tolerance:g}) "
            f"after {settings.iterations} iterations, so they may still be mixed; allow more iterations"
        )
    mixing: Matrix
    if found == len(cov):
        mixing = np.linalg.inv(unmixing).astype(np.float64)
    else:  # what the sources explain best in the least-squares sense
        mixing = cov @ unmixing.T @ np.linalg.inv(unmixing @ cov @ unmixing.T)
    return unmixing, mixing
