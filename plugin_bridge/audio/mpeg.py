"""MPEG audio (MP3 above all): every frame of a file, counted, and decoded one by one.

Most players believe the number of frames in the first one ("Xing") or guess it from the file's size. Here
all headers are read: frames that the tag does not know of are audio all the same, and frames that it promises
and that are missing are an error. The encoder's delay and padding, if it wrote them, are left out.

Formats: ISO 11172-3 and 13818-3 (headers), the Xing and LAME tags as LAME's source documents them.
"""

from __future__ import annotations

import mmap
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plugin_bridge.audio.info import AudioInfo, cut_short
from plugin_bridge.audio.sequential import SequentialReader
from plugin_bridge.audio.tags import ID3_HEADER, id3_size
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By version: MPEG-1, MPEG-2 and 2.5."""
KILOBITS = {
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By MPEG-1 or not and by the header's layer bits: 3 is layer I, 2 layer II, 1 layer III."""
DECODERS = {3: "mp1float", 2: "mp2float", 1: "mp3float"}
DECODER_DELAY = 529
"""Frames that every decoder of layer III is late, beside what the encoder says of itself (LAME)."""
WARM_UP = 40
"""So many MPEG frames before the wanted one bring a decoder into the same state as the whole file: layer
III takes up to 511 bytes from frames before, of which the smallest have 24."""
SMALL_STEP = 1 << 17
"""Reading on by less than this is done by decoding on."""
SEARCHED = 1 << 20
"""Bytes in front of the first frame in which one is looked for."""


@dataclass(frozen=True)
class _Header:
    """What the four bytes at a frame's start say."""

    kind: tuple[int, int, int]
    """Version, layer bits and sample rate, which are one for all frames of a file."""
    channels: int
    size: int
    samples: int


