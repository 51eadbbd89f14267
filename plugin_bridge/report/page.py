"""The page on which people listen to stems: a folder that opens from disk, without a server or a network.

Each track lies in a folder of its own, whose name says what it was made of, so that a page that is made again
makes only what is new. :mod:`plugin_bridge.report.chunks` says how the page comes to its audio.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.errors import JobError
from plugin_bridge.naming import safe_name
from plugin_bridge.report.chunks import MOST_CHANNELS, Precision, chunk_frames, write_chunks
from plugin_bridge.report.png import palette_png
from plugin_bridge.report.spectrogram import Spectrogram
from plugin_bridge.report.waveform import Waveform
from separators.atomic import write_atomically
from separators.streaming import AudioSource

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("audio.js", "player.js", "lanes.js", "controls.js", "page.js")
MARK = "stembridge-report"
"""Stands in every page: a folder without it is somebody else's."""
UNFINISHED = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="generator" content="{MARK}"><title>Not finished</title></head>
<body><p>This page is not finished. If nobody is making it now, run the same command again.</p></body>
</html>
"""
"""What is seen until a page is made for the first time."""
ORIGINAL = "original"
READ_AT_ONCE = 1 << 18
FLOOR_DB = -75.0
COLOURS = (
    (0, 0, 8), (30, 12, 70), (95, 20, 115), (170, 40, 105), (235, 90, 60), (253, 170, 65), (252, 250, 195),
)  # fmt: skip
"""Of spectrograms, from silence to the mixture's loudest."""
OpenSource = Callable[[], AbstractContextManager[AudioSource]]


LOWEST_RATE, HIGHEST_RATE = 3000, 768_000
"""Of audio that Chromium plays, in Hz."""


@dataclass(frozen=True)
class PageStem:
    """One stem of a set."""

    name: str
    open: OpenSource
    file: str
    """Where its file lies, for people."""
    heard: Sequence[Sequence[float]] = ()
    """Spans ``[start, end]`` in seconds."""


@dataclass(frozen=True)
class PageSet:
    """The stems that one preset made of a track."""

    preset: str
    stems: Sequence[PageStem]
    gain: float = 1.0
    """What the files were multiplied by; the page plays them without it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Figures for people, by name."""
    remarks: Sequence[str] = ()
    """What speaks against the result, or is worth knowing of it."""


@dataclass(frozen=True)
class PageTrack:
    """One track with the sets of one or several presets."""

    name: str
    key: str
    """Equal for equal audio."""
    sample_rate: int
    channels: int
    frames: int
    sets: Sequence[PageSet]
    find_original: Callable[[], tuple[OpenSource | None, str]] = lambda: (None, "")
    """Looks for what was separated, which may take reading it: its source, or why there is none."""

    @property
    def obstacle(self) -> str:
        """Why no page can play it, in words; empty if one can."""
        if self.channels > MOST_CHANNELS:
            return f"has {self.channels} channels; a page plays up to {MOST_CHANNELS}"
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            return f"is sampled at {self.sample_rate} Hz; browsers play {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        return ""

    @property
    def folder(self) -> str:
        """Of its files, below ``tracks``."""
        return f"{safe_name(self.name)[:40].strip(' .') or 'track'}-{self.key[:12]}"


def check_folder(folder: Path) -> None:
    """Raise :class:`JobError` if ``folder`` holds anything but a page."""
    index = folder / "index.html"
    ours = index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")[:2000]
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise JobError(f"{folder}: there is something else of this name; choose another folder with --to")


def write_page(
    folder: Path,
    title: str,
    tracks: Sequence[PageTrack],
    work: Path,
    progress: Callable[[str, float], None] = lambda track, fraction: None,
    left_out: Sequence[str] = (),
) -> Path:
    """Make the page of ``tracks`` in ``folder``; returns the file to open.

    ``work`` is an empty folder on the same disk, in which tracks are made before they are moved to their
    place. ``progress`` hears each track's name and the fraction of all that is done. Raises
    :class:`JobError` where ``folder`` holds something else.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.html"
    if not index.exists():  # ours from now on, even if the disk gets full or the power fails
        write_atomically(index, UNFINISHED.encode())
    place = folder / "tracks"
    place.mkdir(exist_ok=True)
    total = sum(track.frames for track in tracks) or 1
    done = 0
    no_original: dict[str, str] = {}
    for track in tracks:
        start, frames = done, track.frames

        def tell(fraction: float, name: str = track.name, start: int = start, frames: int = frames) -> None:
            progress(name, (start + fraction * frames) / total)

        no_original[track.folder] = _make_track(track, place / track.folder, work, tell)
        tell(1.0)
        done += frames
    for name in (*SCRIPTS, "page.css"):
        write_atomically(folder / name, (ASSETS / name).read_bytes())
    write_atomically(index, _html(title, tracks, no_original, left_out).encode("utf-8", "replace"))
    kept = {track.folder for track in tracks}
    for path in place.iterdir():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    return index


def _html(
    title: str, tracks: Sequence[PageTrack], no_original: Mapping[str, str], left_out: Sequence[str]
) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("index.html").render(
        title=title, tracks=tracks, no_original=no_original, mark=MARK, scripts=SCRIPTS, minutes=_minutes,
        left_out=left_out,
    )  # fmt: skip


def _minutes(track: PageTrack) -> str:
    seconds = round(track.frames / track.sample_rate)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _make_track(track: PageTrack, final: Path, work: Path, progress: Callable[[float], None]) -> str:
    """Make a track's folder, unless it is there; returns why it lacks the original, if it does."""
    if (final / f"{ORIGINAL}-0.png").is_file():
        return ""
    original, reason = track.find_original()
    if original or not final.is_dir():
        made = work / track.folder
        made.mkdir()
        _write_track(track, original, made, progress)
        if final.is_dir():
            final.replace(work / f"{track.folder}.old")
        made.replace(final)
    return reason


