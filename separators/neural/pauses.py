"""Long pauses are cut out of what a network hears: its norms run over the whole block, silence included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from separators.base import Audio
from separators.neural.network import HOP

Masks = Callable[[Tensor], Tensor]
"""Audio ``(1, frames)`` at 16 kHz -> masks ``(1, stems, bins, times)``, which sum to one."""

QUIET = 1e-6
"""A pause's power lies this far below that of the loudest moment."""
MARGIN = 16
"""Hops that are kept before and after all that is louder."""


def masks_without_pauses(masks: Masks, audio: Audio, device: torch.device) -> Tensor:
    """Masks ``(stems, bins, times)`` of ``(frames,)`` whose pauses are not heard, and shared out equally.

    They are worked out on ``device``.
    """
    hops = -(-len(audio) // HOP)
    pieces = np.pad(audio, (0, hops * HOP - len(audio))).reshape(hops, HOP)
    power = np.square(pieces).mean(1)
    loud = (power >= QUIET * power.max()).astype(np.float32)
    kept = np.flatnonzero(np.convolve(loud, np.ones(2 * MARGIN + 1), "same")[:hops] > 0.5)
    if len(kept) == hops:
        return masks(torch.from_numpy(audio)[None].to(device))[0]
    found = masks(torch.from_numpy(pieces[kept].reshape(1, -1)).to(device))[0]
    spread = torch.full((*found.shape[:2], hops + 1), 1 / len(found), dtype=found.dtype, device=device)
    # A time of the masks is where a hop begins; the last is where the last hop ends.
    spread[..., torch.from_numpy(np.append(kept, kept[-1] + 1)).to(device)] = found
    return spread[..., : 1 + len(audio) // HOP]
