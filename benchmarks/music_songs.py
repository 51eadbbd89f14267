"""The songs that music.py plays: stems as they are, and what becomes of songs on the way to a listener.

``music_songs.csv`` lists them. A ``voice`` is laid over its song at a level of its own. Further songs are
made of those: without drums or vocals, mastered to full scale, and coded as MP3.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
LIST = Path(__file__).with_name("music_songs.csv")
VOICE_DB = -2.0
"""Level of a voice laid over a song: RMS of its active parts relative to the song's."""
WITHOUT_DRUMS = ("caesium", "freedoom2_shawn")
WITHOUT_VOCALS = ("freedoom1_e3m3",)
MASTERED = ("caesium", "freedoom2_shawn", "calling bogus")
CODED = ("caesium", "freedoom1_e3m3", "loyalists")
DRIVE_DB = 8.0
"""How far a mastered mix's peaks are above the ceiling of its limiter."""
LIMITER_STEP = 128
ABSENT_DB = -60.0
"""A stem quieter than this in its mix is absent."""


@dataclass(frozen=True)
class Song:
    """Stems that sum to ``mixture``; of a coded song the mixture is what the coder left of their sum."""

    name: str
    kind: str
    stems: Mapping[str, np.ndarray]
    coded: np.ndarray | None = field(default=None)

    @property
    def mixture(self) -> np.ndarray:
        """``(2, frames)``."""
        return np.sum(list(self.stems.values()), axis=0) if self.coded is None else self.coded

    @property
    def absent(self) -> list[str]:
        """What a song of four stems may have and this one has not."""
        if "accompaniment" in self.stems:
            return [] if "vocals" in self.stems else ["vocals"]
        bass = "bass" if "rest" not in self.stems else ""
        return [stem for stem in ("vocals", "drums", bass) if stem and stem not in self.stems]


def songs(data: Path, debian: Path | None, wanted: str = "", seconds: float = 0) -> Iterator[Song]:
    """Every song whose name or kind holds ``wanted``; without ``debian`` those without Debian's music.

    With ``seconds``, no more than that of each, from its middle.
    """
    with LIST.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, kind in dict.fromkeys((row["song"], row["kind"]) for row in rows):
        mine = [row for row in rows if row["song"] == name]
        if debian is None and any(row["path"].startswith("debian/") for row in mine):
            continue
        if not needed(name, kind, wanted):
            continue
        song = Song(name, kind, stems_of(mine, data, debian, seconds))
        for version in (song, *versions(song)):
            if wanted in f"{version.name} ({version.kind})":
                yield version


def needed(name: str, kind: str, wanted: str) -> bool:
    """Whether the song or a version of it is wanted."""
    kinds = [kind]
    for group, label in KINDS:
        kinds += [label] if name in group else []
    return any(wanted in f"{name} ({k})" for k in kinds)


KINDS = (
    (WITHOUT_DRUMS, "without drums"),
    (WITHOUT_VOCALS, "without vocals"),
    (MASTERED, "mastered"),
    (CODED, "MP3"),
)


def versions(song: Song) -> Iterator[Song]:
    """What is made of ``song``."""
    for group, label in KINDS:
        if song.name in group:
            if label.startswith("without"):
                missing = label.rpartition(" ")[2]
                stems = {name: stem for name, stem in song.stems.items() if name != missing}
                yield Song(song.name, label, stems)
            elif label == "mastered":
                yield Song(song.name, label, mastered(song.stems))
            else:
                yield Song(song.name, label, song.stems, through_mp3(song.mixture))


