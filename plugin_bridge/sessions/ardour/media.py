"""Stems among an Ardour session's own audio, which is named without folders: all can be moved together."""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path

from plugin_bridge.naming import safe_name
from plugin_bridge.sessions.ardour.fields import AUDIO_PLACES
from separators.atomic import put_in_place, temporary_beside


class SessionMedia:
    """Where the session in ``folder``, called ``name``, keeps its audio."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = _own(folder, name)

    def take(self, path: Path, name: str) -> str:
        """Put the file at ``path`` there, as a link if the disk allows it; returns what it is called.

        The same file has the same name each time, another one another: earlier snapshots keep their stems.
        Raises :class:`OSError`.
        """
        status = path.stat()
        mark = zlib.crc32(f"{status.st_size} {status.st_mtime_ns}".encode())
        called = f"{safe_name(name)}-{mark:08x}{path.suffix}"
        place = self._folder / called
        if place.is_file() and place.stat().st_size == status.st_size:
            return called
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(place)
        try:
            try:
                os.link(path, temporary)
            except OSError:  # another disk, or one without links
                shutil.copyfile(path, temporary)
            put_in_place(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
        return called


def _own(folder: Path, name: str) -> Path:
    """The first that is there; none that a link puts outside the session's folder."""
    inside = folder / "interchange"
    found = sorted(inside.glob(f"*/{AUDIO_PLACES}")) if inside.is_dir() else []
    home = folder.resolve()
    for one in found:
        if one.is_dir() and one.resolve().is_relative_to(home):
            return one
    return inside / safe_name(name) / AUDIO_PLACES
