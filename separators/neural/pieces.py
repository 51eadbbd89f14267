"""A block in several shorter ones, for devices whose memory does not hold it at once."""

from __future__ import annotations

import numpy as np

from separators.base import Audio, Transform


def in_pieces(transform: Transform, block: Audio, parts: int, overlap: int) -> Audio:
    """``transform`` of about ``parts`` pieces of ``block``, which overlap by ``overlap`` frames, cross-faded.

    Blocks that are hardly longer than the overlap stay whole.
    """
    frames = block.shape[-1]
    step = max(2 * overlap, -(-frames // parts))
    if parts == 1 or step >= frames - overlap:
        return transform(block)
    stems: Audio | None = None
    rise = np.linspace(0, 1, overlap, dtype=np.float32)
    for start in range(0, frames - overlap, step):
        found = transform(block[:, start : start + step + overlap])
        if stems is None:
            stems = np.zeros((*found.shape[:2], frames), np.float32)
        if start:
            found[..., :overlap] *= rise
            stems[..., start : start + overlap] *= 1 - rise
        stems[..., start : start + found.shape[-1]] += found
    assert stems is not None  # there is at least one piece
    return stems