def _write_track(
    track: PageTrack, original: OpenSource | None, folder: Path, progress: Callable[[float], None]
) -> None:
    """Look at all audio of a track once, for pictures and levels, then write it in pieces."""
    if track.obstacle:
        raise JobError(f"{track.name}: {track.obstacle}")
    with ExitStack() as opened:
        decks: dict[str, list[AudioSource]] = {}
        if original:
            decks[ORIGINAL] = [opened.enter_context(original())]
        for index, one in enumerate(track.sets):
            decks[f"set{index}"] = [opened.enter_context(stem.open()) for stem in one.stems]
        voices = sum(map(len, decks.values()))
        done = 0

        def tell(frames: int) -> None:
            nonlocal done
            done += frames
            progress(done / (2 * voices * track.frames))

        looks = {deck: [_look(source, tell) for source in sources] for deck, sources in decks.items()}
        waves = [wave for found in looks.values() for wave, _ in found]
        peak = max(wave.peak for wave in waves)
        loudest = max(float(look.max()) for found in looks.values() for _, look in found)
        mixture = looks[ORIGINAL][0][0].energy if original else max(wave.energy for wave in waves)
        together = max(map(len, decks.values())) + 1
        precision = Precision.needed(peak, float(np.sqrt(mixture / track.frames)), together)
        for deck, found in looks.items():
            for number, (_, decibels) in enumerate(found):
                (folder / f"{deck}-{number}.png").write_bytes(_picture(decibels, loudest))
        chunk = chunk_frames(track.sample_rate, max(map(len, decks.values())))
        for deck, sources in decks.items():
            for frames in write_chunks(folder, deck, sources, precision, chunk):
                tell(frames * len(sources))
        outlines = {deck: [wave for wave, _ in found] for deck, found in looks.items()}
        described = _description(track, precision, outlines, peak, chunk)
        text = f"stembridge.track({json.dumps(folder.name)},{json.dumps(described)});\n"
        (folder / "track.js").write_text(text, encoding="ascii")


def _look(source: AudioSource, tell: Callable[[int], None]) -> tuple[Waveform, NDArray[np.float64]]:
    wave, spectrogram = Waveform(source.frames), Spectrogram(source.sample_rate, source.frames)
    for start in range(0, source.frames, READ_AT_ONCE):
        block = source.read(start, min(READ_AT_ONCE, source.frames - start))
        wave.add(block)
        spectrogram.add(block)
        tell(block.shape[1])
    return wave, spectrogram.decibels()


def _picture(decibels: NDArray[np.float64], loudest: float) -> bytes:
    """A spectrogram as PNG, low bands at the bottom."""
    level = decibels[::-1] - loudest if np.isfinite(loudest) else decibels[::-1]
    pixels = np.rint((level.clip(FLOOR_DB, 0) / -FLOOR_DB + 1) * 255).astype(np.uint8)
    at = np.linspace(0, len(COLOURS) - 1, 256)
    channels = [np.interp(at, range(len(COLOURS)), values) for values in zip(*COLOURS, strict=True)]
    return palette_png(pixels, np.rint(np.stack(channels, axis=1)).astype(np.uint8))


def _description(
    track: PageTrack, precision: Precision, waves: Mapping[str, Sequence[Waveform]], peak: float, chunk: int
) -> dict[str, Any]:
    """What the page needs to know of a track's audio; its names and figures stand in the page itself."""

    def voice(wave: Waveform) -> dict[str, Any]:
        return {"peaks": base64.b64encode(wave.pairs(peak)).decode()}

    sets = [
        {
            "preset": one.preset,
            "gain": 1 / one.gain,
            "stems": [
                {"name": stem.name, "heard": stem.heard, **voice(wave)}
                for stem, wave in zip(one.stems, waves[f"set{index}"], strict=True)
            ],
        }
        for index, one in enumerate(track.sets)
    ]
    return {
        "rate": track.sample_rate,
        "channels": track.channels,
        "frames": track.frames,
        "chunk": chunk,
        "scale": 1 / precision.scale,
        "sets": sets,
        "original": voice(waves[ORIGINAL][0]) if ORIGINAL in waves else None,
    }
