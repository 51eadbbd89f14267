"""A session's notes, tempo map and markers as one MIDI file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.jobs.contract import Result, Survey
from plugin_bridge.jobs.inputs import read_session
from plugin_bridge.jobs.progress import Report
from plugin_bridge.naming import printable, safe_name
from plugin_bridge.sessions import Session
from separators.atomic import write_atomically


@dataclass(frozen=True)
class MidiJob:
    """Writes the MIDI file of a session; always done anew."""

    path: Path
    """The session."""
    folder: Path
    media_roots: tuple[Path, ...] = ()
    play_rate: bool = False

    @property
    def label(self) -> str:
        """What it is called in lists."""
        return f"{printable(self.path.stem)} (MIDI)"

    def inputs(self) -> list[Path]:
        """The session."""
        return [self.path]

    def survey(self) -> Survey:
        """The one file."""
        return Survey([self._output()])

    def run(self, report: Report) -> Result:
        """Write it; raises what the session's reader raises."""
        from plugin_bridge.sessions.midi_writer import (
            midi_bytes,  # here, since mido is needed for nothing else
        )

        started = time.monotonic()
        session, output = self._session(), self._output()
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, midi_bytes(session))
        return Result(self.label, "done", outputs=[output], seconds=round(time.monotonic() - started, 3))

    def _output(self) -> Path:
        return self.folder / f"{safe_name(self._session().name)}.mid"

    def _session(self) -> Session:
        return read_session(self.path, self.media_roots, self.play_rate)
