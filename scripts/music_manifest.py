"""Lists the recordings that the shipped Wave-U-Net is trained on, with splits and weights.

    python scripts/music_manifest.py --data FOLDER --midi-stems FOLDER --sectoid FOLDER --voices FOLDER
        --out DIR/manifest.csv [--estimated FOLDER] [--debian FOLDER] [--singing FOLDER] [--redrawn FOLDER]

`--data` holds music/, music_more/, music_songs/ and speech/, each with a manifest.csv; `--midi-stems` is what
render_midi_stems.py has written, `--redrawn` what it has written with `--redraw`; `--sectoid` is the songs'
folder of Debian's fretsonfire-songs-sectoid; `--voices` what widen_voices.py has written, `--estimated` what
estimate_song_stems.py has written, `--singing` what speech_to_singing.py has; `--debian` holds one unpacked
Debian package with music in each of its folders. Left out: the test song, and every act, singer and piece
that benchmarks/music.py plays.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import soundfile

COMPOSITIONS_KEPT_OUT = {"freedoom1_e3m3", "freedoom2_shawn"}
"""Played by the benchmark; left out in every rendering."""
VALIDATION_SONG = "freedoom2_countd"
VALIDATION_VOICE = "antagata_dokosa"
BENCHMARK_VOICE = "vocadito_1"
SECTOID_SONGS = ("Escape from chaosland", "Metal madness", "War of freedom")
WEIGHTS = {
    "cc0-44": 4.0,
    "cc0-22": 2.0,
    "rendered-real": 1.5,
    "rendered-midi": 3.0,
    "waivops": 2.5,
    "sectoid": 1.2,
    "instruments": 0.2,
    "pjs": 2.5,
    "single": 0.25,
    "speech": 3.0,
    "chant": 1.6,
    "singing": 5.0,
    "estimated": 1.5,
    "debian": 1.0,
    "redrawn-midi": 2.0,
}
"""How often each source is drawn, relative to the others that have the wanted stem."""
TEST_READERS = ("r3_", "r8_")
VALIDATION_READERS = ("r4_", "r9_")
"""Of the chants; benchmarks/music.py sings with the former."""
TRAINED_PACKAGES = (
    "colobot-common-sounds",
    "naev-data",
    "planetblupi-music-ogg",
    "singularity-music",
    "supertux-data",
    "trackballs-data",
    "ufoai-music",
    "warzone2100-music",
)
VALIDATION_PACKAGES = ("hedgewars-data", "pushover-data", "flare-game")
"""Those of benchmarks/music.py are wesnoth-1.16-music, nexuiz-music and starfighter-data."""
OWN_LICENCE = {"c64revival", "crazy", "eurovision"}
"""Pieces in these packages that may not be used by everybody."""
EXCERPT_SECONDS = 75.0
"""Of each piece without voice, from its middle."""
SUREST, LEAST_SURE = 0.985, 0.94
"""How certain the teacher must be for a passage to count in full, and to count at all."""
PASSAGES = 20
"""An act with so many has the weight of the table."""
HEARD_DB, UNHEARD_DB = -14.0, -35.0
"""Estimated vocals that lie higher than the first in the mix are used; below the second nobody sings."""
VALIDATION_SECONDS = 40.0
VALIDATION_VOICE_DB = 3.0
"""Gain of voices that are laid over pieces for validation."""


def row(
    path: Path,
    song: str,
    stem: str,
    source: str,
    split: str = "train",
    share: float = 1.0,
    numbers: Mapping[str, float] | None = None,
) -> dict[str, str]:
    """One line of the manifest; ``share`` is that of the source's weight that a part of it gets."""
    columns = {"trust": 1.0, "from_seconds": 0.0, "seconds": 0.0, "gain_db": 0.0, **(numbers or {})}
    return {
        "path": str(path.resolve()),
        "song": song,
        "stem": stem,
        "split": split,
        "source": source,
        "weight": f"{WEIGHTS[source.partition(':')[0]] * share:.3g}",
        **{name: f"{value:g}" for name, value in columns.items()},
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


def instrumental(package: Path, heard: set[str]) -> list[tuple[Path, float]]:
    """The pieces of a Debian package in which nobody sings, with their seconds."""
    pieces = []
    for path in sorted(p for p in package.rglob("*") if p.suffix in {".ogg", ".opus"} and p.is_file()):
        if path.name in heard and path.stem not in OWN_LICENCE:
            pieces.append((path, soundfile.info(path).duration))
    return pieces


def middle(seconds: float, wanted: float) -> dict[str, float]:
    """The excerpt from the middle."""
    return {"from_seconds": max(0.0, (seconds - wanted) / 2), "seconds": min(wanted, seconds)}


def without_voice(listing: Path) -> dict[str, set[str]]:
    """File names by package of what is music and holds no voice, after a teacher has heard it."""
    found: dict[str, set[str]] = {}
    with listing.open(newline="", encoding="utf-8") as file:
        for entry in csv.DictReader(file):
            if entry["looks_like"] == "music" and float(entry["teacher_share_8dB"] or 1) < 0.02:
                name = entry["file"].rpartition("/")[2].rpartition("__")[2]
                found.setdefault(entry["package"], set()).add(name)
    return found


def debian_music(debian: Path, data: Path) -> list[dict[str, str]]:
    """Pieces without voice to train on, and voices laid over some others to validate with."""
    heard = without_voice(data / "music_songs" / "debian_music.csv")
    rows = []
    for package in TRAINED_PACKAGES:
        for path, seconds in instrumental(debian / package, heard[package]):
            source = f"debian:{package}"
            excerpt = middle(seconds, EXCERPT_SECONDS)
            rows.append(row(path, f"{package}-{path.stem}", "accompaniment", source, numbers=excerpt))
    voices = [
        entry
        for reader in VALIDATION_READERS
        for entry in chants(data, (reader,))[1::2][: len(VALIDATION_PACKAGES)]
    ]
    for number, package in enumerate(VALIDATION_PACKAGES):
        pieces = [p for p in instrumental(debian / package, heard[package]) if p[1] > VALIDATION_SECONDS]
        # Two with a voice, and one without.
        for place, voice in enumerate((voices[number], voices[number + len(VALIDATION_PACKAGES)], None)):
            path, seconds = pieces[(place + 1) * len(pieces) // 4]
            song = f"{package}-{place}"
            excerpt = middle(seconds, VALIDATION_SECONDS)
            rows.append(row(path, song, "accompaniment", "debian", "valid", numbers=excerpt))
            if voice:
                sung = middle(float(voice["seconds"]), VALIDATION_SECONDS) | {"gain_db": VALIDATION_VOICE_DB}
                path = data / "music_songs" / voice["path"]
                rows.append(row(path, song, "vocals", "chant", "valid", numbers=sung))
    return rows


def chants(data: Path, readers: tuple[str, ...]) -> list[dict[str, str]]:
    """Entries of the chants that these readers sing."""
    return [
        entry
        for entry in listed(data / "music_songs")
        if "pockettorah" in entry["path"] and Path(entry["path"]).name.startswith(readers)
    ]


def sung(voices: Path) -> list[dict[str, str]]:
    """Unaccompanied singing."""
    kept_out = (*TEST_READERS, *VALIDATION_READERS)
    paths = sorted((voices / "music_songs").rglob("r*_*.flac"))
    return [
        row(path, path.stem, "vocals", f"chant:{path.name[:2]}")
        for path in paths
        if not path.name.startswith(kept_out)
    ]


def estimated(folder: Path) -> list[dict[str, str]]:
    """Passages of songs that a teacher took apart, as far as it was sure of them."""
    rows = []
    with (folder / "passages.csv").open(newline="", encoding="utf-8") as file:
        passages = list(csv.DictReader(file))
    counts = Counter(entry["act"] for entry in passages)
    for entry in passages:
        trust = (float(entry["certainty"]) - LEAST_SURE) / (SUREST - LEAST_SURE)
        vocals_db = float(entry["vocals_db"])
        stems = ("vocals", "accompaniment") if vocals_db > HEARD_DB else ("accompaniment",)
        if trust <= 0 or UNHEARD_DB < vocals_db < HEARD_DB:
            continue
        song, source = entry["path"].replace("/", "-"), f"estimated:{entry['act']}"
        # Much of an act counts for more than a little, but not as much more.
        share = math.sqrt(counts[entry["act"]] / PASSAGES)
        for stem in stems:
            path = folder / entry["path"] / f"{stem}.flac"
            rows.append(row(path, song, stem, source, share=share, numbers={"trust": min(1.0, trust)}))
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
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--estimated", type=Path, nargs="*", default=[])
    parser.add_argument("--debian", type=Path)
    parser.add_argument("--singing", type=Path)
    parser.add_argument("--redrawn", type=Path)
    given = parser.parse_args()
    rows = real_songs(given.data / "music") + more_music(given.data / "music_more")
    for path in sorted(given.midi_stems.glob("*/*.flac")):
        if path.parent.name not in COMPOSITIONS_KEPT_OUT | {VALIDATION_SONG}:
            rows.append(row(path, f"midi-{path.parent.name}", path.stem, "rendered-midi"))
    rows += sung(given.voices)
    if given.redrawn:
        for path in sorted(given.redrawn.glob("*/*.flac")):
            if path.parent.name not in COMPOSITIONS_KEPT_OUT | {VALIDATION_SONG}:
                rows.append(row(path, f"redrawn-{path.parent.name}", path.stem, "redrawn-midi"))
    if given.debian:
        rows += debian_music(given.debian, given.data)
    for folder in given.estimated:
        rows += estimated(folder)
    if given.singing:
        for path in sorted(given.singing.glob("*.flac")):
            rows.append(row(path, f"singing-{path.stem}", "vocals", "singing"))
    for song in SECTOID_SONGS:
        rows.append(row(given.sectoid / song / "guitar.ogg", f"sectoid-{song}", "other", "sectoid"))
    for path in sorted((given.voices / "speech").rglob("*.flac")):
        rows.append(row(path, f"speech-{path.stem}", "vocals", "speech"))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} recordings in {given.out}")


if __name__ == "__main__":
    main()
