"""Lists the recordings that the shipped Wave-U-Net is trained on, with splits and weights.

    python scripts/music_manifest.py --data FOLDER --midi-stems FOLDER --sectoid FOLDER --out DIR/manifest.csv

`--data` holds music/, music_more/ and speech/, each with a manifest.csv; `--midi-stems` is what
render_midi_stems.py has written; `--sectoid` is the songs' folder of Debian's
fretsonfire-songs-sectoid. Left out: the test song, and everything that benchmarks/music.py plays.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

COMPOSITIONS_KEPT_OUT = {"freedoom1_e3m3", "freedoom2_shawn"}
"""Played by the benchmark; left out in every rendering."""
VALIDATION_SONG = "freedoom2_countd"
VALIDATION_VOICE = "antagata_dokosa"
BENCHMARK_VOICE = "vocadito_1"
SECTOID_SONGS = ("Escape from chaosland", "Metal madness", "War of freedom")
SPEECH_SOURCES = ("libri", "librivox80", "cv13en")
WEIGHTS = {
    "cc0-44": 4.0,
    "cc0-22": 2.0,
    "rendered-real": 1.5,
    "rendered-midi": 3.0,
    "waivops": 2.5,
    "sectoid": 1.2,
    "instruments": 0.2,
    "pjs": 3.0,
    "single": 0.25,
    "speech": 0.8,
}
"""How often each source is drawn, relative to the others that have the wanted stem."""


def row(path: Path, song: str, stem: str, source: str, split: str = "train") -> dict[str, str]:
    """One line of the manifest."""
    return {
        "path": str(path.resolve()),
        "song": song,
        "stem": stem,
        "split": split,
        "source": source,
        "weight": str(WEIGHTS[source]),
    }


def listed(folder: Path) -> list[dict[str, str]]:
    """The rows of the manifest in ``folder``."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def real_songs(folder: Path) -> list[dict[str, str]]:
    """Stems of one act; the bass of most songs plays in the file of the other instruments."""
    rows = []
    for entry in listed(folder):
        whole = entry["path"].startswith("stems22/")
        excerpt = entry["path"].startswith("stems44/")
        wanted = entry["split"] == "train" or (entry["split"] == "valid" and excerpt)
        if (whole or excerpt) and wanted and float(entry["active_s"]) >= 1:
            stem = "rest" if entry["stem"] == "other" else entry["stem"]
            song = entry["song"] + ("-22" if whole else "")
            source = "cc0-22" if whole else "cc0-44"
            rows.append(row(folder / entry["path"], song, stem, source, entry["split"]))
    return rows


def more_music(folder: Path) -> list[dict[str, str]]:
    """Drum loops, voices, phrases, and songs rendered from instrument samples."""
    rows = []
    for entry in listed(folder):
        path, song = folder / entry["path"], entry["song"]
        if entry["path"].startswith("rendered_real_samples/"):
            if song not in COMPOSITIONS_KEPT_OUT:
                split = "valid" if song == VALIDATION_SONG else "train"
                rows.append(row(path, f"real-{song}", entry["stem"], "rendered-real", split))
        elif entry["path"].startswith("waivops_drums/"):
            rows.append(row(path, song, "drums", "waivops"))
        elif entry["path"].startswith("instruments/"):
            rows.append(row(path, song, "other", "instruments"))
        elif entry["path"].startswith("vocals/pjs/"):
            rows.append(row(path, song, "vocals", "pjs"))
        elif song == VALIDATION_VOICE:
            rows.append(row(path, f"real-{VALIDATION_SONG}", "vocals", "single", "valid"))
        elif song != BENCHMARK_VOICE:
            rows.append(row(path, song, "vocals", "single"))
    return rows


def main() -> None:
    """Parse the command line and write the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--midi-stems", type=Path, required=True)
    parser.add_argument("--sectoid", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = real_songs(given.data / "music") + more_music(given.data / "music_more")
    for path in sorted(given.midi_stems.glob("*/*.flac")):
        if path.parent.name not in COMPOSITIONS_KEPT_OUT | {VALIDATION_SONG}:
            rows.append(row(path, f"midi-{path.parent.name}", path.stem, "rendered-midi"))
    for song in SECTOID_SONGS:
        rows.append(row(given.sectoid / song / "guitar.ogg", f"sectoid-{song}", "other", "sectoid"))
    for entry in listed(given.data / "speech"):
        if entry["split"] == "train" and entry["source"] in SPEECH_SOURCES:
            path = given.data / "speech" / entry["path"]
            rows.append(row(path, f"speech-{entry['path']}", "vocals", "speech"))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} recordings in {given.out}")


if __name__ == "__main__":
    main()
