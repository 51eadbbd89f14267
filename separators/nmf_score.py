"""NMF informed by a score: the MIDI says which notes sound when, the audio says how they sound.

Every pitch of every part has templates of its own (:mod:`separators.score_sounds`), which may be active only
near its notes (Ewert and Müller, ICASSP 2012). So components need no grouping afterwards: each belongs to a
part. A template holds a spectrum for each channel, so that parts that lie apart in the panorama help to tell
them apart. What no note explains goes to the stem ``rest``, for which a few free templates are learned.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio, Piece, PlacedTransform, Separator, Transform
from separators.errors import ParameterError, ScoreError, SeparatorWarning
from separators.nmf_analysis import Analysis
from separators.nmf_blind import mel_filters
from separators.nmf_solver import (
    Matrix,
    activations,
    background_of,
    factorize,
    random_start,
    update,
)
from separators.parameters import Value, content, parameter
from separators.score import Score
from separators.score_alignment import Fit, best_shift
from separators.score_sounds import Sound, activity, frame_seconds, sounds_of, starting_templates, transposed
from separators.spectral import apply_masks, fft_size_for, ratio_masks

BETA = 1
TIED_ITERATIONS = 0
"""Iterations in which an instrument's pitches share an envelope."""
BANDS = 40
"""Mel bands of an envelope."""
FRAMES_AT_ONCE = 128
"""Only the sounds that the score has in so many frames are solved for together."""
REST = "rest"
NEGLIGIBLE_SECONDS = 5.0
"""A score may end this much before or after the audio without a word about it."""


