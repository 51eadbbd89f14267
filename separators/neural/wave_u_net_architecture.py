"""Size and layout of a Wave-U-Net, and what both layouts have in common.

After Stoller, Ewert, Dixon (2018). Levels of ever lower rate look at ever longer stretches of the
music; on the way up, each level is joined with what the way down kept at its rate. All stems but
the last are estimated, the last is the difference to the mixture, so stems sum to it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from separators.neural import limits
from separators.neural.stored_architecture import StoredArchitecture

LONGEST_STRIDE = 1 << 20
"""Frames for each of the lowest level that a network can have at most."""
ALL = slice(None)
SLOPE = 0.2
"""Of the leaky rectifier below zero."""


@dataclass(frozen=True)
class Architecture(StoredArchitecture):
    """Size and layout of a network; stored in its weights file."""

    layout: str = "fourier"
    stems: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    audio_channels: int = 2
    sample_rate: int = 44_100
    channels: tuple[int, ...] = (24, 48, 96, 144, 192)
    """Features of each level, from the highest rate to the lowest."""
    strides: tuple[int, ...] = (1024, 1, 2, 2, 1, 1)
    """By how much each level lowers the rate; in the paper's layout always 2. Fourier: the first is
    that of the filters, and every later level also halves the number of bands."""
    kernels: tuple[int, int] = (4096, 3)
    """Fourier: length of the window, and of the residual blocks. Paper: on the way down, on the way up."""
    resolution: int = 160
    """Fourier: bands are one bin wide up to twice this bin, and above it this fraction of their frequency."""
    dilations: tuple[int, ...] = (1,)
    """Fourier: in time, of the residual blocks of every level but the lowest, on both ways."""
    bottom_dilations: tuple[int, ...] = (1, 2)
    """Fourier: of the residual blocks of the lowest level."""
    passes: int = 1
    """Fourier: 2 if a second network hears, beside the mixture, the stems that one like it found there."""

    @classmethod
    def paper(cls, levels: int = 12, growth: int = 24, **values: Any) -> Architecture:
        """The layout of the paper's M4 (difference output, context, stereo), here with four stems."""
        channels = tuple(growth * (level + 1) for level in range(levels + 1))
        sizes: dict[str, Any] = {
            "layout": "paper",
            "channels": channels,
            "strides": (2,) * levels,
            "kernels": (15, 5),
            "dilations": (),
            "bottom_dilations": (),
        }
        return cls(**sizes | values)

    def check(self) -> None:
        """Raise ValueError unless a network can be made of this and run."""
        limits.one_of("layout", self.layout, ("fourier", "paper"))
        names = self.stems
        if not (
            isinstance(names, tuple) and 2 <= len(names) <= 16 and all(isinstance(n, str) for n in names)
        ):
            raise ValueError(f"stems must be 2 to 16 names, not {names!r:.40}")
        limits.whole("audio_channels", self.audio_channels, 1, 2)
        limits.whole("sample_rate", self.sample_rate, 1000, 400_000)
        limits.wholes("channels", self.channels, 1, 8192)
        limits.wholes("strides", self.strides, 1, 8192, most=24)
        limits.wholes("kernels", self.kernels, 1, 16384, most=2)
        limits.whole("resolution", self.resolution, 1, 16384)
        limits.wholes("dilations", self.dilations, 1, 256, most=16)
        limits.wholes("bottom_dilations", self.bottom_dilations, 1, 256, most=16)
        limits.whole("passes", self.passes, 1, 2 if self.layout == "fourier" else 1)
        levels = len(self.strides)
        if len(self.kernels) != 2 or levels < 2 or prod(self.strides) > LONGEST_STRIDE:
            raise ValueError(f"strides {self.strides} and kernels {self.kernels} make no network")
        if self.layout == "paper":
            fits = len(self.channels) == levels + 1 and set(self.strides) == {2}
        else:
            window, stride = self.kernels[0], self.strides[0]
            # Windows overlap evenly, blocks are odd, and bands remain at the lowest level.
            fits = len(self.channels) == levels - 1 and window % stride == 0 and window >= 2 * stride
            fits = fits and self.kernels[1] % 2 == 1 and self.kernels[1] <= 15 and window >= 2**levels
        if not fits:
            raise ValueError(
                f"channels {self.channels}, strides {self.strides} and kernels {self.kernels} "
                f"do not fit the layout {self.layout}"
            )


class WaveUNet(nn.Module):
    """Base of both layouts: stereo audio ``(batch, channels, frames)`` at an RMS around 1 in, stems out.

    See :meth:`segment` for how much context the output needs.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.estimated = (len(architecture.stems) - 1) * architecture.audio_channels

    @property
    def device(self) -> torch.device:
        """Where it is, and what it hears must be."""
        return next(self.parameters()).device

    def forward(self, mixture: Tensor, wanted: int | None = None) -> Tensor:
        """Stems ``(batch, stems, channels, frames)``, which sum to the mixture.

        ``wanted`` is how many frames, from the middle, are of use to the caller. Without it there
        are as many as of ``mixture``, or in the paper's layout as many as have their full context.
        """
        stems = self.estimate(mixture, wanted).float()
        heard = centre(mixture, stems.shape[-1])
        return torch.cat([stems, (heard - stems.sum(1))[:, None]], 1)

    def estimate(self, mixture: Tensor, wanted: int | None, which: slice = ALL) -> Tensor:
        """``which`` of all stems but the last, ``(batch, stems, channels, frames)``; see :meth:`forward`."""
        raise NotImplementedError

    def segment(self, frames: int) -> tuple[int, int]:
        """Lengths ``(input, output)`` for segments of at least ``frames``.

        The ``output`` central frames of ``input`` do not depend on anything outside the input.
        ``output`` is a multiple of the total stride: the network treats shifts by that much
        alike, but no others.
        """
        raise NotImplementedError

    @property
    def total_stride(self) -> int:
        """Input frames for each frame of the lowest rate."""
        return prod(self.architecture.strides)


def centre(x: Tensor, frames: int) -> Tensor:
    """As many frames from the middle of ``x`` ``(..., frames)``."""
    start = (x.shape[-1] - frames) // 2
    return x[..., start : start + frames]
