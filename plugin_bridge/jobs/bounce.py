"""One track of a session, or its mix, into a file as it is, or through a chain of plug-ins."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from plugin_bridge.jobs.contract import Result, StemFile, Survey, TrackResult
from plugin_bridge.jobs.inputs import Opened
from plugin_bridge.jobs.job import Part, PresetText, Settings, refuse_if_strict
from plugin_bridge.jobs.levels import fit
from plugin_bridge.jobs.progress import Report
from plugin_bridge.jobs.sidechains import heard_tracks
from plugin_bridge.jobs.stem_files import FileFormat, StemFiles, chain_errors
from plugin_bridge.jobs.workspace import workspace
from plugin_bridge.naming import Template
from plugin_bridge.plugins.streamed_chain import StreamedChain
from plugin_bridge.rendering.processing import BrokenPluginError
from separators.remarks import heard_by

TEMPLATE = "{track}"
READ_AT_ONCE = 1 << 15
"""Frames. Longer arrays go back to the system and come anew with each block, which costs more than mixing."""


@dataclass(frozen=True)
class BounceJob:
    """Renders one input; always done anew, since that costs no more than finding out."""

    label: str
    part: Part
    settings: Settings
    preset: PresetText | None = None
    """With a chain that it goes through."""

    def inputs(self) -> list[Path]:
        """The session."""
        return [self.part.input.path]

    def outputs(self) -> list[Path]:
        """The one file."""
        part = self.part
        path = Template(self.settings.template).path(track=part.track, index=part.index, parent=part.parent)
        return [part.folder / path.with_name(f"{path.name}.{self.settings.format}")]

    def survey(self) -> Survey:
        """The one file; how long it will be is seen when it is made."""
        return Survey(self.outputs())

    def _chain(self, track: Opened, opened: ExitStack) -> StreamedChain | None:
        if self.preset is None:
            return None
        preset = self.preset.preset
        tracks = heard_tracks(preset, self.part.input, track, opened)
        with chain_errors("the chain"):
            return StreamedChain(
                preset.make_chain("chain", self.settings.plugin_paths),
                track.source.sample_rate,
                track.source.channels,
                whole_signals=True,
                offered={"tracks": tracks},
            )

    def run(self, report: Report) -> Result:
        """Render, block by block; where that is wanted, anew without a plug-in that breaks."""
        try:
            return self._run(report)
        except BrokenPluginError as error:
            part = replace(self.part, input=self.part.input.without(error))
            return replace(self, part=part).run(report)

    def _run(self, report: Report) -> Result:
        started = time.monotonic()
        warnings: list[str] = []
        with ExitStack() as opened:
            opened.enter_context(heard_by(warnings.append))
            track = opened.enter_context(self.part.input.open())
            refuse_if_strict(self.settings, track.not_honoured)
            source = track.source
            form = FileFormat(
                format=self.settings.format,
                bit_depth=self.settings.depth_for([track.bit_depth]),
                sample_rate=source.sample_rate,
                time_reference=track.time_reference,
                tags=track.tags,
                channel_mask=track.channel_mask,
            )
            form.check(source.channels, 1)
            work = opened.enter_context(workspace(self.part.folder))
            chain = self._chain(track, opened)
            tail = self.preset.preset.tail_seconds if self.preset else 0
            files = StemFiles(opened, work, form, source.channels, {self.part.track: chain}, tail=tail)
            for start in range(0, source.frames, READ_AT_ONCE):
                report("rendering", start / source.frames)
                files.write([source.read(start, min(READ_AT_ONCE, source.frames - start))])
            fitted = fit(form.format, form.bit_depth, asked=self.settings.asks_for_depth, peak=files.end())
            warnings += [fitted.warning] if fitted.warning else []
            refuse_if_strict(self.settings, warnings)
            (made,) = files.make(fitted.bit_depth, fitted.gain)
            (final,) = self.outputs()
            final.parent.mkdir(parents=True, exist_ok=True)
            made.path.replace(final)
        return Result(
            self.label,
            "done",
            outputs=[final],
            seconds=round(time.monotonic() - started, 3),
            not_honoured=list(track.not_honoured),
            warnings=warnings,
            notes=[*track.notes, *([fitted.note] if fitted.note else [])],
            tracks=[
                TrackResult(
                    self.part.track,
                    self.part.index,
                    (StemFile((), final),),
                    start_seconds=track.start_seconds,
                    bit_depth=fitted.bit_depth,
                    gain=fitted.gain,
                )
            ],
        )