class ScoreNMF(Separator):
    """Separates by a score: one stem per MIDI track, channel or choice of notes, and the ``rest``.

    The score's times count from the first frame of the audio. The method warns
    (:class:`~separators.errors.SeparatorWarning`) if the score does not match the audio, and by how much it
    is off; with ``align`` it shifts the score. Raises :class:`~separators.errors.ParameterError` for a file
    that is no MIDI file or holds no notes, and where stems are asked for without a score.
    """

    name = "nmf-score"
    summary = "splits by a score: one stem per MIDI track, channel or choice of notes"
    block_seconds = 10.0

    score: Score = content(Score, "The notes: the path of a Standard MIDI file of type 0 or 1.")
    split: str = parameter(
        "track",
        "What becomes a stem: each MIDI track (each channel, if there is one track), each channel, or "
        "the choices in `notes`.",
        choices=("track", "channel", "notes"),
    )
    notes: str = parameter(
        "", "The stems of split notes, such as `left=21-59, right=60-108` or `kick=35+36@10` (channel 10)."
    )
    align: bool = parameter(False, "Shift the score to where it fits the audio best, by up to 10 seconds.")
    tolerance_seconds: float = parameter(
        0.05, "How much earlier or later than written a note may begin and end.", minimum=0.0, maximum=0.5
    )
    release_seconds: float = parameter(
        0.2, "How long a note may sound on after its end.", minimum=0.0, maximum=5.0
    )
    iterations: int = parameter(10, "Iterations when learning the templates.", minimum=1, maximum=1000)
    rest_templates: int = parameter(4, "Free templates for what is not in the score.", minimum=0, maximum=100)
    fft_size: int = parameter(
        0,
        "Window of the spectral analysis; 0 takes the power of two nearest to 93 ms.",
        unit="samples",
        choices=(0, 1024, 2048, 4096, 8192, 16384),
    )
    mask_power: float = parameter(
        2.0, "Contrast of the masks: 1 shares by magnitude, 2 by power.", minimum=0.5, maximum=8.0
    )

    def __init__(self, **values: Value) -> None:
        super().__init__(**values)
        if (self.split == "notes") != bool(self.notes):
            raise ParameterError(
                "nmf-score: split notes needs the choices in notes, such as left=21-59, right=60-108"
                if self.split == "notes"
                else f"nmf-score: notes {self.notes!r} needs split notes, not split {self.split}"
            )
        if self.score:
            self._parts()

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The parts' names in the score's order, then ``rest``."""
        names = [part.name for part in self._parts().parts]
        rest = REST
        while rest in names:
            rest += " of all"
        return (*names, rest)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """:meth:`fit_placed` for audio that begins with ``sample``, and blocks that all begin there, too."""
        transform = self.fit_placed(sample, sample_rate, [Piece(0, 0, sample.shape[1])])
        return lambda block: transform(block, 0)

    def fit_placed(self, sample: Audio, sample_rate: int, pieces: Sequence[Piece]) -> PlacedTransform:
        """Learn how the score's notes sound in ``sample``; the transform solves for their activations."""
        analysis = Analysis(sample_rate, self.fft_size or 2 * fft_size_for(sample_rate), 4, BETA)
        stft = analysis.stft
        V = _side_by_side(analysis, sample)
        seconds = frame_seconds(stft, sample.shape[1], sample_rate, pieces)
        middle = V.reshape(len(V), -1, stft.bins).mean(axis=1)
        score = self._aligned(best_shift(middle, stft, sample_rate, seconds, self._parts()))
        self._look_at_ends(score, (pieces[-1].start + pieces[-1].frames) / sample_rate)
        sounds = sounds_of(score, self.tolerance_seconds, self.release_seconds)
        start_W = starting_templates(sounds, stft, sample_rate)
        W = self._learned(V, sounds, activity(sounds, seconds), start_W, analysis)
        parts = np.array([sound.part for sound in sounds] + [len(score.parts)] * (len(W) - len(sounds)))
        background = background_of(V)

        def transform(block: Audio, start: int) -> Audio:
            V = _side_by_side(analysis, block)
            channels, frames = block.shape
            seconds = frame_seconds(stft, frames, sample_rate, [Piece(0, start, frames)])
            allowed = np.ones((len(V), len(W)), bool)
            allowed[:, : len(sounds)] = activity(sounds, seconds) > 0
            models = np.zeros((len(score.parts) + 1, *V.shape), np.float32)
            models[-1] = background
            for rows in _runs(len(V)):
                sounding = np.flatnonzero(allowed[rows].any(axis=0))
                if not len(sounding):
                    continue
                h = activations(V[rows], W[sounding], BETA, background, allowed[rows][:, sounding])
                for part in np.unique(parts[sounding]):
                    own = parts[sounding] == part
                    models[part, rows] += h[:, own] @ W[sounding[own]]
            # (stems, frames, channels * bins) -> (stems, channels, bins, frames)
            masks = ratio_masks(models, self.mask_power)
            masks = masks.reshape(len(models), len(V), channels, stft.bins).transpose(0, 2, 3, 1)
            return apply_masks(stft.forward(block), masks, stft, frames)

        return transform

    def _parts(self) -> Score:
        """The score with a part for each stem."""
        if not self.score:
            raise ScoreError("nmf-score: there is no score; give a MIDI file with notes as score")
        if self.split == "channel":
            return self.score.by_channel()
        return self.score.by_notes(self.notes) if self.split == "notes" else self.score.by_tracks()

    def _aligned(self, fit: Fit | None) -> Score:
        """The parts, shifted if wanted; warns of a score that does not fit."""
        parts = self._parts()
        if fit is None:
            return parts
        off = f"{abs(fit.seconds):.2f} s {'later' if fit.seconds > 0 else 'earlier'}"
        if not fit.is_plain:
            _warn("the score does not match the audio at any shift up to 10 s; is it of this recording?")
        elif self.align:
            return parts.shifted(fit.seconds)
        elif abs(fit.seconds) > max(self.tolerance_seconds, 0.05):
            _warn(f"the score fits the audio best {off}; align (--align) shifts it there")
        return parts

    def _look_at_ends(self, score: Score, end: float) -> None:
        """Warn of a score that is much shorter or longer than the audio, which ends at ``end`` seconds."""
        if score.end < end - NEGLIGIBLE_SECONDS:
            _warn(f"the score ends at {score.end:.1f} s, the audio at {end:.1f} s; what follows is in {REST}")
        elif score.end > end + NEGLIGIBLE_SECONDS:
            _warn(f"the score ends at {score.end:.1f} s, the audio already at {end:.1f} s")

    def _learned(
        self, V: Matrix, sounds: Sequence[Sound], allowed: Matrix, W: Matrix, analysis: Analysis
    ) -> Matrix:
        """The templates of ``sounds``, ``allowed`` as the score says, and of the rest, behind them."""
        channels = V.shape[1] // analysis.stft.bins
        W = np.tile(W, channels) / np.float32(channels)
        heard = np.asarray(allowed.any(axis=0))
        if not heard.any():
            H = allowed[:, heard]
        else:
            H = allowed[:, heard] * np.float32(float(V.sum()) / float(allowed.sum()))
            families = _families([sound for sound, is_heard in zip(sounds, heard, strict=True) if is_heard])
            tied = tied_templates(V, H, W[heard], families, analysis, TIED_ITERATIONS)
            H, learned, _ = factorize(V, *tied, BETA, self.iterations, 0.0)
            W[heard] = learned
            _teach_unheard(W, sounds, heard, channels)
        if not self.rest_templates:
            return W
        left = (V - H @ W[heard]).clip(0) + np.float32(background_of(V))
        H_rest, W_rest = random_start(left, self.rest_templates, 0)
        _, found, _ = factorize(left, H_rest, W_rest, BETA, self.iterations, 0.0)
        return np.concatenate([W, found])


