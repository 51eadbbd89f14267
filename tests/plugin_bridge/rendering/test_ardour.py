"""Ardour's sessions as audio; the values were worked out by hand from its laws."""

import math

import numpy as np
import pytest

from plugin_bridge.rendering.ardour import smoothed
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions.ardour.reader import read_ardour
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.ardour_helpers import MONO_MIDDLE, RATE
from tests.plugin_bridge.session_helpers import write

ONE_BIT = 2e-7
"""Of float32, at a level of one, after a few operations."""


@pytest.fixture
def mix(tmp_path):
    """Renders a session whose ``a.wav`` is two seconds of ones, and ``b.wav`` of halves and quarters."""
    write(ardour.media(tmp_path), np.ones((1, 2 * RATE)))
    write(ardour.media(tmp_path, "b.wav"), np.ones((2, 2 * RATE)) * [[0.5], [0.25]])

    def render(routes, *playlists, **values):
        sources = [ardour.source(1), ardour.source(2, "b.wav"), ardour.source(3, "b.wav", 1)]
        text = ardour.session(routes, playlists, sources, **values)
        with MixSource(read_ardour(ardour.save(tmp_path, text))) as source:
            return source.read(0, source.frames)

    return render


def voice(**values):
    return [ardour.master(), ardour.route("Voice", 1, playlist=10, **values)]


STEREO = ("2", "3")


def test_mono_tracks_are_3_db_down_in_the_middle(mix):
    audio = mix(voice(), ardour.playlist(10, ardour.region()))
    assert audio == pytest.approx(np.full((2, RATE), MONO_MIDDLE), abs=ONE_BIT)


def test_a_mono_track_panned(mix):
    audio = mix(voice(pan=0.1), ardour.playlist(10, ardour.region()))
    scale = 2 - 4 * MONO_MIDDLE
    assert audio[0] == pytest.approx(0.9 * (scale * 0.9 + 1 - scale), abs=ONE_BIT)
    assert audio[1] == pytest.approx(0.1 * (scale * 0.1 + 1 - scale), abs=ONE_BIT)


@pytest.mark.parametrize(("pan", "left", "right"), [(0.5, 1, 1), (0.25, 1, 0.5), (1.0, 0, 1)])
def test_stereo_tracks_are_balanced(mix, pan, left, right):
    audio = mix(voice(channels=2, pan=pan), ardour.playlist(10, ardour.region(sources=STEREO)))
    assert audio == pytest.approx(np.array([[0.5 * left], [0.25 * right]]) * np.ones(RATE), abs=ONE_BIT)


def test_the_strip_gains_multiply_and_polarity_inverts(mix):
    routes = [
        ardour.master(gain=0.5, polarity="11"),
        ardour.route("Voice", 1, playlist=10, channels=2, gain=0.5, trim=0.25, polarity="11"),
    ]
    audio = mix(routes, ardour.playlist(10, ardour.region(sources=STEREO, extra='scale-amplitude="0.5"')))
    assert audio == pytest.approx(np.array([[0.5], [0.25]]) * np.full(RATE, 0.03125), abs=ONE_BIT)


def test_a_fade_is_complete_on_its_last_frame(mix):
    inner = ardour.curve("FadeIn", "fadein", [(0, 0), (0.5, 1)]) + ardour.curve(
        "FadeOut", "fadeout", [(0, 1), (0.25, 0)]
    )
    audio = mix(voice(), ardour.playlist(10, ardour.region(inner=inner)))[0] / MONO_MIDDLE
    half = RATE // 2
    assert audio[:half] == pytest.approx(np.arange(half) / (half - 1), abs=ONE_BIT)
    quarter = RATE // 4
    assert audio[-quarter:] == pytest.approx(1 - np.arange(quarter) / (quarter - 1), abs=ONE_BIT)


