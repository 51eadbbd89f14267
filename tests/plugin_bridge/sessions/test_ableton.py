"""Ableton Live sets: clips unwarped, warped evenly and unevenly, loops, strips, groups, returns, tempo."""

import gzip
import re

import numpy as np
import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.ableton import reader
from plugin_bridge.sessions.model import Parameter, Tap
from tests.plugin_bridge import session_helpers as made

NEAR = 1e-9


def clip(
    time=0.0, end=4.0, *, loop=(0.0, 4.0), relative=0.0, is_loop=False, warped=(), more="", file="a.wav"
):
    marks = "".join(f'<WarpMarker SecTime="{second}" BeatTime="{beat}"/>' for beat, second in warped)
    return f"""<AudioClip Id="0" Time="{time}"><CurrentStart Value="{time}"/><CurrentEnd Value="{end}"/>
      <Loop><LoopStart Value="{loop[0]}"/><LoopEnd Value="{loop[1]}"/><StartRelative Value="{relative}"/>
      <LoopOn Value="{str(is_loop).lower()}"/></Loop><Name Value="take"/>
      <IsWarped Value="{str(bool(warped)).lower()}"/><WarpMarkers>{marks}</WarpMarkers>
      <SampleRef><FileRef><RelativePath Value="Samples/{file}"/><Path Value="C:/x/{file}"/></FileRef>
      <DefaultSampleRate Value="48000"/></SampleRef>{more}</AudioClip>"""


def track(*clips, kind="AudioTrack", number=1, name="Vox", mixer="", group=-1, more="", devices=""):
    return f"""<{kind} Id="{number}"><Name><EffectiveName Value="{name}"/></Name>
      <TrackGroupId Value="{group}"/>{more}<DeviceChain><Mixer>{mixer}</Mixer>
      <MainSequencer><Sample><ArrangerAutomation><Events>
      {"".join(clips)}</Events></ArrangerAutomation></Sample></MainSequencer>
      <DeviceChain><Devices>{devices}</Devices></DeviceChain></DeviceChain></{kind}>"""


def text(*tracks, bpm=120, master="MainTrack", tempo="", rest=""):
    return f"""<?xml version="1.0" encoding="UTF-8"?><Ableton MajorVersion="5" Creator="Ableton Live 12.0">
      <LiveSet><Tracks>{"".join(tracks)}</Tracks><{master}>{tempo}<DeviceChain><Mixer>
      <Tempo><Manual Value="{bpm}"/><AutomationTarget Id="8"/></Tempo>
      <TimeSignature><Manual Value="200"/></TimeSignature>
      <Volume><Manual Value="0.5"/><AutomationTarget Id="43"/></Volume>
      </Mixer></DeviceChain></{master}>{rest}</LiveSet></Ableton>"""


@pytest.fixture
def read(tmp_path):
    def opened(*tracks, **options):
        made.write(tmp_path / "Samples" / "a.wav", made.noise(4.0))
        path = tmp_path / "song.als"
        path.write_bytes(gzip.compress(text(*tracks, **options).encode()))
        return open_session(path)

    return opened


def only(session):
    (found,) = session.tracks[0].clips
    assert not found.problem
    return found


@pytest.mark.parametrize("master", ["MainTrack", "MasterTrack"])
def test_an_unwarped_clip_plays_seconds_at_beats(read, master):
    session = read(
        track(clip(4, 8, loop=(0.5, 2.0), more='<SampleVolume Value="0.25"/>')), master=master, bpm=90
    )
    found = only(session)
    assert (found.position, found.length) == pytest.approx((4 * 60 / 90, 4 * 60 / 90), abs=NEAR)
    assert (found.offset, found.rate, found.gain, found.name) == (0.5, 1.0, 0.25, "take")
    assert found.source.name == "a.wav"
    assert (session.sample_rate, session.master_volume) == (48000, 0.5)
    assert (session.tempo[0].numerator, session.tempo[0].denominator) == (3, 4)


def test_an_unwarped_clip_is_transposed_as_a_tape(read):
    found = only(read(track(clip(more='<PitchCoarse Value="12"/><PitchFine Value="0"/>'))))
    assert (found.rate, found.keep_pitch, found.pitch) == (2.0, False, 0.0)


def test_a_clip_warped_to_its_own_tempo_plays_as_it_is(read):
    found = only(read(track(clip(0, 4, relative=1, warped=[(0, 0.1), (4, 2.1), (4.03125, 2.115625)]))))
    assert (found.rate, found.stretch, found.keep_pitch) == (1.0, (), False)
    assert found.offset == pytest.approx(0.6, abs=NEAR)


