"""The project beside the stems of a session: originals muted, stems under them at their places."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.errors import SessionError
from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.inputs import ChannelInput, TrackInput, read_session
from plugin_bridge.jobs.job import SeparateJob
from plugin_bridge.jobs.manifest import Manifest, manifests
from plugin_bridge.naming import printable
from plugin_bridge.rendering.flattening import flattened
from plugin_bridge.sessions.formats import WRITTEN, stems_projects, write_stems
from plugin_bridge.sessions.model import Session
from plugin_bridge.sessions.placed import PlacedStem, Remark

BACKUP = "-bak"
"""Behind the suffix of the state before the last save; REAPER's own way."""


@dataclass(frozen=True)
class _Set:
    """The stems of one track by one preset, as they lie in the output folder."""

    manifest: Manifest
    path: Path
    """The manifest's."""


def write_project(
    jobs: Sequence[SeparateJob],
    results: Sequence[Result],
    out: Path,
    kind: str = "",
    remark: Remark = lambda text: None,
) -> Path | None:
    """Write the project for all stems of one session that lie in ``out``; returns its path, if there is one.

    ``jobs`` are those that just ran, with their ``results``; what earlier ones made is found by its
    manifests. Of a track with the stems of several presets, those of ``jobs``, else the newest, are heard;
    the others are muted. The project is left alone if it is there and no job made anything new, since it may
    hold the user's work by now; one that must change is kept as a backup. ``kind`` names its
    format, where it is not to be the session's own; what that cannot hold is said to ``remark``. Raises
    :class:`~plugin_bridge.errors.SessionError`.
    """
    source = jobs[0].parts[0].input
    if isinstance(source, ChannelInput):
        source = source.whole
    assert isinstance(source, TrackInput)
    session = read_session(source.path, source.media_roots)
    fresh = {track.manifest.resolve() for result in results for track in result.tracks if track.manifest}
    placed = {
        identifier: [stem for index, one in enumerate(sets) for stem in _placed(one, session, index > 0)]
        for identifier, sets in _sets(session, out, fresh).items()
    }
    if not placed:
        return None
    projects = stems_projects(session, out, kind)
    for project in projects:
        if project.exists() and all(result.status == "skipped" for result in results):
            return project
        try:
            if project.exists():
                project.replace(project.with_suffix(project.suffix + BACKUP))
            is_own = project.suffix.removeprefix(".") == session.format
            written = session if is_own else flattened(session)
            return write_stems(written, placed, project, remark)
        except (OSError, SessionError):
            # An old version, or a folder that nothing may be written to: then as a REAPER project.
            if project == projects[-1]:
                raise
    return None


def check_kind(path: Path, media_roots: tuple[Path, ...], out: Path, kind: str) -> None:
    """Raise :class:`SessionError`, before any work, if this session's stems get no project of this kind."""
    if kind not in WRITTEN:
        raise SessionError(
            f"{kind!r} is no kind of project that stems are written into: {', '.join(WRITTEN)}"
        )
    stems_projects(read_session(path, media_roots), out, kind)


def _sets(session: Session, out: Path, fresh: set[Path]) -> dict[str, list[_Set]]:
    """For each track of ``session`` its sets in ``out``, the one to be heard first."""
    known = {track.identifier for track in session.walk()}
    found: dict[str, list[_Set]] = defaultdict(list)
    for path in manifests(out):
        manifest = Manifest.read(path)
        if (
            manifest is not None
            and manifest.input.track in known
            # The folder may have moved together with the project.
            and Path(manifest.input.path).name == printable(session.path.name)
            and manifest.files_are_there(path)
            # Stems side by side in one file are no track's channels.
            and all(len(output.stems) == 1 for output in manifest.outputs)
        ):
            found[manifest.input.track].append(_Set(manifest, path))
    for sets in found.values():
        sets.sort(key=lambda one: (one.path.resolve() in fresh, one.path.stat().st_mtime_ns), reverse=True)
    return found


def _placed(one: _Set, session: Session, muted: bool) -> list[PlacedStem]:
    origin = one.manifest.input
    start = (origin.time_reference or 0) - round(session.start * origin.sample_rate)
    return [
        PlacedStem(
            f"{output.stems[0]} ({one.manifest.preset})" if muted else output.stems[0],
            Path(os.path.normpath(one.path.parent / output.path)),
            start / origin.sample_rate,
            origin.frames / origin.sample_rate,
            1 / one.manifest.gain,
            muted,
        )
        for output in one.manifest.outputs
    ]