def _header(content: mmap.mmap, at: int) -> _Header | None:
    if at + 4 > len(content) or content[at] != 0xFF or content[at + 1] & 0xE0 != 0xE0:
        return None
    second, third = content[at + 1], content[at + 2]
    version, layer = (second >> 3) & 3, (second >> 1) & 3
    bitrate, rate = third >> 4, (third >> 2) & 3
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return None
    sample_rate = RATES[version][rate]
    bits = KILOBITS[version == 3, layer][bitrate - 1] * 1000
    padding = (third >> 1) & 1
    channels = 1 if content[at + 3] >> 6 == 3 else 2
    if layer == 3:
        return _Header((version, layer, sample_rate), channels, (12 * bits // sample_rate + padding) * 4, 384)
    samples = 576 if layer == 1 and version != 3 else 1152
    return _Header(
        (version, layer, sample_rate), channels, samples // 8 * bits // sample_rate + padding, samples
    )


@dataclass(frozen=True)
class MpegFrames:
    """Where the frames of a file lie, and which of the decoded samples are the music."""

    path: Path
    decoder: str
    channels: int
    samples: int
    """Of one frame."""
    offsets: array[int] = field(repr=False)
    sizes: array[int] = field(repr=False)
    skipped: int = 0
    """Decoded samples in front of the first that counts."""

    def open(self) -> MpegReader:
        """Open the file."""
        return MpegReader(self)


def read_mpeg(path: Path, start: int, end: int, name: str = "mp3") -> AudioInfo | None:
    """The MPEG audio in the bytes ``start`` to ``end``, or None if there is none.

    Raises :class:`AudioFileError` if frames are missing or what lies between them is no tag.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        scan = _Scan(content, start, min(end, len(content)))
        if not scan.offsets:
            return None
        first = scan.first
        tag = _encoder_tag(content[scan.offsets[0] : scan.offsets[0] + scan.sizes[0]], first)
    if tag:
        del scan.offsets[0], scan.sizes[0]
    found = len(scan.offsets)
    claimed = tag.frames if tag else 0
    is_right = claimed == found
    if tag and not tag.skipped and claimed == found + 1 and scan.damage is None:
        is_right = True  # older encoders counted the frame that holds the tag
    if claimed > found and not is_right:
        raise cut_short(path, claimed * first.samples)
    if scan.damage is not None and (scan.joined or not is_right):
        raise AudioFileError(
            f"{path}: cut short or damaged at byte {scan.damage}, where no frame is; copy or export it again"
        )
    skipped, padding = (tag.skipped, tag.padding) if tag else (0, 0)
    if claimed and not is_right:
        padding = 0  # which lay where the tag believed the end
    frames = max(0, found * first.samples - skipped - padding)
    _, layer, sample_rate = first.kind
    samples = MpegFrames(
        path, DECODERS[layer], first.channels, first.samples, scan.offsets, scan.sizes, skipped
    )
    subtype = f"MPEG_LAYER_{'I' * (4 - layer)}"
    return AudioInfo(path, name, subtype, sample_rate, first.channels, frames, samples)


class _Scan:
    """All frames between two bytes; ``damage`` is the first byte that belongs to none and to no tag.

    ``joined``: whether frames of another kind follow, of a file that was joined to this one.
    """

    def __init__(self, content: mmap.mmap, start: int, end: int) -> None:
        self.content = content
        self.end = end
        self.offsets, self.sizes = array("Q"), array("I")
        self.damage: int | None = None
        self.joined = False
        at = self._synchronised(start, min(end, start + SEARCHED), 3)
        if at is None:
            return
        header = _header(content, at)
        assert header
        self.first = header
        if at - self._behind_tags(start) >= header.size:  # more than the rest of a frame from before
            self.damage = start
        while at < end:
            header = _header(content, at)
            if header and header.kind == self.first.kind:
                if at + header.size > end:
                    self.damage = at if self.damage is None else self.damage
                    return
                self.offsets.append(at)
                self.sizes.append(header.size)
                at += header.size
            elif (behind := self._behind_tag(at)) > at:
                at = behind
            else:
                following = self._synchronised(at, end, 2)
                if following is None:
                    return
                self.damage = at if self.damage is None else self.damage
                at = following
                header = _header(content, at)
                if header and header.kind != self.first.kind:
                    self.joined = self.joined or self._synchronised(at, at + 1, 3) is not None
                    at += header.size

    def _synchronised(self, start: int, end: int, frames: int) -> int | None:
        """The first byte from which so many frames follow each other, or all up to the end."""
        at = start
        while (at := self.content.find(b"\xff", at, end)) >= 0:
            position, kind = at, None
            for _ in range(frames):
                header = _header(self.content, position)
                if header is None or kind not in (None, header.kind):
                    break
                kind = header.kind
                position += header.size
                if position == self.end:
                    return at
            else:
                return at
            at += 1
        return None

    def _behind_tags(self, at: int) -> int:
        while (behind := self._behind_tag(at)) > at:
            at = behind
        return at

    def _behind_tag(self, at: int) -> int:
        """Where what lies at a byte ends if it is a tag or zeros; the byte itself if it is neither."""
        head = self.content[at : at + 32]
        if size := id3_size(head[:ID3_HEADER]):
            return at + size
        if head.startswith(b"APETAGEX") and len(head) == 32:
            body = int.from_bytes(head[12:16], "little")
            is_header = int.from_bytes(head[20:24], "little") & 0x20000000
            return at + (32 + body if is_header else 32)
        if head.startswith(b"TAG"):
            return at + 128
        zeros = re.compile(rb"\0*").match(self.content, at)
        return zeros.end() if zeros else at


@dataclass(frozen=True)
class _Tag:
    """What an encoder wrote into a first frame without audio."""

    frames: int
    skipped: int
    padding: int


def _encoder_tag(frame: bytes, header: _Header) -> _Tag | None:
    if frame[36:40] == b"VBRI":
        return _Tag(int.from_bytes(frame[50:54], "big"), 0, 0)
    version, layer, _ = header.kind
    side = {(True, 2): 32, (True, 1): 17, (False, 2): 17, (False, 1): 9}[version == 3, header.channels]
    at = 4 + side
    if layer != 1 or frame[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    at += 8
    frames = int.from_bytes(frame[at : at + 4], "big") if flags & 1 else 0
    at += sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    encoder, delays = frame[at : at + 9], int.from_bytes(frame[at + 21 : at + 24], "big")
    if not encoder.strip(b"\0") or not delays:
        return _Tag(frames, 0, 0)
    delay, padding = delays >> 12, delays & 0xFFF
    return _Tag(frames, delay + DECODER_DELAY, max(0, padding - DECODER_DELAY))


class MpegReader:
    """Reads :class:`MpegFrames`; a far step starts shortly before the place that is asked for."""

    def __init__(self, samples: MpegFrames) -> None:
        self.samples = samples
        self.file = samples.path.open("rb")
        self._begin = 0
        self._reader = SequentialReader(samples.channels, lambda: iter(()))

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        first = start + self.samples.skipped
        step = first - self._begin - self._reader.position
        if step > SMALL_STEP or first < self._begin or not self._reader.holds(first - self._begin):
            number = first // self.samples.samples
            self._begin = number * self.samples.samples
            self._reader = SequentialReader(self.samples.channels, lambda: self._decode(number))
        audio = self._reader.read(first - self._begin, frames)
        if audio.shape[1] < frames:
            raise cut_short(self.samples.path, start + frames, start + audio.shape[1])
        return audio

    def _decode(self, first: int) -> Iterator[Audio]:
        import av

        samples = self.samples
        decoder = av.CodecContext.create(samples.decoder, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        for number in range(max(0, first - WARM_UP), len(samples.offsets)):
            self.file.seek(samples.offsets[number])
            try:
                decoded = decoder.decode(av.Packet(self.file.read(samples.sizes[number])))
            except av.FFmpegError as error:
                raise AudioFileError(
                    f"{samples.path}: damaged in its MPEG frame {number}; copy or export it again"
                ) from error
            if number < first:
                continue
            for frame in decoded:
                if len(frame.layout.channels) != samples.channels:
                    raise AudioFileError(
                        f"{samples.path}: changes from {samples.channels} channels to "
                        f"{len(frame.layout.channels)}; encode it again"
                    )
                yield np.ascontiguousarray(frame.to_ndarray(), np.float32)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