def test_an_even_warp_keeps_the_pitch_but_not_as_re_pitch(read):
    marks = [(0, 0.0), (4, 1.0)]
    found = only(read(track(clip(0, 4, warped=marks, more='<PitchCoarse Value="-2"/>'))))
    assert (found.rate, found.keep_pitch, found.pitch) == (0.5, True, -2)
    found = only(read(track(clip(0, 4, warped=marks, more='<WarpMode Value="3"/><PitchCoarse Value="2"/>'))))
    assert (found.rate, found.keep_pitch, found.pitch) == (0.5, False, 0)


def test_an_uneven_warp_is_markers(read):
    found = only(read(track(clip(2, 6, warped=[(0, 0), (2, 0.5), (4, 2)]))))
    assert [(mark.seconds, mark.source) for mark in found.stretch] == [(0, 0), (1, 0.5), (2, 2)]


def test_a_clip_that_goes_back_in_its_sample_is_left_out_and_the_rest_is_read(read):
    session = read(track(clip(0, 2, warped=((0, 1), (2, 0.5))), clip(2, 4)))
    assert [bool(one.problem) for one in session.tracks[0].clips] == [True, False]
    assert session.not_honoured == ["Vox: a warp at 2 goes back or stands still in its audio"]


def test_a_warped_loop_repeats(read):
    session = read(track(clip(0, 5, loop=(0, 2), relative=1, is_loop=True, warped=[(0, 0), (4, 2)])))
    found = [(one.position, one.length, one.offset) for one in session.tracks[0].clips]
    assert np.allclose(found, [(0, 0.5, 0.5), (0.5, 1, 0), (1.5, 1, 0)], atol=NEAR)


def test_fades_are_beats_and_default_ones_are_none(read):
    fades = (
        '<Fade Value="true"/><Fades><FadeInLength Value="1"/><FadeOutLength Value="0.5"/>'
        '<IsDefaultFadeIn Value="false"/><IsDefaultFadeOut Value="{}"/></Fades>'
    )
    found = only(read(track(clip(more=fades.format("false")))))
    assert (found.fade_in.seconds, found.fade_out.seconds) == pytest.approx((0.5, 0.25), abs=NEAR)
    assert only(read(track(clip(more=fades.format("true"))))).fade_out.seconds == 0


def test_strips_groups_returns_and_devices(read):
    mixer = (
        '<Volume><Manual Value="0.5"/><AutomationTarget Id="40"/></Volume><Pan><Manual Value="-1"/></Pan>'
        '<Speaker><Manual Value="false"/></Speaker><SoloSink Value="true"/>'
        '<Sends><TrackSendHolder Id="0"><Send><Manual Value="0.25"/></Send></TrackSendHolder>'
        '<TrackSendHolder Id="1"><Send><Manual Value="0.0003"/></Send></TrackSendHolder></Sends>'
    )
    automation = (
        '<AutomationEnvelopes><Envelopes><AutomationEnvelope><EnvelopeTarget><PointeeId Value="40"/>'
        '</EnvelopeTarget><Automation><Events><FloatEvent Time="-63072000" Value="1"/>'
        '<FloatEvent Time="2" Value="0.0003"/></Events></Automation></AutomationEnvelope></Envelopes>'
        "</AutomationEnvelopes>"
    )
    devices = '<Eq8><On><Manual Value="true"/></On></Eq8><Reverb><On><Manual Value="false"/></On></Reverb>'
    session = read(
        track(kind="GroupTrack", number=7, name="All"),
        track(clip(), mixer=mixer, group=7, more=automation, devices=devices),
        track(kind="ReturnTrack", number=9, name="A-Hall"),
        track(kind="ReturnTrack", number=10, name="B-Echo"),
        rest='<SendsPre><SendPreBool Value="true"/><SendPreBool Value="false"/></SendsPre>',
    )
    group, hall, _ = session.tracks
    (vox,) = group.children
    assert (vox.volume, vox.pan, vox.muted, vox.soloed, vox.plugins) == (0.5, -1, True, True, ["Eq8"])
    assert [(send.target, send.gain, send.tap) for send in vox.sends] == [
        (hall.identifier, 0.25, Tap.PRE_FADER)
    ]
    (envelope,) = vox.envelopes
    assert envelope.parameter is Parameter.VOLUME
    assert [(point.seconds, point.value) for point in envelope.points] == [(0, 1), (1, 0)]
    assert hall.is_bus
    assert session.not_honoured == [
        "Vox: pan is played as 0 dB balance; Live's is louder at the sides",
        "Vox: device Eq8 is left out",
    ]


