"""Mixes songs anew for every training step: across songs, at random levels, places, speeds and rooms.

A mixture is of one of three kinds: one song at one time; a voice over an accompaniment, of which no more need
be known than that nobody sings in it; or every stem from a recording of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from separators.training import song_effects as effects
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
    coherent: float = 0.3
    """All stems of a mixture from one song, at one time."""
    over: float = 0.4
    """Of the others: a voice over an accompaniment. In the rest each stem is from its own recording."""
    fill: float = 0.85
    """Stems that a coherent song lacks come from another song."""
    dropped: float = 0.15
    """One stem of a coherent song is left out."""
    sung: float = 0.8
    """A voice sounds over the accompaniment."""
    alone: float = 0.04
    """The voice sounds without its accompaniment."""
    choir: float = 0.12
    """A voice sings with itself, in another key."""
    presence: tuple[float, ...] = (0.75, 0.75, 0.7, 0.85)
    """That a stem sounds, in the order of :data:`STEMS`."""
    levels_db: tuple[float, ...] = (-1.0, 0.0, -2.0, 0.0)
    """Mean level of each stem; :attr:`spread_db` is the deviation."""
    over_db: float = -2.0
    """Mean level of a voice over an accompaniment."""
    spread_db: float = 4.5
    speed: float = 0.8
    speeds: tuple[float, float] = (0.7, 1.4)
    voice_speeds: tuple[float, float] = (0.75, 1.5)
    """Vocals are also raised to the range of women and children, who are rare in the data."""
    equaliser: float = 0.6
    equaliser_db: float = 6.0
    reverb: float = 0.5
    """Only for mono recordings, which are dry."""
    compressor: float = 0.4
    """Of voices, echo, doubling and distortion likewise."""
    echo: float = 0.15
    doubling: float = 0.15
    distortion: float = 0.12
    limiter: float = 0.4
    """On the sum, as the next ones."""
    narrow: float = 0.2
    low_pass: float = 0.12
    low_pass_hertz: tuple[float, float] = (3_500.0, 17_000.0)
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


class _Drawer:
    """Draws recordings: a source by its weight, then one of its recordings by how far it is trusted."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self.recordings: dict[str, list[Recording]] = {}
        for recording in recordings:
            self.recordings.setdefault(recording.source, []).append(recording)
        weights = np.array([found[0].weight for found in self.recordings.values()])
        self.sources = list(self.recordings)
        self.weights = weights / weights.sum() if weights.any() else weights
        trusts = {s: np.array([r.trust for r in found]) for s, found in self.recordings.items()}
        self.trusts = {source: trust / trust.sum() for source, trust in trusts.items()}

    def __bool__(self) -> bool:
        return bool(self.weights.any())

    def __call__(self, rng: np.random.Generator) -> Recording:
        source = self.sources[rng.choice(len(self.sources), p=self.weights)]
        found = self.recordings[source]
        return found[rng.choice(len(found), p=self.trusts[source])]


