"""NMF informed by a score: the MIDI says which notes sound when, the audio says how they sound.

Every pitch of every part has templates of its own (:mod:`separators.score.sounds`), which may be active only
near its notes (Ewert and Müller, ICASSP 2012). So components need no grouping afterwards: each belongs to a
part. All templates of a part share one gain for each channel, which tells parts apart that lie apart in the
panorama. Templates, activations and gains lean on what the score says of them: instruments, velocities,
volume and pan; parts that play the same notes could be told apart by nothing else. What no note explains goes
to the stem ``rest``, for which free templates can be learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio, Piece, PlacedTransform, Separator, Transform
from separators.blas_threads import on_one_thread
from separators.errors import ParameterError, ScoreError
from separators.nmf.analysis import Analysis
from separators.nmf.solver import (
    Matrix,
    Prior,
    activations,
    background_of,
    factorize,
    random_start,
    terms_of,
    updated_activations,
)
from separators.parameters import Held, content, parameter
from separators.registry import BUILT_IN
from separators.remarks import remark
from separators.score.alignment import Fit, best_shift
from separators.score.score import Score
from separators.score.sounds import (
    Sound,
    activity,
    frame_seconds,
    neighbours,
    sounds_of,
    starting_templates,
    transposed,
)
from separators.spectral import apply_masks, fft_size_for, ratio_masks

BETA = 1
LEAST_SHIFT = 0.1
"""Seconds by which a score may be off without a word about it: it costs little."""
LEAST_MODEL = np.float32(1e-6)
"""The smallest model that counts, relative to the background on which all stand."""
LEAST_GAIN = 0.02
"""A channel that starts with no gain at all would never get one."""
START_PRIOR, NEIGHBOUR_PRIOR = 0.1, 0.5
"""The weights of what a template starts from and of its part's other pitches, beside a mean pitch's sound."""
ACTIVITY_PRIOR, GAIN_PRIOR = 0.1, 0.3
"""The weights of the score's loudness and pan, beside what is heard of a template and of a part."""
REST_SHARE = 0.1
"""How loud templates of the rest start out, beside a note of velocity 127 at full volume."""
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
    summary = BUILT_IN[name].summary
    block_seconds = 10.0

    score: Held[Score] = content(
        default=Score(), help="The notes: the path of a Standard MIDI file of type 0 or 1."
    )
    split: str = parameter(
        default="track",
        help="What becomes a stem: each MIDI track (each channel, if there is one track), each channel, or "
        "the choices in `notes`.",
        choices=("track", "channel", "notes"),
    )
    notes: str = parameter(
        default="",
        help="The stems, such as `left=21-59, right=60-108` or `kick=35+36@10` (channel 10).",
        serves={"split": ("notes",)},
    )
    align: bool = parameter(
        default=False, help="Shift the score to where it fits the audio best, by up to 10 seconds."
    )
    tolerance_seconds: float = parameter(
        default=0.05,
        help="How much earlier or later than written a note may begin and end.",
        minimum=0.0,
        maximum=0.5,
    )
    release_seconds: float = parameter(
        default=0.2, help="How long a note may sound on after its end.", minimum=0.0, maximum=5.0
    )
    iterations: int = parameter(
        default=20,
        help="Iterations when learning; with many, templates learn from each other's sounds.",
        minimum=1,
        maximum=1000,
    )
    rest_templates: int = parameter(
        default=0,
        help="Free templates for what is not in the score, such as a voice; they also take a share of what "
        "is in it. With 0 the rest is only what no note can explain.",
        minimum=0,
        maximum=100,
    )
    fft_size: int = parameter(
        default=0,
        help="Window of the spectral analysis; 0 takes the power of two nearest to 93 ms.",
        unit="samples",
        choices=(0, 1024, 2048, 4096, 8192, 16384),
    )
    mask_power: float = parameter(
        default=1.5,
        help="Contrast of the masks: 1 shares by magnitude, 2 by power.",
        minimum=0.5,
        maximum=8.0,
    )

    def __post_init__(self) -> None:
        """Read the choice of notes now, not in the middle of a job."""
        if self.split == "notes" and not self.notes:
            raise ParameterError(
                "nmf-score: split notes needs the choices in notes, such as left=21-59, right=60-108"
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
        templates = starting_templates(sounds, stft, sample_rate)
        W, levels = self._learned(
            V, sounds, activity(sounds, seconds), templates, _starting_gains(score, len(sample))
        )
        parts = np.array([sound.part for sound in sounds] + [len(score.parts)] * (len(W) - len(sounds)))
        weights = np.float32(ACTIVITY_PRIOR) * (parts < len(score.parts))
        background = background_of(V)

        def transform(block: Audio, start: int) -> Audio:
            V = _side_by_side(analysis, block)
            channels, frames = block.shape
            seconds = frame_seconds(stft, frames, sample_rate, [Piece(0, start, frames)])
            expected = np.full((len(V), len(W)), REST_SHARE, np.float32)
            expected[:, : len(sounds)] = activity(sounds, seconds)
            expected *= levels[parts]
            models = np.zeros((len(score.parts) + 1, *V.shape), np.float32)
            models[-1] = background
            for rows in _runs(len(V)):
                sounding = np.flatnonzero(expected[rows].any(axis=0))
                if not len(sounding):
                    continue
                prior = Prior(expected[rows][:, sounding], weights[sounding])
                h = activations(V[rows], W[sounding], BETA, background, prior=prior)
                for part in np.unique(parts[sounding]):
                    own = parts[sounding] == part
                    models[part, rows] += h[:, own] @ W[sounding[own]]
            # Squared, smaller ones would give masks too small for float32's full precision.
            models[models < LEAST_MODEL * background] = 0
            # (stems, frames, channels * bins) -> (stems, channels, bins, frames)
            models = models.reshape(len(models), len(V), channels, stft.bins).transpose(0, 2, 3, 1)
            return apply_masks(stft.forward(block), ratio_masks(models, self.mask_power), stft, frames)

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
        elif abs(fit.seconds) > max(self.tolerance_seconds, LEAST_SHIFT):
            _warn(f"the score fits the audio best {off}; align (--align) shifts it there")
        return parts

    def _look_at_ends(self, score: Score, end: float) -> None:
        """Warn of a score that is much shorter or longer than the audio, which ends at ``end`` seconds."""
        if score.end < end - NEGLIGIBLE_SECONDS:
            _warn(f"the score ends at {score.end:.1f} s, the audio at {end:.1f} s; what follows is in {REST}")
        elif score.end > end + NEGLIGIBLE_SECONDS:
            _warn(f"the score ends at {score.end:.1f} s, the audio already at {end:.1f} s")

    def _learned(
        self, V: Matrix, sounds: Sequence[Sound], expected: Matrix, templates: Matrix, gains: Matrix
    ) -> tuple[Matrix, Matrix]:
        """The panned templates of ``sounds``, behind them those of the rest, and the parts' and its levels.

        A level is how much louder than ``expected`` its part is. Learning starts from ``templates``
        ``(sounds, bins)`` and the parts' ``gains`` ``(parts, channels)``.
        """
        parts = np.array([sound.part for sound in sounds])
        heard = np.asarray(expected.any(axis=0))
        modelled = np.zeros_like(V)
        levels = np.full(len(gains) + 1, float(V.sum()) / len(V) or 1.0, np.float32)
        if heard.any():
            known = [sound for sound, is_heard in zip(sounds, heard, strict=True) if is_heard]
            wanted = expected[:, heard]
            H, templates[heard], gains = self._factorized(V, wanted, templates[heard], gains, known)
            levels = _levels(H, wanted, parts[heard], len(levels))
            _teach_unheard(templates, sounds, heard)
            modelled = H @ _panned(templates[heard], gains[parts[heard]])
        W = _panned(templates, gains[parts])
        if not self.rest_templates:
            return W, levels
        left = (V - modelled).clip(0) + np.float32(background_of(V))
        H_rest, W_rest = random_start(left, self.rest_templates, 0)
        _, found, _ = factorize(left, H_rest, W_rest, BETA, self.iterations, 0.0)
        return np.concatenate([W, found]), levels

    @on_one_thread
    def _factorized(
        self, V: Matrix, expected: Matrix, W: Matrix, gains: Matrix, sounds: Sequence[Sound]
    ) -> tuple[Matrix, Matrix, Matrix]:
        """Activations, templates and gains after learning; all templates of a part share its gains.

        An update of templates for each channel tells how much of ``V`` each explains. Given that, the
        likeliest gains and templates are its sums over bins and over channels: expectation maximization.
        Templates get pseudo-counts, as by Dirichlet priors (Smaragdis and Mysore, WASPAA 2009): of the
        template that learning started from, and of the part's other pitches, transposed. Gains get those of
        the score, activations what is ``expected``, at the level that the part has been found at.
        """
        background = background_of(V)
        parts = np.array([sound.part for sound in sounds])
        start, said, gains = W, gains, gains.copy()
        H = expected * np.float32(float(V.sum()) / float(expected.sum()))
        for _ in range(self.iterations):
            panned = _panned(W, gains[parts])
            wanted = expected * _levels(H, expected, parts, len(gains))[parts]
            explained = np.zeros_like(panned)
            for rows in _runs(len(V)):
                sounding = np.flatnonzero(expected[rows].any(axis=0))
                terms = terms_of(panned[sounding], BETA, background)
                prior = Prior(wanted[rows, sounding], ACTIVITY_PRIOR)
                H[rows, sounding] = updated_activations(V[rows], H[rows, sounding], terms, prior)
                explained[sounding] += terms.templates * terms.numerator
            explained = explained.reshape(len(W), gains.shape[1], -1)
            for part in np.unique(parts):
                shares = explained[parts == part].sum(axis=(0, 2))
                if total := float(shares.sum()):
                    gains[part] = (shares / total + GAIN_PRIOR * said[part]) / (1 + GAIN_PRIOR)
            W = explained.sum(axis=1)
            means = np.bincount(parts, W.sum(axis=1)) / np.bincount(parts).clip(1)
            leaning = START_PRIOR * start + NEIGHBOUR_PRIOR * neighbours(W, sounds)
            W += means.astype(np.float32)[parts, np.newaxis] * leaning
            W /= np.maximum(W.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return H, W, gains


def _panned(W: Matrix, gains: Matrix) -> Matrix:
    """Templates ``(sounds, bins)`` with ``gains`` ``(sounds, channels)`` as ``(sounds, channels * bins)``."""
    panned: Matrix = (gains[:, :, np.newaxis] * W[:, np.newaxis]).reshape(len(W), -1)
    return panned


def _levels(H: Matrix, expected: Matrix, parts: NDArray[np.int64], count: int) -> Matrix:
    """How much louder than ``expected`` each of ``count`` parts is in ``H``, both ``(frames, sounds)``.

    Parts that are not found at all may sound elsewhere; they are taken to be as loud as all are together.
    """
    found, wanted = (np.bincount(parts, matrix.sum(axis=0), count) for matrix in (H, expected))
    together = found.sum() / wanted.sum() or 1.0
    levels = np.divide(found, wanted, out=np.full(count, together), where=found > 0)
    return np.asarray(levels, np.float32)


def _starting_gains(score: Score, channels: int) -> Matrix:
    """The gains ``(parts, channels)`` that sum to one: of two channels as the score pans them, else equal."""
    gains = np.full((len(score.parts), channels), 1 / channels, np.float32)
    if channels == 2:
        for row, part in zip(gains, score.parts, strict=True):
            pan = float(np.mean([note.pan for note in part.notes]))
            row[:] = np.sqrt([1 - pan, pan]) + LEAST_GAIN
            row /= row.sum()
    return gains


def _teach_unheard(W: Matrix, sounds: Sequence[Sound], heard: NDArray[np.bool_]) -> None:
    """Give pitches that the sample does not hold the template of their part's nearest one, transposed.

    In place; drums, which have no neighbours, keep what they started with, and so do parts not heard at all.
    """
    for index, sound in enumerate(sounds):
        if heard[index]:
            continue
        near = [
            (abs(other.pitch - sound.pitch), place)
            for place, other in enumerate(sounds)
            if heard[place] and not sound.is_drum and other.kind == sound.kind and W[place].any()
        ]
        if near:
            place = min(near)[1]
            semitones = sound.pitch - sounds[place].pitch
            template = transposed(W[place], semitones)
            if total := float(template.sum()):
                W[index] = template / total


def _side_by_side(analysis: Analysis, audio: Audio) -> Matrix:
    """The channels' spectrograms beside each other, ``(frames, channels * bins)``."""
    return np.concatenate([analysis.spectrogram(channel[np.newaxis]) for channel in audio], axis=1)


def _runs(frames: int) -> Iterator[slice]:
    return (slice(first, first + FRAMES_AT_ONCE) for first in range(0, frames, FRAMES_AT_ONCE))


def _warn(message: str) -> None:
    remark(f"nmf-score: {message}")
