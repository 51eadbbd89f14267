"""Sounds whose dictionaries are known, and dictionaries that tests find by name."""

import os
import tempfile
from pathlib import Path

import numpy as np

from separators.nmf.dictionary import FOLDER_VARIABLE, Dictionary
from separators.nmf.dictionary_learning import learn
from separators.streaming import ArraySource

RATE = 16000


def notes(frequencies, seconds=3.0, seed=0, rate=RATE, gain=1.0):
    """A melody of random notes with a few overtones."""
    random = np.random.default_rng(seed)
    length = rate // 4
    time = np.arange(length) / rate
    melody = [
        sum(np.sin(2 * np.pi * random.choice(frequencies) * n * time) / n for n in (1, 2, 3))
        * np.exp(-4 * time)
        for _ in range(round(seconds * 4))
    ]
    return (gain * np.concatenate(melody)).astype(np.float32)[np.newaxis]


def hits(seconds=3.0, seed=0, rate=RATE, gain=0.5):
    """Bursts of noise at random moments."""
    random = np.random.default_rng(seed)
    frames = round(seconds * rate)
    audio = np.zeros(frames + rate)
    for start in random.integers(0, frames, size=round(seconds * 3)):
        audio[start : start + rate // 10] += random.standard_normal(rate // 10) * np.exp(
            -np.arange(rate // 10) / 400
        )
    return (gain * audio[:frames]).astype(np.float32)[np.newaxis]


LOW, HIGH = (220, 262, 311), (1245, 1480, 1760)


def learned(templates=6, **parts) -> Dictionary:
    """A dictionary of ``name=audio``; by default of low notes and hits."""
    parts = parts or {"notes": notes(LOW, seed=10), "hits": hits(seed=11)}
    return learn({name: [ArraySource(audio, RATE)] for name, audio in parts.items()}, templates)


FOLDER = tempfile.TemporaryDirectory(prefix="stembridge-test-")
NAME = "contract"


def make_named() -> str:
    """A dictionary that is found by name while this process lives; the name."""
    os.environ[FOLDER_VARIABLE] = FOLDER.name
    path = Path(FOLDER.name, f"{NAME}.safetensors")
    if not path.exists():
        path.write_bytes(learned(templates=4).to_bytes())
    return NAME
