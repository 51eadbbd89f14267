"""Where a project's media lie, and which of them may be opened at all."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

MAX_SECONDS = 7 * 24 * 3600.0
"""Times beyond a week are damage or malice, not music."""


class MediaFolders:
    """Finds the media a project names, but only inside its own folder and those the user allowed."""

    def __init__(self, folder: Path, media_roots: Sequence[Path] = ()) -> None:
        self.folder = folder.resolve()
        self.roots = [self.folder, *(root.resolve() for root in media_roots)]

    def find(self, name: str) -> tuple[Path, str]:
        """The resolved path of the file called ``name`` in the project, and why it cannot be played.

        Symbolic links are followed before the check, so that none leads out of the folders.
        """
        try:
            path = (self.folder / self._local(name)).resolve()
        except (OSError, ValueError, RuntimeError):
            return self.folder / "unnamed", f"{name!r} is not a path"
        if not any(path.is_relative_to(root) for root in self.roots):
            return path, "lies outside the project folder; allow its folder with --media-root"
        try:
            mode = path.stat().st_mode
        except OSError:
            return path, "is missing"
        return path, "" if stat.S_ISREG(mode) else "is not a regular file"

    def _local(self, name: str) -> str:
        """Projects from Windows name their files with backslashes, which REAPER accepts everywhere."""
        if "\\" in name and not (self.folder / name).exists():
            return PureWindowsPath(name).as_posix()
        return name
