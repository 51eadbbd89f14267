"""Masks from clustered embeddings, each block from the centroids of the one before."""

from __future__ import annotations

from torch import Tensor

from separators.neural.clustering import attractor_masks, band_loudness, kmeans
from separators.neural.network import Network, unpool_bands
from separators.neural.pauses import Masks
from separators.neural.same_voice import join, one_alone, same_voices
from separators.neural.separator import VoiceSeparator
from separators.parameters import parameter

MOST = 3
"""More voices at once were never heard in training."""


class ClusteredMasks:
    """Masks by the distances to the centroids of a block's own embeddings; blocks come in order of time."""

    def __init__(self, network: Network, speakers: int, seed: int) -> None:
        self.network = network
        self.speakers = speakers
        self.seed = seed
        self.centroids: Tensor | None = None
        """``(speakers, dimensions)`` of the last block."""

    def __call__(self, audio: Tensor) -> Tensor:
        """Audio ``(1, frames)`` at 16 kHz -> masks ``(1, speakers, bins, times)``, which sum to one.

        With a background's mask behind those of the speakers where the network knows of one.
        """
        heard = self.network.hear(audio)
        embeddings = self.network(audio, heard)
        background = self.network.architecture.background
        loudness = band_loudness(heard.spectrum, embeddings if background else None)
        centroids = kmeans(embeddings, loudness, self.speakers, self.seed, self.centroids)
        masks = unpool_bands(attractor_masks(embeddings, centroids[None], background))
        if not background:  # it never heard a voice alone, and could not tell
            self.centroids = centroids
            return masks
        owners = same_voices(centroids)
        # A first pass with masks has outputs that nobody is on: it tells better than clusters who is alone.
        first_voices = self.network.architecture.speakers
        if heard.parts is not None and one_alone(heard.parts[0, :first_voices]):
            owners = [0] * self.speakers
        # Where fewer voices were heard than clusters found, the next block looks for all of them anew.
        self.centroids = centroids if len({*owners}) == self.speakers else None
        return join(masks, owners)


class ClusteredVoices(VoiceSeparator):
    """Two or three voices by k-means of a network's embeddings."""

    speakers: int | str = parameter(
        default=2,
        help="Number of stems for voices; auto: three, of which those are silent that nobody is there for.",
        minimum=2,
        maximum=MOST,
        words=("auto",),
    )
    seed: int = parameter(default=0, help="Seed of the k-means starts.", minimum=0)

    head = "embeddings"

    @property
    def voices(self) -> int:
        """As many as ``speakers`` says; the most there can be where it leaves that open."""
        return MOST if isinstance(self.speakers, str) else self.speakers

    def masks(self, network: Network) -> Masks:
        """Those of :class:`ClusteredMasks`."""
        return ClusteredMasks(network, self.voices, self.seed)
