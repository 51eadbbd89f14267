"""Finding the audio files of a folder, and naming those that look like audio and cannot be taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from plugin_bridge.audio.formats import NOT_READ, SUFFIXES
from plugin_bridge.errors import AudioFileError


@dataclass
class Found:
    """What a folder holds."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)
    """Why each of these is not among them."""


def search(folder: str | os.PathLike[str], recursive: bool = True) -> Found:
    """The audio files in ``folder``, by suffix in any case, sorted; nobody asks for hidden ones.

    Raises :class:`AudioFileError` if it is no folder or cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioFileError(f"{folder}: not a folder")
    found = Found()
    for path in sorted(_walk(folder, recursive), key=lambda path: [part.casefold() for part in path.parts]):
        reason = _why_not(path)
        if reason:
            found.left_out[path] = reason
        else:
            found.files.append(path)
    return found


def find_audio_files(folder: str | os.PathLike[str], recursive: bool = True) -> list[Path]:
    """The audio files that :func:`search` finds."""
    return search(folder, recursive).files


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    """What may be audio: files with such a suffix, and links to folders."""
    for parent, folders, names in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (path for name in folders if (path := Path(parent, name)).is_symlink())
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES | NOT_READ:
                yield path


def _why_not(path: Path) -> str:
    """Why a file is not taken, in words that continue its name; empty if it is."""
    if path.is_dir():
        return "is a link to a folder, and links are not followed; name that folder itself"
    if not path.exists():
        return "is a link to nothing"
    if not path.is_file():
        return "is not a regular file"
    if path.suffix.lower() in NOT_READ:
        return f"is audio of a kind that is not read ({path.suffix}); export it as WAV, AIFF or FLAC"
    return ""


def _raise_unreadable(error: OSError) -> None:
    raise AudioFileError(f"{error.filename}: {error.strerror}")
