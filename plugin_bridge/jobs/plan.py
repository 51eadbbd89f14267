"""From files, folders and sessions to jobs, whose results' names are checked before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from plugin_bridge.audio.files import find_audio_files
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.bounce import BounceJob
from plugin_bridge.jobs.contract import Job
from plugin_bridge.jobs.inputs import FileInput, MixInput, TrackInput, read_session
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.naming import printable, refuse_collisions
from plugin_bridge.presets.preset import Preset
from plugin_bridge.rendering.tracks import selected_tracks


def preset_text(preset: Preset) -> PresetText:
    """``preset`` as jobs carry it."""
    return PresetText(preset.name, preset.dump(), preset.source)


def files_in(path: Path, out: Path) -> list[tuple[Path, Path]]:
    """The audio files that ``path``, a file or a folder, stands for.

    With each comes its folder relative to ``path``, so that ``out`` keeps the tree. Files below ``out``
    are results of earlier runs and left out.
    """
    if not path.is_dir():
        return [(path, Path())]
    folder, results = path.resolve(), out.resolve()
    if folder == results:
        raise JobError(f"{out}: results among the inputs would be inputs the next time; choose another --out")
    inside = results.is_relative_to(folder)
    return [
        (file, file.parent.relative_to(path))
        for file in find_audio_files(path)
        if not (inside and file.resolve().is_relative_to(results))
    ]


def file_jobs(
    paths: Sequence[Path], out: Path, preset: PresetText, settings: Settings, together: bool = False
) -> list[SeparateJob]:
    """A job for each file that ``paths`` stand for, or one for all of them ``together``."""
    found: dict[Path, tuple[Path, Path]] = {}
    for path in paths:
        files = files_in(path, out)
        if not files:
            raise JobError(f"{path}: there is no audio file in this folder")
        for file, tree in files:
            found.setdefault(file.resolve(), (file, tree))
    parts = [
        Part(FileInput(path), out / tree, printable(path.stem), index, path.absolute().parent.name)
        for index, (path, tree) in enumerate(found.values(), 1)
    ]
    if together:
        return [together_job(", ".join(part.track for part in parts), parts, preset, settings)]
    return [SeparateJob(printable(str(part.input.path)), (part,), preset, settings) for part in parts]


def session_parts(
    project: Path,
    patterns: Sequence[str],
    out: Path,
    media_roots: tuple[Path, ...] = (),
    post_fader: bool = False,
    whole: bool = False,
) -> list[Part]:
    """The tracks of the session at ``project`` that fit ``patterns``; with ``whole`` all equally long."""
    read_session.cache_clear()
    session = read_session(project, media_roots)
    tracks = selected_tracks(session, patterns)
    if not tracks:
        raise JobError(f"{project}: no track holds audio; stembridge inspect shows what is there")
    numbers = {track.identifier: number for number, track in enumerate(session.walk(), 1)}
    parents = {child.identifier: track.name for track in session.walk() for child in track.children}
    return [
        Part(
            TrackInput(project, track.identifier, media_roots, post_fader, whole),
            out,
            track.name,
            numbers[track.identifier],
            parents.get(track.identifier, ""),
        )
        for track in tracks
    ]


def mix_part(project: Path, out: Path, media_roots: tuple[Path, ...] = ()) -> Part:
    """The mix of the session at ``project``."""
    read_session.cache_clear()
    session = read_session(project, media_roots)
    return Part(MixInput(project, media_roots), out, f"{session.name} mix")


def session_jobs(
    parts: Sequence[Part], preset: PresetText, settings: Settings, together: bool = False
) -> list[SeparateJob]:
    """A job for each track, or one for all of them ``together``."""
    if together:
        return [together_job(", ".join(part.track for part in parts), parts, preset, settings)]
    return [SeparateJob(label, (part,), preset, settings) for label, part in _labelled(parts)]


def bounce_jobs(parts: Sequence[Part], settings: Settings) -> list[BounceJob]:
    """A job for each track that writes it as it is."""
    return [BounceJob(label, part, settings) for label, part in _labelled(parts)]


def _labelled(parts: Sequence[Part]) -> Iterator[tuple[str, Part]]:
    """Each with the track's name, and its number where others are called the same."""
    counts = Counter(part.track for part in parts)
    for part in parts:
        yield (part.track if counts[part.track] == 1 else f"{part.track} (track {part.index})"), part


def together_job(label: str, parts: Sequence[Part], preset: PresetText, settings: Settings) -> SeparateJob:
    """One job whose parts are the channels of one mixture; raises :class:`JobError` for a single one."""
    if len(parts) < 2:
        raise JobError(f"{label}: --together needs at least two tracks or files, there is one")
    return SeparateJob(label, tuple(parts), preset, settings, together=True)


def planned_outputs(jobs: Sequence[Job]) -> Mapping[str, list[Path]]:
    """The files that each job will write, by its label.

    Raises :class:`JobError` for collisions. A job whose input cannot be opened has no outputs here; it
    fails when it runs, and the others are done.
    """
    outputs: dict[str, list[Path]] = {}
    inputs = []
    for job in jobs:
        inputs += job.inputs()
        try:
            outputs[job.label] = job.outputs()
        except Exception:  # whatever it is, running the job will say it
            outputs[job.label] = []
    refuse_collisions(((path, label) for label, paths in outputs.items() for path in paths), inputs)
    return outputs
