"""Runs the benchmarks of the classical separators and keeps their tables in benchmarks/results/.

    python -m benchmarks --data FOLDER [NAME ...]

FOLDER holds recordings: drums/ with one-shots, music/stems44/ and music/stems22/ with songs in stems,
speech/, midi/. Without names all of them run: an hour and more. Run nothing else meanwhile. Ends with
status 1 if a figure falls short of what its benchmark demands.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SOUNDFONT = Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3")
"""Where Debian's musescore-general-soundfont-small puts it."""
RESULTS = Path(__file__).parent / "results"


def arguments(data: Path) -> dict[str, list[str]]:
    """Benchmark -> its arguments."""
    song = sorted((data / "music/stems44/test").rglob("*.ogg"))
    signals = ("music/stems44", "speech/librivox80", "speech/libri2", "music_more/vocals/pjs")
    rooms = ["--speech", str(data / "speech/libri"), "--music", str(data / "music/stems44")]
    return {
        "nmf": [str(file) for file in song],
        "dictionaries": ["--data", str(data / "music/stems22")],
        "drums": ["--data", str(data / "drums")],
        "ica": [word for folder in signals for word in ("--data", str(data / folder))],
        "rooms": rooms,
        "mono": rooms,
        "score": ["--midi", str(data / "midi/midi_freedoom"), "--soundfont", str(SOUNDFONT)],
        "memory": [],
        "threads": [],
        "null_test": [str(song[0])] if song else [],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    known = arguments(options.data)
    if unknown := set(options.names) - set(known):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for name in options.names or known:
        command = [sys.executable, "-m", f"benchmarks.{name}", *known[name]]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(run.stdout)
        if run.returncode:
            failed.append(name)
        if run.stdout:
            (RESULTS / f"{name}.md").write_text(run.stdout, encoding="utf-8")
    if failed:
        print("short of what is demanded:", ", ".join(failed), file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
