"""What libsndfile decodes: FLAC, Ogg Vorbis and Opus, and the compressions of WAV and AIFF.

Only in some of them it finds a frame in the middle exactly; the others are decoded from their start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from plugin_bridge.audio.info import cut_short
from plugin_bridge.audio.sequential import SequentialReader
from plugin_bridge.audio.window import Window
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

DECODED_AT_ONCE = 1 << 16


REASONS = {
    1: "it is of no kind that is read, or damaged",
    2: "the system cannot read it",
    4: "its encoding is not one that is read",
}
"""What libsndfile's public numbers of errors mean to people; its own words do not."""


@contextmanager
def sound_errors(path: Path) -> Iterator[None]:
    """Turn libsndfile's errors into ours."""
    try:
        yield
    except soundfile.SoundFileError as error:
        reason = REASONS.get(getattr(error, "code", 0), "it is damaged")
        raise AudioFileError(f"{path}: cannot be read as audio: {reason}") from error


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a file with libsndfile: by number, since it refuses names of more than 1,024 bytes."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    with sound_errors(path):
        return soundfile.SoundFile(number)  # which closes it, also where it raises


@dataclass(frozen=True)
class SeekableSound:
    """A file in which libsndfile finds every frame exactly."""

    path: Path
    frames: int

    def open(self) -> SeekingReader:
        """Open the file."""
        return SeekingReader(self)


class SeekingReader:
    """Reads a :class:`SeekableSound`."""

    def __init__(self, samples: SeekableSound) -> None:
        self.samples = samples
        self.file = open_sound(samples.path)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        with sound_errors(self.samples.path):
            if self.file.tell() != start:
                self.file.seek(start)
            audio = self.file.read(frames, dtype="float32", always_2d=True)
        if len(audio) < frames:
            raise cut_short(self.samples.path, self.samples.frames, start + len(audio))
        return np.ascontiguousarray(audio.T)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass(frozen=True)
class Link:
    """A stretch of a file that libsndfile takes for a whole one: its bytes and its frames."""

    start: int
    end: int
    frames: int


@dataclass(frozen=True)
class SoundChain:
    """Stretches of a file that are decoded one after the other."""

    path: Path
    channels: int
    links: tuple[Link, ...]

    def open(self) -> ChainReader:
        """Open the file."""
        return ChainReader(self)


def open_part(file: BinaryIO, start: int, end: int) -> soundfile.SoundFile:
    """Open the bytes ``start`` to ``end``."""
    return soundfile.SoundFile(Window(file, start, end))


class ChainReader:
    """Reads :class:`SoundChain`; a step back starts the link again."""

    def __init__(self, samples: SoundChain) -> None:
        self.samples = samples
        self.file = samples.path.open("rb")
        self.reader = SequentialReader(samples.channels, self._decode)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        audio = self.reader.read(start, frames)
        if audio.shape[1] < frames:
            raise cut_short(self.samples.path, start + frames, start + audio.shape[1])
        return audio

    def _decode(self) -> Iterator[Audio]:
        path = self.samples.path
        for link in self.samples.links:
            with sound_errors(path), open_part(self.file, link.start, link.end) as sound:
                done = 0
                while len(block := sound.read(DECODED_AT_ONCE, dtype="float32", always_2d=True)):
                    done += len(block)
                    yield block.T
            if done < link.frames:
                raise cut_short(path, link.frames, done)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
