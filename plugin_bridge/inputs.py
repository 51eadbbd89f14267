"""What a job works on: an audio file, or a track of a session; descriptions that workers open themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plugin_bridge.audio_files import AudioFileSource
from separators.streaming import AudioSource


@dataclass(frozen=True)
class Opened:
    """An input's audio and what goes with it into the results."""

    source: AudioSource
    path: Path
    """The file, or the session that holds the track."""
    bit_depth: str
    """The smallest one that keeps what comes in: ``16``, ``24`` or ``float32``."""
    time_reference: int | None = None
    """The first frame's place on the timeline, in samples since midnight; None if nothing says so."""
    tags: Mapping[str, list[str]] = field(default_factory=dict)
    rendered: bool = False
    """Whether reading costs more than reading a file, so that it is worth doing once only."""
    not_honoured: tuple[str, ...] = ()
    """What the session holds for this track and rendering leaves out."""


class Input(Protocol):
    """A small description, to be pickled, of audio to work on."""

    @property
    def path(self) -> Path:
        """A file that results must not overwrite."""
        ...

    def open(self) -> AbstractContextManager[Opened]:
        """Open it."""
        ...


@dataclass(frozen=True)
class FileInput:
    """An audio file."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open the file; raises :class:`~plugin_bridge.errors.AudioFileError`."""
        with AudioFileSource(self.path) as source:
            info = source.info
            yield Opened(source, self.path, info.bit_depth, info.time_reference, info.tags)
