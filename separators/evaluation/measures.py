"""How close estimated stems come to known sources, in dB, beside a floor and a ceiling.

- **SI-SDR**, scale-invariant signal-to-distortion ratio: Le Roux, Wisdom, Erdogan and
  Hershey, "SDR - half-baked or well done?", ICASSP 2019.
- **SDR**, the reference's power over that of the difference, the plain figure of the Music
  Demixing challenges: Mitsufuji et al., Frontiers in Signal Processing 1, 2022.
- **BSS Eval SDR**, which forgives a filter of 512 taps: Vincent, Gribonval and Févotte,
  "Performance measurement in blind audio source separation", IEEE TASLP 14(4), 2006.

The three answer different questions; never compare one with another. All channels of a stem
count as one long signal. Figures end at ±120 dB, where float32 does. A silent reference has
no direction to measure along: in a :class:`Report` its figures are None and no mean counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from separators.base import Audio
from separators.errors import AudioError, SeparatorError
from separators.evaluation.reference import ideal_ratio_mask
from separators.streaming import GRID, ArraySource, AudioSource, as_audio

Matrix = NDArray[np.float64]

LIMIT_DB = 120.0
BLOCK = 64 * GRID
"""Frames measured at a time."""
MARGIN = 2 * GRID
"""Frames beside a block that the ceiling's masks see, more than their window is long."""
FIGURES = ("si_sdr", "improvement", "sdr", "bss_eval_sdr", "floor", "ceiling")


@dataclass(frozen=True)
class StemScore:
    """The figures of one stem in dB; None where the reference is silent or it was not asked for."""

    reference: str
    estimate: str
    si_sdr: float | None = None
    improvement: float | None = None
    """SI-SDR above that of the mixture."""
    sdr: float | None = None
    bss_eval_sdr: float | None = None
    floor: float | None = None
    """SI-SDR of the mixture taken as the estimate."""
    ceiling: float | None = None
    """SI-SDR of the ideal ratio mask (:func:`separators.evaluation.reference.ideal_ratio_mask`)."""


