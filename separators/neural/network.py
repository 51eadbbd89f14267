"""The network of the voice separators: log-magnitude spectrograms in, what a head needs out.

A dense dilated temporal convolution network (after Bai, Kolter, Koltun 2018, and Luo, Mesgarani
2019, with full instead of depthwise convolutions, which are faster on a CPU) reads all frequency
bins of a frame as channels, of windows of three lengths; now and then every moment attends to all
others. What reaches further than a neighbour is worked out at half the frame rate. One of two heads
sits on top:

- ``masks``: a complex mask for each speaker; the masks of a bin sum to one, so stems sum to
  the mixture (mixture consistency, Wisdom et al. 2019).
- ``embeddings``: a unit vector for each time-frequency band, to be clustered.

A network with a ``background`` also tells what is no voice: it has a further mask, what those of the
speakers leave to one.

A network of two ``passes`` listens twice: the second time it hears, beside the mixture, what a network
like it, with masks, made of it the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.neural import limits
from separators.neural.stored_architecture import StoredArchitecture

SAMPLE_RATE = 16_000
"""The rate the networks work at, in hertz."""
WINDOW = 512
HOP = 256
BINS = WINDOW // 2 + 1
LINEAR_BINS = 128
"""Embeddings: bins below this one (4 kHz) stand alone; those above are pooled by :data:`POOL`."""
POOL = 4
BANDS = LINEAR_BINS + -(-(BINS - LINEAR_BINS) // POOL)
HEADS = 6
"""Of each attention."""
LONG_HERTZ = 2000
"""The long window's bins up to here are heard; above, voices are told apart by their timbre."""
FLOOR = 1e-3
"""Added to magnitudes before the logarithm; an RMS of 1 gives magnitudes around 1."""


@dataclass(frozen=True)
class Architecture(StoredArchitecture):
    """Size and head of a network; stored in its weights file."""

    head: str = "masks"
    channels: int = 288
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64) * 2
    speakers: int = 2
    dimensions: int = 12
    attention: tuple[int, ...] = (5, 10)
    """Blocks that are followed by attention over the whole segment, counted from 1."""
    stride: int = 2
    """Attention, and blocks with at least this dilation, hear the means of so many moments each."""
    long_window: int = 2048
    """Window of a second spectrogram for the input, in frames; 0: none. Tells close pitches apart."""
    short_window: int = 128
    """Window of a third one, at four times the frame rate; 0: none. Tells pulses apart in time."""
    background: bool = False
    """Whether music and noise have a mask of their own, behind those of the speakers."""
    passes: int = 1
    """How often it listens, 1 or 2."""

    BEFORE: ClassVar[Mapping[str, Any]] = {"stride": 1}

    def check(self) -> None:
        """Raise ValueError unless a network can be made of this and run."""
        limits.one_of("head", self.head, ("masks", "embeddings"))
        limits.whole("channels", self.channels, 1, 8192)
        limits.wholes("dilations", self.dilations, 1, 1024)
        limits.whole("speakers", self.speakers, 1, 16)
        limits.whole("dimensions", self.dimensions, 1, 256)
        limits.wholes("attention", self.attention, 1, 64)
        limits.whole("stride", self.stride, 1, 16)
        limits.whole("passes", self.passes, 1, 2)
        if not isinstance(self.background, bool):
            raise ValueError(f"background must be true or false, not {self.background!r:.40}")
        for name, window in (("long_window", self.long_window), ("short_window", self.short_window)):
            limits.whole(name, window, 0, 8192)
        if self.attention and self.channels % HEADS:
            raise ValueError(f"channels must be a multiple of {HEADS} for attention, not {self.channels}")


