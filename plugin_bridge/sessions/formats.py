"""Which reader reads what: opening a session, finding sessions in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from plugin_bridge.audio.files import find_audio_files
from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.folder import read_folder
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.rpp.reader import read_rpp

RPP_SUFFIX = ".rpp"
STEMS_SUFFIX = "_stems"
"""Projects that this program wrote end in this and are not taken for the user's."""


def open_session(path: Path, *, media_roots: Sequence[Path] = ()) -> Session:
    """Read the session at ``path``: a REAPER project, a folder that holds one, or a folder of audio files.

    Media are opened only inside the project's folder and ``media_roots``. Raises :class:`SessionError`.
    """
    path = Path(path)
    if path.is_dir():
        projects = _projects(path)
        if not projects:
            return read_folder(path, media_roots)
        if len(projects) > 1:
            names = ", ".join(project.name for project in projects)
            raise SessionError(f"{path}: holds several REAPER projects; name one of them: {names}")
        return read_rpp(projects[0], media_roots)
    if not path.exists():
        raise SessionError(f"{path}: no such file or folder")
    if not path.is_file():
        raise SessionError(f"{path}: not a regular file")
    if path.suffix.lower() != RPP_SUFFIX:
        raise SessionError(f"{path}: not a session; give a REAPER project (.rpp) or a folder of audio files")
    return read_rpp(path, media_roots)


def find_sessions(folder: Path) -> Iterator[Path]:
    """The sessions in ``folder`` and below, in the order of their paths.

    A folder that holds a REAPER project or audio files is one session, whose own sub-folders hold its
    media. Folders whose name begins with a dot are left out.
    """
    if _projects(folder) or find_audio_files(folder, recursive=False):
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from find_sessions(path)


def _projects(folder: Path) -> list[Path]:
    """The user's own REAPER projects directly in ``folder``."""
    try:
        found = sorted(
            file for file in folder.iterdir() if file.suffix.lower() == RPP_SUFFIX and file.is_file()
        )
    except OSError as error:
        raise SessionError(f"{folder}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    stems = {file.stem for file in found}
    return [file for file in found if file.stem.removesuffix(STEMS_SUFFIX) not in stems - {file.stem}]
