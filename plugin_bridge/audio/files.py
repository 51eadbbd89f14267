"""Audio files: what they are, finding them, reading them at any position; writing is re-exported.

Damaged files are errors and never shorter audio: libsndfile shortens a cut WAV, AIFF or Ogg file in
silence, so their chunks and pages are checked against the file's size before anything is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from plugin_bridge.audio.riff import bext_time_reference, read_container
from plugin_bridge.audio.sequential import SequentialReader
from plugin_bridge.audio.tags import TIME_REFERENCE_TAG, from_id3, read_tags
from plugin_bridge.audio.writer import AudioWriter as AudioWriter
from plugin_bridge.audio.writer import check_output as check_output
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".aif", ".aiff", ".aifc", ".flac", ".ogg", ".oga", ".mp3"}
)
"""What :func:`find_audio_files` takes for audio, in any case."""

FORMATS = {
    "WAV": "wav",
    "WAVEX": "wav",
    "RF64": "wav",
    "AIFF": "aiff",
    "FLAC": "flac",
    "OGG": "ogg",
    "MP3": "mp3",
}
"""libsndfile's major formats that are read -> our names; the others' damage could not be told."""
BIT_DEPTHS = {"PCM_S8": "16", "PCM_U8": "16", "PCM_16": "16", "ULAW": "16", "ALAW": "16", "PCM_24": "24"}
"""The smallest bit depth to write that keeps all of a subtype; everything else is kept by float32."""
SEEKABLE = ("wav", "aiff", "flac")
"""Only these are decoded exactly from the middle; Ogg and MP3 seeks land near the place asked for."""
DECODED_AT_ONCE = 1 << 16
LARGEST_OGG_PAGE = 27 + 255 + 255 * 255
UNKNOWN_LENGTH = 1 << 62


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file says about itself."""

    path: Path
    format: str
    """``wav`` (RF64 too), ``aiff``, ``flac``, ``ogg`` or ``mp3``."""
    subtype: str
    """libsndfile's name: ``PCM_16``, ``PCM_24``, ``FLOAT``, ``VORBIS``, ..."""
    sample_rate: int
    channels: int
    frames: int
    time_reference: int | None = None
    """The first frame's place on the session's timeline, in samples since midnight; None without a stamp."""
    tags: dict[str, list[str]] = field(default_factory=dict)
    """Text tags by lower-case name: ``title``, ``artist``, ..."""

    @property
    def bit_depth(self) -> str:
        """The smallest bit depth to write (``16``, ``24``, ``float32``) that keeps what is in the file."""
        return BIT_DEPTHS.get(self.subtype, "float32")

    @property
    def seconds(self) -> float:
        """The file's length."""
        return self.frames / self.sample_rate


