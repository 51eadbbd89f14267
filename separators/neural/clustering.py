"""Sorts unit embeddings into voices: weighted k-means on the sphere, and masks from its centroids."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from separators.neural.network import pool_bands, power

LOUD_RANGE_DB = 40.0
"""Bands more than this below the loudest one do not shape the clusters."""
POINTS = 20_000
"""At most this many points are clustered, a random choice of all."""
RESTARTS = 4
ITERATIONS = 30
ANCHOR_SHARE = 0.2
"""What all anchors together weigh, beside all points."""
SHARPNESS = 5.0
"""Masks are the softmax of this times the product of embedding and attractor."""


def kmeans(
    points: Tensor, weights: Tensor, clusters: int, seed: int, anchors: Tensor | None = None
) -> Tensor:
    """Centroids ``(clusters, dimensions)``, weighted means, of unit vectors ``(..., dimensions)``.

    Assigns by cosine (spherical k-means, Dhillon and Modha 2001) from k-means++ starts (Arthur and
    Vassilvitskii 2007) and keeps the best of several. Points of weight 0 don't count; leave them
    in, so that the random choices stay the same when a gain moves a point across a threshold.
    Deterministic for a seed. Centroids are ordered by their total weight, heaviest first.
    With ``anchors`` ``(clusters, dimensions)`` it starts from these, keeps their order, and counts them
    among the points of their clusters.
    """
    with _in_full(points):
        return _kmeans(points, weights, clusters, seed, anchors)


def settled(points: Tensor, weights: Tensor, start: Tensor) -> Tensor:
    """The cluster ``(...)`` of each point ``(..., dimensions)`` where k-means settles from ``start``.

    ``weights`` are ``(...)``, ``start`` are centroids ``(clusters, dimensions)``.
    """
    with _in_full(points):
        flat = points.reshape(-1, points.shape[-1])
        centroids = _settle(flat, weights.flatten(), start, points.new_zeros(()))[0]
        return (flat @ torch.nn.functional.normalize(centroids, dim=1).T).argmax(1).view(weights.shape)


def _in_full(values: Tensor) -> torch.autocast:
    """No half precision on the device of ``values``."""
    return torch.autocast(values.device.type, enabled=False)


def _kmeans(points: Tensor, weights: Tensor, clusters: int, seed: int, anchors: Tensor | None) -> Tensor:
    rng = np.random.default_rng(seed)
    numbers = np.arange(weights.numel())
    if len(numbers) > POINTS:
        numbers = rng.choice(numbers, POINTS, replace=False)
    kept = tuple(
        torch.from_numpy(axis).to(points.device) for axis in np.unravel_index(numbers, weights.shape)
    )
    points, weights = points[kept], weights[kept]
    if anchors is not None:
        return _settle(points, weights, anchors, ANCHOR_SHARE * weights.sum() / clusters)[0]
    found = []
    for _ in range(RESTARTS):
        found.append(_settle(points, weights, _seeds(points, weights, clusters, rng), points.new_zeros(())))
    # The first of those that fit equally well.
    best = max(fitness for _, _, fitness in found) * (1 - 1e-6)
    centroids, mass = next(row[:2] for row in found if row[2] >= best)
    return centroids[mass.argsort(descending=True)]


def _settle(points: Tensor, weights: Tensor, start: Tensor, anchored: Tensor) -> tuple[Tensor, Tensor, float]:
    """Centroids, their mass and fitness from ``start``, each row of which weighs ``anchored``."""
    # One row per cluster and not per point: all steps then run along rows.
    rows = points.T.contiguous()
    numbers = torch.arange(len(start), device=points.device)[:, None]
    centroids, labels = start, torch.full((len(points),), -1, device=points.device)
    mass = points.new_zeros(len(start))
    for _ in range(ITERATIONS):
        closest, new_labels = (torch.nn.functional.normalize(centroids, dim=1) @ rows).max(0)
        if torch.equal(new_labels, labels):
            break
        labels = new_labels
        member = (labels == numbers) * weights
        mass = member.sum(1) + anchored
        sums = member @ points + anchored * start
        # A cluster that lost all its points stays where it was.
        centroids = torch.where(mass[:, None] > 0, sums / mass[:, None].clamp_min(1e-12), centroids)
    return centroids, mass, float((closest * weights).sum())


def _seeds(points: Tensor, weights: Tensor, clusters: int, rng: np.random.Generator) -> Tensor:
    """k-means++: each further seed is drawn in proportion to weight times distance to the nearest seed."""
    seeds: list[Tensor] = []
    distance = points.new_ones(len(points))
    for _ in range(clusters):
        # In double precision, which Apple's GPUs lack.
        exact = torch.float32 if points.device.type == "mps" else torch.float64
        cumulative = (weights * distance).to(exact).cumsum(0)
        drawn = torch.searchsorted(cumulative, float(rng.random()) * cumulative[-1])
        seeds.append(points[min(int(drawn), len(points) - 1)])
        distance = torch.minimum(distance, (1 - points @ seeds[-1]).clamp_min(0))
    return torch.stack(seeds)


def background_attractor(dimensions: int, device: torch.device) -> Tensor:
    """Where all that is no voice is put ``(dimensions,)``: the last axis of the embeddings.

    A place that is known beforehand, as nothing in one mixture tells which of its clusters is the music.
    """
    return torch.arange(1 - dimensions, 1, device=device).eq(0).float()


def attractor_masks(embeddings: Tensor, attractors: Tensor, background: bool = False) -> Tensor:
    """Masks ``(batch, speakers, bands, times)`` that sum to one; with a ``background`` one more, its own.

    ``embeddings`` ``(batch, bands, times, dimensions)``, ``attractors`` ``(batch, speakers, dimensions)``.
    """
    if background:
        fixed = background_attractor(attractors.shape[-1], attractors.device)
        attractors = torch.cat([attractors, fixed.expand(len(attractors), 1, -1)], 1)
    with _in_full(embeddings):
        # Bands and times in the order in which they lie in memory.
        products = torch.einsum("btfd,bkd->bktf", embeddings.transpose(1, 2), attractors)
        return torch.softmax(SHARPNESS * products, 1).transpose(2, 3)


def band_loudness(spectrum: Tensor, embeddings: Tensor | None = None) -> Tensor:
    """Magnitude of each band ``(batch, bands, times)``, 0 where it is far below the loudest.

    Bands whose ``embeddings`` say that they are background count less.
    """
    energy = pool_bands(power(spectrum))
    limit = energy.amax((1, 2), keepdim=True) * 10 ** (-LOUD_RANGE_DB / 10)
    loudness = torch.where(energy > limit, energy, 0.0).sqrt()
    return loudness if embeddings is None else of_voices(loudness, embeddings)


def of_voices(loudness: Tensor, embeddings: Tensor) -> Tensor:
    """``loudness`` of bands, less where their ``embeddings`` say that they are background."""
    return loudness * (1 - embeddings[..., -1].clamp(0, 1))
