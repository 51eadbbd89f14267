"""Draw the README's pictures: spectrograms of a mixture, of its stems and of the true sources.

    python examples/plot_stems.py [FOLDER]        (default: docs/images)

Needs the `plots` extra.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import soundfile
from PIL import Image

from separators import ICA, NMF, Audio
from separators.evaluation import si_sdr
from separators.spectral import STFT

mpl.use("Agg")
from matplotlib import pyplot as plt

SESSION = Path(__file__).parent / "session"
RATE = 44100
SECONDS = 5.05
"""Two bars."""
PITCHES = np.geomspace(45, 16000, 200)
FLOOR_DB = -70
COLOURS = 48


def read(path: str) -> Audio:
    audio, rate = soundfile.read(SESSION / path, dtype="float32", always_2d=True)
    assert rate == RATE
    return audio.T


def decibels(audio: Audio) -> np.ndarray:
    """Level at PITCHES over time, ``(pitches, frames)``."""
    stft = STFT(4096, 512)
    loudness = np.abs(stft.forward(audio[:, : round(SECONDS * RATE)])).mean(axis=0)
    frequencies = np.arange(stft.bins) * RATE / stft.fft_size
    rows = [np.interp(PITCHES, frequencies, frame) for frame in loudness.T]
    return 20 * np.log10(np.array(rows).T + 1e-9)


def draw(axes: plt.Axes, audio: Audio, loudest: float, title: str) -> None:
    extent = (0, SECONDS, 0, len(PITCHES))
    shown = decibels(audio) - loudest
    axes.imshow(shown, aspect="auto", origin="lower", extent=extent, cmap="magma", vmin=FLOOR_DB, vmax=0)
    axes.set_title(title, fontsize=10, loc="left")
    ticks = [100, 1000, 10000]
    axes.set_yticks(
        np.interp(np.log(ticks), np.log(PITCHES), range(len(PITCHES))), ["100 Hz", "1 kHz", "10 kHz"]
    )
    axes.tick_params(labelsize=8)
    axes.label_outer()


def save(figure: plt.Figure, path: Path) -> None:
    """As a PNG with a small palette, which a web page loads quickly."""
    figure.supxlabel("seconds", fontsize=9)
    figure.savefig(path)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def drum_loop(path: Path) -> None:
    """The loop at the left, then a column for each drum."""
    loop = read("audio/Drums.wav")
    stems = NMF(mode="drums").separate(loop, RATE)
    loudest = decibels(loop).max()
    figure = plt.figure(figsize=(10.8, 4.2), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 4)
    whole = figure.add_subplot(grid[:, 0])
    draw(whole, loop, loudest, "the loop")
    for column, name in enumerate(("kick", "snare", "hihat"), 1):
        truth = read(f"sources/drums-{name}.flac")
        score = f"{name} stem: {si_sdr(truth, stems[name]):.1f} dB SI-SDR"
        draw(figure.add_subplot(grid[0, column], sharex=whole), stems[name], loudest, score)
        draw(figure.add_subplot(grid[1, column], sharex=whole), truth, loudest, f"{name}: true source")
    save(figure, path)


def microphones(path: Path) -> None:
    """A row for each microphone: as recorded, its own source, and what it should be."""
    names = ("guitar", "tabla")
    recorded = np.concatenate([read(f"audio/Mic {name.title()}.wav") for name in names])
    stems = ICA().separate(recorded, RATE)
    loudest = decibels(recorded[:1]).max()
    figure, grid = plt.subplots(2, 3, figsize=(10.8, 4.2), dpi=110, sharex=True, layout="constrained")
    for row, (name, images) in enumerate(zip(names, stems.values(), strict=True)):
        truth, stem, mixture = read(f"sources/mic-{name}.flac"), images[row, None], recorded[row, None]
        draw(grid[row, 0], mixture, loudest, f"Mic {name.title()}: {si_sdr(truth, mixture):.1f} dB SI-SDR")
        draw(grid[row, 1], stem, loudest, f"{name} stem: {si_sdr(truth, stem):.1f} dB SI-SDR")
        draw(grid[row, 2], truth, loudest, f"{name}: true source")
    save(figure, path)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/images"
    folder.mkdir(parents=True, exist_ok=True)
    microphones(folder / "microphones.png")
    drum_loop(folder / "drum-loop.png")
