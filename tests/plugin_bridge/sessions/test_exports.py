"""Folders as DAWs export them: split stereo, the mix among the tracks, stamps on one clock, numbers."""

import numpy as np
import pytest

from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.rpp.project import project_text
from tests.plugin_bridge.session_helpers import RATE, noise, save, write

HOUR = 3600 * RATE
DAY = 24 * HOUR


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def names(session):
    return [track.name for track in session.tracks]


@pytest.mark.parametrize(("left", "right"), [
    ("Gtr.L", "Gtr.R"), ("Gtr_L", "Gtr_R"), ("Gtr L", "Gtr R"), ("Gtr-l", "Gtr-r"), ("Gtr Left", "Gtr Right"),
])  # fmt: skip
def test_the_sides_of_a_split_stereo_track_are_one_track(tmp_path, left, right):
    sides = noise(1, 2)
    for name, side in zip((left, right), sides, strict=True):
        write(tmp_path / "song" / f"{name}.wav", side[None], time_reference=HOUR)
    session = open_session(tmp_path / "song")
    assert names(session) == ["Gtr"]
    assert session.tracks[0].channels == 2
    assert np.array_equal(mix(session), sides)
    # A REAPER project knows no such items: it has one for each side.
    again = open_session(save(tmp_path / "song", project_text(session, tmp_path / "song")))
    assert np.abs(mix(again) - sides).max() < 1e-6


def test_what_is_no_pair_stays_apart(tmp_path):
    write(tmp_path / "A.L.wav", noise(1))
    write(tmp_path / "A.R.wav", noise(0.5))  # shorter
    write(tmp_path / "B.L.wav", noise(1, 2))
    write(tmp_path / "B.R.wav", noise(1, 2))  # stereo
    write(tmp_path / "C.L.wav", noise(1))  # alone
    assert names(open_session(tmp_path)) == ["A.L", "A.R", "B.L", "B.R", "C.L"]


@pytest.mark.parametrize("name", ["Stereo Out", "Song Master", "Mixdown", "01 Mix", "Master.L"])
@pytest.mark.parametrize("level", [1.0, 0.3])
def test_the_mix_among_the_tracks_is_left_out_and_said(tmp_path, name, level):
    kick, bass = noise(3, 1, seed=1), noise(3, 2, seed=2)
    write(tmp_path / "Kick.wav", kick)
    write(tmp_path / "Bass.wav", bass)
    whole = level * (kick + bass)
    if name.endswith(".L"):
        write(tmp_path / "Master.L.wav", whole[:1])
        write(tmp_path / "Master.R.wav", whole[1:])
    else:
        write(tmp_path / f"{name}.wav", whole)
    session = open_session(tmp_path)
    assert names(session) == ["Bass", "Kick"]
    assert any("is the mix of the others and left out" in line for line in session.notes)
    assert np.abs(mix(session) - kick - bass).max() < 1e-6


def test_a_name_alone_makes_no_mix(tmp_path):
    write(tmp_path / "Kick.wav", noise(2, seed=1))
    write(tmp_path / "Bass.wav", noise(2, seed=2))
    write(tmp_path / "Song Master.wav", noise(2, seed=3))
    write(tmp_path / "Sum of all.wav", noise(2, seed=1) + noise(2, seed=2))
    session = open_session(tmp_path)
    assert names(session) == ["Bass", "Kick", "Song Master", "Sum of all"]
    assert session.notes == ["Song Master: called like a mix, but not the others' sum; a track"]


def test_numbers_are_in_their_order(tmp_path):
    for name in ("10 Snare", "9 Kick", "2 Vox 10", "2 Vox 9"):
        write(tmp_path / f"{name}.wav", noise(0.1))
    assert names(open_session(tmp_path)) == ["2 Vox 9", "2 Vox 10", "9 Kick", "10 Snare"]


@pytest.mark.parametrize(
    ("stamps", "start", "positions"),
    [
        ((HOUR, HOUR + RATE), 3600, [0, 1]),
        ((HOUR, None), 3600, [0, 0]),
        ((2 * RATE, None), 0, [2, 0]),
        ((DAY - RATE // 2, RATE // 2), 86399.5, [0, 1]),
        ((0, HOUR), 3600, [0, 0]),
        ((0, 90 * RATE), 0, [0, 90]),
    ],
)
def test_stamps_are_on_one_clock(tmp_path, stamps, start, positions):
    for name, stamp in zip("ab", stamps, strict=True):
        write(tmp_path / f"{name}.wav", noise(0.1), time_reference=stamp)
    session = open_session(tmp_path)
    assert session.start == start
    assert [track.clips[0].position for track in session.tracks] == pytest.approx(positions)
    assert all(line.endswith("placed at 0") for line in session.not_honoured)


def test_the_sessions_rate_is_said(tmp_path):
    for name, rate in (("a", 44100), ("b", 48000), ("c", 44100)):
        write(tmp_path / f"{name}.wav", noise(0.1, rate=rate), rate)
    assert open_session(tmp_path).notes == ["Session: 44100 Hz, as 2 of 3 files"]
