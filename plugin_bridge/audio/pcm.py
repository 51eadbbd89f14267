"""Samples that lie uncompressed in a file: read at any position, from where the container's chunks say.

They are read here rather than by libsndfile, which believes lengths that are wrong and refuses files whose
chunks it cannot walk. Where it reads a file, it gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.audio.info import cut_short
from separators.base import Audio

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class PcmSamples:
    """Interleaved frames of equal size, from the byte ``offset`` on."""

    path: Path
    subtype: str
    """A key of :data:`SIZES`."""
    big_endian: bool
    channels: int
    offset: int
    frames: int

    def open(self) -> PcmReader:
        """Open the file."""
        return PcmReader(self)


class PcmReader:
    """Reads :class:`PcmSamples`."""

    def __init__(self, samples: PcmSamples) -> None:
        self.samples = samples
        self.file = samples.path.open("rb")
        self.frame_size = SIZES[samples.subtype] * samples.channels

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        self.file.seek(self.samples.offset + start * self.frame_size)
        content = self.file.read(frames * self.frame_size)
        if len(content) < frames * self.frame_size:
            raise cut_short(self.samples.path, self.samples.frames, start + len(content) // self.frame_size)
        raw = np.frombuffer(content, np.uint8)
        audio = _DECODERS[self.samples.subtype](raw, ">" if self.samples.big_endian else "<")
        return np.ascontiguousarray(audio.reshape(frames, self.samples.channels).T)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def interleaved(audio: Audio) -> Audio:
    """``(channels, frames)`` as contiguous ``(frames, channels)``, float32.

    Channel by channel, which takes a fifth of the time that numpy takes for two of them at once.
    """
    frames = np.empty(audio.shape[::-1], np.float32)
    for number, channel in enumerate(audio):
        frames[:, number] = channel
    return frames


def _integers(kind: str) -> Callable[[Bytes, str], NDArray[np.float32]]:
    scale = np.float32(2.0 ** (1 - 8 * int(kind[1])))
    return lambda raw, order: raw.view(order + kind).astype(np.float32) * scale


def _unsigned(raw: Bytes, order: str) -> NDArray[np.float32]:
    return (raw.astype(np.float32) - np.float32(128)) / np.float32(128)


def _three_bytes(raw: Bytes, order: str) -> NDArray[np.float32]:
    # Four bytes are read at every third, so that the sample's are the upper ones and its sign is where the
    # machine looks for it; the lowest one is its neighbour's. Copying single bytes takes ten times as long.
    padded = np.zeros(len(raw) + 1, np.uint8)
    (padded[1:] if order == "<" else padded[:-1])[:] = raw
    wide = np.ndarray(len(raw) // 3, order + "i4", padded.data, strides=(3,)).astype(np.int32)
    wide &= ~0xFF
    return wide.astype(np.float32) * np.float32(2.0**-31)


def _floats(kind: str) -> Callable[[Bytes, str], NDArray[np.float32]]:
    return lambda raw, order: raw.view(order + kind).astype(np.float32)


def _table(values: NDArray[np.float32]) -> Callable[[Bytes, str], NDArray[np.float32]]:
    return lambda raw, order: values[raw]


def _mu_law() -> NDArray[np.float32]:
    """What each byte stands for (ITU-T G.711), -1..1."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 15).astype(np.int32) << 3) + 132) << ((code >> 4) & 7)
    return (np.where(code & 128, 132 - magnitude, magnitude - 132) / 32768).astype(np.float32)


def _a_law() -> NDArray[np.float32]:
    """What each byte stands for (ITU-T G.711), -1..1."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = ((code & 15).astype(np.int32) << 4) + 8
    magnitude = np.where(exponent > 0, (mantissa + 256) << np.maximum(exponent - 1, 0), mantissa)
    return (np.where(code & 128, magnitude, -magnitude) / 32768).astype(np.float32)


_DECODERS: dict[str, Callable[[Bytes, str], NDArray[np.float32]]] = {
    "PCM_U8": _unsigned,
    "PCM_S8": _integers("i1"),
    "PCM_16": _integers("i2"),
    "PCM_24": _three_bytes,
    "PCM_32": _integers("i4"),
    "FLOAT": _floats("f4"),
    "DOUBLE": _floats("f8"),
    "ULAW": _table(_mu_law()),
    "ALAW": _table(_a_law()),
}
SIZES = {
    "PCM_U8": 1,
    "PCM_S8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}
"""Bytes of one sample; the names are libsndfile's."""
