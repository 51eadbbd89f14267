"""What is no voice, where it gets no stem of its own: it stays with who talks."""

from __future__ import annotations

import torch
from torch import Tensor

from separators.neural.network import HOP, SAMPLE_RATE, power

SMOOTH = 2 * (SAMPLE_RATE // HOP // 4) + 1
"""Moments over which it is seen who talks: half a second, so that music does not jump with syllables."""
SILENT = 1e-3
"""While nobody is louder than this part of the mixture's energy, the first stem has the background."""


def shared_background(masks: Tensor, spectrum: Tensor) -> Tensor:
    """Masks ``(voices, bins, times)`` of ``masks`` ``(voices + 1, bins, times)``, the last the background's.

    Both sum to one. ``spectrum`` ``(bins, times)`` is what the masks are for. Each moment of the background
    is shared out as the voices' energies are: one voice alone keeps its room, and the other stem is silent.
    """
    energy = power(masks * spectrum).sum(1)
    mixture = power(spectrum).sum(0)
    smooth = torch.nn.functional.avg_pool1d(
        torch.cat([energy[:-1], mixture[None]])[:, None], SMOOTH, 1, SMOOTH // 2, count_include_pad=False
    )[:, 0]
    voices = smooth[:-1].clone()
    voices[0] += SILENT * smooth[-1] + 1e-20
    shares = voices / voices.sum(0)
    return masks[:-1] + shares[:, None] * masks[-1:]
