"""Audio files: what they are and reading them at any position; writing and finding them is re-exported.

Damaged files are errors and never shorter audio: what a header says is checked against what the file holds,
in both directions.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from plugin_bridge.audio.aiff import read_aiff
from plugin_bridge.audio.ffmpeg import MediaSamples, flac_frames, read_media
from plugin_bridge.audio.finding import find_audio_files as find_audio_files
from plugin_bridge.audio.finding import search as search
from plugin_bridge.audio.formats import HEAD, Format, readable_names, recognise
from plugin_bridge.audio.info import AudioInfo as AudioInfo
from plugin_bridge.audio.info import Reader, Samples, check_measures, cut_short
from plugin_bridge.audio.mpeg import read_mpeg
from plugin_bridge.audio.ogg import read_ogg
from plugin_bridge.audio.outputs import check_output as check_output
from plugin_bridge.audio.riff import Container, read_container
from plugin_bridge.audio.sound_file import Link, SeekableSound, SoundChain, open_sound, sound_errors
from plugin_bridge.audio.stamps import channel_mask, time_reference
from plugin_bridge.audio.tags import behind_id3, read_tags
from plugin_bridge.audio.wav import MPEG, read_wav
from plugin_bridge.audio.writer import AudioWriter as AudioWriter
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

UNKNOWN_LENGTH = 1 << 62
"""libsndfile's lengths from here on mean that the header says none."""


class AudioFileSource:
    """An audio file as an :class:`separators.streaming.AudioSource`: float32 from any position.

    The header is read at once, the audio when it is asked for; pickling carries the description only.
    Raises :class:`AudioFileError` for files that are missing, not regular, empty, damaged or of another kind.
    """

    _reader: Reader | None = None

    def __init__(self, path: str | os.PathLike[str], stream: int = 0) -> None:
        """``stream``: which sound of a film or stem.mp4, whose sounds are equally long."""
        self.info = read_info(Path(path))
        if stream:
            if not isinstance(self.info.samples, MediaSamples):
                raise AudioFileError(f"{path}: holds one sound, not {stream + 1}")
            samples = dataclasses.replace(self.info.samples, stream=stream)
            self.info = dataclasses.replace(self.info, samples=samples)
        self.sample_rate = self.info.sample_rate
        self.channels = self.info.channels
        self.frames = self.info.frames

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
                self._reader = self.info.samples.open()
            return self._reader.read(start, frames)
        except OSError as error:
            raise AudioFileError(f"{self.info.path}: cannot be read: {_reason(error)}") from error

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    def __repr__(self) -> str:
        return f"<AudioFileSource {self.info.path}: {self.channels} channels, {self.frames} frames>"


def read_info(path: Path) -> AudioInfo:
    """What the file at ``path`` is; see :class:`AudioFileSource` for what is refused."""
    _check_regular(path)
    try:
        with path.open("rb") as file:
            container = read_container(file, path)
            if container:
                info = _in_container(file, path, container)
                return _with_texts(info, *container.texts(file))
            start = behind_id3(file)
            file.seek(start)
            info = _of_format(path, recognise(file.read(HEAD)), start)
        own = {"flac": "flac", "ogg": "opus" if info.subtype == "OPUS" else "ogg", "mp3": "mp3"}
        tags = read_tags(path, own[info.format]) if info.format in own else {}
        return _with_texts(info, None, None, tags)
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read as audio: {_reason(error)}") from error


def _in_container(file: BinaryIO, path: Path, container: Container) -> AudioInfo:
    """WAV and AIFF: uncompressed samples are read here, MPEG frames too, the rest by libsndfile."""
    found = (read_aiff if container.form.startswith(b"AIF") else read_wav)(file, path, container)
    if isinstance(found, AudioInfo):
        return found
    if found in MPEG:
        if mpeg := read_mpeg(path, container.audio.offset, container.audio.end, "wav"):
            return mpeg
        raise AudioFileError(f"{path}: says it holds MPEG audio, but there is none; export it again")
    return _with_libsndfile(path)


def _of_format(path: Path, format: Format | None, start: int) -> AudioInfo:
    if format is None or not format.demuxer:  # a WAV or AIFF whose first word is wrong
        if info := read_mpeg(path, start, path.stat().st_size):
            return info
        raise AudioFileError(f"{path}: cannot be read as audio: it is none of {readable_names()}")
    if format.name == "ogg" and (found := read_ogg(path, start)):
        return found
    return _flac(path, format) if format.name == "flac" else read_media(path, format)


def _flac(path: Path, format: Format) -> AudioInfo:
    """By libsndfile, which finds every frame at once, unless the header's length is wrong or missing."""
    info = _with_libsndfile(path)
    found = flac_frames(path, format)
    if found == info.frames:
        reader = info.samples.open()
        try:
            reader.read(found - 1, min(1, found))
        except AudioFileError:
            raise cut_short(path, found) from None
        finally:
            reader.close()
        return info
    if info.frames < UNKNOWN_LENGTH and found < info.frames:
        raise cut_short(path, info.frames)
    span = (0, path.stat().st_size)
    samples = MediaSamples(path, format, span, info.sample_rate, info.channels, found)
    return dataclasses.replace(info, frames=found, samples=samples)


def _with_libsndfile(path: Path) -> AudioInfo:
    with sound_errors(path), open_sound(path) as sound:
        check_measures(path, sound.samplerate, sound.channels)
        name = {"FLAC": "flac", "AIFF": "aiff"}.get(sound.format, "wav")
        rate, channels, frames = sound.samplerate, sound.channels, sound.frames
        samples: Samples = SeekableSound(path, frames)
        if not sound.seekable():
            samples = SoundChain(path, channels, (Link(0, path.stat().st_size, frames),))
        return AudioInfo(path, name, sound.subtype, rate, channels, frames, samples)


def _with_texts(
    info: AudioInfo, bext: bytes | None, ixml: bytes | None, tags: dict[str, list[str]]
) -> AudioInfo:
    tags = {**info.tags, **tags}
    stamp = time_reference(bext, ixml, tags)
    mask = info.channel_mask or channel_mask(tags, info.channels)
    return dataclasses.replace(info, time_reference=stamp, tags=tags, channel_mask=mask)


def _check_regular(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise AudioFileError(f"{path}: {_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise AudioFileError(f"{path}: not a regular file")
    if status.st_size == 0:
        raise AudioFileError(f"{path}: the file is empty (0 bytes)")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error)
