"""One clip as audio on the session's timeline: source, loop, rate, pitch, fades, gain, envelopes, balance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.audio.resampling import MAX_RATIO, ResampledSource
from plugin_bridge.errors import AudioFileError
from plugin_bridge.rendering.envelopes import Automation
from plugin_bridge.rendering.overlaps import Gap
from plugin_bridge.rendering.panning import PanLaw
from plugin_bridge.rendering.sources import close
from plugin_bridge.rendering.stretching import StretchedSource, pieces
from plugin_bridge.sessions.fades import beneath_curve, fade_curve, fade_lengths, faded
from plugin_bridge.sessions.model import ChannelMode, Clip, Overlap, Parameter
from separators.base import Audio
from separators.streaming import AudioSource

SAME_RATE = 1e-9
"""Relative; a source that is played at a rate so near the session's is not converted."""
WIDTHS = {
    ChannelMode.MONO: 1,
    ChannelMode.LEFT: 1,
    ChannelMode.RIGHT: 1,
    ChannelMode.SINGLE: 1,
    ChannelMode.PAIR: 2,
}
"""The channels that a mode leaves."""


class ClipSource:
    """The audio of ``clip`` between its first and last frame on the timeline.

    ``start`` and ``end`` are frames of the session, rounded from the absolute times; :meth:`read` takes
    frames of the session too. Raises :class:`AudioFileError` if the source cannot be played.
    """

    def __init__(self, clip: Clip, source: AudioSource, sample_rate: int, late: float = 0.0) -> None:
        """``late`` seconds are added to the clip's position."""
        self.clip = clip
        self.sample_rate = sample_rate
        self.source = source
        self.source_rate = source.sample_rate
        position = clip.position + late
        self.start = round(position * sample_rate)
        self.end = round((position + clip.length) * sample_rate)
        self.fade_in, self.fade_out = fade_lengths(clip.fade_in, clip.fade_out, clip.length)
        self._late = late
        self._gaps: list[Gap] = []
        self._automation = Automation(clip.envelopes)
        is_panned = bool(clip.pan) or self._automation.moves(Parameter.PAN)
        width = WIDTHS.get(clip.channel_mode, source.channels)
        if clip.channel_mode in (ChannelMode.MONO, ChannelMode.LEFT, ChannelMode.RIGHT):
            width = min(width, source.channels)
        self.channels = 2 if is_panned and width == 1 else width
        info = getattr(source, "info", None)
        self.channel_mask: int = info.channel_mask if info and self.channels == source.channels else 0
        self.left_out: str = info.left_out if info else ""
        """What else sounds in the file."""
        self._input = self._open(source)

    def hide(self, gaps: Sequence[Gap]) -> None:
        """In these ``gaps`` other clips are heard in its place."""
        late = self._late
        self._gaps = [replace(gap, start=gap.start + late, end=gap.end + late) for gap in gaps]
        half = 0.5 / self.sample_rate
        first, last = self.start / self.sample_rate, self.end / self.sample_rate
        # A fade-out is over by then.
        if not self.fade_out and any(gap.shortens(first + half, last - half) for gap in self._gaps):
            self.end = max(self.start, self.end - 1)

    def _open(self, source: AudioSource) -> AudioSource:
        clip, frames = self.clip, self.end - self.start
        is_stretched = (
            clip.pitch
            or clip.stretch
            or (clip.keep_pitch and clip.rate != 1)
            or self._automation.moves(Parameter.PITCH)
        )
        rate_in = source.sample_rate * (1.0 if is_stretched else clip.rate)
        if not 1 / MAX_RATIO <= rate_in / self.sample_rate <= MAX_RATIO:
            raise AudioFileError(
                f"{clip.source}: {source.sample_rate} Hz at play rate {clip.rate:g} "
                f"is too far from the session's {self.sample_rate} Hz"
            )
        self.is_converted = not math.isclose(rate_in, self.sample_rate, rel_tol=SAME_RATE)
        needed = frames if not self.is_converted else round(frames * rate_in / self.sample_rate) + 1
        material: AudioSource
        if is_stretched:
            material = StretchedSource(
                _Material(replace(clip, offset=0.0), source, needed), pieces(clip), needed
            )
        else:
            material = _Material(clip, source, needed)
        if not self.is_converted:
            return material
        return ResampledSource(material, rate_in, self.sample_rate, frames)

    def read(self, start: int, frames: int) -> Audio:
        """Session frames ``start`` to ``start + frames``, all inside the clip."""
        audio = self._input.read(start - self.start, frames)
        audio = _with_channels(audio, self.clip)
        gain = self._gain(start, frames)
        if isinstance(gain, float):
            if gain != 1:
                audio = audio * np.float32(gain)
        else:
            audio = audio * gain.astype(np.float32)
        if not self._automation:
            return balanced(audio, self.clip.pan)
        place = self._automation.moved(
            start - self.start, frames, self.sample_rate, self.clip.pan, Parameter.PAN
        )
        return PanLaw().apply(audio, place)

    def _gain(self, start: int, frames: int) -> float | NDArray[np.float64]:
        """The clip's gain with its fades, per frame only where something moves."""
        first = (start - self.start) / self.sample_rate
        last = (start + frames - self.start) / self.sample_rate
        fades_in, fades_out = (
            first < self.fade_in,
            last > self.clip.length - self.fade_out and self.fade_out > 0,
        )
        gain: float | NDArray[np.float64] = self.clip.gain
        if self._automation:
            at, rate = start - self.start, self.sample_rate
            gain = self._automation.gain(at, frames, rate, self.clip.gain, Parameter.VOLUME, Parameter.MUTE)
        begin, end = start / self.sample_rate, (start + frames) / self.sample_rate
        gaps = [gap for gap in self._gaps if gap.start < end and gap.end > begin]
        if not fades_in and not fades_out and not gaps:
            return gain
        seconds = first + np.arange(frames) / self.sample_rate
        gain = np.broadcast_to(np.asarray(gain, np.float64), frames).copy()
        rising, falling, rest = np.ones((3, frames))
        if fades_in:
            over = faded(self.clip.fade_in, seconds / self.fade_in, round(self.fade_in * self.sample_rate))
            rising = fade_curve(self.clip.fade_in, over)
        if fades_out:
            over = 1 - (self.clip.length - seconds) / self.fade_out
            lasting = round(self.fade_out * self.sample_rate)
            over = faded(self.clip.fade_out, over, lasting, is_out=True)
            falling = fade_curve(self.clip.fade_out, over)
            if self.clip.overlap is Overlap.CROSSFADE:
                rest = beneath_curve(self.clip.fade_out, over)
        fading = rising * falling
        if fades_in and fades_out and self.fade_in + self.fade_out > self.clip.length:
            middle = seconds + 0.5 / self.sample_rate
            both = (middle < self.fade_in) & (middle > self.clip.length - self.fade_out)
            fading = np.where(both, rising * rest + falling, fading)
        gain *= fading
        for gap in gaps:
            gain *= gap.gain((start + np.arange(frames)) / self.sample_rate, self.sample_rate)
        return gain

    def close(self) -> None:
        """Close the file and forget what was converted; reading opens it again."""
        close(self._input)