def test_tempo_automation_and_locators(read):
    tempo = (
        '<AutomationEnvelopes><Envelopes><AutomationEnvelope><EnvelopeTarget><PointeeId Value="8"/>'
        '</EnvelopeTarget><Automation><Events><FloatEvent Time="-63072000" Value="120"/>'
        '<FloatEvent Time="4" Value="120"/><FloatEvent Time="4" Value="60"/></Events></Automation>'
        "</AutomationEnvelope></Envelopes></AutomationEnvelopes>"
    )
    locator = (
        '<Locators><Locators><Locator><Time Value="6"/><Name Value="End"/></Locator></Locators></Locators>'
    )
    session = read(track(clip(5, 6)), tempo=tempo, rest=locator)
    assert only(session).position == pytest.approx(3.0, abs=NEAR)
    assert [(mark.seconds, mark.name) for mark in session.markers] == [(pytest.approx(4.0), "End")]


def test_a_set_of_live_10_names_its_samples_by_folders(read):
    folders = '<RelativePath><RelativePathElement Dir="Samples"/></RelativePath><Name Value="a.wav"/>'
    old = clip().replace('<RelativePath Value="Samples/a.wav"/>', folders)
    assert only(read(track(old))).source.name == "a.wav"


def test_a_missing_sample_is_said(read):
    session = read(track(clip(file="gone.wav")))
    assert session.tracks[0].clips[0].problem.startswith("gone.wav ")
    assert any(line.startswith("Vox: gone.wav ") for line in session.not_honoured)


def test_it_renders(read):
    session = read(track(clip(2, 6, loop=(0.5, 2))))
    with MixSource(session) as source:
        audio = source.read(0, source.frames)
    expected = 0.5 * made.noise(4.0)[0, 24000 : 24000 + 96000]
    assert np.abs(audio[0, 48000:144000] - expected).max() < 1e-6


