"""Text tags of audio files (title, artist, ...) under one set of names, whatever the format calls them.

ID3 in WAV, AIFF and MP3, Vorbis comments in FLAC and Ogg, through mutagen; text chunks of WAV and AIFF.
Pictures are not carried over.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from mutagen import MutagenError
from mutagen.aiff import AIFF
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TXXX, Frames, Frames_2_2
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

if TYPE_CHECKING:
    from plugin_bridge.audio.cover import Cover

Tags = Mapping[str, list[str]]

TIME_REFERENCE_TAG = "time_reference"
"""Carries the time stamp (samples) where the format has no bext chunk."""
CHANNEL_MASK_TAG = "waveformatextensible_channel_mask"
"""Carries the loudspeakers in FLAC, as its reference encoder writes them."""

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
MP4_ATOMS = {
    "album": "\xa9alb",
    "albumartist": "aART",
    "artist": "\xa9ART",
    "comment": "\xa9cmt",
    "composer": "\xa9wrt",
    "copyright": "cprt",
    "date": "\xa9day",
    "encodedby": "\xa9too",
    "genre": "\xa9gen",
    "grouping": "\xa9grp",
    "title": "\xa9nam",
}
MP4_PAIRS = {
    "discnumber": ("disk", ("disctotal", "totaldiscs")),
    "tracknumber": ("trkn", ("tracktotal", "totaltracks")),
}
"""Our names -> atoms of MP4, which hold a number and of how many; what else says of how many.

``bpm`` is a number, too; every other name becomes one of iTunes's free form."""
_NAMES = {frame: name for name, frame in ID3_FRAMES.items()}
_READ_FRAMES = {
    name: frame
    for name, frame in {**Frames, **Frames_2_2}.items()
    if name in {*_NAMES, "TXXX", "COMM", "TYER", "TDAT", "TIME"}
    or frame.__base__.__name__ in {*_NAMES, "COMM"}
}
"""All others (pictures above all) are passed over; those of ID3v2.2 derive from their successors."""


INFO_NAMES = {
    b"INAM": "title",
    b"IART": "artist",
    b"ICMT": "comment",
    b"ICOP": "copyright",
    b"ISFT": "software",
    b"ICRD": "date",
    b"IPRD": "album",
    b"ITRK": "tracknumber",
    b"IGNR": "genre",
}
"""Texts of a WAV's LIST chunk of the type INFO."""
AIFF_NAMES = {b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment", b"(c) ": "copyright"}
ID3_HEADER = 10
TAG_LIMIT = 1 << 24
"""No more than so many bytes of a tag are read."""


def id3_size(head: bytes) -> int:
    """The bytes of the ID3v2 tag that begins with ``head``, ten bytes; 0 if it is none."""
    if len(head) < ID3_HEADER or not head.startswith(b"ID3"):
        return 0
    # Four bytes of seven bits: the size of what follows the header, and perhaps a footer.
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return ID3_HEADER + size + (ID3_HEADER if head[5] & 0x10 else 0)


def behind_id3(file: BinaryIO) -> int:
    """Where a file's own format begins: at 0, or behind the ID3v2 tags in front of it."""
    start = 0
    while True:
        file.seek(start)
        size = id3_size(file.read(ID3_HEADER))
        if not size:
            return start
        start += size


def from_info_list(content: bytes, order: Literal["big", "little"]) -> dict[str, list[str]]:
    """The texts of a WAV's INFO list."""
    tags: dict[str, list[str]] = {}
    at = 0
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], order)
        if name in INFO_NAMES and (text := plain_text(content[at + 8 : at + 8 + size])):
            tags.setdefault(INFO_NAMES[name], [text])
        at += 8 + size + size % 2
    return tags


def plain_text(content: bytes) -> str:
    """Text of a chunk that does not say its encoding: UTF-8 if it can be, else the one byte encoding."""
    content = content.partition(b"\0")[0]
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def is_compressed(content: bytes, frames: Collection[str] = _READ_FRAMES) -> bool:
    """Whether one of ``frames`` of an ID3v2 tag is, which nobody does: a few bytes may fill the memory."""
    version, unsynchronised = content[3], content[5] & 0x80
    if unsynchronised and version < 4:
        content = content.replace(b"\xff\0", b"\xff")
    flag = 0x08 if version >= 4 else 0x80
    names = "|".join(frames).encode()
    return any(frame[1][0] & flag for frame in re.finditer(b"(?:" + names + b").{5}(.)", content, re.DOTALL))


def from_id3(content: bytes) -> dict[str, list[str]]:
    """The text frames of an ID3v2 tag; none if it is damaged or compressed."""
    if len(content) < ID3_HEADER or is_compressed(content):
        return {}
    try:
        frames = ID3(io.BytesIO(content), known_frames=_READ_FRAMES).values()
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
                size = id3_size(file.read(ID3_HEADER))
                file.seek(0)
                return from_id3(file.read(min(size, TAG_LIMIT)))
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


def write_mp4_tags(path: Path, tags: Tags, cover: Cover | None = None) -> None:
    """Add ``tags`` and a cover to a finished MP4. Raises OSError."""
    file = MP4(path)
    if file.tags is None:
        file.add_tags()
    pairs = {name: pair for name in MP4_PAIRS if (pair := _mp4_pair(tags, name))}
    totals_said = {total for name in pairs for total in MP4_PAIRS[name][1]}
    for name, texts in tags.items():
        if name in totals_said:
            continue  # with the number that it belongs to
        if name in MP4_ATOMS:
            file.tags[MP4_ATOMS[name]] = texts
        elif name == "bpm" and (tempo := _mp4_number(texts[0].partition(".")[0])):
            file.tags["tmpo"] = [tempo]
        elif name in pairs:
            file.tags[MP4_PAIRS[name][0]] = [pairs[name]]
        else:
            key = f"----:com.apple.iTunes:{_comment_name(name)}"
            file.tags[key] = [MP4FreeForm(text.encode()) for text in texts]
    if cover is not None:
        kinds = {"jpeg": MP4Cover.FORMAT_JPEG, "png": MP4Cover.FORMAT_PNG}
        file.tags["covr"] = [MP4Cover(cover.content, kinds[cover.kind])]
    try:
        file.save()
    except MutagenError as error:
        raise OSError(str(error)) from error


def _mp4_pair(tags: Tags, name: str) -> tuple[int, int] | None:
    """Which one of how many, 0 where nothing says how many; None if nothing says which."""
    place, _, behind = tags[name][0].partition("/") if name in tags else ("", "", "")
    said = [behind, *(tags[total][0] for total in MP4_PAIRS[name][1] if total in tags)]
    return (number, max(map(_mp4_number, said))) if (number := _mp4_number(place)) else None


def _mp4_number(text: str) -> int:
    """A number of a tag as MP4 holds it; 0 if it is none."""
    text = text.strip()
    return min(int(text), 0xFFFF) if text.isdecimal() else 0


def _comment_name(name: str) -> str:
    """Vorbis comments allow printable ASCII without ``=`` and ``~``."""
    return "".join(letter if " " <= letter <= "}" and letter != "=" else "_" for letter in name) or "_"
