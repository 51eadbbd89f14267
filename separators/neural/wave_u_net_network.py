"""The Wave-U-Net: a U-shaped convolutional network on the waveform.

After Stoller, Ewert, Dixon (2018). Levels of ever lower rate look at ever longer stretches of the
music; on the way up, each level is joined with what the way down kept at its rate. All stems but
the last are estimated, the last is the difference to the mixture, so stems sum to it exactly.

One class, two layouts (:class:`Architecture`):

- ``paper``: twelve levels that halve the rate, convolution and decimation on the way down, linear
  interpolation and convolution on the way up, no padding: the output is shorter than the
  input by the context that it saw.
- ``filters``: few levels with large strides. The first is a bank of learnt filters in pairs (begun as the
  cosines and sines of a Fourier transform): the levels below see how loud each pair is, and the output
  shares each pair out among the stems and turns its phase, before the same filters make audio of
  it again. Much faster on a CPU, and sooner trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Of the leaky rectifier below zero."""
QUIET = 1e-3
"""Added to the loudness of a pair of filters before the logarithm."""


@dataclass(frozen=True)
class Architecture:
    """Size and layout of a network; stored in its weights file."""

    layout: str = "filters"
    stems: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    audio_channels: int = 2
    sample_rate: int = 44_100
    channels: tuple[int, ...] = (256, 384)
    """Features of each level, from the highest rate to the lowest."""
    strides: tuple[int, ...] = (512, 4)
    """By how much each level lowers the rate; in the paper's layout always 2."""
    kernels: tuple[int, int] = (1024, 3)
    """Filters: length of the filters, and of the residual blocks. Paper: on the way down, on the way up."""
    dilations: tuple[int, ...] = (1, 2, 4)
    """Filters: of the residual blocks of every level but the lowest, on the way down and up again."""
    bottom_dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Filters: of the residual blocks of the lowest level."""

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_dict`; unknown keys are ignored."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, (list, tuple)) else value
            for key, value in values.items()
            if key in known
        }
        return cls(**kept)


class WaveUNet(nn.Module):
    """Base of both layouts: stereo audio ``(batch, channels, frames)`` at an RMS around 1 in, stems out.

    See :meth:`segment` for how much context the output needs.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.estimated = (len(architecture.stems) - 1) * architecture.audio_channels

    def forward(self, mixture: Tensor) -> Tensor:
        """Stems ``(batch, stems, channels, frames)``, which sum to the mixture.

        The paper's layout returns only the central frames, those it has full context for.
        """
        estimates = self.estimate(mixture).float()
        margin = (mixture.shape[-1] - estimates.shape[-1]) // 2
        heard = mixture[..., margin : margin + estimates.shape[-1]]
        stems = estimates.reshape(len(estimates), -1, *heard.shape[1:])
        return torch.cat([stems, (heard - stems.sum(1))[:, None]], 1)

    def estimate(self, mixture: Tensor) -> Tensor:
        """All stems but the last, ``((stems - 1) * channels)`` in the second axis."""
        raise NotImplementedError

    def segment(self, frames: int) -> tuple[int, int]:
        """Lengths ``(input, output)`` for segments of at least ``frames``.

        ``forward`` of ``input`` frames gives ``output`` central frames, and some more at the ends to be
        dropped, that do not depend on anything outside the input. ``output`` is a multiple of the
        total stride: the network treats shifts by that much alike, but no others.
        """
        raise NotImplementedError

    @property
    def total_stride(self) -> int:
        """Input frames for each frame of the lowest rate."""
        total = 1
        for stride in self.architecture.strides:
            total *= stride
        return total


def build(architecture: Architecture) -> WaveUNet:
    """A network with random weights."""
    return {"paper": PaperWaveUNet, "filters": FilterWaveUNet}[architecture.layout](architecture)


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

    def estimate(self, mixture: Tensor) -> Tensor:
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
            hidden = torch.cat([_centre(kept.pop(), hidden.shape[-1]), hidden], 1)
            hidden = functional.leaky_relu(conv(hidden), SLOPE)
        return self.outputs(torch.cat([_centre(mixture, hidden.shape[-1]), hidden], 1))  # type: ignore[no-any-return]

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