DAMAGED = {
    "no XML": b"x" * 100,
    "other XML": b"<a/>",
    "an entity": b'<!DOCTYPE a [<!ENTITY b "c">]><Ableton>&b;</Ableton>',
    "a week": text(track(clip(0, 1e9))).encode(),
    "a word": text(track(clip("x", 4))).encode(),
    "a tempo": text(bpm=0).encode(),
    "repeats": text(track(clip(0, 90000, loop=(0, 0.01), is_loop=True, warped=[(0, 0), (4, 2)]))).encode(),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_one_line(damage, tmp_path):
    path = tmp_path / "song.als"
    path.write_bytes(gzip.compress(DAMAGED[damage]))
    with pytest.raises(SessionError, match=r"song\.als: ") as error:
        open_session(path)
    assert "\n" not in str(error.value)


def test_a_set_that_is_not_packed_is_read_too(tmp_path):
    path = tmp_path / "song.als"
    path.write_text(text(track(clip())), encoding="utf-8")
    assert [one.name for one in open_session(path).tracks] == ["Vox"]
    path.write_bytes(b"RIFF")
    with pytest.raises(SessionError) as error:
        open_session(path)
    assert str(error.value).count("song.als") == 1


def test_a_set_that_unpacks_to_too_much_or_is_cut_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "song.als"
    packed = gzip.compress(b"<Ableton>" + b" " * 1_000_000 + b"</Ableton>")
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(SessionError, match="cut short"):
        open_session(path)
    path.write_bytes(packed)
    monkeypatch.setattr("plugin_bridge.sessions.xml.MAX_BYTES", 100_000)
    with pytest.raises(SessionError, match="larger than"):
        open_session(path)


def moved(*targets):
    """Automation of the targets with these numbers: pairs of beats and values."""
    envelopes = "".join(
        f'<AutomationEnvelope><EnvelopeTarget><PointeeId Value="{number}"/></EnvelopeTarget>'
        + "<Automation><Events>"
        + "".join(f'<{kind} Time="{time}" Value="{value}"/>' for time, value in points)
        + "</Events></Automation></AutomationEnvelope>"
        for number, kind, points in targets
    )
    return f"<AutomationEnvelopes><Envelopes>{envelopes}</Envelopes></AutomationEnvelopes>"


def test_automation_of_switches_sends_and_the_master(read):
    mixer = (
        '<Speaker><Manual Value="false"/><AutomationTarget Id="41"/></Speaker><Sends><TrackSendHolder Id="0">'
        '<Send><Manual Value="0.0003"/><AutomationTarget Id="42"/></Send></TrackSendHolder></Sends>'
    )
    own = moved((41, "BoolEvent", [(0, "true"), (2, "false")]), (42, "FloatEvent", [(0, 0.0003), (4, 0.5)]))
    master = moved((43, "FloatEvent", [(0, 1), (2, 0.25)]))
    session = read(
        track(clip(), mixer=mixer, more=own),
        track(kind="ReturnTrack", number=9, name="A-Hall"),
        tempo=master,
    )
    (fader,) = session.master_envelopes
    assert [(p.seconds, p.value) for p in fader.points] == [(0, 1), (1, 0.25)]
    vox = session.tracks[0]
    assert not vox.muted
    (mute,) = vox.envelopes
    assert (mute.parameter, [(p.seconds, p.value) for p in mute.points]) == (
        Parameter.MUTE,
        [(0, 0), (1, 1)],
    )
    (send,) = vox.sends
    assert [(p.seconds, p.value) for p in send.envelopes[0].points] == [(0, 0), (2, 0.5)]


@pytest.mark.parametrize(("value", "is_in_samples", "late"), [(-10, "false", -0.01), (480, "true", 0.01)])
def test_a_tracks_delay_is_milliseconds_or_samples(read, value, is_in_samples, late):
    delay = f'<TrackDelay><Value Value="{value}"/><IsValueSampleBased Value="{is_in_samples}"/></TrackDelay>'
    assert read(track(clip(), more=delay)).tracks[0].play_offset == pytest.approx(late, abs=NEAR)


def test_a_frozen_track_is_played_as_it_was_frozen(read):
    frozen = track(clip(), kind="MidiTrack", more='<Freeze Value="true"/>', devices="<Operator/>")
    inner = f"<Sample><ArrangerAutomation><Events>{clip(2, 4)}</Events></ArrangerAutomation></Sample>"
    whole = frozen.replace("<MainSequencer>", f"<FreezeSequencer>{inner}</FreezeSequencer><MainSequencer>")
    session = read(whole)
    assert (only(session).position, session.tracks[0].plugins, session.not_honoured) == (1, [], [])
    assert session.notes == ["Vox: it is frozen, and played as Live froze it"]
    session = read(frozen)
    assert only(session).position == 0
    assert session.not_honoured == [
        "Vox: what Live froze of it is not in the set; its clips are played",
        "Vox: device Operator is left out",
    ]


def test_what_live_does_and_we_do_not_is_said(read):
    mixer = '<PanMode Value="1"/><CrossFadeState><Manual Value="0"/></CrossFadeState>'
    fades = (
        '<Fade Value="true"/><Fades><FadeInLength Value="1"/><FadeInCurveSlope Value="0.5"/>'
        '<CrossfadeInState Value="1"/></Fades>'
        "<Envelopes><Envelopes><ClipEnvelope><Automation><Events>"
        '<FloatEvent Time="-63072000" Value="1"/><FloatEvent Time="1" Value="0"/>'
        "</Events></Automation></ClipEnvelope></Envelopes></Envelopes>"
    )
    song = track(clip(more=fades), mixer=mixer)
    session = read(song.replace("<MainSequencer>", '<MainSequencer><MonitoringEnum Value="0"/>'))
    assert session.not_honoured == [
        "Vox: its split stereo pan is played in the middle",
        "Vox: what the crossfader does to it is left out",
        "Vox: its monitor is on In, where Live plays its input; its clips are played",
        "Vox: modulation inside clips is left out",
        "Vox: curved fades are played as straight ones",
        "Vox: crossfades are played as fades of either clip",
    ]


# -- MIDI clips -------------------------------------------------------------------------------------


def midi_clip(*notes, time=0.0, end=4.0, loop=(0.0, 4.0), relative=0.0, is_loop=False, more=""):
    """``notes``: beat, length in beats, key, and whatever else a note says."""
    keys = "".join(
        f'<KeyTrack Id="{number}"><Notes><MidiNoteEvent Time="{beat}" Duration="{length}" Velocity="100" '
        f'{" ".join(rest)}/></Notes><MidiKey Value="{key}"/></KeyTrack>'
        for number, (beat, length, key, *rest) in enumerate(notes)
    )
    return f"""<MidiClip Id="0" Time="{time}"><CurrentStart Value="{time}"/><CurrentEnd Value="{end}"/>
      <Loop><LoopStart Value="{loop[0]}"/><LoopEnd Value="{loop[1]}"/><StartRelative Value="{relative}"/>
      <LoopOn Value="{str(is_loop).lower()}"/></Loop><Notes><KeyTracks>{keys}</KeyTracks></Notes>
      {more}</MidiClip>"""


def keys(*clips):
    return track(*clips, kind="MidiTrack").replace("Sample>", "ClipTimeable>")


def notes(session):
    return [(note.start, note.length, note.pitch) for note in session.tracks[0].notes]


def test_notes_lie_at_beats_of_the_tempo_and_end_with_their_clip(read):
    clips = midi_clip((0, 1, 60), (3.5, 2, 64), (3, 1, 62, 'IsEnabled="false"'), time=4, end=8)
    tempo = """<AutomationEnvelopes><Envelopes><AutomationEnvelope>
      <EnvelopeTarget><PointeeId Value="8"/></EnvelopeTarget><Automation><Events>
      <FloatEvent Time="-63072000" Value="120"/><FloatEvent Time="6" Value="120"/>
      <FloatEvent Time="6" Value="60"/></Events></Automation></AutomationEnvelope></Envelopes>
      </AutomationEnvelopes>"""
    session = read(keys(clips), tempo=tempo)
    # At 120 beats a minute up to beat 6, then at 60: beat 7.5 is at 4.5 s, the clip's end at 5 s.
    assert notes(session) == [(2.0, 0.5, 60), (pytest.approx(4.5), pytest.approx(0.5), 64)]
    assert session.tracks[0].notes[0].velocity == 100
    assert session.not_honoured == ["Vox: MIDI clips are not played"]
    assert (session.end, session.end_with_notes) == (0.0, pytest.approx(5.0))


def test_a_looped_clip_repeats_its_notes_from_where_it_starts(read):
    clips = midi_clip((1, 2, 60), (2, 1, 64), time=0, end=5, loop=(1, 3), relative=1, is_loop=True)
    # It starts at beat 2 of the content; then beats 1 to 3, over and over, where the long note is cut.
    assert notes(read(keys(clips))) == [
        (0.0, 0.5, 64),
        (0.5, 1.0, 60),
        (1.0, 0.5, 64),
        (1.5, 1.0, 60),
        (2.0, 0.5, 64),
    ]


def test_what_a_midi_clip_leaves_to_chance_or_moves_is_said(read):
    moves = (
        '<Envelopes><Envelopes><ClipEnvelope><Automation><Events><FloatEvent Time="0" Value="1"/>'
        '<FloatEvent Time="1" Value="0"/></Events></Automation></ClipEnvelope></Envelopes></Envelopes>'
    )
    session = read(keys(midi_clip((0, 1, 60, 'Probability="0.5"'), more=moves)))
    assert session.not_honoured == [
        "Vox: MIDI clips are not played",
        "Vox: notes that Live plays by chance are always there",
        "Vox: modulation inside clips is left out",
    ]


def test_clips_that_are_off_or_hold_no_notes_are_silent(read):
    off = midi_clip((0, 1, 60), more='<Disabled Value="true"/>')
    session = read(keys(off, midi_clip(), midi_clip((0, 1, 60), time=4, end=4)))
    assert (notes(session), session.not_honoured) == ([], [])


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ((0, 1, 128), "notes of the key 128"),
        ((1e9, 1, 60), "a note at beat 1e+09"),
        ((0, -1, 60), "of -1 beats"),
    ],
)
def test_notes_that_no_clip_holds_are_an_error(read, note, said):
    with pytest.raises(SessionError, match=re.escape(said)):
        read(keys(midi_clip(note)))


def test_repeats_of_notes_without_end_are_an_error(read, monkeypatch):
    monkeypatch.setattr(reader, "MOST_NOTES", 100)
    with pytest.raises(SessionError, match="repeat more than 100 notes"):
        read(keys(midi_clip((0, 1, 60), end=200, loop=(0, 1), is_loop=True)))


def test_clips_of_the_session_view_are_counted(read):
    def slots(*clips):
        inner = "".join(f"<ClipSlot><ClipSlot><Value>{one}</Value></ClipSlot></ClipSlot>" for one in clips)
        return f"<MainSequencer><ClipSlotList>{inner}</ClipSlotList>"

    one = track(clip()).replace("<MainSequencer>", slots(clip(), clip(), ""))
    two = keys().replace("<MainSequencer>", slots(midi_clip((0, 1, 60))))
    said = "Set: {} of the session view left out; the arrangement is read"
    session = read(one, two)
    assert session.not_honoured == [said.format("3 clips")]
    assert [len(track.clips) for track in session.tracks] == [1, 0]
    assert read(track(clip()), two).not_honoured == [said.format("1 clip")]
    assert read(track(clip()).replace("<MainSequencer>", slots(""))).not_honoured == []
