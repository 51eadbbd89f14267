"""Draw the README's pictures: spectrograms of a mixture, of its stems and of the true sources.

    python examples/plot_stems.py [FOLDER] [--song STEMS]        (default: docs/images)

With `--song`, a folder that holds a song as `vocals`, `drums` and `other` files at 44.1 kHz, the Wave-U-Net's
picture is drawn too. Needs the `plots` extra.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from plugin_bridge.report.pictures import draw_spectrogram, new_figure, save
from plugin_bridge.report.spectrogram import Spectrogram
from separators import ICA, NMF, Audio, create
from separators.evaluation import si_sdr

SESSION = Path(__file__).parent / "session"
RATE = 44100
SECONDS = 5.05
"""Two bars."""
BOTH_TALK_SECONDS = 12.0
"""Where in the interview they do."""
COLOURS = 48
WIDTH, HEIGHT = 10.8, 4.2


def read(path: str | Path) -> Audio:
    audio, rate = soundfile.read(SESSION / path, dtype="float32", always_2d=True)
    assert rate == RATE
    return audio.T


def spectrogram(audio: Audio) -> Spectrogram:
    shown = audio[:, : round(SECONDS * RATE)]
    made = Spectrogram(RATE, shown.shape[1])
    made.add(shown)
    return made


def draw(axes: Axes, audio: Audio, loudest: float, title: str) -> None:
    made = spectrogram(audio)
    draw_spectrogram(axes, made, made.decibels(), loudest, title)
    axes.label_outer()


def save_small(figure: Figure, path: Path) -> None:
    """As a PNG with a small palette, which a web page loads quickly."""
    figure.supxlabel("seconds", fontsize=9)
    save(figure, path)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def drum_loop(path: Path) -> None:
    """The loop at the left, then a column for each drum."""
    loop = read("audio/Drums.wav")
    stems = NMF(mode="drums").separate(loop, RATE)
    loudest = spectrogram(loop).decibels().max()
    figure = new_figure(WIDTH, HEIGHT)
    grid = figure.add_gridspec(2, 4)
    whole = figure.add_subplot(grid[:, 0])
    draw(whole, loop, loudest, "the loop")
    for column, name in enumerate(("kick", "snare", "hihat"), 1):
        truth = read(f"sources/drums-{name}.flac")
        score = f"{name} stem: {si_sdr(truth, stems[name]):.1f} dB SI-SDR"
        draw(figure.add_subplot(grid[0, column], sharex=whole), stems[name], loudest, score)
        draw(figure.add_subplot(grid[1, column], sharex=whole), truth, loudest, f"{name}: true source")
    save_small(figure, path)


def microphones(path: Path) -> None:
    """A row for each microphone: as recorded, its own source, and what it should be."""
    names = ("guitar", "tabla")
    recorded = np.concatenate([read(f"audio/Mic {name.title()}.wav") for name in names])
    stems = ICA().separate(recorded, RATE)
    loudest = spectrogram(recorded[:1]).decibels().max()
    figure = new_figure(WIDTH, HEIGHT)
    grid = figure.subplots(2, 3, sharex=True)
    for row, (name, images) in enumerate(zip(names, stems.values(), strict=True)):
        truth, stem, mixture = read(f"sources/mic-{name}.flac"), images[row, None], recorded[row, None]
        draw(grid[row, 0], mixture, loudest, f"Mic {name.title()}: {si_sdr(truth, mixture):.1f} dB SI-SDR")
        draw(grid[row, 1], stem, loudest, f"{name} stem: {si_sdr(truth, stem):.1f} dB SI-SDR")
        draw(grid[row, 2], truth, loudest, f"{name}: true source")
    save_small(figure, path)


def interview(path: Path) -> None:
    """The recording at the left, then a column for each voice, while both talk."""
    start = round(BOTH_TALK_SECONDS * RATE)
    recorded = read("audio/Interview.wav")
    stems = create("pit").separate(recorded, RATE).array
    truth = np.stack([read(f"sources/interview-{who}.flac") for who in ("woman", "man")])
    order = max(([0, 1], [1, 0]), key=lambda order: sum(map(si_sdr, truth, stems[order])))
    loudest = spectrogram(recorded[:, start:]).decibels().max()
    figure = new_figure(WIDTH, HEIGHT)
    grid = figure.add_gridspec(2, 3)
    whole = figure.add_subplot(grid[:, 0])
    draw(whole, recorded[:, start:], loudest, "two voices, one microphone")
    for column, (name, voice, stem) in enumerate(zip(("woman", "man"), truth, stems[order], strict=True), 1):
        score = f"{name}'s stem: {si_sdr(voice, stem):.1f} dB (was {si_sdr(voice, recorded):.1f})"
        draw(figure.add_subplot(grid[0, column], sharex=whole), stem[:, start:], loudest, score)
        draw(
            figure.add_subplot(grid[1, column], sharex=whole),
            voice[:, start:],
            loudest,
            f"{name}: true source",
        )
    save_small(figure, path)


def song(stems_folder: Path, path: Path) -> None:
    """The mixture at the left, then a column for each stem, from where the faintest stem is loudest."""
    names = ("vocals", "drums", "other")
    files = {name: next(iter(stems_folder.glob(f"{name}.*"))) for name in names}
    truth = {name: read(file.resolve()) for name, file in files.items()}
    frames = min(audio.shape[1] for audio in truth.values())
    shown = round(SECONDS * RATE)
    starts = range(0, frames - shown, RATE)
    start = max(starts, key=lambda at: min(float(np.std(a[:, at : at + shown])) for a in truth.values()))
    mixture = np.sum([audio[:, :frames] for audio in truth.values()], axis=0)
    found = create("wave-u-net").separate(mixture, RATE)
    stems = {**found, "other": found["bass"] + found["other"]}
    loudest = spectrogram(mixture[:, start:]).decibels().max()
    figure = new_figure(WIDTH, HEIGHT)
    grid = figure.add_gridspec(2, 4)
    whole = figure.add_subplot(grid[:, 0])
    draw(whole, mixture[:, start:], loudest, "the song")
    for column, (name, audio) in enumerate(truth.items(), 1):
        source, stem = audio[:, start : start + shown], stems[name][:, start : start + shown]
        before = si_sdr(source, mixture[:, start : start + shown])
        score = f"{name}: {si_sdr(source, stem):.1f} dB (was {before:.1f})"
        draw(figure.add_subplot(grid[0, column], sharex=whole), stem, loudest, score)
        draw(figure.add_subplot(grid[1, column], sharex=whole), source, loudest, f"{name}: true source")
    save_small(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "docs/images")
    parser.add_argument("--song", type=Path, metavar="STEMS")
    options = parser.parse_args()
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if options.song:
        song(options.song, folder / "song.png")
    microphones(folder / "microphones.png")
    drum_loop(folder / "drum-loop.png")
    interview(folder / "interview.png")
