"""Learns to take rooms apart: ICA for sources that reach the microphones with delays and echoes.

Every bin of the spectrum has a mixing matrix of its own. As long as echoes fade within about
one window, the mixture of a bin is instantaneous; independent vector analysis keeps the
sources' order the same in nearly all bins, :mod:`separators.ica.permutation` in the others. The image of
source k on channel c is ``A[c, k] y[k]`` with A the inverse of the demixing matrix: images keep
level and delay and sum to the mixture
(N. Murata, S. Ikeda, A. Ziehe, "An approach to blind source separation based on temporal structure of
speech signals", Neurocomputing 41, 2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from separators.base import Audio, Transform
from separators.blas_threads import on_one_thread
from separators.ica.channels import (
    CONSTANT,
    PANNED,
    heard_in,
    is_panned,
    nearest_channels,
    refuse_double,
    say_if_empty,
    warn,
)
from separators.ica.demixing import Demixing, PairProducts, whitening
from separators.ica.ilrma import ilrma
from separators.ica.iva import auxiva
from separators.ica.permutation import align
from separators.ica.stage import better
from separators.spectral import STFT, Spectrum

WINDOW_SECONDS = 0.2
"""Long enough for most of a room's echoes, short enough for some hundred windows in the sample."""
WINDOWS_PER_CHANNEL = 8
"""Fewer windows per channel say nothing about the room."""
MAXIMUM_PRODUCTS = 1 << 27
"""Windows are skipped, evenly, where there would be more products of channel pairs (many channels)."""


@dataclass(frozen=True)
class Settings:
    """What :class:`separators.ica.separator.ICA` lets people set; its parameter table explains each."""

    algorithm: str
    iterations: int
    bases: int
    fft_size: int
    seed: int


def window_for(sample_rate: float) -> int:
    """The power of two nearest to 200 ms.

    >>> [window_for(rate) for rate in (16000, 44100, 48000)]
    [4096, 8192, 8192]
    """
    return 1 << max(4, round(math.log2(WINDOW_SECONDS * sample_rate)))


@on_one_thread
def fit(sample: Audio, sample_rate: int, settings: Settings) -> Transform:
    """Learn demixing matrices; the transform gives the image of source k, that of channel k.

    A silent channel is a source of its own. Raises :class:`separators.errors.ChannelError`
    if channels are mixtures of each other without delay; warns with
    :class:`separators.errors.SeparatorWarning` if the sample is too short, and if it holds one
    source only, at different levels, or fewer than there are channels.
    """
    channels, length = sample.shape
    stft = STFT(settings.fft_size or window_for(sample_rate))
    demixing = np.tile(np.eye(channels, dtype=np.complex128), (stft.bins, 1, 1))
    heard = heard_in(sample)
    active = heard.numbers
    if length < WINDOWS_PER_CHANNEL * channels * stft.hop:
        warn(f"{length} frames are too few to learn a room from; every source is what one channel holds")
    elif not len(active):
        warn(CONSTANT)
    elif len(active) > 1:
        if is_panned(heard):
            warn(PANNED)
            return _one_source
        refuse_double(heard, sample_rate, len(active))
        windows = stft.frames(length)
        wanted = math.ceil(stft.bins * len(active) ** 2 * windows / MAXIMUM_PRODUCTS)
        every = max(1, min(wanted, windows // (WINDOWS_PER_CHANNEL * channels)))
        spectra = np.ascontiguousarray(stft.forward(sample[active]).transpose(1, 0, 2)[:, :, ::every])
        demixing[:, active[:, None], active] = _demixing(spectra, settings)
    return _images(stft, demixing)


def _demixing(spectra: Spectrum, settings: Settings) -> Demixing:
    """Matrices ``(bins, channels, channels)`` for spectra ``(bins, channels, frames)``.

    Row k gives the source of channel k.
    """
    white = whitening(spectra)
    products = PairProducts(white.astype(np.complex64) @ spectra)
    colours: Demixing = np.linalg.inv(white).astype(np.complex128)
    # Starting from what the microphones hold keeps each of them near its own source.
    demixing = align(products, auxiva(products, colours, settings.iterations))
    if settings.algorithm == "ilrma":
        second = ilrma(products, demixing, settings.iterations, settings.bases, settings.seed)
        demixing = better(products, demixing, second)
    power = np.square(np.abs(demixing)).sum(axis=2)  # of the sources, since what they are made of is white
    demixing = demixing @ white
    strength = np.einsum("bcs,bs->cs", np.square(np.abs(np.linalg.inv(demixing))), power)
    say_if_empty(strength / strength.sum(axis=1, keepdims=True))
    ordered: Demixing = demixing[:, np.argsort(nearest_channels(strength))]
    return ordered


def _one_source(block: Audio) -> Audio:
    """All in the first stem."""
    out = np.zeros((len(block), *block.shape), np.float32)
    out[0] = block
    return out


def _images(stft: STFT, demixing: Demixing) -> Transform:
    """The transform into the images of the sources of ``demixing`` ``(bins, sources, channels)``."""
    channels = demixing.shape[1]
    rows = demixing.transpose(1, 2, 0).astype(np.complex64)
    columns = np.linalg.inv(demixing).transpose(2, 1, 0).astype(np.complex64)

    @on_one_thread
    def transform(block: Audio) -> Audio:
        length = block.shape[1]
        spectra = stft.forward(block).swapaxes(1, 2)
        out = np.empty((channels, *block.shape), np.float32)
        out[-1] = block  # the last image is what the others leave: no rounding shows in the sum
        for source in range(channels - 1):
            signal = np.einsum("cb,ctb->tb", rows[source], spectra)
            for channel in range(channels):
                image = stft.inverse((columns[source, channel] * signal).T, length)
                out[source, channel] = image
                out[-1, channel] -= image
        return out

    return transform
