"""Makes the files of a job in its temporary folder: source, chains, separator, files, manifests.

Memory does not grow with the length: audio is read, separated and written block by block.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plugin_bridge.errors import JobError
from plugin_bridge.jobs.flushing import Flusher
from plugin_bridge.jobs.job import refuse_if_strict
from plugin_bridge.jobs.levels import Fit, Rounding, fit
from plugin_bridge.jobs.manifest import Manifest, Origin, Output, SamplesHash, file_hash
from plugin_bridge.jobs.placing import MadeSet
from plugin_bridge.jobs.residual import residual_db
from plugin_bridge.jobs.run import READ, JobTrack, Run
from plugin_bridge.jobs.stem_files import MadeFile, StemFiles, chain_errors
from plugin_bridge.jobs.together import Together
from plugin_bridge.jobs.workspace import Spool
from plugin_bridge.naming import printable
from plugin_bridge.plugins.sidechains import STEM
from plugin_bridge.plugins.streamed_chain import StreamedChain
from plugin_bridge.report.pictures import FACTORS, SPECTROGRAMS, SpectrogramPicture, save_factors
from separators.base import Audio, Transform
from separators.remarks import heard_by
from separators.streaming import AudioSource, separate_blocks

if TYPE_CHECKING:
    import pedalboard

READ_AT_ONCE = 1 << 18
"""Frames."""
SEPARATED = 0.9
"""The fraction of a job that is done when its stems are separated."""


def make(run: Run, work: Path) -> list[MadeSet]:
    """Make all files in the folder ``work``; all bytes are on the disk when it returns."""
    settings = run.job.settings
    for number, track in enumerate(run.tracks):
        _prepare(run, number, track, work)
    files = [_files(run, track, work / str(number)) for number, track in enumerate(run.tracks)]
    with heard_by(run.warnings.append):
        for blocks in _blocks(run):
            for track, stem_files, stems in zip(run.tracks, files, blocks, strict=True):
                stem_files.write(track.take(stems))
    fitted = _fit(run, max(stem_files.end() for stem_files in files))
    if fitted.warning:
        run.warnings.append(fitted.warning)
    refuse_if_strict(settings, run.warnings)
    sets = []
    flusher = run.opened.enter_context(Flusher(run.job.parts[0].folder))
    for number, (track, stem_files) in enumerate(zip(run.tracks, files, strict=True)):
        made = []
        for file in stem_files.make(fitted.bit_depth, fitted.gain):
            flusher.add(file.path)
            made.append(file)
        pictures = list(_draw(run, track, work / str(number)))
        for picture, _ in pictures:
            flusher.add(picture)
        sets.append(_set(run, track, made, pictures, fitted))
        run.report("writing", SEPARATED + (1 - SEPARATED) * (number + 1) / len(run.tracks))
    flusher.wait()
    return sets


def _prepare(run: Run, number: int, track: JobTrack, work: Path) -> None:
    """Make the track's audio what the separator is to hear, and hash it as it came.

    Rendered tracks and the result of a chain wait in a file, since the separator reads twice.
    """
    source = track.opened.source
    key = run.job.preset.preset.first_chain
    chain = _chains(run, [key], track, source, work)[key]
    if not (track.opened.rendered or chain):
        track.samples = track.samples or run.hash(number, source)
        return
    said = "the chain" if key == "chain" else "the chain before the separator"
    spool: Spool | None = None

    def write(ready: Audio) -> None:
        nonlocal spool
        if spool is None:  # a separator inside the chain may change the channels
            path = work / f"input-{number}.raw"
            spool = run.opened.enter_context(Spool(path, source.sample_rate, len(ready)))
        spool.write(ready)

    digest = SamplesHash(source.sample_rate, source.channels)
    for start in range(0, source.frames, READ_AT_ONCE):
        block = source.read(start, min(READ_AT_ONCE, source.frames - start))
        if not np.isfinite(block).all():
            raise JobError(
                f"the audio holds NaN or infinity within {READ_AT_ONCE} frames after frame {start}; "
                "replace such samples first"
            )
        digest.update(block)
        with chain_errors(said):
            ready = chain.process(block) if chain else block
        if ready.shape[1]:
            write(ready)
        run.read(number, start / source.frames)
    if chain:
        with chain_errors(said):
            rest = chain.flush(run.job.preset.preset.tail_seconds)
        if rest.shape[1] or spool is None:
            write(rest)
    if spool is None:
        write(np.zeros((source.channels, 0), np.float32))
    assert spool is not None
    if spool.channels != source.channels:
        track.form = replace(track.form, channel_mask=0)
    track.form.check(spool.channels, len(track.written))
    track.source, track.samples = spool, digest.hexdigest()


def _chains(
    run: Run, keys: Sequence[str], track: JobTrack, source: AudioSource, work: Path
) -> dict[str, StreamedChain | None]:
    """The chains of a preset, which are loaded side by side; None for one without plug-ins."""
    made = run.job.preset.preset.make_chains(keys, run.job.settings.plugin_paths)
    return {
        key: _chain(run, key, plugins, track, source, work) if plugins else None
        for key, plugins in made.items()
    }


def _chain(
    run: Run,
    key: str,
    plugins: Sequence[pedalboard.Plugin],
    track: JobTrack,
    source: AudioSource,
    work: Path,
) -> StreamedChain:
    preset = run.job.preset.preset
    for kind, name in preset.listens_to(key):
        if kind == STEM and name not in track.heard_stems:
            path = work / f"stem-{len(track.heard_stems)}.raw"
            spool = Spool(path, source.sample_rate, source.channels)
            track.heard_stems[name] = run.opened.enter_context(spool)
    with chain_errors(f"the chain {key}"):
        return StreamedChain(
            plugins,
            source.sample_rate,
            source.channels,
            whole_signals=True,
            offered={"stems": track.heard_stems, "tracks": track.heard_tracks},
        )


def _files(run: Run, track: JobTrack, folder: Path) -> StemFiles:
    folder.mkdir()
    source = track.source
    if run.job.settings.plots:
        track.spectrograms = SpectrogramPicture(track.stems, source.sample_rate, source.frames)
    if not run.job.settings.asks_for_depth:
        track.rounding = Rounding(track.form.bit_depth)
    keys = {name: f"stems.{name}" for name in track.written}
    chains = _chains(run, [*keys.values(), "after"], track, source, folder)
    return StemFiles(
        run.opened,
        folder,
        track.form,
        source.channels,
        {name: chains[key] for name, key in keys.items()},
        run.job.preset.preset.remix,
        chains["after"],
        run.job.preset.preset.tail_seconds,
    )


def _blocks(run: Run) -> Iterator[list[Sequence[Audio]]]:
    """For each track the next block of each of its stems."""

    def progress(done: int, frames: int) -> None:
        stage = "writing" if run.job.preset.preset.is_chain else "separating"
        run.report(stage, READ + (SEPARATED - READ) * done / frames)

    def fitted(transform: Transform) -> None:
        run.report("separating", READ)
        if run.job.settings.plots:
            from separators.nmf.factors import Factorized

            run.factors = transform.factors if isinstance(transform, Factorized) else None

    if not run.job.preset.preset.is_chain:
        run.report("learning", READ)
    if run.job.together:
        together = Together([(track.source, track.opened.time_reference or 0) for track in run.tracks])
        for parts in together.separate(run.separator, progress, fitted):
            yield list(parts)
        return
    (track,) = run.tracks
    if run.job.preset.preset.is_chain:  # what the chain made is the result, sample by sample
        for start in range(0, track.source.frames, READ_AT_ONCE):
            progress(start, track.source.frames)
            yield [[track.source.read(start, min(READ_AT_ONCE, track.source.frames - start))]]
        return
    for stems in separate_blocks(run.separator, track.source, progress, fitted):
        yield [list(stems)]


def _fit(run: Run, peak: float) -> Fit:
    """How all tracks' stems are written: alike, since their levels belong together."""
    form = run.tracks[0].form
    return fit(
        form.format,
        form.bit_depth,
        asked=run.job.settings.asks_for_depth,
        peak=peak,
        rounding_db=max(track.rounding.decibels if track.rounding else -math.inf for track in run.tracks),
    )


