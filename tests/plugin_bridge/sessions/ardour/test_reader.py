import os
import time

import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.ardour.reader import read_ardour
from plugin_bridge.sessions.model import ChannelMode, Overlap, PanMode, Parameter, Scale, Tap
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.session_helpers import noise, write


@pytest.fixture
def song(tmp_path):
    write(ardour.media(tmp_path), noise(2))

    def make(text):
        return read_ardour(ardour.save(tmp_path, text))

    return make


def one_track(*regions, sources=(), **strip):
    return ardour.session(
        [ardour.master(), ardour.route("Voice", 1, playlist=10, **strip)],
        [ardour.playlist(10, *regions)],
        sources,
    )


def test_a_region_is_a_clip_at_its_place(song):
    (track,) = song(one_track(ardour.region(1.5, 0.75, 0.25))).tracks
    (clip,) = track.clips
    assert (clip.position, clip.length, clip.offset) == (1.5, 0.75, 0.25)
    assert (clip.source.name, clip.problem, clip.overlap) == ("a.wav", "", Overlap.CROSSFADE)
    assert track.name == "Voice"
    assert track.pan_mode is PanMode.ARDOUR_MONO


def test_times_may_be_in_beats_of_the_tempo_map(song):
    region = ardour.region().replace('length="a282240000@a0"', 'length="b1920@b3840"')
    ((clip,),) = [track.clips for track in song(one_track(region)).tracks]
    assert (clip.position, clip.length) == (1.0, 0.5)  # 120 quarter notes a minute


def test_tempos_by_bars_alone_are_laid_out_one_after_the_other(song):
    """As Ardour 3 and 4 save them: three beats a bar at 120, then at 60, then six eighths a bar."""
    sections = (
        '<Tempo start="1|1|0" beats-per-minute="120" note-type="4"/>'
        '<Tempo start="3|1|0" beats-per-minute="60" note-type="4"/>'
        '<Tempo start="5|4|960" beats-per-minute="90" note-type="4"/>'
        '<Meter start="1|1|0" note-type="4" divisions-per-bar="3"/>'
        '<Meter start="4|1|0" note-type="8" divisions-per-bar="6"/>'
    )
    text = ardour.session([ardour.master()], [], version="3001")
    before, _, rest = text.partition("<TempoMap")
    session = song(f"{before}<TempoMap>{sections}</TempoMap>{rest.partition('</TempoMap>')[2]}")
    assert [(one.seconds, one.bpm, one.numerator, one.denominator) for one in session.tempo] == [
        (0.0, 120, 3, 4),
        (3.0, 60, 3, 4),
        (6.0, 60, 6, 8),
        (10.75, 90, 6, 8),
    ]
    far = text.replace(
        "<TempoMap", '<TempoMap><Tempo start="1|1|0"/><Tempo start="1e300|1|0"/></TempoMap><X', 1
    )
    with pytest.raises(SessionError, match=r"a tempo at .* s; it must lie within"):
        song(far.replace("</TempoMap>\n</Session>", "</X>\n</Session>"))


def test_before_version_7_times_are_samples_and_the_playlist_has_a_name(song):
    old = (
        '<Region name="r" start="4800" length="24000" position="48000" source-0="1" channels="1" '
        'layering-index="0" fade-in-active="0" fade-out-active="0" opaque="yes" muted="no"/>'
    )
    route = ardour.route("Voice", 1, extra='phase-invert="1"', strip='<Diskstream playlist="p10"/>')
    text = ardour.session([ardour.master(), route], [ardour.playlist(10, old)], version="3002")
    (track,) = song(text).tracks
    (clip,) = track.clips
    assert (clip.position, clip.length, clip.offset) == (1.0, 0.5, 0.1)
    assert track.inverted


def test_the_strip(song):
    gain = ardour.automation("gain", [(0, 1), (1, 0.1)])
    text = one_track(
        ardour.region(), gain=0.5, trim=0.25, pan=0.1, muted=1, soloed=1, polarity="1", color=0x11223344,
        gain_automation=gain,
    )  # fmt: skip
    (track,) = song(text).tracks
    assert (track.volume, track.trim, track.muted, track.soloed, track.inverted) == (
        0.5,
        0.25,
        True,
        True,
        True,
    )
    assert track.pan == pytest.approx(-0.8)
    assert track.color == "#112233"
    (envelope,) = track.envelopes
    assert (envelope.parameter, envelope.scale) == (Parameter.VOLUME, Scale.ARDOUR_FADER)
    assert [(point.seconds, point.value) for point in envelope.points] == [(0.0, 1.0), (1.0, 0.1)]


