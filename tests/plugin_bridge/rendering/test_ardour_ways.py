"""Which channels go where, mutes, files of other rates; Ardour's own exports say the same to the bit."""

import numpy as np
import pytest

from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions.ardour.reader import read_ardour
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.ardour_helpers import MONO_MIDDLE, RATE
from tests.plugin_bridge.session_helpers import write

TOLERANCE = 2e-7
LEFT, RIGHT = 0.5, 0.125
"""Of the stereo file; the mono one holds ones."""
STEREO = ("2", "3")
PANNER = "http://ardour.org/plugin/panner_2in2out"
MASTER = [f"Master/audio_in {number}" for number in (1, 2)]


@pytest.fixture
def heard(tmp_path):
    """The left and the right level of a session's mix half a second from its start."""
    write(ardour.media(tmp_path), np.ones((1, 2 * RATE)))
    write(ardour.media(tmp_path, "b.wav"), np.ones((2, 2 * RATE)) * [[LEFT], [RIGHT]])

    def render(*routes, region=None, at=0.5, master=None, more="", version="7002"):
        sources = [ardour.source(1), ardour.source(2, "b.wav"), ardour.source(3, "b.wav", 1)]
        lists = [ardour.playlist(10, region or ardour.region(0, 2)), more]
        text = ardour.session([master or ardour.master(), *routes], lists, sources, version=version)
        session = read_ardour(ardour.save(tmp_path, text))
        assert session.not_honoured == []
        with MixSource(session) as mix:
            return pytest.approx(mix.read(round(at * RATE), 1)[:, 0].tolist(), abs=TOLERANCE)

    return render


def voice(**values):
    return ardour.route("Voice", 1, playlist=10, **values)


def bus(channels, **values):
    return ardour.route("Bus", 3, channels=channels, flags="AudioBus", **values)


def send(gain=1.0, *, inner="", bypassed=0):
    fader = inner or f'<Controllable name="gaincontrol" value="{gain}"/>'
    shell = f'<PannerShell bypassed="{bypassed}" linked-to-route="1"/>'
    return f'<Processor type="intsend" role="Aux" active="1" target="3">{shell}{fader}</Processor>'


def stereo():
    return ardour.region(0, 2, sources=STEREO)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (MASTER[:1], [1, 0]),
        (MASTER[1:], [0, 1]),
    ],
)
def test_one_output_reaches_only_the_input_that_it_is_connected_to(heard, to, expected):
    assert heard(voice(outputs=1, to=to)) == expected


def test_outputs_may_be_crossed_or_left_open(heard):
    assert heard(voice(channels=2, to=MASTER[::-1]), region=stereo()) == [RIGHT, LEFT]
    assert heard(voice(to=[MASTER[0], ""])) == [MONO_MIDDLE, 0]


def test_a_mono_bus_sums_what_comes_to_its_one_input(heard):
    into = "Bus/audio_in 1"
    routes = [voice(channels=2, to=[into, into]), bus(1)]
    assert heard(*routes, region=stereo()) == [(LEFT + RIGHT) * MONO_MIDDLE] * 2
    routes = [voice(channels=2, to=[into, ""]), bus(1)]
    assert heard(*routes, region=stereo()) == [LEFT * MONO_MIDDLE] * 2


def test_channels_may_go_to_different_buses(heard):
    other = ardour.route("Other", 4, channels=2, flags="AudioBus")
    routes = [voice(channels=2, to=["Bus/audio_in 1", "Other/audio_in 2"]), bus(1), other]
    middle = LEFT * MONO_MIDDLE
    assert heard(*routes, region=stereo()) == [middle, middle + RIGHT]


def test_a_send_to_a_mono_bus_sums_and_does_not_pan(heard):
    routes = [voice(channels=2, pan=0.25, strip=send(0.5)), bus(1)]
    summed = 0.5 * (LEFT + RIGHT) * MONO_MIDDLE
    assert heard(*routes, region=stereo()) == [LEFT + summed, 0.5 * RIGHT + summed]


def test_a_send_without_its_panner_goes_to_the_first_channels(heard):
    routes = [voice(strip=send(0.5, bypassed=1)), bus(2)]
    assert heard(*routes) == [MONO_MIDDLE + 0.5, MONO_MIDDLE]


def test_before_version_7_a_sends_gain_lay_in_an_amplifier_of_its_own(heard):
    amplifier = '<Processor type="amp"><Controllable name="gaincontrol" value="0.25"/></Processor>'
    routes = [voice(channels=2, strip=send(inner=amplifier)), bus(2)]
    assert heard(*routes) == [1.25, 1.25]


def test_a_master_of_one_channel_sums(heard):
    inputs = ardour.master(channels=1)
    summed = [LEFT + RIGHT] * 2
    assert heard(voice(channels=2, to=[MASTER[0]] * 2), region=stereo(), master=inputs) == summed


def test_one_channel_is_inverted_first_also_where_both_come_from_one(heard):
    track = voice(channels=2, polarity="10", strip=send(0.25))
    assert heard(track, bus(2)) == [1.25, -1.25]
    assert heard(track, bus(1)) == [1, -1]


def points(text, where):
    return text.replace('mute-point="PostFader,Listen,Main"', f'mute-point="{where}"')


def test_a_mute_acts_where_its_points_are(heard):
    muted = voice(channels=2, muted=1, strip=send(0.5))
    assert heard(muted, bus(2)) == [0, 0]
    assert heard(points(muted, "Main"), bus(2)) == [0.5, 0.5]
    assert heard(points(muted, "PostFader"), bus(2)) == [1, 1]


