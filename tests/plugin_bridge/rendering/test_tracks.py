import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_bridge.audio.resampling import ResampledSource
from plugin_bridge.audio.sequential import SequentialReader
from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.rendering.clips import ClipSource, balanced
from plugin_bridge.rendering.tracks import MixSource, TrackSource, selected_tracks
from plugin_bridge.sessions.fades import fade_curve, fade_lengths
from plugin_bridge.sessions.model import ChannelMode, Clip, Fade, FadeShape, Session, Track
from separators.streaming import ArraySource
from tests.plugin_bridge.session_helpers import RATE, impulse, noise, write

EXACT = 0.0
ROUNDING = 2e-7
"""One float32 multiplication more or less."""
RESAMPLING = 1e-5
"""soxr's VHQ on a tone in the middle of the band, -100 dB."""


def render(source, start=0, frames=None):
    with source:
        return source.read(start, source.frames - start if frames is None else frames)


def session_of(folder, *tracks, rate=RATE):
    return Session(folder, "test", rate, tracks=list(tracks))


def one_clip(folder, audio, file_rate=RATE, **fields):
    path = write(folder / "clip.wav", audio, file_rate)
    fields.setdefault("length", audio.shape[1] / file_rate)
    fields.setdefault("position", 0.0)
    track = Track("T", clips=[Clip(path, **fields)])
    return session_of(folder, track), track


@settings(max_examples=40, deadline=None)
@given(
    position=st.floats(0, 3),
    offset=st.floats(0, 0.3),
    length=st.floats(0.01, 1),
)
def test_an_impulse_lands_on_the_rounded_sample(tmp_path_factory, position, offset, length):
    folder = tmp_path_factory.mktemp("impulse")
    at = 0.35
    session, track = one_clip(folder, impulse(1, at), position=position, offset=offset, length=length)
    audio = render(TrackSource(session, track, whole=True))[0]
    first, last = round(position * RATE), round((position + length) * RATE)
    assert len(audio) == last
    expected = first + round(at * RATE) - round(offset * RATE)
    assert list(np.flatnonzero(audio)) == ([expected] if expected < last else [])


def test_a_track_reaches_from_its_first_to_its_last_clip(tmp_path):
    path = write(tmp_path / "a.wav", noise(1))
    clips = [Clip(path, 2.5, 1.0), Clip(path, 0.75, 0.5), Clip(path, 9.0, 1.0, muted=True)]
    session = session_of(tmp_path, Track("T", clips=clips))
    source = TrackSource(session, session.tracks[0])
    assert (source.sample_rate, source.channels, source.frames) == (RATE, 1, round(2.75 * RATE))
    assert (source.start_frame, source.position_seconds) == (36000, 0.75)
    whole = TrackSource(session, session.tracks[0], whole=True)
    assert (whole.start_frame, whole.frames) == (0, 10 * RATE)
    assert np.array_equal(render(whole)[:, 36000 : 36000 + source.frames], render(source))


def test_overlapping_clips_are_mixed_and_gaps_are_silent(tmp_path):
    a, b = noise(1, seed=1), noise(1, seed=2)
    clips = [
        Clip(write(tmp_path / "a.wav", a), 0.0, 1.0, gain=0.5),
        Clip(write(tmp_path / "b.wav", b), 0.75, 1.0, gain=-1.0),
        Clip(tmp_path / "a.wav", 2.0, 0.5),
    ]
    session = session_of(tmp_path, Track("T", clips=clips))
    audio = render(TrackSource(session, session.tracks[0]))[0]
    expected = np.zeros(round(2.5 * RATE), np.float32)
    expected[:RATE] += 0.5 * a[0]
    expected[36000:84000] -= b[0]
    expected[96000:] += a[0, :24000]
    assert np.abs(audio - expected).max() <= ROUNDING


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40000), min_size=1, max_size=8), st.booleans(), st.sampled_from([1.0, 0.5, 1.7])
)
def test_block_by_block_equals_the_whole(tmp_path_factory, sizes, loop, rate):
    folder = tmp_path_factory.mktemp("blocks")
    path = write(folder / "a.wav", noise(0.6, 2, rate=44100), 44100)
    fades = {"fade_in": Fade(0.2, FadeShape.S_CURVE), "fade_out": Fade(0.3, FadeShape.FAST_END)}
    clips = [
        Clip(path, 0.1, 1.0, offset=0.05, loop=loop, rate=rate, **fades),
        Clip(path, 0.4, 0.5, reversed=True, pan=0.25),
    ]
    session = session_of(folder, Track("T", clips=clips, volume=0.5, pan=-0.5))
    whole = render(TrackSource(session, session.tracks[0], post_fader=True))
    source = TrackSource(session, session.tracks[0], post_fader=True)
    at = 0
    for size in sizes:
        frames = min(size, source.frames - at)
        assert np.abs(source.read(at, frames) - whole[:, at : at + frames]).max(initial=0) <= EXACT
        # Back and forth: a block's overlap with the one before is read twice.
        at = max(0, at + frames - 5000) if at + frames < source.frames else 0
    source.close()


