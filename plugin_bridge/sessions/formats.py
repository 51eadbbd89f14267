"""Which reader reads what: the table of session formats, opening a session, finding sessions in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from plugin_bridge.audio.files import find_audio_files, search
from plugin_bridge.audio.formats import SUFFIXES as AUDIO
from plugin_bridge.errors import SessionError
from plugin_bridge.naming import safe_name
from plugin_bridge.sessions.aaf.reader import read_aaf
from plugin_bridge.sessions.ableton.reader import read_ableton
from plugin_bridge.sessions.ardour.reader import read_ardour
from plugin_bridge.sessions.ardour.writer import write_stems_snapshot
from plugin_bridge.sessions.audacity.reader import read_audacity
from plugin_bridge.sessions.dawproject.project import write_stems_in_dawproject
from plugin_bridge.sessions.dawproject.reader import read_dawproject
from plugin_bridge.sessions.dawproject.writer import write_stems_project as write_dawproject
from plugin_bridge.sessions.folder import read_folder
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.placed import FreshWriter, PlacedStem, Remark, StemsWriter
from plugin_bridge.sessions.rpp.reader import read_rpp
from plugin_bridge.sessions.rpp.writer import write_stems_project as write_rpp
from plugin_bridge.sessions.unread import UNREAD

STEMS_SUFFIX = "_stems"
"""Projects that this program wrote end in this and are not taken for the user's."""
OTHER_FILES = {
    ".zip": "unpack it first",
    ".mid": "a MIDI file lies beside the audio files of a folder",
}
"""What to do with files that people give in place of sessions."""
MOST_FOLDERS, MOST_NAMED = 100, 4
"""So many folders below one without audio are looked into, and so many of those with audio are named."""

Reader = Callable[[Path, Sequence[Path]], Session]
"""Reads the project at a path; media may lie in its folder and in the roots. Raises :class:`SessionError`."""


@dataclass(frozen=True)
class Format:
    """One row of the table: how projects of a DAW are called, and who reads them."""

    project: str
    """What users call it: ``REAPER project``."""
    suffixes: tuple[str, ...]
    """In lower case, with the dot. A project may also be a folder with such a name (a macOS package)."""
    read: Reader | None = None
    """None if no reader knows it."""
    write_stems: StemsWriter | None = None
    """Puts stems back into such a project; without it a REAPER project is written."""
    write_fresh: FreshWriter | None = None
    """Puts the stems of another DAW's session into a new project of this kind."""
    stems_beside: bool = False
    """Whether that must lie beside the user's project, rather than beside the stems."""
    opens_in: str = ""
    """Whom a written project is for."""
    export: str = ""
    """Without a reader: how the DAW writes its tracks as audio files."""
    exchange: str = ""
    """Without a reader: how the DAW writes what can be read, if it does."""
    backups: tuple[str, ...] = ()
    """Suffixes of what the DAW keeps beside a project; opened when named, and not looked for in folders."""

    @property
    def name(self) -> str:
        """What sessions and options call it: ``rpp``."""
        return self.suffixes[0].removeprefix(".")

    def __str__(self) -> str:
        return f"{self.project} ({', '.join(self.suffixes)})"


FORMATS = (
    Format(
        "REAPER project",
        (".rpp",),
        read_rpp,
        write_rpp,
        write_rpp,
        opens_in="REAPER",
        backups=(".rpp-bak",),
    ),
    Format(
        "Ardour session",
        (".ardour",),
        read_ardour,
        write_stems_snapshot,
        stems_beside=True,
        opens_in="Ardour",
    ),
    Format(
        "DAWproject",
        (".dawproject",),
        read_dawproject,
        write_dawproject,
        write_stems_in_dawproject,
        opens_in="Bitwig, Studio One or Cubase",
    ),
    Format("Ableton Live set", (".als",), read_ableton),
    Format("Audacity project", (".aup3",), read_audacity),
    Format("AAF file", (".aaf",), read_aaf),
    *(
        Format(project, suffixes, export=export, exchange=exchange)
        for project, suffixes, export, exchange in UNREAD
    ),
)
"""Every format by its suffixes; those with a reader first. A folder of audio files is a session, too."""


WRITTEN = tuple(row.name for row in FORMATS if row.write_stems)
"""The kinds of projects that stems are written into."""


def format_of(path: Path) -> Format | None:
    """The row for the project at ``path`` by its suffix, None for everything else."""
    suffix = path.suffix.lower()
    return next((row for row in FORMATS if suffix in (*row.suffixes, *row.backups)), None)


def readable() -> str:
    """What can be read, in words: ``REAPER project (.rpp)``."""
    return " or ".join(str(row) for row in FORMATS if row.read)


def stems_projects(session: Session, out: Path, kind: str = "") -> list[Path]:
    """Where the project with a session's stems may be written: one of its own kind first, then REAPER's.

    Only one where ``kind`` says which: one of :data:`WRITTEN`. Raises :class:`SessionError` if sessions of
    other DAWs are not written as such.
    """
    row = format_of(session.path)
    chosen = [row] if row and row.write_stems and session.format != "folder" else []
    if kind:
        wanted = next(one for one in FORMATS if one.name == kind)
        if wanted not in chosen and wanted.write_fresh is None:
            known = " or ".join(one.name for one in FORMATS if one.write_fresh)
            raise SessionError(
                f"{session.path}: stems go into {wanted.project}s of {wanted.project}s only; choose {known}"
            )
        chosen = [wanted]
    elif FORMATS[0] not in chosen:
        chosen.append(FORMATS[0])
    return [
        (session.path.resolve().parent if one.stems_beside else out)
        / f"{safe_name(session.name)}{STEMS_SUFFIX}{one.suffixes[0]}"
        for one in chosen
    ]


