"""Text tags of audio files (title, artist, ...) under one set of names, whatever the format calls them.

ID3 in WAV, AIFF and MP3, Vorbis comments in FLAC and Ogg, through mutagen. Pictures are not carried over.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from mutagen import MutagenError
from mutagen.aiff import AIFF
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TXXX, Frames
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

Tags = Mapping[str, list[str]]

TIME_REFERENCE_TAG = "time_reference"
"""Carries the time stamp (samples) where the format has no bext chunk."""

ID3_FRAMES = {
    "album": "TALB",
    "albumartist": "TPE2",
    "artist": "TPE1",
    "bpm": "TBPM",
    "composer": "TCOM",
    "conductor": "TPE3",
    "copyright": "TCOP",
    "date": "TDRC",
    "discnumber": "TPOS",
    "encodedby": "TENC",
    "genre": "TCON",
    "grouping": "TIT1",
    "isrc": "TSRC",
    "language": "TLAN",
    "lyricist": "TEXT",
    "mood": "TMOO",
    "organization": "TPUB",
    "title": "TIT2",
    "tracknumber": "TRCK",
    "version": "TIT3",
}
"""Our names (those of Vorbis comments) -> ID3v2.4 text frames; every other name becomes a TXXX frame."""
_NAMES = {frame: name for name, frame in ID3_FRAMES.items()}


def from_id3(content: bytes) -> dict[str, list[str]]:
    """The text frames of an ID3v2 tag; none if it is damaged."""
    try:
        frames = ID3(io.BytesIO(content)).values()
    except MutagenError:
        return {}
    tags: dict[str, list[str]] = {}
    for frame in frames:
        if frame.FrameID in _NAMES:
            tags[_NAMES[frame.FrameID]] = [str(text) for text in frame.text]
        elif frame.FrameID == "TXXX":
            tags[frame.desc.lower()] = [str(text) for text in frame.text]
        elif frame.FrameID == "COMM":
            tags.setdefault("comment", []).extend(str(text) for text in frame.text)
    return tags


def to_id3(tags: Tags) -> bytes:
    """An ID3v2.4 tag with ``tags``, as stands in WAV's ``id3`` chunk; empty without tags."""
    if not tags:
        return b""
    buffer = io.BytesIO()
    _id3(tags).save(buffer, v1=0, padding=lambda _info: 0)
    return buffer.getvalue()


def _id3(tags: Tags) -> ID3:
    id3 = ID3()
    for name, texts in tags.items():
        utf8 = 3
        if name in ID3_FRAMES:
            id3.add(Frames[ID3_FRAMES[name]](encoding=utf8, text=texts))
        elif name == "comment":
            id3.add(Frames["COMM"](encoding=utf8, lang="XXX", desc="", text=texts))
        else:
            id3.add(TXXX(encoding=utf8, desc=name, text=texts))
    return id3


def read_tags(path: Path, format: str) -> dict[str, list[str]]:
    """The tags of an MP3, FLAC or Ogg file; none if there are none or they are damaged."""
    try:
        if format == "mp3":
            with path.open("rb") as file:
                head = file.read(10)
                # Four bytes of seven bits: the size of an ID3v2 tag without its header.
                size = sum(
                    (byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False)
                )
                return from_id3(head + file.read(size)) if head.startswith(b"ID3") else {}
        if format == "flac":
            comments = FLAC(path).tags
        elif format == "opus":
            comments = OggOpus(path).tags
        else:
            comments = OggVorbis(path).tags
    except (MutagenError, OSError):
        return {}
    tags: dict[str, list[str]] = {}
    for name, text in comments or ():
        tags.setdefault(name.lower(), []).append(text)
    return tags


def write_tags(path: Path, format: str, tags: Tags) -> None:
    """Add ``tags`` to a finished FLAC, AIFF, Ogg or MP3 file. Raises MutagenError and OSError."""
    if format == "mp3":
        _id3(tags).save(path, v1=0)
    elif format == "aiff":
        aiff = AIFF(path)
        aiff.add_tags()
        for frame in _id3(tags).values():
            aiff.tags.add(frame)
        aiff.save()
    else:
        file = FLAC(path) if format == "flac" else OggVorbis(path)
        if file.tags is None:
            file.add_tags()
        for name, texts in tags.items():
            file.tags[_comment_name(name)] = texts
        file.save()


def _comment_name(name: str) -> str:
    """Vorbis comments allow printable ASCII without ``=`` and ``~``."""
    return "".join(letter if " " <= letter <= "}" and letter != "=" else "_" for letter in name) or "_"
