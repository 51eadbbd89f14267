"""An ``.aup3`` as a database that anybody may have made: its document, its blocks of samples."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from plugin_bridge.errors import AudioFileError, SessionError
from separators import regular_files
from separators.base import Audio

LARGEST = 256 << 20
"""Bytes of one value: a document, or a block of samples, of which Audacity's have at most a million."""
LONGEST_SECONDS = 5.0
"""For one query; a table may be made so that it never ends."""
STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock."""
SAMPLES = {0x20001: ("<i2", 1 << 15), 0x40001: ("<i4", 1 << 23), 0x4000F: ("<f4", 1)}
"""By Audacity's number of a sample format: how a sample is stored, and full scale."""


class Database:
    """The project at ``path``; a context manager. Raises :class:`SessionError` if it is no database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._deadline = 0.0
        try:
            regular_files.check(path)
            # Immutable: nothing is ever written beside the user's file.
            name = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(name, uri=True, check_same_thread=False)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
            self._connection.text_factory = bytes
            self._connection.set_progress_handler(self._is_too_late, STEPS)
            self._connection.execute("PRAGMA trusted_schema = OFF")
        except OSError as error:
            raise SessionError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
        except sqlite3.Error as error:
            raise SessionError(f"{path}: not an Audacity project: {error}") from error

    def _is_too_late(self) -> bool:
        return time.monotonic() > self._deadline

    def row(self, table: str, question: str, values: tuple[int, ...] = ()) -> tuple[object, ...] | None:
        """The first row that answers ``question`` about a real table."""
        self._deadline = time.monotonic() + LONGEST_SECONDS
        with self._said():
            known = self._connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? AND sql NOT LIKE '%virtual%'",
                (table,),
            ).fetchone()
            found: tuple[object, ...] | None = None
            if known:
                found = self._connection.execute(question, values).fetchone()
            return found

    def document(self) -> tuple[bytes, bytes, bool]:
        """The project's dictionary and document, and whether they are what Audacity saved by itself only."""
        for table in ("project", "autosave"):
            row = self.row(table, f"SELECT dict, doc FROM {table} LIMIT 1")  # noqa: S608 - one of these two
            if row and all(isinstance(value, bytes) and value for value in row):
                return bytes(row[0]), bytes(row[1]), table == "autosave"  # type: ignore[call-overload]
        raise SessionError(f"{self.path}: not an Audacity project, it holds no document")

    def block(self, identifier: int) -> Audio:
        """The samples of a block, float32."""
        row = self.row(
            "sampleblocks", "SELECT sampleformat, samples FROM sampleblocks WHERE blockid = ?", (identifier,)
        )
        if row is None:
            raise AudioFileError(f"{self.path}: its block {identifier} of samples is missing")
        kind, data = row
        if not isinstance(kind, int) or kind not in SAMPLES or not isinstance(data, bytes):
            raise AudioFileError(f"{self.path}: its block {identifier} of samples is damaged")
        stored, full_scale = SAMPLES[kind]
        whole = len(data) - len(data) % np.dtype(stored).itemsize
        with np.errstate(all="ignore"):
            samples = np.frombuffer(data[:whole], stored).astype(np.float32) / np.float32(full_scale)
        found: Audio = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        return found

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError) as error:
            raise SessionError(f"{self.path}: not a whole Audacity project: {error}") from error
        except UnicodeDecodeError as error:
            # SQLite's own message holds a name out of the file.
            raise SessionError(f"{self.path}: not a whole Audacity project: a damaged schema") from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Block = tuple[int, int]
"""The first frame of a block, and its number; a negative number is so many frames of silence."""


@dataclass(frozen=True)
class Blocks:
    """What a clip of an Audacity project plays: for each channel its blocks of samples."""

    path: Path
    sample_rate: int
    frames: int
    channels: tuple[tuple[Block, ...], ...]

    def open(self, sample_rate: int) -> BlockSource:
        """The audio at its own rate. Raises :class:`AudioFileError`."""
        return BlockSource(self)


class BlockSource:
    """The blocks as an :class:`separators.streaming.AudioSource`."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.sample_rate, self.frames = blocks.sample_rate, blocks.frames
        self.channels = len(blocks.channels)
        self._starts = [np.array([start for start, _ in channel]) for channel in blocks.channels]
        self._database: Database | None = None
        self._last: dict[int, tuple[int, Audio]] = {}

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        audio = np.zeros((self.channels, frames), np.float32)
        try:
            for channel, blocks in enumerate(self._blocks.channels):
                starts = self._starts[channel]
                index = max(0, int(np.searchsorted(starts, start, "right")) - 1)
                for first, number in blocks[index:]:
                    if first >= start + frames:
                        break
                    if number > 0:
                        _put(audio[channel], self._block(channel, number), first - start)
        except SessionError as error:
            raise AudioFileError(str(error)) from error
        return audio

    def _block(self, channel: int, number: int) -> Audio:
        known = self._last.get(channel)
        if known is None or known[0] != number:
            if self._database is None:
                self._database = Database(self._blocks.path)
            known = self._last[channel] = (number, self._database.block(number))
        return known[1]

    def close(self) -> None:
        """Close the project; reading opens it again."""
        self._last.clear()
        if self._database is not None:
            self._database.close()
            self._database = None

    def __del__(self) -> None:
        self.close()


def _put(target: Audio, samples: Audio, place: int) -> None:
    """``samples`` into ``target`` from ``place`` on, which may be before it; what lies outside is cut."""
    begin, end = max(0, place), min(len(target), place + len(samples))
    if begin < end:
        target[begin:end] = samples[begin - place : end - place]