class Mixer:
    """Mixes the songs of one split anew for every batch."""

    def __init__(self, songs: Songs, split: str, settings: MixingSettings) -> None:
        self.songs = songs
        self.settings = settings
        self.by_song = songs.songs(split)
        mine = [recording for recording in songs.recordings if recording.split == split]
        # A recording that is a sum serves as its last stem, which holds the most of it.
        self.by_stem = {
            stem: _Drawer(r for r in mine if GROUPS[r.stem][-1] == stem and r.stem != "accompaniment")
            for stem in STEMS
        }
        self.accompaniments = _Drawer(r for r in mine if r.stem == "accompaniment")
        if not self.by_stem["other"]:
            self.by_stem["other"] = self.accompaniments
        self.whole = [song for song, recordings in self.by_song.items() if len(recordings) > 1]
        counts = Counter(self.by_song[song][0].source for song in self.whole)
        firsts = [self.by_song[song][0] for song in self.whole]
        weights = np.array([first.weight * first.trust / counts[first.source] for first in firsts])
        self.whole_weights = weights / weights.sum() if self.whole else weights
        self.activity: dict[int, tuple[NDArray[np.int64], float]] = {}

    def __call__(self, rng: np.random.Generator) -> Batch:
        """A batch of mixtures; all randomness comes from ``rng``."""
        items = [self._item(rng) for _ in range(self.settings.batch)]
        targets = torch.from_numpy(np.stack([targets for targets, _ in items]))
        return Batch(targets, torch.stack([groups_of(labels) for _, labels in items]))

    def _item(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], list[str]]:
        settings = self.settings
        targets = np.zeros((len(STEMS), 2, settings.frames), np.float32)
        if self.whole and rng.random() < settings.coherent:
            labels = self._coherent(targets, rng)
        elif self.accompaniments and rng.random() < settings.over:
            labels = self._over(targets, rng)
        else:
            labels = self._apart(targets, STEMS, settings.presence, rng)
        targets = self._mastered(targets, rng)
        rms = math.sqrt(float(np.mean(np.square(targets.sum(0))))) + 1e-4
        targets *= 10 ** (rng.normal(0, settings.loudness_db) / 20) / rms
        return targets, labels

    def _coherent(self, targets: NDArray[np.float32], rng: np.random.Generator) -> list[str]:
        """Add one song, mostly whole, and what it lacks from others; returns the labels."""
        settings = self.settings
        song = self.whole[rng.choice(len(self.whole), p=self.whole_weights)]
        labels = self._song(targets, self.by_song[song], rng)
        missing = set(STEMS) - {stem for label in labels for stem in GROUPS[label]}
        if rng.random() < settings.dropped:
            label = labels[rng.integers(len(labels))]
            targets[[STEMS.index(stem) for stem in GROUPS[label]]] = 0
            labels = [other for other in labels if other != label]
        filled = [stem for stem in STEMS if stem in missing]
        presence = [settings.fill * settings.presence[STEMS.index(stem)] for stem in filled]
        return labels + self._apart(targets, filled, presence, rng)

    def _over(self, targets: NDArray[np.float32], rng: np.random.Generator) -> list[str]:
        """Add a voice over an accompaniment, or one of the two alone; returns the labels."""
        settings = self.settings
        labels = []
        sung = bool(self.by_stem["vocals"]) and rng.random() < settings.sung
        if not (sung and rng.random() < settings.alone):
            recording = self.accompaniments(rng)
            audio, level = self._draw(recording, rng)
            targets[STEMS.index("other")] += audio / np.float32(level)
            labels.append(recording.stem)
        if sung:
            audio, level = self._voice(rng)
            gain_db = settings.over_db + rng.normal(0, settings.spread_db)
            targets[STEMS.index("vocals")] += audio * np.float32(10 ** (gain_db / 20) / level)
            labels.append("vocals")
        return labels

    def _apart(
        self,
        targets: NDArray[np.float32],
        stems: Sequence[str],
        presence: Sequence[float],
        rng: np.random.Generator,
    ) -> list[str]:
        """Add each of ``stems`` with its probability; returns the labels."""
        labels = []
        for stem, probability in zip(stems, presence, strict=True):
            drawer = self.by_stem[stem]
            if not drawer or rng.random() > probability:
                continue
            if stem == "vocals":
                label = "vocals"
                audio, level = self._voice(rng)
            else:
                recording = drawer(rng)
                label = recording.stem
                audio, level = self._draw(recording, rng)
            index = STEMS.index(stem)
            gain_db = self.settings.levels_db[index] + rng.normal(0, self.settings.spread_db)
            targets[index] += audio * np.float32(10 ** (gain_db / 20) / level)
            labels.append(label)
        return labels

    def _mastered(self, targets: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """What is done to a whole mix, done alike to its stems."""
        settings = self.settings
        if rng.random() < settings.narrow:
            width = max(0.0, rng.uniform(-0.5, 1.0))
            targets = np.einsum("ij,sjn->sin", effects.panning(width), targets)
        if rng.random() < settings.low_pass:
            low, high = settings.low_pass_hertz
            targets = effects.low_pass(targets, math.exp(rng.uniform(math.log(low), math.log(high))))
        if rng.random() < settings.limiter:
            targets *= effects.limiting(targets.sum(0), rng.uniform(0, 9))
        return targets

    def _voice(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        """A stretch of singing, with what is done to voices, and its level."""
        settings = self.settings
        recording = self.by_stem["vocals"](rng)
        audio, level = self._draw(recording, rng)
        if rng.random() < settings.choir:
            for _ in range(int(rng.integers(1, 3))):
                other, _ = self._draw(recording, rng)
                audio += other * np.float32(10 ** (rng.uniform(-9, 0) / 20))
        if rng.random() < settings.compressor:
            audio = effects.compressed(audio, rng.uniform(1.5, 6))
        if rng.random() < settings.distortion:
            audio = effects.distorted(audio, rng.uniform(0, 15))
        if rng.random() < settings.doubling:
            audio = effects.doubled(audio, rng)
        if rng.random() < settings.echo:
            audio = effects.echoed(audio, rng)
        return audio, level

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
        audio = soxr.resample(np.ascontiguousarray(audio.T), speed, 1.0, quality="LQ").T
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
        spectrum = torch.fft.rfft(torch.from_numpy(np.ascontiguousarray(audio)), size)
        if equalise:
            hertz = np.arange(size // 2 + 1) * (SAMPLE_RATE / size)
            points = rng.uniform(-settings.equaliser_db, settings.equaliser_db, 6)
            curve = np.interp(np.log2(hertz + 30), np.log2([40, 150, 500, 1500, 5000, 16000]), points)
            spectrum *= torch.from_numpy((10 ** (curve / 20)).astype(np.float32))
        if room:
            spectrum *= torch.fft.rfft(torch.from_numpy(effects.room(rng)), size)
        heard: NDArray[np.float32] = torch.fft.irfft(spectrum, size)[:, :frames].numpy()
        return heard


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
