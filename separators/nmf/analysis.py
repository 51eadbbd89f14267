"""What all NMF modes share around the factorization: audio to spectrogram, models to stems."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from separators.base import Audio
from separators.errors import ParameterError
from separators.nmf.solver import Matrix
from separators.spectral import STFT, Spectrum, fft_size_for, stems_from_models

POWER_FLOOR = np.float32(1e-8)
"""Added to power spectrograms of audio of RMS 1: the Itakura-Saito divergence knows no zeros."""


class Analysis:
    """Turns audio into the spectrogram that is factorized, and models of it into stems.

    All channels share one spectrogram and hence their masks, which keeps every stem's
    panning: the mean over the channels of their magnitudes (beta 1 and 2), or of their powers
    (beta 0, as the Itakura-Saito divergence is the likelihood of powers). ``panned``, the channels' own
    spectrograms stand side by side instead, ``(frames, channels * bins)``, and each has its masks.
    """

    def __init__(
        self, sample_rate: int, fft_size: int, overlap: int, beta: int, panned: bool = False
    ) -> None:
        """``fft_size`` 0 is the power of two nearest to 46 ms; ``overlap`` windows lie over each sample."""
        size = fft_size or fft_size_for(sample_rate)
        if size < 2 * overlap:
            raise ParameterError(f"nmf: windows of {size} samples cannot overlap {overlap} times")
        self.stft = STFT(size, size // overlap)
        self.sample_rate = sample_rate
        self.beta = beta
        self.panned = panned

    def spectrogram(self, audio: Audio) -> Matrix:
        """The spectrogram ``(frames, bins)`` of ``audio`` ``(channels, samples)``, channel by channel."""
        return self._together((self.stft.forward(channel) for channel in audio), len(audio), audio.shape[1])

    def forward(self, audio: Audio) -> tuple[Spectrum, Matrix]:
        """The complex spectrum ``(channels, bins, frames)`` of ``audio`` and its spectrogram."""
        spectrum = self.stft.forward(audio)
        return spectrum, self._together(spectrum, len(audio), audio.shape[1])

    def stems(self, spectrum: Spectrum, models: Matrix, length: int, mask_power: float) -> Audio:
        """The stems ``(stems, channels, length)`` by ratio masks of ``models`` ``(stems, frames, bins)``.

        ``mask_power`` 1 shares every bin by magnitude, 2 by power.
        """
        power = mask_power / 2 if self.beta == 0 else mask_power
        models = models.swapaxes(1, 2)
        if self.panned:
            models = models.reshape(len(models), len(spectrum), self.stft.bins, -1)
        return stems_from_models(spectrum, models, self.stft, length, power)

    def _together(self, spectra: Iterable[Spectrum], channels: int, length: int) -> Matrix:
        """The spectrogram of ``channels`` channels, given the spectrum ``(bins, frames)`` of each."""
        bins = self.stft.bins
        total = np.zeros((self.stft.frames(length), bins * (channels if self.panned else 1)), np.float32)
        for number, spectrum in enumerate(spectra):
            magnitude = np.abs(spectrum.T)
            own = total[:, number * bins : (number + 1) * bins] if self.panned else total
            own += np.square(magnitude, out=magnitude) if self.beta == 0 else magnitude
        if not self.panned:
            total /= np.float32(channels)
        return total + POWER_FLOOR if self.beta == 0 else total
