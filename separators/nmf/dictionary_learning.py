"""Learns a dictionary: NMF of recordings of each part alone, then how to tell the parts apart.

NMF of one part finds templates that explain it, but in a mixture templates of other parts will explain
some of it, too. So mixtures are made of the parts' own frames, the activations of all templates are found
in them, and a second set of templates learns what each part really was where those activations stood
(Weninger, Le Roux, Hershey and Watanabe, "Discriminative NMF and its application to single-channel
source separation", Interspeech 2014). In use the first set finds activations, the second makes the models.
As activations are found frame by frame, the mixtures need no more than single frames: drawn at random,
with random phases, each part about as loud as it was recorded. Beside the templates, examples of each
part are kept as they are (:mod:`separators.nmf.examples`); a single part has nothing to be told from.

Solo takes, other tracks of a session, loops, one-shots: every file of a part counts alike, and as much of it
is heard as :data:`MOST_SECONDS` for each part allow, spread out over all files. So the memory does not
grow with the length of the recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import soxr

from separators.base import Audio
from separators.errors import AudioError
from separators.nmf.analysis import Analysis
from separators.nmf.dictionary import RATES, Dictionary, DictionaryError, Part, check_name
from separators.nmf.examples import examples_of, mel_bands
from separators.nmf.solver import (
    TERMS,
    Matrix,
    activations,
    background_of,
    chunks,
    factorize,
    random_start,
)
from separators.streaming import AudioSource, fitting_sample

TEMPLATES = 16
"""Templates for each part, if nothing else is asked for."""
MOST_SECONDS = 120.0
"""Heard of each part."""
LEAST_SECONDS = 10.0
"""Heard of each longer file; where there are too many for that, every second one is left out, and again."""
ITERATIONS, TOLERANCE = 100, 1e-3
MIXED_FRAMES, MIXED_PER_FRAME = 4000, 4
"""Mixtures, at most in all and for each frame of the part that has the most."""
SECOND_UPDATES = 30
LEVEL_DB = 3.0
"""Mixtures hold each part at the level of its recordings, up to this much louder or softer."""
QUIET = 1e-3
"""Frames below this part of the mean level (-60 dB) teach nothing."""

Progress = Callable[[str], None]
"""Called with the name of each part when its turn comes."""


def learn(
    parts: Mapping[str, Sequence[AudioSource]],
    templates: int = TEMPLATES,
    seed: int = 0,
    labels: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> Dictionary:
    """The dictionary of ``parts``, name -> recordings of that part alone.

    The dictionary has the highest sample rate among the recordings; ``labels``, the names of the
    recordings of each part, go into its card. Raises
    :class:`~separators.nmf.dictionary.DictionaryError` for wrong names and parts without sound,
    :class:`~separators.errors.AudioError` for recordings with NaN or infinity.
    """
    for name, sources in parts.items():
        check_name(name)
        if not sources:
            raise DictionaryError(f"there is no recording to learn {name!r} from")
    rates = [source.sample_rate for sources in parts.values() for source in sources]
    sample_rate = int(np.clip(max(rates, default=0), *RATES))
    analysis = Analysis(sample_rate, 0, 4, 1)
    frames: list[Matrix] = []
    found_by: list[Matrix] = []
    examples: dict[str, Matrix] = {}
    bands = mel_bands(analysis.stft.bins, sample_rate / 2, sample_rate / 2)
    heard = {}
    for name, sources in parts.items():
        if progress is not None:
            progress(name)
        samples = _samples(name, sources, (labels or {}).get(name, ()), sample_rate)
        spectrograms = [analysis.spectrogram(sample.audio) for sample in samples]
        if len(parts) > 1:
            examples[name] = examples_of(spectrograms, bands, analysis.stft.hop / sample_rate)
        V = _sounding(np.concatenate(spectrograms))
        H, W = random_start(V, min(templates, len(V)), seed)
        W = factorize(V, H, W, 1, ITERATIONS, TOLERANCE).W
        found_by.append(W[W.any(axis=1)])
        level = np.sqrt(np.mean([sample.level**2 for sample in samples]))
        frames.append(V * np.float32(level / np.sqrt(np.square(V).mean())))
        heard[name] = {
            "files": [sample.label for sample in samples],
            "seconds": round(sum(sample.audio.shape[1] for sample in samples) / sample_rate, 1),
        }
    learned = _told_apart(frames, found_by, seed) if len(parts) > 1 else [Part(W, W) for W in found_by]
    named = dict(zip(parts, learned, strict=True))
    return Dictionary(named, sample_rate, analysis.stft.fft_size, heard, examples)


def _told_apart(frames: list[Matrix], found_by: list[Matrix], seed: int) -> list[Part]:
    """The parts with the second set of templates, given each part's frames and its first set."""
    targets, mixture = _mixtures(frames, np.random.default_rng(seed))
    H = activations(mixture, np.concatenate(found_by), 1, background_of(mixture))
    columns = np.split(H, np.cumsum([len(W) for W in found_by])[:-1], axis=1)
    parts = []
    for target, own, W in zip(targets, columns, found_by, strict=True):
        h, made_of = np.ascontiguousarray(own), W
        background = background_of(target)
        for _ in range(SECOND_UPDATES):
            terms = TERMS[1](made_of, background)
            for rows in chunks(target):
                terms.add(target[rows], h[rows])
            made_of = terms.updated_templates()
        parts.append(Part(W, made_of))
    return parts