class Block(nn.Module):
    """One residual step: non-linearity, normalisation over the whole segment, dilated convolution."""

    def __init__(self, channels: int, dilation: int, stride: int) -> None:
        super().__init__()
        self.stride = stride if dilation >= stride else 1
        steps = dilation // self.stride
        self.norm = nn.GroupNorm(1, channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=steps, dilation=steps)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, times)`` in and out."""
        heard = self.norm(functional.leaky_relu(slower(x, self.stride), 0.2))
        return x + as_fast(convolve(self.conv, heard), x, self.stride)


class Attention(nn.Module):
    """Residual self-attention over time (Vaswani et al. 2017): a moment looks at all others of its voice."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm = nn.GroupNorm(1, channels)
        self.inputs = nn.Conv1d(channels, 3 * channels, 1)
        self.outputs = nn.Conv1d(channels, channels, 1)
        for weight in self.outputs.parameters():  # it changes nothing at first
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, times)`` in and out."""
        heard = self.norm(slower(x, self.stride))
        batch, channels, _, times = heard.shape
        rows = convolve(self.inputs, heard).permute(0, 2, 3, 1)
        split = rows.reshape(batch, times, 3, HEADS, channels // HEADS)
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        rows = mixed.transpose(1, 2).reshape(batch, 1, times, channels)
        return x + as_fast(convolve(self.outputs, rows.permute(0, 3, 1, 2)), x, self.stride)


def slower(x: Tensor, stride: int) -> Tensor:
    """Means of ``stride`` moments of ``(batch, channels, 1, times)`` each; the last is of those left."""
    return functional.avg_pool2d(x, (1, stride), ceil_mode=True) if stride > 1 else x


def as_fast(y: Tensor, x: Tensor, stride: int) -> Tensor:
    """Each moment of ``y`` ``stride`` times, as many as ``x`` has: the counterpart of :func:`slower`."""
    return functional.interpolate(y, scale_factor=(1, stride))[..., : x.shape[-1]] if stride > 1 else y


def convolve(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """``conv`` of ``(batch, channels, 1, times)``, the channels of a moment side by side in memory.

    That layout is the fastest for convolutions, and what attention reads.
    """
    padding, dilation = (0, int(conv.padding[0])), (1, conv.dilation[0])
    return functional.conv2d(x, conv.weight[:, :, None], conv.bias, padding=padding, dilation=dilation)


class Hearing(NamedTuple):
    """What a network hears of audio."""

    spectrum: Tensor
    """``(batch, bins, times)``."""
    features: Tensor
    """Logarithmic spectrograms ``(batch, features, times)``; those of the first pass' parts are the last."""
    parts: Tensor | None
    """What the first pass made of it, spectra ``(batch, parts, bins, times)``: of its speakers, and of the
    background if it knows of one. None where there is no such pass."""


