"""Mixtures of speakers made on the fly, different in every step and the same for the same seed.

Each voice is a random stretch of a random speaker, played at a random speed (which moves pitch
and formants: a new voice), through a random equaliser and sometimes a small room, at a
random level. Voices of many mixtures take turns, some are silent for a part of the segment or all of it,
some are close in pitch. Some mixtures are band-limited like telephone lines or 8 kHz files, some carry
a noise floor, some have music behind the voices: what is no voice is what the voices leave of the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from separators.neural.network import SAMPLE_RATE
from separators.training.conversations import turn_gates, with_pauses
from separators.training.corpus import Corpus, Utterance
from separators.training.pitch import median_pitch

Array = NDArray[np.float32]

ACTIVE_RANGE_DB = 30.0
"""Frames within this range of the loudest count as speech."""
FRAME = SAMPLE_RATE // 50
NOISE_DB = (-65.0, -30.0)
"""Level of noise, against that of a voice."""
LEAD_SECONDS = 0.3
"""Drawn before each segment, so that a room's reverberation has already built up."""


@dataclass(frozen=True)
class MixingSettings:
    """What the mixtures are like; probabilities from 0 to 1."""

    seconds: float = 12.0
    """Long enough for several turns of both voices."""
    batch: int = 2
    speakers: tuple[int, ...] = (2,)
    """Numbers of speakers to choose from, one per batch."""
    level_range_db: float = 5.0
    """Levels of the voices differ by up to this much."""
    speeds: tuple[float, float] = (0.8, 1.25)
    equaliser_db: float = 3.0
    room: float = 0.2
    band_limit: float = 0.35
    noise: float = 0.4
    turns: float = 0.4
    """Probability that the voices take turns."""
    partial: float = 0.2
    """Probability that a voice is silent for a part of the segment where they do not."""
    pauses: float = 0.4
    """Probability that a voice stops now and then, whether others talk or not."""
    alone: float = 0.15
    """Probability that all voices but one are silent throughout."""
    close: float = 0.3
    """Probability that the first two voices are brought to the same pitch, give or take three semitones."""
    background: float = 0.35
    """Probability of music behind the voices, if the corpus has some."""
    background_db: tuple[float, float] = (-22.0, 4.0)
    """Its level, against that of a voice."""
    pairs: bool = False
    """Whether every second mixture has the same speakers as the one before, saying something else."""
    source_weights: dict[str, float] = field(default_factory=dict)
    """How much more often speakers of a source (a manifest's column) are drawn."""


ALL_TALK = MixingSettings(turns=0.0, partial=0.0, pauses=0.0, alone=0.0)
"""Everybody talks all the time."""


