"""Tracks as channel strips: clips, children and what others send, through polarity, fader and pan.

What is heard under solos is a question of ways, not of tracks: a sound is heard if it comes from a soloed
track or passes one on its way. A strip is therefore made of all its sounds, or only of those heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from plugin_bridge.errors import AudioFileError
from plugin_bridge.rendering.clips import ClipSource, add
from plugin_bridge.rendering.envelopes import Automation
from plugin_bridge.rendering.overlaps import gaps
from plugin_bridge.rendering.panning import PanLaw
from plugin_bridge.rendering.processing import DRY, Processing, StripProcessing
from plugin_bridge.rendering.sources import Media
from plugin_bridge.sessions.model import ChannelMap, PanMode, Parameter, Send, Session, Tap, Track, Vca
from separators.base import Audio

VOLUMES = (Parameter.VOLUME, Parameter.TRIM, Parameter.MUTE)


def family(tracks: Iterable[Track]) -> Iterator[Track]:
    """``tracks`` and all that lies in them."""
    for track in tracks:
        yield track
        yield from family(track.children)


@dataclass
class Desk:
    """What all strips of one rendering share."""

    session: Session
    sample_rate: int
    media: Media
    deaf: Track | None = None
    """The track that does not get what others send to it."""
    processing: Processing = DRY
    """What of the strips' plug-ins sounds."""
    left_out: list[str] = field(default_factory=list)
    """What could not be played, one line each."""

    def __post_init__(self) -> None:
        self._strips: dict[tuple[int, bool], Strip] = {}
        self._in_making: set[tuple[int, bool]] = set()
        self.end_frame = round(self.session.end_with_notes * self.sample_rate)
        self._vcas = {vca.identifier: vca for vca in self.session.vcas}
        self._feeds: dict[str, list[tuple[Track, Send]]] = {}
        for track in self.session.walk():
            for send in track.sends:
                self._feeds.setdefault(send.target, []).append((track, send))

    def vcas(self, track: Track) -> list[Vca]:
        """The VCA faders that move ``track``."""
        return [self._vcas[name] for name in track.vcas if name in self._vcas]

    def feeds(self, track: Track) -> list[tuple[Track, Send]]:
        """What is sent to ``track``."""
        return [] if track is self.deaf else self._feeds.get(track.identifier, [])

    def strip(self, track: Track, everything: bool, own: bool = False) -> Strip | None:
        """The strip of ``track``, made once; None where a way leads back to where it came from."""
        key = (id(track), everything)
        if key in self._in_making:
            self.left_out.append(f"{track.name}: a send that comes back to its own track is left out")
            return None
        if key not in self._strips:
            self._in_making.add(key)
            try:
                self._strips[key] = Strip(self, track, everything, own)
            finally:
                self._in_making.discard(key)
        self._strips[key].readers += 1
        return self._strips[key]


@dataclass
class _Feed:
    """One way into a strip."""

    strip: Strip
    send: Send | None
    """None for a child's way to its parent."""
    channel: int
    """Where it begins among the strip's channels."""
    ways: ChannelMap
    """Where its channels go."""
    inputs: int
    """The channels of the strip, at the end of ``ways``."""

    def __post_init__(self) -> None:
        self._automation = Automation(self.send.envelopes if self.send else ())
        self._law = PanLaw(self.send.pan_mode if self.send else PanMode.BALANCE)

    @property
    def channels(self) -> int:
        """What arrives."""
        if self.ways:
            return max(self.inputs, *(into + 1 for _, into in self.ways))
        return self._channels

    @property
    def _channels(self) -> int:
        send = self.send
        if send is None:
            return self.strip.channels
        moves = bool(send.pan) or self._automation.moves(Parameter.PAN)
        is_panned = moves or not self._law.is_neutral
        if send.mono or (self.strip.channels == 1 and not send.source_channel):
            return 2 if is_panned else 1
        # A mono source plays on both sides of what several channels are taken from.
        there = max(2, self.strip.channels) - send.source_channel
        count = max(0, min(send.channels or there, there))
        return max(2, count) if is_panned else count

    def read(self, start: int, frames: int) -> Audio:
        """What arrives, on :attr:`channels` channels."""
        audio = self._read(start, frames)
        if not self.ways:
            return audio
        arrived = np.zeros((self.channels, frames), np.float32)
        for channel, into in self.ways:
            arrived[into] += audio[min(channel, len(audio) - 1)]
        return arrived

    def _read(self, start: int, frames: int) -> Audio:
        send = self.send
        if send is None:
            return self.strip.read(start, frames)
        audio = self.strip.read(start, frames, send.tap)
        if len(audio) == 1 and self._channels > 1 and self._law.is_neutral:
            audio = np.repeat(audio, 2, axis=0)
        audio = _inverted(audio, send.inverted_channels)
        if len(audio) > 1:
            audio = audio[send.source_channel :][: send.channels or None]
        if not len(audio):  # the track has no such channels
            return np.zeros((self._channels, frames), np.float32)
        if send.mono and len(audio) > 1:
            audio = audio.mean(axis=0, keepdims=True, dtype=np.float32)
        rate = self.strip.desk.sample_rate
        gain = self._automation.gain(start, frames, rate, send.gain, Parameter.VOLUME, Parameter.MUTE)
        audio = audio * np.asarray(-gain if send.inverted else gain, np.float32)
        place = self._automation.moved(start, frames, rate, send.pan, Parameter.PAN)
        width = self._automation.moved(start, frames, rate, send.width, Parameter.WIDTH)
        return self._law.apply(audio, place, width)


