"""Strips: overlaps, pan laws, sends before and after the fader, VCAs, solos, what cannot be played."""

from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.errors import AudioFileError
from plugin_bridge.rendering.panning import PanLaw
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Envelope,
    Fade,
    Overlap,
    PanMode,
    Parameter,
    Point,
    PointShape,
    Send,
    Session,
    SourceChannel,
    Tap,
    Track,
    Vca,
)
from tests.plugin_bridge.session_helpers import RATE, noise, read, write

ROUNDING = 2e-7
SECOND = RATE


def constant(folder, level, channels=1, seconds=4.0):
    audio = np.full((channels, round(seconds * RATE)), level, np.float32)
    return write(folder / f"{level}-{channels}.wav", audio)


def session_of(folder, *tracks, **fields):
    return Session(folder, "test", RATE, list(tracks), **fields)


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def levels(audio, *seconds):
    return [round(float(audio[0, round(at * RATE)]), 6) for at in seconds]


def clip(folder, level, position=0.0, length=4.0, **fields):
    return Clip(constant(folder, level), position, length, **fields)


@pytest.mark.parametrize(
    ("overlap", "heard"),
    [
        # long lies at 0..4, short at 1..2 above it, late at 3..5 above both
        (Overlap.MIX, [0.5, 0.75, 0.5, 0.625, 0.125]),
        (Overlap.REPLACE_ENCLOSING, [0.5, 0.25, 0.5, 0.625, 0.125]),
        (Overlap.REPLACE, [0.5, 0.25, 0.5, 0.125, 0.125]),
    ],
)
def test_what_lies_on_top_replaces_what_it_should(tmp_path, overlap, heard):
    track = Track("T", clips=[
        clip(tmp_path, 0.5, overlap=overlap),
        clip(tmp_path, 0.25, 1.0, 1.0, layer=1, overlap=overlap),
        clip(tmp_path, 0.125, 3.0, 2.0, layer=2, overlap=overlap),
    ])  # fmt: skip
    audio = mix(session_of(tmp_path, track))
    assert levels(audio, 0.5, 1.5, 2.5, 3.5, 4.5) == heard
    if overlap is not Overlap.MIX:
        assert audio[0, SECOND - 1] == 0.5
        assert audio[0, SECOND] == 0.25
        assert audio[0, 2 * SECOND - 1] == 0.25
        assert audio[0, 2 * SECOND] == 0.5


def test_lanes_do_not_meet_and_muted_or_unplayable_clips_hide_nothing(tmp_path):
    top = {"overlap": Overlap.REPLACE, "layer": 1}
    track = Track("T", clips=[
        clip(tmp_path, 0.5),
        clip(tmp_path, 0.25, 0.0, 1.0, lane=1, **top),
        clip(tmp_path, 0.25, 1.0, 1.0, muted=True, **top),
        Clip(tmp_path / "no.wav", 2.0, 1.0, **top),
    ])  # fmt: skip
    assert levels(mix(session_of(tmp_path, track)), 0.5, 1.5, 2.5) == [0.75, 0.5, 0.5]


def test_under_the_fades_of_a_cross_faded_clip_the_lower_one_gives_way(tmp_path):
    upper = clip(
        tmp_path, 0.25, 1.0, 2.0, layer=1, overlap=Overlap.CROSSFADE, fade_in=Fade(0.5), fade_out=Fade(0.5)
    )
    audio = mix(session_of(tmp_path, Track("T", clips=[clip(tmp_path, 0.5), upper])))
    assert levels(audio, 0.9, 1.25, 2.0, 2.75, 3.1) == pytest.approx([0.5, 0.375, 0.25, 0.375, 0.5], abs=1e-5)