class Mixer:
    """Draws batches ``(mixture (batch, frames), targets (batch, speakers, frames))``."""

    def __init__(self, corpus: Corpus, split: str, settings: MixingSettings) -> None:
        self.corpus = corpus
        self.settings = settings
        self.voices = list(corpus.speakers(split).values())
        # A speaker with more recordings is drawn more often, but not in proportion.
        weights = np.array(
            [
                np.sqrt(sum(u.frames for u in voice)) * settings.source_weights.get(voice[0].source, 1.0)
                for voice in self.voices
            ]
        )
        self.weights = weights / weights.sum()
        self.backgrounds = corpus.backgrounds(split)
        self.pitches: dict[int, float] = {}
        """In hertz, of the voices that were asked for so far; NaN where unknown."""

    def __call__(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw one batch; a mixture has an RMS of about 1."""
        mixture, sources, _ = self.draw(rng)
        return mixture, sources

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, list[list[Utterance]]]:
        """Draw one batch, and for each voice a recording of who speaks."""
        settings = self.settings
        count = int(rng.choice(settings.speakers))
        lead = round(LEAD_SECONDS * SAMPLE_RATE)
        frames = lead + round(settings.seconds * SAMPLE_RATE)
        dry = np.empty((settings.batch, count, frames), np.float32)
        who: list[list[Utterance]] = []
        for index, row in enumerate(dry):
            if not (settings.pairs and index % 2):
                chosen = rng.choice(len(self.voices), count, replace=False, p=self.weights)
            speeds = self._speeds(chosen, rng)
            for voice, speed, out in zip(chosen, speeds, row, strict=True):
                out[:] = self._segment(int(voice), speed, frames, rng)
            who.append([self.voices[voice][0] for voice in chosen])
        sources = torch.from_numpy(self._filtered(dry, rng)[:, :, lead:].copy())
        for voices in sources:
            if rng.random() < settings.turns:
                voices *= torch.from_numpy(turn_gates(count, voices.shape[1], rng))
            elif rng.random() < settings.partial:
                _silence_part(voices, rng)
            if rng.random() < settings.alone:
                # Not one whose turn never comes: nothing would be left.
                talking = np.flatnonzero(voices.square().sum(1).numpy() > 0)
                voices[torch.arange(count) != int(rng.choice(talking))] = 0
        mixture = sources.sum(1)
        for row in mixture:
            if self.backgrounds and rng.random() < settings.background:
                row += self._background(len(row), rng)
        if rng.random() < settings.noise:
            mixture = mixture + _noise(len(mixture), mixture.shape[1], rng)
        gain = torch.from_numpy(10 ** (rng.uniform(-6, 6, (settings.batch, 1)) / 20)).float()
        gain = gain / mixture.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
        return mixture * gain, sources * gain[:, None], who

    def _speeds(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> list[float]:
        """How fast each of the ``chosen`` voices is played."""
        slowest, fastest = self.settings.speeds
        speeds = [float(rng.uniform(slowest, fastest)) for _ in chosen]
        if rng.random() < self.settings.close:
            first, second = (self._pitch(int(voice)) for voice in chosen[:2])
            wanted = speeds[0] * first / second * 2 ** (rng.uniform(-3, 3) / 12)
            if slowest <= wanted <= fastest:  # not where a pitch is unknown, and NaN
                speeds[1] = wanted
        return speeds

    def _pitch(self, voice: int) -> float:
        if voice not in self.pitches:
            self.pitches[voice] = median_pitch(self.corpus.audio(self.voices[voice][0]))
        return self.pitches[voice]

    def _background(self, frames: int, rng: np.random.Generator) -> Tensor:
        """A stretch of a recording without voices, at a random level."""
        stretch = torch.from_numpy(self._stretch(self.backgrounds, frames, rng)).float()
        level = 10 ** (rng.uniform(*self.settings.background_db) / 20)
        return stretch * (level / active_level(stretch.numpy()))

    def _segment(self, voice: int, speed: float, frames: int, rng: np.random.Generator) -> Array:
        """A stretch of a speaker at a speed, at an active level of 1."""
        wanted = int(frames * speed) + 64
        utterances = self.voices[voice]
        stretches = []
        for _ in range(3):  # a few tries for a stretch that is not mostly pauses
            stretch = self._stretch(utterances, wanted, rng)
            stretches.append((float(_is_active(stretch).mean()), stretch))
            if stretches[-1][0] > 0.5:
                break
        best = max(stretches, key=lambda pair: pair[0])[1].astype(np.float32) / 32768
        audio = soxr.resample(best, speed * SAMPLE_RATE, SAMPLE_RATE, quality="LQ")[:frames]
        padded = np.zeros(frames, np.float32)
        padded[: len(audio)] = audio / active_level(audio)
        return with_pauses(padded, rng) if rng.random() < self.settings.pauses else padded

    def _stretch(
        self, utterances: list[Utterance], wanted: int, rng: np.random.Generator
    ) -> NDArray[np.int16]:
        parts: list[NDArray[np.int16]] = []
        missing = wanted
        while missing > 0:
            audio = self.corpus.audio(utterances[rng.integers(len(utterances))])
            start = int(rng.integers(max(1, len(audio) - missing + 1)))
            parts.append(audio[start : start + missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def _filtered(self, dry: Array, rng: np.random.Generator) -> Array:
        """Equaliser, room, band limit and level of each voice, in one multiplication of spectra."""
        settings = self.settings
        batch, count, frames = dry.shape
        size = 1 << (frames + SAMPLE_RATE // 2).bit_length()
        bins = size // 2 + 1
        spectra = torch.fft.rfft(torch.from_numpy(dry), size)
        hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
        coarse = np.linspace(0, SAMPLE_RATE / 2, 513)
        knots_hz = np.geomspace(80, SAMPLE_RATE / 2, 6)
        for b in range(batch):
            room = rng.random() < settings.room
            decay = rng.uniform(0.1, 0.4)
            limit = np.ones(bins, np.float32)
            if rng.random() < settings.band_limit:
                # Half of them like an 8 kHz file, the others anywhere.
                cutoff = 4000.0 if rng.random() < 0.5 else rng.uniform(3000, 7500)
                limit = np.clip((cutoff - hertz) / 100 + 0.5, 0, 1).astype(np.float32)
            for k in range(count):
                curve = np.interp(coarse, knots_hz, rng.normal(0, settings.equaliser_db, len(knots_hz)))
                level = rng.uniform(-0.5, 0.5) * settings.level_range_db
                gain = 10 ** ((curve + level) / 20)
                response = torch.from_numpy(np.interp(hertz, coarse, gain).astype(np.float32) * limit)
                spectra[b, k] *= response
                if room:
                    spectra[b, k] *= torch.fft.rfft(torch.from_numpy(_room(decay, rng)), size)
        filtered: Array = torch.fft.irfft(spectra, size)[..., :frames].numpy()
        return filtered


def _noise(count: int, frames: int, rng: np.random.Generator) -> Tensor:
    """``(count, frames)`` of noise from white to brown, as rooms and microphones have, at random levels."""
    white = torch.from_numpy(rng.standard_normal((count, frames), np.float32))
    noise = coloured(white, rng.uniform(0, 1, (count, 1)))
    return noise * torch.from_numpy(10 ** (rng.uniform(*NOISE_DB, (count, 1)) / 20)).float()


def coloured(white: Tensor, slopes: NDArray[np.float64]) -> Tensor:
    """``white`` noise ``(count, frames)`` at 16 kHz whose amplitudes fall with frequency, by ``slopes``.

    Of ``(count, 1)`` slopes 0 leaves it white, 0.5 makes it pink, 1 brown, down to 50 Hz. Its level stays.
    """
    frames = white.shape[1]
    shapes = np.maximum(np.fft.rfftfreq(frames, 1 / SAMPLE_RATE), 50.0) ** -slopes
    shapes /= np.sqrt(np.square(shapes).mean(1, keepdims=True))
    noise: Tensor = torch.fft.irfft(
        torch.fft.rfft(white) * torch.from_numpy(shapes.astype(np.float32)), frames
    )
    return noise


def _silence_part(voices: Tensor, rng: np.random.Generator) -> None:
    """Silence one of ``voices`` ``(speakers, frames)`` before or after a random moment."""
    count, frames = voices.shape
    moment = int(rng.uniform(0.15, 0.6) * frames)
    fade = torch.linspace(0, 1, FRAME)
    ramp = torch.cat([torch.zeros(moment - FRAME), fade, torch.ones(frames - moment)])
    voices[int(rng.integers(count))] *= ramp if rng.random() < 0.5 else ramp.flip(0)


def active_level(audio: Array) -> float:
    """RMS over the frames (20 ms) that are within 30 dB of the loudest; at least 1e-6."""
    energy = _energies(audio)
    active = energy[energy > energy.max(initial=0.0) * 10 ** (-ACTIVE_RANGE_DB / 10)]
    return max(1e-6, float(np.sqrt(active.mean()))) if len(active) else 1e-6


def _is_active(audio: NDArray[np.int16]) -> NDArray[np.bool_]:
    energy = _energies(audio.astype(np.float32))
    active: NDArray[np.bool_] = energy > energy.max(initial=0.0) * 10 ** (-ACTIVE_RANGE_DB / 10)
    return active


def _energies(audio: Array) -> Array:
    usable = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    energies: Array = np.square(usable, dtype=np.float32).mean(1)
    return energies


def _room(decay_seconds: float, rng: np.random.Generator) -> Array:
    """A small room: the direct sound and exponentially decaying noise, 3 to 15 dB below it in energy."""
    length = int(decay_seconds * SAMPLE_RATE)
    tail = rng.standard_normal(length, np.float32)
    tail *= 10 ** (-3 * np.arange(length, dtype=np.float32) / length)
    tail[: int(rng.uniform(0.001, 0.008) * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(3, 15) / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1
    return tail
