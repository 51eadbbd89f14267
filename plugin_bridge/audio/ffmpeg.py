"""What FFmpeg's libraries decode (through PyAV): AAC, ALAC, WMA, WavPack, ..., and the sound of films.

How long a file is, is found by decoding it once: headers are wrong too often, and what they say in
milliseconds is too coarse. Delays that encoders leave in the file are left out where the file says them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.audio.boxes import whole_span
from plugin_bridge.audio.formats import Format
from plugin_bridge.audio.info import AudioInfo, check_measures, cut_short
from plugin_bridge.audio.sequential import SequentialReader
from plugin_bridge.audio.stem_mp4 import read_titles
from plugin_bridge.audio.window import Window
from plugin_bridge.errors import AudioFileError
from separators.base import Audio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

EXACT = frozenset({"wavpack", "tta", "ape", "au"})
"""Formats whose header says the length in frames, so that fewer of them are a cut file."""
CHECKED = frozenset({"wavpack", "tta", "flac"})
"""Codings with checksums, which their decoders look at only if they are told to."""
TOLERATED_SECONDS = 0.1
"""Less may be missing from what other headers say: they say it in milliseconds, and of frames as encoded."""
FAR = 1 << 62
"""A place behind every file's end."""
TAGS = {
    "album": "album",
    "album_artist": "albumartist",
    "artist": "artist",
    "comment": "comment",
    "composer": "composer",
    "copyright": "copyright",
    "date": "date",
    "disc": "discnumber",
    "genre": "genre",
    "title": "title",
    "track": "tracknumber",
    "time_reference": "time_reference",
}
"""FFmpeg's names of tags -> ours; what else it calls so is technical."""
LAYOUT_BITS = {
    name: 1 << bit
    for bit, name in enumerate(
        "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR".split()  # noqa: SIM905
    )
}
"""FFmpeg's names of loudspeakers -> bits of WAV's channel mask."""


@dataclass(frozen=True)
class MediaSamples:
    """The first sound of a file that FFmpeg decodes."""

    path: Path
    format: Format
    span: tuple[int, int]
    """The bytes that are read: those between tags of other formats."""
    sample_rate: int
    channels: int
    frames: int
    stream: int = 0
    """Which of the file's sounds; the others are as long as the first."""

    def open(self) -> MediaReader:
        """Open the file."""
        return MediaReader(self)


def flac_frames(path: Path, format: Format) -> int:
    """How many frames a FLAC file holds, whatever its header says: from the last of its blocks."""
    import av

    span = (0, path.stat().st_size)
    with _opened(path, format, span) as container:
        stream = container.streams.audio[0]
        with suppress(av.FFmpegError):  # a file of one block
            container.seek(FAR, stream=stream)
        if frames := _last_end(container):
            return frames
    with _opened(path, format, span) as container:
        return _last_end(container)


def _last_end(container: InputContainer) -> int:
    packets = container.demux(container.streams.audio[0])
    return max(
        (packet.pts + (packet.duration or 0) for packet in packets if packet.pts is not None), default=0
    )


class MediaReader:
    """Reads :class:`MediaSamples`; a step back beyond what is kept decodes from the start again."""

    def __init__(self, samples: MediaSamples) -> None:
        self.samples = samples
        self._reader = SequentialReader(samples.channels, self._decode)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        audio = self._reader.read(start, frames)
        if audio.shape[1] < frames:
            raise cut_short(self.samples.path, self.samples.frames, start + audio.shape[1])
        return audio

    def _decode(self) -> Iterator[Audio]:
        samples = self.samples
        with _opened(samples.path, samples.format, samples.span) as container:
            for block in _blocks(container, samples.path, samples.stream):
                if (block.sample_rate, block.audio.shape[0]) != (samples.sample_rate, samples.channels):
                    raise AudioFileError(
                        f"{samples.path}: changes from {samples.channels} channels at {samples.sample_rate} "
                        f"Hz to {block.audio.shape[0]} at {block.sample_rate} Hz; encode it again as one"
                    )
                yield block.as_float()

    def close(self) -> None:
        """Stop decoding; reading starts it again."""
        self._reader.close()