@pytest.mark.parametrize("rate_in", [44100, 96000, 22050, 48000])
def test_other_sample_rates_keep_frequency_length_and_level(tmp_path, rate_in):
    hz, seconds = 1000.0, 2.0
    tone = (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_in)) / rate_in)).astype(np.float32)
    session, track = one_clip(tmp_path, tone[np.newaxis], rate_in, position=0.25)
    source = TrackSource(session, track)
    assert source.frames == round(seconds * RATE)
    audio = render(source)[0]
    expected = 0.5 * np.sin(2 * np.pi * hz * np.arange(source.frames) / RATE)
    inner = slice(2000, -2000)
    assert np.abs(audio[inner] - expected[inner]).max() < RESAMPLING


def test_the_session_can_be_rendered_at_another_rate(tmp_path):
    tone = (0.5 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)).astype(np.float32)[np.newaxis]
    session, track = one_clip(tmp_path, tone, position=1.0)
    source = TrackSource(session, track, sample_rate=44100)
    assert (source.sample_rate, source.frames, source.start_frame) == (44100, 44100, 44100)
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(44100) / 44100)
    assert np.abs(render(source)[0] - expected)[2000:-2000].max() < RESAMPLING


def test_a_play_rate_moves_pitch_and_time(tmp_path):
    tone = (0.5 * np.sin(2 * np.pi * 400 * np.arange(2 * RATE) / RATE)).astype(np.float32)[np.newaxis]
    session, track = one_clip(tmp_path, tone, rate=1.5, offset=0.5, length=1.0)
    audio = render(TrackSource(session, track))[0]
    seconds = np.arange(RATE) / RATE
    expected = 0.5 * np.sin(2 * np.pi * 400 * (0.5 + 1.5 * seconds))
    assert np.abs(audio - expected)[2000:-2000].max() < RESAMPLING


def test_a_loop_repeats_and_without_it_silence_follows(tmp_path):
    audio = noise(0.25)
    session, track = one_clip(tmp_path, audio, offset=0.1, length=0.7, loop=True)
    looped = render(TrackSource(session, track))[0]
    expected = np.tile(audio[0], 4)[4800 : 4800 + 33600]
    assert np.array_equal(looped, expected)
    session, track = one_clip(tmp_path, audio, offset=-0.1, length=0.7)
    once = render(TrackSource(session, track))[0]
    assert not once[:4800].any()
    assert np.array_equal(once[4800:16800], audio[0])
    assert not once[16800:].any()


def test_sections_and_reversal(tmp_path):
    audio = noise(1)
    part = {"section_start": 0.25, "section_length": 0.5}
    session, track = one_clip(tmp_path, audio, length=0.6, offset=0.1, **part)
    forward = render(TrackSource(session, track))[0]
    assert np.array_equal(forward[: round(0.4 * RATE)], audio[0, round(0.35 * RATE) : round(0.75 * RATE)])
    assert not forward[round(0.4 * RATE) :].any()
    session, track = one_clip(tmp_path, audio, length=0.4, offset=0.1, reversed=True, **part)
    backward = render(TrackSource(session, track))[0]
    assert np.array_equal(backward, audio[0, round(0.25 * RATE) : round(0.65 * RATE)][::-1])


HALF_WAY = {
    FadeShape.LINEAR: 0.5,
    FadeShape.FAST_START: 0.75,
    FadeShape.FAST_END: 0.25,
    FadeShape.FAST_START_STEEP: 1 - 0.5**4,
    FadeShape.FAST_END_STEEP: 0.5**4,
    FadeShape.S_CURVE: 0.5,
    FadeShape.S_CURVE_STEEP: 0.5,
    FadeShape.EQUAL_POWER: 0.7098,
    FadeShape.BEND: 0.5,
    FadeShape.POINTS: 0.5,
}


@pytest.mark.parametrize("shape", FadeShape)
def test_fades_have_their_half_way_value_and_mirror_each_other(tmp_path, shape):
    ones = np.ones((1, RATE), np.float32)
    fade = Fade(0.25, shape)
    session, track = one_clip(tmp_path, ones, fade_in=fade, fade_out=fade, position=0.3)
    gain = render(TrackSource(session, track))[0]
    assert gain[0] == 0
    assert gain[6000] == pytest.approx(HALF_WAY[shape], abs=1e-4)
    assert np.all(gain[12000:36001] == 1)
    # A fade-out reaches 0 with the first frame behind the clip.
    assert np.abs(gain[36001:] - gain[1:12000][::-1]).max() <= ROUNDING


