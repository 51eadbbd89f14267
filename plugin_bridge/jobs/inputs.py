"""What a job works on: an audio file, or a track of a session; descriptions that workers open themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import JobError, SessionError
from plugin_bridge.jobs.manifest import file_signature
from plugin_bridge.naming import printable
from plugin_bridge.rendering.processing import DRY, BrokenPluginError, Processing
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions import Session, Track, open_session
from plugin_bridge.sessions.folder import MIDI_SUFFIXES
from plugin_bridge.sessions.play_rate import at_play_rate
from separators.base import Audio
from separators.score import Score
from separators.streaming import AudioSource


@dataclass(frozen=True)
class Opened:
    """An input's audio and what goes with it into the results."""

    source: AudioSource
    path: Path
    """The file, or the session that holds the track."""
    bit_depth: str
    """The smallest one that keeps what comes in: ``16``, ``24`` or ``float32``."""
    time_reference: int | None = None
    """The first frame's place on the timeline, in samples since midnight; None if nothing says so."""
    tags: Mapping[str, list[str]] = field(default_factory=dict)
    channel_mask: int = 0
    """The loudspeakers that the channels are meant for, as bits of WAV's; 0 if nothing says so."""
    rendered: bool = False
    """Whether reading costs more than reading a file, so that it is worth doing once only."""
    score: Callable[[], Score] = Score
    """Reads the notes that belong to the audio, from its first frame on; raises what is wrong with them."""
    track: str = ""
    """The identifier of a session's track before its fader, whose place the stems can take."""
    not_honoured: tuple[str, ...] = ()
    """What the file or the session holds for this track and is left out."""
    signature: list[int] | None = None
    """Of the file; None of anything but a file as it is."""
    notes: tuple[str, ...] = ()
    """What rendering does to the track's audio, and what is no fault."""

    @property
    def start_seconds(self) -> float | None:
        """The first frame's place on the DAW's timeline; None if nothing says so."""
        return None if self.time_reference is None else self.time_reference / self.source.sample_rate


class Input(Protocol):
    """A small description, to be pickled, of audio to work on."""

    @property
    def path(self) -> Path:
        """A file that results must not overwrite."""
        ...

    def open(self) -> AbstractContextManager[Opened]:
        """Open it."""
        ...

    def without(self, error: BrokenPluginError) -> Input:
        """The same without the plug-in that broke; raises ``error`` where that is not wanted."""
        ...


@dataclass(frozen=True)
class FileInput:
    """An audio file."""

    path: Path

    def without(self, error: BrokenPluginError) -> Self:
        """Raises ``error``: a file has no plug-ins."""
        raise error

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open the file; raises :class:`~plugin_bridge.errors.AudioFileError`."""
        signature = file_signature(self.path)  # before it is read
        with AudioFileSource(self.path) as source:
            info = source.info
            yield Opened(
                source,
                self.path,
                info.bit_depth,
                info.time_reference,
                info.tags,
                info.channel_mask,
                score=self._score,
                not_honoured=(printable(info.left_out),) if info.left_out else (),
                signature=signature,
            )

    def _score(self) -> Score:
        """That of the MIDI file beside the audio file."""
        for path in sorted(self.path.absolute().parent.iterdir()):
            if path.stem == self.path.stem and path.suffix.lower() in MIDI_SUFFIXES:
                return Score.from_text(str(path))
        raise JobError(
            f"{self.path.name}: there is no score; give one with --score, or put "
            f"{self.path.stem}.mid beside it"
        )


@dataclass(frozen=True)
class TrackInput:
    """A track of a session; its audio is rendered when it is read, as float32 like in the DAW."""

    path: Path
    """The project file or folder."""
    identifier: str
    """The track's."""
    media_roots: tuple[Path, ...] = ()
    post_fader: bool = False
    whole: bool = False
    """From the session's start to its end, rather than from the track's first clip to its last."""
    receives: bool | None = None
    """With what other tracks send to it; None: only if it has no clips of its own."""
    span: tuple[float, float] | None = None
    """From here to there only, seconds on the timeline."""
    processing: Processing = DRY
    """What of its plug-ins sounds."""
    play_rate: bool = False
    """At the session's play rate, rather than on its own time."""

    def without(self, error: BrokenPluginError) -> Self:
        """The same without the plug-in that broke; raises ``error`` unless that is wanted."""
        return replace(self, processing=self.processing.without(error))

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open the session and the track's files; raises what their readers raise."""
        session = read_session(self.path, self.media_roots, self.play_rate)
        track = _find(session, self.identifier)
        with TrackSource(
            session,
            track,
            post_fader=self.post_fader,
            whole=self.whole,
            receives=self.receives,
            processing=self.processing,
        ) as source:
            if self.span:
                source.within(*self.span)
            # Behind the fader, or the plug-ins, they would pass it twice.
            place = "" if self.post_fader or self.processing.is_asked_for else self.identifier
            yield _opened(session, source, remarks(session, track), place)