def write_stems(
    session: Session,
    placed: Mapping[str, Sequence[PlacedStem]],
    out_path: Path,
    remark: Remark = lambda text: None,
) -> Path:
    """Write ``session`` with its stems to ``out_path``, of the format of its suffix; returns that.

    ``placed`` maps track identifiers to the stems made of the track before its fader. What the project of
    another kind cannot hold is said to ``remark``. Raises :class:`SessionError`.
    """
    row = format_of(out_path)
    if row is None or row.write_stems is None:
        raise SessionError(f"{out_path}: stems are not written into such a project")
    if session.format != row.name and row.write_fresh is not None:
        return row.write_fresh(session, placed, out_path, remark)
    return row.write_stems(session, placed, out_path)


def is_project(path: Path) -> bool:
    """Whether ``path`` is called like a project that can be read, and is none that this program wrote."""
    row = format_of(path)
    return bool(row and row.read) and not path.stem.endswith(STEMS_SUFFIX)


def open_session(path: Path, *, media_roots: Sequence[Path] = ()) -> Session:
    """Read the session at ``path``: a project of :data:`FORMATS`, a folder with one, or one of audio files.

    Media are opened only inside the project's folder and ``media_roots``. Raises :class:`SessionError`, for a
    project that no reader knows with what to export instead.
    """
    path = Path(path)
    if path.is_dir():
        projects = _projects(path)
        if not projects:
            _refuse_without_audio(path)
            session = read_folder(path, media_roots)
            session.not_honoured[:0] = _unread(path)
            return session
        if len(projects) > 1:
            kinds = " and ".join(dict.fromkeys(f"{row.project}s" for row in map(format_of, projects) if row))
            names = ", ".join(project.name for project in projects)
            raise SessionError(f"{path}: holds several {kinds}; name one of them: {names}")
        path = projects[0]
    row = format_of(path)
    if not path.exists():
        raise SessionError(f"{path}: no such file or folder")
    if not path.is_file():
        raise SessionError(f"{path}: not a regular file")
    if row is None:
        kind = path.suffix.lower()
        other = OTHER_FILES.get(kind, "stembridge separate takes it as it is" if kind in AUDIO else "")
        other = f"; {other}" if other else ""
        raise SessionError(f"{path}: not a session{other}; give a {readable()} or a folder of audio files")
    if row.read is None:
        raise SessionError(f"{path}: not a session that can be read; {_instead(row)}")
    return row.read(path, media_roots)


def find_sessions(folder: Path) -> Iterator[Path]:
    """The sessions in ``folder`` and below, in the order of their paths.

    A folder that holds a project that can be read, or audio files, is one session, whose own sub-folders hold
    its media. Folders whose name begins with a dot, and those that are a DAW's project, are left out.
    """
    if _projects(folder) or find_audio_files(folder, recursive=False):
        yield folder
        return
    if format_of(folder):
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from find_sessions(path)


def _instead(row: Format) -> str:
    said = f"export the tracks of your {row.project} as audio files ({row.export}) and give their folder"
    return f"{said}, or give what it writes by {row.exchange}" if row.exchange else said


def _unread(folder: Path) -> Iterator[str]:
    """One line for each project in ``folder`` that no reader knows; its audio files may be anything."""
    for path in sorted(folder.iterdir()):
        row = format_of(path)
        if row is not None and row.read is None:
            yield (
                f"Session: {path.name} is a {row.project}, which is not read: the audio files beside it "
                f"are taken as its exported tracks; if they are not, {_instead(row)}"
            )


def _refuse_without_audio(folder: Path) -> None:
    """Raise :class:`SessionError` if no audio lies in ``folder``; a project that does says what to do."""
    found = search(folder, recursive=False)
    if found.files:
        return
    said = f"{folder}: no audio files and no {readable()} in this folder"
    for path, reason in found.left_out.items():
        said += f"; {path.name} {reason}"
    rows = [(path, row) for path in (folder, *sorted(folder.iterdir())) if (row := format_of(path))]
    unread = [row for _, row in rows if row.read is None]
    if unread:  # what lies below are its recordings, and no exported tracks
        raise SessionError(f"{said}; {_instead(unread[0])}")
    if rows:
        raise SessionError(f"{said}; {rows[0][0].name} is read if it is named itself")
    below = [path.name for path in _folders(folder) if search(path, recursive=False).files]
    if below:
        more = f" and {len(below) - MOST_NAMED} more" if len(below) > MOST_NAMED else ""
        said += f"; audio lies in {', '.join(below[:MOST_NAMED])}{more} below it: name that folder"
    raise SessionError(said)


def _folders(folder: Path) -> list[Path]:
    """Those directly in ``folder`` that can be looked into, in order, no more than anybody exports."""
    found = (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.is_symlink())
    return [path for path in islice(found, MOST_FOLDERS) if os.access(path, os.R_OK | os.X_OK)]


def _projects(folder: Path) -> list[Path]:
    """The user's own projects directly in ``folder`` that can be read."""
    suffixes = {suffix for row in FORMATS if row.read for suffix in row.suffixes}
    try:
        found = sorted(
            file for file in folder.iterdir() if file.suffix.lower() in suffixes and file.is_file()
        )
    except OSError as error:
        raise SessionError(f"{folder}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    stems = {file.stem for file in found}
    return [file for file in found if file.stem.removesuffix(STEMS_SUFFIX) not in stems - {file.stem}]
