"""Songs to train on out of DAW sessions: their tracks, rendered, and the stems that their names tell.

Every session in a folder (:func:`~plugin_bridge.sessions.find_sessions`) is a song. A track's stem is told
by its own name, else by that of the group it lies in; patterns of the user's come first. Muted tracks are
left out. Tracks are taken before their faders and effects, and reach from the song's start to its end.
Files that begin with the song are read where they lie; other tracks are rendered into a cache, once.
The songs reader (:mod:`separators.training.songs`) gets all of it as a ``manifest.csv``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from plugin_bridge.engine.batch import run_jobs
from plugin_bridge.errors import JobError, SessionError
from plugin_bridge.jobs.bounce import BounceJob
from plugin_bridge.jobs.inputs import TrackInput
from plugin_bridge.jobs.job import Part, Settings
from plugin_bridge.jobs.manifest import text_hash
from plugin_bridge.jobs.progress import Reporter
from plugin_bridge.naming import printable, safe_name
from plugin_bridge.sessions import Session, Track, find_sessions, open_session
from plugin_bridge.version import program_version
from separators.atomic import write_atomically
from separators.training.songs import GROUPS, splits, stem_of

NONE = "none"
"""The stem of tracks that are to be left out."""
MANIFEST = "manifest.csv"
RENDERED = Settings(format="flac", template="{index} {track}")
"""Tracks become 24-bit files in which silence costs nothing."""


@dataclass(frozen=True)
class Song:
    """A session under the name that it has in the corpus."""

    name: str
    path: Path
    session: Session


@dataclass(frozen=True)
class StemFile:
    """A track as a file, and the stem it belongs to."""

    path: Path
    song: str
    stem: str
    job: BounceJob | None = None
    """Makes the file; None where it is there."""


def song_corpus(
    data: Path,
    cache: Path,
    names: Sequence[tuple[str, str]],
    media_roots: tuple[Path, ...],
    reporter: Reporter,
) -> Path:
    """The folder to give the songs reader for ``data``: itself if it holds a manifest, else one in ``cache``.

    ``names`` are pairs of a pattern and the stem of the tracks whose name fits it. What cannot be read
    and names that tell no stem are reported and left out. Raises :class:`JobError` for a stem that does
    not exist and where there is no session.
    """
    allowed = (*GROUPS, NONE)
    for pattern, stem in names:
        if stem not in allowed:
            raise JobError(f"{pattern}={stem}: no stem {stem!r}; there are: {', '.join(allowed)}")
    if (data / MANIFEST).is_file():
        return data
    files = [
        file
        for song in _songs(data, cache, media_roots, reporter)
        for file in _stem_files(song, cache / "tracks", names, media_roots, reporter)
    ]
    failed = set()
    for result in run_jobs([file.job for file in files if file.job], reporter):
        if result.error:
            reporter.say(f"left out {result.job}: {result.error}")
            failed.add(result.job)
    folder = cache / "songs"
    folder.mkdir(parents=True, exist_ok=True)
    _write_manifest(
        folder / MANIFEST, [file for file in files if not (file.job and file.job.label in failed)]
    )
    return folder


def _songs(data: Path, cache: Path, media_roots: tuple[Path, ...], reporter: Reporter) -> Iterator[Song]:
    """Every session in ``data`` that can be read, but for what this module itself has made."""
    own = cache.resolve()
    paths = [path for path in find_sessions(data) if not path.resolve().is_relative_to(own)]
    if not paths:
        raise JobError(
            f"{data}: holds no session; give a folder with a DAW session or a folder of files a song"
        )
    for path in paths:
        name = path.resolve().name if path == data else path.relative_to(data).as_posix()
        try:
            yield Song(printable(name), path, open_session(path, media_roots=media_roots))
        except SessionError as error:
            reporter.say(f"left out {printable(str(error))}")


def _stem_files(
    song: Song,
    cache: Path,
    names: Sequence[tuple[str, str]],
    media_roots: tuple[Path, ...],
    reporter: Reporter,
) -> Iterator[StemFile]:
    """The tracks of ``song`` whose stem is known."""
    numbers = {track.identifier: number for number, track in enumerate(song.session.walk(), 1)}
    folder = cache / f"{safe_name(song.name)}-{_state(song)[:16]}"
    for track, groups in _with_groups(song.session.tracks):
        label = f"{song.name}: {numbers[track.identifier]} {track.name}"
        stem = track_stem([track.name, *(group.name for group in groups)], names)
        if any(part.muted for part in (track, *groups)):
            reporter.say(f"left out {label}: muted")
        elif stem is None:
            reporter.say(f"left out {label}: the name tells no stem; --stem '{track.name}=STEM' says it")
        elif stem == NONE:
            continue
        elif file := _file_of(song.session, track):
            yield StemFile(file, song.name, stem)
        else:
            part = Part(
                TrackInput(song.path, track.identifier, media_roots, whole=True),
                folder,
                track.name,
                numbers[track.identifier],
            )
            job = BounceJob(label, part, RENDERED)
            (made,) = job.outputs()
            yield StemFile(made.resolve(), song.name, stem, None if made.is_file() else job)


def track_stem(names: Sequence[str], patterns: Sequence[tuple[str, str]] = ()) -> str | None:
    """The stem of a track called ``names[0]`` in a group called ``names[1]`` and so on; None if none tells.

    >>> track_stem(["In", "Kick", "Band"]), track_stem(["Juno 2"], [("juno*", "other")]), track_stem(["A"])
    ('drums', 'other', None)
    """
    for name in names:
        for pattern, stem in patterns:
            if fnmatchcase(name.casefold(), pattern.casefold()):
                return stem
        if found := stem_of(name):
            return found
    return None


def _with_groups(
    tracks: Sequence[Track], groups: tuple[Track, ...] = ()
) -> Iterator[tuple[Track, tuple[Track, ...]]]:
    """Every track that has clips, and the groups around it from the inside out."""
    for track in tracks:
        if track.clips:
            yield track, groups
        yield from _with_groups(track.children, (track, *groups))


def _file_of(session: Session, track: Track) -> Path | None:
    """The file that is the whole track already, if there is one."""
    if session.format != "folder":
        return None
    (clip,) = track.clips
    return clip.source.resolve() if clip.position == 0 and not clip.problem else None


def _state(song: Song) -> str:
    """A hash of everything that the rendered tracks depend on."""
    media = sorted({clip.source for track in song.session.walk() for clip in track.clips})
    stamps = [(path.stat().st_size, path.stat().st_mtime_ns) for path in media if path.is_file()]
    return text_hash(repr((program_version(), song.session, stamps)))


def _write_manifest(path: Path, files: Sequence[StemFile]) -> None:
    """A line for each file, in the form of :func:`separators.training.songs.load`."""
    split = splits(file.song for file in files)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("path", "song", "stem", "split"))
    writer.writerows((file.path, file.song, file.stem, split[file.song]) for file in files)
    write_atomically(path, text.getvalue().encode())
