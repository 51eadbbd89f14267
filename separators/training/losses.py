"""Losses of the neural separators.

- :func:`pit_loss`: utterance-level permutation invariant training (Kolbaek et al. 2017) on the
  scale-invariant signal-to-distortion ratio (Le Roux et al. 2019).
- :func:`affinity_loss`: Deep Clustering (Hershey et al. 2016).
- :func:`attractors`: the ideal ones of DANet (Chen, Luo, Mesgarani 2017).
"""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

CLAMP_DB = 30.0
"""An estimate better than this earns nothing more: easy pairs must not outweigh hard ones."""
QUIET_DB = 40.0
"""The same for a silent voice: this far below the mixture it is not heard."""
SILENT = 1e-6
"""A target below this part of the mixture's energy is silent: there is no direction to measure along."""


def si_sdr(estimate: Tensor, target: Tensor, clamp_db: float = CLAMP_DB) -> Tensor:
    """SI-SDR in dB over the last axis, softly limited to ``clamp_db``."""
    energy = target.square().sum(-1, keepdim=True)
    scaled = (estimate * target).sum(-1, keepdim=True) / (energy + 1e-8) * target
    signal = scaled.square().sum(-1)
    noise = (estimate - scaled).square().sum(-1)
    return 10 * torch.log10((signal + 1e-8) / (noise + 10 ** (-clamp_db / 10) * signal + 1e-8))


def best_permutation(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Best assignment by mean score: ``scores[b, i, j]`` of estimate i for target j.

    Returns the mean ``(batch,)`` and, for each target, its estimate ``(batch, speakers)``.
    """
    speakers = scores.shape[-1]
    orders = torch.tensor(list(permutations(range(speakers))), device=scores.device)
    picked = scores[:, orders, torch.arange(speakers)].mean(-1)
    best, index = picked.max(1)
    return best, orders[index]


def separation(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """SI-SDR in dB; for a silent target instead how far the estimate stays below the mixture.

    They end at :data:`CLAMP_DB` and :data:`QUIET_DB`. All are ``(..., frames)`` and broadcast.
    """
    silent = targets.square().sum(-1) < SILENT * mixture.square().sum(-1)
    return torch.where(silent, faithfulness(estimates, 0, mixture), si_sdr(estimates, targets))


def faithfulness(estimates: Tensor, targets: Tensor | float, mixture: Tensor) -> Tensor:
    """How far in dB the error of ``estimates`` stays below the mixture, up to :data:`QUIET_DB`."""
    whole = mixture.square().sum(-1)
    rest = (estimates - targets).square().sum(-1) + 10 ** (-QUIET_DB / 10) * whole
    return 10 * torch.log10((whole + 1e-8) / (rest + 1e-8))


def pit_loss(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Negative :func:`separation` of ``(batch, speakers, frames)`` under each mixture's best permutation.

    ``mixture`` is ``(batch, frames)``.
    """
    scores = separation(estimates[:, :, None], targets[:, None], mixture[:, None, None])
    return -best_permutation(scores)[0].mean()


@torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
def attractors(embeddings: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean embedding of each speaker (Chen, Luo, Mesgarani 2017), ``(batch, speakers, dimensions)``.

    ``embeddings`` ``(batch, bands, times, dimensions)``; ``weights`` ``(batch, speakers, bands, times)``.
    """
    sums = torch.einsum("bkft,bftd->bkd", weights, embeddings)
    return sums / weights.sum((2, 3))[..., None].clamp_min(1e-6)


@torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
def affinity_loss(embeddings: Tensor, weights: Tensor) -> Tensor:
    """Deep clustering's own loss (Hershey et al. 2016), weighted by loudness: ``|VV' - YY'|``, squared.

    ``embeddings`` ``(batch, bands, times, dimensions)``; ``weights[b, k, f, t]`` is the loudness of a
    band where speaker ``k`` is the loudest, else 0. From 0, where the embeddings of a
    speaker are the same and those of different speakers at right angles, to about 1.
    """
    loudness = weights.sum(1)
    assignment = (weights > 0).to(weights.dtype)
    vv = torch.einsum("bft,bftd,bfte->bde", loudness, embeddings, embeddings)
    vy = torch.einsum("bkft,bftd->bkd", weights, embeddings)
    yy = torch.einsum("bft,bkft,blft->bkl", loudness, assignment, assignment)
    squared = vv.square().sum((1, 2)) - 2 * vy.square().sum((1, 2)) + yy.square().sum((1, 2))
    return (squared / loudness.sum((1, 2)).square().clamp_min(1e-12)).mean()
