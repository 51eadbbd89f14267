"""Where a project's media lie, and which of them may be opened at all."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_SECONDS = 7 * 24 * 3600.0
"""Times beyond a week are damage or malice, not music."""
MOST_ENTRIES = 100_000
"""Files that are looked at in one folder and below."""
DEPTH_BESIDE = 3
"""Folders below the project's own that are searched by name."""


class MediaFolders:
    """Finds the media a project names, but only inside its own folder and those the user allowed.

    A file that does not lie where the project says is looked for by its name: beside the project, below it,
    and in the folders the user allowed; of several called alike the one whose folders fit best is taken.
    """

    def __init__(self, folder: Path, media_roots: Sequence[Path] = ()) -> None:
        self.folder = folder.resolve()
        self.media_roots = [root.resolve() for root in media_roots]
        self.roots = [self.folder, *self.media_roots]
        self.elsewhere: dict[str, Path] = {}
        """What was found elsewhere than the project says, by its name there."""

    def find(self, name: str) -> tuple[Path, str]:
        """The resolved path of the file called ``name`` in the project, and why it cannot be played.

        Symbolic links are followed before the check, so that none leads out of the folders.
        """
        path, problem = self.as_named(name)
        if not problem or not _last(name):
            return path, problem
        found = self._by_name(name)
        if found is None:
            return path, problem
        self.elsewhere[name] = found
        return found, ""

    def as_named(self, name: str) -> tuple[Path, str]:
        """The same without looking for it anywhere else."""
        try:
            path = (self.folder / self._local(name)).resolve()
        except (OSError, ValueError, RuntimeError):
            return self.folder / "unnamed", f"{name!r} is not a path"
        if not self._may_be_opened(path):
            return path, "lies outside the project folder; allow its folder with --media-root"
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError):
            return path, "is missing"
        return path, "" if stat.S_ISREG(mode) else "is not a regular file"

    def _may_be_opened(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)

    def _local(self, name: str) -> str:
        """Projects from Windows name their files with backslashes, which REAPER accepts everywhere."""
        if "\\" in name and not (self.folder / name).exists():
            return PureWindowsPath(name).as_posix()
        return name

    def _by_name(self, name: str) -> Path | None:
        wanted = [_folded(part) for part in _parts(name)]
        found = [path for key in _spellings(_last(name)) for path in self._index.get(key, ())]

        def fit(path: Path) -> int:
            folders = [_folded(part) for part in path.parent.parts]
            count = 0
            for one, other in zip(reversed(wanted[:-1]), reversed(folders), strict=False):
                if one != other:
                    break
                count += 1
            return count

        # Of those that fit equally the first: beside the project before below it before other folders.
        for path in sorted(found, key=fit, reverse=True):
            resolved = path.resolve()
            if self._may_be_opened(resolved) and resolved.is_file():
                return resolved
        return None

    @cached_property
    def _index(self) -> dict[str, list[Path]]:
        """All files by their names, folded; those in the project's own folder first."""
        index: dict[str, list[Path]] = {}
        places = [_files(self.folder, DEPTH_BESIDE), *(_files(root, None) for root in self.media_roots)]
        for place in places:
            for path in place:
                paths = index.setdefault(_folded(path.name), [])
                if path not in paths:
                    paths.append(path)
        return index


def _files(folder: Path, depth: int | None) -> Iterator[Path]:
    """The files in ``folder`` and ``depth`` folders below it, nearest first; links are not followed."""
    seen = 0
    level = [folder]
    while level and depth != -1:
        following: list[Path] = []
        for place in level:
            try:
                with os.scandir(place) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in found:
                seen += 1
                if seen > MOST_ENTRIES:
                    return
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        following.append(Path(entry.path))
                else:
                    yield Path(entry.path)
        level = following
        depth = None if depth is None else depth - 1


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a name from any system."""
    is_windows = "\\" in name or PureWindowsPath(name).drive != ""
    return PureWindowsPath(name).parts if is_windows else PurePosixPath(name).parts


def _last(name: str) -> str:
    parts = _parts(name)
    return parts[-1] if parts and parts[-1] not in ("..", "/") else ""


def _folded(name: str) -> str:
    """The same for names that differ in case or in how letters with accents are put together."""
    return unicodedata.normalize("NFC", name).casefold()


def _spellings(name: str) -> Iterator[str]:
    """``name``, folded, and what it is if its bytes were read in the wrong one of UTF-8 and Latin-1."""
    yield _folded(name)
    for written, read in (("utf-8", "latin-1"), ("latin-1", "utf-8"), ("cp1252", "utf-8")):
        try:
            other = _folded(name.encode(written, "surrogateescape").decode(read))
        except UnicodeError:
            continue
        if other != _folded(name):
            yield other
