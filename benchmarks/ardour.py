"""Our mix of Ardour's sessions beside Ardour's own exports: ``python -m benchmarks.ardour SESSIONS EXPORTS``.

For each file in EXPORTS the snapshot of its name in SESSIONS is rendered, and what differs is given in dB.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from plugin_bridge.audio.files import AudioFileSource, find_audio_files
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions.ardour.reader import SESSION_RANGE, read_ardour


def difference(session: Path, export: Path) -> tuple[float, float]:
    """The rms of what differs, in dB, and its peak."""
    read = read_ardour(session)
    span = next(marker for marker in read.markers if marker.name == SESSION_RANGE)
    with AudioFileSource(export) as theirs, MixSource(read) as ours:
        reference = theirs.read(0, theirs.frames)
        mix = np.zeros_like(reference)
        start = round(span.seconds * read.sample_rate)
        audio = ours.read(start, max(0, min(ours.frames - start, reference.shape[1])))
        mix[:, : audio.shape[1]] = audio[: len(mix)]
    error = mix.astype(np.float64) - reference
    return float(10 * np.log10(np.mean(error**2) + 1e-30)), float(np.abs(error).max())


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ardour", description=__doc__)
    parser.add_argument("sessions", type=Path)
    parser.add_argument("exports", type=Path)
    options = parser.parse_args()
    print(f"{'session':32} {'rms':>9} {'peak':>9}")
    for export in find_audio_files(options.exports, recursive=False):
        level, peak = difference(options.sessions / f"{export.stem}.ardour", export)
        print(f"{export.stem:32} {level:6.1f} dB {peak:9.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