class _Material:
    """What a clip plays, at its source's own rate: offset, section, direction, loop; silence around it."""

    def __init__(self, clip: Clip, source: AudioSource, frames: int) -> None:
        self.source = source
        self.frames = frames
        self.channels = source.channels
        self.sample_rate = source.sample_rate
        self.loop = clip.loop
        self.reversed = clip.reversed
        begin = min(max(0, round(clip.section_start * source.sample_rate)), source.frames)
        length = source.frames - begin
        if clip.section_length is not None:
            length = min(length, max(0, round(clip.section_length * source.sample_rate)))
        self.begin, self.length = begin, length
        self.offset = round(clip.offset * source.sample_rate)

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
            return self.source.read(self.begin + at, count)
        return self.source.read(self.begin + self.length - at - count, count)[:, ::-1]

    def close(self) -> None:
        close(self.source)


def _with_channels(audio: Audio, clip: Clip) -> Audio:
    first = clip.first_channel
    match clip.channel_mode:
        case ChannelMode.SINGLE:
            return audio[first : first + 1] if first < len(audio) else np.zeros_like(audio[:1])
        case ChannelMode.PAIR:
            pair = np.zeros((2, audio.shape[1]), np.float32)
            found = audio[first : first + 2]
            pair[: len(found)] = found
            return pair
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
    return PanLaw().apply(audio, pan)


def add(total: Audio, audio: Audio, channel: int = 0) -> None:
    """Mix ``audio`` into ``total`` from ``channel`` on, in place; what finds no channel is lost.

    Mono goes to two channels, as at a centred pan.
    """
    if len(audio) == 1:
        total[channel : channel + 2] += audio
    elif channel < len(total):
        total[channel : channel + len(audio)] += audio[: len(total) - channel]