def test_a_mix_with_an_unplayable_clip_is_the_mix_without_it(tmp_path):
    good = [clip(tmp_path, 0.5), clip(tmp_path, 0.25, 1.0, 1.0)]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF no sound")
    bad = [Clip(tmp_path / "no.wav", 0.5, 1.0), Clip(broken, 0.0, 2.0), Clip(Path(), 0, 1, problem="is odd")]
    whole = session_of(tmp_path, Track("T", clips=[*good, *bad]), Track("U", clips=good))
    without = session_of(tmp_path, Track("T", clips=good), Track("U", clips=good))
    assert np.array_equal(mix(whole), mix(without))
    source = MixSource(whole)
    assert len(source.not_honoured) == 2
    assert all(line.startswith("T: ") and line.endswith("; left out") for line in source.not_honoured)
    only_bad = Track("Bad", clips=bad)
    with pytest.raises(AudioFileError, match="Bad: "):
        TrackSource(session_of(tmp_path, only_bad), only_bad)


@pytest.mark.parametrize(
    ("law", "place", "sides"),
    [
        (PanLaw(), 0.0, (1.0, 1.0)),
        (PanLaw(), 0.25, (0.75, 1.0)),
        (PanLaw(middle=0.5), 0.0, (0.5, 0.5)),
        (PanLaw(middle=0.5), -0.5, (0.75, 0.25)),
        (PanLaw(middle=0.5), 1.0, (0.0, 1.0)),
        (PanLaw(middle=0.5, boosts=True), 0.0, (1.0, 1.0)),
        (PanLaw(middle=0.5, boosts=True), -1.0, (2.0, 0.0)),
        (PanLaw(PanMode.ARDOUR_MONO), 0.0, (10 ** (-3 / 20), 10 ** (-3 / 20))),
        (PanLaw(PanMode.ARDOUR_MONO), -1.0, (1.0, 0.0)),
    ],
)
def test_pan_laws_have_their_gains(law, place, sides):
    audio = law.apply(np.ones((1, 4), np.float32), place)
    audio = np.broadcast_to(audio, (2, 4))
    assert audio[:, 0] == pytest.approx(sides, abs=ROUNDING)


def test_a_width_of_0_is_mono_and_of_minus_1_swaps():
    stereo = np.array([[1.0] * 4, [0.5] * 4], np.float32)
    law = PanLaw(PanMode.STEREO)
    assert law.apply(stereo, 0.0, 1.0)[:, 0] == pytest.approx([1.0, 0.5])
    assert law.apply(stereo, 0.0, 0.0)[:, 0] == pytest.approx([0.75, 0.75])
    assert law.apply(stereo, 0.0, -1.0)[:, 0] == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize(
    ("send", "heard"),
    [
        ({}, 0.25),
        ({"tap": Tap.PRE_FADER}, 0.5),
        ({"tap": Tap.PRE_EFFECTS}, 0.5),
        ({"gain": 0.5, "inverted": True}, -0.125),
        ({"muted": True}, 0.0),
        ({"envelopes": (Envelope(Parameter.VOLUME, (Point(0.0, 0.5),)),)}, 0.125),
    ],
)
def test_sends_leave_before_or_behind_the_fader(tmp_path, send, heard):
    source = Track("S", clips=[clip(tmp_path, 0.5)], volume=0.5, sends_to_parent=False, identifier="s")
    source.sends = [Send("bus", **send)]
    bus = Track("B", is_bus=True, identifier="bus")
    assert levels(mix(session_of(tmp_path, source, bus)), 1.0) == [heard]


def test_a_send_chooses_its_channels(tmp_path):
    path = write(tmp_path / "w.wav", np.array([[0.5], [0.25], [0.125], [0.0625]]).repeat(RATE, 1))
    source = Track("S", clips=[Clip(path, 0, 1)], sends_to_parent=False, identifier="s")
    bus = Track("B", identifier="bus", channels=4)
    for send, heard in (
        (Send("bus", source_channel=2, channels=2), [0.125, 0.0625]),
        (Send("bus", channels=2, mono=True), [0.375, 0.375]),
        (Send("bus", source_channel=1, channels=1, pan=-1.0), [0.25, 0.0]),
        (Send("bus", source_channel=6, pan=0.5), [0.0, 0.0]),
    ):
        source.sends = [send]
        assert mix(session_of(tmp_path, source, bus))[:2, 100] == pytest.approx(heard, abs=ROUNDING)
    source.sends = [Send("bus", channels=2, target_channel=2)]
    with TrackSource(session_of(tmp_path, source, bus), bus) as made:
        assert made.read(0, 10)[:, 5] == pytest.approx([0.0, 0.0, 0.5, 0.25], abs=ROUNDING)


