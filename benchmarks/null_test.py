"""Null test of every shipped preset on a mastered song at full scale: do the files sum to the file?

    python -m benchmarks.null_test [SONG] [--seconds 30] [--preset NAME ...]

SONG is an audio file; without one, the example session's tracks are mixed. It is driven into a soft clipper
until its peaks reach full scale and its mean level -9 dB, and written at 16 bits, as a master is. Everything
else is left at its default. Presets that need models of the user's own run only if they are named, and those
that leave stems out or treat them not at all, since they have no null. Ends with status 1 if a sum is worse
than -120 dB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.memory import AUDIO, TRACKS, make_score, on_their_own
from plugin_bridge import Preset, TrackResult, separate
from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.audio.writer import AudioWriter
from plugin_bridge.jobs.levels import PROMISED_DB
from separators import Audio

LEVEL = 10 ** (-9 / 20)
"""RMS of a loud master."""


def read(path: Path) -> tuple[Audio, int]:
    with AudioFileSource(path) as source:
        return source.read(0, source.frames), source.sample_rate


def example() -> tuple[Audio, int]:
    """Tracks of the example session as one stereo mix."""
    parts = [read(AUDIO / f"{name}.wav") for name in TRACKS]
    frames = min(audio.shape[1] for audio, _ in parts)
    mix = sum(np.broadcast_to(audio[:, :frames], (2, frames)) for audio, _ in parts)
    return np.asarray(mix, np.float32), parts[0][1]


def mastered(audio: Audio) -> Audio:
    """``audio`` clipped softly so that its peak is 1 and its RMS :data:`LEVEL`."""
    audio = audio / np.abs(audio).max()
    low, high = 1e-3, 1e3
    for _ in range(60):
        drive = np.sqrt(low * high)
        louder = np.tanh(drive * audio) / np.tanh(drive)
        low, high = (drive, high) if np.sqrt(np.mean(louder**2)) < LEVEL else (low, drive)
    return louder.astype(np.float32)


def residual_db(track: TrackResult, mixture: Audio) -> float:
    """What the sum of a track's files lacks to ``mixture``, measured on the files."""
    rest = mixture.astype(np.float64)
    for path in track.stems.values():
        rest -= read(path)[0]
    return float(10 * np.log10(max(np.sum(rest**2), 1e-300) / np.sum(np.square(mixture, dtype=np.float64))))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("song", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the song, from its start")
    parser.add_argument(
        "--preset", action="append", choices=Preset.names(), help="only this; may be repeated"
    )
    options = parser.parse_args()
    audio, rate = read(options.song) if options.song else example()
    song = mastered(audio[:, : round(options.seconds * rate)])
    print(describe())
    print("\n| preset | bit depth | common gain | sum of the files, dB | as the manifest says |")
    print("|---|---|---|---|---|")
    worst = -np.inf
    for name in options.preset or sorted(on_their_own(Preset.names())):
        preset = Preset.load(name)
        if preset.stems or preset.remix or preset.output.stems:
            continue
        with tempfile.TemporaryDirectory() as folder:
            parts = np.split(song, len(song)) if preset.together else [song]
            files = []
            for number, part in enumerate(parts, 1):
                files.append(Path(folder, f"{number}.wav"))
                with AudioWriter(files[-1], rate, len(part), bit_depth="16") as writer:
                    writer.write(part)
            parameters = {}
            if name == "midi-stems":
                make_score(f"{folder}/score.mid", 1)
                parameters["score"] = f"{folder}/score.mid"
            tracks = separate(files, preset, Path(folder, "out"), parameters=parameters).tracks
            for file, track in zip(files, tracks, strict=True):
                found = residual_db(track, read(file)[0])
                worst = max(worst, found)
                label = f"{name}, channel {track.track}" if preset.together else name
                cells = (
                    label,
                    track.bit_depth,
                    f"{track.gain:g}",
                    f"{found:.1f}",
                    f"{track.residual_db:.1f}",
                )
                print(f"| {' | '.join(cells)} |", flush=True)
    return int(worst > PROMISED_DB)


if __name__ == "__main__":
    sys.exit(main())
