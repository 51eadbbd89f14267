"""Does training on DAW sessions work? Songs become REAPER projects, which train a Wave-U-Net from nothing.

    python -m benchmarks.session_training --data MUSIC_FOLDER --minutes 8

MUSIC_FOLDER holds ``stems44/SPLIT/SONG/STEM.ogg``. Each song becomes a project as a musician leaves
it: tracks under names of their own, the drums' two items inside a group, a muted reference. Then
``stembridge train wave-u-net --data PROJECTS`` runs; one song is kept for validation. Ends with status 1
if the loss on it does not fall.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

TRACKS = {"vocals": "Lead Vox (comp)", "bass": "Sub Bass", "other": "Synths and Gtrs"}
SONGS = ("lithium", "rubidium", "sodium")
"""The last by name is the one to validate with."""


def item(file: str, position: float, length: float, offset: float = 0.0) -> str:
    return (
        f"    <ITEM\n      POSITION {position}\n      LENGTH {length}\n      SOFFS {offset}\n"
        f'      <SOURCE VORBIS\n        FILE "Media/{file}"\n      >\n    >\n'
    )


def track(name: str, *items: str, depth: str = "0 0", muted: bool = False) -> str:
    return (
        f'  <TRACK\n    NAME "{name}"\n    MUTESOLO {muted:d} 0 0\n    ISBUS {depth}\n{"".join(items)}  >\n'
    )


def write_project(song: Path, folder: Path) -> None:
    """A REAPER project of the stems in ``song``."""
    (folder / "Media").mkdir(parents=True)
    seconds = {}
    for file in sorted(song.glob("*.ogg")):
        shutil.copy(file, folder / "Media" / file.name)
        seconds[file.stem] = soundfile.info(file).duration
    half, whole = seconds["drums"] / 2, seconds["drums"]
    tracks = [
        track("Drum Bus", depth="1 1"),
        track(
            "Take 3",
            item("drums.ogg", 0, half),
            item("drums.ogg", half, whole - half, offset=half),
            depth="2 -1",
        ),
        *(
            track(name, item(f"{stem}.ogg", 0, seconds[stem]))
            for stem, name in TRACKS.items()
            if stem in seconds
        ),
        track("Vocal reference", item("vocals.ogg", 0, seconds["vocals"]), muted=True),
    ]
    text = f'<REAPER_PROJECT 0.1 "7.0" 0\n  SAMPLERATE 44100 0 0\n{"".join(tracks)}>\n'
    (folder / f"{folder.name}.rpp").write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in SONGS:
            (song,) = given.data.glob(f"stems44/*/{name}")
            write_project(song, folder / "projects" / name)
        out = folder / "mine.safetensors"
        command = [sys.executable, "-m", "plugin_bridge", "train", "wave-u-net"]
        command += ["--data", str(folder / "projects"), "--out", str(out), "--minutes", str(given.minutes)]
        command += ["--validate-minutes", str(given.minutes / 8), "--warm-up-steps", "20"]
        subprocess.run(command, check=True)
        log = (folder / "mine.safetensors.training" / "log.jsonl").read_text()
    rows = [json.loads(line) for line in log.splitlines()]
    print("| step | minutes | loss on the validation song, dB | SI-SDR improvement, dB |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['step']} | {60 * row['hours']:.1f} | {row['validation_loss']} | {row['score']} |")
    return int(not rows[-1]["validation_loss"] < rows[0]["validation_loss"])


if __name__ == "__main__":
    sys.exit(main())
