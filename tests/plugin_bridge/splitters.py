"""Small real separators, whose stems a test can tell beforehand."""

from __future__ import annotations

import numpy as np

from separators import Audio, ChannelError, Separator, parameter
from separators.base import Transform


class Shares(Separator):
    """Stem k is its share of the mixture: 1, 2, ... parts of all."""

    name = "shares"
    summary = "shares the mixture out"
    fit_seconds = 1.0
    block_seconds = 1.0
    overlap_seconds = 0.1
    stems: int = parameter(default=2, help="Number of stems.", minimum=1, maximum=16)

    def stem_names(self, channels: int) -> tuple[str, ...]:
        return tuple(f"share-{k + 1}" for k in range(self.stems))

    def weights(self) -> Audio:
        weights = np.arange(1, self.stems + 1, dtype=np.float32)
        return weights / weights.sum()

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        weights = self.weights()[:, np.newaxis, np.newaxis]
        return lambda block: weights * block


class Bands(Separator):
    """Splits into ``low``, a moving average, and ``high``, what is left."""

    name = "bands"
    summary = "splits into two bands"
    fit_seconds = 1.0
    block_seconds = 1.0
    overlap_seconds = 0.1
    width: int = parameter(default=8, help="Length of the average.", unit="samples", minimum=1, maximum=100)
    label: str = parameter(default="plain", help="Any text.")

    def stem_names(self, channels: int) -> tuple[str, ...]:
        if channels > 8:
            raise ChannelError(f"bands takes at most 8 channels, not {channels}")
        return ("low", "high")

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        def transform(block: Audio) -> Audio:
            padded = np.pad(block, ((0, 0), (self.width - 1, 0)))
            sums = np.cumsum(padded, axis=1, dtype=np.float64)
            sums[:, self.width :] -= sums[:, : -self.width].copy()
            low = (sums[:, self.width - 1 :] / self.width).astype(np.float32)
            return np.stack([low, block - low])

        return transform


def noise(channels: int, frames: int, seed: int = 0, level: float = 0.2) -> Audio:
    """White noise ``(channels, frames)``."""
    return (level * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)
