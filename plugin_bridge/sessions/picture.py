"""A session as a picture for people and programs: what ``stembridge inspect`` shows, with a JSON schema.

It says less than the model, in words that stay: readers and the model may change, these keys do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from plugin_bridge.sessions.model import Clip, MidiNote, Session, Track

SHORTEST_REST = 1.0
"""Seconds without a note that are seen."""
MOST_SPANS = 500
"""Of a track, so that no picture grows with the number of notes."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TempoPicture(_Part):
    """The tempo and the meter from a moment on."""

    seconds: float
    bpm: float = Field(description="Quarter notes a minute.")
    numerator: int
    denominator: int
    ramp: bool = Field(description="The tempo moves evenly to the next one's.")


class MarkerPicture(_Part):
    """A marker, or a region if it has a length."""

    seconds: float
    name: str
    length: float


class ClipPicture(_Part):
    """A clip; times in seconds."""

    name: str
    source: str = Field(description="The audio file, or the project that holds the audio.")
    packed: bool = Field(description="Whether the audio lies inside the project, or is made by it.")
    position: float
    length: float
    offset: float = Field(description="Where it begins in its source, seconds of the source.")
    gain: float = Field(description="Linear; negative for inverted polarity.")
    rate: float
    keep_pitch: bool
    stretched: bool = Field(description="Whether markers stretch it unevenly.")
    loop: bool
    fade_in: float
    fade_out: float
    muted: bool
    problem: str = Field(description="Why it cannot be played and is left out; empty if it can.")


class PluginPicture(_Part):
    """A plug-in on a strip."""

    name: str
    format: str = Field(description="VST3, VST2, AU, CLAP, LV2, ...; empty if the project does not say.")
    identifier: str
    has_state: bool = Field(description="Whether the project holds a state that can be given to it.")
    bypassed: bool


class SendPicture(_Part):
    """A send."""

    target: str = Field(description="The identifier of the track that receives it.")
    gain: float
    tap: str = Field(description="Where it leaves its strip.")
    muted: bool


class TrackPicture(_Part):
    """A track; a folder has children, a bus only what is sent to it."""

    identifier: str
    name: str
    kind: Literal["track", "folder", "bus"]
    color: str = Field(description="#rrggbb, or empty.")
    volume: float = Field(description="Linear.")
    pan: float = Field(description="-1 left to +1 right.")
    muted: bool
    soloed: bool
    inverted: bool
    automated: list[str] = Field(description="What automation moves.")
    sends: list[SendPicture]
    plugins: list[PluginPicture]
    clips: list[ClipPicture]
    note_count: int = Field(description="MIDI notes, which rendering does not play.")
    note_spans: list[tuple[float, float]] = Field(
        description="From where to where notes sound; short rests between them are left out."
    )
    children: list[TrackPicture]


class SessionPicture(_Part):
    """A session as ``stembridge inspect --json`` prints it; times in seconds from its start."""

    name: str
    path: str
    format: str
    sample_rate: int
    start: float = Field(description="The DAW's clock at 0.")
    end: float = Field(description="Where the last clip ends.")
    end_with_notes: float = Field(description="Where the last clip or note ends.")
    tempo: list[TempoPicture]
    markers: list[MarkerPicture]
    master_volume: float
    master_pan: float
    master_muted: bool
    master_mono: bool
    play_rate: float = Field(description="How much faster the DAW plays all of it.")
    tracks: list[TrackPicture]
    notes: list[str] = Field(description="What reading decided and that is no fault: one line each.")
    not_honoured: list[str] = Field(description="What rendering does not reproduce: one line each.")


def picture(session: Session) -> SessionPicture:
    """The picture of ``session``."""
    return SessionPicture(
        name=session.name,
        path=str(session.path),
        format=session.format,
        sample_rate=session.sample_rate,
        start=session.start,
        end=session.end,
        end_with_notes=session.end_with_notes,
        tempo=[
            TempoPicture(
                seconds=one.seconds,
                bpm=one.bpm,
                numerator=one.numerator,
                denominator=one.denominator,
                ramp=one.ramp,
            )
            for one in session.tempo
        ],
        markers=[
            MarkerPicture(seconds=one.seconds, name=one.name, length=one.length) for one in session.markers
        ],
        master_volume=session.master_volume,
        master_pan=session.master_pan,
        master_muted=session.master_muted,
        master_mono=session.master_mono,
        play_rate=session.play_rate,
        tracks=[_track(track, session.end_with_notes / MOST_SPANS) for track in session.tracks],
        notes=session.notes,
        not_honoured=session.not_honoured,
    )


def _track(track: Track, rest: float) -> TrackPicture:
    return TrackPicture(
        identifier=track.identifier,
        name=track.name,
        kind="folder" if track.children else "bus" if track.is_bus else "track",
        color=track.color,
        volume=track.volume,
        pan=track.pan,
        muted=track.muted,
        soloed=track.soloed,
        inverted=track.inverted,
        automated=[envelope.parameter.value for envelope in track.envelopes],
        sends=[
            SendPicture(target=send.target, gain=send.gain, tap=send.tap.value, muted=send.muted)
            for send in track.sends
        ],
        plugins=_plugins(track),
        clips=[_clip(clip) for clip in track.clips],
        note_count=len(track.notes),
        note_spans=_spans(track.notes, max(SHORTEST_REST, rest)),
        children=[_track(child, rest) for child in track.children],
    )


def _spans(notes: Sequence[MidiNote], rest: float) -> list[tuple[float, float]]:
    """Where notes sound, with rests shorter than ``rest`` seconds filled in."""
    spans: list[tuple[float, float]] = []
    for note in sorted(notes, key=lambda note: note.start):
        end = note.start + note.length
        if spans and note.start - spans[-1][1] < rest:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((note.start, end))
    return spans


def _plugins(track: Track) -> list[PluginPicture]:
    """Those with states where the format tells them, else the names."""
    if not track.chain:
        return [
            PluginPicture(name=name, format="", identifier="", has_state=False, bypassed=False)
            for name in track.plugins
        ]
    return [
        PluginPicture(
            name=one.name,
            format=one.format,
            identifier=one.identifier,
            has_state=bool(one.state or one.preset),
            bypassed=one.bypassed,
        )
        for one in track.chain
    ]


def _clip(clip: Clip) -> ClipPicture:
    return ClipPicture(
        name=clip.name,
        source=str(clip.source),
        packed=clip.material is not None,
        position=clip.position,
        length=clip.length,
        offset=clip.offset,
        gain=clip.gain,
        rate=clip.rate,
        keep_pitch=clip.keep_pitch,
        stretched=bool(clip.stretch),
        loop=clip.loop,
        fade_in=clip.fade_in.seconds,
        fade_out=clip.fade_out.seconds,
        muted=clip.muted,
        problem=clip.problem,
    )
