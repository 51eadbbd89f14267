"""Which audio files are written: formats, bit depths and what each can hold, once for all who name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from plugin_bridge.errors import AudioFileError

OutputFormat = Literal["wav", "aiff", "flac", "ogg", "mp3", "alac", "aac"]
BitDepth = Literal[16, 24, "float32"]
"""As presets name them, from small to large."""
BIT_DEPTHS: dict[str, int] = {str(depth): 32 if depth == "float32" else depth for depth in get_args(BitDepth)}
"""As everything else names them -> bits of a sample."""


@dataclass(frozen=True)
class Limits:
    """What a format can hold."""

    channels: int
    rates: range | frozenset[int]
    """Hertz."""
    depths: tuple[str, ...]
    why: str = ""
    """Why it has no others."""


MP3_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
STEM_RATES = frozenset({44100, 48000})
LOSSY = frozenset({"ogg", "mp3", "aac"})
STEM_CODECS = ("alac", "aac")
"""What a stem.mp4 may hold."""
FORMATS: dict[OutputFormat, Limits] = {
    "wav": Limits(1024, range(1, 1 << 31), tuple(BIT_DEPTHS)),
    "aiff": Limits(1024, range(1, 1 << 31), tuple(BIT_DEPTHS)),
    "flac": Limits(8, range(1, 655351), ("16", "24"), "FLAC has no float samples"),
    # Vorbis takes some channels of more than two for low-frequency effects and ruins the stem in them.
    "ogg": Limits(2, range(8000, 192001), tuple(BIT_DEPTHS)),
    "mp3": Limits(2, MP3_RATES, tuple(BIT_DEPTHS)),
    # In a stem.mp4 only, at the rates that DJ programs take.
    "alac": Limits(2, STEM_RATES, ("16", "24"), "ALAC has no float samples"),
    "aac": Limits(2, STEM_RATES, tuple(BIT_DEPTHS)),
}
"""Formats that are written -> their limits. Ogg, MP3 and AAC have no bit depth; any may be named."""


def check_output(format: str, bit_depth: str, channels: int, sample_rate: int) -> None:
    """Raise :class:`AudioFileError` if ``format`` cannot hold such audio. Call it before any work."""
    limits = FORMATS.get(cast(OutputFormat, format))
    if limits is None:
        raise AudioFileError(f"format {format!r} cannot be written; there are: {', '.join(FORMATS)}")
    if bit_depth not in BIT_DEPTHS:
        raise AudioFileError(f"bit depth {bit_depth!r} is unknown; there are: {', '.join(BIT_DEPTHS)}")
    if bit_depth not in limits.depths:
        raise AudioFileError(f"{limits.why}: choose bit depth {' or '.join(limits.depths)}, or WAV")
    holds, instead = f"{format} holds", "WAV"
    if format in STEM_CODECS:
        holds, instead = "a stem.mp4 holds", "layout files"
    if not 1 <= channels <= limits.channels:
        what = "choose layout files" if format in STEM_CODECS else "write separate files, or WAV"
        raise AudioFileError(f"{holds} 1 to {limits.channels} channels, not {channels}; {what}")
    if not isinstance(sample_rate, int) or sample_rate not in limits.rates:
        allowed = (
            f"{limits.rates[0]} to {limits.rates[-1]} Hz"
            if isinstance(limits.rates, range)
            else ", ".join(str(rate) for rate in sorted(limits.rates)) + " Hz"
        )
        raise AudioFileError(f"{holds} sample rates of {allowed}, not {sample_rate}; choose {instead}")


def has_full_scale(format: str, bit_depth: str) -> bool:
    """Whether samples beyond -1..1 are lost in this format: in all but float WAV and AIFF."""
    return not (format in ("wav", "aiff") and bit_depth == "float32")


def bytes_per_sample(format: str, bit_depth: str) -> float:
    """How large a file becomes, more or less: by measure, where samples are compressed."""
    per_sample = {"ogg": 0.25, "mp3": 0.25, "aac": 0.4}
    per_sample |= dict.fromkeys(("flac", "alac"), 0.6 * BIT_DEPTHS[bit_depth] / 8)
    return per_sample.get(format, BIT_DEPTHS[bit_depth] / 8)
