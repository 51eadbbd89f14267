"""Mixes songs anew for every training step: across songs, at random levels, places, speeds and rooms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from separators.training.songs import GROUPS, SAMPLE_RATE, STEMS, Recording, Songs

WINDOW_SECONDS = 0.5
"""Activity is judged in windows of this length."""
QUIET_DB = -30.0
"""Windows that lie this far below the loudest one are not active."""


@dataclass(frozen=True)
class MixingSettings:
    """How songs become training mixtures. Probabilities are 0 to 1, ranges are factors or dB."""

    batch: int = 4
    frames: int = 131_072
    coherent: float = 0.35
    """All stems of a mixture from one song, at one time; otherwise each stem from its own."""
    fill: float = 0.6
    """Stems that a coherent song lacks come from another song."""
    presence: tuple[float, ...] = (0.8, 0.85, 0.75, 0.9)
    """That a stem sounds, in the order of :data:`STEMS`."""
    levels_db: tuple[float, ...] = (-1.0, 0.0, -2.0, 0.0)
    """Mean level of each stem; :attr:`spread_db` is the deviation."""
    spread_db: float = 4.5
    speed: float = 0.8
    speeds: tuple[float, float] = (0.7, 1.4)
    voice_speeds: tuple[float, float] = (0.75, 1.6)
    """Vocals are also raised to the range of women and children, who are rare in the data."""
    equaliser: float = 0.6
    equaliser_db: float = 5.0
    reverb: float = 0.5
    """Only for mono recordings, which are dry."""
    loudness_db: float = 4.0
    """Deviation of the mixture's level from an RMS of 1."""


@dataclass(frozen=True)
class Batch:
    """Targets ``(batch, stems, 2, frames)`` and which of them are known only as a sum.

    ``groups[b, g, k]`` is 1 where stem k counts to sum g, else 0; the rows of stems that count to
    another sum are 0.
    """

    targets: Tensor
    groups: Tensor

    @property
    def mixture(self) -> Tensor:
        """``(batch, 2, frames)``."""
        return self.targets.sum(1)