class AudioFileSource:
    """An audio file as an :class:`separators.streaming.AudioSource`: float32 from any position.

    The header is read at once, the audio when it is asked for; pickling carries the description only.
    Raises :class:`AudioFileError` for files that are missing, not regular, empty, damaged or of another kind.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.info = read_info(Path(path))
        self.sample_rate = self.info.sample_rate
        self.channels = self.info.channels
        self.frames = self.info.frames
        self._reader: _Seeking | _Sequential | None = None

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``.

        Raises :class:`AudioFileError` if they do not all lie inside the file or cannot be decoded.
        """
        if start < 0 or frames < 0 or start + frames > self.frames:
            raise AudioFileError(
                f"{self.info.path}: frames {start} to {start + frames} asked for, there are {self.frames}"
            )
        if frames == 0:
            return np.zeros((self.channels, 0), np.float32)
        try:
            if self._reader is None:
                kind = _Seeking if self.info.format in SEEKABLE else _Sequential
                self._reader = kind(self.info)
            return self._reader.read(start, frames)
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioFileError(f"{self.info.path}: cannot be read: {_reason(error)}") from error

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._reader is not None:
            self._reader.file.close()
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    def __repr__(self) -> str:
        return f"<AudioFileSource {self.info.path}: {self.channels} channels, {self.frames} frames>"


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a file with libsndfile; soundfile takes names that are no UTF-8 only as bytes."""
    return soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path)


class _Seeking:
    """Reads formats that libsndfile seeks exactly."""

    def __init__(self, info: AudioInfo) -> None:
        self.info = info
        self.file = open_sound(info.path)

    def read(self, start: int, frames: int) -> Audio:
        if self.file.tell() != start:
            self.file.seek(start)
        audio = self.file.read(frames, dtype="float32", always_2d=True)
        if len(audio) < frames:
            raise _cut_short(self.info, start + len(audio))
        return np.ascontiguousarray(audio.T)


class _Sequential:
    """Reads formats that libsndfile seeks only roughly: Ogg near its end, MP3 with a variable rate."""

    def __init__(self, info: AudioInfo) -> None:
        self.info = info
        self.file = open_sound(info.path)
        self.reader = SequentialReader(info.channels, self._decode)

    def read(self, start: int, frames: int) -> Audio:
        audio = self.reader.read(start, frames)
        if audio.shape[1] < frames:
            raise _cut_short(self.info, start + audio.shape[1])
        return audio

    def _decode(self) -> Iterator[Audio]:
        self.file.close()
        self.file = open_sound(self.info.path)
        while len(block := self.file.read(DECODED_AT_ONCE, dtype="float32", always_2d=True)):
            yield block.T


def read_info(path: Path) -> AudioInfo:
    """What the file at ``path`` is; see :class:`AudioFileSource` for what is refused."""
    _check_regular(path)
    try:
        with path.open("rb") as file:
            container = read_container(file, path)
            bext = container.read(file, b"bext") if container else None
            ixml = container.read(file, b"iXML") if container else None
            id3 = (container.read(file, b"id3 ") or container.read(file, b"ID3 ")) if container else None
            if file.seek(0) == 0 and file.read(4) == b"OggS":
                _check_ogg_end(path)
        with open_sound(path) as sound:
            if sound.format not in FORMATS:
                raise AudioFileError(f"{path}: {sound.format} files are not read; export WAV, AIFF or FLAC")
            info = AudioInfo(
                path, FORMATS[sound.format], sound.subtype, sound.samplerate, sound.channels, sound.frames
            )
            _check_end(sound, info)
            tags = sound.copy_metadata() if container else {}
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioFileError(f"{path}: cannot be read as audio: {_reason(error)}") from error

    all_tags = {name: [text] for name, text in tags.items() if text}
    all_tags |= from_id3(id3) if id3 else {}
    if container is None:
        all_tags |= read_tags(path, "opus" if info.subtype == "OPUS" else info.format)
    stamp = bext_time_reference(bext) if bext else None
    if stamp is None and ixml:
        stamp = _ixml_time_reference(ixml)
    stamp_tag = all_tags.pop(TIME_REFERENCE_TAG, [""])[0]
    if stamp is None and stamp_tag.isdecimal():
        stamp = int(stamp_tag)
    return AudioInfo(
        path, info.format, info.subtype, info.sample_rate, info.channels, info.frames, stamp, all_tags
    )


def find_audio_files(folder: str | os.PathLike[str], recursive: bool = True) -> list[Path]:
    """The audio files in ``folder``, by suffix in any case, sorted; hidden files are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioFileError(f"{folder}: not a folder")
    found = []
    for parent, folders, names in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                found.append(path)
    return sorted(found, key=lambda path: [part.casefold() for part in path.parts])


def _raise_unreadable(error: OSError) -> None:
    raise AudioFileError(f"{error.filename}: {error.strerror}")


def _check_regular(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise AudioFileError(f"{path}: {_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise AudioFileError(f"{path}: not a regular file")
    if status.st_size == 0:
        raise AudioFileError(f"{path}: the file is empty (0 bytes)")


def _check_end(sound: soundfile.SoundFile, info: AudioInfo) -> None:
    """FLAC and MP3 say how long they are: see that the last frame is there."""
    if info.frames >= UNKNOWN_LENGTH:
        raise AudioFileError(f"{info.path}: does not say how long it is; encode it again")
    if info.format in ("flac", "mp3") and info.frames:
        try:
            sound.seek(info.frames - 1)
            complete = len(sound.read(1)) == 1
        except soundfile.SoundFileError:
            complete = False
        if not complete:
            raise _cut_short(info, None)


def _check_ogg_end(path: Path) -> None:
    """A complete Ogg file ends with a whole page that is marked as its last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LARGEST_OGG_PAGE))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 0
    whole = len(page) >= 27 + segments and len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    last_page_mark = 4
    if not (page.startswith(b"OggS") and whole and page[5] & last_page_mark):
        raise AudioFileError(f"{path}: cut short, its last Ogg page is missing or incomplete; copy it again")


def _cut_short(info: AudioInfo, at: int | None) -> AudioFileError:
    where = "before its end" if at is None else f"at frame {at}"
    return AudioFileError(
        f"{info.path}: cut short or damaged {where}, it says it has {info.frames} frames; "
        "copy or export it again"
    )


def _ixml_time_reference(content: bytes) -> int | None:
    """The time stamp in an iXML chunk (gallery.co.uk/ixml), for files without bext."""
    try:
        root = ElementTree.fromstring(content.rstrip(b"\0"))
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None
    for prefix in ("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT", "BEXT/BWF_TIME_REFERENCE"):
        low, high = (
            root.findtext(f"{prefix}_{half}")
            for half in (("LO", "HI") if "SPEED" in prefix else ("LOW", "HIGH"))
        )
        if low and low.strip().isdecimal():
            return int(low) + ((int(high) << 32) if high and high.strip().isdecimal() else 0)
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).removeprefix("Error : ").rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error)
