"""How drums sound on average: where the drums mode begins.

The templates were learned by ``scripts/learn_drum_templates.py``; their card,
``data/drum_templates.md``, names the recordings and licences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import load_file
from scipy.interpolate import RegularGridInterpolator

from separators.nmf.solver import Matrix
from separators.spectral import STFT

DRUMS = ("kick", "snare", "hihat", "hihat-open", "tom", "clap", "cymbal", "percussion")
"""What templates were learned of; ``hihat`` is a closed one."""
PATH = Path(__file__).parent / "data" / "drum_templates.safetensors"

# The analysis the templates were learned with. The file knows nothing of it but the size of its arrays.
RATE = 44100
STFT_OF_TEMPLATES = STFT(2048, 512)
FRAMES = 12
"""Frames in a template: 139 ms. What rings on longer is explained by further, weak events."""

HOP_SECONDS = STFT_OF_TEMPLATES.hop / RATE
BIN_HZ = RATE / STFT_OF_TEMPLATES.fft_size


def templates(drums: Sequence[Matrix], stft: STFT, sample_rate: int) -> Matrix:
    """The magnitudes of ``drums``, ``(frames, bins)`` as learned, as ``stft`` sees them at ``sample_rate``.

    ``(drums, frames, bins)``; as many frames as last as long, each drum's values sum to one.
    """
    hop = stft.hop / sample_rate
    seconds = np.arange(max(1, round(FRAMES * HOP_SECONDS / hop))) * hop
    hertz = np.arange(stft.bins) * sample_rate / stft.fft_size
    return np.stack([_at(drum, seconds, hertz) for drum in drums])


@cache
def learned() -> dict[str, Matrix]:
    """The templates as learned, ``(frames, bins)`` each, in the order of :data:`DRUMS`."""
    arrays = load_file(PATH)
    return {drum: arrays[drum] for drum in DRUMS}


def _at(drum: Matrix, seconds: ArrayLike, hertz: ArrayLike) -> Matrix:
    """``drum`` between its frames and bins; beyond them, as at the last one."""
    times, frequencies = np.arange(drum.shape[0]) * HOP_SECONDS, np.arange(drum.shape[1]) * BIN_HZ
    inside = np.minimum(seconds, times[-1]), np.minimum(hertz, frequencies[-1])
    points = np.meshgrid(*inside, indexing="ij")
    values = RegularGridInterpolator((times, frequencies), drum)(np.stack(points, axis=-1))
    return np.asarray(values / values.sum(), np.float32)