class FilterWaveUNet(WaveUNet):
    """Few levels below a bank of filter pairs; pairs are what a complex number is made of."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        channels, strides = architecture.channels, architecture.strides
        first, kernel = architecture.kernels
        self.filters = nn.Parameter(fourier(first) * torch.hann_window(first).sqrt())
        self.gain = strides[0] / float(torch.hann_window(first).sum())
        pairs = architecture.audio_channels * first // 2
        self.inputs = nn.Conv1d(pairs, channels[0], 1)
        self.kept = nn.ModuleList(residuals(c, kernel, architecture.dilations) for c in channels[:-1])
        self.down = nn.ModuleList(
            nn.Conv1d(channels[level], channels[level + 1], stride, stride)
            for level, stride in enumerate(strides[1:])
        )
        self.bottom = residuals(channels[-1], kernel, architecture.bottom_dilations)
        self.up = nn.ModuleList(
            nn.ConvTranspose1d(channels[level + 1], channels[level], stride, stride)
            for level, stride in enumerate(strides[1:])
        )
        self.merged = nn.ModuleList(residuals(c, kernel, architecture.dilations[::-1]) for c in channels[:-1])
        self.norm = ChannelNorm(channels[0])
        self.shares = nn.Conv1d(channels[0], len(architecture.stems) * pairs, 1)
        self.turns = nn.Conv1d(channels[0], (len(architecture.stems) - 1) * pairs, 1)
        with torch.no_grad():  # training begins near equal shares of the mixture
            self.shares.weight.mul_(0.1)
            self.turns.weight.mul_(0.1)

    def estimate(self, mixture: Tensor) -> Tensor:
        """See :meth:`WaveUNet.estimate`."""
        batch, channels, frames = mixture.shape
        first, stride = self.architecture.kernels[0], self.architecture.strides[0]
        # Padded so that every frame lies under as many filters as any other.
        lead = first - stride
        grid = self.total_stride // stride
        times = -(-((frames - 1 + lead) // stride + 1) // grid) * grid
        padded = functional.pad(mixture, (lead, times * stride - frames))
        features = functional.linear(padded.unfold(-1, first, stride), self.filters)
        # (batch, channels, cosine or sine, pairs, times)
        features = features.transpose(2, 3).reshape(batch, channels, 2, first // 2, times)
        loudness = torch.log((features.float().square().sum(2) + 1e-12).sqrt() + QUIET)
        hidden, kept = self.inputs((loudness.flatten(1, 2) + 3) / 2.5), []
        for keep, down in zip(self.kept, self.down, strict=True):
            kept.append(keep(hidden))
            hidden = down(kept[-1])
        hidden = self.bottom(hidden)
        for up, merge in zip(reversed(self.up), reversed(self.merged), strict=True):
            hidden = merge(up(hidden) + kept.pop())
        hidden = functional.leaky_relu(self.norm(hidden), SLOPE)
        shares = self.shares(hidden).reshape(batch, -1, channels, first // 2, times)
        real = shares.softmax(1)[:, :-1]
        imaginary = self.turns(hidden).reshape(batch, -1, channels, first // 2, times)
        cosine, sine = features[:, None, :, 0], features[:, None, :, 1]
        turned = torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], 3)
        audio = functional.linear(turned.flatten(1, 2).transpose(2, 3), self.gain * self.filters.T)
        audio = overlap_add(audio.transpose(2, 3).flatten(1, 2), first, stride)
        return audio[..., lead : lead + frames]

    @property
    def context(self) -> int:
        """How many frames to either side an output depends on; a multiple of the total stride."""
        reach = self.architecture.kernels[0]
        wing = (self.architecture.kernels[1] - 1) // 2
        rate = self.architecture.strides[0]
        for stride in self.architecture.strides[1:]:
            # The blocks at this rate on both ways, and the steps to the next rate and back.
            reach += rate * (2 * wing * sum(self.architecture.dilations) + 2 * stride)
            rate *= stride
        reach += rate * wing * sum(self.architecture.bottom_dilations)
        return -(-reach // self.total_stride) * self.total_stride

    def segment(self, frames: int) -> tuple[int, int]:
        """See :meth:`WaveUNet.segment`."""
        output = -(-frames // self.total_stride) * self.total_stride
        return output + 2 * self.context, output


def residuals(channels: int, kernel: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """One :class:`Residual` after the other."""
    return nn.Sequential(*(Residual(channels, kernel, dilation) for dilation in dilations))


class Residual(nn.Module):
    """Normalisation, non-linearity, convolution, added to the input."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv = nn.Conv1d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, times)``, as long as ``x``."""
        return x + self.conv(functional.leaky_relu(self.norm(x), SLOPE))  # type: ignore[no-any-return]


class ChannelNorm(nn.Module):
    """Scales each frame to an RMS of 1 over its channels (RMSNorm; Zhang, Sennrich 2019).

    Unlike norms over time it looks at one frame alone, so that a block's output does not depend
    on where blocks were cut.
    """

    FLOOR = 1e-4
    """Added to the power, so that frames near silence stay quiet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, times)``, as long as ``x``."""
        power = x.square().mean(1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(power + self.FLOOR).to(x.dtype)
        return torch.addcmul(self.bias.to(x.dtype), x * scale, self.gain.to(x.dtype))


def overlap_add(frames: Tensor, kernel: int, stride: int) -> Tensor:
    """Frames ``(batch, channels * kernel, times)`` -> audio ``(batch, channels, frames)``."""
    pieces = kernel // stride
    # (batch, channels, stride, times) for each piece j, which lands at (time + j) * stride.
    parts = frames.float().reshape(len(frames), -1, pieces, stride, frames.shape[-1]).unbind(2)
    audio: Tensor = functional.pad(parts[0], (0, pieces - 1))
    for piece, part in enumerate(parts[1:], 1):
        audio = audio + functional.pad(part, (piece, pieces - 1 - piece))
    return audio.transpose(2, 3).flatten(2)


def fourier(size: int) -> Tensor:
    """An orthonormal basis of cosines, then sines, of rising frequency: ``(size, size)``.

    Row k and row k + size / 2 are a pair of the same frequency, but for the first: it holds the
    constant and the highest frequency.
    """
    time, row = torch.arange(size), torch.arange(1, size // 2)[:, None]
    angle = 2 * torch.pi / size * (time * row % size)
    edge = torch.ones(1, size) / size**0.5
    inner = (2 / size) ** 0.5
    return torch.cat([edge, inner * angle.cos(), edge * (1 - 2 * (time % 2)), inner * angle.sin()])


def _centre(x: Tensor, frames: int) -> Tensor:
    start = (x.shape[-1] - frames) // 2
    return x[..., start : start + frames]
