"""Does one :class:`~plugin_bridge.jobs.job.SeparateJob`: source, chains, separator, files, manifest.

Memory does not grow with the length: audio is read, separated and written block by block. Everything
is made in a temporary folder and moved into place when it is complete, the manifest last.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np

from plugin_bridge.audio.writer import has_full_scale
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.inputs import Opened
from plugin_bridge.jobs.job import SeparateJob, refuse_if_strict
from plugin_bridge.jobs.manifest import (
    Manifest,
    Output,
    SamplesHash,
    file_hash,
    samples_hash,
    separator_key,
    text_hash,
)
from plugin_bridge.jobs.progress import Report
from plugin_bridge.jobs.stem_files import MadeFile, StemFiles, chain_errors
from plugin_bridge.jobs.together import Together
from plugin_bridge.jobs.workspace import Spool, workspace
from plugin_bridge.naming import printable
from plugin_bridge.plugins.streamed_chain import StreamedChain
from plugin_bridge.report.pictures import FACTORS, SPECTROGRAMS, SpectrogramPicture, save_factors
from plugin_bridge.version import program_version
from separators.base import Audio, Transform
from separators.nmf.factors import Factorized, Factors
from separators.remarks import heard_by
from separators.streaming import AudioSource, separate_blocks

READ_AT_ONCE = 1 << 18
"""Frames."""
READ, SEPARATED = 0.1, 0.9
"""The fractions of a job that are done when its input is read and when its stems are separated."""
SMALLEST_RESIDUAL = 1e-30
"""-300 dB stand for a sum without any error, since JSON has no infinity."""


def separate(job: SeparateJob, report: Report) -> Result:
    """Do ``job``; raises what is wrong with its input, preset or disk, and then leaves nothing behind."""
    with ExitStack() as opened:
        return _Separation(job, report, opened).run()


class _Separation:
    """One run of a job."""

    def __init__(self, job: SeparateJob, report: Report, opened: ExitStack) -> None:
        self._started = time.monotonic()
        self._job = job
        self._report = report
        self._opened = opened
        self._preset = job.preset.preset
        self._tracks: list[Opened] = [opened.enter_context(part.input.open()) for part in job.parts]
        self._separator = job.separator(self._tracks[0])
        self._stems = [job.stems(self._separator, track) for track in self._tracks]
        self._written = [job.written_stems(self._separator, track) for track in self._tracks]
        self._forms = [job.form(self._tracks, track) for track in self._tracks]
        self._manifests = [job.manifest(part, self._separator) for part in job.parts]
        self._not_honoured = list(
            dict.fromkeys(line for track in self._tracks for line in track.not_honoured)
        )
        self._warnings: list[str] = []
        self._residual = _Residual()
        self._spectrograms: list[SpectrogramPicture] = []
        self._factors: Factors | None = None

    def run(self) -> Result:
        """Skip, or do everything."""
        refuse_if_strict(self._job.settings, self._not_honoured)
        for form, track, names in zip(self._forms, self._tracks, self._written, strict=True):
            form.check(track.source.channels, len(names))
        self._report("reading", 0.0)
        hashes: list[str] | None = None
        if not self._job.settings.force:
            earlier = [Manifest.read(path) for path in self._manifests]
            if all(
                manifest is not None
                and manifest.files_are_there(path)
                and (manifest.pictures_are_there(path) or not self._job.settings.plots)
                for manifest, path in zip(earlier, self._manifests, strict=True)
            ):
                hashes = [samples_hash(track.source) for track in self._tracks]
                found = [manifest for manifest in earlier if manifest is not None]
                if [manifest.key for manifest in found] == self._keys(hashes):
                    return self._result("skipped", found)
        # Entered before the files in it are opened, so that they are closed when it is removed.
        work = self._opened.enter_context(workspace(self._job.parts[0].folder))
        return self._result("done", self._make(work, hashes))

    def _make(self, work: Path, hashes: list[str] | None) -> list[Manifest]:
        prepared = [self._prepare(work, index) for index in range(len(self._tracks))]
        sources = [source for source, _ in prepared]
        if hashes is None:
            hashes = [digest or samples_hash(source) for source, digest in prepared]
        files = [self._files(work, index) for index in range(len(self._tracks))]
        if self._job.settings.plots:
            self._spectrograms = [
                SpectrogramPicture(stems, source.sample_rate, source.frames)
                for stems, source in zip(self._stems, sources, strict=True)
            ]
        with heard_by(self._warnings.append):
            for blocks in self._blocks(sources):
                for track_files, stems in zip(files, blocks, strict=True):
                    track_files.write(stems)
        refuse_if_strict(self._job.settings, self._warnings)
        peak = max(track_files.end() for track_files in files)
        clips = any(has_full_scale(form.format, form.bit_depth) for form in self._forms)
        gain = 1 / peak if clips and peak > 1 else 1.0
        made = []
        for index, track_files in enumerate(files):
            made.append(list(track_files.make(gain)))
            self._report("writing", SEPARATED + (1 - SEPARATED) * (index + 1) / len(files))
        return self._put_in_place(work, made, hashes, gain)

    def _prepare(self, work: Path, index: int) -> tuple[AudioSource, str | None]:
        """The track as the separator gets it, and the hash of what came in if it was all read for that.

        Rendered tracks and the result of a chain wait in a file, since the separator reads twice.
        """
        track = self._tracks[index]
        source = track.source
        if not (track.rendered or self._preset.before):
            return source, None
        chain = self._chain("before", source)
        spool = self._opened.enter_context(
            Spool(work / f"input-{index}.raw", source.sample_rate, source.channels)
        )
        digest = SamplesHash(source.sample_rate, source.channels)
        for start in range(0, source.frames, READ_AT_ONCE):
            block = source.read(start, min(READ_AT_ONCE, source.frames - start))
            if not np.isfinite(block).all():
                raise JobError(
                    f"the audio holds NaN or infinity within {READ_AT_ONCE} frames after frame {start}; "
                    "replace such samples before separating"
                )
            digest.update(block)
            with chain_errors("the chain before the separator"):
                ready = chain.process(block) if chain else block
            spool.write(ready)
            self._report("reading", READ * (index + start / source.frames) / len(self._tracks))
        if chain:
            with chain_errors("the chain before the separator"):
                rest = chain.flush()
            spool.write(rest)
        return spool, digest.hexdigest()

    def _chain(self, key: str, source: AudioSource) -> StreamedChain | None:
        plugins = self._preset.make_chain(key, self._job.settings.plugin_paths)
        if not plugins:
            return None
        with chain_errors(f"the chain {key}"):
            return StreamedChain(plugins, source.sample_rate, source.channels)

    def _files(self, work: Path, index: int) -> StemFiles:
        folder = work / str(index)
        folder.mkdir()
        source = self._tracks[index].source
        return StemFiles(
            self._opened,
            folder,
            self._forms[index],
            source.channels,
            {name: self._chain(f"stems.{name}", source) for name in self._written[index]},
            self._preset.remix,
            self._chain("after", source),
        )

    def _blocks(self, sources: Sequence[AudioSource]) -> Iterator[list[list[Audio]]]:
        """For each track the next block of each stem that is written."""

        def progress(done: int, frames: int) -> None:
            self._report("separating", READ + (SEPARATED - READ) * done / frames)

        if self._job.together:
            starts = [track.time_reference or 0 for track in self._tracks]
            together = Together(list(zip(sources, starts, strict=True)))
            for parts in together.separate(self._separator, progress, self._residual.add):
                yield [self._select(index, stems) for index, stems in enumerate(parts)]
            return
        source, position = sources[0], 0
        for stems in separate_blocks(self._separator, source, progress, self._fitted):
            self._residual.add(source.read(position, stems.shape[2]), stems)
            yield [self._select(0, list(stems))]
            position += stems.shape[2]

    def _fitted(self, transform: Transform) -> None:
        if isinstance(transform, Factorized):
            self._factors = transform.factors

    def _select(self, index: int, stems: Sequence[Audio]) -> list[Audio]:
        if self._spectrograms:
            self._spectrograms[index].add(stems)
        named = dict(zip(self._stems[index], stems, strict=True))
        return [named[name] for name in self._written[index]]

    def _put_in_place(
        self, work: Path, made: list[list[MadeFile]], hashes: list[str], gain: float
    ) -> list[Manifest]:
        """Move the files and then the manifests; all bytes are on the disk by then, so only names change."""
        moves: list[tuple[Path, Path]] = []
        manifests = []
        for index, key in enumerate(self._keys(hashes)):
            outputs = []
            for file in made[index]:
                final = self._job.path(self._job.parts[index], self._separator, file.name)
                moves.append((file.path, final))
                outputs.append(
                    Output(
                        _relative(final, self._manifests[index]),
                        list(file.stems),
                        file.path.stat().st_size,
                        file_hash(file.path),
                        file.peak,
                    )
                )
            drawn = dict(self._draw(work, index))
            moves += drawn.items()
            manifests.append(self._manifest(index, key, outputs, gain, list(drawn.values())))
            manifests[-1].write(work / f"{index}.json")
        for part, path in zip(self._job.parts, self._manifests, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            # From here on old manifests would lie, and so would old pictures.
            if old := Manifest.read(path):
                for name in (SPECTROGRAMS, FACTORS):
                    picture = self._job.picture(part, self._separator, name)
                    if _relative(picture, path) in old.pictures:
                        picture.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        for temporary, final in moves:
            final.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(final)
        for index, path in enumerate(self._manifests):
            (work / f"{index}.json").replace(path)
        return manifests

    def _draw(self, work: Path, index: int) -> Iterator[tuple[Path, Path]]:
        """Draw the pictures of a track in the temporary folder; with each comes where it goes."""
        part = self._job.parts[index]
        title = f"{part.track}, preset {self._job.preset.name}"
        for name in self._job.pictures(self._separator):
            path = work / str(index) / f"{name}.png"
            if name == SPECTROGRAMS:
                self._spectrograms[index].save(path, title)
            elif name == FACTORS and self._factors is not None:  # of silence nothing is learned
                save_factors(self._factors, path, title)
            else:
                continue
            yield path, self._job.picture(part, self._separator, name)

    def _manifest(
        self, index: int, key: dict[str, Any], outputs: list[Output], gain: float, pictures: list[Path]
    ) -> Manifest:
        track = self._tracks[index]
        return Manifest(
            key=key,
            track=self._job.parts[index].track,
            input={
                "path": printable(str(track.path)),
                "sample_rate": track.source.sample_rate,
                "channels": track.source.channels,
                "frames": track.source.frames,
                "time_reference": track.time_reference,
            },
            outputs=outputs,
            gain=gain,
            residual_db=self._residual.decibels,
            seconds=round(time.monotonic() - self._started, 3),
            not_honoured=self._not_honoured,
            warnings=self._warnings,
            pictures=[_relative(path, self._manifests[index]) for path in pictures],
        )

    def _keys(self, hashes: list[str]) -> list[dict[str, Any]]:
        """For each track everything that decides what its files hold."""
        keys = []
        for index, part in enumerate(self._job.parts):
            track, form, manifest = self._tracks[index], self._forms[index], self._manifests[index]
            names = self._job.files_of(self._written[index])
            key = {
                "program": program_version(),
                "preset": {"name": self._job.preset.name, "hash": text_hash(self._preset.dump())},
                "separator": separator_key(self._separator),
                "input": {
                    "samples": hashes[index],
                    "together": hashes if self._job.together else [],
                    "time_reference": track.time_reference,
                    "tags": dict(track.tags),
                },
                "output": {
                    "format": form.format,
                    "bit_depth": form.bit_depth,
                    "stems": self._written[index],
                    "files": [
                        _relative(self._job.path(part, self._separator, name), manifest) for name in names
                    ],
                },
            }
            keys.append(json.loads(json.dumps(key)))  # as it will come back from disk
        return keys

    def _result(self, status: Literal["done", "skipped"], manifests: Sequence[Manifest]) -> Result:
        tracks, paths = [], []
        for part, path, manifest in zip(self._job.parts, self._manifests, manifests, strict=True):
            files = []
            for output in manifest.outputs:
                paths.append(os.path.normpath(path.parent / output.path))
                files.append({"stems": output.stems, "path": paths[-1]})
            pictures = [os.path.normpath(path.parent / picture) for picture in manifest.pictures]
            tracks.append(
                {
                    "track": part.track,
                    "index": part.index,
                    "manifest": str(path),
                    "files": files,
                    "pictures": pictures,
                    "gain": manifest.gain,
                    "residual_db": manifest.residual_db,
                }
            )
        return Result(
            self._job.label,
            status,
            outputs=paths,
            seconds=round(time.monotonic() - self._started, 3),
            not_honoured=self._not_honoured,
            warnings=list(manifests[0].warnings),
            tracks=tracks,
        )


class _Residual:
    """How far the stems' sum is from the mixture."""

    def __init__(self) -> None:
        self._mixture = 0.0
        self._error = 0.0

    def add(self, mixture: Audio, stems: Audio) -> None:
        """Take in a block ``(channels, frames)`` and its stems ``(stems, channels, frames)``."""
        error = mixture - stems.sum(axis=0, dtype=np.float64)
        self._mixture += float(np.sum(np.square(mixture, dtype=np.float64)))
        self._error += float(np.sum(np.square(error)))

    @property
    def decibels(self) -> float | None:
        """Relative to the mixture; None if that is silent."""
        if self._mixture == 0:
            return None
        return round(10 * math.log10(max(self._error / self._mixture, SMALLEST_RESIDUAL)), 2)


def _relative(path: Path, manifest: Path) -> str:
    return Path(os.path.relpath(path, manifest.parent)).as_posix()
