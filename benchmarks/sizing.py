"""What a minute of stereo takes with each preset: what `batch --dry-run` estimates from.

    python -m benchmarks.sizing [PRESET ...]

Each preset separates a minute of noise and clicks at 44.1 kHz in a process of its own, on one thread. The
seconds are the processor's, so that a busy machine changes them little. Writes
plugin_bridge/batches/sizing.toml, and prints all that it holds, as docs/operations.md shows it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import mido
import numpy as np

from plugin_bridge.audio.files import AudioWriter

RATE = 44100
SIZING = Path(__file__).parents[1] / "plugin_bridge" / "batches" / "sizing.toml"
ENVIRONMENT = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}}
HEAD = "# Written by `python -m benchmarks.sizing`: for a minute of stereo at 44.1 kHz, on one thread.\n"
ONE = """
import json, resource, sys, time
import plugin_bridge
before = time.process_time()
results = plugin_bridge.separate(sys.argv[1], sys.argv[2], sys.argv[3])
size = sum(path.stat().st_size for path in results.jobs[0].outputs)
seconds = time.process_time() - before
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(json.dumps({"seconds": round(seconds, 1), "memory_mb": round(memory), "disk_mb": round(size / 1e6, 1)}))
"""


def measure(preset: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-c", ONE, folder / "minute.wav", preset, folder / preset]
    said = subprocess.run(
        list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return json.loads(said.stdout.splitlines()[-1])


def write_minute(path: Path) -> None:
    generator = np.random.default_rng(0)
    frames = 60 * RATE
    audio = 0.05 * generator.laplace(size=(2, frames))
    audio[:, :: RATE // 4] += 0.5
    with AudioWriter(path, RATE, 2, bit_depth="24") as writer:
        writer.write(audio.astype(np.float32))


def write_notes(path: Path) -> None:
    """Two tracks of four notes a second, for presets that follow a score."""
    file = mido.MidiFile(ticks_per_beat=480)  # half a second, as no tempo is said
    for name, pitch in (("Bass", 36), ("Lead", 60)):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        for number in range(4 * 60):
            note = pitch + number % 12
            track.append(mido.Message("note_on", note=note, velocity=90))
            track.append(mido.Message("note_off", note=note, time=240))
        file.tracks.append(track)
    file.save(path)


def table(known: dict[str, dict[str, float]]) -> str:
    rows = [
        f"| `{preset}` | {row['seconds']} | {row['memory_mb']} MB | {row['disk_mb']} MB |"
        for preset, row in known.items()
    ]
    return "\n".join(["| preset | seconds | memory | results |", "|---|---|---|---|", *rows])


def main() -> None:
    known = tomllib.loads(SIZING.read_text())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_minute(folder / "minute.wav")
        write_notes(folder / "minute.mid")
        for preset in sys.argv[1:]:
            known[preset] = measure(preset, folder)
            known = dict(sorted(known.items()))
            rows = ["\n".join(f"{key} = {value}" for key, value in row.items()) for row in known.values()]
            parts = [f"[{preset}]\n{row}\n" for preset, row in zip(known, rows, strict=True)]
            SIZING.write_text("\n".join([HEAD, *parts]))
    print(table(known))


if __name__ == "__main__":
    main()