def test_automation_that_is_off_moves_nothing(song):
    gain = ardour.automation("gain", [(0, 1), (1, 0.1)], state="Off")
    (track,) = song(one_track(ardour.region(), gain_automation=gain)).tracks
    assert not track.envelopes


def test_gain_envelope_and_fades_of_a_region(song):
    inner = (
        ardour.curve("Envelope", "envelope", [(0, 1), (1, 0.5)], "Exponential")
        + ardour.curve("FadeIn", "fadein", [(0, 0), (0.1, 0.25), (0.2, 1)])
        + ardour.curve("InverseFadeIn", "fadein", [(0, 1), (0.1, 0.75), (0.2, 0)])
        + ardour.curve("FadeOut", "fadeout", [(0, 1), (0.4, 0)])
    )
    extra = 'envelope-active="1" scale-amplitude="-0.5" muted="1"'
    ((clip,),) = [track.clips for track in song(one_track(ardour.region(extra=extra, inner=inner))).tracks]
    assert (clip.gain, clip.muted) == (-0.5, True)
    assert (clip.fade_in.seconds, clip.fade_out.seconds) == (0.2, 0.4)
    assert clip.fade_in.points == ((0, 0), (0.5, 0.25), (1, 1))
    assert clip.fade_in.beneath == ((0, 1), (0.5, 0.75), (1, 0))
    assert clip.fade_out.points == ((0, 0), (1, 1))  # by the part that is left
    assert [point.value for point in clip.envelopes[0].points] == [1, 0.5]


def test_fades_that_are_off_are_none(song):
    region = ardour.region(inner=ardour.curve("FadeIn", "fadein", [(0, 0), (0.2, 1)]))
    region = region.replace('fade-in-active="1"', 'fade-in-active="0"')
    ((clip,),) = [track.clips for track in song(one_track(region)).tracks]
    assert clip.fade_in.seconds == 0


def test_layers_follow_their_index_and_then_the_file(song):
    regions = [
        ardour.region(extra='layering-index="2"', name="top"),
        ardour.region(name="first", extra='layering-index="0"'),
        ardour.region(name="second", extra='layering-index="0"'),
    ]
    (track,) = song(one_track(*regions)).tracks
    assert sorted(track.clips, key=lambda clip: clip.layer)[-1].name == "top"
    assert [clip.layer for clip in track.clips] == [2, 0, 1]


def test_one_channel_of_a_stereo_file(song, tmp_path):
    sources = [ardour.source(1, channel=0), ardour.source(2, channel=1)]
    regions = [
        ardour.region(sources=("1", "2")),
        ardour.region(sources=("1",)),
        ardour.region(sources=("2",)),
    ]
    write(ardour.media(tmp_path), noise(2, channels=2))
    (track,) = song(one_track(*regions, sources=sources, channels=2)).tracks
    whole, left, right = track.clips
    assert (whole.channel_mode, whole.channels) == (ChannelMode.ALL, ())
    assert (left.channel_mode, left.first_channel) == (ChannelMode.SINGLE, 0)
    assert [channel.channel for channel in right.channels] == [1]
    assert track.pan_mode is PanMode.BALANCE


def test_a_bus_holds_what_goes_into_it_alone_and_sends_go_where_they_are_aimed(song):
    fader = '<Controllable name="gaincontrol" value="0.5"/>'
    send = f'<Processor type="intsend" role="Aux" active="1" target="3">{fader}</Processor>'
    routes = [
        ardour.master(gain=0.5, pan=0.75),
        ardour.route("Voice", 1, playlist=10, to="Bus", strip=send),
        ardour.route("Bus", 2, channels=2, flags="AudioBus"),
        ardour.route("Echo", 3, channels=2, flags="AudioBus"),
    ]
    session = song(ardour.session(routes, [ardour.playlist(10, ardour.region())]))
    bus, echo = session.tracks
    assert [track.name for track in bus.children] == ["Voice"]
    assert (bus.is_bus, echo.is_bus) == (True, True)
    (sent,) = bus.children[0].sends
    assert (sent.target, sent.gain, sent.tap) == ("3", 0.5, Tap.PRE_PAN)
    assert (session.master_volume, session.master_pan) == (0.5, 0.5)