def test_what_comes_back_to_its_own_track_is_left_out_and_said(tmp_path):
    one = Track("One", clips=[clip(tmp_path, 0.5)], sends=[Send("two")], identifier="one")
    two = Track("Two", sends=[Send("one", 0.5)], identifier="two")
    source = MixSource(session_of(tmp_path, one, two))
    assert any("comes back" in line for line in source.not_honoured)
    assert np.isfinite(source.read(0, 100)).all()


def test_separation_takes_a_track_without_what_is_sent_to_it(tmp_path):
    source = Track("S", clips=[clip(tmp_path, 0.5)], sends=[Send("own"), Send("bus")], identifier="s")
    own = Track("Own", clips=[clip(tmp_path, 0.25)], identifier="own")
    bus = Track("Bus", identifier="bus")
    session = session_of(tmp_path, source, own, bus)
    with TrackSource(session, own) as made:
        assert levels(made.read(0, 100), 0.001) == [0.25]
        assert made.notes == ["Own: what S sends to it stays where it is"]
    with TrackSource(session, own, receives=True) as made:
        assert levels(made.read(0, 100), 0.001) == [0.75]
    with TrackSource(session, bus) as made:
        assert levels(made.read(0, 100), 0.001) == [0.5]
        assert made.frames == 4 * RATE


@pytest.mark.parametrize(
    ("soloed", "heard"),
    [
        ((), 0.5 + 0.5 + 0.25 + 0.25 + 0.125),
        (("S",), 0.5 + 0.5 + 0.125),  # on its own way and on that through the bus
        (("B",), 0.5 + 0.25 + 0.125),  # whatever comes through it
        (("O",), 0.25 + 0.25 + 0.125),
    ],
)
def test_solos_follow_the_ways_of_sounds_and_a_defeated_track_sounds_always(tmp_path, soloed, heard):
    tracks = [
        Track("S", clips=[clip(tmp_path, 0.5)], sends=[Send("b")], identifier="s"),
        Track("O", clips=[clip(tmp_path, 0.25)], sends=[Send("b")], identifier="o"),
        Track("B", identifier="b"),
        Track("D", clips=[clip(tmp_path, 0.125)], solo_defeat=True, identifier="d"),
    ]
    for track in tracks:
        track.soloed = track.name in soloed
    assert levels(mix(session_of(tmp_path, *tracks)), 1.0) == [heard]


def test_vcas_move_those_that_follow_them(tmp_path):
    half = Vca("v", "V", 0.5, envelopes=[Envelope(Parameter.VOLUME, (Point(0.0, 0.5),))])
    follower = Track("F", clips=[clip(tmp_path, 0.5)], vcas=["v"])
    other = Track("O", clips=[clip(tmp_path, 0.25)])
    assert levels(mix(session_of(tmp_path, follower, other, vcas=[half])), 1.0) == [0.125 + 0.25]
    half.muted = True
    assert levels(mix(session_of(tmp_path, follower, other, vcas=[half])), 1.0) == [0.25]


def test_the_master_may_be_muted_mono_and_wide(tmp_path):
    left = Track("L", clips=[clip(tmp_path, 0.5)], pan=-1.0)
    assert not mix(session_of(tmp_path, left, master_muted=True)).any()
    assert mix(session_of(tmp_path, left, master_mono=True))[:, 100] == pytest.approx([0.25, 0.25])
    left.pan, left.parent_channel = 0.0, 2
    assert not mix(session_of(tmp_path, left)).any()  # a stereo master has no channel 3
    assert mix(session_of(tmp_path, left, master_channels=4))[:, 100].tolist() == [0, 0, 0.5, 0.5]


