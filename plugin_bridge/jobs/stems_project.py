"""The REAPER project beside the stems of a session: originals muted, stems under them at their places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.inputs import TrackInput, read_session
from plugin_bridge.jobs.job import SeparateJob
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.naming import safe_name
from plugin_bridge.sessions.formats import STEMS_SUFFIX
from plugin_bridge.sessions.rpp.writer import PlacedStem, write_stems_project

BACKUP_SUFFIX = ".rpp-bak"
"""REAPER's own for the state before the last save."""


def write_project(jobs: Sequence[SeparateJob], results: Sequence[Result], out: Path) -> list[Path]:
    """Write the project for what ``jobs`` made of one session's tracks; returns its path, if there is one.

    It is left alone if it is there and no job made anything new, since it may hold the user's work by now;
    one that must change is kept as a backup. Raises :class:`~plugin_bridge.errors.SessionError`.
    """
    placed: dict[str, list[PlacedStem]] = {}
    sessions = set()
    for job, result in zip(jobs, results, strict=True):
        for part, track in zip(job.parts, result.tracks, strict=False):  # a failed job has no tracks
            assert isinstance(part.input, TrackInput)
            sessions.add((part.input.path, part.input.media_roots))
            manifest = Manifest.read(Path(track["manifest"]))
            # Stems after the fader would pass it twice, and stems side by side are no track's channels.
            if manifest is not None and not part.input.post_fader and not job.settings.multichannel:
                placed.setdefault(part.input.identifier, []).extend(_placed(track, manifest, part.input))
    if not placed:
        return []
    ((path, media_roots),) = sessions
    session = read_session(path, media_roots)
    project = out / f"{safe_name(session.name)}{STEMS_SUFFIX}.rpp"
    if project.exists():
        if all(result.status == "skipped" for result in results):
            return [project]
        project.replace(project.with_suffix(BACKUP_SUFFIX))
    return [write_stems_project(session, placed, project)]


def _placed(track: dict[str, Any], manifest: Manifest, source: TrackInput) -> list[PlacedStem]:
    session = read_session(source.path, source.media_roots)
    rate = manifest.input["sample_rate"]
    start = manifest.input["time_reference"] - round(session.start * rate)
    return [
        PlacedStem(
            stem["stems"][0],
            Path(stem["path"]),
            start / rate,
            manifest.input["frames"] / rate,
            1 / manifest.gain,
        )
        for stem in track["files"]
    ]
