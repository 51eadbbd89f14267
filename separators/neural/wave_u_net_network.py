"""The Wave-U-Net: a U-shaped convolutional network on the waveform.

After Stoller, Ewert, Dixon (2018). Levels of ever lower rate look at ever longer stretches of the
music; on the way up, each level is joined with what the way down kept at its rate. All stems but
the last are estimated, the last is the difference to the mixture, so stems sum to it exactly.

One class, two layouts (:class:`Architecture`):

- ``paper``: twelve levels that halve the rate, convolution and decimation on the way down, linear
  interpolation and convolution on the way up, no padding: the output is shorter than the
  input by the context that it saw.
- ``fourier``: the highest level is a bank of windowed cosines and sines at a stride, worked out by FFT.
  The levels below convolve over frequency and time (like Jansson et al. 2017), so that what they learn of one
  pitch holds for all; they see how loud each band is. The output shares each band out among the stems, and
  the same filters make audio of it again. Much faster on a CPU than the paper's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.neural import limits

LONGEST_STRIDE = 1 << 20
"""Frames for each of the lowest level that a network can have at most."""
ALL = slice(None)
SLOPE = 0.2
"""Of the leaky rectifier below zero."""
QUIET = 1e-3
"""Added to the loudness of a band before the logarithm."""
DETAIL = 16
"""Features of the finest level of the layout ``fourier``."""


@dataclass(frozen=True)
class Architecture:
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_dict`; unknown keys are ignored. Raises ValueError for what cannot be."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, (list, tuple)) else value
            for key, value in values.items()
            if key in known
        }
        made = cls(**kept)
        made.check()
        return made

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
        heard = _centre(mixture, stems.shape[-1])
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
        total = 1
        for stride in self.architecture.strides:
            total *= stride
        return total


def build(architecture: Architecture) -> WaveUNet:
    """A network with random weights."""
    return {"paper": PaperWaveUNet, "fourier": FourierWaveUNet}[architecture.layout](architecture)


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
            hidden = torch.cat([_centre(kept.pop(), hidden.shape[-1]), hidden], 1)
            hidden = functional.leaky_relu(conv(hidden), SLOPE)
        found: Tensor = self.outputs(torch.cat([_centre(mixture, hidden.shape[-1]), hidden], 1))
        found = found.reshape(len(found), -1, mixture.shape[1], found.shape[-1])[:, which]
        return found if wanted is None else _centre(found, wanted)

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


def _centre(x: Tensor, frames: int) -> Tensor:
    start = (x.shape[-1] - frames) // 2
    return x[..., start : start + frames]
