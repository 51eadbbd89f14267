"""What an audio file is, and the interface of what reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plugin_bridge.errors import AudioFileError
from separators.base import Audio

BIT_DEPTHS = {
    "PCM_S8": "16",
    "PCM_U8": "16",
    "PCM_16": "16",
    "ULAW": "16",
    "ALAW": "16",
    "ALAC_16": "16",
    "PCM_24": "24",
    "ALAC_20": "24",
    "ALAC_24": "24",
}
"""The smallest bit depth to write that keeps all of a subtype; everything else is kept by float32."""
MAX_SAMPLE_RATE = 1 << 20
"""Hertz. FLAC's 655,350 and DXD's 384,000 lie below; what lies above is a damaged or hostile header, and
windows of so many milliseconds would fill the memory."""
MAX_CHANNELS = 1024


class Reader(Protocol):
    """An open file's samples."""

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames``, which lie inside the file, as ``(channels, frames)``.

        Raises OSError and :class:`AudioFileError`.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Samples(Protocol):
    """Where a file's samples lie and how they are decoded: a small description, to be pickled."""

    def open(self) -> Reader:
        """Open the file; raises OSError and :class:`AudioFileError`."""
        ...


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file says about itself."""

    path: Path
    format: str
    """A name of :data:`plugin_bridge.audio.formats.FORMATS`: ``wav`` (RF64 too), ``flac``, ``mp3``, ..."""
    subtype: str
    """libsndfile's name, in upper case the codec's where it has none: ``PCM_16``, ``FLOAT``, ``AAC``, ..."""
    sample_rate: int
    channels: int
    frames: int
    """As many as can be read: what a header says is checked against what is there."""
    samples: Samples = field(repr=False)
    channel_mask: int = 0
    """Which loudspeakers the channels are meant for, as bits of WAV's; 0 if nothing says so."""
    time_reference: int | None = None
    """The first frame's place on the session's timeline, in samples since midnight; None without a stamp."""
    tags: dict[str, list[str]] = field(default_factory=dict)
    """Text tags by lower-case name: ``title``, ``artist``, ..."""
    left_out: str = ""
    """What else sounds in the file and is not read, in one line."""

    @property
    def bit_depth(self) -> str:
        """The smallest bit depth to write (``16``, ``24``, ``float32``) that keeps what is in the file."""
        return BIT_DEPTHS.get(self.subtype, "float32")

    @property
    def seconds(self) -> float:
        """The file's length."""
        return self.frames / self.sample_rate


def check_measures(path: Path, sample_rate: int, channels: int) -> None:
    """Raise :class:`AudioFileError` for a sample rate or channel count that no audio has."""
    if not 1 <= sample_rate <= MAX_SAMPLE_RATE:
        raise AudioFileError(
            f"{path}: says its sample rate is {sample_rate} Hz; 1 to {MAX_SAMPLE_RATE} Hz are read; "
            "its header is damaged, export it again"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioFileError(
            f"{path}: says it has {channels} channels; 1 to {MAX_CHANNELS} are read; "
            "its header is damaged, export it again"
        )


def cut_short(path: Path, frames: int, at: int | None = None) -> AudioFileError:
    """The error for audio that ends before the header says so."""
    where = "before its end" if at is None else f"at frame {at}"
    return AudioFileError(
        f"{path}: cut short or damaged {where}, it says it has {frames} frames; copy or export it again"
    )
