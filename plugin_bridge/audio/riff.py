"""The chunks of WAV and AIFF files: where the audio lies, and what stands beside it.

Lengths in headers are not believed: audio that is missing is an error, and so is whatever lies behind the
audio and is neither chunk, tag nor padding, since a header that was closed too early hides audio there.
Writers that could not go back (pipes) leave a length that no file has; then the audio reaches to the end.

Formats: EBU Tech 3285 (bext), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Microsoft's multimedia data
standards (RIFF), Apple's Audio Interchange File Format.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from plugin_bridge.audio.tags import AIFF_NAMES, behind_id3, from_id3, from_info_list, plain_text
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
FORMS = {
    (b"RIFF", b"WAVE"),
    (b"RIFX", b"WAVE"),
    (b"RF64", b"WAVE"),
    (b"BW64", b"WAVE"),
    (b"FORM", b"AIFF"),
    (b"FORM", b"AIFC"),
}
UNKNOWN_SIZES = (0x7F000000, 0x7FFFF000, 0x7FFFFFFF, MAX_32_BIT, (1 << 63) - 1, (1 << 64) - 1)
"""What SoX (AIFF, WAV), ALSA and others write when they cannot know the length yet; the last two in RF64."""
UNKNOWN_WITHIN = 128
"""Some count the header in, some subtract it."""
BESIDE_AUDIO = {
    *(
        b"LIST",
        b"bext",
        b"iXML",
        b"id3 ",
        b"ID3 ",
        b"cue ",
        b"smpl",
        b"inst",
        b"fact",
        b"PEAK",
        b"acid",
        b"cart",
    ),
    *(b"axml", b"chna", b"JUNK", b"PAD ", b"FLLR", b"minf", b"elm1", b"regn", b"umid", b"_PMX", b"afsp"),
    *(b"MARK", b"INST", b"NAME", b"AUTH", b"ANNO", b"COMT", b"APPL"),
}
"""Chunks that may be damaged when they stand behind the audio: nothing of it is lost with them."""
TAGS_BEHIND = (b"TAG", b"APETAGEX", b"ID3", b"3DI", b"LYRICSBEGIN")
SCANNED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """One chunk: its four letters and where its content lies in the file."""

    identifier: bytes
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The byte behind it, without padding."""
        return self.offset + self.size

    @property
    def name(self) -> str:
        """Its letters, for messages."""
        return self.identifier.decode("ascii").strip()


@dataclass
class Container:
    """The chunks of a WAV, RF64 or AIFF file that later steps ask for."""

    form: bytes
    """``WAVE``, ``AIFF`` or ``AIFC``."""
    big_endian: bool
    audio: Chunk
    open_ended: bool
    """Whether the writer did not know the audio's length, so that it reaches to the file's end."""
    chunks: dict[bytes, Chunk] = field(default_factory=dict)
    """By identifier; the first of each. A ``LIST`` of the type ``INFO`` is called ``INFO``."""

    def read(self, file: BinaryIO, identifier: bytes) -> bytes | None:
        """The content of a small chunk, or None if there is no such chunk."""
        chunk = self.chunks.get(identifier)
        if chunk is None or chunk.size > METADATA_LIMIT:
            return None
        file.seek(chunk.offset)
        return file.read(chunk.size)

    def texts(self, file: BinaryIO) -> tuple[bytes | None, bytes | None, dict[str, list[str]]]:
        """The chunks bext and iXML, and the text tags."""
        order: Literal["big", "little"] = "big" if self.big_endian else "little"
        tags = from_info_list(self.read(file, b"INFO") or b"", order)
        for identifier, name in AIFF_NAMES.items():
            if self.form != b"WAVE" and (text := plain_text(self.read(file, identifier) or b"")):
                tags[name] = [text]
        id3 = self.read(file, b"id3 ") or self.read(file, b"ID3 ")
        tags |= from_id3(id3) if id3 else {}
        return self.read(file, b"bext"), self.read(file, b"iXML"), tags


def read_container(file: BinaryIO, path: Path) -> Container | None:
    """The chunks of ``file``, or None if it is neither WAV nor AIFF; a tag in front of it is passed over.

    Raises :class:`AudioFileError` where the header and the file's size contradict each other: audio
    is missing, or there is more of it than the header says.
    """
    start = behind_id3(file)
    file.seek(start)
    head = file.read(12)
    magic, form = head[:4], head[8:]
    if (magic, form) not in FORMS:
        return None
    walk = _Walk(file, path, start, ">" if magic in (b"FORM", b"RIFX") else "<", magic in (b"RF64", b"BW64"))
    audio_name = b"SSND" if magic == b"FORM" else b"data"
    position, open_ended = start + 12, False
    chunks: dict[bytes, Chunk] = {}
    while chunk := walk.chunk_at(position):
        if chunk.identifier == audio_name:
            if audio_name in chunks:
                raise AudioFileError(f"{path}: holds several {chunk.name} chunks; export it again")
            chunk, open_ended = walk.with_known_size(chunk)
        if chunk.end > walk.file_size:
            if audio_name not in chunks:
                raise AudioFileError(
                    f"{path}: cut short, its {chunk.name} chunk says {chunk.size} bytes but the file holds "
                    f"{walk.file_size - chunk.offset}; copy or export it again"
                )
            if chunk.identifier not in BESIDE_AUDIO:
                break
        chunks.setdefault(*walk.named(chunk))
        position = walk.behind(chunk)
    if audio_name not in chunks:
        raise AudioFileError(f"{path}: cut short, there is no {audio_name.decode()} chunk; export it again")
    walk.refuse_unclaimed_audio(chunks[audio_name], position)
    return Container(form, walk.order == ">", chunks[audio_name], open_ended, chunks)


