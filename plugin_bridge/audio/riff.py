"""RIFF chunks: what WAV and AIFF files say beside their samples, and a WAV writer that uses it.

libsndfile neither tells nor writes Broadcast WAV time stamps, and it shortens damaged files in
silence; so the chunks are walked here. The writer reserves room for a ``ds64`` chunk and turns the
file into RF64 when it outgrows 4 GiB.

Formats: EBU Tech 3285 (bext), EBU Tech 3306 (RF64), Microsoft's multimedia data standards (fmt, fact).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from plugin_bridge.errors import AudioFileError

MAX_32_BIT = 0xFFFFFFFF
METADATA_LIMIT = 1 << 24
"""Chunks of text (bext, iXML) beyond this size are not read."""
BEXT_SIZE = 602
TIME_REFERENCE_AT = 338
"""Where the time stamp stands in a bext chunk: after description, originator, reference, date and time."""
PCM_FORMAT, FLOAT_FORMAT, EXTENSIBLE_FORMAT = 1, 3, 0xFFFE
SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format code in the GUID of an extensible WAV."""


@dataclass(frozen=True)
class Chunk:
    """One chunk: its four letters and where its content lies in the file."""

    identifier: bytes
    offset: int
    size: int


@dataclass
class Container:
    """The chunks of a WAV, RF64 or AIFF file that later steps ask for."""

    chunks: dict[bytes, Chunk] = field(default_factory=dict)

    def read(self, file: BinaryIO, identifier: bytes) -> bytes | None:
        """The content of a small chunk, or None if there is no such chunk."""
        chunk = self.chunks.get(identifier)
        if chunk is None or chunk.size > METADATA_LIMIT:
            return None
        file.seek(chunk.offset)
        return file.read(chunk.size)


def read_container(file: BinaryIO, path: Path) -> Container | None:
    """The chunks of ``file``, or None if it is neither WAV nor AIFF.

    Raises :class:`AudioFileError` where the header and the file's size contradict each other: audio
    is missing, or there is more of it than the header says.
    """
    file.seek(0)
    head = file.read(12)
    form = head[:4]
    if len(head) < 12 or (form, head[8:]) not in {
        (b"RIFF", b"WAVE"),
        (b"RIFX", b"WAVE"),
        (b"RF64", b"WAVE"),
        (b"FORM", b"AIFF"),
        (b"FORM", b"AIFC"),
    }:
        return None
    audio_chunk = b"SSND" if form == b"FORM" else b"data"
    file_size = file.seek(0, 2)
    container = Container()
    for chunk in _walk(file, form, file_size):
        missing = chunk.offset + chunk.size - file_size
        if missing > 0:
            if audio_chunk in container.chunks:
                break  # damage behind the audio is harmless
            held = file_size - chunk.offset
            raise AudioFileError(
                f"{path}: cut short, its {_name(chunk)} chunk says {chunk.size} bytes but the file holds "
                f"{held}; copy or export it again"
            )
        container.chunks.setdefault(chunk.identifier, chunk)
    audio = container.chunks.get(audio_chunk)
    if audio is None:
        raise AudioFileError(f"{path}: cut short, there is no {audio_chunk.decode()} chunk; export it again")
    _refuse_unclaimed_audio(file, path, form, audio, file_size)
    return container


def _walk(file: BinaryIO, form: bytes, file_size: int) -> Iterator[Chunk]:
    order = ">" if form in (b"FORM", b"RIFX") else "<"
    long_sizes: dict[bytes, int] = {}
    position = 12
    while position + 8 <= file_size:
        file.seek(position)
        identifier, size = struct.unpack(order + "4sI", file.read(8))
        if not _is_identifier(identifier):
            return
        position += 8
        if identifier == b"ds64" and form == b"RF64":
            long_sizes = _parse_ds64(file.read(min(size, METADATA_LIMIT)))
        if size == MAX_32_BIT:
            # Streamed files, whose writer could not go back to say their length, reach to their end.
            size = long_sizes.get(identifier, file_size - position)
        yield Chunk(identifier, position, size)
        position += size + size % 2


def _parse_ds64(content: bytes) -> dict[bytes, int]:
    if len(content) < 28:
        return {}
    sizes = {b"data": int(struct.unpack_from("<Q", content, 8)[0])}
    (count,) = struct.unpack_from("<I", content, 24)
    for index in range(min(count, (len(content) - 28) // 12)):
        identifier, size = struct.unpack_from("<4sQ", content, 28 + 12 * index)
        sizes[identifier] = size
    return sizes


def _refuse_unclaimed_audio(file: BinaryIO, path: Path, form: bytes, audio: Chunk, file_size: int) -> None:
    """A header that was never completed, or that wrapped around at 4 GiB, hides audio."""
    end = audio.offset + audio.size + audio.size % 2
    file.seek(4)
    claimed = struct.unpack(">I" if form in (b"FORM", b"RIFX") else "<I", file.read(4))[0] + 8
    left = file_size - end
    file.seek(end)
    inside = left >= 8 and (end + 8 <= claimed or audio.size == 0)
    if (inside and not _is_identifier(file.read(4))) or (
        form != b"RF64" and left > MAX_32_BIT - METADATA_LIMIT
    ):
        raise AudioFileError(
            f"{path}: its {_name(audio)} chunk says {audio.size} bytes, but {left} more follow that are no "
            "chunk (a recording that was never closed?); open it in an editor and save it again"
        )


def _is_identifier(letters: bytes) -> bool:
    return len(letters) == 4 and all(32 <= letter < 127 for letter in letters)


def _name(chunk: Chunk) -> str:
    return chunk.identifier.decode("ascii").strip()


def bext_time_reference(content: bytes) -> int | None:
    """The time stamp of a bext chunk in samples since midnight; None if the chunk is too short."""
    if len(content) < TIME_REFERENCE_AT + 8:
        return None
    return int(struct.unpack_from("<Q", content, TIME_REFERENCE_AT)[0])


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
        extensible = channels > 2
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
            fmt += struct.pack("<HHIH", 22, bits, 0, code) + SUBFORMAT_TAIL
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
