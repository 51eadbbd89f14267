"""Ogg pages (RFC 3533): every one is checked, and streams that follow each other are read one by one.

libsndfile reads the first of them only, and passes over damaged pages. Links of a chain must agree in rate
and channels; several streams at a time are a film's, and left to FFmpeg.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import soundfile

from plugin_bridge.audio.info import AudioInfo, check_measures
from plugin_bridge.audio.sound_file import Link, SoundChain, open_part
from plugin_bridge.errors import AudioFileError

HEADER = struct.Struct("<4sBBqIIIB")
"""Mark, version, flags, granule position, stream, page number, checksum, number of segments."""
FIRST, LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_ogg(path: Path, start: int = 0) -> AudioInfo | None:
    """The streams of an Ogg file, or None if it holds some that libsndfile does not decode.

    Raises :class:`AudioFileError` for pages that are missing or damaged, and links that do not fit together.
    """
    spans = _spans(path, start)
    if spans is None:
        return None
    found = []
    links = []
    with path.open("rb") as file:
        for begin, end in spans:
            try:
                with open_part(file, begin, end) as sound:
                    found.append((sound.subtype, sound.samplerate, sound.channels))
                    links.append(Link(begin, end, sound.frames))
            except soundfile.SoundFileError:
                return None
    subtype, sample_rate, channels = found[0]
    check_measures(path, sample_rate, channels)
    for _, other_rate, other_channels in found:
        if (other_rate, other_channels) != (sample_rate, channels):
            raise AudioFileError(
                f"{path}: changes from {channels} channels at {sample_rate} Hz to {other_channels} at "
                f"{other_rate} Hz between its streams; encode it again as one"
            )
    frames = sum(link.frames for link in links)
    return AudioInfo(
        path, "ogg", subtype, sample_rate, channels, frames, SoundChain(path, channels, tuple(links))
    )


def _spans(path: Path, start: int) -> list[tuple[int, int]] | None:
    """Where each stream lies, one after the other; None if several lie in each other."""
    spans: list[tuple[int, int]] = []
    nested = False
    streams: dict[int, _Stream] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = start
        while at < len(content):
            if not streams and spans and content.find(b"OggS", at) < 0:
                break  # a tag or padding behind the last page
            header = content[at : at + HEADER.size]
            segments = header[-1] if len(header) == HEADER.size else 0
            end = at + HEADER.size + segments + sum(content[at + HEADER.size : at + HEADER.size + segments])
            if len(header) < HEADER.size or not header.startswith(b"OggS") or end > len(content):
                raise AudioFileError(
                    f"{path}: cut short or damaged at byte {at}, where no whole Ogg page is; copy it again"
                )
            _, _, flags, position, serial, number, checksum, _ = HEADER.unpack(header)
            if flags & FIRST:
                nested = nested or bool(streams)
                streams.setdefault(serial, _Stream(at, number))
            stream = streams.get(serial)
            if stream is None or number != stream.number or checksum != _checksum(content[at:end]):
                raise AudioFileError(
                    f"{path}: damaged at byte {at}: an Ogg page is missing or altered; copy it again"
                )
            stream.number += 1
            at = end
            if flags & LAST:
                if position < stream.reached:
                    raise AudioFileError(f"{path}: its end does not say how long it is; encode it again")
                del streams[serial]
                spans.append((stream.start, end))
            stream.reached = max(stream.reached, position)
    if streams or not spans:
        raise AudioFileError(f"{path}: cut short, its last Ogg page is missing or incomplete; copy it again")
    return None if nested else spans


@dataclass
class _Stream:
    """One that has begun and not ended: its first byte, the next page's number, the largest position."""

    start: int
    number: int
    reached: int = 0


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32, which takes each byte's bits from the other end than zlib's and inverts nothing."""
    blank = page[:22] + bytes(4) + page[26:]
    reflected = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")
