"""A session of 32 tracks and 10 minutes: Ardour's export beside our mix and our tracks, in one run.

    python -m benchmarks.long_session [--tracks 32] [--minutes 1 10] [--folder FOLDER]

Ardour makes the session, with mono tracks of twenty regions each, other faders and other pans; their files
are links to four, so that the disk holds little and all is read all the same. Its export tool and our
commands then write float files. Seconds are those of the processor, since the machine may be busy; peak
memory is the resident set. Ends with status 1 if our mix differs from Ardour's by more than -120 dB, if our
tracks take longer than Ardour's mix, or if ten minutes take more memory than 1.25 times one. Needs Ardour 7.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from benchmarks.ardour import FARTHEST, SILENT, difference
from benchmarks.machine import processor
from plugin_bridge.audio.files import AudioWriter
from plugin_bridge.daw.ardour import configuration

RATE = 48000
CLOCKS = 282_240_000 // RATE
"""Ardour's superclocks in a frame."""
SOURCES = 4
REGIONS = 20
LARGEST_RATIO = 1.25
ATTEMPTS = 4
"""The export tool aborts now and then."""


@dataclass
class Cost:
    """What a command took."""

    wall: float
    cpu: float
    peak: int
    """Bytes."""


def make_session(folder: Path, tracks: int, minutes: int) -> Path:
    """The session in ``folder``."""
    home = folder / "song"
    names = [f"t{number}" for number in range(tracks)]
    lines = [f's = create_session("{home}", "song", {RATE})']
    lines.append(
        f's:new_audio_track(1, 2, nil, {tracks}, "t", ARDOUR.PresentationInfo.max_order, '
        "ARDOUR.TrackMode.Normal, true)"
    )
    lines.append("ARDOUR.LuaAPI.usleep(3000000)")  # a thread of its own connects them
    lines.append("local n = 0\nfor route in s:get_routes():iter() do if not route:is_master() then")
    lines.append('  route:set_name("t" .. n)\n  n = n + 1')
    lines.append("  route:gain_control():set_value(0.1 + 0.01 * n, PBD.GroupControlDisposition.NoGroup)")
    lines.append("  route:pan_azimuth_control():set_value(n / 40, PBD.GroupControlDisposition.NoGroup)")
    lines.append("end end\nARDOUR.LuaAPI.usleep(1000000)")
    lines.append('s:save_state("", false, false, false, false, false)\nclose_session()\nquit()')
    script = folder / "make.lua"
    script.write_text("\n".join(lines), encoding="utf-8")
    subprocess.run(["ardour7-lua", str(script)], check=False, capture_output=True, timeout=300)
    media = home / "interchange" / "song" / "audiofiles"
    media.mkdir(parents=True, exist_ok=True)
    _write_sources(media, names, minutes)
    path = home / "song.ardour"
    tree = ElementTree.parse(path)
    _add_regions(tree.getroot(), names, minutes)
    tree.write(path, encoding="UTF-8", xml_declaration=True)
    return path


def _write_sources(media: Path, names: list[str], minutes: int) -> None:
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        path = media / f"{name}.wav"
        if number >= SOURCES:
            os.link(media / f"{names[number % SOURCES]}.wav", path)
            continue
        with AudioWriter(path, RATE, 1, bit_depth="16") as writer:
            for _ in range(60 * minutes):
                writer.write((0.2 * rng.standard_normal((1, RATE))).clip(-1, 1).astype(np.float32))


