"""AAF files to be mutated: as they are, and what their compositions say inside the compound file."""

from __future__ import annotations

import datetime
import os
import random
import signal
import tempfile
import uuid
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import aaf2
from aaf2.cfb import CompoundFileBinary

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.aaf import facts, reader
from tests.fuzz.session_kinds import read_session
from tests.plugin_bridge.sessions.aaf.helpers import NOISE, Maker

META = "/MetaDictionary-1"
LONGEST_SECONDS = 1.0
"""Of the child's processor time, ten times what a whole file takes; the program waits longer."""


class _OneDay(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime(2020, 1, 1)


@cache
def files() -> list[bytes]:
    """The seed: fillers, gains, dissolves, a file inside and one outside; the same bytes each time."""
    numbers = random.Random(0)

    def identifier() -> uuid.UUID:
        return uuid.UUID(int=numbers.getrandbits(128))

    with (
        tempfile.TemporaryDirectory() as folder,
        patch("uuid.uuid4", identifier),
        patch("aaf2.file.uuid4", identifier),
        patch("aaf2.mobs.datetime", _OneDay),
        patch("aaf2.file.datetime.datetime", _OneDay),
    ):
        path = Path(folder, "a.aaf")
        with aaf2.open(str(path), "w") as file:
            one = Maker(file, Path(folder), 25, NOISE[:500])
            softer = one.operation("Mono Audio Gain", "Amplitude multiplier", 0.5, one.clip(0, 25))
            one.slot(one.filler(10), softer, one.dissolve(5), one.clip(10, 20))
            one.slot(one.clip(0, 25, outside=True))
        return [path.read_bytes()]


@cache
def _places() -> list[slice]:
    """Where in the file lies what describes compositions and media, piece by piece; in a fixed order."""
    with tempfile.TemporaryFile() as raw:
        raw.write(files()[0])
        file = CompoundFileBinary(raw, "rb")
        found = sorted(
            (f"{root.path()}/{stream.name}", stream)
            for root, _, streams in file.walk()
            for stream in streams
            if stream.byte_size and not root.path().startswith(META)
        )
        places = []
        for _, entry in found:
            stream, size = entry.open("r"), entry.byte_size
            for number, sector in enumerate(stream.fat_chain):
                wide = stream.sector_size()
                if stream.is_mini_stream():
                    inner = sector * wide
                    outer, inner = divmod(inner, file.sector_size)
                    sector = file.mini_stream_chain[outer]
                else:
                    inner = 0
                start = (sector + 1) * file.sector_size + inner
                places.append(slice(start, start + min(wide, size - number * wide)))
        return places


@cache
def contents() -> list[bytes]:
    """All of that in a row."""
    return [b"".join(files()[0][place] for place in _places())]


def read_contents(path: Path) -> None:
    """Puts the row back into the file, each piece where it was.

    The file's own dictionary of classes, which is the standard's, is not read: that takes most of the time.
    """
    data, whole = path.read_bytes(), bytearray(files()[0])
    for place in _places():
        part, data = data[: place.stop - place.start], data[place.stop - place.start :]
        whole[place.start : place.start + len(part)] = part
    inside = path.with_suffix(".aaf")
    inside.write_bytes(whole)
    with patch("aaf2.metadict.MetaDictionary.read_properties", lambda self: None):
        read_file(inside)


def read_file(path: Path) -> None:
    """Opens it; the child is forked rather than started anew, which is what takes the time."""
    with patch.object(reader, "_child", _forked):
        read_session(path)


def _forked(path: Path, *arguments: str) -> str:
    with tempfile.TemporaryFile("w+") as said:
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
            code = 1
            try:
                with redirect_stdout(said):
                    code = facts.main(list(arguments))
                said.flush()
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        text = said.read()
    if status == -signal.SIGPROF:
        raise SessionError("damaged, or too large: reading it took too long")
    if status not in (0, facts.FAILED):
        raise RuntimeError(f"the child ended with {status}")
    if status:
        raise SessionError(text.strip())
    return text
