"""Places on the timeline, as seconds, bars and markers, and tracks bounced between them."""

import numpy as np
import pytest

import plugin_bridge
from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Clip, Marker, Session, TempoChange, Track
from plugin_bridge.sessions.places import seconds_of_bar, stretch_of_time
from tests.plugin_bridge.session_helpers import RATE, item, project, save, track, write


@pytest.fixture
def session(tmp_path):
    tempo = [TempoChange(0, 120, 4, 4), TempoChange(4, 60, 3, 4), TempoChange(10, 120, 3, 4)]
    markers = [Marker(1.5, "Verse"), Marker(4.0, "Chorus", 3.0)]
    clips = [Clip(tmp_path / "a.wav", 0.0, 20.0)]
    return Session(tmp_path, "test", RATE, [Track("T", clips=clips)], tempo, markers)


@pytest.mark.parametrize(
    ("bar", "beat", "seconds"),
    [
        (1, 1, 0.0), (1, 3, 1.0), (2, 1, 2.0),  # 4/4 at 120
        (3, 1, 4.0), (3, 3, 6.0), (4, 1, 7.0), (5, 1, 10.0),  # 3/4 at 60
        (6, 1, 11.5),  # at 120 again: no new meter, no new bar
    ],
)  # fmt: skip
def test_bars_follow_meter_and_tempo(session, bar, beat, seconds):
    assert seconds_of_bar(session, bar, beat) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("2.5", "1:05", (2.5, 65.0)), ("0:00:02", None, (2.0, 20.0)), (None, "verse", (0.0, 1.5)),
        ("Chorus", None, (4.0, 7.0)), ("Chorus", "bar 5", (4.0, 10.0)), ("bar 2.3", "Bar 3", (3.0, 4.0)),
        (None, None, None),
    ],
)  # fmt: skip
def test_places_as_people_say_them(session, start, end, span):
    found = stretch_of_time(session, start, end)
    assert found == (None if span is None else pytest.approx(span))


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("Bridge", None, "no place; .*Verse, Chorus"), ("bar 0", None, "counted from 1"),
        ("bar 3.4", None, "3 beats"), ("Chorus", "Verse", "must come later"), ("-1", None, "no place"),
    ],
)  # fmt: skip
def test_other_places_are_refused(session, start, end, words):
    with pytest.raises(SessionError, match=words):
        stretch_of_time(session, start, end)


def test_a_stretch_is_bounced_with_its_place_in_the_time_stamp(tmp_path):
    ramp = (np.arange(4 * RATE) / (4 * RATE)).astype(np.float32)[None]
    write(tmp_path / "song" / "a.wav", ramp)
    text = project(
        track("T", item(0, 4)),
        track("B", strip="VOLPAN 0.5 0 -1 -1 1\nAUXRECV 0 0 1 0 0 0 0 0 0 -1:U 0 -1 ''"),
        head='PROJOFFS 3600 0 0\nMARKER 1 1 "In" 0',
    )
    path = save(tmp_path / "song", text)
    bounce = {"start": "In", "end": "2.5"}
    plugin_bridge.bounce(path, tmp_path / "out", tracks=["*"], **bounce)
    for name in ("T", "B"):  # the bus before its fader is what it receives
        with AudioFileSource(tmp_path / "out" / f"{name}.wav") as made:
            assert made.info.time_reference == 3601 * RATE
            assert np.array_equal(made.read(0, made.frames)[:1], ramp[:, RATE : 5 * RATE // 2])
    plugin_bridge.bounce(path, tmp_path / "out", mix=True, **bounce)
    with AudioFileSource(tmp_path / "out" / "song mix.wav") as made:
        heard = made.read(0, made.frames)
    assert np.abs(heard - 1.5 * ramp[:, RATE : 5 * RATE // 2]).max() < 1e-6
