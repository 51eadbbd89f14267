"""Pictures beside the stems: spectrograms of mixture and stems, and what a factorization learned.

Drawn with matplotlib (the optional extra ``plots``), without its global state, so that jobs may
draw side by side. All panels of a picture share one colour scale in dB.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.errors import JobError
from plugin_bridge.report.spectrogram import COLUMNS, Spectrogram, band_edges, band_weights
from separators.base import Audio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from separators.nmf.factors import Factors

SPECTROGRAMS, FACTORS = "spectrograms", "factors"
"""What the pictures are called where a stem's name would stand."""
FLOOR_DB, FACTORS_FLOOR_DB = -70.0, -40.0
COLOURS = "magma"
TICKS_HZ = {100: "100 Hz", 1000: "1 kHz", 10000: "10 kHz"}
DOTS_PER_INCH = 110
LONG_SECONDS = 300
"""Longer audio has its time axis in minutes."""


def require_matplotlib() -> None:
    """Raise :class:`JobError` if pictures cannot be drawn."""
    if find_spec("matplotlib") is None:
        raise JobError("pictures need matplotlib, which is not installed: pip install 'stembridge[plots]'")


class SpectrogramPicture:
    """Collects the stems of one mixture block by block, and draws them below the mixture."""

    def __init__(self, stems: Sequence[str], sample_rate: int, frames: int) -> None:
        self.names = ("mixture", *stems)
        self.spectrograms = [Spectrogram(sample_rate, frames) for _ in self.names]

    def add(self, stems: Sequence[Audio]) -> None:
        """Take in the next block of each stem, ``(channels, frames)``; their sum is the mixture."""
        mixture: Audio = np.stack(stems).sum(axis=0)
        for spectrogram, audio in zip(self.spectrograms, (mixture, *stems), strict=True):
            spectrogram.add(audio)

    def save(self, path: Path, title: str) -> None:
        """Draw all of it as a PNG file."""
        figure = new_figure(width=10.0, height=1.0 + 1.5 * len(self.names))
        levels = [spectrogram.decibels() for spectrogram in self.spectrograms]
        loudest = levels[0].max()
        rows = figure.subplots(len(levels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, name, spectrogram, level in zip(rows, self.names, self.spectrograms, levels, strict=True):
            image = draw_spectrogram(axes, spectrogram, level, loudest, name)
        colour_bar(figure, image, list(rows), "dB below the mixture's loudest")
        seconds = self.spectrograms[0].frames / self.spectrograms[0].sample_rate
        rows[-1].set_xlabel("minutes" if seconds > LONG_SECONDS else "seconds")
        save(figure, path, title)


def draw_spectrogram(
    axes: Axes, spectrogram: Spectrogram, decibels: NDArray[np.float64], loudest: float, title: str
) -> Any:
    """Draw ``decibels`` of ``spectrogram`` relative to ``loudest``; returns the image."""
    seconds = spectrogram.frames / spectrogram.sample_rate
    end = seconds / 60 if seconds > LONG_SECONDS else seconds
    return _draw_bands(axes, decibels, loudest, spectrogram.edges_hz, (0, end), title)


def save_factors(factors: Factors, path: Path, title: str) -> None:
    """Draw templates, activations and the course of learning as a PNG file."""
    components = len(factors.names)
    lanes = min(6.0, 1.2 + 0.3 * components)
    figure = new_figure(width=10.0, height=6.0 + lanes)
    course = [1.8] if factors.objectives else []
    grid = figure.add_gridspec(2 + len(course), 1, height_ratios=[3.2, lanes, *course])
    image = _draw_templates(figure.add_subplot(grid[0]), factors)
    activations = figure.add_subplot(grid[1])
    _draw_activations(activations, factors)
    colour_bar(figure, image, [figure.axes[0], activations], "dB below the loudest of the row or template")
    if course:
        _draw_objectives(figure.add_subplot(grid[2]), factors)
    save(figure, path, title)


def _draw_templates(axes: Axes, factors: Factors) -> Any:
    """All templates side by side, each relative to its own loudest band."""
    components, frames, bins = factors.templates.shape
    edges = band_edges((bins - 1) * factors.bin_hz)
    bands = np.square(factors.templates) @ band_weights(bins, factors.bin_hz, edges)
    levels = [_decibels(template) for template in bands]
    levels = [level - level.max() if np.isfinite(level.max()) else level for level in levels]
    shown = np.concatenate(levels).T
    image = _draw_bands(axes, shown, 0.0, edges, (0, components), "templates", FACTORS_FLOOR_DB)
    for border in range(1, components):
        same = factors.names[border - 1] == factors.names[border]
        axes.axvline(border, color="white", linewidth=0.4 if same else 1.6)
    centers, names = _groups(factors.names)
    axes.set_xticks(centers, names, parse_math=False)
    if frames > 1:
        axes.set_xlabel(f"each {1000 * frames * factors.hop_seconds:.0f} ms long", fontsize=9)
    return image


def _draw_activations(axes: Axes, factors: Factors) -> None:
    """A row for each component over time, relative to its own loudest moment."""
    H = factors.activations
    seconds = len(H) * factors.hop_seconds
    starts = np.unique(np.linspace(0, len(H), min(COLUMNS, len(H)), endpoint=False).astype(int))
    levels = _decibels(np.square(np.maximum.reduceat(H, starts, axis=0))).T
    peaks = levels.max(axis=1, keepdims=True)
    levels = levels - np.where(np.isfinite(peaks), peaks, 0)
    extent = (0.0, seconds, float(len(levels)), 0.0)
    axes.imshow(
        levels.clip(FACTORS_FLOOR_DB), aspect="auto", extent=extent, cmap=COLOURS,
        vmin=FACTORS_FLOOR_DB, vmax=0, interpolation="nearest",
    )  # fmt: skip
    centers, names = _groups(factors.names)
    axes.set_yticks(centers, names, parse_math=False)
    border = 0
    for _, run in groupby(factors.names):
        border += len(list(run))
        axes.axhline(border, color="white", linewidth=1.0)
    axes.set_title("activations in the passage learned from", fontsize=10, loc="left")
    axes.set_xlabel("seconds", fontsize=9)
    axes.tick_params(labelsize=8)


def _draw_objectives(axes: Axes, factors: Factors) -> None:
    from matplotlib.ticker import LogLocator

    iterations, values = zip(*factors.objectives, strict=True)
    axes.plot(iterations, np.array(values) / values[0], marker=".")
    axes.set_title("course of learning", fontsize=10, loc="left")
    axes.set_xlabel("iterations", fontsize=9)
    axes.set_ylabel("divergence / start's", fontsize=9)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.tick_params(which="both", labelsize=8)


def _groups(names: Sequence[str]) -> tuple[list[float], list[str]]:
    """The middle of each run of equal names, and the name."""
    centers, labels, start = [], [], 0
    for name, run in groupby(names):
        count = len(list(run))
        centers.append(start + count / 2)
        labels.append(name)
        start += count
    return centers, labels


def _decibels(power: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power), np.float64)


def _draw_bands(
    axes: Axes,
    decibels: NDArray[np.float64],
    loudest: float,
    edges_hz: NDArray[np.float64],
    across: tuple[float, float],
    title: str,
    floor_db: float = FLOOR_DB,
) -> Any:
    """An image of ``decibels`` ``(bands, columns)`` over a logarithmic frequency axis."""
    level = decibels - loudest if np.isfinite(loudest) else decibels
    image = axes.imshow(
        level.clip(floor_db, 0), aspect="auto", origin="lower", extent=(*across, 0, len(level)),
        cmap=COLOURS, vmin=floor_db, vmax=0, interpolation="nearest",
    )  # fmt: skip
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    rows = {
        float(np.interp(np.log(hertz), np.log(edges_hz), np.arange(len(edges_hz)))): text
        for hertz, text in TICKS_HZ.items()
        if hertz < edges_hz[-1]
    }
    axes.set_yticks(list(rows), list(rows.values()))
    axes.tick_params(labelsize=8)
    return image


def new_figure(width: float, height: float) -> Figure:
    """A figure of inches that belongs to nobody else."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")


def colour_bar(figure: Figure, image: Any, beside: Sequence[Axes], label: str) -> None:
    """What the colours mean."""
    bar = figure.colorbar(image, ax=beside, pad=0.01, fraction=0.03)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def save(figure: Figure, path: Path, title: str = "") -> None:
    """Write the PNG file; characters that matplotlib's font lacks become boxes without a warning."""
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, format="png")
