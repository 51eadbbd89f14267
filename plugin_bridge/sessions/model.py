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
from typing import Protocol

from separators.score import Note
from separators.streaming import AudioSource


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
    POINTS = "points"
    """A smooth curve through ``points``."""


@dataclass(frozen=True)
class Fade:
    """A fade at one end of a clip; a clip shorter than its two fades keeps the fade-in whole.

    Where Ardour's fades meet, the clip is mixed with itself: both times are heard of it.
    """

    seconds: float = 0.0
    shape: FadeShape = FadeShape.LINEAR
    bend: float | None = None
    """-1..1, bent towards a fast (-) or a slow (+) start; None for the shape as named."""
    s_bend: float = 0.0
    """0..1, for :attr:`FadeShape.BEND` only."""
    points: tuple[tuple[float, float], ...] = ()
    """For :attr:`FadeShape.POINTS`: the part that is over (0..1, rising) and the gain there."""
    beneath: tuple[tuple[float, float], ...] = ()
    """The same for what lies beneath (:attr:`Overlap.CROSSFADE`); without, it is the curve backwards."""
    to_last_frame: bool = False
    """Whether the curve is complete on the fade's last frame (Ardour), rather than one frame later."""


class ChannelMode(Enum):
    """Which of a source's channels a clip plays."""

    ALL = "all"
    SWAPPED = "left and right swapped"
    MONO = "mono mix"
    LEFT = "left"
    RIGHT = "right"
    SINGLE = "a single channel"
    """The clip's ``first_channel``."""
    PAIR = "a pair of channels"
    """The clip's ``first_channel`` and the next one."""


class Overlap(Enum):
    """What a clip does to clips of lower layers (of its lane) where they overlap."""

    MIX = "mixed"
    REPLACE = "replaces"
    REPLACE_ENCLOSING = "replaces those that enclose it"
    CROSSFADE = "replaces between its fades"
    """Under its fades, what lies beneath fades the other way."""


class Parameter(Enum):
    """What an envelope moves."""

    VOLUME = "volume"
    """Of a strip behind its effects, of a clip, of a send: linear gain."""
    PRE_EFFECTS_VOLUME = "volume before effects"
    TRIM = "trim"
    """One more gain, that of no fader."""
    PAN = "pan"
    """-1 left, +1 right."""
    WIDTH = "width"
    """-1..1."""
    MUTE = "mute"
    """Muted from 0.5 on."""
    PITCH = "pitch"
    """Semitones; of clips."""


class PointShape(Enum):
    """How a value moves from a point to the next."""

    LINEAR = "linear"
    HOLD = "hold"
    SLOW = "slow start and end"
    FAST_START = "fast start"
    FAST_END = "fast end"
    BEZIER = "bezier"
    """Bent by the point's ``bend``."""


class Scale(Enum):
    """In what an envelope moves evenly; its values are as its parameter says."""

    VALUE = "value"
    DECIBELS = "decibels"
    REAPER_FADER = "REAPER fader"
    ARDOUR_FADER = "Ardour fader"


@dataclass(frozen=True)
class Point:
    """One point of an envelope."""

    seconds: float
    """On the session's timeline; of a clip's envelope from the clip's start."""
    value: float
    shape: PointShape = PointShape.LINEAR
    bend: float = 0.0
    """-1..1, for :attr:`PointShape.BEZIER`: a fast (-) or a slow (+) start."""


@dataclass(frozen=True)
class Envelope:
    """How a parameter moves in time; its first and last values hold before and after its points."""

    parameter: Parameter
    points: tuple[Point, ...]
    """At least one; in order of time."""
    scale: Scale = Scale.VALUE
    relative: bool = True
    """Whether it comes on top of the fader (times its gain, plus its pan), or takes its place."""
    smoothing: str = ""
    """The DAW whose own smoothing is applied; one of ``plugin_bridge.rendering.envelopes.SMOOTHING``."""


class PanMode(Enum):
    """What a strip's pan does."""

    BALANCE = "balance"
    """The far side is turned down, linearly; ``pan_law`` is the gain of both sides in the middle."""
    STEREO = "stereo pan"
    """The signal's width is set by ``width``, then it is moved as a whole."""
    DUAL = "dual pan"
    """The left and the right channel are panned each by ``dual_pan``."""
    ARDOUR_MONO = "Ardour's mono panner"
    """-3 dB in the middle, for mono signals; stereo ones are balanced."""
    ARDOUR_STEREO = "Ardour's equal power stereo panner"
    """Each channel of a stereo signal has a mono panner of its own, ``width`` apart around ``pan``."""


