"""The zip archive that a ``.dawproject`` is: its XML, its audio, its plug-ins' states, each bounded."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.sessions.packed import PackedSource
from plugin_bridge.sessions.xml import BLOCK
from separators import regular_files

PROJECT = "project.xml"
LARGEST_STATE = 64 << 20
"""Bytes of one plug-in's state."""
LARGEST_AUDIO = 64 << 30
"""Bytes of one audio file, unpacked."""
LARGEST_RATIO = 200
"""Times that audio is smaller inside the archive than outside; more is silence, or a bomb."""
SMALL_AUDIO = 64 << 20
"""Bytes up to which the ratio does not matter."""
MOST_MEMBERS = 100_000
ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What reading a damaged archive raises; encrypted members are a RuntimeError."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive at ``path``; raises :class:`SessionError` if it is none."""
    try:
        regular_files.check(path)
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise SessionError(f"{path}: holds more than {MOST_MEMBERS} files, which no project does")
            yield archive
    except OSError as error:
        raise SessionError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ERRORS as error:
        raise SessionError(f"{path}: not a whole DAWproject, which is a zip archive: {error}") from error


def blocks(archive: zipfile.ZipFile, name: str) -> Generator[bytes]:
    """The bytes of the member ``name``, piece by piece."""
    try:
        with archive.open(name) as file:
            while block := file.read(BLOCK):
                yield block
    except KeyError:
        raise SessionError(f"not a DAWproject, it holds no {name}") from None
    except ERRORS as error:
        raise SessionError(f"its {name} is damaged: {error}") from error


def state(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a plug-in's state; raises :class:`SessionError` for those that are no state's."""
    try:
        if archive.getinfo(name).file_size > LARGEST_STATE:
            raise SessionError(f"{name} is larger than {LARGEST_STATE} bytes, which no state is")
        with archive.open(name) as file:
            return file.read(LARGEST_STATE)
    except KeyError:
        raise SessionError(f"{name} is missing in the project") from None
    except ERRORS as error:
        raise SessionError(f"{name} is damaged: {error}") from error


@dataclass(frozen=True)
class Member:
    """An audio file inside a DAWproject, what a clip plays."""

    archive: Path
    """The project's path, resolved."""
    name: str

    def problem(self, info: zipfile.ZipInfo) -> str:
        """Why the file will not be unpacked, in words that continue its name; empty if it will."""
        if info.file_size > LARGEST_AUDIO:
            return f"is larger than {LARGEST_AUDIO} bytes"
        if info.file_size > max(SMALL_AUDIO, LARGEST_RATIO * info.compress_size):
            return f"is packed more than {LARGEST_RATIO} times, which no recording can be"
        return ""

    def open(self, sample_rate: int) -> PackedSource:
        """The audio at its own rate; raises :class:`AudioFileError`."""
        said = f"{self.archive.name}: {self.name}"
        try:
            stamp = self.archive.stat().st_mtime_ns
        except OSError as error:
            raise AudioFileError(f"{said}: {error.strerror}") from error
        return PackedSource((self, stamp), self._unpack, said, Path(self.name).suffix)

    def _unpack(self, file: BinaryIO) -> None:
        try:
            with opened(self.archive) as archive:
                info = archive.getinfo(self.name)
                if problem := self.problem(info):
                    raise AudioFileError(f"{self.archive.name}: {self.name} {problem}")
                with archive.open(info) as packed:
                    copy(packed, file, info.file_size)
        except (SessionError, KeyError, *ERRORS) as error:
            raise AudioFileError(f"{self.archive.name}: {self.name} cannot be unpacked: {error}") from error


def copy(packed: IO[bytes], file: IO[bytes], size: int) -> None:
    """No more than the archive says; what is said to be smaller than it is ends there."""
    done = 0
    while done < size and (block := packed.read(min(1 << 20, size - done))):
        file.write(block)
        done += len(block)