def test_a_fade_through_points_bends_smoothly_and_never_beyond_them(mix):
    points = [(0, 0), (0.25, 0.8), (0.5, 1)]
    audio = mix(voice(), ardour.playlist(10, ardour.region(inner=ardour.curve("FadeIn", "fadein", points))))
    fade = audio[0, : RATE // 2] / MONO_MIDDLE
    assert fade[RATE // 4] == pytest.approx(0.8, abs=1e-4)
    assert np.all(np.diff(fade) >= 0)
    # Slopes in units of the fade: 1.6 and 0.4; at the middle point 2 / (1 / 1.6 + 1 / 0.4) = 0.64.
    first = 1.5 * 1.6 - 0.64 / 2
    quarter = 0.8 / 2 + 0.5 / 8 * (first - 0.64)
    assert fade[RATE // 8] == pytest.approx(quarter, abs=1e-4)


def test_the_top_layer_replaces_what_lies_beneath_between_its_fades(mix):
    fades = ardour.curve("FadeIn", "fadein", [(0, 0), (0.1, 1)]) + ardour.curve(
        "InverseFadeIn", "fadein", [(0, 1), (0.1, 0)]
    )
    top = ardour.region(0.5, 0.25, sources=STEREO, inner=fades, extra='layering-index="1"')
    audio = mix(voice(channels=2), ardour.playlist(10, ardour.region(0, 1), top))[0]
    tenth, half = RATE // 10, RATE // 2
    assert np.all(audio[:half] == 1)
    assert np.all(audio[half + tenth : half + RATE // 4] == 0.5)
    assert np.all(audio[half + RATE // 4 : -1] == 1)
    x = np.arange(tenth) / (tenth - 1)
    assert audio[half : half + tenth] == pytest.approx(1 - x + 0.5 * x, abs=ONE_BIT)


@pytest.mark.parametrize(
    ("at", "length", "opaque", "ends"),
    [(0.25, 0.5, 1, 1), (0.0, 0.5, 1, 1), (0.5, 0.5, 1, 0), (0.25, 0.5, 0, 0)],
)
def test_a_region_that_goes_on_behind_another_loses_its_last_frame(mix, at, length, opaque, ends):
    top = ardour.region(at, length, sources=STEREO, extra='layering-index="1"')
    top = top.replace('opaque="1"', f'opaque="{opaque}"')
    end = ardour.region(1, 0.25, sources=STEREO)  # so that the mix does not end with it
    audio = mix(voice(channels=2), ardour.playlist(10, ardour.region(0, 1), top, end))[0]
    assert (audio[RATE - 2] != 0, audio[RATE - 1] == 0) == (True, bool(ends))


def test_what_is_not_opaque_is_mixed(mix):
    top = ardour.region(0.5, 0.25, extra='layering-index="1"').replace('opaque="1"', 'opaque="0"')
    audio = mix(voice(channels=2), ardour.playlist(10, ardour.region(0, 1), top))[0]
    assert audio[RATE // 2] == 2


@pytest.mark.parametrize("opaque", [1, 0])
def test_where_two_fades_meet_the_region_is_mixed_with_itself(mix, opaque):
    fades = ""
    for tag, seconds, ends in (("FadeIn", 0.75, (0, 1)), ("FadeOut", 0.75, (1, 0))):
        for name, values in ((tag, ends), (f"Inverse{tag}", ends[::-1])):
            points = list(zip((0, seconds), values, strict=True))
            fades += ardour.curve(name, tag.lower(), points)
    region = ardour.region(0, 1, inner=fades).replace('opaque="1"', f'opaque="{opaque}"')
    audio = mix(voice(channels=2), ardour.playlist(10, region))[0]
    # At 0.25 and 0.75 s either fade is alone; in the middle both stand at 2/3 and 1/3 of their way.
    within = 2 / RATE
    assert audio[RATE // 4 - 2] == pytest.approx(1 / 3, abs=2 * within)
    assert audio[3 * RATE // 4 + 2] == pytest.approx(1 / 3, abs=2 * within)
    own, beneath = 2 / 3, 1 / 3
    expected = own * beneath + own if opaque else own + own
    assert audio[RATE // 2] == pytest.approx(expected, abs=2 * within)


def test_a_fade_longer_than_its_region_is_cut_off(mix):
    region = ardour.region(0, 0.5, inner=ardour.curve("FadeIn", "fadein", [(0, 0), (1, 1)]))
    audio = mix(voice(channels=2), ardour.playlist(10, region))[0]
    assert audio == pytest.approx(np.arange(RATE // 2) / (RATE - 1), abs=ONE_BIT)


def test_places_between_two_frames_are_those_of_the_frame_before(mix):
    frame = 1 / RATE
    region = ardour.region(100.9 * frame, 200.9 * frame, 50.9 * frame)
    audio = mix(voice(channels=2), ardour.playlist(10, region))[0]
    assert np.flatnonzero(audio)[[0, -1]].tolist() == [100, 299]


def test_a_bus_passes_what_goes_into_it_and_solo_reaches_through_it(mix):
    routes = [
        ardour.master(),
        ardour.route("Voice", 1, playlist=10, channels=2, to="Bus", soloed=1),
        ardour.route("Bass", 2, playlist=11, channels=2),
        ardour.route("Bus", 3, channels=2, flags="AudioBus", gain=0.5),
    ]
    audio = mix(routes, ardour.playlist(10, ardour.region()), ardour.playlist(11, ardour.region()))
    assert audio == pytest.approx(np.full((2, RATE), 0.5), abs=ONE_BIT)


def test_sends_come_on_top_and_a_muted_track_is_silent(mix):
    fader = '<Controllable name="gaincontrol" value="0.25"/>'
    send = f'<Processor type="intsend" role="Aux" active="1" target="3">{fader}</Processor>'
    routes = [
        ardour.master(),
        ardour.route("Voice", 1, playlist=10, channels=2, strip=send, gain=0.5),
        ardour.route("Echo", 3, channels=2, flags="AudioBus"),
    ]
    regions = ardour.playlist(10, ardour.region())
    assert mix(routes, regions) == pytest.approx(np.full((2, RATE), 0.5 + 0.125), abs=ONE_BIT)
    routes[1] = ardour.route("Voice", 1, playlist=10, channels=2, strip=send, muted=1)
    assert not mix(routes, regions).any()


def test_automation_of_gain_moves_on_the_faders_way_and_is_smoothed(mix):
    moves = ardour.automation("gain", [(0, 1), (0.5, 1), (1.5, 0.25)])
    audio = mix(voice(channels=2, gain_automation=moves), ardour.playlist(10, ardour.region(0, 2)))[0]
    assert audio[: RATE // 2] == pytest.approx(1)

    def way(gain):
        return ((6 * math.log2(gain) + 192) / 198) ** 8

    middle = 2 ** ((198 * ((way(1) + way(0.25)) / 2) ** (1 / 8) - 192) / 6)
    # The filter and the export's latency make it late by 256 frames and 1 / 156.825 s.
    late = 256 + round(RATE / 156.825)
    assert audio[RATE + late] == pytest.approx(middle, abs=2e-4)


def test_smoothing_is_the_same_wherever_reading_begins():
    def at(seconds):
        return np.where(seconds < 0.1, 1.0, 0.25)

    whole = smoothed(at, 0, 9600, RATE)
    parts = [smoothed(at, start, 1000, RATE) for start in range(0, 9000, 1000)]
    assert np.concatenate(parts) == pytest.approx(whole[:9000], abs=1e-9)
    assert whole[4799] == 1
    late = 256 + round(RATE / 156.825)
    assert whole[4800 + late] == pytest.approx(0.25 + 0.75 / math.e, abs=1e-3)


def test_before_the_fader_a_mono_track_is_as_it_is(tmp_path):
    write(ardour.media(tmp_path), np.ones((1, 2 * RATE)))
    text = ardour.session(voice(gain=0.5, muted=1), [ardour.playlist(10, ardour.region(1, 1))])
    session = read_ardour(ardour.save(tmp_path, text))
    with TrackSource(session, session.tracks[0]) as source:
        assert (source.channels, source.start_frame, source.frames) == (1, RATE, RATE)
        assert np.all(source.read(0, RATE) == 1)


def test_a_soloed_bus_lets_all_be_heard_that_feeds_it(mix):
    fader = '<Controllable name="gaincontrol" value="0.25"/>'
    send = f'<Processor type="intsend" role="Aux" active="1" target="3">{fader}</Processor>'
    routes = [
        ardour.master(),
        ardour.route("Voice", 1, playlist=10, channels=2, strip=send),
        ardour.route("Bass", 2, playlist=11, channels=2),
        ardour.route("Echo", 3, channels=2, flags="AudioBus", soloed=1),
    ]
    audio = mix(routes, ardour.playlist(10, ardour.region()), ardour.playlist(11, ardour.region()))
    assert audio == pytest.approx(np.full((2, RATE), 1.25), abs=ONE_BIT)


@pytest.mark.parametrize(("points", "heard"), [("PostFader,Main", 0.25), ("PreFader,PostFader,Main", 0)])
def test_a_send_before_the_fader_is_muted_only_where_the_track_says_so(mix, points, heard):
    fader = '<Controllable name="gaincontrol" value="0.25"/>'
    send = f'<Processor type="intsend" role="Aux" active="1" target="3">{fader}</Processor>'
    voice = ardour.route("Voice", 1, playlist=10, channels=2, muted=1)
    voice = voice.replace('<Processor type="amp"', f'{send}<Processor type="amp"')
    voice = voice.replace("PostFader,Listen,Main", points)
    routes = [ardour.master(), voice, ardour.route("Echo", 3, channels=2, flags="AudioBus")]
    audio = mix(routes, ardour.playlist(10, ardour.region()))
    assert audio == pytest.approx(np.full(audio.shape, heard), abs=ONE_BIT)


def test_one_channel_may_have_its_polarity_inverted(mix):
    audio = mix(voice(channels=2, polarity="01"), ardour.playlist(10, ardour.region(sources=STEREO)))
    assert audio[:, 0].tolist() == [-0.5, 0.25]
