"""Does one :class:`~plugin_bridge.jobs.job.SeparateJob`: skips it if it is up to date, else makes its files.

Everything is made in a temporary folder and moved into place when it is complete, the manifest last.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

from plugin_bridge.jobs.contract import Result, StemFile, TrackResult
from plugin_bridge.jobs.folder_lock import placing
from plugin_bridge.jobs.job import SeparateJob, refuse_if_strict
from plugin_bridge.jobs.making import make
from plugin_bridge.jobs.manifest import FORMAT, Manifest
from plugin_bridge.jobs.placing import put_in_place
from plugin_bridge.jobs.progress import Report
from plugin_bridge.jobs.run import Run, begin
from plugin_bridge.jobs.workspace import workspace
from separators.remarks import heard_by


def separate(job: SeparateJob, report: Report) -> Result:
    """Do ``job``; raises what is wrong with its input, preset or disk, and then leaves nothing behind."""
    with ExitStack() as opened:
        run = begin(job, report, opened)
        opened.enter_context(heard_by(run.warnings.append))
        manifests = None if job.settings.force else _up_to_date(run)
        if manifests is not None:
            refuse_if_strict(job.settings, manifests[0].warnings)
            return _result(run, "skipped", manifests, [])
        # Entered before the files in it are opened, so that they are closed when it is removed.
        work = opened.enter_context(workspace(job.parts[0].folder))
        sets = make(run, work)
        with placing(job.parts[0].folder):
            # Another worker may have done the same meanwhile: one that was given up and lives on.
            manifests = None if job.settings.force else _up_to_date(run)
            if manifests is not None:
                return _result(run, "skipped", manifests, [])
            said = put_in_place(work, sets)
        manifests = [made.manifest for made in sets]
        return _result(run, "done", manifests, said)


def _up_to_date(run: Run) -> list[Manifest] | None:
    """The manifests of what is there already, if all of it was made from the same and is complete."""
    found = []
    for track in run.tracks:
        manifest = Manifest.read(track.manifest)
        if (
            manifest is None
            or manifest.format != FORMAT
            or not manifest.files_are_there(track.manifest)
            or (run.job.settings.plots and not manifest.pictures_are_there(track.manifest))
        ):
            return None
        found.append(manifest)
    for number, (track, old) in enumerate(zip(run.tracks, found, strict=True)):
        if track.opened.signature and track.opened.signature == old.input.signature:
            track.samples = old.samples
        track.samples = track.samples or run.hash(number, track.opened.source)
    same = (run.key(track) == old.key for track, old in zip(run.tracks, found, strict=True))
    return found if all(same) else None


def _result(
    run: Run, status: Literal["done", "skipped"], manifests: Sequence[Manifest], said: Sequence[str]
) -> Result:
    tracks = [
        TrackResult(
            track=track.part.track,
            index=track.part.index,
            files=tuple(
                StemFile(tuple(output.stems), track.beside(output.path)) for output in manifest.outputs
            ),
            manifest=track.manifest,
            pictures=tuple(map(track.beside, manifest.pictures)),
            start_seconds=track.opened.start_seconds,
            bit_depth=manifest.bit_depth,
            gain=manifest.gain,
            residual_db=manifest.residual_db,
            heard=manifest.heard,
        )
        for track, manifest in zip(run.tracks, manifests, strict=True)
    ]
    return Result(
        run.job.label,
        status,
        outputs=[file.path for track in tracks for file in track.files],
        seconds=round(time.monotonic() - run.started, 3),
        not_honoured=run.not_honoured,
        warnings=list(manifests[0].warnings),
        notes=list(dict.fromkeys([*(line for manifest in manifests for line in manifest.notes), *said])),
        tracks=tracks,
    )
