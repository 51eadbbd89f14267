"""Tells when two stems hold one voice: clustering always finds as many clusters as it is asked for.

Embeddings of different voices stand at right angles, or nearly so; those of a voice that was torn lie
close together. So do the masks of a network with an output per voice, looked at as embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separators.neural.clustering import band_loudness, kmeans
from separators.neural.network import BINS, Network, pool_bands

SAME = 0.85
"""Cosine between the centroids of clusters from which on they are the same voice."""


def join_same(masks: Tensor, centroids: Tensor) -> Tensor:
    """Give all masks of one voice to its first stem, and nothing to its others.

    ``masks`` ``(batch, stems, bins, times)``, those of the voices first; ``centroids``
    ``(voices, dimensions)``.
    """
    owners = same_voices(centroids)
    joined = torch.zeros_like(masks)
    for stem in range(masks.shape[1]):
        joined[:, owners[stem] if stem < len(owners) else stem] += masks[:, stem]
    return joined


def same_voices(centroids: Tensor) -> list[int]:
    """For each of ``centroids`` ``(voices, dimensions)`` the first one that is the same voice, by number."""
    unit = torch.nn.functional.normalize(centroids, dim=1)
    alike = unit @ unit.T > SAME
    owners: list[int] = []
    for number in range(len(centroids)):
        owners.append(next((owners[n] for n in range(number) if alike[n, number]), number))
    return owners


def mask_centroids(network: Network, masks: Tensor, audio: Tensor) -> Tensor:
    """Centroids ``(2, 3)`` of the masks ``(1, 2 or 3, bins, times)`` of two voices.

    ``audio`` ``(1, frames)`` is what they are for. Each band stands at half the difference and half the sum
    of the voices' masks, and at what they leave.
    """
    width = pool_bands(torch.ones(BINS, 1))
    first, second = (pool_bands(mask.real) / width for mask in masks[0, :2])
    rest = (1 - first - second) / 2**0.5
    points = torch.stack([(first - second) / 2, (first + second) / 2, rest], -1)
    points = torch.nn.functional.normalize(points, dim=-1)
    loudness = band_loudness(network.spectrogram(audio), points[None])
    centroids: Tensor = kmeans(points.flatten(0, 1), loudness.flatten(), 2, seed=0)
    return centroids