def _add_regions(root: ElementTree.Element, names: list[str], minutes: int) -> None:
    counter = int(root.get("id-counter", "0")) + 1000
    frames = 60 * minutes * RATE
    step, fade = frames // REGIONS, RATE // 50
    playlists = {one.get("id"): one for one in root.iterfind("Playlists/Playlist")}
    owned = {route.get("name"): route.get("audio-playlist") for route in root.iterfind("Routes/Route")}
    sources = root.find("Sources")
    locations = root.find("Locations")
    assert sources is not None
    assert locations is not None
    for name in names:
        source = str(counter := counter + 1)
        file = f"{name}.wav"
        said = {"name": file, "take-id": "", "type": "audio", "flags": "", "id": source, "channel": "0"}
        ElementTree.SubElement(sources, "Source", {**said, "origin": file, "gain": "1"})
        for number in range(REGIONS):
            counter += 1
            region = ElementTree.SubElement(
                playlists[owned[name]],
                "Region",
                {
                    "name": f"{name}.{number}",
                    "type": "audio",
                    "first-edit": "nothing",
                    "start": f"a{number * step * CLOCKS}",
                    "length": f"a{step * CLOCKS}@a{number * step * CLOCKS}",
                    "id": str(counter),
                    "whole-file": "0",
                    "opaque": "1",
                    "scale-amplitude": "1",
                    "channels": "1",
                    "fade-in-active": "1",
                    "fade-out-active": "1",
                    "source-0": source,
                    "master-source-0": source,
                },
            )
            for tag, points in (("FadeIn", ((0, 0), (fade, 1))), ("FadeOut", ((0, 1), (fade, 0)))):
                element = ElementTree.SubElement(region, tag)
                counter += 1
                words = {"automation-id": tag.lower(), "interpolation-style": "Curved", "state": "Off"}
                holder = ElementTree.SubElement(element, "AutomationList", {**words, "id": str(counter)})
                events = ElementTree.SubElement(holder, "events")
                events.text = "\n".join(f"a{at * CLOCKS} {value}" for at, value in points)
    span = {"name": "session", "start": "a0", "end": f"a{frames * CLOCKS}", "flags": "IsSessionRange"}
    ElementTree.SubElement(locations, "Location", {**span, "id": str(counter + 1)})
    root.set("id-counter", str(counter + 100))


def cost_of(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, Cost]:
    """The status of a command, and what it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return os.waitstatus_to_exitcode(status), Cost(wall, cpu, usage.ru_maxrss * 1024)


def _exported(session: Path, out: Path, frames: int) -> Cost:
    environment = {"XDG_CONFIG_HOME": str(configuration(out.parent))}
    for _ in range(ATTEMPTS):
        command = ["ardour7-export", "-b", "float", "-o", str(out), str(session.parent), session.stem]
        status, cost = cost_of(command, environment)
        if status == 0 or (out.exists() and out.stat().st_size >= 8 * frames):
            return cost
    raise SystemExit("Ardour's export tool failed")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.long_session",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tracks", type=int, default=32)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--folder", type=Path, help="for the audio, of which there are some gigabytes")
    options = parser.parse_args()
    print(f"{processor()}; {options.tracks} mono tracks of {REGIONS} regions, 16 bit at {RATE} Hz\n")
    print("| minutes | | CPU s | wall s | peak MB |\n|---|---|---|---|---|")
    peaks: dict[str, list[int]] = {}
    wrong = []
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            session = make_session(folder, options.tracks, minutes)
            bounce = [sys.executable, "-m", "plugin_bridge", "bounce", str(session), "--quiet", "--out"]
            theirs = folder / "ardour.wav"
            costs = {"Ardour exports the mix": _exported(session, theirs, 60 * minutes * RATE)}
            for said, words in (("our mix", ["--mix", "--bit-depth", "float32"]), ("our tracks", [])):
                out = folder / said
                status, costs[said] = cost_of([*bounce, str(out), *words])
                if status:
                    raise SystemExit(f"failed: {' '.join([*bounce, str(out), *words])}")
                made = sum(1 for _ in out.rglob("*.wav"))
                if made != (1 if words else options.tracks):
                    raise SystemExit(f"{said}: {made} files")
                shutil.rmtree(out)
            compared = difference(session, theirs)
        for said, cost in costs.items():
            print(
                f"| {minutes} | {said} | {cost.cpu:.1f} | {cost.wall:.1f} | {cost.peak / 1e6:.0f} |",
                flush=True,
            )
            peaks.setdefault(said, []).append(cost.peak)
        print(f"| {minutes} | our mix minus Ardour's | {compared.level:.1f} dB | | |", flush=True)
        if compared.level > FARTHEST or compared.export < SILENT:
            wrong.append(f"{compared.level:.1f} dB from an export of {compared.export:.1f} dB")
        if costs["our tracks"].cpu > costs["Ardour exports the mix"].cpu:
            wrong.append(f"{minutes} minutes: slower than Ardour")
    wrong += [
        f"{said}: memory grows"
        for said, values in peaks.items()
        if said.startswith("our") and values[-1] > LARGEST_RATIO * values[0]
    ]
    if wrong:
        print("short of what is demanded:", ", ".join(wrong), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
