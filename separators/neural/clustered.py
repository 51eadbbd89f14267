"""Stems from clustered embeddings: one set of centroids for a whole file, so no block can swap voices."""

from __future__ import annotations

import torch
from torch import Tensor

from separators.base import Audio, Transform
from separators.neural.clustering import attractor_masks, band_loudness, kmeans
from separators.neural.inference import leading_signal, resample, separate_block
from separators.neural.network import SAMPLE_RATE, Network, unpool_bands

PIECE_SECONDS = 15.0
"""The fitting sample goes through the network in pieces of this length."""


def clustered_transform(
    network: Network, sample: Audio, sample_rate: int, speakers: int, seed: int
) -> Transform:
    """Cluster the embeddings of ``sample``, and mask every block by the distances to the same centroids."""
    centroids = find_centroids(network, sample, sample_rate, speakers, seed)

    def masks(audio: Tensor) -> Tensor:
        return unpool_bands(attractor_masks(network(audio), centroids[None]))

    def transform(block: Audio) -> Audio:
        return separate_block(network, masks, block, sample_rate)[0]

    return transform


def find_centroids(network: Network, sample: Audio, sample_rate: int, speakers: int, seed: int) -> Tensor:
    """The centroids ``(speakers, dimensions)`` of the embeddings of ``sample``, weighted by loudness."""
    frames = max(1, round(sample.shape[-1] * SAMPLE_RATE / sample_rate))
    signal = leading_signal(resample(sample, sample_rate, SAMPLE_RATE, frames))
    piece = round(PIECE_SECONDS * SAMPLE_RATE)
    points: list[Tensor] = []
    weights: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(signal), piece):
            audio = torch.from_numpy(signal[None, start : start + piece])
            points.append(network(audio).flatten(0, 2))
            weights.append(band_loudness(network.spectrogram(audio)).flatten())
        centroids: Tensor = kmeans(torch.cat(points), torch.cat(weights), speakers, seed)
    return centroids
