"""Which files requests may name: regular ones below the root, by a path that leads nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from plugin_bridge.errors import JobError
from plugin_bridge.report.page import MARK

MOST_CHARACTERS = 1000
HTML_HEAD = 2000
"""So much of a page is looked at to know it as one of ours."""
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}
"""What a page to listen is made of; nothing else is ever sent."""
DEPTH = 2
"""So far below a page's folder its files lie: ``tracks/NAME``."""


class OutsideError(JobError):
    """A path that requests may not name."""


def below(root: Path, text: str) -> Path:
    """The file or folder that ``text`` names, links followed; raises :class:`OutsideError`.

    ``root`` has no links in it.
    """
    parts = PurePosixPath(text).parts
    odd = any(ord(letter) < 32 or letter in "\\:" or 0xD800 <= ord(letter) < 0xE000 for letter in text)
    if odd or len(text) > MOST_CHARACTERS or any(part.startswith(".") or part == "/" for part in parts):
        raise OutsideError("that is no path below the served folder")
    try:
        path = root.joinpath(*parts).resolve(strict=True)
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError):
        raise OutsideError(f"{text}: there is no such file or folder") from None
    if not path.is_relative_to(root) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OutsideError(f"{text}: there is no such file or folder")  # nothing is told of what lies outside
    return path


def check_tree(root: Path, path: Path) -> None:
    """Raise :class:`OutsideError` if a link somewhere in the folder ``path`` leads out of ``root``."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            one = Path(folder, name)
            if one.is_symlink() and not one.resolve().is_relative_to(root):
                raise OutsideError(f"{one.relative_to(root)}: is a link that leads out of the served folder")


def page_file(root: Path, text: str) -> tuple[Path, str]:
    """A file of a page to listen, and its media type; raises :class:`OutsideError`."""
    path = below(root, text)
    if path.is_dir():
        path = below(root, f"{text.rstrip('/')}/index.html")
    kind = KINDS.get(path.suffix)
    folders = [path.parent, *path.parents[1 : DEPTH + 1]]
    if kind is None or not any(folder.is_relative_to(root) and is_page(folder) for folder in folders):
        raise OutsideError(f"{text}: belongs to no page")
    return path, kind


def is_page(folder: Path) -> bool:
    """Whether a page to listen lies in ``folder``."""
    try:
        with (folder / "index.html").open(encoding="utf-8", errors="replace") as file:
            return MARK in file.read(HTML_HEAD)
    except OSError:
        return False