def read_media(path: Path, format: Format) -> AudioInfo:
    """What the file's first sound is; decodes it once.

    Raises :class:`AudioFileError` for a file without sound, damaged, cut short or of an unknown coding.
    """
    status = path.stat()
    return _read_media(path, format, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _read_media(path: Path, format: Format, size: int, changed: int) -> AudioInfo:
    with path.open("rb") as file:
        span = whole_span(file, path, format.name)
    with _opened(path, format, span) as container:
        stream = container.streams.audio[0]
        claimed = _claimed_seconds(container, format)
        first, frames, low_bits = None, 0, 0
        for block in _blocks(container, path):
            first = first or block
            frames += block.audio.shape[1]
            if block.audio.dtype == np.int32:
                low_bits |= int(np.bitwise_or.reduce(block.audio, axis=None)) & 0xFF
        if first is None:
            raise AudioFileError(f"{path}: its sound is empty; export it again")
        metadata = {**container.metadata, **stream.metadata}
        left_out = _left_out(path, container)
        frames = min(frames, _gapless(metadata.get("iTunSMPB", "")) or frames)
        coding = stream.codec_context.name
    channels = first.audio.shape[0]
    check_measures(path, first.sample_rate, channels)
    missing = round(claimed * first.sample_rate) - frames
    if missing > (0 if format.name in EXACT else TOLERATED_SECONDS * first.sample_rate):
        raise cut_short(path, frames + missing)
    subtype = {np.dtype(np.uint8): "PCM_U8", np.dtype(np.int16): "PCM_16"}.get(
        first.audio.dtype, coding.upper()
    )
    if first.audio.dtype == np.int32:
        subtype = "PCM_32" if low_bits else "PCM_24"
    return AudioInfo(
        path,
        format.name,
        subtype,
        first.sample_rate,
        channels,
        frames,
        MediaSamples(path, format, span, first.sample_rate, channels, frames),
        first.mask,
        tags={TAGS[name.lower()]: [text] for name, text in metadata.items() if name.lower() in TAGS and text},
        left_out=left_out,
    )


def _left_out(path: Path, container: InputContainer) -> str:
    """What is said of a file that holds several sounds; a Stem file's first is the mix of the others."""
    sounds = container.streams.audio
    if len(sounds) < 2:
        return ""
    with suppress(AudioFileError):
        read_titles(path)
        return ""
    first, *others = (
        f"{number} ({', '.join(told)})" if told else str(number)
        for number, told in enumerate(map(_told, sounds), 1)
    )
    return (
        f"{path.name} holds {len(sounds)} sounds: {first} is read, {' and '.join(others)} left out; "
        "save those as files of their own, if they are meant"
    )


def _told(stream: AudioStream) -> list[str]:
    """What a sound is called, and in which language it is."""
    found = (stream.metadata.get(key, "") for key in ("title", "handler_name", "language"))
    return [text for text in found if text not in ("", "und", "SoundHandler")]


def _claimed_seconds(container: InputContainer, format: Format) -> float:
    """How long the sound is said to be, where that can be relied on; else 0."""
    stream = container.streams.audio[0]
    if format.name in EXACT | {"avi"} and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if format.name in ("wma", "matroska"):
        hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        with suppress(ValueError):
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        if len(container.streams) == 1 and container.duration:
            return container.duration / 1_000_000
    return 0.0


@dataclass(frozen=True)
class _Block:
    """A decoded frame."""

    audio: NDArray[Any]
    """``(channels, frames)``, in the coding's own type."""
    sample_rate: int
    mask: int

    def as_float(self) -> Audio:
        """-1..1."""
        if self.audio.dtype.kind == "f":
            return self.audio.astype(np.float32, copy=False)
        if self.audio.dtype == np.uint8:
            return (self.audio.astype(np.float32) - np.float32(128)) / np.float32(128)
        return self.audio.astype(np.float32) * np.float32(2.0 ** (1 - 8 * self.audio.itemsize))


@contextmanager
def _opened(path: Path, format: Format, span: tuple[int, int]) -> Iterator[InputContainer]:
    """The bytes ``span`` of a file, read by Python under its own format: FFmpeg opens no other file."""
    import av

    try:
        with (
            path.open("rb") as file,
            av.open(
                Window(file, *span), "r", format=format.demuxer, metadata_errors="replace", io_open=_refuse
            ) as container,
        ):
            if not container.streams.audio:
                raise AudioFileError(f"{path}: there is no sound in it")
            yield container
    except (av.FFmpegError, av.error.PyAVCallbackError) as error:
        raise AudioFileError(
            f"{path}: cannot be read as audio: damaged, or no {format.title} that is known"
        ) from error


def _refuse(url: str, flags: int, options: dict[str, str]) -> None:
    raise PermissionError(f"{url} is named inside an audio file and not opened")


def _blocks(container: InputContainer, path: Path, number: int = 0) -> Iterator[_Block]:
    """One of the file's sounds, frame by frame."""
    if number >= len(container.streams.audio):
        raise AudioFileError(f"{path}: holds {len(container.streams.audio)} sounds, not {number + 1}")
    stream = container.streams.audio[number]
    waiting: _Block | None = None
    length = 0.0
    late = 0
    if container.format.name == "asf" and container.metadata.get("encoder", "").startswith("Lavf"):
        # The decoder leaves out two frames, by which Microsoft's encoders are late; FFmpeg's is by one.
        stream.codec_context.options = {"flags2": "+skip_manual"}
        late = 1
    elif stream.codec_context.name in CHECKED:
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    # Of whole frames whose number nobody said; where somebody did, the file's parts have been looked at.
    may_end_early = container.format.name == "caf" and stream.codec_context.name.startswith("pcm_")
    for packet in container.demux(stream):
        if packet.is_corrupt and not may_end_early:
            raise AudioFileError(f"{path}: damaged or cut short; copy or export it again")
        if packet.size and packet.duration and packet.time_base:
            length = float(packet.duration * packet.time_base)
        for frame in packet.decode():
            if late:
                late -= 1
                continue
            if waiting:
                yield waiting
            waiting = _block(frame)
    if waiting:
        # MP4 says how much of the last frame is music, in frames.
        music = round(length * waiting.sample_rate)
        is_exact = stream.time_base and stream.time_base.denominator == waiting.sample_rate
        whole = waiting.audio.shape[1]
        if is_exact and 0 < music < whole and container.format.name.startswith("mov"):
            waiting = replace(waiting, audio=waiting.audio[:, :music])
        yield waiting


def _block(frame: AudioFrame) -> _Block:
    audio = frame.to_ndarray()
    if not frame.format.is_planar:
        audio = audio.reshape(frame.samples, -1).T
    bits = [LAYOUT_BITS.get(channel.name, 0) for channel in frame.layout.channels]
    # WAV orders channels by their bits; others' orders have no mask.
    mask = sum(bits) if all(bits) and bits == sorted(set(bits)) else 0
    return _Block(audio, frame.sample_rate, mask)


def _gapless(text: str) -> int:
    """The number of frames in the comment that Apple's encoders leave; 0 if there is none."""
    words = text.split()
    try:
        return int(words[3], 16) if len(words) > 3 else 0
    except ValueError:
        return 0
