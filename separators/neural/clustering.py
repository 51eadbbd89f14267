"""Sorts unit embeddings into voices: weighted k-means on the sphere, and masks from its centroids."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from separators.neural.network import pool_bands

LOUD_RANGE_DB = 40.0
"""Bands more than this below the loudest one do not shape the clusters."""
POINTS = 60_000
"""At most this many points are clustered, a random choice of all."""
RESTARTS = 4
ITERATIONS = 30
SHARPNESS = 5.0
"""Masks are the softmax of this times the product of embedding and attractor."""


@torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
def kmeans(points: Tensor, weights: Tensor, clusters: int, seed: int) -> Tensor:
    """Centroids ``(clusters, dimensions)``, weighted means, of unit vectors ``(points, dimensions)``.

    Assigns by cosine (spherical k-means, Dhillon and Modha 2001) from k-means++ starts (Arthur and
    Vassilvitskii 2007) and keeps the best of several. Points of weight 0 don't count; leave them
    in, so that the random choices stay the same when a gain moves a point across a threshold.
    Deterministic for a seed. Centroids are ordered by their total weight, heaviest first.
    """
    rng = np.random.default_rng(seed)
    if len(points) > POINTS:
        kept = torch.from_numpy(rng.choice(len(points), POINTS, replace=False))
        points, weights = points[kept], weights[kept]
    best: tuple[float, Tensor] | None = None
    for _ in range(RESTARTS):
        centroids = _seeds(points, weights, clusters, rng)
        labels = torch.full((len(points),), -1)
        for _ in range(ITERATIONS):
            cosine = points @ torch.nn.functional.normalize(centroids, dim=1).T
            closest, new_labels = cosine.max(1)
            if torch.equal(new_labels, labels):
                break
            labels = new_labels
            sums = torch.zeros_like(centroids).index_add_(0, labels, points * weights[:, None])
            mass = torch.zeros(clusters).index_add_(0, labels, weights)
            # A cluster that lost all its points stays where it was.
            centroids = torch.where(mass[:, None] > 0, sums / mass[:, None].clamp_min(1e-12), centroids)
        fitness = float((closest * weights).sum())
        if best is None or fitness > best[0] * (1 + 1e-6):
            best = fitness, centroids[mass.argsort(descending=True)]
    assert best is not None
    return best[1]


def _seeds(points: Tensor, weights: Tensor, clusters: int, rng: np.random.Generator) -> Tensor:
    """k-means++: each further seed is drawn in proportion to weight times distance to the nearest seed."""
    chosen: list[int] = []
    distance = torch.ones(len(points))
    for _ in range(clusters):
        cumulative = (weights * distance).double().cumsum(0)
        drawn = torch.searchsorted(cumulative, float(rng.random()) * cumulative[-1])
        chosen.append(min(int(drawn), len(points) - 1))
        distance = torch.minimum(distance, (1 - points @ points[chosen[-1]]).clamp_min(0))
    return points[chosen].clone()


@torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
def attractor_masks(embeddings: Tensor, attractors: Tensor) -> Tensor:
    """Masks ``(batch, speakers, bands, times)`` that sum to one.

    ``embeddings`` ``(batch, bands, times, dimensions)``, ``attractors`` ``(batch, speakers, dimensions)``.
    """
    return torch.softmax(SHARPNESS * torch.einsum("bftd,bkd->bkft", embeddings, attractors), 1)


def band_loudness(spectrum: Tensor) -> Tensor:
    """Magnitude of each band ``(batch, bands, times)``, 0 where it is far below the loudest."""
    power = pool_bands(spectrum.abs().square())
    limit = power.amax((1, 2), keepdim=True) * 10 ** (-LOUD_RANGE_DB / 10)
    return torch.where(power > limit, power, 0.0).sqrt()