@pytest.mark.parametrize(("at", "expected"), [("before", 0.125 + 0.5), ("behind", 0.125)])
def test_a_send_before_the_fader_is_heard_where_a_soloed_track_goes(heard, at, expected):
    sending = voice(channels=2, strip=send(0.5), to=None)
    if at == "before":  # move it in front of the fader
        sending = sending.replace(send(0.5), "").replace(
            '<Processor type="amp"', send(0.5) + '<Processor type="amp"'
        )
    other = ardour.route("Other", 4, channels=2, playlist=11, soloed=1, to="Bus", gain=0.25)
    level = ardour.playlist(11, stereo())
    assert heard(sending, other, bus(2), more=level) == [expected, expected - 0.125 + 0.25 * RIGHT]


def test_a_mute_that_automation_moves_waits_for_the_next_cycle_and_fades(heard):
    moves = ardour.automation("mute", [(0, 0), (0.5, 1)], style="Discrete")
    track = voice(channels=2).replace("</Route>", f"{moves}</Route>")
    # Cycles of 1024 frames; the 24th begins behind 0.5 s. Then 256 frames of latency, and a low-pass.
    begins = 24 * 1024 + 256
    assert heard(track, at=begins / RATE) == [1, 1]
    for frames in (1, 100, 1000):
        left = (1 - 156.825 / RATE) ** frames
        assert heard(track, at=(begins + frames) / RATE) == [left, left]


def test_frames_of_a_file_of_another_rate_are_played_one_by_one(tmp_path):
    ramp = np.arange(2 * 44100, dtype=np.float64)[None] / (2 * 44100)
    write(ardour.media(tmp_path), ramp, rate=44100)
    text = ardour.session(
        [ardour.master(), voice(channels=2)], [ardour.playlist(10, ardour.region(0.5, 1, 0.25))]
    )
    session = read_ardour(ardour.save(tmp_path, text))
    with MixSource(session) as mix:
        audio = mix.read(0, mix.frames)[0]
        assert mix.conversions == []
    assert audio[RATE // 2 :] == pytest.approx(ramp[0, RATE // 4 : RATE // 4 + RATE], abs=TOLERANCE)
    assert session.notes == ["Session: a.wav is played at 48000 Hz though it has 44100 Hz, as by Ardour"]


def test_a_panners_width_is_moved(heard):
    moves = ardour.automation("pan-width", [(0, 1), (1, 0)], style="Linear")
    track = voice(channels=2).replace('user-panner=""', f'user-panner="{PANNER}"')
    track = track.replace("</Pannable>", f"{moves}</Pannable>")
    scale = 2 - 4 * MONO_MIDDLE
    near, far = (way * (scale * way + 1 - scale) for way in (0.75, 0.25))  # half as wide
    expected = [LEFT * near + RIGHT * far, LEFT * far + RIGHT * near]
    assert heard(track, region=stereo()) == expected


def test_a_panner_is_as_wide_as_its_place_allows(heard):
    track = voice(channels=2, pan=0.1).replace('user-panner=""', f'user-panner="{PANNER}"')
    scale = 2 - 4 * MONO_MIDDLE
    near, far = (way * (scale * way + 1 - scale) for way in (0.8, 0.2))  # the right channel 0.2 from the left
    assert heard(track, region=stereo()) == [LEFT + RIGHT * near, RIGHT * far]


NARROW = '<Controllable name="pan-width" value="{}"/></Pannable>'
OLD_REGION = (
    f'<Region name="old" type="audio" start="0" length="{2 * RATE}" position="0" channels="2" source-0="2" '
    'source-1="3" opaque="yes" muted="no" fade-in-active="no" fade-out-active="no"/>'
)


def narrow(width, left, right):
    """The channels of the stereo panner, ``width`` apart around the middle."""
    scale = 2 - 4 * MONO_MIDDLE
    near, far = (way * (scale * way + 1 - scale) for way in ((1 + width) / 2, (1 - width) / 2))
    return left * near + right * far, left * far + right * near


def test_the_masters_panner_is_that_of_a_track(heard):
    master = ardour.master().replace('user-panner=""', f'user-panner="{PANNER}"')
    master = master.replace("</Pannable>", NARROW.format(0.5))
    assert heard(voice(channels=2), region=stereo(), master=master) == list(narrow(0.5, LEFT, RIGHT))


def test_a_sends_panner_is_as_wide_as_its_tracks(heard):
    """The track itself is silent behind the send."""
    way = send().replace("<PannerShell", f'<PannerShell user-panner="{PANNER}"')
    track = voice(channels=2, to="", strip=way).replace("</Pannable>", NARROW.format(0.5))
    assert heard(track, bus(2), region=stereo()) == list(narrow(0.5, LEFT, RIGHT))


def test_before_version_6_stereo_strips_have_the_stereo_panner(heard):
    """Whoever names none: that of the track is half as wide as it could be, that of the master a quarter."""
    track = voice(channels=2, strip='<Diskstream playlist="p10"/>').replace("</Pannable>", NARROW.format(0.5))
    master = ardour.master().replace("</Pannable>", NARROW.format(0.25))
    both = narrow(0.25, *narrow(0.5, LEFT, RIGHT))
    assert heard(track, region=OLD_REGION, master=master, version="3002") == list(both)
    assert heard(track, region=OLD_REGION, master=master, version="6000") == [LEFT, RIGHT]


def test_what_ardour_moves_and_we_do_not_is_said(tmp_path):
    moves = ardour.automation("phase", [(0, 0), (1, 1)], style="Discrete")
    wide = voice(channels=2, outputs=3, to=None).replace("</Route>", f"{moves}</Route>")
    session = read_ardour(ardour.save(tmp_path, ardour.session([ardour.master(), wide], [])))
    assert session.not_honoured == [
        "Voice: its panner to 3 outputs is left out",
        "Voice: automation of its polarity is left out",
    ]