@dataclass(frozen=True)
class StretchMarker:
    """A moment of the source is nailed to one of the clip; between two markers the rate is even."""

    seconds: float
    """From the clip's start, on the timeline."""
    source: float
    """Seconds of the source (of its section), where ``Clip.offset`` counts from, too."""
    slope: float = 0.0
    """-1..1: the rate rises from (1 - slope) to (1 + slope) times its mean on the way to the next marker."""


@dataclass(frozen=True)
class SourceChannel:
    """One channel of an audio file."""

    path: Path
    """The file, resolved."""
    channel: int = 0
    """From 0."""


class Material(Protocol):
    """What a clip plays in place of a file: synthesised, or packed inside the project.

    A small description that can be pickled; what :meth:`open` returns has ``close()`` if it holds a file.
    """

    def open(self, sample_rate: int) -> AudioSource:
        """The audio; at ``sample_rate`` if it has no rate of its own. Raises :class:`AudioFileError`."""
        ...


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
    """Play rate: 2 is twice as fast and, unless ``keep_pitch``, an octave up."""
    keep_pitch: bool = False
    """Whether rate and stretch markers change the time only."""
    pitch: float = 0.0
    """Shifted by so many semitones, at the same length."""
    stretch: tuple[StretchMarker, ...] = ()
    """In order; before the first and behind the last one the clip plays at ``rate``."""
    loop: bool = False
    """Repeat the source when its end is reached, else silence follows."""
    section_start: float = 0.0
    """Only the source from here on is used; seconds of the source."""
    section_length: float | None = None
    """... and only this much of it; None to its end."""
    reversed: bool = False
    """The source (its section) runs backwards; ``offset`` counts from its end then."""
    channel_mode: ChannelMode = ChannelMode.ALL
    first_channel: int = 0
    """For :attr:`ChannelMode.SINGLE` and :attr:`ChannelMode.PAIR`, from 0."""
    channels: tuple[SourceChannel, ...] = ()
    """The channels of several files, or some of one, in place of those of ``source``."""
    pan: float = 0.0
    """-1 left, 0 centre, +1 right: the clip's own balance."""
    muted: bool = False
    name: str = ""
    problem: str = ""
    """Why the source cannot be played (missing, outside the project folder, damaged); one line. It is left
    out."""
    layer: int = 0
    """Higher ones lie on top; matters where ``overlap`` is more than a mix."""
    lane: int = 0
    """Clips of different lanes are mixed whatever their layers."""
    overlap: Overlap = Overlap.MIX
    envelopes: tuple[Envelope, ...] = ()
    """Volume, pan, mute, pitch; seconds count from the clip's start."""
    material: Material | None = None
    """What is played in place of ``source``."""
    session: Session | None = None
    """The session whose mix is played in place of ``source``: a subproject."""


ChannelMap = tuple[tuple[int, int], ...]
"""A strip's channels, each with the one of the next strip that it goes to, both from 0; a mono strip is on
all of its outputs. Empty where they go as they come, and mono to two."""


class Tap(Enum):
    """Where a send leaves its strip."""

    POST_FADER = "after the fader"
    PRE_PAN = "after the fader, before the pan"
    PRE_FADER = "before the fader"
    PRE_EFFECTS = "before effects and fader"


@dataclass(frozen=True)
class Send:
    """A way from a track to another one, beside that to its parent."""

    target: str
    """The identifier of the track that receives it."""
    gain: float = 1.0
    """Linear."""
    pan: float = 0.0
    """-1..1."""
    tap: Tap = Tap.POST_FADER
    muted: bool = False
    through_mute: bool = False
    """Whether it is heard although its track is muted."""
    through_solo: bool = False
    """Whether it is heard although others are soloed and its track is not."""
    inverted: bool = False
    inverted_channels: tuple[int, ...] = ()
    """Those of its track's that are inverted, from 0."""
    mono: bool = False
    """Summed to one channel, with half the gain of each of two."""
    source_channel: int = 0
    """The first channel that is sent, from 0."""
    channels: int = 0
    """How many are sent; 0 for all from there on."""
    target_channel: int = 0
    """The first channel of the target that receives, from 0."""
    pan_mode: PanMode = PanMode.BALANCE
    width: float = 1.0
    """-1..1, for Ardour's stereo panner."""
    envelopes: tuple[Envelope, ...] = ()
    channel_map: ChannelMap = ()
    """Where its channels go, in place of ``target_channel``."""


