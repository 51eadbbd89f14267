"""A session's tracks as audio, block by block at any position, in flat memory.

The default is what separation wants: a track before its fader and its effects, so that stems placed back
keep both, and without what others send to it, which stays where it is. What cannot be played is left out and
listed. Signal flow, overlaps and solo follow REAPER: overlapping clips are mixed, unless they say otherwise;
a folder is the sum of its children after their faders; a soloed folder plays its children, and a folder
around a soloed track passes only that on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np

from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.rendering.clips import add
from plugin_bridge.rendering.processing import DRY, Processing, load
from plugin_bridge.rendering.sources import Media
from plugin_bridge.rendering.strips import Desk, Strip, family
from plugin_bridge.sessions.model import Session, Tap, Track
from separators.base import Audio

MOST_SUBPROJECTS = 8
"""Sessions inside sessions."""


class TrackSource:
    """One track (with its children, if it is a folder) as an :class:`separators.streaming.AudioSource`.

    It reaches from its first clip's start to its last clip's end, or with ``whole`` from the session's
    start to its end. Mono if all its clips are mono, else as wide as the widest. ``post_fader`` adds
    polarity, volume, pan, automation, mute and solo; ``receives`` what other tracks send to it (None: only if
    it has no clips of its own). Media that cannot be played are left out and said in ``not_honoured``; if
    there is nothing else, :class:`AudioFileError` is raised, and names the track.
    """

    def __init__(
        self,
        session: Session,
        track: Track,
        *,
        sample_rate: int | None = None,
        post_fader: bool = False,
        whole: bool = False,
        receives: bool | None = None,
        processing: Processing = DRY,
    ) -> None:
        self.track = track
        self._processing = processing
        if receives is None:
            receives = not any(sounds(part, processing) for part in family([track]))
        self.sample_rate = sample_rate or session.sample_rate
        self._tap = Tap.POST_FADER if post_fader else Tap.PRE_FADER
        # Before the fader, a solo elsewhere in the session does not silence the track.
        any_solo = _any_solo(session.tracks if post_fader else track.children)
        everything = not any_solo or (post_fader and _is_under_solo(session.tracks, track))
        self._is_silent = post_fader and track.muted
        self._make(session, everything, receives)
        extent = _extent(self._reaching(session, track, receives), self.sample_rate, processing.plays_notes)
        self._set_extent((0, round(self._end(session) * self.sample_rate)) if whole else extent)

    def _end(self, session: Session) -> float:
        return session.end_with_notes if self._processing.plays_notes else session.end

    def _make(self, session: Session, everything: bool, receives: bool, media: Media | None = None) -> None:
        """The strip and all that feed it."""
        media = media or Media(self.sample_rate, partial(_open_mix, self._processing))
        desk = Desk(session, self.sample_rate, media, None if receives else self.track, self._processing)
        track = Track(self.track.name, channels=self.track.channels) if self._is_silent else self.track
        strip = desk.strip(track, everything, own=self._tap is Tap.PRE_FADER)
        assert strip is not None  # nothing can lead back to the first
        self._strip: Strip = strip
        self._strips = list(strip.walk())
        failed = [line for one in self._strips for line in one.failed]
        if failed and not any(one.clips or one.processing.is_needed for one in self._strips):
            raise AudioFileError(failed[0])
        self._left_out = desk.left_out
        self._is_loaded = False
        self._not_received = [] if receives else self._senders(session)

    def _senders(self, session: Session) -> list[str]:
        return [
            track.name
            for track in session.walk()
            for send in track.sends
            if send.target == self.track.identifier and not send.muted and not track.muted
        ]

    def _reaching(self, session: Session, track: Track, receives: bool) -> list[Track]:
        """The tracks whose clips say how far this one reaches: if it has none, those that feed it."""
        if not receives or any(sounds(part, self._processing) for part in family([track])):
            return [track]
        return [strip.track for strip in self._strips]

    def _set_extent(self, extent: tuple[int, int]) -> None:
        self.start_frame = max(0, extent[0])
        """Where the first frame lies on the timeline."""
        self.frames = max(0, extent[1] - self.start_frame)
        strip = self._strip
        self.channels: int = strip.channels if self._tap is Tap.POST_FADER else strip.mixed_channels
        self.channel_mask: int = self._strip.channel_mask
        inner = list(self._inner())
        lines = [line for one in self._strips for line in one.not_honoured()]
        lines += [f"{said}: {line}" for said, mix in inner for line in mix.not_honoured]
        self.not_honoured: list[str] = list(dict.fromkeys([*self._left_out, *lines]))
        """What the reader could not know: one line each."""
        self.honoured: set[str] = {
            f"{one.track.name}: {line}" for one in self._strips for line in one.processing.honoured
        }
        self.honoured |= {f"{said}: {line}" for said, mix in inner for line in mix.honoured}
        """What the reader says and no longer holds."""
        conversions = (line for one in self._strips for line in one.conversions())
        self.conversions = list(dict.fromkeys(conversions))
        """The files that have another sample rate and are converted: one line each."""

    def _inner(self) -> Iterator[tuple[str, MixSource]]:
        """The sessions that clips play, with the track and the name that lines about them begin with."""
        for strip in self._strips:
            for clip in strip.clips:
                if isinstance(clip.source, MixSource):
                    yield f"{strip.track.name}: {clip.clip.source.name}", clip.source

    def still_true(self, lines: Iterable[str]) -> list[str]:
        """Those of the reader's ``lines`` of what cannot be honoured that hold here."""
        return [
            line
            for line in lines
            if not any(line == said or line.startswith((f"{said} (", f"{said}:")) for said in self.honoured)
        ]

    @property
    def notes(self) -> list[str]:
        """What is done to the audio and is no fault: conversions, and what is not taken along."""
        stays = (
            f"{self.track.name}: what {name} sends to it stays where it is" for name in self._not_received
        )
        return [*self.conversions, *dict.fromkeys(stays)]

    @property
    def position_seconds(self) -> float:
        """Where the first frame lies on the timeline."""
        return self.start_frame / self.sample_rate

    def within(self, start_seconds: float, end_seconds: float) -> Self:
        """The same track from one time of the timeline to another, and not beyond; returns itself.

        Raises :class:`SessionError` if that is no stretch of time.
        """
        if not (math.isfinite(start_seconds) and start_seconds < end_seconds):
            raise SessionError(f"from {start_seconds:g} s to {end_seconds:g} s is no stretch of time")
        start, end = (round(max(0.0, seconds) * self.sample_rate) for seconds in (start_seconds, end_seconds))
        self.start_frame, self.frames = start, end - start
        return self

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` of the track as ``(channels, frames)``."""
        if start < 0 or frames < 0 or start + frames > self.frames:
            raise AudioFileError(
                f"{self.track.name}: frames {start} to {start + frames} asked for, there are {self.frames}"
            )
        if not self._is_loaded:
            load(strip.processing for strip in self._strips)
            self._is_loaded = True
        audio = np.zeros((self.channels, frames), np.float32)
        add(audio, self._strip.read(self.start_frame + start, frames, self._tap))
        return audio

    def close(self) -> None:
        """Close all files; reading opens them again."""
        for strip in self._strips:
            strip.close()
        self._is_loaded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class MixSource(TrackSource):
    """The whole session after its faders, through the master's; at least stereo."""

    def __init__(
        self,
        session: Session,
        *,
        sample_rate: int | None = None,
        processing: Processing = DRY,
        _media: Media | None = None,
    ) -> None:
        self._processing = processing
        self.track = Track(
            "Master",
            children=session.tracks,
            volume=session.master_volume,
            pan=session.master_pan,
            pan_mode=session.master_pan_mode,
            width=session.master_width,
            dual_pan=session.master_dual_pan,
            inverted=session.master_inverted,
            muted=session.master_muted,
            envelopes=session.master_envelopes,
            chain=session.master_chain,
            channels=session.master_channels,
        )
        self.sample_rate = sample_rate or session.sample_rate
        self._tap = Tap.POST_FADER
        self._is_silent = session.master_muted
        self._is_mono = session.master_mono
        self._make(session, not _any_solo(session.tracks), receives=True, media=_media)
        self._set_extent((0, round(self._end(session) * self.sample_rate)))
        self.channels = max(2, self.channels)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` of the mix as ``(channels, frames)``."""
        audio = super().read(start, frames)
        if self._is_mono:
            audio[:] = audio.mean(axis=0, keepdims=True)
        return audio


def _open_mix(processing: Processing, media: Media, session: Session) -> MixSource:
    if media.depth > MOST_SUBPROJECTS:
        raise AudioFileError(f"{session.path}: subprojects nested deeper than {MOST_SUBPROJECTS}")
    return MixSource(session, sample_rate=media.sample_rate, processing=processing, _media=media)


def sounds(track: Track, processing: Processing) -> bool:
    """Whether the track itself has something to play."""
    return bool(track.clips or (track.notes and processing.plays_notes))


def selected_tracks(
    session: Session, patterns: Sequence[str] = (), processing: Processing = DRY
) -> list[Track]:
    """The tracks whose name fits one of the shell-like ``patterns``, in the session's order.

    Upper and lower case are the same. Without patterns: every track that has clips of its own. Raises
    :class:`SessionError` if a pattern fits no track that has audio.
    """
    sources = [track for track in session.walk() if any(sounds(part, processing) for part in family([track]))]
    targets = {send.target for track in sources for send in track.sends}
    has_clips = {id(track) for track in sources}
    with_audio = [track for track in session.walk() if id(track) in has_clips or track.identifier in targets]
    if not patterns:
        return [track for track in with_audio if sounds(track, processing)]
    for pattern in patterns:
        if not any(_fits(track, pattern) for track in with_audio):
            names = ", ".join(track.name for track in with_audio) or "none"
            raise SessionError(f"no track with audio fits {pattern!r}; there are: {names}")
    return [track for track in with_audio if any(_fits(track, pattern) for pattern in patterns)]


def _fits(track: Track, pattern: str) -> bool:
    return fnmatchcase(track.name.casefold(), pattern.casefold())


def _any_solo(tracks: Iterable[Track]) -> bool:
    return any(track.soloed for track in family(tracks))


def _is_under_solo(tracks: Iterable[Track], wanted: Track) -> bool:
    """Whether a folder around ``wanted`` is soloed."""
    return any(
        folder.soloed and any(part is wanted for part in family(folder.children)) for folder in family(tracks)
    )


def _extent(tracks: Iterable[Track], sample_rate: int, with_notes: bool) -> tuple[int, int]:
    members = list(family(tracks))
    spans = [
        (clip.position, clip.position + clip.length)
        for track in members
        for clip in track.clips
        if not clip.muted
    ]
    if with_notes:
        spans += [(note.start, note.start + note.length) for track in members for note in track.notes]
    starts = (round(start * sample_rate) for start, _ in spans)
    ends = (round(end * sample_rate) for _, end in spans)
    return min(starts, default=0), max(ends, default=0)