def stems_of(
    rows: list[dict[str, str]], data: Path, debian: Path | None, seconds: float
) -> dict[str, np.ndarray]:
    """Stem -> audio, all equally long."""
    parts: list[tuple[str, np.ndarray]] = []
    for row in rows:
        path = data / row["path"]
        if row["path"].startswith("debian/") and debian:
            path = found(debian, row["path"].removeprefix("debian/"))
        parts.append((row["stem"], read(path, float(row["start_seconds"]), float(row["seconds"]))))
    frames = min(audio.shape[1] for _, audio in parts)
    skipped = max(0, frames - round(seconds * RATE)) // 2 if seconds else 0
    stems: dict[str, np.ndarray] = {}
    for stem, audio in parts:
        stems[stem] = stems.get(stem, 0) + audio[:, skipped : frames - skipped]
    if "voice" in stems:
        voice = stems.pop("voice")
        band = np.sum(list(stems.values()), axis=0)
        gain = active_rms(band) / active_rms(voice) * 10 ** (VOICE_DB / 20)
        stems = {"vocals": voice * np.float32(gain), **stems}
    return {name: stem for name, stem in stems.items() if np.abs(stem).max() > 1e-3}


def found(debian: Path, path: str) -> Path:
    """A file of an unpacked package, wherever it lies in it."""
    package, _, tail = path.partition("/")
    matches = [
        match for match in (debian / package).rglob(Path(tail).name) if match.as_posix().endswith(tail)
    ]
    if not matches:
        raise SystemExit(f"{debian / package} holds no {tail}; unpack Debian's package {package} there")
    return matches[0]


def read(path: Path, start_seconds: float, seconds: float) -> np.ndarray:
    """Stereo audio ``(2, frames)``; 0 seconds is all there is."""
    frames = round(seconds * RATE) if seconds else -1
    rate = soundfile.info(path).samplerate
    if rate != RATE:
        raise SystemExit(f"{path} has a rate of {rate} Hz; {RATE} Hz is expected")
    start = round(start_seconds * RATE)
    audio, _ = soundfile.read(path, frames, start, dtype="float32", always_2d=True)
    return np.repeat(audio, 2, 1).T if audio.shape[1] == 1 else audio.T


def active_rms(audio: np.ndarray) -> float:
    """RMS of the tenths of seconds within 30 dB of the loudest."""
    window = RATE // 10
    mono = audio.mean(0)
    power = np.square(mono[: mono.size // window * window].reshape(-1, window)).mean(1)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean()))


def mastered(stems: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The mix driven into a limiter and brought to full scale; every stem gets the same gains."""
    mixture = np.sum(list(stems.values()), axis=0)
    frames = mixture.shape[1]
    padded = np.pad(mixture, ((0, 0), (0, -frames % LIMITER_STEP)))
    peaks = np.abs(padded).reshape(len(mixture), -1, LIMITER_STEP).max((0, 2))
    # A step ahead and a few after.
    held = np.max([np.roll(peaks, shift) for shift in range(-1, 6)], axis=0)
    ceiling = peaks.max() * 10 ** (-DRIVE_DB / 20)
    places = np.arange(len(held)) * LIMITER_STEP + LIMITER_STEP / 2
    gains = np.interp(np.arange(frames), places, np.minimum(1, ceiling / (held + 1e-9))).astype(np.float32)
    gains /= np.float32(np.abs(mixture * gains).max())
    return {name: stem * gains for name, stem in stems.items()}


def through_mp3(mixture: np.ndarray) -> np.ndarray:
    """The mixture after an MP3 of usual quality, laid at its old place."""
    file = io.BytesIO()
    scale = max(1.0, float(np.abs(mixture).max()))
    soundfile.write(file, (mixture / scale).T, RATE, format="MP3", subtype="MPEG_LAYER_III")
    file.seek(0)
    coded, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return aligned(coded.T * np.float32(scale), mixture)


def aligned(coded: np.ndarray, mixture: np.ndarray, most: int = 4096) -> np.ndarray:
    """``coded`` without the delay of its coder."""
    size = 1 << 19
    spectra = [np.fft.rfft(audio.mean(0)[: size // 2], size) for audio in (coded, mixture)]
    likeness = np.fft.irfft(spectra[0] * np.conj(spectra[1]), size)
    delay = int(np.concatenate([likeness[-most:], likeness[:most]]).argmax()) - most
    shifted = coded[:, max(0, delay) :] if delay >= 0 else np.pad(coded, ((0, 0), (-delay, 0)))
    frames = mixture.shape[1]
    return np.pad(shifted, ((0, 0), (0, max(0, frames - shifted.shape[1]))))[:, :frames]
