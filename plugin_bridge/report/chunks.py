"""Audio as scripts that a page loads piece by piece.

A page that was opened from disk may read no file but by elements of its own: ``fetch`` is refused there, and
the audio of media elements can neither be mixed nor kept together to the sample. Scripts are loaded, so each
piece of all stems is one: FLAC, which every browser decodes to the very samples, written in base64.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from separators.base import Audio
from separators.streaming import AudioSource

LONGEST_SECONDS, SHORTEST_SECONDS = 6.0, 2.0
"""Of a piece: each has a file, and is read and decoded whole before its first sample is heard."""
SECONDS_AT_ONCE = 24.0
"""Of a piece, all voices of a deck together."""
PRECISION_DB = -96.0
"""Rounding adds so much to the sum of all that is played together, relative to the mixture."""
FEWEST_BITS, MOST_BITS = 16, 24
MOST_CHANNELS = 8
"""FLAC's limit."""


@dataclass(frozen=True)
class Precision:
    """How samples are stored: multiplied by ``scale``, a power of two, then rounded to ``bits``."""

    scale: float
    bits: int

    @classmethod
    def needed(cls, peak: float, rms: float, voices: int) -> Precision:
        """For ``voices`` that are played together, of that ``peak``, and a mixture of that level.

        >>> Precision.needed(peak=0.9, rms=0.1, voices=5)
        Precision(scale=1.0, bits=20)
        >>> Precision.needed(peak=2.5, rms=0.0, voices=1)
        Precision(scale=0.25, bits=16)
        """
        scale = 2.0 ** math.floor(-math.log2(peak)) if peak > 0 else 1.0
        if rms <= 0:
            return cls(scale, FEWEST_BITS)
        # Rounding to a step adds noise of step / sqrt(12) by each voice.
        step = rms * scale * 10 ** (PRECISION_DB / 20) * math.sqrt(12 / voices)
        return cls(scale, min(max(FEWEST_BITS, math.ceil(1 - math.log2(step))), MOST_BITS))

    def flac(self, audio: Audio, sample_rate: int) -> bytes:
        """``audio`` ``(channels, frames)`` as a FLAC file."""
        full = float(1 << (self.bits - 1))
        rounded = np.clip(np.rint(audio.T.astype(np.float64) * (self.scale * full)), -full, full - 1)
        # In the upper bits; the encoder sees that the lower ones are zero and leaves them out.
        words = rounded.astype(np.int32) << (32 - self.bits)
        buffer = io.BytesIO()
        subtype = "PCM_16" if self.bits <= FEWEST_BITS else "PCM_24"
        soundfile.write(buffer, words, sample_rate, format="FLAC", subtype=subtype)
        return buffer.getvalue()


def chunk_frames(sample_rate: int, voices: int) -> int:
    """Frames of each piece but the last, where the largest deck has so many ``voices``.

    >>> chunk_frames(44100, 4) / 44100, chunk_frames(44100, 12) / 44100
    (6.0, 2.0)
    """
    seconds = min(max(SECONDS_AT_ONCE / voices, SHORTEST_SECONDS), LONGEST_SECONDS)
    return round(seconds * sample_rate)


def write_chunks(
    folder: Path, deck: str, sources: Sequence[AudioSource], precision: Precision, size: int
) -> Iterator[int]:
    """Write all pieces of ``sources``, equally long, as ``{deck}-{number}.js``; yields each one's frames.

    ``size`` is that of each but the last.
    """
    rate, frames = sources[0].sample_rate, sources[0].frames
    for number, start in enumerate(range(0, frames, size)):
        length = min(size, frames - start)
        pieces = [
            base64.b64encode(precision.flac(source.read(start, length), rate)).decode() for source in sources
        ]
        said = ",".join(map(json.dumps, (folder.name, deck, number, pieces)))
        (folder / f"{deck}-{number:04d}.js").write_text(f"stembridge.chunk({said});\n", encoding="ascii")
        yield length