@dataclass(frozen=True)
class ChannelInput:
    """One channel of another input, as a recording of its own."""

    whole: Input
    channel: int
    """From 0."""

    @property
    def path(self) -> Path:
        """That of the whole."""
        return self.whole.path

    def without(self, error: BrokenPluginError) -> Self:
        """The same channel of the whole without the plug-in that broke."""
        return replace(self, whole=self.whole.without(error))

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open the whole; raises what it raises."""
        with self.whole.open() as opened:
            source = ChannelSource(opened.source, self.channel)
            # The stems of a channel cannot take the place of the track, which has several.
            yield replace(opened, source=source, channel_mask=0, track="", signature=None)


class ChannelSource:
    """One channel of a source as a source."""

    channels = 1

    def __init__(self, source: AudioSource, channel: int) -> None:
        self._source, self._channel = source, channel
        self.sample_rate, self.frames = source.sample_rate, source.frames

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(1, frames)``."""
        return self._source.read(start, frames)[self._channel : self._channel + 1]


@dataclass(frozen=True)
class MixInput:
    """A whole session through its faders."""

    path: Path
    media_roots: tuple[Path, ...] = ()
    span: tuple[float, float] | None = None
    """From here to there only, seconds on the timeline."""
    processing: Processing = DRY
    play_rate: bool = False
    """As :attr:`TrackInput.play_rate`."""

    def without(self, error: BrokenPluginError) -> Self:
        """The same without the plug-in that broke; raises ``error`` unless that is wanted."""
        return replace(self, processing=self.processing.without(error))

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open the session and all its files; raises what their readers raise."""
        session = read_session(self.path, self.media_roots, self.play_rate)
        with MixSource(session, processing=self.processing) as source:
            if self.span:
                source.within(*self.span)
            yield _opened(session, source, session.not_honoured)


def _opened(session: Session, source: TrackSource, lines: list[str], track: str = "") -> Opened:
    def score() -> Score:
        found = Score.of_tracks((track.name, track.notes) for track in session.walk())
        if not found:
            raise JobError(
                f"{session.path}: no track of this session holds MIDI notes, which this preset needs; "
                "put one MIDI file into its folder"
            )
        return found.shifted(-source.position_seconds)

    return Opened(
        source,
        session.path,
        "float32",
        round(session.start * source.sample_rate) + source.start_frame,
        channel_mask=source.channel_mask,
        rendered=True,
        score=score,
        track=track,
        not_honoured=tuple(map(printable, (*source.still_true(lines), *source.not_honoured))),
        notes=tuple(map(printable, [*session.notes, *source.notes])),
    )


@lru_cache(maxsize=1)
def read_session(path: Path, media_roots: tuple[Path, ...] = (), play_rate: bool = False) -> Session:
    """The session at ``path``, read once for all its tracks; a new plan begins with ``cache_clear()``.

    With ``play_rate`` it is at that, else on its own time.
    """
    session = open_session(path, media_roots=media_roots)
    return at_play_rate(session) if play_rate else session


def _find(session: Session, identifier: str) -> Track:
    for track in session.walk():
        if track.identifier == identifier:
            return track
    raise SessionError(f"{session.path}: the track {identifier!r} is gone; run the command again")


def remarks(session: Session, track: Track) -> list[str]:
    """What the session's reader could not honour in ``track`` and in the session as a whole."""
    family = {track.name} | {child.name for child in _children(track)}
    names = {other.name for other in session.walk()}
    return [line for line in session.not_honoured if _owner(line, names) in family | {None}]


def _owner(line: str, names: Set[str]) -> str | None:
    """The longest of ``names`` that ``line`` begins with, before a colon."""
    owner = None
    end = line.find(": ")
    while end >= 0:
        owner = line[:end] if line[:end] in names else owner
        end = line.find(": ", end + 1)
    return owner


def _children(track: Track) -> Iterator[Track]:
    for child in track.children:
        yield child
        yield from _children(child)