def _draw(run: Run, track: JobTrack, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Draw the pictures of a track in ``folder``; with each comes where it goes."""
    title = f"{track.part.track}, preset {run.job.preset.name}"
    for name in run.job.pictures(run.separator):
        path = folder / f"{name}.png"
        if name == SPECTROGRAMS and track.spectrograms is not None:
            track.spectrograms.save(path, title)
        elif name == FACTORS and run.factors is not None:  # of silence nothing is learned
            save_factors(run.factors, path, title)
        else:
            continue
        yield path, run.job.picture(track.part, run.separator, name)


def _set(
    run: Run, track: JobTrack, files: Sequence[MadeFile], pictures: Sequence[tuple[Path, Path]], fitted: Fit
) -> MadeSet:
    """The finished files of a track with their manifest."""
    finals = [run.job.path(track.part, run.separator, file.name) for file in files]
    source = track.source
    heard = track.heard.spans()
    silent = [name for name in track.stems if not heard[name]]
    notes = [
        *track.form.particulars(track.written),
        *track.opened.notes,
        *run.separator.particulars(),
        *([fitted.note] if fitted.note else []),
    ]
    if 0 < len(silent) < len(track.stems):
        notes.append(f"nothing is heard on {', '.join(silent)}")
    manifest = Manifest(
        key=run.key(track),
        track=track.part.track,
        input=Origin(
            path=printable(str(track.opened.path)),
            sample_rate=source.sample_rate,
            channels=source.channels,
            frames=source.frames,
            time_reference=track.opened.time_reference,
            track=track.opened.track,
            signature=track.opened.signature,
        ),
        outputs=[
            Output(
                path=track.relative(final),
                stems=list(file.stems),
                bytes=file.path.stat().st_size,
                sha256=file_hash(file.path),
                peak=file.peak,
            )
            for file, final in zip(files, finals, strict=True)
        ],
        gain=fitted.gain,
        bit_depth=fitted.bit_depth,
        residual_db=residual_db([file.path for file in files], source),
        seconds=round(time.monotonic() - run.started, 3),
        not_honoured=run.not_honoured,
        warnings=run.warnings,
        notes=notes,
        heard=heard,
        pictures=[track.relative(final) for _, final in pictures],
    )
    moves = [*zip((file.path for file in files), finals, strict=True), *pictures]
    return MadeSet(track.part.folder, track.manifest, manifest, moves)