@dataclass(frozen=True)
class PluginState:
    """A plug-in on a strip, with all that is needed to make it again."""

    name: str
    format: str = ""
    """``VST3``, ``VST2``, ``AU``, ``CLAP``, ``LV2``, ``JS``, ..."""
    identifier: str = ""
    """The format's own: of a VST3 its class id as 32 hexadecimal digits, of an LV2 its URI."""
    state: bytes = b""
    """As the project holds it: of a VST3 its component's state."""
    controller_state: bytes = b""
    """Of a VST3, its controller's."""
    preset: bytes = b""
    """A whole preset file (``.vstpreset``), where the project holds one."""
    bypassed: bool = False
    file: str = ""
    """The name of the plug-in's file, without folders; it is never opened from where the project says."""
    role: str = ""
    """``effect`` or ``instrument``; empty where the project does not say."""


@dataclass(frozen=True)
class MidiMessage:
    """A MIDI message that is no note: a controller, program, bend or pressure."""

    seconds: float
    """On the session's timeline."""
    data: bytes


@dataclass
class Vca:
    """A fader that turns other strips up and down together."""

    identifier: str
    name: str
    volume: float = 1.0
    """Linear."""
    muted: bool = False
    soloed: bool = False
    envelopes: list[Envelope] = field(default_factory=list)


MidiNote = Note
"""One note of a MIDI clip, on the session's timeline."""


@dataclass
class Track:
    """One track with its clips and its strip; a folder or bus is a track with children."""

    name: str
    clips: list[Clip] = field(default_factory=list)
    notes: list[MidiNote] = field(default_factory=list)
    messages: list[MidiMessage] = field(default_factory=list)
    """What goes with the notes, where the format tells."""
    children: list[Track] = field(default_factory=list)
    volume: float = 1.0
    """Linear."""
    pan: float = 0.0
    """-1 left, 0 centre, +1 right."""
    muted: bool = False
    soloed: bool = False
    inverted: bool = False
    """The strip's polarity switch."""
    inverted_channels: tuple[int, ...] = ()
    """Those that have one of their own, which is on; from 0."""
    sends_to_parent: bool = True
    parent_channel: int = 0
    """The first of the parent's channels that it feeds, from 0."""
    parent_map: ChannelMap = ()
    """Where its channels go, in place of ``parent_channel``."""
    trim: float = 1.0
    """Linear, before everything else on the strip."""
    pan_mode: PanMode = PanMode.BALANCE
    pan_law: float = 1.0
    """The gain of each side in the middle, linear; 1 for 0 dB."""
    pan_boosts: bool = False
    """Whether the law keeps the middle and turns up the sides instead."""
    width: float = 1.0
    """-1..1, for :attr:`PanMode.STEREO`."""
    dual_pan: tuple[float, float] = (-1.0, 1.0)
    """For :attr:`PanMode.DUAL`."""
    envelopes: list[Envelope] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    vcas: list[str] = field(default_factory=list)
    """The identifiers of the VCA faders that move it."""
    solo_defeat: bool = False
    """Sounds although others are soloed."""
    is_bus: bool = False
    """Holds no clips of its own, only what is sent to it."""
    play_offset: float = 0.0
    """Its clips are played so many seconds late."""
    hardware_outputs: list[str] = field(default_factory=list)
    """Named only: no render of a DAW holds them."""
    channels: int = 2
    plugins: list[str] = field(default_factory=list)
    """Names of the plug-ins on the strip, which rendering leaves out."""
    chain: list[PluginState] = field(default_factory=list)
    """The same, where the format tells their states."""
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
    master_pan_mode: PanMode = PanMode.BALANCE
    master_width: float = 1.0
    """-1..1, for :attr:`PanMode.STEREO` and Ardour's."""
    master_dual_pan: tuple[float, float] = (-1.0, 1.0)
    """For :attr:`PanMode.DUAL`."""
    master_inverted: bool = False
    master_muted: bool = False
    master_mono: bool = False
    """The mix is summed to mono at the very end."""
    master_channels: int = 2
    master_envelopes: list[Envelope] = field(default_factory=list)
    master_chain: list[PluginState] = field(default_factory=list)
    vcas: list[Vca] = field(default_factory=list)
    play_rate: float = 1.0
    """How much faster the DAW plays all of it; see :mod:`plugin_bridge.sessions.play_rate`."""
    play_rate_keeps_pitch: bool = False
    notes: list[str] = field(default_factory=list)
    """One line for everything that reading decided and that is no fault: media found elsewhere, by track."""
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
    def end_with_notes(self) -> float:
        """Where the last clip or note ends, seconds."""
        ends = (note.start + note.length for track in self.walk() for note in track.notes)
        return max(self.end, max(ends, default=0.0))

    @property
    def end(self) -> float:
        """Where the last clip ends, seconds."""
        ends = (clip.position + clip.length for track in self.walk() for clip in track.clips)
        return max(ends, default=0.0)
