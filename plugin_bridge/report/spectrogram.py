"""The spectrogram of audio of any length, for a picture: a bounded number of columns and rows.

Audio comes block by block; memory is that of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio

COLUMNS = 1000
"""Most columns; those of longer audio are the mean over all windows that begin in them."""
BANDS = 200
LOWEST_HZ, HIGHEST_HZ = 40.0, 16000.0
WINDOW_SECONDS, SHORTEST_HOP_SECONDS, LONGEST_HOP_SECONDS = 0.093, 0.006, 0.046
WINDOWS_AT_ONCE = 256


class Spectrogram:
    """Collects the mean power over the channels in bands of equal width on a logarithmic scale."""

    def __init__(self, sample_rate: int, frames: int) -> None:
        """For ``frames`` samples of audio, which then come by :meth:`add`."""
        from scipy.fft import next_fast_len  # slow to load, and most jobs draw nothing

        self.sample_rate = sample_rate
        self.frames = frames
        self._size = next_fast_len(max(16, round(WINDOW_SECONDS * sample_rate)))
        longest = max(1, round(LONGEST_HOP_SECONDS * sample_rate))
        shortest = max(1, round(SHORTEST_HOP_SECONDS * sample_rate))
        self._hop = min(max(frames // COLUMNS, shortest), longest)
        self.columns = max(1, min(COLUMNS, frames // self._hop))
        self._window = np.hanning(self._size).astype(np.float32)
        self._window /= np.linalg.norm(self._window)
        self.edges_hz = band_edges(sample_rate / 2)
        self._bands = band_weights(self._size // 2 + 1, sample_rate / self._size, self.edges_hz)
        self._sums = np.zeros((self.columns, BANDS))
        self._counts = np.zeros(self.columns)
        self._waiting: Audio | None = None
        self._done = 0
        """Where the next window begins, counted from half a window before the audio."""

    def add(self, audio: Audio) -> None:
        """Take in the next block ``(channels, frames)``."""
        if self._waiting is None:
            self._waiting = np.zeros((len(audio), self._size // 2), np.float32)
        self._take(np.concatenate([self._waiting, audio], axis=1))

    def decibels(self) -> NDArray[np.float64]:
        """Power in dB ``(bands, columns)``, after all audio was added; -inf for digital silence."""
        if self._waiting is not None:
            self._take(np.pad(self._waiting, ((0, 0), (0, self._size))))
            self._waiting = None
        power = self._sums / np.maximum(self._counts, 1)[:, np.newaxis]
        with np.errstate(divide="ignore"):
            return np.asarray(10 * np.log10(power.T))

    def _take(self, audio: Audio) -> None:
        if audio.shape[1] < self._size:
            self._waiting = audio
            return
        from scipy.fft import rfft

        windows = np.lib.stride_tricks.sliding_window_view(audio, self._size, axis=1)[:, :: self._hop]
        for start in range(0, windows.shape[1], WINDOWS_AT_ONCE):
            part = windows[:, start : start + WINDOWS_AT_ONCE]
            power = np.square(np.abs(rfft(part * self._window))).mean(axis=0) @ self._bands
            begins = self._done + self._hop * np.arange(len(power))
            at = np.minimum(begins * self.columns // max(1, self.frames), self.columns - 1)
            inside = begins < self.frames
            np.add.at(self._sums, at[inside], power[inside])
            np.add.at(self._counts, at[inside], 1)
            self._done += self._hop * len(power)
        self._waiting = np.array(audio[:, windows.shape[1] * self._hop :])


def band_edges(highest_hz: float) -> NDArray[np.float64]:
    """The borders of the bands, at most up to ``highest_hz``."""
    return np.geomspace(LOWEST_HZ, max(2 * LOWEST_HZ, min(HIGHEST_HZ, highest_hz)), BANDS + 1)


def band_weights(bins: int, bin_hz: float, edges_hz: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mean over each band, ``(bins, bands)``: bins reach half way to their neighbours."""
    lower = (np.arange(bins)[:, np.newaxis] - 0.5) * bin_hz
    below, above = edges_hz[:-1], edges_hz[1:]
    shared = np.minimum(lower + bin_hz, above) - np.maximum(lower, below)
    return np.asarray(shared.clip(0) / (above - below), np.float32)
