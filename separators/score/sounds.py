"""What a score says of a spectrogram: which sounds there are, when they may sound, how they start out.

Each pitch of each part has a few sounds, one template each: an instrument's pitch its onset and what follows,
a drum its strike and stages of its decay. A sound may be active only where the score has it, widened by
the onset tolerance and the release; where it is zero an NMF leaves it zero. Harmonic sounds start as a
comb of narrow triangles at the pitch's overtones and stay zero between them (Ewert and Müller, ICASSP 2012).
How their overtones and their notes fall off is that of their :mod:`General MIDI instrument
<separators.score.general_midi>`.
Drums start broadband, leaning on the average drums of :mod:`separators.nmf.drum_templates`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separators.base import Piece
from separators.nmf.drum_templates import learned, templates
from separators.nmf.solver import Matrix
from separators.score.general_midi import timbre
from separators.score.notes import Note
from separators.score.score import Score
from separators.spectral import STFT

Seconds = NDArray[np.float64]

LEAST_LOUDNESS = 1e-3
"""Even a note that the score calls silent may sound."""
ONSET_SECONDS = 0.06
"""How long the onset of an instrument's note lasts."""
DRUM_STAGES = (0.0, 0.04, 0.12, 0.6)
"""Where the strike of a drum and the stages of its decay begin, and the last one ends, in seconds."""
HALF_WIDTH_SEMITONES, HALF_WIDTH_BINS = 0.5, 1.6
"""Half the width of an overtone in a starting template: the larger of both."""
OVERTONES = 40
NEIGHBOUR = 0.8
"""How much less a pitch says of another for each semitone between them."""
RELEASED = 0.3
"""How loud a note is after its end, at first."""
LEAST_DECAYED = 0.03
"""A held note is taken to fall no farther than to this: its half-life is known but roughly."""
ONSET_FLOOR = 0.05
"""The broadband part of an onset's starting template, relative to its harmonic part."""
DRUM_FLOOR = 0.1
"""The broadband part of a drum's starting template."""
GENERAL_MIDI_DRUMS = (
    dict.fromkeys((35, 36), "kick")
    | dict.fromkeys((37, 38, 40), "snare")
    | {39: "clap", 42: "hihat", 44: "hihat", 46: "hihat-open"}
    | dict.fromkeys((41, 43, 45, 47, 48, 50), "tom")
    | dict.fromkeys((49, 51, 52, 53, 55, 57, 59), "cymbal")
)
"""The drum that a General MIDI pitch starts out like; others like percussion."""


@dataclass(frozen=True)
class Sound:
    """One template and when it may sound: starts and ends in seconds, and how loud its notes are."""

    part: int
    pitch: int
    is_drum: bool
    stage: int
    program: int | None
    starts: Seconds
    ends: Seconds
    releases: Seconds
    """Where its notes' keys go up."""
    loudness: NDArray[np.float64]

    @property
    def kind(self) -> tuple[int, bool, int, int | None]:
        """What sounds share that differ in pitch alone."""
        return self.part, self.is_drum, self.stage, self.program


def sounds_of(score: Score, tolerance: float, release: float) -> list[Sound]:
    """All sounds of ``score``, part by part and pitch by pitch."""
    sounds = []
    for part, notes_of_part in enumerate(score.parts):
        pitches: dict[tuple[bool, int, int], list[Note]] = defaultdict(list)
        for note in notes_of_part.notes:
            number = -1 if note.is_drum or note.program is None else note.program
            pitches[note.is_drum, note.pitch, number].append(note)
        for (is_drum, pitch, number), notes in sorted(pitches.items()):
            program = None if number < 0 else number
            starts = np.array([note.start for note in notes])
            ends = starts + [note.length for note in notes]
            loudness = np.array([(note.velocity / 127) ** 2 * note.volume for note in notes])
            loudness = loudness.clip(min=LEAST_LOUDNESS)
            if is_drum:
                stages = [(starts + a, starts + b) for a, b in itertools.pairwise(DRUM_STAGES)]
            else:
                stages = [(starts, ends + release), (starts, starts + ONSET_SECONDS)]
            for stage, (first, last) in enumerate(stages):
                start, end = first - tolerance, last + tolerance
                sounds.append(Sound(part, pitch, is_drum, stage, program, start, end, ends, loudness))
    return sounds


def frame_seconds(stft: STFT, length: int, sample_rate: int, pieces: Sequence[Piece]) -> Seconds:
    """When the frames of an STFT of ``length`` samples lie in the whole audio that ``pieces`` are of."""
    centres = stft.centres(length)
    places = np.array([piece.place for piece in pieces])
    moved = np.array([piece.start - piece.place for piece in pieces])
    index = np.searchsorted(places, centres, side="right") - 1
    return np.asarray((centres + moved[index.clip(0)]) / sample_rate)


