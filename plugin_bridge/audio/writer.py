"""Writes audio files block by block, under a temporary name until they are complete.

Integer formats are rounded, without dither: what came from 16 bits and was not changed goes back to the
same 16 bits, and the same audio gives the same samples. Samples beyond full scale are refused, since
every stem of a job shares one gain, which only the caller knows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import soundfile
from mutagen import MutagenError
from numpy.typing import NDArray

from plugin_bridge.audio.outputs import BIT_DEPTHS, check_output, has_full_scale
from plugin_bridge.audio.pcm import interleaved
from plugin_bridge.audio.riff import MAX_32_BIT
from plugin_bridge.audio.tags import CHANNEL_MASK_TAG, TIME_REFERENCE_TAG, to_id3, write_tags
from plugin_bridge.audio.wav_writer import WavWriter
from plugin_bridge.errors import AudioFileError
from separators.atomic import put_in_place, temporary_beside
from separators.base import Audio

FULL_SCALE_TOLERANCE = 1e-6
"""A gain that brings the peak to 1.0 may leave it this far above, by float32's rounding."""
WRITTEN_AT_ONCE = 1 << 16
AIFF_LIMIT = MAX_32_BIT - (1 << 20)
"""AIFF sizes have 32 bits; some room is left for tags."""


class _Encoder(Protocol):
    def write(self, samples: NDArray[np.float32]) -> None: ...
    def close(self) -> None: ...


