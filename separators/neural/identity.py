"""Tells voices apart by who talks: a vector for a phrase, alike for phrases of one person.

Mel levels pass through dilated convolutions; means and deviations over the phrase, weighted by attention,
become a vector of length one (x-vectors, Snyder et al. 2018; attentive statistics, Okabe et al. 2018). The
larger the cosine of two vectors, the likelier are both phrases one person's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.neural import limits, mel
from separators.neural import weights as files
from separators.neural.network import SAMPLE_RATE, power

FORMAT = "stembridge-identity-1"
NAME = "voices-identity"
WINDOW = 512
HOP = 256
BANDS = 64
LOWEST_HERTZ, HIGHEST_HERTZ = 60.0, 7600.0
FLOOR_DB = -60.0
"""Bands this far below the phrase's level are as if silent."""
HEADS = 8
"""Groups of channels, each of which attends to moments of its own."""


class Identity(nn.Module):
    """Vectors of phrases."""

    def __init__(self, channels: int = 256, dimensions: int = 128) -> None:
        super().__init__()
        self.channels, self.dimensions = channels, dimensions
        self.first = nn.Conv1d(BANDS, channels, 5, stride=2, padding=2)
        self.later = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
            for dilation in (1, 2, 3, 4, 1)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in self.later)
        self.attention = nn.Conv1d(channels, HEADS, 1)
        self.output = nn.Linear(2 * channels, dimensions)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output.weight.device

    def forward(self, levels: Tensor, hops: Tensor | None = None) -> Tensor:
        """Vectors ``(phrases, dimensions)`` of length one for ``levels`` ``(phrases, bands, hops)``.

        ``hops`` ``(phrases,)`` says how many of each phrase count; behind them its levels must be 0.
        """
        hidden = functional.leaky_relu(self.first(levels), 0.1)
        times = torch.arange(hidden.shape[-1], device=hidden.device)
        there = torch.ones_like(times) > 0 if hops is None else 2 * times < hops[:, None]
        there = there.expand(len(hidden), -1)[:, None]
        for convolution, norm in zip(self.later, self.norms, strict=True):
            gain, bias = (cast(Tensor, value)[:, None] for value in (norm.weight, norm.bias))
            normed = _normed(hidden, there) * gain + bias
            hidden = hidden + functional.leaky_relu(convolution(normed * there), 0.1)
        weights = self.attention(hidden).masked_fill(~there, -torch.inf).softmax(-1)[:, :, None]
        grouped = hidden.reshape(len(hidden), HEADS, -1, hidden.shape[-1])
        mean = (weights * grouped).sum(-1)
        spread = ((weights * grouped.square()).sum(-1) - mean.square()).clamp_min(1e-6).sqrt()
        return functional.normalize(self.output(torch.cat([mean, spread], 1).flatten(1)), dim=1)


def _normed(hidden: Tensor, there: Tensor) -> Tensor:
    """``hidden`` ``(phrases, channels, times)`` with mean 0 and deviation 1 where it is ``there``."""
    count = hidden.shape[1] * there.sum((1, 2), keepdim=True)
    centred = hidden - (hidden * there).sum((1, 2), keepdim=True) / count
    return centred * ((centred * there).square().sum((1, 2), keepdim=True) / count + 1e-5).rsqrt()


def levels(audio: Tensor) -> Tensor:
    """Mel levels ``(..., bands, hops)`` of ``(..., frames)`` at 16 kHz, relative to its own level.

    In units of 20 dB.
    """
    window = torch.hann_window(WINDOW, device=audio.device)
    frames = functional.pad(audio, (WINDOW // 2, WINDOW // 2)).unfold(-1, WINDOW, HOP)
    bands = power(torch.fft.rfft(frames * window)) @ mel_filters().to(audio.device).T
    bands = bands / bands.sum(-1, keepdim=True).mean(-2, keepdim=True).clamp_min(1e-12)
    return (10 * torch.log10(bands.mT + 1e-12)).clamp_min(FLOOR_DB) / 20 + 1


@cache
def mel_filters() -> Tensor:
    """Triangular filters ``(bands, bins)``."""
    made = mel.triangles(SAMPLE_RATE, WINDOW, BANDS, LOWEST_HERTZ, HIGHEST_HERTZ)
    return torch.from_numpy(made.astype(np.float32))


def load(path: Path) -> Identity:
    """The network in the weights file ``path``."""

    def build(values: Mapping[str, Any]) -> Identity:
        channels, dimensions = values["channels"], values["dimensions"]
        limits.whole("channels", channels, HEADS, 1024)
        limits.whole("dimensions", dimensions, 2, 1024)
        return Identity(channels, dimensions)

    return files.read(path, FORMAT, build)


def save(network: Identity, path: Path, notes: Mapping[str, Any]) -> None:
    """Write ``network`` to a weights file with ``notes`` in its metadata."""
    values = {"channels": network.channels, "dimensions": network.dimensions}
    files.write(network, path, FORMAT, values, notes)
