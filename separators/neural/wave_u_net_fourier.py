"""The Wave-U-Net in the layout that is shipped: levels of convolutions below a bank of Fourier filters.

The highest level is a bank of windowed cosines and sines at a stride, worked out by FFT. The levels below
convolve over frequency and time (like Jansson et al. 2017), so that what they learn of one pitch holds for
all; they see how loud each band is. The output shares each band out among the stems, and the same filters
make audio of it again. Much faster on a CPU than the paper's layout.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from operator import mul
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.neural.wave_u_net_architecture import ALL, SLOPE, Architecture, WaveUNet

QUIET = 1e-3
"""Added to the loudness of a band before the logarithm."""
DETAIL = 16
"""Features of the finest level."""


class FourierWaveUNet(WaveUNet):
    """Levels of convolutions over bands and time below a bank of Fourier filters.

    With two passes it stands behind the network ``first``, and hears how loud the mixture and each of that
    network's stems are. Its stems are the means of what both find.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        channels, strides = architecture.channels, architecture.strides[1:]
        window, kernel = architecture.kernels
        audio, stems = architecture.audio_channels, len(architecture.stems)
        self.register_buffer("window", torch.hann_window(window, device="cpu").sqrt(), persistent=False)
        self.register_buffer("band", bands(window, architecture.resolution), persistent=False)
        self.window: Tensor
        self.band: Tensor
        self.register_buffer("sizes", torch.bincount(self.band), persistent=False)
        self.sizes: Tensor
        self.bands = len(self.sizes)
        self.padding = -self.bands % 2 ** len(strides)
        heights = [(self.bands + self.padding) >> level for level in range(1, len(strides) + 1)]
        self.first: FourierWaveUNet | None = None
        heard = audio
        if architecture.passes == 2:
            self.first = FourierWaveUNet(replace(architecture, passes=1))
            heard = audio * (1 + stems)
        inputs = (heard, *channels)
        self.down = nn.ModuleList(
            nn.Conv2d(inputs[level], channels[level], **step(stride)) for level, stride in enumerate(strides)
        )
        # What is where in frequency: convolutions alone cannot know.
        self.places = nn.ParameterList(
            torch.zeros(c, height, 1) for c, height in zip(channels, heights, strict=True)
        )
        self.kept = nn.ModuleList(residuals(c, kernel, architecture.dilations) for c in channels[:-1])
        self.bottom = residuals(channels[-1], kernel, architecture.bottom_dilations)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(channels[level], channels[level - 1], **step(strides[level]))
            for level in range(1, len(strides))
        )
        self.merged = nn.ModuleList(residuals(c, kernel, architecture.dilations[::-1]) for c in channels[:-1])
        self.norm = ChannelNorm(channels[0])
        self.shares = nn.ConvTranspose2d(channels[0], stems * audio, **step(strides[0]))
        # The finest level: bands one by one, at the filters' rate.
        self.detail = nn.Sequential(
            nn.Conv2d(heard, DETAIL, kernel, padding=kernel // 2),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(DETAIL, stems * audio, kernel, padding=kernel // 2),
        )
        with torch.no_grad():  # training begins near equal shares of the mixture
            self.shares.weight.mul_(0.1)
            self.detail[-1].weight.mul_(0.1)  # type: ignore[operator]

    def estimate(self, mixture: Tensor, wanted: int | None, which: slice = ALL) -> Tensor:
        """See :meth:`WaveUNet.estimate`."""
        frames = mixture.shape[-1]
        window, stride = self.architecture.kernels[0], self.architecture.strides[0]
        # Padded so that every frame lies under as many windows as any other.
        lead = window - stride
        grid = self.total_stride // stride
        times = -(-((frames - 1 + lead) // stride + 1) // grid) * grid
        padded = functional.pad(mixture, (lead, times * stride - frames))
        spectrum = torch.fft.rfft(padded.float().unfold(-1, window, stride) * self.window, norm="ortho")
        spectrum = spectrum[..., : len(self.band)]
        wanted = frames if wanted is None else wanted
        margin = (frames - wanted) // 2
        shares, first = self._shares(self._power(spectrum), margin, wanted)
        spectrum = spectrum[:, :, first : first + shares.shape[4]]
        # (batch, stems, channels, times, bands)
        shares = shares[:, :-1][:, which].transpose(3, 4).contiguous()
        audio = torch.stack([self._audio(share, spectrum) for share in shares.unbind(1)], 1)
        start = lead + margin - first * stride
        return audio[..., start : start + wanted]

    def _shares(self, power: Tensor, margin: int, wanted: int) -> tuple[Tensor, int]:
        """Shares ``(batch, stems, channels, bands, times)`` that sum to 1, and the first of their times.

        ``power`` is that of the bands, ``(batch, channels, bands, times)``; ``margin`` frames before and
        after the ``wanted`` ones are of use as context alone.
        """
        batch, channels, bands, _ = power.shape
        window, stride = self.architecture.kernels[0], self.architecture.strides[0]
        skipped, parts = 0, None
        if self.first is not None:
            # What lies further outside is not heard in the wanted frames.
            spare = max(0, (margin - self.reach) // self.total_stride * self.total_stride)
            margin -= spare
            parts, skipped = self.first._shares(power, spare, wanted + 2 * margin)
            grid = self.total_stride // stride
            power = power[..., skipped : skipped + -(-parts.shape[4] // grid) * grid]
            parts = functional.pad(parts, (0, power.shape[3] - parts.shape[4]))
            power = torch.cat([power, (parts.square() * power[:, None]).flatten(1, 2)], 1)
        loudness = self._loudness(power)
        hidden, kept = loudness, []
        for down, places, blocks in zip(self.down, self.places, (*self.kept, self.bottom), strict=True):
            hidden = blocks(down(hidden) + places)
            kept.append(hidden)
        # The nearer to the output, the less is needed around the wanted frames.
        spares = [(max(0, (margin - reach) // rate * rate), rate) for reach, rate in self._ways_up]
        spare, rate = spares.pop()
        hidden = _trimmed(kept.pop(), spare // rate)
        for up, merge in zip(reversed(self.up), reversed(self.merged), strict=True):
            dropped = spare
            spare, rate = spares.pop()
            hidden = _trimmed(up(hidden), (spare - dropped) // rate)
            hidden = merge(hidden + _trimmed(kept.pop(), spare // rate))
        lead = window - stride
        first, last = margin // stride, -(-(margin + wanted + lead) // stride)
        spare //= stride
        shares = self.shares(functional.leaky_relu(self.norm(hidden), SLOPE, inplace=True))
        shares = shares[..., first - spare : last - spare]
        spare = max(0, first - 2 * (self.architecture.kernels[1] // 2))
        shares = shares + self.detail(_trimmed(loudness, spare))[..., first - spare : last - spare]
        shares = shares[:, :, :bands].float()
        shares = shares.reshape(batch, -1, channels, *shares.shape[2:]).softmax(1)
        if parts is not None:
            shares = (shares + parts[..., first:last]) / 2
        return shares, skipped + first

    def below(self, hertz: float) -> FourierWaveUNet:
        """A network like this, of one pass, that hears nothing above ``hertz``: less work, for low stems.

        It finds them below there only. Its bands are as many as the lowest level can halve.
        """
        low = FourierWaveUNet(self.architecture)
        low.load_state_dict(self.state_dict())
        bins = int(hertz / self.architecture.sample_rate * self.architecture.kernels[0])
        grid = 2 ** len(self.down)
        low.bands = int(self.band[bins]) // grid * grid
        low.padding = 0
        low.band = self.band[self.band < low.bands]
        low.sizes = self.sizes[: low.bands]
        low.places = nn.ParameterList(
            places[:, : low.bands >> level] for level, places in enumerate(self.places, 1)
        )
        return low.requires_grad_(False).eval()

    def _audio(self, share: Tensor, spectrum: Tensor) -> Tensor:
        """``(batch, channels, frames)`` of a share of the bands ``(batch, channels, times, bands)``."""
        window, stride = self.architecture.kernels[0], self.architecture.strides[0]
        # index_select gives the same; in its last axis it is several times slower.
        found = share.gather(3, self.band.expand(spectrum.shape))
        # By parts: products of real and complex numbers are made as of complex ones, which takes longer.
        found = torch.view_as_complex(found[..., None] * torch.view_as_real(spectrum))
        pieces = torch.fft.irfft(found, window, norm="ortho") * (self.window * (2 * stride / window))
        return overlap_add(pieces, stride)

    def _power(self, spectrum: Tensor) -> Tensor:
        """Of the bands: ``(batch, channels, times, bins)`` -> ``(batch, channels, bands, times)``."""
        power = spectrum.real.square() + spectrum.imag.square()
        banded = power.new_zeros(*power.shape[:-1], self.bands).index_add(3, self.band, power) / self.sizes
        return banded.transpose(2, 3)

    def _loudness(self, power: Tensor) -> Tensor:
        """Of bands, around 0, with the bands that fill up the lowest level."""
        loudness = (torch.log((power + 1e-12).sqrt() + QUIET) + 3) / 2.5
        return functional.pad(loudness, (0, 0, 0, self.padding))

    @property
    def context(self) -> int:
        """How many frames to either side an output depends on; a multiple of the total stride."""
        return self.architecture.passes * self.reach

    @property
    def reach(self) -> int:
        """That of one pass."""
        wing = (self.architecture.kernels[1] - 1) // 2
        bottom = wing * sum(self.architecture.bottom_dilations) * self.total_stride
        up = self._ways_up[-1][0]  # the way down reaches as far
        return -(-(self.architecture.kernels[0] + 2 * up + bottom) // self.total_stride) * self.total_stride

    @property
    def _ways_up(self) -> list[tuple[int, int]]:
        """Of each level: how many frames to either side of it an output needs, and frames a step."""
        rates: list[int] = list(accumulate(self.architecture.strides, mul))[1:]
        wing = (self.architecture.kernels[1] - 1) // 2 * sum(self.architecture.dilations)
        # The blocks of a level, and the step up from it. The lowest level's blocks belong to the way down.
        reaches = accumulate([*(rate * (1 + wing) for rate in rates[:-1]), rates[-1]])
        return list(zip(reaches, rates, strict=True))

    def segment(self, frames: int) -> tuple[int, int]:
        """See :meth:`WaveUNet.segment`."""
        output = -(-frames // self.total_stride) * self.total_stride
        return output + 2 * self.context, output


def step(stride: int) -> dict[str, Any]:
    """Of a convolution between levels: half as many bands, and in time ``stride`` (or the inverse)."""
    return {"kernel_size": (4, 2 + stride), "stride": (2, stride), "padding": 1}


def residuals(channels: int, kernel: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """One :class:`Residual` after the other."""
    return nn.Sequential(*(Residual(channels, kernel, dilation) for dilation in dilations))


class Residual(nn.Module):
    """Normalisation, non-linearity, convolution over bands and (dilated) time, added to the input."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        wing = kernel // 2
        self.conv = nn.Conv2d(
            channels, channels, kernel, padding=(wing, dilation * wing), dilation=(1, dilation)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, bands, times)``, of the shape of ``x``."""
        return self.conv(functional.leaky_relu(self.norm(x), SLOPE, inplace=True)).add_(x)  # type: ignore[no-any-return]


class ChannelNorm(nn.Module):
    """Scales each band of a frame to an RMS of 1 over its channels (RMSNorm; Zhang, Sennrich 2019).

    Unlike norms over time it looks at one place alone, so that a block's output does not depend
    on where blocks were cut.
    """

    FLOOR = 1e-4
    """Added to the power, so that frames near silence stay quiet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, bands, times)``, of the shape of ``x``."""
        power = x.square().mean(1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(power + self.FLOOR).to(x.dtype)
        gain, bias = (value.to(x.dtype)[:, None, None] for value in (self.gain, self.bias))
        return torch.addcmul(bias, x * scale, gain)


def overlap_add(pieces: Tensor, stride: int) -> Tensor:
    """Windows ``(batch, channels, times, window)``, ``stride`` apart, -> ``(batch, channels, frames)``.

    >>> overlap_add(torch.ones(1, 1, 3, 4), 2).tolist()
    [[[1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]]]
    """
    batch, channels, times, window = pieces.shape
    audio = pieces.new_zeros(batch, channels, times + window // stride - 1, stride)
    for late, part in enumerate(torch.split(pieces, stride, 3)):
        audio[:, :, late : late + times] += part
    return audio.flatten(2)


def bands(window: int, resolution: int) -> Tensor:
    """The band of each bin of a spectrum; see :attr:`Architecture.resolution`.

    >>> bands(16, 2).tolist()
    [0, 1, 2, 3, 4, 4, 5, 5, 5]
    """
    band: list[int] = []
    while len(band) <= window // 2:
        width = max(1, len(band) // resolution)
        band += width * [band[-1] + 1 if band else 0]
    # In memory even where networks are made without: their sizes depend on it.
    return torch.tensor(band[: window // 2 + 1], device="cpu")


def _trimmed(x: Tensor, frames: int) -> Tensor:
    """Without that many frames at both ends."""
    return x[..., frames : x.shape[-1] - frames]