def _mixtures(frames: list[Matrix], random: np.random.Generator) -> tuple[list[Matrix], Matrix]:
    """Random frames of each part, and the magnitudes of their sums at random phases."""
    count = min(MIXED_FRAMES, MIXED_PER_FRAME * max(map(len, frames)))
    targets = []
    total = np.zeros((count, frames[0].shape[1]), np.complex64)
    for V in frames:
        decibels = random.uniform(-LEVEL_DB, LEVEL_DB, count)
        gains = 10 ** (decibels / 20)
        target = V[random.integers(len(V), size=count)] * gains[:, np.newaxis].astype(np.float32)
        phases = random.uniform(0, 2 * np.pi, target.shape).astype(np.float32)
        total += target * np.exp(1j * phases)
        targets.append(target)
    return targets, np.abs(total)


class _Sample(NamedTuple):
    """What is heard of a recording."""

    label: str
    audio: Audio
    """At an RMS of 1."""
    level: float
    """The RMS of the recording."""


def _samples(
    name: str, sources: Sequence[AudioSource], labels: Sequence[str], sample_rate: int
) -> list[_Sample]:
    """What is heard of each source that is not silent."""
    named = [
        (labels[number] if labels else f"recording {number + 1}", source)
        for number, source in enumerate(sources)
    ]
    while (share := _share([source for _, source in named])) < LEAST_SECONDS:
        named = named[::2]
    samples = []
    for label, source in named:
        try:
            audio, _ = fitting_sample(source, min(share, source.frames / source.sample_rate), by_level=False)
        except AudioError as error:
            raise AudioError(f"{name}: {label}: {error}") from None
        level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
        if level > 0:
            resampled = soxr.resample((audio / np.float32(level)).T, source.sample_rate, sample_rate)
            samples.append(_Sample(label, np.ascontiguousarray(resampled.T, np.float32), level))
    if not samples:
        raise DictionaryError(f"all recordings of {name!r} are silent")
    return samples


def _share(sources: Sequence[AudioSource]) -> float:
    """How many seconds of each source can be heard, if shorter ones leave their rest to the others."""
    left = MOST_SECONDS
    for place, length in enumerate(sorted(source.frames / source.sample_rate for source in sources)):
        share = left / (len(sources) - place)
        if length > share:
            return share
        left -= length
    return MOST_SECONDS


def _sounding(V: Matrix) -> Matrix:
    """The frames of ``V`` that are not silent; they are the same up to a gain, and there is at least one."""
    levels = V.sum(axis=1)
    return np.ascontiguousarray(V[levels > QUIET * levels.mean()])
