"""A session as it sounds at its own play rate: REAPER's knob that plays all of a project faster or slower.

Everything on the timeline moves together. Recordings keep their pitch if the project says so, else they rise
with the rate; notes keep their pitch always. What is written back into the project lies on the project's own
time, since the project plays it at its rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from plugin_bridge.sessions.click import Click
from plugin_bridge.sessions.model import Clip, Envelope, Fade, Session, TempoChange, Track

RATES = (1 / 64, 64.0)
"""Of clips, with the session's."""
MOST_SEMITONES = 60.0


def at_play_rate(session: Session) -> Session:
    """``session`` with all of its timeline at its play rate; itself where that is 1."""
    rate = session.play_rate
    if rate == 1:
        return session
    return replace(
        session,
        play_rate=1.0,
        notes=[note for note in session.notes if note != play_rate_note(rate)],
        tracks=[_track(track, session) for track in session.tracks],
        tempo=_tempo(session.tempo, rate),
        markers=[
            replace(one, seconds=one.seconds / rate, length=one.length / rate) for one in session.markers
        ],
        master_envelopes=_envelopes(session.master_envelopes, rate),
        vcas=[replace(vca, envelopes=_envelopes(vca.envelopes, rate)) for vca in session.vcas],
    )


def play_rate_note(rate: float) -> str:
    """What people are told about a session that is on its own time."""
    return (
        f"Project: it plays at {rate:g} times its speed; stems lie on its own time, so that they play with "
        "it, and bounce --play-rate writes what it sounds like"
    )


def _track(track: Track, session: Session) -> Track:
    rate = session.play_rate
    return replace(
        track,
        clips=[_clip(clip, session) for clip in track.clips],
        notes=[replace(one, start=one.start / rate, length=one.length / rate) for one in track.notes],
        messages=[replace(one, seconds=one.seconds / rate) for one in track.messages],
        children=[_track(child, session) for child in track.children],
        envelopes=_envelopes(track.envelopes, rate),
        sends=[replace(send, envelopes=tuple(_envelopes(send.envelopes, rate))) for send in track.sends],
    )


def _clip(clip: Clip, session: Session) -> Clip:
    rate = session.play_rate
    moved = replace(
        clip,
        position=clip.position / rate,
        length=clip.length / rate,
        fade_in=_fade(clip.fade_in, rate),
        fade_out=_fade(clip.fade_out, rate),
        stretch=tuple(replace(mark, seconds=mark.seconds / rate) for mark in clip.stretch),
        envelopes=tuple(_envelopes(clip.envelopes, rate)),
    )
    if isinstance(clip.material, Click):
        click = clip.material
        tempo = tuple(_tempo(click.tempo, rate))
        material = replace(click, start=click.start / rate, length=click.length / rate, tempo=tempo)
        return replace(moved, material=material)
    whole = clip.rate * rate
    if not RATES[0] <= whole <= RATES[1]:
        said = f"a play rate of {whole:g} is not played; it must lie in {RATES[0]:g} to {RATES[1]:g}"
        return replace(moved, problem=clip.problem or said)
    if clip.keep_pitch == session.play_rate_keeps_pitch or (clip.rate == 1 and not clip.stretch):
        return replace(moved, rate=whole, keep_pitch=session.play_rate_keeps_pitch)
    # Of the two rates one moves the pitch, which is then shifted by that one alone.
    pitch = clip.pitch + 12 * math.log2(rate if clip.keep_pitch else clip.rate)
    pitch = max(-MOST_SEMITONES, min(MOST_SEMITONES, pitch))
    return replace(moved, rate=whole, keep_pitch=True, pitch=pitch)


def _fade(fade: Fade, rate: float) -> Fade:
    return replace(fade, seconds=fade.seconds / rate)


def _envelopes(envelopes: Iterable[Envelope], rate: float) -> list[Envelope]:
    return [
        replace(one, points=tuple(replace(point, seconds=point.seconds / rate) for point in one.points))
        for one in envelopes
    ]


def _tempo(changes: Iterable[TempoChange], rate: float) -> list[TempoChange]:
    return [replace(one, seconds=one.seconds / rate, bpm=one.bpm * rate) for one in changes]
