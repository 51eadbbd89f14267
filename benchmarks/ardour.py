"""Our mix of Ardour's sessions beside Ardour's own exports: ``python -m benchmarks.ardour SESSIONS EXPORTS``.

For each file in EXPORTS the snapshot of its name in SESSIONS is rendered, and what differs is given in dB of
full scale, beside the export's own level. Ends with status 1 if a difference is larger than what is demanded
(-120 dB, -80 dB with fades, -55 dB with automation of gains), and if an export is silent or none is there,
since then nothing was compared.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_bridge.audio.files import AudioFileSource, find_audio_files
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions.ardour.reader import SESSION_RANGE, read_ardour
from plugin_bridge.sessions.model import Session

FARTHEST, FARTHEST_WITH_FADES, FARTHEST_WITH_AUTOMATION = -120.0, -80.0, -55.0
"""dB."""
SILENT = -120.0
"""dB; an export below shows nothing."""
COMPARED_AT_ONCE = 1 << 16
"""Frames."""


@dataclass
class Difference:
    """What a comparison found; levels are rms in dB of full scale, minus infinity for nothing at all."""

    level: float
    peak: float
    """Of what differs, linear."""
    export: float
    """The export's own level."""
    farthest: float
    """The largest level that such a session may show."""

    @property
    def verdict(self) -> str:
        """What is wrong, or how good it is."""
        if self.export <= SILENT:
            return "silent export, nothing compared"
        if self.level > self.farthest:
            return f"over {self.farthest:.0f} dB"
        return "equal to the bit" if self.peak == 0 else f"within {self.farthest:.0f} dB"

    @property
    def is_right(self) -> bool:
        """Whether the export sounds, and ours is near enough."""
        return self.export > SILENT and self.level <= self.farthest


def difference(session: Path, export: Path) -> Difference:
    """Compare our mix of ``session`` with the file ``export``, block by block."""
    read = read_ardour(session)
    span = next(marker for marker in read.markers if marker.name == SESSION_RANGE)
    start = round(span.seconds * read.sample_rate)
    errors = squares = peak = 0.0
    with AudioFileSource(export) as theirs, MixSource(read) as ours:
        for done in range(0, theirs.frames, COMPARED_AT_ONCE):
            reference = theirs.read(done, min(COMPARED_AT_ONCE, theirs.frames - done)).astype(np.float64)
            mix = np.zeros_like(reference)
            at = start + done
            if (count := min(ours.frames - at, reference.shape[1])) > 0:
                mix[:, :count] = ours.read(at, count)[: len(mix)]
            error = mix - reference
            errors += float(np.sum(error**2))
            squares += float(np.sum(reference**2))
            peak = max(peak, float(np.abs(error).max()))
        values = max(1, theirs.frames * theirs.channels)
    return Difference(_decibels(errors / values), peak, _decibels(squares / values), demanded(read))


def demanded(session: Session) -> float:
    """How large a difference may be, by what Ardour does in its own way in ``session``."""
    envelopes = [*session.master_envelopes, *(one for vca in session.vcas for one in vca.envelopes)]
    has_fades = False
    for track in session.walk():
        envelopes += [*track.envelopes, *(one for send in track.sends for one in send.envelopes)]
        for clip in track.clips:
            envelopes += clip.envelopes
            has_fades = has_fades or clip.fade_in.seconds > 0 or clip.fade_out.seconds > 0
    if envelopes:
        return FARTHEST_WITH_AUTOMATION
    return FARTHEST_WITH_FADES if has_fades else FARTHEST


def _decibels(power: float) -> float:
    return float(10 * np.log10(power)) if power else -np.inf


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ardour",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sessions", type=Path)
    parser.add_argument("exports", type=Path)
    options = parser.parse_args()
    exports = find_audio_files(options.exports, recursive=False)
    if not exports:
        print(f"{options.exports}: no exports, nothing compared", file=sys.stderr)
        return 1
    print("| session | export dB | difference dB | peak | |\n|---|---|---|---|---|")
    found = []
    for export in exports:
        one = difference(options.sessions / f"{export.stem}.ardour", export)
        print(f"| {export.stem} | {one.export:.1f} | {one.level:.1f} | {one.peak:.1e} | {one.verdict} |")
        found.append(one)
    return int(not all(one.is_right for one in found))


if __name__ == "__main__":
    sys.exit(main())
