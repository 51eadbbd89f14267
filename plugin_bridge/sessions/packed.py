"""Audio that lies inside a project file: unpacked when it is read, removed when nobody reads it any more."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import BinaryIO

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import AudioFileError


class _Unpacked:
    """A temporary file that lives as long as this object."""

    def __init__(self, unpack: Callable[[BinaryIO], None], suffix: str) -> None:
        folder = tempfile.mkdtemp(prefix="stembridge-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder, f"audio{suffix}")
        with self.path.open("xb") as file:
            unpack(file)


_known: weakref.WeakValueDictionary[Hashable, _Unpacked] = weakref.WeakValueDictionary()
"""What is unpacked now: clips of the same audio share it."""
_lock = threading.Lock()


class PackedSource(AudioFileSource):
    """Audio inside a project as an :class:`separators.streaming.AudioSource`.

    ``unpack`` writes the audio file to a file that is open; ``key`` tells different audio apart, and
    ``said`` is what errors call it. Raises :class:`AudioFileError` if it cannot be unpacked or read.
    """

    def __init__(self, key: Hashable, unpack: Callable[[BinaryIO], None], said: str, suffix: str) -> None:
        try:
            with _lock:
                found = _known.get(key)
                if found is None:
                    found = _known[key] = _Unpacked(unpack, suffix)
        except OSError as error:
            raise AudioFileError(f"{said}: cannot be unpacked: {error.strerror or error}") from error
        self._unpacked = found
        try:
            super().__init__(found.path)
        except AudioFileError as error:
            raise AudioFileError(str(error).replace(str(found.path), said)) from error

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("audio inside a project is not pickled; pickle the clip's material")
