"""The page to listen with many long stems in a real browser: how soon it is ready, plays and seeks.

    python -m benchmarks.listening [--stems N] [--minutes M] [--folder DIR]

Makes its own audio and page (in DIR, which is kept, or in a temporary folder), opens it from disk in
headless Chromium and plays it. Memory is that of the tab's process (its own, and its share of what is
common). Ends with status 1 if a figure is not as it must be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser

from benchmarks.machine import processor
from plugin_bridge.report.page import PageSet, PageStem, PageTrack, write_page
from separators.base import Audio
from tests.browser import chromium, opened

RATE = 44100
BAR_SECONDS = 7.3
PLAYED_SECONDS = 45.0
SEEKS = 12
READY_SECONDS, SEEK_SECONDS, HELD_MB = 2.0, 1.0, 600
"""What must be kept. What the page no longer holds browsers clear away when they see fit."""
STATE = "stembridge.page?.player.state"
POSITION = "stembridge.page.player.position"
WATCH = """() => {
    window.late = 0; window.longest = 0;
    let last = performance.now();
    const {player} = stembridge.page;
    let previous = null;
    (function frame(now) {
        window.longest = Math.max(window.longest, now - last);
        last = now;
        const piece = player.pieces.at(-1);
        if (piece && piece !== previous) {
            const joined = previous && player.pieces.includes(previous) && piece.from === previous.to;
            if (joined && piece.at > previous.at + previous.to - previous.from) window.late++;
            previous = piece;
        }
        requestAnimationFrame(frame);
    })(last);
}"""
SEEK = """async (frame) => {
    const {player} = stembridge.page;
    const begun = performance.now();
    player.seek(frame);
    const there = (at) => player.state === 'playing' && at > frame && at < frame + player.rate;
    while (!there(player.position)) await new Promise((resolve) => setTimeout(resolve, 5));
    return (performance.now() - begun) / 1000;
}"""
SOLO = """async (stem) => {
    const begun = performance.now();
    document.querySelectorAll('.solo')[stem].click();
    const other = stembridge.page.player.graph.decks.get('set0').faders[(stem + 1) % 2];
    while (other.gain.value > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    return (performance.now() - begun) / 1000;
}"""


class Bars:
    """A source of any length: decaying tones and a little noise, every bar the same."""

    sample_rate, channels = RATE, 2

    def __init__(self, number: int, frames: int) -> None:
        self.frames = frames
        random = np.random.default_rng(number)
        at = np.arange(round(BAR_SECONDS * RATE)) / RATE
        bar = 0.002 * random.standard_normal((2, len(at)))
        for begin in random.uniform(0, BAR_SECONDS, 12):
            note = (at - begin) % BAR_SECONDS
            tone = np.sin(2 * np.pi * random.uniform(60, 2000) * note) * np.exp(-4 * note)
            bar += random.uniform(0.02, 0.08, (2, 1)) * tone
        self._bar = bar.astype(np.float32)

    def read(self, start: int, frames: int) -> Audio:
        first = start % self._bar.shape[1]
        return np.tile(self._bar, -(-(first + frames) // self._bar.shape[1]))[:, first : first + frames]


class Sum:
    """What all of them are together."""

    sample_rate, channels = RATE, 2

    def __init__(self, sources: list[Bars]) -> None:
        self._sources = sources
        self.frames = sources[0].frames

    def read(self, start: int, frames: int) -> Audio:
        return np.sum([source.read(start, frames) for source in self._sources], axis=0, dtype=np.float32)


def make(folder: Path, stems: int, minutes: float) -> Path:
    """The page's file; what is there of it is not made again."""
    sources = [Bars(number, round(60 * minutes * RATE)) for number in range(stems)]
    mixture = Sum(sources)
    made = [
        PageStem(f"stem {number + 1}", lambda one=one: nullcontext(one), f"{number + 1}.wav")
        for number, one in enumerate(sources)
    ]
    sets = [PageSet("benchmark", made)]
    track = PageTrack(
        "Long", "0" * 40, RATE, 2, mixture.frames, sets, lambda: (lambda: nullcontext(mixture), "")
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        return write_page(folder, "Long", [track], Path(work))


def megabytes(pid: int) -> float:
    """Of a process: what it has alone, and its share of the rest."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    return 0.0


def renderer(browser: Browser) -> int:
    """The process of the one tab."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return max((one["id"] for one in found if one["type"] == "renderer"), key=megabytes)


def measure(index: Path) -> bool:
    """Open the page, play, seek and solo; returns whether all is as it must be."""
    random = np.random.default_rng(0)
    with chromium() as browser, opened(browser, index.as_uri()) as page:
        page.wait_for_function(f"{STATE} === 'stopped'")
        ready = page.evaluate("performance.now()") / 1000
        pid = renderer(browser)
        empty = megabytes(pid)
        begun = time.monotonic()
        page.click(".play")
        page.wait_for_function(f"{STATE} === 'playing' && {POSITION} > 0")
        first = time.monotonic() - begun
        page.evaluate(WATCH)
        most, end = empty, time.monotonic() + PLAYED_SECONDS
        while time.monotonic() < end:
            page.wait_for_timeout(500)
            most = max(most, megabytes(pid))
        playing = most
        late, longest = page.evaluate("[window.late, window.longest / 1000]")
        frames = page.evaluate("stembridge.page.player.frames")
        seeks = []
        for part in random.uniform(0, 0.98, SEEKS):
            seeks.append(page.evaluate(SEEK, int(part * frames)))
            most = max(most, megabytes(pid))
        solo = page.evaluate(SOLO, 0)
        page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
        page.wait_for_timeout(1500)
        held = megabytes(pid)
        page.click(".play")
    print(
        f"ready after {ready:.2f} s; sound {first:.2f} s after the button; seeks take "
        f"{statistics.median(seeks):.2f} s, the slowest {max(seeks):.2f} s; solo {solo:.3f} s\n"
        f"{PLAYED_SECONDS:.0f} s played with {late} pauses for audio that came late, the longest time "
        f"between two pictures {longest:.2f} s\n"
        f"memory of the tab {empty:.0f} MB before, {playing:.0f} MB at most while it plays, {most:.0f} MB "
        f"with the seeks; {held:.0f} MB of it are held when the browser has cleared away the rest"
    )
    return ready < READY_SECONDS and max(seeks) < SEEK_SECONDS and not late and held < HELD_MB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stems", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="for the page, which is kept; the disk must hold it")
    chosen = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary) / "page"
        begun = time.monotonic()
        index = make(folder, chosen.stems, chosen.minutes)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        print(
            f"{chosen.stems} stems of {chosen.minutes:g} minutes: the page has {size:.0f} MB and was there "
            f"after {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        return 0 if measure(index) else 1


if __name__ == "__main__":
    sys.exit(main())
