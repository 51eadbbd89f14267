"""A WAV writer with a time stamp, which libsndfile does not write.

It reserves room for a ``ds64`` chunk and turns the file into RF64 when it outgrows 4 GiB.

Formats: EBU Tech 3285 (bext), EBU Tech 3306 (RF64), Microsoft's multimedia data standards (fmt, fact).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from plugin_bridge.audio.riff import (
    BEXT_SIZE,
    EXTENSIBLE_FORMAT,
    FLOAT_FORMAT,
    MAX_32_BIT,
    PCM_FORMAT,
    SUBFORMAT_TAIL,
    TIME_REFERENCE_AT,
)

USUAL_MASKS = (0, 0x4, 0x3)
"""Loudspeakers of none, one and two channels, which need not be said."""


def build_bext(time_reference: int, originator: str = "Stembridge") -> bytes:
    """A bext chunk of version 1 that carries a time stamp, in samples since midnight."""
    content = bytearray(BEXT_SIZE)
    name = originator.encode("ascii", "replace")[:32]
    content[256 : 256 + len(name)] = name
    struct.pack_into("<QH", content, TIME_REFERENCE_AT, time_reference, 1)
    return bytes(content)


class WavWriter:
    """Writes a WAV file into ``file``, chunk by chunk; RF64 when it outgrows 4 GiB.

    The bytes depend on the audio alone (no time of day inside), so equal stems are equal files.
    """

    def __init__(
        self,
        file: BinaryIO,
        sample_rate: int,
        channels: int,
        bits: int,
        is_float: bool,
        time_reference: int | None = None,
        channel_mask: int = 0,
        largest_riff: int = MAX_32_BIT,
    ) -> None:
        """Write the header. ``largest_riff`` is where RF64 begins; tests lower it."""
        self.file = file
        self.frame_size = channels * bits // 8
        self.frames = 0
        self.largest_riff = largest_riff
        # The reserved chunk of EBU Tech 3306: a reader skips JUNK; past 4 GiB it becomes ds64.
        file.write(struct.pack("<4sI4s4sI28x", b"RIFF", 0, b"WAVE", b"JUNK", 28))
        if time_reference is not None:
            self._chunk(b"bext", build_bext(time_reference))
        code = FLOAT_FORMAT if is_float else PCM_FORMAT
        extensible = channels > 2 or channel_mask not in (0, USUAL_MASKS[channels])
        fmt = struct.pack(
            "<HHIIHH",
            EXTENSIBLE_FORMAT if extensible else code,
            channels,
            sample_rate,
            sample_rate * self.frame_size,
            self.frame_size,
            bits,
        )
        if extensible:
            # Channel mask 0: the channels are stems, not loudspeakers.
            fmt += struct.pack("<HHIH", 22, bits, channel_mask, code) + SUBFORMAT_TAIL
        elif is_float:
            fmt += struct.pack("<H", 0)
        self._chunk(b"fmt ", fmt)
        self.fact_at = file.tell() + 8 if is_float else None
        if is_float:
            self._chunk(b"fact", bytes(4))
        file.write(struct.pack("<4sI", b"data", 0))
        self.data_at = file.tell()

    def write(self, samples: bytes | memoryview) -> None:
        """Append interleaved little-endian samples, whole frames only."""
        self.file.write(samples)
        self.frames += len(samples) // self.frame_size

    def finish(self, id3: bytes = b"") -> None:
        """Write what follows the audio and the sizes, which are known only now."""
        data_size = self.frames * self.frame_size
        self.file.write(bytes(data_size % 2))
        if id3:
            self._chunk(b"id3 ", id3)
        riff_size = self.file.tell() - 8
        if riff_size <= self.largest_riff:
            self._patch(4, struct.pack("<I", riff_size))
            self._patch(self.data_at - 4, struct.pack("<I", data_size))
        else:
            self._patch(0, struct.pack("<4sI", b"RF64", MAX_32_BIT))
            self._patch(12, struct.pack("<4sIQQQI", b"ds64", 28, riff_size, data_size, self.frames, 0))
            self._patch(self.data_at - 4, struct.pack("<I", MAX_32_BIT))
        if self.fact_at is not None:
            self._patch(self.fact_at, struct.pack("<I", min(self.frames, MAX_32_BIT)))

    def _chunk(self, identifier: bytes, content: bytes) -> None:
        self.file.write(struct.pack("<4sI", identifier, len(content)) + content + bytes(len(content) % 2))

    def _patch(self, position: int, content: bytes) -> None:
        self.file.seek(position)
        self.file.write(content)