def tied_templates(
    V: Matrix, H: Matrix, W: Matrix, families: Sequence[NDArray[np.intp]], analysis: Analysis, iterations: int
) -> tuple[Matrix, Matrix]:
    """Learn ``H`` and, for each of ``families``, one spectral envelope that its templates ``W`` share.

    An envelope is a gain for each of :data:`BANDS` mel bands and each channel, on the templates as they
    start. Each iteration is an update of all templates, after which the envelopes are those that
    explain them best: the maximisation step for tied parameters.
    """
    bins, rate = analysis.stft.bins, analysis.sample_rate
    filters = mel_filters(BANDS, bins, rate)
    filters[0, 0] = filters[-1, -1] = 1  # no filter reaches the ends
    filters /= filters.sum(axis=1, keepdims=True)
    background = background_of(V)
    start = W.reshape(len(W), -1, bins)
    W = W.copy()
    for _ in range(iterations):
        H, W = update(V, H, W, BETA, background)
        strength = H.sum(axis=0)
        found = W.reshape(start.shape)
        for family in families:
            had = np.tensordot(strength[family], start[family], 1) @ filters
            has = np.tensordot(strength[family], found[family], 1) @ filters
            gains = np.divide(has, had, out=np.zeros_like(has), where=had > 0)
            found[family] = start[family] * (gains @ filters.T)
    return H, W


def _families(sounds: Sequence[Sound]) -> list[NDArray[np.intp]]:
    """The numbers of the sounds that share an envelope: those of an instrument's pitches at the same stage."""
    kinds: dict[tuple[int, bool, int], list[int]] = defaultdict(list)
    for index, sound in enumerate(sounds):
        if not sound.is_drum:
            kinds[_kind(sound)].append(index)
    return [np.array(indices) for indices in kinds.values()]


def _teach_unheard(W: Matrix, sounds: Sequence[Sound], heard: NDArray[np.bool_], channels: int) -> None:
    """Give pitches that the sample does not hold the template of their part's nearest one, transposed.

    In place; drums, which have no neighbours, keep what they started with, and so do parts not heard at all.
    """
    for index, sound in enumerate(sounds):
        if heard[index]:
            continue
        near = [
            (abs(other.pitch - sound.pitch), place)
            for place, other in enumerate(sounds)
            if heard[place] and not sound.is_drum and _kind(other) == _kind(sound) and W[place].any()
        ]
        if near:
            place = min(near)[1]
            semitones = sound.pitch - sounds[place].pitch
            template = np.concatenate([transposed(part, semitones) for part in np.split(W[place], channels)])
            if total := float(template.sum()):
                W[index] = template / total


def _side_by_side(analysis: Analysis, audio: Audio) -> Matrix:
    """The channels' spectrograms beside each other, ``(frames, channels * bins)``."""
    return np.concatenate([analysis.spectrogram(channel[np.newaxis]) for channel in audio], axis=1)


def _kind(sound: Sound) -> tuple[int, bool, int]:
    return sound.part, sound.is_drum, sound.stage


def _runs(frames: int) -> Iterator[slice]:
    return (slice(first, first + FRAMES_AT_ONCE) for first in range(0, frames, FRAMES_AT_ONCE))


def _warn(message: str) -> None:
    warnings.warn(f"nmf-score: {message}", SeparatorWarning, stacklevel=2)
