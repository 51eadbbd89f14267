"""What clips play, as sources of audio: files, channels of several files, other material."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import AudioFileError
from plugin_bridge.sessions.model import Clip, Session
from separators.base import Audio
from separators.streaming import AudioSource


class Closable(AudioSource, Protocol):
    """A source that can be closed; reading opens it again."""

    def close(self) -> None:
        """Close it."""
        ...


class Media:
    """Opens what clips play; what is known of a file is found out once."""

    def __init__(self, sample_rate: int, open_mix: Callable[[Media, Session], AudioSource]) -> None:
        """``open_mix`` renders a session, for clips that play one; it is done once, however deep it lies."""
        self.sample_rate = sample_rate
        self.depth = 0
        """How many sessions lie around the one that is being opened."""
        self._open_mix = open_mix
        self._files: dict[Path, AudioFileSource] = {}
        self._sessions: dict[int, AudioSource] = {}

    def open(self, clip: Clip) -> AudioSource:
        """What ``clip`` plays, with its own place in the file; raises :class:`AudioFileError`."""
        if clip.problem:
            raise AudioFileError(clip.problem)
        if clip.session is not None:
            key = id(clip.session)
            if key not in self._sessions:
                self.depth += 1
                try:
                    self._sessions[key] = self._open_mix(self, clip.session)
                finally:
                    self.depth -= 1
            return self._sessions[key]
        if clip.material is not None:
            return clip.material.open(self.sample_rate)
        if clip.channels:
            files = {one.path: self._file(one.path) for one in clip.channels}
            return JoinedSource([(files[one.path], one.channel) for one in clip.channels])
        return self._file(clip.source)

    def _file(self, path: Path) -> AudioFileSource:
        if path not in self._files:
            self._files[path] = AudioFileSource(path)
        return copy.copy(self._files[path])


class JoinedSource:
    """Channels of several sources side by side; as long as the longest of them.

    Raises :class:`AudioFileError` if their sample rates differ or a channel is not there.
    """

    def __init__(self, parts: list[tuple[AudioFileSource, int]]) -> None:
        self.parts = parts
        self.channels = len(parts)
        self.sample_rate = parts[0][0].sample_rate
        self.frames = max(source.frames for source, _ in parts)
        for source, channel in parts:
            if source.sample_rate != self.sample_rate:
                raise AudioFileError(
                    f"{source.info.path}: {source.sample_rate} Hz, its other channel {self.sample_rate} Hz"
                )
            if not 0 <= channel < source.channels:
                raise AudioFileError(
                    f"{source.info.path}: channel {channel + 1} is asked for, there are {source.channels}"
                )

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        audio = np.zeros((self.channels, frames), np.float32)
        blocks: dict[int, Audio] = {}
        for index, (source, channel) in enumerate(self.parts):
            count = max(0, min(frames, source.frames - start))
            if id(source) not in blocks:
                blocks[id(source)] = source.read(start, count) if count else audio[:0]
            if count:
                audio[index, :count] = blocks[id(source)][channel]
        return audio

    def close(self) -> None:
        """Close the files; reading opens them again."""
        for source, _ in self.parts:
            source.close()


def close(source: object) -> None:
    """Close ``source`` if it holds anything."""
    if (closing := getattr(source, "close", None)) is not None:
        closing()
