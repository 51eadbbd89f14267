"""The outermost parts of media files, each with its length: whether the file holds all that it says.

Decoders end in silence where a file does, so a cut one is told from its parts. Formats: ISO 14496-12 (MP4),
Apple's Core Audio Format, Sony's Wave64, Microsoft's ASF and AVI, RFC 8794 (Matroska), ISO 13818-7 (ADTS),
WavPack's and Sun's file formats.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from plugin_bridge.audio.riff import is_padding
from plugin_bridge.audio.tags import behind_id3
from plugin_bridge.errors import AudioFileError

TO_THE_END = -1
"""The size of a part whose writer did not know it."""
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
ASF_DATA_HEADER = 50
"""Bytes of a data object without any data, which is what one says that was written into a pipe."""
Part = tuple[bytes, int]
"""A name for messages, and the part's whole size, its header included."""


def whole_span(file: BinaryIO, path: Path, format: str) -> tuple[int, int]:
    """Where the parts of a file begin and end, between tags that other formats put around them.

    Raises :class:`AudioFileError` if a part reaches beyond the file's end, or what follows the last is no
    padding.
    """
    start, file_size = behind_id3(file), file.seek(0, 2)
    if format not in _READERS:
        return start, file_size
    first, alignment, read = _READERS[format]
    at = start + first
    while at < file_size:
        file.seek(at)
        part = read(file.read(32))
        if part and part[1] == TO_THE_END:
            return start, file_size
        name, size = part or (b"", 0)
        if size <= 0:
            if is_padding(file, at):
                return start, at
            raise AudioFileError(
                f"{path}: damaged: {file_size - at} bytes follow its last part that belong to none; "
                "copy or export it again"
            )
        if at + size > file_size:
            shown = "".join(chr(letter) for letter in name if 32 < letter < 127) or "last"
            raise AudioFileError(
                f"{path}: cut short, its {shown} part says {size} bytes but the file holds {file_size - at}; "
                "copy or export it again"
            )
        at += size + -size % alignment
    return start, file_size


def _mp4(head: bytes) -> Part | None:
    if len(head) < 16:
        return None
    size, name = struct.unpack_from(">I4s", head)
    if size == 0:
        return name, TO_THE_END
    return name, struct.unpack_from(">Q", head, 8)[0] if size == 1 else size


def mp4_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The outermost boxes of an MP4: name, place and whole size."""
    at, end = 0, file.seek(0, 2)
    while at < end:
        file.seek(at)
        name, size = _mp4(file.read(16).ljust(16, b"\0")) or (b"", 0)
        size = end - at if size == TO_THE_END else size
        if size < 8:
            return
        yield name, at, size
        at += size


def _caf(head: bytes) -> Part | None:
    if len(head) < 12:
        return None
    name, size = struct.unpack_from(">4sq", head)
    return name, TO_THE_END if size == TO_THE_END else size + 12


def _w64(head: bytes) -> Part | None:
    if len(head) < 24:
        return None
    (size,) = struct.unpack_from("<q", head, 16)
    return head[:4], 40 if head.startswith(b"riff") else size


def _au(head: bytes) -> Part | None:
    if len(head) < 24 or not head.startswith(b".snd"):
        return None
    offset, size = struct.unpack_from(">II", head, 4)
    return b"data", TO_THE_END if size == 0xFFFFFFFF else offset + size


def _adts(head: bytes) -> Part | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    return b"AAC", (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _wavpack(head: bytes) -> Part | None:
    return (b"wvpk", 8 + struct.unpack_from("<I", head, 4)[0]) if head.startswith(b"wvpk") else None


def _asf(head: bytes) -> Part | None:
    if len(head) < 24:
        return None
    (size,) = struct.unpack_from("<q", head, 16)
    return b"", TO_THE_END if head.startswith(ASF_DATA) and size <= ASF_DATA_HEADER else size


def _avi(head: bytes) -> Part | None:
    if len(head) < 8:
        return None
    name, size = struct.unpack_from("<4sI", head)
    if name != b"RIFF":
        return None
    return name, TO_THE_END if size == 0xFFFFFFFF else 8 + size


def _matroska(head: bytes) -> Part | None:
    """An EBML element: the number of leading zero bits says how many bytes its name and size have."""
    if len(head) < 13 or not head[0]:
        return None
    name = 9 - head[0].bit_length()
    if not head[name]:
        return None
    length = 9 - head[name].bit_length()
    mask = (1 << 7 * length) - 1
    size = int.from_bytes(head[name : name + length], "big") & mask
    return b"segment", TO_THE_END if size == mask else name + length + size


_READERS: dict[str, tuple[int, int, Callable[[bytes], Part | None]]] = {
    "mp4": (0, 1, _mp4),
    "caf": (8, 1, _caf),
    "w64": (0, 8, _w64),
    "au": (0, 1, _au),
    "aac": (0, 1, _adts),
    "wavpack": (0, 1, _wavpack),
    "wma": (0, 1, _asf),
    "avi": (0, 2, _avi),
    "matroska": (0, 1, _matroska),
}
"""By format: where the first part lies, to how many bytes parts are padded, what reads a part's header."""