class _Walk:
    """From chunk to chunk."""

    def __init__(self, file: BinaryIO, path: Path, start: int, order: str, long: bool) -> None:
        self.file = file
        self.path = path
        self.order = order
        self.long = long
        self.file_size = file.seek(0, 2)
        self.long_sizes: dict[bytes, int] = {}
        file.seek(start + 4)
        (self.form_size,) = struct.unpack(order + "I", file.read(4))

    def chunk_at(self, position: int) -> Chunk | None:
        """The chunk at a byte, or None if none begins there."""
        if position + 8 > self.file_size:
            return None
        self.file.seek(position)
        identifier, size = struct.unpack(self.order + "4sI", self.file.read(8))
        if not all(32 <= letter < 127 for letter in identifier):
            return None
        if identifier == b"ds64" and self.long:
            content = self.file.read(min(size, METADATA_LIMIT))
            self.long_sizes = _parse_ds64(content)
            self.form_size = int.from_bytes(content[:8], "little")
        if size == MAX_32_BIT:
            size = self.long_sizes.get(identifier, size)
        return Chunk(identifier, position + 8, size)

    def with_known_size(self, audio: Chunk) -> tuple[Chunk, bool]:
        """The audio's chunk, to the file's end where its writer did not know the length, and whether."""
        is_blank = self.form_size == 0 and audio.size == 0  # as FFmpeg leaves AIFF and RF64 in pipes
        if not is_blank and all(abs(audio.size - unknown) > UNKNOWN_WITHIN for unknown in UNKNOWN_SIZES):
            return audio, False
        if audio.end == self.file_size or (audio.end < self.file_size and self._is_chunk(audio.end)):
            return audio, False
        return Chunk(audio.identifier, audio.offset, self.file_size - audio.offset), True

    def named(self, chunk: Chunk) -> tuple[bytes, Chunk]:
        """What it is filed under, and what it holds."""
        if chunk.identifier == b"LIST" and chunk.size >= 4:
            self.file.seek(chunk.offset)
            if self.file.read(4) == b"INFO":
                return b"INFO", Chunk(b"INFO", chunk.offset + 4, chunk.size - 4)
        return chunk.identifier, chunk

    def behind(self, chunk: Chunk) -> int:
        """Where the next chunk begins: after a byte of padding if the size is odd, which some leave out."""
        if chunk.size % 2 == 0:
            return chunk.end
        self.file.seek(chunk.end)
        padding = self.file.read(1)
        if padding == b"\0" or self._is_chunk(chunk.end + 1) or not self._is_chunk(chunk.end):
            return chunk.end + 1
        return chunk.end

    def _is_chunk(self, position: int) -> bool:
        """Whether one lies there that ends within the file, or whose length was not known."""
        chunk = self.chunk_at(position)
        return chunk is not None and (chunk.end <= self.file_size or chunk.size == MAX_32_BIT)

    def refuse_unclaimed_audio(self, audio: Chunk, position: int) -> None:
        """Raise for a header that was never completed, or that wrapped around at 4 GiB.

        ``position`` is where the chunks end.
        """
        wrapped = not self.long and self.file_size - audio.end > MAX_32_BIT - METADATA_LIMIT
        if wrapped or not is_padding(self.file, position):
            raise AudioFileError(
                f"{self.path}: its {audio.name} chunk says {audio.size} bytes, but "
                f"{self.file_size - audio.end} more follow that are no chunk (a recording that was never "
                "closed?); open it in an editor and save it again"
            )


def is_padding(file: BinaryIO, position: int) -> bool:
    """Whether nothing follows from there on but zeros, less than a chunk, or another format's tag."""
    file.seek(position)
    head = file.read(16)
    if len(head) < 8 or head.startswith(TAGS_BEHIND):
        return True
    file.seek(position)
    while content := file.read(SCANNED_AT_ONCE):
        if content.count(0) < len(content):
            return False
    return True


def _parse_ds64(content: bytes) -> dict[bytes, int]:
    if len(content) < 28:
        return {}
    sizes = {b"data": int(struct.unpack_from("<Q", content, 8)[0])}
    (count,) = struct.unpack_from("<I", content, 24)
    for index in range(min(count, (len(content) - 28) // 12)):
        identifier, size = struct.unpack_from("<4sQ", content, 28 + 12 * index)
        sizes[identifier] = size
    return sizes


def bext_time_reference(content: bytes) -> int | None:
    """The time stamp of a bext chunk in samples since midnight; None if the chunk is too short."""
    if len(content) < TIME_REFERENCE_AT + 8:
        return None
    return int(struct.unpack_from("<Q", content, TIME_REFERENCE_AT)[0])
