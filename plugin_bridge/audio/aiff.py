"""What the audio in an AIFF file is: the ``COMM`` chunk, and where that leads."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from plugin_bridge.audio.info import AudioInfo, check_measures, cut_short
from plugin_bridge.audio.pcm import SIZES, PcmSamples
from plugin_bridge.audio.riff import Container
from plugin_bridge.errors import AudioFileError

INTEGERS = ("PCM_S8", "PCM_16", "PCM_24", "PCM_32")
"""By bytes of a sample, less one."""
BIG, LITTLE = True, False
COMPRESSIONS: dict[bytes, tuple[str, bool]] = {
    b"sowt": ("", LITTLE),
    b"raw ": ("PCM_U8", BIG),
    b"fl32": ("FLOAT", BIG),
    b"fl64": ("DOUBLE", BIG),
    b"ulaw": ("ULAW", BIG),
    b"alaw": ("ALAW", BIG),
    b"in24": ("PCM_24", BIG),
    b"in32": ("PCM_32", BIG),
    b"42ni": ("PCM_24", LITTLE),
    b"23ni": ("PCM_32", LITTLE),
    **dict.fromkeys((b"NONE", b"twos"), ("", BIG)),
}
"""Of AIFC, in lower case but for NONE; without a name, integers of as many bits as COMM says."""
BEFORE_SAMPLES = 8
"""Bytes of an SSND chunk: where its samples begin after these, and how long a block is."""
LARGEST_EXPONENT = 16383 + 64
"""More than 2^64 Hz."""


def read_aiff(file: BinaryIO, path: Path, container: Container) -> AudioInfo | None:
    """What ``COMM`` says, or None for a compression that is left to libsndfile.

    Raises :class:`AudioFileError` if there is no such chunk, it contradicts itself or frames are missing.
    """
    content = container.read(file, b"COMM")
    if content is None or len(content) < 18:
        raise AudioFileError(f"{path}: there is no COMM chunk, which says what its audio is; export it again")
    channels, said, bits = struct.unpack_from(">hIh", content)
    sample_rate = _extended(content[8:18])
    check_measures(path, sample_rate, channels)
    compression = content[18:22] if container.form == b"AIFC" else b"NONE"
    known = COMPRESSIONS.get(compression) or COMPRESSIONS.get(compression.lower())
    if known is None:
        return None
    subtype, big_endian = known
    if not subtype:
        if not 1 <= bits <= 32:
            raise AudioFileError(
                f"{path}: says that a sample has {bits} bits; 1 to 32 are read; export it again"
            )
        subtype = INTEGERS[(bits - 1) // 8]
    file.seek(container.audio.offset)
    offset = int.from_bytes(file.read(4), "big") + BEFORE_SAMPLES
    frames = (container.audio.size - offset) // (SIZES[subtype] * channels)
    if frames < 0 or (frames < said and not container.open_ended):
        raise cut_short(path, said)
    samples = PcmSamples(path, subtype, big_endian, channels, container.audio.offset + offset, frames)
    return AudioInfo(path, "aiff", subtype, sample_rate, channels, frames, samples)


def _extended(content: bytes) -> int:
    """An 80-bit IEEE 754 number, as which AIFF keeps sample rates, rounded; 0 for what is no number."""
    exponent, mantissa = struct.unpack(">HQ", content)
    if exponent > LARGEST_EXPONENT:
        return 0
    return round(math.ldexp(mantissa, exponent - 16383 - 63))