QUARTER_WAY = {  # rendered by REAPER 7.82
    FadeShape.LINEAR: 0.25,
    FadeShape.FAST_START: 0.4375,
    FadeShape.FAST_END: 0.0625,
    FadeShape.FAST_START_STEEP: 1 - 0.75**4,
    FadeShape.FAST_END_STEEP: 0.25**4,
    FadeShape.S_CURVE: 0.15625,
    FadeShape.S_CURVE_STEEP: 8 * 0.25**4,
}


@pytest.mark.parametrize("shape", QUARTER_WAY)
def test_fade_curves_are_reapers(shape):
    assert fade_curve(Fade(1, shape), np.array([0.25]))[0] == pytest.approx(QUARTER_WAY[shape], abs=1e-12)


def test_the_newer_s_curve_is_another_one():
    assert fade_curve(Fade(1, FadeShape.BEND, 0.0, 0.5), np.array([0.25]))[0] == 0.125


@given(
    st.sampled_from(FadeShape),
    st.none() | st.floats(-1, 1),
    st.floats(0, 1),
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
def test_every_fade_rises_from_0_to_1(shape, bend, s_bend, points):
    x = np.sort(np.array([0.0, *points, 1.0]))
    gain = fade_curve(Fade(1, shape, bend, s_bend), x)
    assert abs(gain[0]) < 1e-12
    assert abs(gain[-1] - 1) < 1e-12
    assert np.all(np.diff(gain) >= -1e-9)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.01, 5))
def test_fades_share_a_clip_and_the_first_wins(first, second, length):
    start, end = fade_lengths(Fade(first), Fade(second), length)
    assert start == min(first, length)
    assert 0 <= end <= second
    assert start + end <= length * (1 + 1e-12)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (ChannelMode.ALL, [0, 1]),
        (ChannelMode.SWAPPED, [1, 0]),
        (ChannelMode.LEFT, [0]),
        (ChannelMode.RIGHT, [1]),
        (ChannelMode.MONO, None),
    ],
)
def test_channel_modes(tmp_path, mode, expected):
    audio = noise(0.1, 2)
    session, track = one_clip(tmp_path, audio, channel_mode=mode)
    rendered = render(TrackSource(session, track))
    wanted = audio.mean(axis=0, keepdims=True) if expected is None else audio[expected]
    assert rendered.shape == wanted.shape
    assert np.abs(rendered - wanted).max() <= ROUNDING


@pytest.mark.parametrize(
    ("pan", "left", "right"), [(0, 1, 1), (-0.5, 1, 0.5), (0.5, 0.5, 1), (-1, 1, 0), (1, 0, 1)]
)
def test_pan_is_a_balance_that_leaves_the_near_side(pan, left, right):
    """As measured on REAPER 7.82 with its default pan law."""
    audio = noise(0.01, 2)
    assert np.abs(balanced(audio, pan) - audio * np.array([[left], [right]])).max() <= ROUNDING
    mono = balanced(audio[:1], pan)
    assert mono.shape[0] == (1 if pan == 0 else 2)


def test_the_fader_is_left_out_unless_asked_for(tmp_path):
    audio = noise(0.2)
    session, track = one_clip(tmp_path, audio)
    track.volume, track.pan, track.inverted, track.muted = 0.25, 0.5, True, True
    assert np.array_equal(render(TrackSource(session, track)), audio)
    assert not render(TrackSource(session, track, post_fader=True)).any()
    track.muted = False
    expected = -0.25 * audio * np.array([[0.5], [1.0]])
    assert np.abs(render(TrackSource(session, track, post_fader=True)) - expected).max() <= ROUNDING
    track.volume = 0.0
    assert not render(TrackSource(session, track, post_fader=True)).any()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_fader_works_on_the_shortest_blocks(tmp_path, frames):
    audio = noise(0.1, 2)
    session, track = one_clip(tmp_path, audio)
    track.volume = 0.5
    source = TrackSource(session, track, post_fader=True)
    assert np.abs(source.read(100, frames) - 0.5 * audio[:, 100 : 100 + frames]).max() <= ROUNDING
    assert source.read(100, 0).shape == (2, 0)
    source.close()


def constant(folder, level):
    return write(folder / f"{level}.wav", np.full((1, 4800), level, np.float32))


