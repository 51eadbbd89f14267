"""The Wave-U-Net in the layout of its paper (Stoller, Ewert, Dixon 2018).

Twelve levels halve the rate, by convolution and decimation on the way down, linear interpolation and
convolution on the way up. Nothing is padded: the output is shorter than the input by the context that it saw.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.neural.wave_u_net_architecture import ALL, SLOPE, Architecture, WaveUNet, centre


class PaperWaveUNet(WaveUNet):
    """The layout of the paper, with valid convolutions."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        channels = architecture.channels
        down, up = architecture.kernels
        inputs = (architecture.audio_channels, *channels)
        self.down = nn.ModuleList(
            nn.Conv1d(inputs[level], channels[level], down) for level in range(len(architecture.strides))
        )
        self.bottom = nn.Conv1d(channels[-2], channels[-1], down)
        self.up = nn.ModuleList(
            nn.Conv1d(channels[level + 1] + channels[level], channels[level], up)
            for level in reversed(range(len(architecture.strides)))
        )
        self.outputs = nn.Conv1d(channels[0] + architecture.audio_channels, self.estimated, 1)

    def estimate(self, mixture: Tensor, wanted: int | None, which: slice = ALL) -> Tensor:
        """See :meth:`WaveUNet.estimate`."""
        kept = []
        hidden = mixture
        for conv in self.down:
            kept.append(functional.leaky_relu(conv(hidden), SLOPE))
            hidden = kept[-1][..., ::2]
        hidden = functional.leaky_relu(self.bottom(hidden), SLOPE)
        for conv in self.up:
            hidden = functional.interpolate(
                hidden, size=2 * hidden.shape[-1] - 1, mode="linear", align_corners=True
            )
            hidden = torch.cat([centre(kept.pop(), hidden.shape[-1]), hidden], 1)
            hidden = functional.leaky_relu(conv(hidden), SLOPE)
        found: Tensor = self.outputs(torch.cat([centre(mixture, hidden.shape[-1]), hidden], 1))
        found = found.reshape(len(found), -1, mixture.shape[1], found.shape[-1])[:, which]
        return found if wanted is None else centre(found, wanted)

    def segment(self, frames: int) -> tuple[int, int]:
        """See :meth:`WaveUNet.segment`."""
        down, up = self.architecture.kernels
        grid = self.total_stride
        output = bottom = 0
        while output // grid * grid < frames:
            bottom += 1
            output = bottom
            for _ in self.up:
                output = max(0, 2 * output - up)
        needed = bottom + down - 1
        for _ in self.down:
            needed = 2 * needed - 1 + down - 1
        return needed, output // grid * grid
