"""The main calls: DAW sessions and audio files into stems. The commands make the same ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from plugin_bridge.batches.estimates import estimate
from plugin_bridge.batches.job_file import JobFile
from plugin_bridge.batches.planning import plan_of
from plugin_bridge.calls import (
    AnyPath,
    AnyPreset,
    carry_out,
    chain_of,
    existing,
    patterns_of,
    planned_result,
    preset_of,
    run,
    unless_failed,
)
from plugin_bridge.engine.contract import Workers
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.contract import Job, Result, Results
from plugin_bridge.jobs.folder_lock import locked
from plugin_bridge.jobs.job import SeparateJob, Settings
from plugin_bridge.jobs.midi_file import MidiJob
from plugin_bridge.jobs.plan import (
    Place,
    bounce_jobs,
    bounced_parts,
    file_jobs,
    mix_part,
    session_jobs,
    session_parts,
)
from plugin_bridge.jobs.progress import Callback, Reporter
from plugin_bridge.jobs.stems_project import check_kind, write_project
from plugin_bridge.presets.output import Output
from plugin_bridge.rendering.processing import Processing
from separators.parameters import Value

Format = Literal["wav", "flac", "aiff", "ogg", "mp3", "alac", "aac"]
BitDepth = Literal["16", "24", "float32", 16, 24]
Layout = Literal["files", "multichannel", "stem.mp4"]
BOUNCED = "{track}"
"""How bounced tracks are called."""


def render(
    project: AnyPath,
    preset: AnyPreset,
    out: AnyPath = "stems",
    *,
    tracks: str | Sequence[str] = (),
    together: bool | str | Sequence[str] | None = None,
    post_fader: bool = False,
    with_fx: bool = False,
    approximate_fx: bool = False,
    instruments: bool = False,
    sound_font: AnyPath | None = None,
    bypass_broken: bool = False,
    media_roots: Sequence[AnyPath] = (),
    parameters: Mapping[str, Value] | None = None,
    device: str | None = None,
    stems: Sequence[str] | None = None,
    format: Format | None = None,
    bit_depth: BitDepth | None = None,
    layout: Layout | None = None,
    name: str | None = None,
    tail_seconds: float | Literal["auto"] | None = None,
    session_format: Literal["rpp", "dawproject", "ardour"] | None = None,
    renderer: Literal["own", "daw"] = "own",
    time_limit: float = 600.0,
    plots: bool = False,
    report: bool = False,
    plugin_paths: Sequence[AnyPath] = (),
    force: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    progress: Callback | Reporter | None = None,
) -> Results:
    """Separate the tracks of a DAW session into stems.

    Beside the stems lies a project (``Results.project``), of the session's own DAW where that can be written,
    else a REAPER project: the original tracks muted, the stems under them. ``project`` is never changed. What
    is done already, from the same samples with the same
    preset, is not done again.

    :param project: a REAPER project (``.rpp``), a folder that holds one, or a folder of audio files as every
        DAW exports them
    :param preset: a shipped preset's name, the path of a preset file, a :class:`Preset` or a :class:`Board`
    :param out: the folder for the results; made if it is missing
    :param tracks: patterns with ``*`` and ``?`` for the names of tracks; all tracks if there are none
    :param together: take tracks as the microphones of one recording and give each its own source: all that
        fit ``tracks`` (True), or for each pattern given here those that fit it; None: as the preset says
    :param post_fader: with the tracks' volume, pan, polarity, mute and solo
    :param with_fx: through the effects on the tracks: VST3 plug-ins that are installed, with the states that
        the session holds (REAPER, DAWproject), in child processes; all others are left out and listed
    :param approximate_fx: the devices that DAWproject describes itself (Equalizer, Compressor, NoiseGate,
        Limiter) by Pedalboard's nearest, which sound otherwise
    :param instruments: play tracks of notes by their VST3 instruments, with the states that the session holds
    :param sound_font: a SoundFont (``.sf2``, ``.sf3``) that plays the notes of tracks whose instrument is
        missing
    :param bypass_broken: leave out and list a plug-in that crashes, hangs, eats memory or refuses the
        channels, instead of failing the track
    :param media_roots: folders outside the project that its audio may be read from
    :param parameters: of the preset's separator, in place of the preset's: ``{"speakers": 3}``
    :param device: where networks run: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ..., ``mps``; None: as the
        preset says, or the first GPU that works, else the CPU. Stems are not made again for another device
    :param stems: the stems to write; None: the preset's, or all
    :param format: of the files; None: the preset's, or WAV
    :param bit_depth: of the files; None: the preset's, or the input's or better, and 32-bit float where
        integers cannot hold the stems
    :param layout: a file for each stem, one with all stems in its channels, or ``stem.mp4`` for DJ
        programs, in ALAC or AAC; None: as the preset says
    :param name: the template of the files' names, with ``{track}``, ``{stem}``, ``{preset}``,
        ``{separator}``, ``{index}`` and ``{parent}``; None: the preset's, or ``{track}/{stem}``
    :param tail_seconds: how much longer than the input the stems become, by what the preset's chains leave
        ringing, or ``"auto"``: until that is 60 dB down; None: as the preset says
    :param session_format: the kind of the project beside the stems; None: the session's own, where stems are
        written into such, else REAPER's. Only Ardour's own sessions get an Ardour snapshot
    :param renderer: ``"daw"``: the session's own DAW renders the tracks (Ardour, LMMS, REAPER; it must be
        installed), on a copy, with all instruments and effects; then no project is written beside the stems
    :param time_limit: seconds for each run of the DAW
    :param plots: draw spectrograms beside the stems
    :param report: make a page to listen to all stems in ``out`` (``Results.page``), by :func:`write_report`
    :param plugin_paths: folders to look for third-party plug-ins in, besides the system's
    :param force: do again what is done already
    :param strict: fail where something cannot be honoured or a method warns
    :param dry_run: do nothing: the results are ``planned`` and say what would be written
    :param jobs: worker processes; with several, a script makes this call under
        ``if __name__ == "__main__":``, since its workers import it
    :param cluster: the address of a Dask cluster that does the jobs in place of worker processes, or
        ``local`` for an embedded one of ``jobs`` workers; needs the extra ``cluster``
    :param memory: what a job's worker may use, such as ``4GB``; a job that needs more fails alone
    :param progress: called as ``progress(job, stage, fraction)``, from any thread, with the fraction of the
        job that is done; a job's last call has the fraction 1 and says how it ended. If it raises, all jobs
        stop and clean up, and its exception comes out of this call: the way to cancel
    :raises SessionError: the project cannot be read
    :raises PresetError: the preset, or what is asked for in its place, is wrong
    :raises JobsFailedError: some jobs failed; the others are done, and the error holds the results of all
    :raises JobError: nothing fits ``tracks``
    """
    text = preset_of(preset, parameters, device, tail_seconds)
    settings = Settings.chosen(
        text.preset.output,
        format=format,
        bit_depth=bit_depth,
        layout=layout,
        name=name,
        stems=stems,
        plots=plots,
        plugin_paths=[existing(path) for path in plugin_paths],
        force=force,
        strict=strict,
    )
    patterns = patterns_of(tracks)
    groups = () if together is None or isinstance(together, bool) else patterns_of(together)
    if groups and patterns:
        raise JobError("together= names its tracks itself; leave out tracks=")
    as_one = bool(groups) or (text.preset.together if together is None else bool(together))
    path, target, roots = existing(project), Path(out), tuple(map(existing, media_roots))
    processing = Processing(
        effects=with_fx,
        approximate=approximate_fx,
        instruments=instruments,
        sound_font=None if sound_font is None else existing(sound_font),
        plugin_paths=tuple(map(existing, plugin_paths)),
        bypass_broken=bypass_broken,
    )
    if session_format is not None:
        check_kind(path, roots, target, session_format)

    def project_of(results: list[Result], remark: Callable[[str], None]) -> Path | None:
        if renderer == "daw":  # behind the effects, which stems would pass twice
            return None
        return write_project(planned, results, target, session_format or "", remark)

    page_in = target if report else None
    who = Workers.chosen(jobs, cluster, memory)
    with ExitStack() as opened:
        if renderer == "daw":
            _refuse_for_daw(dry_run, processing)
            path = opened.enter_context(_rendered_by_daw(path, groups or patterns, False, time_limit))
            patterns, post_fader = (), False
        planned: list[SeparateJob] = [
            job
            for selection in (zip(groups) if groups else [patterns])
            for job in session_jobs(
                session_parts(path, selection, target, roots, post_fader, processing=processing),
                text,
                settings,
                as_one,
            )
        ]
        return run(
            planned, target, text, project_of, page_in, dry_run=dry_run, workers=who, progress=progress
        )


def separate(
    paths: AnyPath | Sequence[AnyPath],
    preset: AnyPreset,
    out: AnyPath = "stems",
    *,
    together: bool | None = None,
    parameters: Mapping[str, Value] | None = None,
    device: str | None = None,
    stems: Sequence[str] | None = None,
    format: Format | None = None,
    bit_depth: BitDepth | None = None,
    layout: Layout | None = None,
    name: str | None = None,
    tail_seconds: float | Literal["auto"] | None = None,
    plots: bool = False,
    report: bool = False,
    plugin_paths: Sequence[AnyPath] = (),
    force: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    progress: Callback | Reporter | None = None,
) -> Results:
    """Separate audio files, and all audio files in folders, into stems.

    The results of a folder keep its tree; what looks like audio in it and is not taken is ``left out`` of the
    results' jobs, and says why. All other arguments are those of :func:`render`.

    :param paths: a file or folder, or several
    :param together: take the files, or the channels of a single one, as the channels of one mixture; None: as
        the preset says
    :raises PresetError: the preset, or what is asked for in its place, is wrong
    :raises JobsFailedError: some jobs failed; the others are done, and the error holds the results of all
    :raises JobError: there is nothing to separate
    """
    text = preset_of(preset, parameters, device, tail_seconds)
    settings = Settings.chosen(
        text.preset.output,
        format=format,
        bit_depth=bit_depth,
        layout=layout,
        name=name,
        stems=stems,
        plots=plots,
        plugin_paths=[existing(path) for path in plugin_paths],
        force=force,
        strict=strict,
    )
    files = [paths] if isinstance(paths, str | os.PathLike) else paths
    as_one = text.preset.together if together is None else together
    target = Path(out)
    planned = file_jobs(list(map(existing, files)), target, text, settings, as_one)
    page_in = target if report else None
    who = Workers.chosen(jobs, cluster, memory)
    return run(planned, target, text, page_in=page_in, dry_run=dry_run, workers=who, progress=progress)


def process(
    paths: AnyPath | Sequence[AnyPath],
    preset: AnyPreset,
    out: AnyPath = "processed",
    *,
    format: Format | None = None,
    bit_depth: BitDepth | None = None,
    name: str | None = None,
    tail_seconds: float | Literal["auto"] | None = None,
    plots: bool = False,
    report: bool = False,
    plugin_paths: Sequence[AnyPath] = (),
    force: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    progress: Callback | Reporter | None = None,
) -> Results:
    """Run audio files, and all audio files in folders, through a chain of plug-ins that separates nothing.

    The results of a folder keep its tree. All other arguments are those of :func:`separate`.

    :param preset: a preset with a ``[[chain]]``, or a :class:`Board` without a separator at its top
    :param name: the template of the files' names; None: the preset's, or ``{track}/{stem}``
    :param tail_seconds: how much longer than the input results are, or ``"auto"``; None: as the preset says
    :raises PresetError: the preset separates, or what is asked for in its place is wrong
    :raises JobsFailedError: some jobs failed; the others are done, and the error holds the results of all
    :raises JobError: there is nothing to process
    """
    text = chain_of(preset, tail_seconds)
    return separate(
        paths,
        text.preset,
        out,
        format=format,
        bit_depth=bit_depth,
        name=name,
        plots=plots,
        report=report,
        plugin_paths=plugin_paths,
        force=force,
        strict=strict,
        dry_run=dry_run,
        jobs=jobs,
        cluster=cluster,
        memory=memory,
        progress=progress,
    )


def bounce(
    project: AnyPath,
    out: AnyPath = "stems",
    *,
    tracks: str | Sequence[str] = (),
    mix: bool = False,
    start: str | None = None,
    end: str | None = None,
    play_rate: bool = False,
    midi: bool = False,
    preset: AnyPreset | None = None,
    post_fader: bool = False,
    with_fx: bool = False,
    approximate_fx: bool = False,
    instruments: bool = False,
    sound_font: AnyPath | None = None,
    bypass_broken: bool = False,
    media_roots: Sequence[AnyPath] = (),
    format: Format | None = None,
    bit_depth: BitDepth | None = None,
    name: str = BOUNCED,
    tail_seconds: float | Literal["auto"] | None = None,
    plugin_paths: Sequence[AnyPath] = (),
    renderer: Literal["own", "daw"] = "own",
    time_limit: float = 600.0,
    strict: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    progress: Callback | Reporter | None = None,
) -> Results:
    """Write the tracks of a DAW session, or its mix, without separating them.

    All files begin at the session's start and are equally long. Tracks, folders and buses are taken before
    their faders and effects, unless asked otherwise, with what other tracks send to them. All other arguments
    are those of :func:`render`.

    :param midi: write the session's notes, tempo map and markers as a MIDI file beside the audio, too
    :param mix: the whole mix through all faders instead of the tracks
    :param start: render from here on: seconds (``"90.5"``, ``"1:30"``), a bar (``"bar 17"``) or a marker
    :param end: render up to here; None: to the end of the region that ``start`` names, or of the session
    :param play_rate: at the play rate of a REAPER project, as REAPER renders it; on its own time otherwise
    :param preset: a preset with a ``[[chain]]``, or a :class:`Board`, that each file goes through
    :param tail_seconds: how much longer than the session the files become, by what that chain leaves ringing
    :param name: the template of the files' names, with ``{track}``, ``{index}`` and ``{parent}``
    :raises SessionError: the project cannot be read
    :raises JobsFailedError: some jobs failed; the others are done, and the error holds the results of all
    :raises JobError: nothing fits ``tracks``
    """
    patterns = patterns_of(tracks)
    if mix and patterns:
        raise JobError("mix is all tracks; leave out tracks")
    if midi and (start or end):
        raise JobError("the MIDI file holds the whole session; leave out midi, or the start and end")
    if preset is None and tail_seconds is not None:
        raise JobError("a tail is that of a chain; name a preset with [[chain]], or leave out tail_seconds")
    text = None if preset is None else chain_of(preset, tail_seconds)
    settings = Settings.chosen(
        text.preset.output if text else Output(),
        format=format,
        bit_depth=bit_depth,
        name=name,
        plugin_paths=[existing(path) for path in plugin_paths],
        strict=strict,
    )
    path, target, roots = existing(project), Path(out), tuple(map(existing, media_roots))
    processing = Processing(
        effects=with_fx,
        approximate=approximate_fx,
        instruments=instruments,
        sound_font=None if sound_font is None else existing(sound_font),
        plugin_paths=tuple(map(existing, plugin_paths)),
        bypass_broken=bypass_broken,
    )
    place = Place(start, end, play_rate)
    beside: list[Job] = [MidiJob(path, target, roots, play_rate)] if midi else []
    with ExitStack() as opened:
        if renderer == "daw":
            _refuse_for_daw(dry_run, processing)
            if play_rate:
                raise JobError("the DAW renders on the project's own time; leave out play_rate or renderer")
            path = opened.enter_context(_rendered_by_daw(path, patterns, mix, time_limit))
            patterns, mix, post_fader = (), False, False
        parts = (
            [mix_part(path, target, roots, place, processing)]
            if mix
            else bounced_parts(path, patterns, target, roots, post_fader, place, processing)
        )
        who = Workers.chosen(jobs, cluster, memory)
        planned = [*bounce_jobs(parts, settings, text), *beside]
        return run(planned, target, text, dry_run=dry_run, workers=who, progress=progress)


def _refuse_for_daw(dry_run: bool, processing: Processing) -> None:
    """Raise :class:`JobError` for what makes no sense where the DAW renders."""
    if dry_run:
        raise JobError("what the DAW will write is not known before; leave out dry_run")
    if processing.is_asked_for:
        raise JobError("the DAW renders its own plug-ins; leave out those that are asked for here")


@contextmanager
def _rendered_by_daw(path: Path, tracks: Sequence[str], mix: bool, time_limit: float) -> Iterator[Path]:
    """A folder with what the project's own DAW has rendered, while it is needed."""
    from plugin_bridge.daw.rendering import render_by_daw

    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        place = Path(folder, path.stem)
        render_by_daw(path, place, tracks, mix=mix, time_limit=time_limit)
        yield place


def batch(
    job_file: AnyPath,
    *,
    force: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    memory: str | None = None,
    progress: Callback | Reporter | None = None,
) -> Results:
    """Do all that a job file says: many inputs and sessions, presets by pattern.

    All other arguments are those of :func:`render`.

    :param job_file: a TOML file; docs/operations.md says what is in it
    :raises JobsFailedError: some jobs failed; the others are done, and the error holds the results of all
    :raises JobError: the file is wrong (with the line), or the disk cannot hold the results
    """
    file = JobFile.read(Path(job_file), force=force, strict=strict)
    made = plan_of(file)
    workers = Workers.chosen(jobs, cluster, memory)
    if dry_run:
        return Results([planned_result(one) for one in made.plan])
    estimate(made.plan, made.outs, workers.count).refuse_if_short()
    cautions = [(text.name, text.preset.caution) for text in file.texts.values()]
    notes = list(dict.fromkeys(f"preset {name}: {caution}" for name, caution in cautions if caution))
    with ExitStack() as held:
        for out in made.outs:
            held.enter_context(locked(out))
        done, _ = carry_out(made.plan, progress, workers)
        results = Results(done, notes=notes, projects=list(made.projects(done)))
    return unless_failed(results)