@pytest.fixture
def nest(tmp_path):
    """Outer (0.25) holds Inner, which holds Leaf (0.125), and Sibling (0.125); Outside is beside it."""

    def part(name, level=None, children=()):
        clips = [] if level is None else [Clip(constant(tmp_path, level), 0, 0.1)]
        return Track(name, clips=clips, children=list(children))

    inner = part("Inner", children=[part("Leaf", 0.125)])
    outer = part("Outer", 0.25, [inner, part("Sibling", 0.125)])
    session = session_of(tmp_path, outer, part("Outside"))
    return session, {track.name: track for track in session.walk()}


def level_of(source):
    audio = render(source)
    assert audio.size
    assert np.ptp(audio) <= ROUNDING
    return float(audio[0, 0])


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, 0.5),
        ({"Inner": {"sends_to_parent": False}}, 0.375),
        ({"Inner": {"soloed": True}}, 0.125),
        ({"Leaf": {"soloed": True}}, 0.125),
        ({"Outer": {"soloed": True}}, 0.5),
        ({"Inner": {"muted": True}}, 0.375),
        ({"Outer": {"muted": True}}, 0.0),
        ({"Outside": {"soloed": True}}, 0.0),
        ({"Leaf": {"soloed": True, "muted": True}}, 0.0),
        ({"Outer": {"volume": 0.5}, "Leaf": {"volume": 2.0}}, 0.3125),
    ],
)
def test_folders_and_solo_are_as_in_reaper(nest, change, level):
    """The first five levels were measured on REAPER 7.82."""
    session, tracks = nest
    for name, fields in change.items():
        for field, value in fields.items():
            setattr(tracks[name], field, value)
    assert level_of(MixSource(session)) == pytest.approx(level, abs=ROUNDING)


def test_a_folder_before_its_fader_is_the_sum_of_its_children(nest):
    session, tracks = nest
    tracks["Outer"].volume, tracks["Outer"].muted = 0.1, True
    tracks["Outside"].soloed = True
    tracks["Leaf"].volume = 0.5
    assert level_of(TrackSource(session, tracks["Outer"])) == pytest.approx(0.4375, abs=ROUNDING)
    tracks["Outside"].soloed = False
    tracks["Sibling"].soloed = True
    assert level_of(TrackSource(session, tracks["Outer"])) == pytest.approx(0.375, abs=ROUNDING)


def test_after_the_fader_a_solo_elsewhere_silences_but_one_around_does_not(nest):
    session, tracks = nest
    tracks["Outer"].soloed = True
    assert level_of(TrackSource(session, tracks["Leaf"], post_fader=True)) == 0.125
    tracks["Outer"].soloed, tracks["Outside"].soloed = False, True
    assert level_of(TrackSource(session, tracks["Leaf"], post_fader=True)) == 0.0
    assert level_of(TrackSource(session, tracks["Leaf"])) == 0.125


def test_the_mix_is_the_sum_of_the_tracks_after_their_faders(tmp_path):
    tracks = [
        Track("mono", clips=[Clip(write(tmp_path / "m.wav", noise(0.5, 1, 1)), 0.25, 0.5)], volume=0.7),
        Track("panned", clips=[Clip(write(tmp_path / "p.wav", noise(0.5, 1, 2)), 0, 0.5)], pan=-0.3),
        Track("wide", clips=[Clip(write(tmp_path / "w.wav", noise(0.5, 2, 3)), 0.1, 0.5)], inverted=True),
    ]
    session = session_of(tmp_path, *tracks)
    session.master_volume, session.master_pan = 0.5, 0.25
    mix = render(MixSource(session))
    total = sum(render(TrackSource(session, track, post_fader=True, whole=True)) for track in tracks)
    assert mix.shape == (2, round(0.75 * RATE))
    assert np.abs(mix - 0.5 * total * np.array([[0.75], [1.0]])).max() <= 2 * ROUNDING


def test_a_mix_of_mono_tracks_is_stereo(tmp_path):
    session, _ = one_clip(tmp_path, noise(0.1))
    mix = render(MixSource(session))
    assert mix.shape[0] == 2
    assert np.array_equal(mix[0], mix[1])


def test_wide_clips_keep_their_channels(tmp_path):
    path = write(tmp_path / "six.wav", noise(0.1, 6))
    mono = write(tmp_path / "one.wav", noise(0.1, 1, 1))
    session = session_of(tmp_path, Track("T", clips=[Clip(path, 0, 0.1), Clip(mono, 0, 0.1)], pan=0.5))
    source = TrackSource(session, session.tracks[0], post_fader=True)
    assert source.channels == 6
    assert source.not_honoured == ["T: pan moves only the first two of 6 channels"]
    audio = render(source)
    six, one = noise(0.1, 6), noise(0.1, 1, 1)
    assert np.abs(audio[0] - 0.5 * (six[0] + one[0])).max() <= ROUNDING
    assert np.array_equal(audio[2:], six[2:])


