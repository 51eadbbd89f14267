"""What all DAWs share: a session of tracks of clips on one timeline.

All positions and lengths are in **seconds** on the session's timeline unless the name says
otherwise; the renderer turns them into samples by ``round(seconds * sample_rate)`` from the
absolute time, never by adding rounded pieces. Readers convert beats through the tempo map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from separators.score import Note


class FadeShape(Enum):
    """The curve of a fade-in from 0 to 1; a fade-out is its mirror image. See :mod:`.fades`."""

    LINEAR = "linear"
    EQUAL_POWER = "equal power"
    FAST_START = "fast start"
    FAST_END = "fast end"
    FAST_START_STEEP = "fast start, steep"
    FAST_END_STEEP = "fast end, steep"
    S_CURVE = "s-curve"
    S_CURVE_STEEP = "s-curve, steep"
    BEND = "bend"
    """A line bent by ``bend`` and into an S by ``s_bend``."""


@dataclass(frozen=True)
class Fade:
    """A fade at one end of a clip; a clip shorter than its two fades keeps the fade-in whole."""

    seconds: float = 0.0
    shape: FadeShape = FadeShape.LINEAR
    bend: float | None = None
    """-1..1, bent towards a fast (-) or a slow (+) start; None for the shape as named."""
    s_bend: float = 0.0
    """0..1, for :attr:`FadeShape.BEND` only."""


class ChannelMode(Enum):
    """Which of a source's channels a clip plays."""

    ALL = "all"
    SWAPPED = "left and right swapped"
    MONO = "mono mix"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class Clip:
    """A stretch of one audio file on the timeline."""

    source: Path
    """The audio file, resolved."""
    position: float
    """Start on the timeline, seconds."""
    length: float
    """Length on the timeline, seconds."""
    offset: float = 0.0
    """Start inside the source, seconds of the source."""
    gain: float = 1.0
    """Linear; negative for inverted polarity."""
    fade_in: Fade = Fade()
    fade_out: Fade = Fade()
    rate: float = 1.0
    """Play rate: 2 is twice as fast and an octave up (no pitch preservation)."""
    loop: bool = False
    """Repeat the source when its end is reached, else silence follows."""
    section_start: float = 0.0
    """Only the source from here on is used; seconds of the source."""
    section_length: float | None = None
    """... and only this much of it; None to its end."""
    reversed: bool = False
    """The source (its section) runs backwards; ``offset`` counts from its end then."""
    channel_mode: ChannelMode = ChannelMode.ALL
    pan: float = 0.0
    """-1 left, 0 centre, +1 right: the clip's own balance."""
    muted: bool = False
    name: str = ""
    problem: str = ""
    """Why the source cannot be played (missing, outside the project folder, damaged); one line."""


MidiNote = Note
"""One note of a MIDI clip, on the session's timeline."""


@dataclass
class Track:
    """One track with its clips and its strip; a folder or bus is a track with children."""

    name: str
    clips: list[Clip] = field(default_factory=list)
    notes: list[MidiNote] = field(default_factory=list)
    children: list[Track] = field(default_factory=list)
    volume: float = 1.0
    """Linear."""
    pan: float = 0.0
    """-1 left, 0 centre, +1 right."""
    muted: bool = False
    soloed: bool = False
    inverted: bool = False
    """The strip's polarity switch."""
    sends_to_parent: bool = True
    channels: int = 2
    plugins: list[str] = field(default_factory=list)
    """Names of the plug-ins on the strip, which rendering leaves out."""
    color: str = ""
    identifier: str = ""
    """Unique in the session: the format's own id, or the file's name."""


@dataclass(frozen=True)
class TempoChange:
    """The tempo and meter from ``seconds`` on."""

    seconds: float
    bpm: float
    """Quarter notes a minute."""
    numerator: int = 4
    denominator: int = 4
    ramp: bool = False
    """The tempo moves linearly in time to the next change's."""


@dataclass(frozen=True)
class Marker:
    """A named point (``length`` 0) or region on the timeline."""

    seconds: float
    name: str
    length: float = 0.0


@dataclass
class Session:
    """A DAW session as read from disk; nothing in it is ever written back."""

    path: Path
    """The project file or folder it was read from."""
    format: str
    """``folder``, ``rpp``, ..."""
    sample_rate: int
    tracks: list[Track] = field(default_factory=list)
    tempo: list[TempoChange] = field(default_factory=lambda: [TempoChange(0.0, 120.0)])
    markers: list[Marker] = field(default_factory=list)
    start: float = 0.0
    """The DAW's clock at this timeline's 0, seconds; a file at 0 carries this as its time stamp."""
    master_volume: float = 1.0
    master_pan: float = 0.0
    not_honoured: list[str] = field(default_factory=list)
    """One line for everything met in the files that rendering will not reproduce."""

    @property
    def name(self) -> str:
        """The session's name: that of its file or folder, without suffix."""
        path = self.path.resolve()
        return path.stem if path.is_file() else path.name

    def walk(self) -> Iterator[Track]:
        """All tracks, parents before their children, in the DAW's order."""

        def visit(tracks: list[Track]) -> Iterator[Track]:
            for track in tracks:
                yield track
                yield from visit(track.children)

        return visit(self.tracks)

    @property
    def end(self) -> float:
        """Where the last clip ends, seconds."""
        ends = (clip.position + clip.length for track in self.walk() for clip in track.clips)
        return max(ends, default=0.0)
