"""What the audio in a WAV file is: the ``fmt`` chunk, and where that leads."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from plugin_bridge.audio.info import AudioInfo, check_measures
from plugin_bridge.audio.pcm import PcmSamples
from plugin_bridge.audio.riff import EXTENSIBLE_FORMAT, SUBFORMAT_TAIL, Container
from plugin_bridge.errors import AudioFileError

INTEGERS = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
FLOATS = {4: "FLOAT", 8: "DOUBLE"}
CODINGS = {1: INTEGERS, 3: FLOATS, 6: {1: "ALAW"}, 7: {1: "ULAW"}}
"""By format code, then by the bytes of a sample."""
MPEG = (0x50, 0x55)
"""MPEG audio, layers 1 and 2, and layer 3."""


def read_wav(file: BinaryIO, path: Path, container: Container) -> AudioInfo | int:
    """What ``fmt`` says, or the code of a compression that is left to libsndfile.

    Raises :class:`AudioFileError` if there is no such chunk or it contradicts itself.
    """
    content = container.read(file, b"fmt ")
    order = ">" if container.big_endian else "<"
    if content is None or len(content) < 16:
        raise AudioFileError(f"{path}: there is no fmt chunk, which says what its audio is; export it again")
    code: int
    code, channels, sample_rate, _, frame_size, bits = struct.unpack_from(order + "HHIIHH", content)
    mask = 0
    if code == EXTENSIBLE_FORMAT and len(content) >= 40:
        mask, code = struct.unpack_from(order + "IH", content, 20)
        if content[26:40] != SUBFORMAT_TAIL:
            code = EXTENSIBLE_FORMAT  # a format of somebody's own
    check_measures(path, sample_rate, channels)
    size = frame_size // channels
    kinds = CODINGS.get(code)
    if kinds is None:
        return code
    subtype = kinds.get(size)
    if subtype is None or frame_size % channels or bits > 8 * size:
        raise AudioFileError(
            f"{path}: says that {channels} channels of {bits} bits take {frame_size} bytes; "
            "its header is damaged, export it again"
        )
    audio = container.audio
    frames = audio.size // frame_size
    samples = PcmSamples(path, subtype, container.big_endian, channels, audio.offset, frames)
    return AudioInfo(path, "wav", subtype, sample_rate, channels, frames, samples, mask)
