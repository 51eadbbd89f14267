"""Short-time Fourier transform with exact reconstruction, and soft masks that sum to one.

Every spectrogram method here works the same way: transform a block, model the magnitude of
each stem, turn the models into masks that sum to one, multiply every channel's spectrum by
them and transform back. Because the masks sum to one and the transform is linear and exact,
the stems sum to the block.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from separators.base import Audio
from separators.errors import ParameterError

Spectrum = NDArray[np.complex64]
"""Complex spectrogram, ``(..., bins, frames)``."""
Magnitude = NDArray[np.float32]
"""Non-negative spectrogram, ``(..., bins, frames)``."""

REFERENCE_SIZE, REFERENCE_RATE = 2048, 44100
INAUDIBLE = np.float32(1e-12)
"""Masks below this (-240 dB) become zero."""


def fft_size_for(sample_rate: float) -> int:
    """The power of two that lasts about as long as 2048 samples at 44.1 kHz (46 ms).

    >>> [fft_size_for(rate) for rate in (8000, 22050, 44100, 48000, 96000)]
    [512, 1024, 2048, 2048, 4096]
    """
    return 1 << max(4, round(math.log2(REFERENCE_SIZE * sample_rate / REFERENCE_RATE)))


class STFT:
    """Short-time Fourier transform with a periodic Hann window and its exact inverse.

    The audio is zero-padded by ``fft_size - hop`` at least on either side, so that every
    sample, also the first and the last, lies in as many windows as any other: audio of any
    length, down to no sample at all, is reconstructed to float32 rounding. The synthesis
    window is the canonical dual (Griffin and Lim 1984): the spectrum it inverts best in the
    least-squares sense need not be the transform of any signal.

    If ``hop`` divides :data:`separators.streaming.GRID`, the frames of overlapping blocks
    fall on the same samples.
    """

    def __init__(self, fft_size: int, hop: int | None = None) -> None:
        """``fft_size`` samples in a window, ``hop`` (default: a quarter of it) between windows."""
        hop = fft_size // 4 if hop is None else hop
        if not (fft_size >= 2 and 1 <= hop <= fft_size // 2):
            raise ParameterError(f"an STFT of {fft_size} samples needs a hop from 1 to half of it, not {hop}")
        self.fft_size = fft_size
        self.hop = hop
        self.bins = fft_size // 2 + 1
        self._padding = -(-(fft_size - hop) // hop) * hop
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft_size) / fft_size)
        overlaps = -(-fft_size // hop)
        energy = np.pad(window**2, (0, overlaps * hop - fft_size)).reshape(overlaps, hop).sum(axis=0)
        self._analysis = window.astype(np.float32)
        self._synthesis = (window / np.tile(energy, overlaps)[:fft_size]).astype(np.float32)

    def __repr__(self) -> str:
        return f"STFT(fft_size={self.fft_size}, hop={self.hop})"

    def frames(self, length: int) -> int:
        """How many spectral frames ``length`` samples give."""
        return -(-(length + self._padding) // self.hop)

    def centres(self, length: int) -> NDArray[np.int64]:
        """The sample in the middle of each of those frames; outside the audio for some at its ends."""
        return np.arange(self.frames(length)) * self.hop + self.fft_size // 2 - self._padding

    def forward(self, audio: Audio) -> Spectrum:
        """Transform ``(..., samples)`` into ``(..., bins, frames)``.

        The array is a transposed view: one frame's bins lie side by side in memory.
        """
        length = audio.shape[-1]
        frames = self.frames(length)
        spectrum = np.empty((*audio.shape[:-1], frames, self.bins), np.complex64)
        padded = np.zeros((frames - 1) * self.hop + self.fft_size, np.float32)
        for index in np.ndindex(audio.shape[:-1]):
            padded[self._padding : self._padding + length] = audio[index]
            windows = np.lib.stride_tricks.sliding_window_view(padded, self.fft_size)[:: self.hop]
            spectrum[index] = scipy.fft.rfft(windows * self._analysis)
        return spectrum.swapaxes(-1, -2)

    def inverse(self, spectrum: Spectrum, length: int) -> Audio:
        """Transform ``(..., bins, frames)`` back into ``(..., length)``."""
        frames = spectrum.shape[-1]
        if spectrum.shape[-2:] != (self.bins, self.frames(length)):
            raise ValueError(f"a spectrum of shape {spectrum.shape} does not belong to {length} samples")
        overlaps = -(-self.fft_size // self.hop)
        audio = np.empty((*spectrum.shape[:-2], length), np.float32)
        for index in np.ndindex(spectrum.shape[:-2]):
            windows = scipy.fft.irfft(spectrum[index].T, self.fft_size) * self._synthesis
            added = np.zeros((frames + overlaps - 1, self.hop), np.float32)
            for overlap in range(overlaps):
                part = windows[:, overlap * self.hop : (overlap + 1) * self.hop]
                added[overlap : overlap + frames, : part.shape[1]] += part
            audio[index] = added.reshape(-1)[self._padding : self._padding + length]
        return audio


def ratio_masks(models: Magnitude, power: float = 1.0) -> Magnitude:
    """Soft masks ``model**power / sum(model**power)`` over the first axis; they sum to one.

    ``models`` is ``(stems, ...)``, non-negative and finite. Where all of them are zero,
    the stems share equally. A power of 1 on magnitudes is the ratio mask, 2 the Wiener filter.
    """
    peak = models.max(axis=0)
    unknown = peak == 0
    # Divided by the loudest first: neither tiny models nor high powers can underflow to 0 / 0.
    masks: Magnitude = (models + unknown) / (peak + unknown)
    if power != 1.0:
        np.power(masks, np.float32(power), out=masks)
    masks[masks < INAUDIBLE] = 0  # what they leave of a spectrum could be denormal numbers
    masks /= masks.sum(axis=0)
    return masks


def apply_masks(spectrum: Spectrum, masks: Magnitude, stft: STFT, length: int) -> Audio:
    """The stems ``(stems, channels, length)`` that masks cut out of a block's spectrum.

    ``spectrum`` is ``(channels, bins, frames)``; ``masks`` is ``(stems, bins, frames)``, the
    same for every channel, or ``(stems, channels, bins, frames)``. Masks that sum to one give
    stems that sum to the block.
    """
    stems = np.empty((len(masks), len(spectrum), length), np.float32)
    for stem, mask in zip(stems, masks, strict=True):
        for channel, one in enumerate(spectrum):
            stem[channel] = stft.inverse(one * (mask[channel] if mask.ndim == 3 else mask), length)
    return stems


def stems_from_models(
    spectrum: Spectrum, models: Magnitude, stft: STFT, length: int, power: float = 1.0
) -> Audio:
    """The stems ``(stems, channels, length)`` of a block by the ratio masks of its models.

    ``spectrum`` is the block's ``(channels, bins, frames)``, ``models`` the stems' magnitudes
    ``(stems, bins, frames)``; see :func:`ratio_masks` and :func:`apply_masks`.
    """
    return apply_masks(spectrum, ratio_masks(models, power), stft, length)
