"""Masks from clustered embeddings, each block from the centroids of the one before."""

from __future__ import annotations

from torch import Tensor

from separators.neural.clustering import attractor_masks, band_loudness, kmeans
from separators.neural.network import Network, unpool_bands
from separators.neural.pauses import Masks
from separators.neural.separator import VoiceSeparator
from separators.parameters import parameter


class ClusteredMasks:
    """Masks by the distances to the centroids of a block's own embeddings; blocks come in order of time."""

    def __init__(self, network: Network, speakers: int, seed: int) -> None:
        self.network = network
        self.speakers = speakers
        self.seed = seed
        self.centroids: Tensor | None = None
        """``(speakers, dimensions)`` of the last block."""

    def __call__(self, audio: Tensor) -> Tensor:
        """Audio ``(1, frames)`` at 16 kHz -> masks ``(1, speakers, bins, times)``, which sum to one."""
        embeddings = self.network(audio)
        loudness = band_loudness(self.network.spectrogram(audio))
        self.centroids = kmeans(
            embeddings.flatten(0, 2), loudness.flatten(), self.speakers, self.seed, self.centroids
        )
        return unpool_bands(attractor_masks(embeddings, self.centroids[None]))


class ClusteredVoices(VoiceSeparator):
    """Two or three voices by k-means of a network's embeddings."""

    speakers: int = parameter(default=2, help="Number of voices.", minimum=2, maximum=3)
    seed: int = parameter(default=0, help="Seed of the k-means starts.", minimum=0)

    head = "embeddings"

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """``voice-1`` to ``voice-2`` or ``voice-3``."""
        return tuple(f"voice-{number}" for number in range(1, self.speakers + 1))

    def masks(self, network: Network) -> Masks:
        """Those of :class:`ClusteredMasks`."""
        return ClusteredMasks(network, self.speakers, self.seed)