class Strip:
    """A track's clips, children and receives, mixed, and what becomes of them on the strip."""

    def __init__(self, desk: Desk, track: Track, everything: bool, own: bool = False) -> None:
        """``everything``: whether all its sounds are heard, or only those that solos let through.

        ``own``: the track's own clips are heard in any case.
        """
        self.desk = desk
        self.track = track
        everything = everything or track.soloed
        self.clips: list[ClipSource] = []
        self.failed: list[str] = []
        """Why clips could not be opened."""
        if everything or own or track.solo_defeat:
            self._open_clips()
        self.feeds = list(self._open_feeds(everything))
        self._automation = Automation(track.envelopes)
        self._vcas = [(vca, Automation(vca.envelopes)) for vca in desk.vcas(track)]
        self._law = PanLaw.of(track)
        widths = [*(clip.channels for clip in self.clips), *map(self._reach, self.feeds)]
        if track.inverted_channels or track.pan_mode is PanMode.ARDOUR_STEREO:
            widths.append(track.channels)  # each channel fares otherwise, also where all came from one
        self._came_channels: int = max(widths, default=1)
        heard = everything or own or track.solo_defeat
        plays = track if heard else replace(track, notes=[])
        self.processing = StripProcessing(plays, desk.processing, desk.sample_rate, desk.end_frame)
        self.mixed_channels: int = self.processing.channels(self._came_channels)
        moves = track.pan != 0 or self._automation.moves(Parameter.PAN, Parameter.WIDTH)
        self._is_panned = moves or not self._law.is_neutral or track.width != 1
        self.channels = max(2, self.mixed_channels) if self._is_panned else self.mixed_channels
        parts: list[ClipSource | Strip] = [*self.clips]
        parts += [feed.strip for feed in self.feeds if feed.channel == 0]
        masks = {part.channel_mask for part in parts if part.channels == self.channels > 2}
        self.channel_mask: int = masks.pop() if len(masks) == 1 else 0
        """Of more than stereo; narrower clips play on the first loudspeakers."""
        self._read_lately: set[ClipSource] = set()
        self.readers = 0
        """How many read it; what several read is made once."""
        self._last: tuple[int, int, dict[Tap, Audio]] = (0, -1, {})

    def _open_clips(self) -> None:
        track, desk = self.track, self.desk
        opened = []
        for clip in track.clips:
            if clip.muted:
                continue
            try:
                opened.append(ClipSource(clip, desk.media.open(clip), desk.sample_rate, track.play_offset))
            except AudioFileError as error:
                line = f"{track.name}: {error}"
                self.failed.append(line)
                # What the reader found out it has listed.
                if not clip.problem and line not in desk.left_out:
                    desk.left_out.append(f"{line}; left out")
        # What cannot be played hides nothing.
        for index, found in gaps([one.clip for one in opened]).items():
            opened[index].hide(found)
        self.clips = opened

    def _open_feeds(self, everything: bool) -> Iterator[_Feed]:
        """The ways into this strip; what is muted is never opened: its media may be missing."""
        track = self.track
        for child in track.children:
            if child.sends_to_parent and not self._is_muted(child):
                strip = self.desk.strip(child, everything)
                if strip is not None:
                    yield _Feed(strip, None, child.parent_channel, child.parent_map, track.channels)
        for source, send in self.desk.feeds(track):
            if not send.muted and (send.through_mute or not self._is_muted(source)):
                strip = self.desk.strip(source, everything or send.through_solo)
                if strip is not None:
                    yield _Feed(strip, send, send.target_channel, send.channel_map, track.channels)

    def _is_muted(self, track: Track) -> bool:
        return track.muted or any(vca.muted for vca in self.desk.vcas(track))

    def _reach(self, feed: _Feed) -> int:
        """The channels that a way fills; one that begins elsewhere needs the track to have them."""
        if feed.channel == 0:
            return feed.channels
        width = max(feed.channels, 2) if feed.channels == 1 else feed.channels
        return max(0, min(feed.channel + width, self.track.channels))

    def read(self, start: int, frames: int, tap: Tap = Tap.POST_FADER) -> Audio:
        """Frames of the session's timeline, silent where nothing lies. Not to be written to."""
        if self.readers < 2:
            return self._read(start, frames, tap)
        if self._last[:2] != (start, frames):
            self._last = (start, frames, {})
        made = self._last[2]
        if tap not in made:
            made[tap] = self._read(start, frames, tap)
        return made[tap]

    def _read(self, start: int, frames: int, tap: Tap) -> Audio:
        match tap:
            case Tap.PRE_EFFECTS:
                return self._mixed(start, frames)
            case Tap.PRE_FADER:
                if self.processing.is_needed:
                    return self.processing.read(start, frames, self.mixed_channels, self._dry)
                return self._dry(start, frames)
            case Tap.PRE_PAN:
                return self._through_fader(self.read(start, frames, Tap.PRE_FADER), start, frames)
            case Tap.POST_FADER:
                return self._panned(self.read(start, frames, Tap.PRE_PAN), start, frames)

    def _mixed(self, start: int, frames: int) -> Audio:
        audio = np.zeros((self._came_channels, frames), np.float32)
        reached = {clip for clip in self.clips if clip.start < start + frames and clip.end > start}
        for clip in self.clips:
            if clip in reached:
                first, last = max(clip.start, start), min(clip.end, start + frames)
                add(audio[:, first - start : last - start], clip.read(first, last - first))
        for clip in self._read_lately - reached:
            clip.close()
        self._read_lately = reached
        for feed in self.feeds:
            add(audio, feed.read(start, frames), feed.channel)
        return audio

    def _dry(self, start: int, frames: int) -> Audio:
        """What goes into the effects."""
        audio, rate = self.read(start, frames, Tap.PRE_EFFECTS), self.desk.sample_rate
        gain = self._automation.gain(start, frames, rate, self.track.trim, Parameter.PRE_EFFECTS_VOLUME)
        return _times(audio, gain)

    def _through_fader(self, audio: Audio, start: int, frames: int) -> Audio:
        track, rate = self.track, self.desk.sample_rate
        gain = self._automation.gain(start, frames, rate, track.volume, *VOLUMES)
        for vca, automation in self._vcas:
            gain = gain * automation.gain(start, frames, rate, vca.volume, *VOLUMES)
        audio = _times(audio, -gain if track.inverted else gain)
        return _inverted(audio, track.inverted_channels)

    def _panned(self, audio: Audio, start: int, frames: int) -> Audio:
        track, rate = self.track, self.desk.sample_rate
        if not self._is_panned:
            return audio
        place = self._automation.moved(start, frames, rate, track.pan, Parameter.PAN)
        width = self._automation.moved(start, frames, rate, track.width, Parameter.WIDTH)
        return self._law.apply(audio, place, width)

    def walk(self) -> Iterator[Strip]:
        """The strip itself and all that feed it, each once."""
        seen: dict[int, Strip] = {}

        def visit(strip: Strip) -> None:
            if id(strip) not in seen:
                seen[id(strip)] = strip
                for feed in strip.feeds:
                    visit(feed.strip)

        visit(self)
        return iter(seen.values())

    def not_honoured(self) -> Iterator[str]:
        """What this strip does otherwise than a DAW would."""
        if self._is_panned and self.mixed_channels > 2 and self.track.pan:
            yield f"{self.track.name}: pan moves only the first two of {self.mixed_channels} channels"
        for clip in self.clips:
            if clip.left_out:
                yield f"{self.track.name}: {clip.left_out}"
        yield from self.processing.not_honoured

    def conversions(self) -> Iterator[str]:
        """The files of clips that have another sample rate."""
        for clip in self.clips:
            if clip.is_converted and clip.source_rate != self.desk.sample_rate:
                yield (
                    f"{self.track.name}: {clip.clip.source.name} is converted from {clip.source_rate} to "
                    f"{self.desk.sample_rate} Hz, the session's rate"
                )

    def close(self) -> None:
        """Close all files and forget what was read last."""
        self._last = (0, -1, {})
        self.processing.close()
        for clip in self.clips:
            clip.close()


def _inverted(audio: Audio, channels: Iterable[int]) -> Audio:
    """``audio`` with the polarity of some channels inverted."""
    signs = np.ones(len(audio), np.float32)
    signs[[channel for channel in channels if channel < len(audio)]] = -1
    return audio if signs.min(initial=1) > 0 else audio * signs[:, None]


def _times(audio: Audio, gain: float | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Audio:
    if isinstance(gain, float | int):
        return audio if gain == 1 else audio * np.float32(gain)
    return audio * gain.astype(np.float32)
