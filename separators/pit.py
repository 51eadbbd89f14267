"""Voices apart with a network trained under permutation invariance (Yu et al. 2017, Kolbaek et al. 2017)."""

from __future__ import annotations

from pathlib import Path

from separators.base import Audio, Separator, Transform
from separators.neural.inference import voices_transform
from separators.neural.weights import given, network
from separators.parameters import parameter


class PIT(Separator):
    """Two voices by complex masks, one output of the network per voice; fast, no clustering."""

    name = "pit"
    summary = "two voices on one microphone, by a network with one output per voice"

    weights: str = parameter(
        "", "Weights file to use instead of the trained ones of this package.", file=True
    )

    fit_seconds = 12.0
    block_seconds = 20.0
    overlap_seconds = 1.0

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``voice-1`` and ``voice-2``."""
        return ("voice-1", "voice-2")

    def files(self) -> list[Path]:
        """The weights file, if one is given."""
        return given(self.name, self.weights)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """The sample is heard in front of the first block, so that it holds all voices."""
        trained = network(self.name, self.weights)
        return voices_transform(
            trained, trained, sample, sample_rate, self.block_seconds, self.overlap_seconds
        )
