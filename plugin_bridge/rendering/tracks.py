"""A session's tracks as audio, block by block at any position, in flat memory.

The default is what separation wants: a track before its fader and its effects, so that stems placed back
keep both. Signal flow, overlaps and solo follow REAPER: overlapping clips are mixed; a folder is the sum of
its children after their faders; the pan law is 0 dB balance; a soloed folder plays its children, and a
folder around a soloed track passes only that on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pedalboard

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.rendering.clips import ClipSource, add, balanced
from plugin_bridge.sessions.model import Session, Track
from separators.base import Audio


class TrackSource:
    """One track (with its children, if it is a folder) as an :class:`separators.streaming.AudioSource`.

    It reaches from its first clip's start to its last clip's end, or with ``whole`` from the session's
    start to its end. Mono if all its clips are mono, else as wide as the widest. ``post_fader`` adds
    polarity, volume, pan, mute and solo. Raises :class:`AudioFileError` if one of its media is
    missing or damaged, and names the track.
    """

    def __init__(
        self,
        session: Session,
        track: Track,
        *,
        sample_rate: int | None = None,
        post_fader: bool = False,
        whole: bool = False,
    ) -> None:
        self.track = track
        self.sample_rate = sample_rate or session.sample_rate
        # Before the fader, a solo elsewhere in the session does not silence the track.
        any_solo = _any_solo(session.tracks if post_fader else track.children)
        under_solo = post_fader and _is_under_solo(session.tracks, track)
        self._strip = _Strip(track, self.sample_rate, {}, post_fader, any_solo, under_solo)
        extent = _extent([track], self.sample_rate)
        self._set_extent((0, round(session.end * self.sample_rate)) if whole else extent)

    def _set_extent(self, extent: tuple[int, int]) -> None:
        self.start_frame = max(0, extent[0])
        """Where the first frame lies on the timeline."""
        self.frames = max(0, extent[1] - self.start_frame)
        self.channels: int = self._strip.channels
        self.channel_mask: int = self._strip.channel_mask
        self.not_honoured = list(self._strip.not_honoured())
        """What the reader could not know: one line each."""
        self.conversions = list(dict.fromkeys(self._strip.conversions()))
        """The files that have another sample rate and are converted: one line each."""

    @property
    def position_seconds(self) -> float:
        """Where the first frame lies on the timeline."""
        return self.start_frame / self.sample_rate

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` of the track as ``(channels, frames)``."""
        if start < 0 or frames < 0 or start + frames > self.frames:
            raise AudioFileError(
                f"{self.track.name}: frames {start} to {start + frames} asked for, there are {self.frames}"
            )
        audio = np.zeros((self.channels, frames), np.float32)
        add(audio, self._strip.read(self.start_frame + start, frames))
        return audio

    def close(self) -> None:
        """Close all files; reading opens them again."""
        self._strip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class MixSource(TrackSource):
    """The whole session after its faders, through the master's volume and pan; at least stereo."""

    def __init__(self, session: Session, *, sample_rate: int | None = None) -> None:
        self.track = Track(
            "Master", children=session.tracks, volume=session.master_volume, pan=session.master_pan
        )
        self.sample_rate = sample_rate or session.sample_rate
        any_solo = _any_solo(session.tracks)
        self._strip = _Strip(self.track, self.sample_rate, {}, True, any_solo, under_solo=False)
        self._set_extent((0, round(session.end * self.sample_rate)))
        self.channels = max(2, self.channels)


def selected_tracks(session: Session, patterns: Sequence[str] = ()) -> list[Track]:
    """The tracks whose name fits one of the shell-like ``patterns``, in the session's order.

    Upper and lower case are the same. Without patterns: every track that has clips of its own. Raises
    :class:`SessionError` if a pattern fits no track that has audio.
    """
    with_audio = [track for track in session.walk() if any(part.clips for part in _family([track]))]
    if not patterns:
        return [track for track in with_audio if track.clips]
    for pattern in patterns:
        if not any(_fits(track, pattern) for track in with_audio):
            names = ", ".join(track.name for track in with_audio) or "none"
            raise SessionError(f"no track with audio fits {pattern!r}; there are: {names}")
    return [track for track in with_audio if any(_fits(track, pattern) for pattern in patterns)]


def _fits(track: Track, pattern: str) -> bool:
    return fnmatchcase(track.name.casefold(), pattern.casefold())


def _family(tracks: Iterable[Track]) -> Iterator[Track]:
    for track in tracks:
        yield track
        yield from _family(track.children)


def _any_solo(tracks: Iterable[Track]) -> bool:
    return any(track.soloed for track in _family(tracks))


