"""Recordings of single hits, and the templates of drums that they make.

A folder holds a file for each drum (``snare.wav``) or a sub-folder with several of its hits
(``snare/1.wav``, ``snare/2.wav``), which count the same. The names are the stems' names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from separators.errors import ParameterError
from separators.nmf.drum_templates import FRAMES, RATE, STFT_OF_TEMPLATES
from separators.nmf.solver import Matrix

SUFFIXES = frozenset({".wav", ".aif", ".aiff", ".flac", ".ogg", ".mp3"})
READ_SECONDS = 5
"""No more of a recording is looked at: a hit begins soon."""
ATTACK = 0.3
"""A hit begins in its first frame with this part of its loudest frame's magnitude."""
MOST_DRUMS = 32


def find(folder: Path) -> dict[str, list[Path]]:
    """The drums in ``folder``, sorted by name, and the files of each; raises :class:`ParameterError`.

    Hidden files, files that are no audio by their suffix and links are passed over.
    """
    found: dict[str, list[Path]] = {}
    try:
        for entry in sorted(folder.iterdir()):
            if entry.is_symlink() or entry.name.startswith("."):
                continue
            if entry.is_dir():
                files, name = [path for path in sorted(entry.iterdir()) if _is_audio(path)], entry.name
            else:
                files, name = [entry] if _is_audio(entry) else [], entry.stem
            if files:
                found.setdefault(name.casefold(), []).extend(files)
    except OSError as error:
        raise ParameterError(
            f"nmf: one_shots: {folder}: {error.strerror}; give a folder with a file or folder for each drum"
        ) from None
    if not 1 <= len(found) <= MOST_DRUMS:
        raise ParameterError(
            f"nmf: one_shots: {folder} holds {len(found)} drums; give it from 1 to {MOST_DRUMS} "
            "audio files, such as snare.wav, or folders of them"
        )
    return dict(sorted(found.items()))


def _is_audio(path: Path) -> bool:
    return (
        path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and not path.is_symlink()
        and path.is_file()
    )


def average(files: list[Path]) -> Matrix:
    """The mean template of recordings of one drum, ``(FRAMES, bins)``; sums to one."""
    return np.asarray(np.mean([one_shot(path) for path in files], axis=0), np.float32)


def one_shot(path: Path) -> Matrix:
    """The first frames of a hit from its attack on, ``(FRAMES, bins)``; sums to one.

    Any rate is converted, channels are averaged. Raises :class:`ParameterError`.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            audio = file.read(READ_SECONDS * rate, dtype="float32", always_2d=True).mean(axis=1)
    except (OSError, soundfile.SoundFileError) as error:
        reason = getattr(error, "strerror", None) or "it is of no kind that is read, or damaged"
        raise ParameterError(f"nmf: one_shots: {path} cannot be read as audio: {reason}") from error
    if not np.isfinite(audio).all() or not audio.any():
        raise ParameterError(f"nmf: one_shots: {path} holds no sound; take it out of the folder")
    stft = STFT_OF_TEMPLATES
    end = np.zeros(stft.fft_size + FRAMES * stft.hop, np.float32)
    hit = soxr.resample(audio, rate, RATE) if rate != RATE else audio
    magnitude = np.abs(stft.forward(np.concatenate([hit, end]))).T
    level = magnitude.sum(axis=1)
    attack = int(np.argmax(level > ATTACK * level.max()))
    template = magnitude[attack : attack + FRAMES]
    return np.asarray(template / template.sum())