class Network(nn.Module):
    """Backbone and head, behind those of the ``first`` pass if there are two.

    Audio is ``(batch, frames)`` at :data:`SAMPLE_RATE` and an RMS around 1.
    """

    window: Tensor
    long: Tensor
    short: Tensor
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
        long, short = architecture.long_window, architecture.short_window
        self.long_bins = long * LONG_HERTZ // SAMPLE_RATE
        self.first = None
        features = BINS + self.long_bins + (4 * (short // 2 + 1) if short else 0)
        if architecture.passes == 2:
            self.first = Network(replace(architecture, head="masks", passes=1))
            features += (architecture.speakers + architecture.background) * BINS
        self.inputs = nn.Conv1d(features, channels, 1)
        self.blocks = nn.ModuleList(
            Block(channels, dilation, architecture.stride) for dilation in architecture.dilations
        )
        self.attention = nn.ModuleDict(
            {str(number): Attention(channels, architecture.stride) for number in architecture.attention}
        )
        self.norm = nn.GroupNorm(1, channels)
        self.outputs = nn.Conv1d(channels, outputs, 1)
        # In memory even where networks are made without: a window that is none takes seconds to make.
        self.register_buffer("window", torch.hann_window(WINDOW, device="cpu").sqrt(), persistent=False)
        self.register_buffer("long", torch.hann_window(long, device="cpu"), persistent=False)
        self.register_buffer("short", torch.hann_window(short, device="cpu"), persistent=False)
        self.register_buffer("feature_mean", torch.zeros(features, 1))
        self.register_buffer("feature_std", torch.ones(features, 1))

    @property
    def device(self) -> torch.device:
        """Where it is, and what it hears must be."""
        return self.window.device

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Audio ``(..., frames)`` -> complex ``(..., bins, times)``."""
        spectrum = _stft(audio.reshape(-1, audio.shape[-1]), self.window, HOP)
        return spectrum.view(*audio.shape[:-1], *spectrum.shape[1:])

    def audio(self, spectrum: Tensor, frames: int) -> Tensor:
        """The inverse of :meth:`spectrogram`."""
        flat = spectrum.reshape(-1, *spectrum.shape[-2:])
        audio = torch.istft(flat, WINDOW, HOP, window=self.window, length=frames)
        return audio.view(*spectrum.shape[:-2], frames)

    def hear(self, audio: Tensor) -> Hearing:
        """All that is worked out from ``audio`` ``(batch, frames)`` before the network itself."""
        spectrum = self.spectrogram(audio)
        heard = [_log_magnitude(spectrum, WINDOW)]
        if self.long_bins:
            long = _stft(audio, self.long, HOP)[:, : self.long_bins]
            heard.append(_log_magnitude(long, len(self.long)))
        if len(self.short):
            short = functional.pad(_stft(audio, self.short, HOP // 4), (2, 1))
            times = heard[0].shape[-1]
            groups = short[..., : times * 4].reshape(*short.shape[:2], times, 4)
            heard.append(_log_magnitude(groups.movedim(3, 1).flatten(1, 2), len(self.short)))
        features = torch.cat(heard, 1)
        if self.first is None:
            return Hearing(spectrum, features, None)
        parts = self.first.outputs_of(features) * spectrum[:, None]
        features = torch.cat([features, _log_magnitude(parts.flatten(1, 2), WINDOW)], 1)
        return Hearing(spectrum, features, parts)

    def forward(self, audio: Tensor, heard: Hearing | None = None) -> Tensor:
        """The head's output for ``audio`` ``(batch, frames)``, at the bins and times of its spectrogram.

        ``heard`` is what :meth:`hear` makes of it, where that is known already.
        Masks: complex ``(batch, speakers, bins, times)``, which sum to one; with a background one more.
        Embeddings: ``(batch, bands, times, dimensions)`` of unit length.
        """
        return self.outputs_of((heard or self.hear(audio)).features)

    def outputs_of(self, features: Tensor) -> Tensor:
        """The head's output for ``features`` ``(batch, features, times)``, before normalisation."""
        features = (features - self.feature_mean) / self.feature_std
        hidden = features[:, :, None].contiguous(memory_format=torch.channels_last)
        hidden = convolve(self.inputs, hidden)
        for number, block in enumerate(self.blocks, 1):
            hidden = block(hidden)
            if str(number) in self.attention:
                hidden = self.attention[str(number)](hidden)
        raw = convolve(self.outputs, functional.leaky_relu(self.norm(hidden), 0.2)).float()
        if self.architecture.head == "embeddings":
            # As they lie in memory: the dimensions of a band are neighbours.
            rows = raw[:, :, 0].transpose(1, 2)
            vectors = rows.reshape(*rows.shape[:2], BANDS, self.architecture.dimensions)
            return functional.normalize(vectors, dim=3).transpose(1, 2)
        batch, _, _, times = raw.shape
        parts = raw.reshape(batch, self.architecture.speakers, BINS, 2, times)
        masks = torch.view_as_complex(parts.transpose(3, 4).contiguous())
        rest = 1 - masks.sum(1, keepdim=True)
        if self.architecture.background:
            return torch.cat([masks, rest], 1)
        return masks + rest / self.architecture.speakers


def _stft(audio: Tensor, window: Tensor, hop: int) -> Tensor:
    return torch.stft(audio, len(window), hop, window=window, return_complex=True, pad_mode="constant")


def _log_magnitude(spectrum: Tensor, window: int) -> Tensor:
    # Silence has no direction to fall in: the root of 0 has no slope.
    return torch.log(power(spectrum).clamp_min(1e-30).sqrt() * (window / 2) ** -0.5 + FLOOR)


def power(spectrum: Tensor) -> Tensor:
    """Squares of the magnitudes of a complex ``spectrum``; its ``abs`` takes twice as long, for a copy."""
    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)


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
