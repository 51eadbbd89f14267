"""The picture on the cover of an audio file: from FLAC, MP3 and MP4; only where it is a JPEG or a PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from mutagen import MutagenError
from mutagen.flac import FLAC
from mutagen.id3 import APIC, ID3, PIC
from mutagen.mp4 import MP4

from plugin_bridge.audio.tags import ID3_HEADER, TAG_LIMIT, id3_size, is_compressed

FRONT = 3
"""What ID3 and FLAC number the front cover."""
STARTS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}


@dataclass(frozen=True)
class Cover:
    """A picture as it stands in the file."""

    content: bytes
    kind: str
    """``jpeg`` or ``png``."""


def read_cover(path: Path) -> Cover | None:
    """The front cover of the audio file at ``path``, else its first picture; None if there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(ID3_HEADER)
            if size := id3_size(head):
                file.seek(0)
                return _first(_of_id3(file.read(min(size, TAG_LIMIT))))
        if head.startswith(b"fLaC"):
            return _first((picture.type == FRONT, picture.data) for picture in FLAC(path).pictures)
        if head[4:8] == b"ftyp":
            return _first((True, bytes(picture)) for picture in (MP4(path).tags or {}).get("covr", ()))
    except (MutagenError, OSError):
        pass
    return None


def _of_id3(content: bytes) -> list[tuple[bool, bytes]]:
    frames = {"APIC": APIC, "PIC": PIC}
    if is_compressed(content, frames):
        return []
    found = ID3(io.BytesIO(content), known_frames=frames).values()
    return [(frame.type == FRONT, frame.data) for frame in found if frame.FrameID == "APIC"]


def _first(pictures: object) -> Cover | None:
    """The front cover if there is one."""
    for _, content in sorted(pictures, key=lambda one: not one[0]):  # type: ignore[call-overload]
        for start, kind in STARTS.items():
            if content.startswith(start) and len(content) <= TAG_LIMIT:
                return Cover(content, kind)
    return None
