"""What all NMF modes share around the factorization: audio to spectrogram, models to stems."""

from __future__ import annotations

import numpy as np

from separators.base import Audio
from separators.errors import ParameterError
from separators.nmf_solver import Matrix
from separators.spectral import STFT, Spectrum, fft_size_for, stems_from_models

POWER_FLOOR = np.float32(1e-8)
"""Added to power spectrograms of audio of RMS 1: the Itakura-Saito divergence knows no zeros."""


class Analysis:
    """Turns audio into the spectrogram that is factorized, and models of it into stems.

    All channels share one spectrogram and hence their masks, which keeps every stem's
    panning: the mean over the channels of their magnitudes (beta 1 and 2), or of their powers
    (beta 0, as the Itakura-Saito divergence is the likelihood of powers).
    """

    def __init__(self, sample_rate: int, fft_size: int, overlap: int, beta: int) -> None:
        """``fft_size`` 0 is the power of two nearest to 46 ms; ``overlap`` windows lie over each sample."""
        size = fft_size or fft_size_for(sample_rate)
        if size < 2 * overlap:
            raise ParameterError(f"nmf: windows of {size} samples cannot overlap {overlap} times")
        self.stft = STFT(size, size // overlap)
        self.sample_rate = sample_rate
        self.beta = beta

    def spectrogram(self, audio: Audio) -> Matrix:
        """The spectrogram ``(frames, bins)`` of ``audio`` ``(channels, samples)``, channel by channel."""
        total = np.zeros((self.stft.frames(audio.shape[1]), self.stft.bins), np.float32)
        for channel in audio:
            total += self._values(self.stft.forward(channel).T)
        return self._finished(total, len(audio))

    def forward(self, audio: Audio) -> tuple[Spectrum, Matrix]:
        """The complex spectrum ``(channels, bins, frames)`` of ``audio`` and its spectrogram."""
        spectrum = self.stft.forward(audio)
        total = np.zeros(spectrum.shape[:0:-1], np.float32)
        for channel in spectrum:
            total += self._values(channel.T)
        return spectrum, self._finished(total, len(audio))

    def stems(self, spectrum: Spectrum, models: Matrix, length: int, mask_power: float) -> Audio:
        """The stems ``(stems, channels, length)`` by ratio masks of ``models`` ``(stems, frames, bins)``.

        ``mask_power`` 1 shares every bin by magnitude, 2 by power.
        """
        power = mask_power / 2 if self.beta == 0 else mask_power
        return stems_from_models(spectrum, models.swapaxes(1, 2), self.stft, length, power)

    def _values(self, spectrum: Spectrum) -> Matrix:
        magnitude: Matrix = np.abs(spectrum)
        return np.square(magnitude, out=magnitude) if self.beta == 0 else magnitude

    def _finished(self, total: Matrix, channels: int) -> Matrix:
        total /= np.float32(channels)
        return total + POWER_FLOOR if self.beta == 0 else total
