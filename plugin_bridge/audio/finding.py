"""Finding the audio files of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from plugin_bridge.audio.formats import SUFFIXES
from plugin_bridge.errors import AudioFileError


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
