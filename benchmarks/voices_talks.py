"""The voice separators on what people have: interviews, one voice alone, music behind voices.

    python benchmarks/voices_talks.py --data SPEECH_FOLDER --music MUSIC_FOLDER

The list (voices_talks.csv) names recordings, turns, places and gains of conversations of test speakers,
none of which repeats anything. Printed for each kind: how many seconds are on the wrong stem (mean and
worst of its talks), the SI-SDR improvement over the mixture, the level of the stem that should be
silent, and where there is music the improvement with it in a stem of its own.
"""

from __future__ import annotations

import argparse
import csv
from itertools import permutations
from pathlib import Path

import numpy as np
import soundfile
import soxr
from voices import RATE, SEPARATORS, active_level
from voices_hour import judge

TALKS = Path(__file__).with_name("voices_talks.csv")
COLUMNS = ["kind", "number", "voice", "path", "start", "frames", "at", "gain_db"]
LEVEL = 0.05


def read_talks() -> dict[str, dict[str, list[dict]]]:
    """Kind -> number -> rows."""
    talks: dict[str, dict[str, list[dict]]] = {}
    with TALKS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            talks.setdefault(row["kind"], {}).setdefault(row["number"], []).append(row)
    return talks


def place(rows: list[dict], folder: Path) -> np.ndarray:
    """All that ``rows`` place, at 16 kHz ``(frames,)``."""
    end = max(int(row["at"]) + int(row["frames"]) for row in rows)
    out = np.zeros(end, np.float32)
    for row in rows:
        start, frames, at = (int(row[key]) for key in ("start", "frames", "at"))
        audio = recording(folder / row["path"])[start : start + frames]
        out[at : at + len(audio)] += audio
    return out


def recording(path: Path) -> np.ndarray:
    """A file at 16 kHz, mono."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(audio.mean(1), rate, RATE)


def sources(rows: list[dict], data: Path, music: Path) -> tuple[np.ndarray, np.ndarray]:
    """Two voices ``(2, frames)``, silent where there are fewer, and what is behind them ``(frames,)``.

    Voices have an active level of 0.05 and the gains of the list; music is as loud as both together.
    """
    parts: dict[str, list[dict]] = {}
    for row in rows:
        parts.setdefault(row["voice"], []).append(row)
    behind_rows = parts.pop("background", [])
    frames = max(int(row["at"]) + int(row["frames"]) for row in rows)
    voices = np.zeros((2, frames), np.float32)
    for name, said in parts.items():
        audio = place(said, data)
        gain = LEVEL * 10 ** (float(said[0]["gain_db"]) / 20) / active_level(audio)
        voices[int(name), : len(audio)] = gain * audio
    behind = np.zeros(frames, np.float32)
    if behind_rows:
        audio = place(behind_rows, music)
        loud = np.sqrt(np.square(voices.sum(0)).mean()) or LEVEL
        behind[: len(audio)] = audio * (loud / np.sqrt(np.square(audio).mean()))
    return voices, behind


def room_noise(frames: int, decibels: float) -> np.ndarray:
    """Noise ``(frames,)`` that falls by 3 dB an octave, ``decibels`` against the voices' level."""
    import torch

    from separators.training.mixing import coloured

    white = torch.from_numpy(np.random.default_rng(frames).standard_normal((1, frames), np.float32))
    return LEVEL * 10 ** (decibels / 20) * coloured(white, np.array([[0.5]]))[0].numpy()


def level_db(part: np.ndarray, whole: np.ndarray) -> float:
    """Energy of ``part`` against that of ``whole``, in dB, at least -100."""
    return float(10 * np.log10(np.square(part).sum() / np.square(whole).sum() + 1e-10))


def gain_db(voices: np.ndarray, stems: np.ndarray, mixture: np.ndarray) -> float:
    """Mean SI-SDR improvement over the mixture in dB, under the best order."""
    from separators.evaluation import si_sdr

    floor = np.mean([si_sdr(voice, mixture) for voice in voices])
    orders = permutations(range(2))
    return float(
        max(np.mean([si_sdr(v, stems[o]) for v, o in zip(voices, p, strict=True)]) for p in orders) - floor
    )


def wrong_share(voices: np.ndarray, stems: np.ndarray) -> float:
    """The share of spoken seconds on the wrong stem, as voices_hour.py counts them."""
    seconds = voices.shape[1] // RATE
    v, s = (
        x[:, : seconds * RATE].reshape(2, seconds, RATE).transpose(1, 0, 2).astype(float)
        for x in (voices, stems)
    )
    return judge(s @ v.transpose(0, 2, 1), np.square(v).sum(2), np.square(s).sum(2))["wrong_share"]


def main() -> None:
    from separators import create

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--separators", default=",".join(SEPARATORS))
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument(
        "--same-person", action=argparse.BooleanOptionalAction, default=True, help="move phrases"
    )
    parser.add_argument("--noise", type=float, metavar="DB", help="with a room's noise, against the voices")
    parser.add_argument("--kinds", help="only those that begin so, with commas between")
    given = parser.parse_args()
    weights = dict(text.split("=", 1) for text in given.weights)
    print("| talks | method | wrong seconds (worst) | SI-SDRi | silent stem (worst) | background apart |")
    print("|---|---|---|---|---|---|")
    kinds = tuple((given.kinds or "").split(","))
    for kind, talks in read_talks().items():
        if not kind.startswith(kinds):
            continue
        made = [sources(rows, given.data, given.music) for rows in talks.values()]
        for name in given.separators.split(","):
            settings = {"weights": weights.get(name, ""), "same_person": given.same_person}
            separator = create(name, **settings)
            wrong, gains, silent, behind_gains = [], [], [], []
            for voices, behind in made:
                mixture = voices.sum(0) + behind
                if given.noise is not None:
                    mixture = mixture + room_noise(len(mixture), given.noise)
                stems = separator.separate(mixture[None], RATE).array[:, 0]
                present = [voice.any() for voice in voices]
                if all(present):
                    gains.append(gain_db(voices, stems, mixture))
                    if behind.any():
                        own = create(name, **settings, background=True)
                        apart = own.separate(mixture[None], RATE).array[:2, 0]
                        behind_gains.append(gain_db(voices, apart, mixture))
                    else:
                        wrong.append(wrong_share(voices, stems))
                else:
                    silent.append(min(level_db(stem, mixture) for stem in stems))
            print(
                "| "
                + " | ".join(
                    [
                        kind,
                        name,
                        f"{np.mean(wrong):.1%} ({max(wrong):.0%})" if wrong else "",
                        f"{np.mean(gains):.1f} dB" if gains else "",
                        f"{np.mean(silent):.0f} ({max(silent):.0f}) dB" if silent else "",
                        f"{np.mean(behind_gains):.1f} dB" if behind_gains else "",
                    ]
                )
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
