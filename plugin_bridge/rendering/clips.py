"""One clip as audio on the session's timeline: source, loop, rate, fades, gain, balance."""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.audio.resampling import MAX_RATIO, ResampledSource
from plugin_bridge.errors import AudioFileError
from plugin_bridge.sessions.fades import fade_curve, fade_lengths
from plugin_bridge.sessions.model import ChannelMode, Clip
from separators.base import Audio


class _Closable(Protocol):
    def read(self, start: int, frames: int) -> Audio: ...
    def close(self) -> None: ...


class ClipSource:
    """The audio of ``clip`` between its first and last frame on the timeline.

    ``start`` and ``end`` are frames of the session, rounded from the absolute times; :meth:`read` takes
    frames of the session too. Raises :class:`AudioFileError` if the source cannot be played.
    """

    def __init__(self, clip: Clip, file: AudioFileSource, sample_rate: int) -> None:
        self.clip = clip
        self.sample_rate = sample_rate
        self.start = round(clip.position * sample_rate)
        self.end = round((clip.position + clip.length) * sample_rate)
        self.channels = 2 if clip.pan and file.channels == 1 else file.channels
        if clip.channel_mode in (ChannelMode.MONO, ChannelMode.LEFT, ChannelMode.RIGHT) and not clip.pan:
            self.channels = 1
        self.channel_mask = file.info.channel_mask if self.channels == file.channels else 0
        self.fade_in, self.fade_out = fade_lengths(clip.fade_in, clip.fade_out, clip.length)
        self._input = self._open(file)

    def _open(self, file: AudioFileSource) -> _Closable:
        rate_in = file.sample_rate * self.clip.rate
        if not 1 / MAX_RATIO <= rate_in / self.sample_rate <= MAX_RATIO:
            raise AudioFileError(
                f"{file.info.path}: {file.sample_rate} Hz at play rate {self.clip.rate:g} "
                f"is too far from the session's {self.sample_rate} Hz"
            )
        frames = self.end - self.start
        if rate_in == self.sample_rate:
            return _Material(self.clip, file, frames)
        needed = round(frames * rate_in / self.sample_rate) + 1
        return ResampledSource(_Material(self.clip, file, needed), rate_in, self.sample_rate, frames)

    def read(self, start: int, frames: int) -> Audio:
        """Session frames ``start`` to ``start + frames``, all inside the clip."""
        audio = self._input.read(start - self.start, frames)
        audio = _with_channels(audio, self.clip)
        gain = self._gain(start, frames)
        if isinstance(gain, float):
            if gain != 1:
                audio = audio * np.float32(gain)
        else:
            audio = audio * gain
        return balanced(audio, self.clip.pan)

    def _gain(self, start: int, frames: int) -> float | NDArray[np.float32]:
        """The clip's gain with its fades, per frame only where a fade is."""
        first = (start - self.start) / self.sample_rate
        last = (start + frames - self.start) / self.sample_rate
        fades_in, fades_out = (
            first < self.fade_in,
            last > self.clip.length - self.fade_out and self.fade_out > 0,
        )
        if not fades_in and not fades_out:
            return self.clip.gain
        seconds = first + np.arange(frames) / self.sample_rate
        gain = np.full(frames, self.clip.gain)
        if fades_in:
            gain *= fade_curve(self.clip.fade_in, seconds / self.fade_in)
        if fades_out:
            gain *= fade_curve(self.clip.fade_out, (self.clip.length - seconds) / self.fade_out)
        return gain.astype(np.float32)

    def close(self) -> None:
        """Close the file and forget what was converted; reading opens it again."""
        self._input.close()


class _Material:
    """What a clip plays, at its source's own rate: offset, section, direction, loop; silence around it."""

    def __init__(self, clip: Clip, file: AudioFileSource, frames: int) -> None:
        self.file = copy.copy(file)  # its own place in the file; the copy shares what is known of it
        self.frames = frames
        self.channels = file.channels
        self.sample_rate = file.sample_rate
        self.loop = clip.loop
        self.reversed = clip.reversed
        begin = min(max(0, round(clip.section_start * file.sample_rate)), file.frames)
        length = file.frames - begin
        if clip.section_length is not None:
            length = min(length, max(0, round(clip.section_length * file.sample_rate)))
        self.begin, self.length = begin, length
        self.offset = round(clip.offset * file.sample_rate)

    def read(self, start: int, frames: int) -> Audio:
        audio = np.zeros((self.channels, frames), np.float32)
        if self.length == 0:
            return audio
        done = 0
        while done < frames:
            at = self.offset + start + done
            if self.loop:
                at %= self.length
            count = frames - done
            if at < 0:
                done += min(-at, count)
            elif at >= self.length:
                break
            else:
                count = min(count, self.length - at)
                audio[:, done : done + count] = self._section(at, count)
                done += count
        return audio

    def _section(self, at: int, count: int) -> Audio:
        if not self.reversed:
            return self.file.read(self.begin + at, count)
        return self.file.read(self.begin + self.length - at - count, count)[:, ::-1]

    def close(self) -> None:
        self.file.close()


def _with_channels(audio: Audio, clip: Clip) -> Audio:
    first = clip.first_channel
    match clip.channel_mode:
        case ChannelMode.SINGLE:
            return audio[first : first + 1] if first < len(audio) else np.zeros_like(audio[:1])
        case ChannelMode.PAIR:
            return audio[first : first + 2] if first < len(audio) else np.zeros_like(audio[:2])
    if len(audio) < 2:
        return audio
    match clip.channel_mode:
        case ChannelMode.SWAPPED:
            return audio[[1, 0, *range(2, len(audio))]]
        case ChannelMode.LEFT:
            return audio[:1]
        case ChannelMode.RIGHT:
            return audio[1:2]
        case ChannelMode.MONO:
            return (audio[:1] + audio[1:2]) * np.float32(0.5)
    return audio


def balanced(audio: Audio, pan: float) -> Audio:
    """``audio`` with REAPER's default pan law, 0 dB balance: only the far side is turned down, linearly.

    A mono signal becomes stereo; of more channels the first two are balanced.
    """
    if pan == 0:
        return audio
    audio = np.repeat(audio, 2, axis=0) if len(audio) == 1 else audio.copy()
    audio[0] *= np.float32(min(1.0, 1 - pan))
    audio[1] *= np.float32(min(1.0, 1 + pan))
    return audio


def add(total: Audio, audio: Audio) -> None:
    """Mix ``audio`` into ``total`` in place; mono goes to the first two channels, as at a centred pan."""
    if len(audio) == 1:
        total[:2] += audio
    else:
        total[: len(audio)] += audio
