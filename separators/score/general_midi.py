"""How General MIDI's instruments sound, roughly: how their overtones fall off, how they die away.

Figures by family from general acoustics, none of them measured on any synthesizer: overtones of brass and of
synthesizers' saws fall off like 1/n (a sawtooth), those of bowed strings nearly so, those of plucked and
struck strings faster, those of flutes fastest, and distortion strengthens high ones. Struck and plucked
sounds die away while a key is held.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Timbre:
    """Overtone n is ``n ** -steepness`` as strong as the fundamental; a held note halves in ``half_life``."""

    steepness: float
    half_life: float = math.inf
    """Seconds."""


UNKNOWN = Timbre(1.5)
"""The timbre where no program is said."""
TIMBRES: dict[int, Timbre] = (
    dict.fromkeys(range(0, 8), Timbre(1.8, 0.6))  # pianos
    | dict.fromkeys(range(8, 16), Timbre(2.0, 0.4))  # bells and mallets
    | dict.fromkeys(range(16, 24), Timbre(1.3))  # organs
    | dict.fromkeys(range(24, 32), Timbre(1.7, 0.5))  # guitars
    | dict.fromkeys((29, 30), Timbre(0.7))  # overdriven and distorted
    | dict.fromkeys(range(32, 38), Timbre(1.7, 0.5))  # basses
    | dict.fromkeys((38, 39), Timbre(1.2))  # of synthesizers
    | dict.fromkeys(range(40, 56), Timbre(1.3))  # strings, choirs
    | dict.fromkeys((45, 46), Timbre(1.8, 0.3))  # pizzicato, harp
    | {47: Timbre(2.0, 0.4)}  # timpani
    | dict.fromkeys(range(56, 64), Timbre(1.0))  # brass
    | dict.fromkeys(range(64, 72), Timbre(1.2))  # reeds
    | dict.fromkeys(range(72, 80), Timbre(2.5))  # flutes
    | dict.fromkeys(range(80, 88), Timbre(1.0))  # leads of synthesizers
    | dict.fromkeys(range(88, 104), Timbre(1.3))  # their pads and effects
    | dict.fromkeys(range(104, 109), Timbre(1.8, 0.3))  # sitar to kalimba
    | dict.fromkeys(range(109, 112), Timbre(1.3))  # bagpipe, fiddle, shanai
    | dict.fromkeys(range(112, 120), Timbre(2.0, 0.4))  # bells and drums
    | dict.fromkeys(range(120, 128), Timbre(1.3))  # noises
)
"""Program, counted from 0 -> its timbre."""


def timbre(program: int | None) -> Timbre:
    """The timbre of a program, :data:`UNKNOWN` for None."""
    return UNKNOWN if program is None else TIMBRES[program]
