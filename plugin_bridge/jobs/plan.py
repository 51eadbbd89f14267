"""From files, folders and sessions to jobs, whose results' names are checked before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plugin_bridge.audio.files import search
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.bounce import BounceJob
from plugin_bridge.jobs.contract import Job, Survey
from plugin_bridge.jobs.inputs import ChannelInput, FileInput, MixInput, TrackInput, read_session
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.jobs.not_done import NotDone, left_out
from plugin_bridge.naming import TakenNames, printable, told_apart
from plugin_bridge.presets.preset import Preset
from plugin_bridge.rendering.processing import DRY, Processing
from plugin_bridge.rendering.tracks import selected_tracks
from plugin_bridge.sessions.places import stretch_of_time


def preset_text(preset: Preset) -> PresetText:
    """``preset`` as jobs carry it."""
    return PresetText(preset.name, preset.dump(), preset.source)


@dataclass(frozen=True)
class Inputs:
    """The audio files that a file or folder stands for."""

    files: list[tuple[Path, Path]]
    """With each comes its folder relative to the one given, so that the results keep the tree."""
    left_out: dict[Path, str]
    """What looks like audio and is not taken, and why."""


def files_in(path: Path, out: Path) -> Inputs:
    """The audio files that ``path`` stands for, but for those below ``out``: results of earlier runs."""
    if not path.is_dir():
        return Inputs([(path, Path())], {})
    folder, results = path.resolve(), out.resolve()
    if folder == results:
        raise JobError(f"{out}: results among the inputs would be inputs the next time; choose another --out")
    found = search(path)
    inside = results.is_relative_to(folder)

    def is_result(file: Path) -> bool:
        return inside and file.parent.resolve().is_relative_to(results)

    return Inputs(
        [(file, file.parent.relative_to(path)) for file in found.files if not is_result(file)],
        {file: reason for file, reason in found.left_out.items() if not is_result(file)},
    )


def file_jobs(
    paths: Sequence[Path], out: Path, preset: PresetText, settings: Settings, together: bool = False
) -> list[SeparateJob | NotDone]:
    """A job for each file that ``paths`` stand for, or one for all of them ``together``.

    For what looks like audio in their folders and is not taken there is one that says so.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    omitted: dict[Path, str] = {}
    for path in paths:
        inputs = files_in(path, out)
        if not inputs.files:
            also = "".join(f"; {file.name} {reason}" for file, reason in inputs.left_out.items())
            raise JobError(f"{path}: there is no audio file in this folder{also}")
        omitted |= inputs.left_out
        for file, tree in inputs.files:
            first, _ = found.setdefault(file.resolve(), (file, tree))
            if first.parent.resolve() / first.name != file.parent.resolve() / file.name:
                omitted[file] = f"is the same file as {first}"
    parts = [
        Part(FileInput(path), out / tree, printable(path.stem), index, printable(path.absolute().parent.name))
        for index, (path, tree) in enumerate(found.values(), 1)
    ]
    said = [left_out(label_of(file), reason, settings.strict) for file, reason in omitted.items()]
    if together:
        return [together_job(", ".join(part.track for part in parts), parts, preset, settings), *said]
    return [*(SeparateJob(label_of(part.input.path), (part,), preset, settings) for part in parts), *said]


def label_of(path: Path) -> str:
    """What people know a file's job by."""
    return told_apart(str(path))


def session_parts(
    project: Path,
    patterns: Sequence[str],
    out: Path,
    media_roots: tuple[Path, ...] = (),
    post_fader: bool = False,
    whole: bool = False,
    processing: Processing = DRY,
    play_rate: bool = False,
) -> list[Part]:
    """The tracks of the session at ``project`` that fit ``patterns``; with ``whole`` all equally long."""
    read_session.cache_clear()
    session = read_session(project, media_roots, play_rate)
    tracks = selected_tracks(session, patterns, processing)
    if not tracks:
        notes = any(track.notes for track in session.walk()) and not processing.plays_notes
        what = "its notes are heard with --soundfont FILE or --instruments" if notes else ""
        raise JobError(f"{project}: no track holds audio; {what or 'stembridge inspect shows what is there'}")
    numbers = {track.identifier: number for number, track in enumerate(session.walk(), 1)}
    parents = {child.identifier: track.name for track in session.walk() for child in track.children}
    return [
        Part(
            TrackInput(
                project,
                track.identifier,
                media_roots,
                post_fader,
                whole,
                processing=processing,
                play_rate=play_rate,
            ),
            out,
            track.name,
            numbers[track.identifier],
            parents.get(track.identifier, ""),
        )
        for track in tracks
    ]


