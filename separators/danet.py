"""Voices apart with a deep attractor network (Chen, Luo, Mesgarani 2017)."""

from __future__ import annotations

from pathlib import Path

from separators.base import Audio, Separator, Transform
from separators.neural.clustered import ClusteredMasks
from separators.neural.inference import voices_transform
from separators.neural.weights import given, network
from separators.parameters import parameter


class DANet(Separator):
    """Two or three voices by their attractors: centroids of a network's embeddings, found by k-means."""

    name = "danet"
    summary = "two or three voices on one microphone, by attractors in an embedding of the spectrogram"

    speakers: int = parameter(2, "Number of voices.", minimum=2, maximum=3)
    seed: int = parameter(0, "Seed of the k-means starts.", minimum=0)
    weights: str = parameter(
        "", "Weights file to use instead of the trained ones of this package.", file=True
    )

    fit_seconds = 12.0
    block_seconds = 20.0
    overlap_seconds = 1.0

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``voice-1`` to ``voice-2`` or ``voice-3``."""
        return tuple(f"voice-{number}" for number in range(1, self.speakers + 1))

    def files(self) -> list[Path]:
        """The weights file, if one is given."""
        return given(self.name, self.weights)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """The sample is heard in front of the first block, so that it holds all voices."""
        trained = network(self.name, self.weights)
        masks = ClusteredMasks(trained, self.speakers, self.seed)
        return voices_transform(trained, masks, sample, sample_rate, self.block_seconds, self.overlap_seconds)
