"""The network of the voice separators: log-magnitude spectrogram in, what a head needs out.

A dense dilated temporal convolution network (after Bai, Kolter, Koltun 2018, and Luo, Mesgarani
2019, with full instead of depthwise convolutions, which are faster on a CPU) reads all frequency
bins of a frame as channels. One of two heads sits on top:

- ``masks``: a complex mask for each speaker; the masks of a bin sum to one, so stems sum to
  the mixture (mixture consistency, Wisdom et al. 2019).
- ``embeddings``: a unit vector for each time-frequency band, to be clustered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE = 16_000
"""The rate the networks work at, in hertz."""
WINDOW = 512
HOP = 256
BINS = WINDOW // 2 + 1
LINEAR_BINS = 128
"""Embeddings: bins below this one (4 kHz) stand alone; those above are pooled by :data:`POOL`."""
POOL = 4
BANDS = LINEAR_BINS + -(-(BINS - LINEAR_BINS) // POOL)
FLOOR = 1e-3
"""Added to magnitudes before the logarithm; an RMS of 1 gives magnitudes around 1."""


@dataclass(frozen=True)
class Architecture:
    """Size and head of a network; stored in its weights file."""

    head: str = "masks"
    channels: int = 288
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64) * 2
    speakers: int = 2
    dimensions: int = 16

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"dilations": list(self.dilations)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_dict`; unknown keys are ignored."""
        known = {field.name for field in fields(cls)}
        kept = {key: value for key, value in values.items() if key in known}
        return cls(**kept | {"dilations": tuple(kept["dilations"])})


class Block(nn.Module):
    """One residual step: non-linearity, normalisation over the whole segment, dilated convolution."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, times)`` in and out."""
        return x + self.conv(self.norm(functional.leaky_relu(x, 0.2)))  # type: ignore[no-any-return]


class Network(nn.Module):
    """Backbone and head; audio ``(batch, frames)`` at :data:`SAMPLE_RATE` and an RMS around 1."""

    window: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        outputs = {
            "masks": architecture.speakers * BINS * 2,
            "embeddings": BANDS * architecture.dimensions,
        }[architecture.head]
        channels = architecture.channels
        self.inputs = nn.Conv1d(BINS, channels, 1)
        self.blocks = nn.Sequential(*(Block(channels, dilation) for dilation in architecture.dilations))
        self.norm = nn.GroupNorm(1, channels)
        self.outputs = nn.Conv1d(channels, outputs, 1)
        self.register_buffer("window", torch.hann_window(WINDOW).sqrt(), persistent=False)
        self.register_buffer("feature_mean", torch.zeros(BINS, 1))
        self.register_buffer("feature_std", torch.ones(BINS, 1))

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Audio ``(..., frames)`` -> complex ``(..., bins, times)``."""
        flat = audio.reshape(-1, audio.shape[-1])
        spectrum = torch.stft(flat, WINDOW, HOP, window=self.window, return_complex=True, pad_mode="constant")
        return spectrum.view(*audio.shape[:-1], *spectrum.shape[1:])

    def audio(self, spectrum: Tensor, frames: int) -> Tensor:
        """The inverse of :meth:`spectrogram`."""
        flat = spectrum.reshape(-1, *spectrum.shape[-2:])
        audio = torch.istft(flat, WINDOW, HOP, window=self.window, length=frames)
        return audio.view(*spectrum.shape[:-2], frames)

    def log_magnitude(self, spectrum: Tensor) -> Tensor:
        """The features before normalisation, ``(batch, bins, times)``."""
        return torch.log(spectrum.abs() * (WINDOW / 2) ** -0.5 + FLOOR)

    def forward(self, spectrum: Tensor) -> Tensor:
        """The head's output for ``spectrum`` ``(batch, bins, times)``.

        Masks: complex ``(batch, speakers, bins, times)``, which sum to one.
        Embeddings: ``(batch, bands, times, dimensions)`` of unit length.
        """
        features = (self.log_magnitude(spectrum) - self.feature_mean) / self.feature_std
        hidden = self.blocks(self.inputs(features))
        raw = self.outputs(functional.leaky_relu(self.norm(hidden), 0.2)).float()
        batch, _, times = raw.shape
        if self.architecture.head == "embeddings":
            raw = raw.view(batch, BANDS, self.architecture.dimensions, times).transpose(2, 3)
            return functional.normalize(raw, dim=-1, eps=1e-6)
        masks = torch.view_as_complex(
            raw.view(batch, self.architecture.speakers, BINS, 2, times).transpose(3, 4).contiguous()
        )
        return masks + (1 - masks.sum(1, keepdim=True)) / self.architecture.speakers


def pool_bands(values: Tensor) -> Tensor:
    """Sums bins ``(..., bins, times)`` into the embeddings' bands ``(..., bands, times)``."""
    low, high = values[..., :LINEAR_BINS, :], values[..., LINEAR_BINS:, :]
    missing = -high.shape[-2] % POOL
    high = functional.pad(high, (0, 0, 0, missing))
    pooled = high.reshape(*high.shape[:-2], -1, POOL, high.shape[-1]).sum(-2)
    return torch.cat([low, pooled], -2)


def unpool_bands(values: Tensor) -> Tensor:
    """Repeats bands ``(..., bands, times)`` for each of their bins ``(..., bins, times)``."""
    low, high = values[..., :LINEAR_BINS, :], values[..., LINEAR_BINS:, :]
    return torch.cat([low, high.repeat_interleave(POOL, -2)[..., : BINS - LINEAR_BINS, :]], -2)