def activity(sounds: Sequence[Sound], seconds: Seconds) -> Matrix:
    """How strongly the score has each sound in frames at ``seconds``, ``(frames, sounds)``."""
    found = np.zeros((len(seconds), len(sounds)), np.float32)
    if not len(seconds):
        return found
    # Times rise within the pieces of a sample, and jump between them.
    borders = [0, *(np.flatnonzero(np.diff(seconds) > 2 * np.median(np.diff(seconds))) + 1), len(seconds)]
    for first, last in itertools.pairwise(borders):
        times = seconds[first:last]
        for column, sound in enumerate(sounds):
            starts = first + np.searchsorted(times, sound.starts)
            ends = first + np.searchsorted(times, sound.ends, side="right")
            for note in np.flatnonzero(starts < ends).tolist():
                frames = slice(starts[note], ends[note])
                rows = found[frames, column]
                np.maximum(rows, sound.loudness[note] * _course(sound, note, seconds[frames]), out=rows)
    return found


def _course(sound: Sound, note: int, seconds: Seconds) -> Seconds:
    """How a note's loudness goes on from its start, 1 there: it decays as its instrument does."""
    if sound.is_drum or sound.stage:
        return np.ones_like(seconds)
    held = (seconds - sound.starts[note]) / timbre(sound.program).half_life
    released = np.where(seconds > sound.releases[note], RELEASED, 1.0)
    return np.asarray(np.maximum(0.5**held, LEAST_DECAYED) * released)


def starting_templates(sounds: Sequence[Sound], stft: STFT, sample_rate: int) -> Matrix:
    """A template for each sound, ``(sounds, bins)``; each sums to one."""
    drums = dict(zip(learned(), templates(list(learned().values()), stft, sample_rate), strict=True))
    hop = stft.hop / sample_rate
    rows = np.empty((len(sounds), stft.bins), np.float32)
    for row, sound in zip(rows, sounds, strict=True):
        if sound.is_drum:
            drum = drums[GENERAL_MIDI_DRUMS.get(sound.pitch, "percussion")]
            first = min(int(DRUM_STAGES[sound.stage] / hop), len(drum) - 1)
            last = max(int(DRUM_STAGES[sound.stage + 1] / hop), first + 1)
            shape, floor = drum[first:last].sum(axis=0), DRUM_FLOOR
        else:
            shape = harmonic_comb(sound.pitch, timbre(sound.program).steepness, stft, sample_rate)
            floor = ONSET_FLOOR * (sound.stage == 1)
        row[:] = shape / max(float(shape.sum()), float(np.finfo(np.float32).tiny)) + floor / stft.bins
        row /= row.sum()
    return rows


def harmonic_comb(pitch: int, steepness: float, stft: STFT, sample_rate: int) -> Matrix:
    """Triangles at the overtones n of ``pitch`` that fall off like ``n ** -steepness``, ``(bins,)``."""
    width = sample_rate / stft.fft_size
    hertz = np.arange(stft.bins) * width
    comb = np.zeros(stft.bins)
    fundamental = 440 * 2 ** ((pitch - 69) / 12)
    for overtone in range(1, OVERTONES + 1):
        centre = fundamental * overtone
        if overtone > 1 and centre > sample_rate / 2:
            break
        half = max(centre * (2 ** (HALF_WIDTH_SEMITONES / 12) - 1), HALF_WIDTH_BINS * width)
        triangle = (1 - np.abs(hertz - min(centre, hertz[-1])) / half).clip(0)
        comb = np.maximum(comb, triangle / overtone**steepness)
    return np.asarray(comb, np.float32)


def transposed(template: Matrix, semitones: int) -> Matrix:
    """``template`` ``(bins,)`` for a pitch ``semitones`` higher."""
    bins = np.arange(len(template))
    return np.asarray(np.interp(bins / 2 ** (semitones / 12), bins, template), np.float32)


def neighbours(templates: Matrix, sounds: Sequence[Sound]) -> Matrix:
    """For each sound its part's ``templates`` ``(sounds, bins)`` of the same stage, transposed and averaged.

    Each row sums to one. They count by their own sums, and less the farther away their pitch is. Drums, which
    have no neighbours, get zeros.
    """
    kinds = defaultdict(list)
    for index, sound in enumerate(sounds):
        if not sound.is_drum:
            kinds[sound.kind].append(index)
    found = np.zeros_like(templates)
    for rows in kinds.values():
        rows.sort(key=lambda index: sounds[index].pitch)
        found[rows] = templates[rows]
        # What lies below is handed up from pitch to pitch, then what lies above is handed down.
        for order in (rows, rows[::-1]):
            handed = np.zeros_like(templates[0])
            for before, now in itertools.pairwise(order):
                semitones = sounds[now].pitch - sounds[before].pitch
                weight = np.float32(NEIGHBOUR ** abs(semitones) / 2 ** (semitones / 12))
                handed = weight * transposed(handed + templates[before], semitones)
                found[now] += handed
    totals = found.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(found, totals, out=found, where=totals > 0), np.float32)