@dataclass(frozen=True)
class Report:
    """The scores of all stems, in the references' order."""

    stems: tuple[StemScore, ...]
    sum_error_db: float
    """Power of the estimates' sum minus the mixture, relative to the mixture (the references' sum)."""

    @property
    def mean(self) -> dict[str, float | None]:
        """The mean of every figure over the stems that have it."""
        columns = {key: [getattr(stem, key) for stem in self.stems] for key in FIGURES}
        known = {key: [value for value in column if value is not None] for key, column in columns.items()}
        return {key: sum(values) / len(values) if values else None for key, values in known.items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON: ``stems`` (a list), ``mean`` and ``sum_error_db``."""
        return {
            "stems": [asdict(stem) for stem in self.stems],
            "mean": self.mean,
            "sum_error_db": self.sum_error_db,
        }


def si_sdr(reference: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Scale-invariant SDR of two signals of the same shape, in dB.

    A silent reference gives -120 dB, or 120 dB if the estimate is silent too.

    >>> reference = np.array([1.0, 0.0, -1.0, 0.0])
    >>> round(si_sdr(reference, 0.5 * reference + [0, 0.05, 0, 0.05]), 6)
    20.0
    """
    r, e = _pair(reference, estimate)
    return float(_si_sdr(r @ r, e @ e, r @ e))


def sdr(reference: NDArray[Any], estimate: NDArray[Any]) -> float:
    """SDR of two signals of the same shape, in dB: the reference's power over the difference's.

    A silent reference gives -120 dB, or 120 dB if the estimate is silent too.
    """
    r, e = _pair(reference, estimate)
    return float(_ratio_db(r @ r, (r - e) @ (r - e)))


def bss_eval_sdr(reference: NDArray[Any], estimate: NDArray[Any]) -> float:
    """BSS Eval's SDR of ``(channels, frames)`` or ``(frames,)`` in dB, the mean over the channels.

    Channels whose reference is silent do not count; if all are, the rule of :func:`si_sdr`
    holds. Raises :class:`SeparatorError` if fast-bss-eval is not installed.
    """
    _pair(reference, estimate)
    try:
        import fast_bss_eval
    except ImportError:
        raise SeparatorError(
            'BSS Eval needs the package fast-bss-eval, which is missing: pip install "stembridge[bench]"'
        ) from None
    figures = []
    for r, e in zip(np.atleast_2d(reference), np.atleast_2d(estimate), strict=True):
        if r.any():
            # One pair at a time, so that no permutation is searched.
            pair = (r[np.newaxis].astype(np.float64), e[np.newaxis].astype(np.float64))
            figures.append(float(fast_bss_eval.sdr(*pair, clamp_db=LIMIT_DB)[0]) if e.any() else -LIMIT_DB)
    return sum(figures) / len(figures) if figures else si_sdr(reference, estimate)


def median_sdr(references: NDArray[Any], estimates: NDArray[Any], sample_rate: int) -> list[float | None]:
    """The SDR of BSS Eval v4 for each stem, in dB: the median over seconds, as published for songs.

    ``references`` and ``estimates`` are ``(stems, channels, frames)``. As in museval (Stöter, Liutkus, Ito
    2018) the SDR of a second is plain, and a second in which a reference or an estimate is silent
    counts for no stem; None if there is no other.
    """
    _pair(references, estimates)
    seconds = references.shape[2] // sample_rate
    power, error = np.empty((2, len(references), seconds))
    silent = np.zeros(seconds, bool)
    for second in range(seconds):
        part = np.s_[:, :, second * sample_rate : (second + 1) * sample_rate]
        r, e = references[part].astype(np.float64), estimates[part].astype(np.float64)
        silent[second] = not (r.any((1, 2)) & e.any((1, 2))).all()
        power[:, second] = np.square(r).sum((1, 2))
        error[:, second] = np.square(r - e).sum((1, 2))
    if silent.all():
        return [None] * len(references)
    return [float(np.median(row)) for row in _ratio_db(power, error)[:, ~silent]]


def evaluate(
    references: Mapping[str, NDArray[Any]],
    estimates: Mapping[str, NDArray[Any]],
    sample_rate: float,
    bss_eval: bool = False,
) -> Report:
    """Measure ``estimates`` against ``references``, name -> ``(channels, frames)`` or ``(frames,)``.

    Stems of the same name belong together. If as many names are left on either side, they
    are matched so that the sum of SI-SDRs is largest. Raises :class:`AudioError` if stems
    are missing or left over, or if rates, lengths, channels differ.
    """
    return evaluate_sources(
        {name: ArraySource(as_audio(audio), round(sample_rate)) for name, audio in references.items()},
        {name: ArraySource(as_audio(audio), round(sample_rate)) for name, audio in estimates.items()},
        bss_eval,
    )


def evaluate_sources(
    references: Mapping[str, AudioSource], estimates: Mapping[str, AudioSource], bss_eval: bool = False
) -> Report:
    """:func:`evaluate` for sources of any length in flat memory (BSS Eval reads them whole)."""
    _check_alike(references, estimates)
    count = len(references)
    gram, ideal_power, ideal_cross = _inner_products(list(references.values()), list(estimates.values()))
    power, estimate_power = np.diag(gram)[:count], np.diag(gram)[count:]
    cross = gram[:count, count:]
    mixture_cross = gram[:count, :count].sum(axis=1)
    mixture_power = float(mixture_cross.sum())
    difference_power = mixture_power - 2 * cross.sum() + gram[count:, count:].sum()

    scores = _si_sdr(power[:, None], estimate_power, cross)
    floors = _si_sdr(power, mixture_power, mixture_cross)
    ceilings = _si_sdr(power, ideal_power, ideal_cross)
    plain = _ratio_db(power[:, None], power[:, None] - 2 * cross + estimate_power)
    names = list(estimates)
    stems = []
    matched = _match(list(references), names, scores)
    for row, (name, column) in enumerate(zip(references, matched, strict=True)):
        if power[row] == 0:
            stems.append(StemScore(name, names[column]))
            continue
        filtered = None
        if bss_eval:
            reference, estimate = references[name], estimates[names[column]]
            filtered = bss_eval_sdr(reference.read(0, reference.frames), estimate.read(0, estimate.frames))
        stems.append(
            StemScore(
                name,
                names[column],
                si_sdr=float(scores[row, column]),
                improvement=float(scores[row, column] - floors[row]),
                sdr=float(plain[row, column]),
                bss_eval_sdr=filtered,
                floor=float(floors[row]),
                ceiling=float(ceilings[row]),
            )
        )
    return Report(tuple(stems), -float(_ratio_db(mixture_power, difference_power)))


def _pair(reference: NDArray[Any], estimate: NDArray[Any]) -> tuple[Matrix, Matrix]:
    r, e = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if r.shape != e.shape:
        raise AudioError(
            f"an estimate of shape {e.shape} cannot be measured against a reference of {r.shape}"
        )
    return r.ravel(), e.ravel()


def _si_sdr(reference_power: ArrayLike, estimate_power: ArrayLike, product: ArrayLike) -> Matrix:
    """SI-SDR in dB from inner products, element by element."""
    r, e = np.asarray(reference_power, np.float64), np.asarray(estimate_power, np.float64)
    target = np.square(product) / np.where(r > 0, r, 1.0)
    return np.where((e == 0) & (r > 0), -LIMIT_DB, _ratio_db(target, e - target))


def _ratio_db(power: ArrayLike, error: ArrayLike) -> Matrix:
    """The ratio of two powers in dB, from -120 to 120; nothing wanted and nothing given is 120."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10 * np.log10(np.asarray(power) / np.maximum(error, 0.0))
    limited: Matrix = np.clip(np.nan_to_num(decibels, nan=LIMIT_DB), -LIMIT_DB, LIMIT_DB)
    return limited


def _match(references: list[str], estimates: list[str], scores: Matrix) -> list[int]:
    """The number of each reference's estimate: by name, else so that the sum of scores is largest."""
    pairs = {name: estimates.index(name) for name in references if name in estimates}
    unmatched = [name for name in references if name not in pairs]
    spare = [number for number in range(len(estimates)) if number not in pairs.values()]
    rows = [references.index(name) for name in unmatched]
    chosen, columns = linear_sum_assignment(-scores[np.ix_(rows, spare)])
    pairs.update({unmatched[row]: spare[column] for row, column in zip(chosen, columns, strict=True)})
    return [pairs[name] for name in references]


def _check_alike(references: Mapping[str, AudioSource], estimates: Mapping[str, AudioSource]) -> None:
    if not references:
        raise AudioError("there is no reference to measure against")
    if len(references) != len(estimates):
        missing = ", ".join(name for name in references if name not in estimates) or "none"
        extra = ", ".join(name for name in estimates if name not in references) or "none"
        raise AudioError(
            f"{len(references)} references do not fit {len(estimates)} estimates; "
            f"references without estimate: {missing}; estimates without reference: {extra}"
        )
    (first, source), *_ = references.items()
    for kind, sources in (("reference", references), ("estimate", estimates)):
        for name, other in sources.items():
            if _format(other) != _format(source):
                expected = f"the reference {first!r} has {_format(source)}"
                raise AudioError(f"the {kind} {name!r} has {_format(other)}, but {expected}")


def _format(source: AudioSource) -> str:
    return f"{source.channels} channels of {source.frames} frames at {source.sample_rate} Hz"


def _inner_products(
    references: list[AudioSource], estimates: list[AudioSource]
) -> tuple[Matrix, Matrix, Matrix]:
    """All stems' inner products over their whole length.

    The Gram matrix of references and estimates, the power of each ideal estimate, and the
    product of each ideal estimate with its reference.
    """
    stems = [*references, *estimates]
    count, rate, frames = len(references), references[0].sample_rate, references[0].frames
    gram = np.zeros((len(stems), len(stems)))
    ideal_power, ideal_cross = np.zeros((2, count))
    for start in range(0, frames, BLOCK):
        length = min(BLOCK, frames - start)
        # Both borders lie on the grid of the STFT's hop: the masks are those of the whole signal.
        before, after = min(MARGIN, start), min(MARGIN, frames - start - length)
        wide = np.stack([_read(stem, start - before, before + length + after) for stem in stems])
        ideal = ideal_ratio_mask(wide[:count], rate)[:, :, before : before + length]
        flat = wide[:, :, before : before + length].reshape(len(stems), -1).astype(np.float64)
        ideal = ideal.reshape(count, -1).astype(np.float64)
        gram += flat @ flat.T
        ideal_power += np.einsum("rt,rt->r", ideal, ideal)
        ideal_cross += np.einsum("rt,rt->r", ideal, flat[:count])
    return gram, ideal_power, ideal_cross


def _read(source: AudioSource, start: int, frames: int) -> Audio:
    audio = source.read(start, frames)
    if not np.isfinite(audio).all():
        raise AudioError(f"a stem holds NaN or infinity between frames {start} and {start + frames}")
    return audio