class AudioWriter:
    """Writes one audio file; a context manager, which puts the file in place only if all went well.

    Blocks ``(channels, frames)`` are written one after the other. On leaving the ``with`` block the file
    is flushed to disk (unless ``flushed`` is off and somebody else does it) and renamed to ``path``; on any
    exception it is deleted. WAV gets ``time_reference``
    (samples since midnight) as a bext chunk, the other formats as a tag of that name; ``tags`` go into
    every format. The loudspeakers of ``channel_mask`` (bits of WAV's) go into WAV and FLAC, if they are as
    many as the channels. WAV becomes RF64 beyond 4 GiB. MP3 is written at the highest constant rate, with the
    header that lets players leave out the encoder's delay: read by libsndfile it is as long as it was.

    Raises :class:`AudioFileError` for what :func:`check_output` refuses, samples beyond full scale (but
    for float), NaN and infinity, and disks that are full or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        *,
        format: str = "wav",
        bit_depth: str = "24",
        time_reference: int | None = None,
        tags: Mapping[str, list[str]] | None = None,
        channel_mask: int = 0,
        flushed: bool = True,
    ) -> None:
        check_output(format, bit_depth, channels, sample_rate)
        if time_reference is not None and not 0 <= time_reference < 1 << 64:
            raise AudioFileError(
                f"a time stamp of {time_reference} samples cannot be written; it must be 0 or more"
            )
        self.path = Path(path)
        self.sample_rate = sample_rate
        self.channels = channels
        self.format = format
        self.bit_depth = bit_depth
        self.time_reference = time_reference
        self.tags = dict(tags or {})
        self.channel_mask = channel_mask if channel_mask.bit_count() == channels else 0
        self.frames = 0
        """Frames written so far."""
        self._flushed = flushed
        self._temporary = temporary_beside(self.path)
        self._encoder: _Encoder | None = None

    def __enter__(self) -> Self:
        try:
            self._encoder = self._open()
        except BaseException as error:
            self._discard()
            if isinstance(error, (OSError, soundfile.SoundFileError)):
                raise self._error(error) from error
            raise
        return self

    def _open(self) -> _Encoder:
        if self.format == "wav":
            return _WavEncoder(self)
        return _SoundFileEncoder(self)

    def write(self, audio: Audio) -> None:
        """Append a block ``(channels, frames)``."""
        if self._encoder is None:
            raise AudioFileError(f"{self.path}: not open; write inside a with block")
        if audio.ndim != 2 or audio.shape[0] != self.channels:
            raise AudioFileError(
                f"{self.path}: a block of shape {audio.shape} does not fit {self.channels} channels"
            )
        self._check_samples(audio)
        frame_bytes = self.channels * BIT_DEPTHS[self.bit_depth] // 8
        if self.format == "aiff" and (self.frames + audio.shape[1]) * frame_bytes > AIFF_LIMIT:
            raise AudioFileError(f"{self.path}: AIFF files end at 4 GiB; choose WAV or FLAC")
        try:
            for start in range(0, audio.shape[1], WRITTEN_AT_ONCE):
                block = audio[:, start : start + WRITTEN_AT_ONCE]
                self._encoder.write(interleaved(block))
        except (OSError, soundfile.SoundFileError, AssertionError) as error:
            raise self._error(error) from error
        self.frames += audio.shape[1]

    def _check_samples(self, audio: Audio) -> None:
        if audio.size == 0:
            return
        peak = float(np.max(np.abs(audio)))
        if not np.isfinite(peak):
            raise AudioFileError(f"{self.path}: NaN or infinity cannot be written")
        if peak > 1 + FULL_SCALE_TOLERANCE and has_full_scale(self.format, self.bit_depth):
            kind = f"{self.bit_depth} bit" if self.format not in ("ogg", "mp3") else self.format
            raise AudioFileError(
                f"{self.path}: a sample of {peak:.6g} ({20 * np.log10(peak):+.2f} dB) does not fit {kind}; "
                "apply one gain to all stems, or write float32"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return
        try:
            encoder.close()
            if kind is None:
                self._finish()
        except (OSError, soundfile.SoundFileError, MutagenError) as failure:
            if kind is None:
                raise self._error(failure) from failure
        finally:
            self._discard()

    def _finish(self) -> None:
        tags = self._file_tags()
        if tags and self.format != "wav":
            write_tags(self._temporary, self.format, tags)
        if self._flushed:
            put_in_place(self._temporary, self.path)
        else:
            self._temporary.replace(self.path)

    def _file_tags(self) -> dict[str, list[str]]:
        tags = dict(self.tags)
        if self.time_reference is not None and self.format != "wav":
            tags[TIME_REFERENCE_TAG] = [str(self.time_reference)]
        if self.channel_mask and self.channels > 2 and self.format == "flac":
            tags[CHANNEL_MASK_TAG] = [f"0x{self.channel_mask:X}"]
        return tags

    def _discard(self) -> None:
        self._temporary.unlink(missing_ok=True)

    def _error(self, error: Exception) -> AudioFileError:
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        elif self._disk_is_full():
            reason = "no space left on device"
        return AudioFileError(f"{self.path}: cannot be written: {reason[:1].lower()}{reason[1:].rstrip('.')}")

    def _disk_is_full(self) -> bool:
        """Whether that is why writing failed: libsndfile says "System error." for everything."""
        try:
            return shutil.disk_usage(self.path.parent).free < WRITTEN_AT_ONCE * self.channels * 4
        except OSError:
            return False


def to_integers(samples: NDArray[np.float32], bits: int) -> NDArray[np.int32]:
    """Round samples of -1..1 to integers of ``bits`` bits, at most 24; +1.0 becomes the largest one."""
    scale = float(1 << (bits - 1))
    scaled = samples * np.float32(scale)  # exact, as is rounding it: float32 holds integers of 24 bits
    return np.clip(np.rint(scaled, out=scaled), -scale, scale - 1, out=scaled).astype(np.int32)


def _lower_three_bytes(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    wide = samples.astype("<i4", copy=False).reshape(-1).view(np.uint8).reshape(-1, 4)
    three = np.empty((len(wide), 3), np.uint8)
    for number in range(3):  # several times faster than all at once
        three[:, number] = wide[:, number]
    return three


class _WavEncoder:
    def __init__(self, writer: AudioWriter) -> None:
        self.bits = BIT_DEPTHS[writer.bit_depth]
        self.id3 = to_id3(writer.tags)
        self.file = writer._temporary.open("xb")
        is_float = self.bits == 32
        try:
            self.wav = WavWriter(
                self.file,
                writer.sample_rate,
                writer.channels,
                self.bits,
                is_float,
                writer.time_reference,
                writer.channel_mask,
            )
        except BaseException:
            self.file.close()
            raise

    def write(self, samples: NDArray[np.float32]) -> None:
        if self.bits == 32:
            content = samples.astype("<f4", copy=False).tobytes()
        elif self.bits == 16:
            content = to_integers(samples, 16).astype("<i2").tobytes()
        else:
            content = _lower_three_bytes(to_integers(samples, 24)).tobytes()
        self.wav.write(content)

    def close(self) -> None:
        with self.file:
            self.wav.finish(self.id3)


class _SoundFileEncoder:
    def __init__(self, writer: AudioWriter) -> None:
        integers = {"16": "PCM_16", "24": "PCM_24", "float32": "FLOAT"}
        lossy = {"ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
        best_mp3 = {"compression_level": 0.0, "bitrate_mode": "CONSTANT"} if writer.format == "mp3" else {}
        self.bits = 32 if writer.format in lossy else BIT_DEPTHS[writer.bit_depth]
        # By number, since libsndfile refuses names of more than 1,024 bytes; it closes what it is given.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self.file = soundfile.SoundFile(
            os.open(writer._temporary, flags, 0o666),
            "w",
            writer.sample_rate,
            writer.channels,
            subtype=lossy.get(writer.format) or integers[writer.bit_depth],
            format=writer.format.upper(),
            **best_mp3,
        )

    def write(self, samples: NDArray[np.float32]) -> None:
        if self.bits == 32:
            self.file.write(samples)
        else:
            # libsndfile scales floats by 32767; integers, in the upper bits of 32, stay as they are.
            self.file.write(to_integers(samples, self.bits) << (32 - self.bits))

    def close(self) -> None:
        self.file.close()
