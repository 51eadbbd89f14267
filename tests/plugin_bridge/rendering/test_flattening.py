"""Layers taken apart sound as layers do."""

import numpy as np
import pytest

from plugin_bridge.rendering.flattening import flattened
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions.model import (
    Clip,
    Envelope,
    Fade,
    FadeShape,
    Overlap,
    Parameter,
    Point,
    Session,
    Track,
)
from tests.plugin_bridge.session_helpers import RATE, noise, write

SAME = 1e-6
CROSS = {"overlap": Overlap.CROSSFADE}
CURVED = Fade(
    0.25,
    FadeShape.POINTS,
    points=((0.0, 0.0), (0.5, 0.25), (1.0, 1.0)),
    beneath=((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)),
    to_last_frame=True,
)


@pytest.fixture
def sounds(tmp_path):
    files = [write(tmp_path / f"{n}.wav", noise(6.0, seed=n)) for n in range(3)]

    def session(*clips):
        made = [Clip(files[n], **values) for n, values in enumerate(clips)]
        return Session(tmp_path, "test", RATE, [Track("T", made)])

    return session


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def place(position, length, layer=0, **values):
    return {"position": position, "length": length, "offset": 0.5, "layer": layer, **values}


SHORT = {"fade_in": Fade(0.125), "fade_out": Fade(0.125), **CROSS}
MOVES = (Envelope(Parameter.VOLUME, (Point(0.5, 1.0), Point(2.5, 0.25))),)


@pytest.mark.parametrize(
    ("clips", "count"),
    [
        # One enclosed by another, which goes on behind it.
        ([place(0, 4, envelopes=MOVES), place(1, 1, 1, overlap=Overlap.REPLACE)], 3),
        ([place(0, 4, **SHORT), place(1, 1, 1, **SHORT)], 3),
        # One after the other, cross-faded; three in a row.
        ([place(0, 2, **SHORT), place(1.5, 2, 1, fade_in=CURVED, fade_out=CURVED, **CROSS)], 2),
        ([place(0, 2, **SHORT), place(1, 2, 1, **SHORT), place(2, 2, 2, **SHORT)], 3),
        # The lower one begins under the upper one; is hidden whole; two cover one.
        ([place(0, 2, 1, **SHORT), place(1, 2, 0, **SHORT)], 2),
        ([place(0, 4, 1, **SHORT), place(1, 1, 0, **SHORT)], 1),
        ([place(0, 4, 0), place(1, 1.5, 1, **SHORT), place(2, 1.5, 2, **SHORT)], 4),
        # An unplayable one hides nothing.
        ([place(0, 2), place(1, 2, 1, problem="is missing", **SHORT)], 2),
    ],
)
def test_pieces_sound_as_their_layers(sounds, clips, count):
    session = sounds(*clips)
    flat = flattened(session)
    (track,) = flat.tracks
    assert len(track.clips) == count
    assert {clip.overlap for clip in track.clips} == {Overlap.MIX}
    audio, other = mix(session), mix(flat)
    assert np.abs(audio).max() > 0.1
    # A clip that goes on behind another one is silent on its last frame; its last piece ends before.
    frames = other.shape[1]
    assert audio.shape[1] - frames in (0, 1)
    assert not audio[:, frames:].any()
    assert np.abs(audio[:, :frames] - other).max() < SAME


@pytest.mark.parametrize(
    "clips",
    [
        [place(0, 4, loop=True), place(1, 1, 1, **SHORT)],
        [place(0, 4, rate=1.25), place(1, 1, 1, **SHORT)],
        [place(0, 4, fade_in=Fade(2.0)), place(1, 1, 1, **SHORT)],
        [place(0, 4), place(1, 1, 1, **SHORT), place(1.9, 1, 2, **SHORT)],
    ],
)
def test_what_cannot_be_cut_exactly_stays_in_layers(sounds, clips):
    session = sounds(*clips)
    assert flattened(session).tracks[0].clips == session.tracks[0].clips
