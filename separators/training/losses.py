"""Losses of the neural separators.

- :func:`pit_loss`: utterance-level permutation invariant training (Kolbaek et al. 2017) on SI-SDR.
- :func:`si_sdr`: scale-invariant signal-to-distortion ratio (Le Roux et al. 2019).
"""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

CLAMP_DB = 30.0
"""An estimate better than this earns nothing more: easy pairs must not outweigh hard ones."""


def si_sdr(estimate: Tensor, target: Tensor, clamp_db: float = CLAMP_DB) -> Tensor:
    """SI-SDR in dB over the last axis, softly limited to ``clamp_db``; a silent target gives 0 gradient."""
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


def pit_loss(estimates: Tensor, targets: Tensor) -> Tensor:
    """Negative SI-SDR in dB of ``(batch, speakers, frames)`` under the best permutation of each mixture."""
    scores = si_sdr(estimates[:, :, None], targets[:, None])
    return -best_permutation(scores)[0].mean()
