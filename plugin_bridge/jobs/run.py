"""A job that is being done: its open inputs, its separator, and what decides how its files come out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin_bridge.jobs.heard import Heard
from plugin_bridge.jobs.inputs import Opened
from plugin_bridge.jobs.job import Part, SeparateJob, refuse_if_strict
from plugin_bridge.jobs.levels import Rounding
from plugin_bridge.jobs.manifest import file_hash, samples_hash, separator_key, text_hash
from plugin_bridge.jobs.progress import Report
from plugin_bridge.jobs.sidechains import heard_tracks
from plugin_bridge.jobs.stem_files import FileFormat
from plugin_bridge.jobs.workspace import Spool
from plugin_bridge.naming import printable
from plugin_bridge.report.pictures import SpectrogramPicture
from plugin_bridge.version import program_version
from separators.base import Audio, Separator
from separators.streaming import AudioSource

if TYPE_CHECKING:
    from separators.nmf.factors import Factors

READ = 0.1
"""The fraction of a job that is done when its input is read."""
READ_STEP = 0.01
"""Between two reports while it is read: each is a message to another process."""


@dataclass
class JobTrack:
    """One track of a job, while that is done."""

    part: Part
    opened: Opened
    stems: tuple[str, ...]
    """All that it has, in the order of the separator's output."""
    written: list[str]
    form: FileFormat
    manifest: Path
    source: AudioSource
    """What the separator hears: the track itself, or the file in which what was made of it waits."""
    heard: Heard
    """When each stem is."""
    samples: str = ""
    """The hash of the track itself, once it is known."""
    rounding: Rounding | None = None
    """What the files' bit depth does to the stems, if a better one may be chosen."""
    spectrograms: SpectrogramPicture | None = None
    heard_stems: dict[str, Spool] = field(default_factory=dict)
    """Those that a chain listens to."""
    heard_tracks: dict[str, AudioSource] = field(default_factory=dict)
    """Other tracks that a chain listens to, from this one's first frame on."""

    def relative(self, path: Path) -> str:
        """``path`` as the manifest names it."""
        return Path(os.path.relpath(path, self.manifest.parent)).as_posix()

    def beside(self, name: str) -> Path:
        """The path that the manifest names ``name``."""
        return Path(os.path.normpath(self.manifest.parent / name))

    def take(self, stems: Sequence[Audio]) -> list[Audio]:
        """Look at the next block of all stems; returns those that are written."""
        if self.rounding is not None:
            self.rounding.add(stems)
        if self.spectrograms is not None:
            self.spectrograms.add(stems)
        self.heard.add(stems)
        named = dict(zip(self.stems, stems, strict=True))
        for name, spool in self.heard_stems.items():
            spool.write(named[name])
        return [named[name] for name in self.written]


@dataclass
class Run:
    """What all steps of a job share."""

    job: SeparateJob
    report: Report
    opened: ExitStack
    separator: Separator
    tracks: list[JobTrack]
    started: float
    warnings: list[str] = field(default_factory=list)
    not_honoured: list[str] = field(default_factory=list)
    factors: Factors | None = None
    furthest: float = 0.0
    """The largest fraction that was reported while the tracks were read; some are read twice."""

    def read(self, number: int, fraction: float) -> None:
        """Report that so much of track ``number`` is read, for the first time."""
        done = READ * (number + fraction) / len(self.tracks)
        if done >= self.furthest + READ_STEP:
            self.furthest = done
            self.report("reading", done)

    def hash(self, number: int, source: AudioSource) -> str:
        """The hash of track ``number``'s samples, which takes reading all of it."""
        return samples_hash(source, lambda done, frames: self.read(number, done / frames))

    def key(self, track: JobTrack) -> dict[str, Any]:
        """Everything that decides what a track's files hold."""
        job = self.job
        key = {
            "program": program_version(),
            "preset": {"name": job.preset.name, "hash": text_hash(job.preset.deciding)},
            "separator": separator_key(self.separator),
            "input": {
                "samples": track.samples,
                "together": [other.samples for other in self.tracks] if job.together else [],
                "time_reference": track.opened.time_reference,
                "tags": dict(track.opened.tags),
                "channel_mask": track.opened.channel_mask,
            },
            "output": {
                "format": track.form.format,
                "bit_depth": track.form.bit_depth,
                "or_better": not job.settings.asks_for_depth,
                "stems": track.written,
                "files": [
                    track.relative(job.path(track.part, self.separator, name))
                    for name in job.files_of(track.written)
                ],
            },
        }
        if chains := self._chains_key(track):
            key["chains"] = chains
        as_it_comes_back: dict[str, Any] = json.loads(printable(json.dumps(key, ensure_ascii=False)))
        return as_it_comes_back

    def _chains_key(self, track: JobTrack) -> dict[str, Any]:
        """What decides how the chains sound besides the preset's text."""
        preset = self.job.preset.preset
        files = [file_hash(path) for entry in preset.entries() for path in entry.files(preset.folder)]
        inner = [
            separator_key(separator)
            for entry in preset.entries()
            for separator in entry.separators(preset.folder)
        ]
        tracks = {name: samples_hash(source) for name, source in track.heard_tracks.items()}
        key = {"files": files, "separators": inner, "tracks": tracks}
        return {name: value for name, value in key.items() if value}


def begin(job: SeparateJob, report: Report, opened: ExitStack) -> Run:
    """Open the inputs and check all that can be checked before any work."""
    started = time.monotonic()
    inputs = [job.suited(opened.enter_context(part.input.open())) for part in job.parts]
    separator = job.separator(inputs[0])
    tracks = [
        JobTrack(
            part=part,
            opened=track,
            stems=job.stems(separator, track),
            written=job.written_stems(separator, track),
            form=job.form(inputs, track),
            manifest=job.manifest(part, separator),
            source=track.source,
            heard=Heard(job.stems(separator, track), track.source.sample_rate),
        )
        for part, track in zip(job.parts, inputs, strict=True)
    ]
    not_honoured = list(dict.fromkeys(line for track in inputs for line in track.not_honoured))
    refuse_if_strict(job.settings, not_honoured)
    for track in tracks:
        own = track.part.input, track.opened
        track.heard_tracks = heard_tracks(job.preset.preset, *own, opened, job.suited)
        track.form.check(track.source.channels, len(track.written))
        track.form.particulars(track.written)
    report("reading", 0.0)
    return Run(job, report, opened, separator, tracks, started, not_honoured=not_honoured)
