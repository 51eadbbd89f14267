"""Peak memory of the whole command for 5 and for 60 minutes of stereo, for every shipped preset.

Presets that need models of the user's own are measured only if they are named.

    python -m benchmarks.memory [--preset NAME ...] [--minutes 5 60] [--folder FOLDER]

The signal is made on the disk block by block: the example session's tracks, repeated at levels that
drift independently, so that no two minutes are alike. Peak memory is the resident set of the
process, as the system counts it, with everything it has imported. Ends with status 1 if a longer file
takes more than 1.25 times the memory of the shortest, or 1.5 GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

RATE = 44100
BLOCK_SECONDS = 10
LARGEST_RATIO = 1.25
LARGEST_BYTES = 1.5e9
TRACKS = ("Drums", "Bass", "Duo", "Band")
PRESETS = Path(__file__).parent.parent / "presets"
LOCAL_MODELS = ("demucs", "open-unmix", "spleeter", "onnx")
AUDIO = Path(__file__).parent.parent / "examples" / "session" / "audio"
DESCRIBE = "from benchmarks.machine import describe; print(describe())"
MAKE_SIGNAL = (
    "import sys; from benchmarks.memory import make_signal\n"
    "make_signal(sys.argv[1], int(sys.argv[2]), sys.argv[3:])"
)


def make_signal(folder: str, minutes: int, names: list[str]) -> None:
    """Write ``minutes`` of audio into ``folder``: stereo into one file, or each side into one of two."""
    from contextlib import ExitStack

    import numpy as np

    from plugin_bridge.audio.files import AudioFileSource, AudioWriter

    loops = []
    for track in TRACKS:
        with AudioFileSource(AUDIO / f"{track}.wav") as source:
            audio = source.read(0, source.frames)
            loops.append(np.repeat(audio, 2, axis=0) if len(audio) == 1 else audio)
    rng = np.random.default_rng(minutes)
    frames = BLOCK_SECONDS * RATE
    with ExitStack() as opened:
        channels = 2 // len(names)
        writers = [
            opened.enter_context(AudioWriter(Path(folder, name), RATE, channels, bit_depth="16"))
            for name in names
        ]
        gains = rng.uniform(0.1, 0.5, (len(loops), 2, 1))
        for block in range(60 * minutes // BLOCK_SECONDS):
            following = rng.uniform(0.1, 0.5, gains.shape)
            ramp = np.linspace(0, 1, frames)
            total = np.zeros((2, frames))
            for loop, old, new in zip(loops, gains, following, strict=True):
                place = (block * frames + np.arange(frames)) % loop.shape[1]
                total += loop[:, place] * (old + (new - old) * ramp)
            gains = following
            total += 1e-4 * rng.standard_normal(total.shape)
            for writer, part in zip(
                writers, np.split(np.clip(total, -1, 1).astype(np.float32), len(writers)), strict=True
            ):
                writer.write(part)


def make_score(path: str, minutes: int) -> None:
    """Write a score of four tracks and ten notes a second."""
    command = f"""
import mido
file = mido.MidiFile(ticks_per_beat=480)
for number, (channel, lowest, span) in enumerate(((0, 60, 24), (1, 36, 12), (2, 48, 24), (9, 35, 12))):
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"Track {{number + 1}}")])
    for note in range({minutes * 60 * 5 // 2}):
        pitch = lowest + note * 7 % span
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=80))
        track.append(mido.Message("note_off", channel=channel, note=pitch, time=384))
    file.tracks.append(track)
file.save({path!r})
"""
    # In a process of its own, like all else here that imports something.
    subprocess.run([sys.executable, "-c", command], check=True)


def peak_of(command: list[str]) -> tuple[int, float]:
    """Peak resident bytes and seconds of a command, which must succeed."""
    start = time.monotonic()
    # This process itself imports nothing large: a child's peak begins with its parent's at the fork.
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, time.monotonic() - start


def presets() -> dict[str, bool]:
    """Every shipped preset, and whether it takes several files together."""
    import tomllib

    found = {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(PRESETS.glob("*.toml"))
    }
    return {name: bool(values.get("together")) for name, values in found.items()}


def on_their_own(names: Iterable[str]) -> set[str]:
    """Those of the presets that need no model of the user's own."""
    import tomllib

    texts = {name: (PRESETS / f"{name}.toml").read_text(encoding="utf-8") for name in names}
    return {
        name for name, text in texts.items() if tomllib.loads(text)["separator"]["name"] not in LOCAL_MODELS
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--preset", action="append", choices=sorted(presets()), help="only this one; may be repeated"
    )
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 60], help="lengths, the shortest first")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the files go: 12 GB for an hour of four stems"
    )
    options = parser.parse_args()
    wanted = options.preset or on_their_own(presets())
    chosen = {name: together for name, together in presets().items() if name in wanted}
    print(subprocess.check_output([sys.executable, "-c", DESCRIBE], text=True))
    lengths = " | ".join(f"{minutes} min, MB | s" for minutes in options.minutes)
    print(f"| preset | {lengths} | ratio |")
    print("|---" * (2 + 2 * len(options.minutes)) + "|", flush=True)
    within = True
    for name, together in chosen.items():
        names = ["left.wav", "right.wav"] if together else ["signal.wav"]
        cells, peaks = [], []
        for minutes in options.minutes:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                subprocess.run([sys.executable, "-c", MAKE_SIGNAL, folder, str(minutes), *names], check=True)
                command = [
                    sys.executable,
                    "-m",
                    "plugin_bridge",
                    "separate",
                    *(f"{folder}/{file}" for file in names),
                ]
                if name == "midi-stems":
                    make_score(f"{folder}/score.mid", minutes)
                    command += ["--score", f"{folder}/score.mid"]
                peak, seconds = peak_of([*command, "-p", name, "-o", f"{folder}/out", "--quiet"])
                shutil.rmtree(f"{folder}/out")
            peaks.append(peak)
            cells += [f"{peak / 1e6:.0f}", f"{seconds:.0f}"]
        ratio = max(peaks) / peaks[0]
        within &= ratio <= LARGEST_RATIO and max(peaks) <= LARGEST_BYTES
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
    if not within:
        raise SystemExit(f"more than {LARGEST_RATIO} times the memory, or {LARGEST_BYTES / 1e9:g} GB")


if __name__ == "__main__":
    main()