@dataclass(frozen=True)
class Place:
    """A stretch of a session's timeline, as the user says it."""

    start: str | None = None
    end: str | None = None
    play_rate: bool = False
    """Of the timeline at the session's play rate."""


def bounced_parts(
    project: Path,
    patterns: Sequence[str],
    out: Path,
    media_roots: tuple[Path, ...],
    post_fader: bool,
    place: Place,
    processing: Processing = DRY,
) -> list[Part]:
    """The tracks of the session at ``project`` as they sound, with what others send to them."""
    parts = session_parts(project, patterns, out, media_roots, post_fader, True, processing, place.play_rate)
    session = read_session(project, media_roots, place.play_rate)
    span = stretch_of_time(session, place.start, place.end)
    return [
        replace(part, input=replace(part.input, receives=True, span=span))
        for part in parts
        if isinstance(part.input, TrackInput)
    ]


def mix_part(
    project: Path,
    out: Path,
    media_roots: tuple[Path, ...],
    place: Place,
    processing: Processing = DRY,
) -> Part:
    """The mix of the session at ``project``."""
    read_session.cache_clear()
    session = read_session(project, media_roots, place.play_rate)
    span = stretch_of_time(session, place.start, place.end)
    return Part(MixInput(project, media_roots, span, processing, place.play_rate), out, f"{session.name} mix")


def session_jobs(
    parts: Sequence[Part], preset: PresetText, settings: Settings, together: bool = False
) -> list[SeparateJob]:
    """A job for each track, or one for all of them ``together``."""
    if together:
        return [together_job(", ".join(part.track for part in parts), parts, preset, settings)]
    return [SeparateJob(label, (part,), preset, settings) for label, part in _labelled(parts)]


def bounce_jobs(
    parts: Sequence[Part], settings: Settings, preset: PresetText | None = None
) -> list[BounceJob]:
    """A job for each track that writes it as it is, or through the chain of ``preset``."""
    return [BounceJob(label, part, settings, preset) for label, part in _labelled(parts)]


def _labelled(parts: Sequence[Part]) -> Iterator[tuple[str, Part]]:
    """Each with the track's name, and its number where others are called the same."""
    counts = Counter(part.track for part in parts)
    for part in parts:
        yield (part.track if counts[part.track] == 1 else f"{part.track} (track {part.index})"), part


def together_job(label: str, parts: Sequence[Part], preset: PresetText, settings: Settings) -> SeparateJob:
    """One job whose parts are the channels of one mixture.

    A single part is taken apart into its channels; raises :class:`JobError` if it has only one.
    """
    if preset.preset.is_chain:
        raise JobError(f"preset {preset.name} separates nothing; leave out together")
    if len(parts) == 1:
        parts = _channels(parts[0])
        if len(parts) < 2:
            raise JobError(
                f"{label}: microphones are separated together, at least two, and this is one recording of "
                "one channel; name more tracks or files, or one with a channel for each microphone"
            )
    return SeparateJob(label, tuple(parts), preset, settings, together=True)


def _channels(part: Part) -> list[Part]:
    """The channels of ``part`` as parts of their own, called after it with a number."""
    with part.input.open() as opened:
        channels = opened.source.channels
    return [
        replace(part, input=ChannelInput(part.input, channel), track=f"{part.track} {channel + 1}")
        for channel in range(channels)
    ]


@dataclass(frozen=True)
class Planned:
    """A job and what is known of it."""

    job: Job
    survey: Survey


def checked(jobs: Iterable[Job], names: TakenNames | None = None) -> list[Planned]:
    """Each job with what will come of it.

    A job that would overwrite its input, or results of those before it or in ``names``, is replaced by one
    that fails and says so; the others are done. A job whose input cannot be opened has no outputs here;
    running it says why.
    """
    jobs = list(jobs)
    names = TakenNames() if names is None else names
    names.keep(path for job in jobs for path in job.inputs())
    plan: list[Planned] = []
    for job in jobs:
        try:
            survey = job.survey()
        except Exception:  # whatever it is, running the job will say it
            survey = Survey()
        try:
            names.take(survey.outputs, job.label)
        except JobError as error:
            plan.append(Planned(NotDone(job.label, str(error), fails=True), Survey()))
        else:
            plan.append(Planned(job, survey))
    return plan