def test_a_missing_file_is_that_tracks_error_only(tmp_path):
    good = Track("good", clips=[Clip(write(tmp_path / "a.wav", noise(0.1)), 0, 0.1)])
    bad = Track("bad", clips=[Clip(tmp_path / "no.wav", 0, 0.1)])
    refused = Track("refused", clips=[Clip(tmp_path / "x.wav", 0, 0.1, problem="x.wav lies elsewhere")])
    quiet = Track("quiet", clips=[Clip(tmp_path / "no.wav", 0, 0.1, muted=True)])
    session = session_of(tmp_path, good, bad, refused, quiet)
    assert render(TrackSource(session, good)).any()
    with pytest.raises(AudioFileError, match=r"^bad: .*no such file"):
        TrackSource(session, bad)
    with pytest.raises(AudioFileError, match=r"^refused: x\.wav lies elsewhere"):
        TrackSource(session, refused)
    assert TrackSource(session, quiet).frames == 0
    bad.muted = refused.muted = True
    assert render(MixSource(session)).any()


def test_reading_outside_is_an_error(tmp_path):
    session, track = one_clip(tmp_path, noise(0.1))
    with TrackSource(session, track) as source:
        for start, frames in ((-1, 2), (0, 4801), (4801, 0)):
            with pytest.raises(AudioFileError, match="there are 4800"):
                source.read(start, frames)


def test_a_source_survives_pickling(tmp_path):
    session, track = one_clip(tmp_path, noise(0.5, rate=44100), 44100)
    source = TrackSource(session, track)
    before = source.read(1000, 500)
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(copy.read(1000, 500), before)
    copy.close()
    source.close()


def test_an_hour_costs_the_memory_of_a_block(tmp_path):
    import tracemalloc

    seconds = 3600
    path = tmp_path / "hour.wav"
    write(path, noise(1))
    clip = Clip(path, 0.0, float(seconds), loop=True)
    session = session_of(tmp_path, Track("T", clips=[clip]), rate=44100)
    with TrackSource(session, session.tracks[0]) as source:
        assert source.frames == seconds * 44100
        source.read(0, 44100)
        tracemalloc.start()
        for at in range(0, 60 * 44100, 44100):
            source.read(at, 44100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 12e6


def test_names_are_selected_like_files(nest):
    session, _tracks = nest

    def names(*patterns):
        return [track.name for track in selected_tracks(session, patterns)]

    assert names() == ["Outer", "Leaf", "Sibling"]
    assert names("inn*", "SIB*") == ["Inner", "Sibling"]
    assert names("*e*") == ["Outer", "Inner", "Leaf"]
    with pytest.raises(SessionError, match=r"no track with audio fits 'Out\?ide'; there are: Outer, Inner"):
        names("Outer", "Out?ide")


def test_a_rate_too_far_off_is_refused(tmp_path):
    session, track = one_clip(tmp_path, noise(0.1), rate=64.0)
    session.sample_rate = 8000
    with pytest.raises(AudioFileError, match="too far from the session's 8000 Hz"):
        TrackSource(session, track)


def test_clips_forget_what_they_converted(tmp_path):
    session, track = one_clip(tmp_path, noise(1, rate=44100), 44100)
    track.clips.append(Clip(track.clips[0].source, 5.0, 1.0))
    with TrackSource(session, track) as source:
        source.read(0, 1000)
        first = source._strip.clips[0]
        assert isinstance(first, ClipSource)
        assert first._input._reader._kept
        source.read(5 * RATE, 1000)
        assert not first._input._reader._kept


@given(
    st.integers(1, 3000), st.integers(1, 700), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900)))
)
def test_a_sequential_reader_gives_every_piece(total, block, pieces):
    whole = np.arange(total, dtype=np.float32)[np.newaxis]
    reader = SequentialReader(1, lambda: (whole[:, at : at + block] for at in range(0, total, block)))
    for start, frames in pieces:
        assert np.array_equal(reader.read(start, frames), whole[:, start : start + frames])


def test_resampling_ends_in_silence():
    source = ResampledSource(ArraySource(noise(0.1, rate=44100), 44100), 44100, RATE, RATE)
    audio = source.read(0, RATE)
    assert audio[0, : round(0.1 * RATE) - 50].any()
    assert not audio[0, round(0.1 * RATE) + 2 :].any()