def _is_under_solo(tracks: Iterable[Track], wanted: Track) -> bool:
    """Whether a folder around ``wanted`` is soloed."""
    return any(
        folder.soloed and any(part is wanted for part in _family(folder.children))
        for folder in _family(tracks)
    )


def _extent(tracks: Iterable[Track], sample_rate: int) -> tuple[int, int]:
    clips = [clip for track in _family(tracks) for clip in track.clips if not clip.muted]
    starts = (round(clip.position * sample_rate) for clip in clips)
    ends = (round((clip.position + clip.length) * sample_rate) for clip in clips)
    return min(starts, default=0), max(ends, default=0)


class _Strip:
    """A track's clips and children, mixed, and if ``post_fader`` through its polarity, volume and pan."""

    def __init__(
        self,
        track: Track,
        sample_rate: int,
        files: dict[Path, AudioFileSource],
        post_fader: bool,
        any_solo: bool,
        under_solo: bool,
    ) -> None:
        self.track = track
        self.sample_rate = sample_rate
        self.post_fader = post_fader
        self._files = files
        self.clips: list[ClipSource] = []
        self.children: list[_Strip] = []
        under_solo = under_solo or (post_fader and track.soloed)
        # What is muted or not soloed is never opened: its media may be missing.
        if not (post_fader and track.muted):
            if not post_fader or not any_solo or under_solo:
                self.clips = _open_clips(track, sample_rate, files)
            self.children = [
                _Strip(child, sample_rate, files, True, any_solo, under_solo)
                for child in track.children
                if child.sends_to_parent
            ]
        widths = [*(clip.channels for clip in self.clips), *(child.channels for child in self.children)]
        self._mixed_channels: int = max(widths, default=1)
        is_panned = post_fader and track.pan != 0
        self.channels: int = max(2, self._mixed_channels) if is_panned else self._mixed_channels
        # Of more than stereo; narrower clips play on the first loudspeakers.
        parts: list[ClipSource | _Strip] = [*self.clips, *self.children]
        masks = {part.channel_mask for part in parts if part.channels == self.channels > 2}
        self.channel_mask: int = masks.pop() if len(masks) == 1 else 0
        self._read_lately: set[ClipSource] = set()

    def read(self, start: int, frames: int) -> Audio:
        """Frames of the session's timeline, silent where nothing lies."""
        audio = np.zeros((self._mixed_channels, frames), np.float32)
        reached = {clip for clip in self.clips if clip.start < start + frames and clip.end > start}
        for clip in self.clips:
            if clip in reached:
                first, last = max(clip.start, start), min(clip.end, start + frames)
                add(audio[:, first - start : last - start], clip.read(first, last - first))
        for clip in self._read_lately - reached:
            clip.close()
        self._read_lately = reached
        for child in self.children:
            add(audio, child.read(start, frames))
        return self._through_fader(audio) if self.post_fader else audio

    def _through_fader(self, audio: Audio) -> Audio:
        track = self.track
        if track.inverted:
            audio = -audio
        if track.volume <= 0:
            audio = np.zeros_like(audio)
        elif track.volume != 1 and audio.size:
            # As one line of samples: Pedalboard takes the shorter side of a short block for the channels.
            gain = pedalboard.Gain(gain_db=20 * math.log10(track.volume))
            audio = gain(audio.reshape(-1), self.sample_rate).reshape(audio.shape)
        return balanced(audio, track.pan)

    def not_honoured(self) -> Iterator[str]:
        """What this strip does otherwise than a DAW would."""
        if self.post_fader and self.track.pan and self._mixed_channels > 2:
            yield f"{self.track.name}: pan moves only the first two of {self._mixed_channels} channels"
        for child in self.children:
            yield from child.not_honoured()

    def conversions(self) -> Iterator[str]:
        """The files of clips that have another sample rate."""
        for clip in self.clips:
            if (rate := self._files[clip.clip.source].sample_rate) != self.sample_rate:
                yield (
                    f"{self.track.name}: {clip.clip.source.name} is converted from {rate} to "
                    f"{self.sample_rate} Hz, the session's rate"
                )
        for child in self.children:
            yield from child.conversions()

    def close(self) -> None:
        """Close all files."""
        for clip in self.clips:
            clip.close()
        for child in self.children:
            child.close()


def _open_clips(track: Track, sample_rate: int, files: dict[Path, AudioFileSource]) -> list[ClipSource]:
    clips = []
    for clip in track.clips:
        if clip.muted:
            continue
        try:
            if clip.problem:
                raise AudioFileError(clip.problem)
            if clip.source not in files:
                files[clip.source] = AudioFileSource(clip.source)
            clips.append(ClipSource(clip, files[clip.source], sample_rate))
        except AudioFileError as error:
            raise AudioFileError(f"{track.name}: {error}") from error
    return clips