class Mixer:
    """Mixes the songs of one split anew for every batch."""

    def __init__(self, songs: Songs, split: str, settings: MixingSettings) -> None:
        self.songs = songs
        self.settings = settings
        self.by_song = songs.songs(split)
        # A recording that is a sum serves as its last stem, which holds the most of it.
        self.by_stem: dict[str, dict[str, list[Recording]]] = {stem: {} for stem in STEMS}
        for recording in songs.recordings:
            if recording.split == split:
                by_source = self.by_stem[GROUPS[recording.stem][-1]]
                by_source.setdefault(recording.source, []).append(recording)
        self.whole = [song for song, recordings in self.by_song.items() if len(recordings) > 1]
        weights = np.array([self.by_song[song][0].weight / self._songs_of(song) for song in self.whole])
        self.whole_weights = weights / weights.sum() if self.whole else weights
        self.activity: dict[int, tuple[NDArray[np.int64], float]] = {}

    def _songs_of(self, song: str) -> int:
        source = self.by_song[song][0].source
        return sum(self.by_song[other][0].source == source for other in self.whole)

    def __call__(self, rng: np.random.Generator) -> Batch:
        """A batch of mixtures; all randomness comes from ``rng``."""
        items = [self._item(rng) for _ in range(self.settings.batch)]
        targets = torch.from_numpy(np.stack([targets for targets, _ in items]))
        return Batch(targets, torch.stack([groups_of(labels) for _, labels in items]))

    def _item(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], list[str]]:
        settings = self.settings
        targets = np.zeros((len(STEMS), 2, settings.frames), np.float32)
        labels: list[str] = []
        missing = set(STEMS)
        if self.whole and rng.random() < settings.coherent:
            song = self.whole[rng.choice(len(self.whole), p=self.whole_weights)]
            labels = self._song(targets, self.by_song[song], rng)
            missing -= {stem for label in labels for stem in GROUPS[label]}
            missing = {stem for stem in STEMS if stem in missing and rng.random() < settings.fill}
        for index, stem in enumerate(STEMS):
            sources = self.by_stem[stem]
            if stem not in missing or not sources or rng.random() > settings.presence[index]:
                continue
            names = list(sources)
            weights = np.array([sources[name][0].weight for name in names])
            source = sources[names[rng.choice(len(names), p=weights / weights.sum())]]
            recording = source[rng.integers(len(source))]
            audio, level = self._draw(recording, rng)
            gain_db = settings.levels_db[index] + rng.normal(0, settings.spread_db)
            targets[index] += audio * (10 ** (gain_db / 20) / level)
            labels.append(recording.stem)
        rms = math.sqrt(float(np.mean(np.square(targets.sum(0))))) + 1e-4
        targets *= 10 ** (rng.normal(0, settings.loudness_db) / 20) / rms
        return targets, labels

    def _song(
        self, targets: NDArray[np.float32], recordings: list[Recording], rng: np.random.Generator
    ) -> list[str]:
        """Add one song at one time; levels stay near the song's own."""
        lead = recordings[rng.integers(len(recordings))]
        speed = self._speed(self.settings.speeds, rng)
        start = self._start(lead, speed, rng)
        swap = rng.random() < 0.5
        gains: dict[str, float] = {}
        for recording in recordings:
            stem = GROUPS[recording.stem][-1]
            gain = gains.setdefault(stem, 10 ** (rng.normal(0, self.settings.spread_db) / 20))
            audio = self._read(recording, start, speed)
            audio = audio[::-1] if swap else audio
            targets[STEMS.index(stem)] += self._colour(audio, recording, rng) * np.float32(gain)
        return [recording.stem for recording in recordings]

    def _draw(self, recording: Recording, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        """A random active stretch, changed at random, and the level of the recording's active parts."""
        settings = self.settings
        speed = self._speed(settings.voice_speeds if recording.stem == "vocals" else settings.speeds, rng)
        audio = self._read(recording, self._start(recording, speed, rng), speed)
        audio = self._colour(audio, recording, rng)
        if recording.channels == 1:
            angle = (0.5 + rng.uniform(-0.25, 0.25)) * math.pi / 2
            audio *= np.array([[math.cos(angle)], [math.sin(angle)]], np.float32) * np.float32(math.sqrt(2))
        else:
            audio *= 10 ** (rng.uniform(-2, 2, (2, 1)) / 20).astype(np.float32)
            if rng.random() < 0.5:
                audio = audio[::-1]
        return (-audio if rng.random() < 0.5 else audio), self._activity(recording)[1]

    def _speed(self, speeds: tuple[float, float], rng: np.random.Generator) -> float:
        if rng.random() >= self.settings.speed:
            return 1.0
        return math.exp(rng.uniform(math.log(speeds[0]), math.log(speeds[1])))

    def _start(self, recording: Recording, speed: float, rng: np.random.Generator) -> int:
        """A start at which an active window falls somewhere into the stretch."""
        windows, _ = self._activity(recording)
        length = math.ceil(self.settings.frames * speed)
        start = int(windows[rng.integers(len(windows))]) - int(rng.integers(0, length // 2))
        return max(0, min(start, recording.frames - length))

    def _read(self, recording: Recording, start: int, speed: float) -> NDArray[np.float32]:
        frames = self.settings.frames
        if speed == 1.0:
            return self.songs.audio(recording, start, frames)
        audio = self.songs.audio(recording, start, math.ceil(frames * speed) + 64)
        audio = soxr.resample(np.ascontiguousarray(audio.T), speed, 1.0, quality="MQ").T
        return np.ascontiguousarray(audio[:, :frames])

    def _activity(self, recording: Recording) -> tuple[NDArray[np.int64], float]:
        """Starts of the active windows, and their RMS."""
        if recording.start not in self.activity:
            window = round(WINDOW_SECONDS * SAMPLE_RATE)
            audio = self.songs.audio(recording, 0, recording.frames).mean(0)
            power = np.square(audio[: len(audio) // window * window]).reshape(-1, window).mean(1)
            active = np.flatnonzero(power >= power.max() * 10 ** (QUIET_DB / 10))
            self.activity[recording.start] = (active * window, math.sqrt(power[active].mean()) + 1e-6)
        return self.activity[recording.start]

    def _colour(
        self, audio: NDArray[np.float32], recording: Recording, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """A random equaliser, and a random room for dry recordings."""
        settings = self.settings
        equalise = rng.random() < settings.equaliser
        room = recording.channels == 1 and rng.random() < settings.reverb
        if not equalise and not room:
            return audio
        frames = audio.shape[1]
        size = frames + (SAMPLE_RATE * 3 // 2 if room else 0)
        size = 1 << (size - 1).bit_length()
        spectrum = np.fft.rfft(audio, size)
        if equalise:
            hertz = np.arange(size // 2 + 1) * (SAMPLE_RATE / size)
            points = rng.uniform(-settings.equaliser_db, settings.equaliser_db, 6)
            curve = np.interp(np.log2(hertz + 30), np.log2([40, 150, 500, 1500, 5000, 16000]), points)
            spectrum *= 10 ** (curve / 20)
        if room:
            spectrum *= np.fft.rfft(_room(rng), size)
        return np.fft.irfft(spectrum, size)[:, :frames].astype(np.float32)


def _room(rng: np.random.Generator) -> NDArray[np.float64]:
    """A stereo impulse response ``(2, frames)``: the direct sound, then noise that dies away."""
    seconds = rng.uniform(0.15, 1.2)
    delay = round(rng.uniform(0.002, 0.04) * SAMPLE_RATE)
    time = np.arange(round(min(1.4, 1.1 * seconds) * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal((2, len(time))) * 10 ** (-3 * time / seconds)
    tail *= 10 ** (rng.uniform(-20, -5) / 20) / math.sqrt(float(np.square(tail[0]).sum()))
    response = np.zeros((2, delay + tail.shape[1]))
    response[:, delay:] = tail
    response[:, 0] += 1
    return response


def groups_of(labels: list[str]) -> Tensor:
    """Which stems can be told apart in a mixture of recordings with these labels; see :class:`Batch`.

    >>> groups_of(["vocals", "rest"]).tolist()[2:]
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    first = list(range(len(STEMS)))
    for label in labels:
        members = {first[STEMS.index(stem)] for stem in GROUPS[label]}
        first = [min(members) if group in members else group for group in first]
    groups = torch.zeros(len(STEMS), len(STEMS))
    for stem, group in enumerate(first):
        groups[group, stem] = 1
    return groups