def test_what_feeds_itself_is_cut(song):
    routes = [
        ardour.master(),
        ardour.route("A", 1, channels=2, flags="AudioBus", to="B"),
        ardour.route("B", 2, channels=2, flags="AudioBus", to="A"),
    ]
    session = song(ardour.session(routes, []))
    assert {track.name for track in session.walk()} == {"A", "B"}
    assert any("fed by itself" in line for line in session.not_honoured)


def test_what_is_left_out_is_said(song):
    plugin = '<Processor type="lv2" active="1" name="Echo" unique-id="urn:echo"/>'
    session = song(one_track(ardour.region(), strip=plugin))
    assert session.not_honoured == ["Voice: plug-in Echo is left out"]
    assert session.tracks[0].chain[0].identifier == "urn:echo"


def test_what_plays_beside_the_timeline_is_said(song):
    more = (
        '<ProgramVersion created-with="Mixbus32C 9.1" modified-with="Mixbus32C 10.0"/>'
        '<TriggerBox><Trigger name="a" region="7"/></TriggerBox>'
    )
    text = ardour.session([ardour.master()], [], more=more)
    cue = '<Location id="81" name="A" start="a0" end="a0" flags="IsCueMarker"/></Locations>'
    assert song(text.replace("</Locations>", cue)).not_honoured == [
        "Session: what Mixbus32C's own strips and buses do is left out",
        "Session: clips that cue markers launch are left out",
    ]


def test_the_range_that_ardour_exports_is_a_marker(song):
    (marker,) = song(ardour.session([ardour.master()], [], start=1.0, end=3.0)).markers
    assert (marker.name, marker.seconds, marker.length) == ("session", 1.0, 2.0)


@pytest.mark.parametrize("name", ["../outside.wav", "/etc/passwd", "interchange/../../outside.wav"])
def test_no_file_outside_the_session_is_opened(song, tmp_path, name):
    ((clip,),) = [
        track.clips for track in song(one_track(ardour.region(), sources=[ardour.source(1, name)])).tracks
    ]
    assert "outside" in clip.problem or "missing" in clip.problem
    assert clip.problem


def test_a_device_as_media_is_refused(song, tmp_path):
    os.mkfifo(ardour.media(tmp_path, "pipe.wav"))
    text = one_track(ardour.region(), sources=[ardour.source(1, "pipe.wav")])
    ((clip,),) = [track.clips for track in song(text).tracks]
    assert "not a regular file" in clip.problem


def test_entities_are_refused_in_one_line(tmp_path):
    bomb = (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><Session>&c;</Session>'
    )
    with pytest.raises(SessionError, match="entities"):
        open_session(ardour.save(tmp_path, bomb))


def test_files_cut_anywhere_say_so_in_one_line(tmp_path):
    text = one_track(ardour.region())
    for tenth in range(10):
        path = ardour.save(tmp_path, text[: len(text) * tenth // 10])
        started = time.monotonic()
        with pytest.raises(SessionError) as raised:
            open_session(path)
        assert "\n" not in str(raised.value)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (('sample-rate="48000"', 'sample-rate="nan"'), "a number belongs"),
        (('sample-rate="48000"', 'sample-rate="1"'), "must lie in"),
        (('npm="120" enpm="120"', 'npm="0" enpm="0"'), "a tempo of 0"),
        (('start="a0" opaque', 'start="a9999999999999999999" opaque'), "must lie within"),
        (('version="7002" name="song"', 'version="2000" name="song"'), "newer"),
        (("Session", "Song"), "not an Ardour session"),
    ],
)
def test_wrong_values_are_said_with_what_is_allowed(tmp_path, wrong, said):
    with pytest.raises(SessionError, match=said):
        open_session(ardour.save(tmp_path, one_track(ardour.region()).replace(*wrong)))