def test_trim_offset_and_envelopes_of_a_track(tmp_path):
    track = Track("T", clips=[clip(tmp_path, 0.5, 1.0, 2.0)], trim=0.5, play_offset=0.25)
    track.envelopes = [
        Envelope(Parameter.VOLUME, (Point(1.5, 1.0), Point(2.5, 0.0))),
        Envelope(Parameter.PAN, (Point(0.0, -1.0),)),
    ]
    audio = mix(session_of(tmp_path, track))
    assert levels(audio, 1.2, 1.3, 2.0, 2.75) == pytest.approx([0.0, 0.25, 0.125, 0.0], abs=1e-6)
    assert not audio[1].any()


def test_envelopes_of_a_clip_count_from_its_start(tmp_path):
    ramp = Envelope(Parameter.VOLUME, (Point(0.0, 0.0), Point(1.0, 1.0)))
    mute = Envelope(Parameter.MUTE, (Point(0.0, 0.0, PointShape.HOLD), Point(1.5, 1.0)))
    track = Track("T", clips=[clip(tmp_path, 0.5, 1.0, 2.0, gain=-1.0, envelopes=(ramp, mute))])
    audio = mix(session_of(tmp_path, track))
    assert levels(audio, 1.5, 2.25, 2.75) == pytest.approx([-0.25, -0.5, 0.0], abs=1e-6)


def test_channels_of_several_files_are_one_clip(tmp_path):
    left, right = noise(1, seed=1), noise(0.5, seed=2)
    parts = (
        SourceChannel(write(tmp_path / "l.wav", left)),
        SourceChannel(write(tmp_path / "r.wav", np.concatenate([noise(0.5), right])), 1),
    )
    track = Track("T", clips=[Clip(parts[0].path, 0, 1, channels=parts)])
    audio = mix(session_of(tmp_path, track))
    assert np.array_equal(audio[0], left[0])
    assert np.array_equal(audio[1, : RATE // 2], right[0])
    assert not audio[1, RATE // 2 :].any()


def test_single_channels_and_pairs(tmp_path):
    path = write(tmp_path / "w.wav", np.array([[0.5], [0.25], [0.125]]).repeat(RATE, 1))
    for mode, first, heard in (
        (ChannelMode.SINGLE, 2, [0.125, 0.125]),
        (ChannelMode.SINGLE, 7, [0.0, 0.0]),
        (ChannelMode.PAIR, 1, [0.25, 0.125]),
        (ChannelMode.PAIR, 2, [0.125, 0.0]),
    ):
        track = Track("T", clips=[Clip(path, 0, 1, channel_mode=mode, first_channel=first)])
        assert mix(session_of(tmp_path, track))[:, 9].tolist() == heard


def test_a_session_inside_a_session_is_its_mix(tmp_path):
    inner = session_of(tmp_path, Track("I", clips=[clip(tmp_path, 0.5)], volume=0.5))
    track = Track("T", clips=[Clip(tmp_path, 1.0, 2.0, session=inner, gain=0.5)])
    audio = mix(session_of(tmp_path, track, Track("U", clips=[clip(tmp_path, 0.25)])))
    assert levels(audio, 0.5, 2.0, 3.5) == [0.25, 0.375, 0.25]
    itself = session_of(tmp_path, track)
    track.clips[0] = Clip(tmp_path, 0.0, 1.0, session=itself)
    with pytest.raises(AudioFileError, match="nested deeper"):
        MixSource(itself)


def test_any_stretch_of_time_of_a_track(tmp_path):
    audio = noise(2)
    track = Track("T", clips=[Clip(write(tmp_path / "a.wav", audio), 1.0, 2.0)])
    source = TrackSource(session_of(tmp_path, track), track).within(0.5, 2.0)
    assert source.position_seconds == 0.5
    assert source.frames == 1.5 * RATE
    made = source.read(0, source.frames)
    assert not made[:, : RATE // 2].any()
    assert np.array_equal(made[:, RATE // 2 :], audio[:, :RATE])
    assert read(track.clips[0].source).shape == (1, 2 * RATE)
