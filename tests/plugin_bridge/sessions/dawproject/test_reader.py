"""DAWprojects as sessions: time bases, nested clips, warps, loops, fades, strips, routing, plug-ins."""

import math
import zipfile

import numpy as np
import pytest

from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.dawproject import archive
from plugin_bridge.sessions.model import Parameter, PointShape, Tap
from tests.plugin_bridge import session_helpers as made
from tests.plugin_bridge.sessions.dawproject import helpers as daw

NEAR = 1e-9
"""Seconds; positions are computed in float64."""


@pytest.fixture
def read(tmp_path):
    """Opens a project with these lanes on one track, or of a whole document."""

    def opened(*clips, xml="", **options):
        members = options.pop("members", {"audio/a.wav": daw.wav(made.noise(1.0))})
        text = xml or daw.project(daw.track(), daw.lanes(*clips), **options)
        return open_session(daw.save(tmp_path / "song.dawproject", text, members))

    return opened


def only_clip(session):
    (clip,) = session.tracks[0].clips
    assert not clip.problem
    return clip


def test_positions_in_beats_follow_the_tempo(read):
    session = read(daw.clip(4, 2), bpm=150)
    clip = only_clip(session)
    assert clip.position == pytest.approx(4 * 60 / 150, abs=NEAR)
    assert clip.length == pytest.approx(2 * 60 / 150, abs=NEAR)
    assert (session.tempo[0].bpm, session.tempo[0].numerator, session.sample_rate) == (150, 3, 48000)


def test_positions_in_seconds_do_not(read):
    clip = only_clip(read(daw.clip(4.25, 0.5), bpm=90, unit="seconds"))
    assert (clip.position, clip.length, clip.offset) == (4.25, 0.5, 0)


def test_a_lane_may_count_otherwise_than_those_around_it(read):
    lanes = daw.lanes(daw.clip(3, 0.5), attributes='timeUnit="seconds"')
    clip = only_clip(read(xml=daw.project(daw.track(), lanes, bpm=60)))
    assert (clip.position, clip.length) == (3, 0.5)


def test_play_start_counts_in_the_content(read):
    seconds = only_clip(read(daw.clip(2, 1, attributes='contentTimeUnit="seconds" playStart="0.25"')))
    beats = only_clip(read(daw.clip(2, 1, attributes='contentTimeUnit="beats" playStart="0.5"')))
    for clip in (seconds, beats):
        assert (clip.position, clip.length) == (1.0, 0.5)
        assert clip.offset == pytest.approx(0.25, abs=NEAR)


def test_tempo_changes_and_ramps_move_clips(read):
    automation = (
        '<TempoAutomation timeUnit="beats"><Target parameter="tempo"/>'
        '<RealPoint time="0" value="120" interpolation="linear"/><RealPoint time="4" value="60"/>'
        '<RealPoint time="8" value="240"/></TempoAutomation>'
    )
    clips = [daw.clip(time, 1) for time in (0, 2, 4, 8, 10)]
    session = read(*clips, rest=automation)
    # Even over beats: 60 / slope * log(v / 120), by hand.
    half, ramp = (60 / -15 * math.log(tempo / 120) for tempo in (90, 60))
    expected = [0.0, half, ramp, ramp + 4, ramp + 4.5]
    assert [clip.position for clip in session.tracks[0].clips] == pytest.approx(expected, abs=NEAR)


def test_tempo_automation_in_seconds(read):
    automation = (
        '<TempoAutomation timeUnit="seconds"><Target parameter="tempo"/>'
        '<RealPoint time="0" value="120"/><RealPoint time="2" value="60"/></TempoAutomation>'
    )
    clips = read(daw.clip(4, 1), daw.clip(5, 1), rest=automation).tracks[0].clips
    assert [clip.position for clip in clips] == pytest.approx([2.0, 3.0], abs=NEAR)


def test_a_clip_around_a_clip_shows_what_lies_in_its_window(read):
    """As Bitwig writes it: a clip of the track, and inside it the events of the audio."""
    events = (
        '<Clips timeUnit="beats">' + daw.clip(0, 2, daw.audio()) + daw.clip(3, 4, daw.audio()) + "</Clips>"
    )
    session = read(daw.clip(8, 4, events, 'playStart="1"'))
    first, second = session.tracks[0].clips
    # Beat 8 is second 4; of the first event its last beat is heard, of the second two beats.
    assert (first.position, first.length, first.offset) == pytest.approx((4.0, 0.5, 0.5), abs=NEAR)
    assert (second.position, second.length, second.offset) == pytest.approx((5.0, 1.0, 0.0), abs=NEAR)


def test_a_warp_of_the_projects_own_tempo_is_no_stretch(read):
    clip = only_clip(read(daw.clip(4, 48, daw.warped((0, 0), (48.0, 19.2)), 'playStart="6"'), bpm=150))
    assert (clip.rate, clip.stretch, clip.keep_pitch) == (1.0, (), False)
    assert clip.offset == pytest.approx(6 * 60 / 150, abs=NEAR)


def test_an_even_warp_is_a_play_rate_with_the_pitch_kept(read):
    clip = only_clip(read(daw.clip(0, 4, daw.warped((0, 0.1), (4, 1.1)))))
    assert clip.length == 2
    assert clip.rate == pytest.approx(0.5, abs=NEAR)
    assert clip.offset == pytest.approx(0.1, abs=NEAR)
    assert clip.keep_pitch
    assert not clip.stretch


def test_an_algorithm_of_a_tape_moves_the_pitch(read):
    inner = daw.warped((0, 0), (4, 1), inner=daw.audio(attributes='algorithm="repitch"'))
    assert not only_clip(read(daw.clip(0, 4, inner))).keep_pitch


def test_an_uneven_warp_is_markers(read):
    clip = only_clip(read(daw.clip(2, 4, daw.warped((0, 0), (2, 0.5), (4, 2.0)))))
    marks = [(mark.seconds, mark.source) for mark in clip.stretch]
    assert marks == [(0, 0), (1, 0.5), (2, 2.0)]
    assert clip.rate == pytest.approx(1.0, abs=NEAR)


def test_a_warp_is_nailed_to_beats_where_the_tempo_changes(read):
    automation = (
        '<TempoAutomation timeUnit="beats"><Target parameter="tempo"/>'
        '<RealPoint time="0" value="120"/><RealPoint time="2" value="60"/></TempoAutomation>'
    )
    clip = only_clip(read(daw.clip(0, 4, daw.warped((0, 0), (4, 2.0))), rest=automation))
    marks = [(mark.seconds, mark.source) for mark in clip.stretch]
    assert marks == [(0, 0), (1, 1), (3, 2)]


def test_a_clip_that_goes_back_in_its_audio_is_left_out_and_the_rest_is_read(read):
    session = read(daw.clip(0, 2, daw.warped((0, 1), (2, 0.5))), daw.clip(2, 2))
    assert [bool(clip.problem) for clip in session.tracks[0].clips] == [True, False]
    assert session.not_honoured == ["Vox: a warp at 2 goes back or stands still in its audio"]


def test_a_single_warp_says_no_tempo(read):
    session = read(daw.clip(0, 4, daw.warped((0, 0))))
    (clip,) = session.tracks[0].clips
    assert (clip.rate, clip.stretch, clip.length) == (1.0, (), 2.0)
    assert session.not_honoured == [
        "Vox: warps of fewer than two points, which say no tempo, are played unwarped"
    ]


def test_a_loop_begins_at_its_play_start_and_repeats(read):
    clips = (
        read(daw.clip(0, 5, daw.audio(4), 'playStart="1" loopStart="0" loopEnd="2" contentTimeUnit="beats"'))
        .tracks[0]
        .clips
    )
    found = [(clip.position, clip.length, clip.offset) for clip in clips]
    expected = [(0.0, 0.5, 0.5), (0.5, 1.0, 0.0), (1.5, 1.0, 0.0)]
    assert np.allclose(found, expected, atol=NEAR)


def test_a_clip_without_duration_ends_with_its_audio_or_at_its_play_stop(read):
    assert only_clip(read(daw.clip(0, None))).length == 1.0
    stopped = daw.clip(0, None, attributes='playStop="0.5" playStart="0.25" contentTimeUnit="seconds"')
    assert only_clip(read(stopped)).length == pytest.approx(0.25, abs=NEAR)


def test_a_clip_may_refer_to_the_content_of_another(read):
    first = daw.clip(0, 1, daw.audio(attributes='id="shared"'))
    session = read(first, '<Clip time="4" duration="2" reference="shared"/>')
    assert [clip.position for clip in session.tracks[0].clips] == [0, 2]
    assert session.tracks[0].clips[1].material == session.tracks[0].clips[0].material


def test_fades_are_in_their_own_unit(read):
    session = read(daw.clip(2, 4, attributes='fadeTimeUnit="seconds" fadeInTime="0.125" fadeOutTime="0.25"'))
    clip = only_clip(session)
    assert (clip.fade_in.seconds, clip.fade_out.seconds) == pytest.approx((0.125, 0.25), abs=NEAR)
    clip = only_clip(read(daw.clip(2, 4, attributes='fadeInTime="1"')))
    assert clip.fade_in.seconds == pytest.approx(0.5, abs=NEAR)


def test_a_negative_fade_reaches_beyond_its_clip(read):
    clip = only_clip(read(daw.clip(2, 2, daw.audio(9), 'fadeInTime="-1" playStart="4"')))
    assert (clip.position, clip.length, clip.fade_in.seconds) == pytest.approx((0.5, 1.5, 0.5), abs=NEAR)
    assert clip.offset == pytest.approx(1.5, abs=NEAR)


def test_the_fade_of_a_clip_around_others_runs_over_all_of_them(read):
    events = "<Clips>" + daw.clip(0, 1) + daw.clip(1, 1) + "</Clips>"
    first, second = read(daw.clip(0, 2, events, 'fadeInTime="1.5"')).tracks[0].clips
    for clip, times in ((first, (0, 0.75)), (second, (-0.5, 0.25))):
        (envelope,) = clip.envelopes
        assert envelope.parameter is Parameter.VOLUME
        assert [(p.seconds, p.value) for p in envelope.points] == [(times[0], 0), (times[1], 1)]


def test_clips_that_are_switched_off_are_muted(read):
    assert only_clip(read(daw.clip(attributes='enable="false"'))).muted


def test_automation_inside_a_clip_is_its_own(read):
    points = (
        '<Points><Target expression="gain"/><RealPoint time="0" value="1" interpolation="linear"/>'
        '<RealPoint time="1" value="0.5"/></Points>'
    )
    clip = only_clip(read(daw.clip(2, 2, f"<Lanes>{points}{daw.audio()}</Lanes>")))
    (envelope,) = clip.envelopes
    assert [(p.seconds, p.value, p.shape) for p in envelope.points] == [
        (0, 1, PointShape.LINEAR),
        (0.5, 0.5, PointShape.HOLD),
    ]
    assert envelope.relative


STRIP = (
    'solo="true" audioChannels="2"><Mute value="true"/><Pan id="pan" unit="normalized" value="0.75"/>'
    '<Volume id="vol" unit="decibel" value="-6.020599913"/>'
)


def test_strips(read):
    session = read(xml=daw.project(daw.track(channel=STRIP, attributes='color="#A0B1C2ff"'), ""))
    (track,) = session.tracks
    assert (track.muted, track.soloed, track.pan, track.color) == (True, True, 0.5, "#a0b1c2")
    assert track.volume == pytest.approx(0.5, abs=1e-9)


def test_automation_takes_the_place_of_the_fader(read):
    points = (
        '<Lanes track="t1"><Points unit="decibel"><Target parameter="vol"/>'
        '<RealPoint time="2" value="-6.020599913" interpolation="linear"/><RealPoint time="4" value="-inf"/>'
        '</Points><Points><Target parameter="pan"/><RealPoint time="0" value="1"/></Points></Lanes>'
    )
    (track,) = read(xml=daw.project(daw.track(channel=STRIP), points)).tracks
    volume, pan = track.envelopes
    assert (volume.parameter, pan.parameter) == (Parameter.VOLUME, Parameter.PAN)
    assert not volume.relative
    assert [(p.seconds, p.value) for p in volume.points] == [(1, pytest.approx(0.5, abs=1e-9)), (2, 0)]
    assert [p.value for p in pan.points] == [1]


def test_groups_buses_sends_and_the_master(read):
    master = (
        '<Track id="m"><Channel id="mc" role="master"><Volume unit="linear" value="0.5"/></Channel></Track>'
    )
    effect = '<Track id="fx" name="Hall"><Channel id="fxc" role="effect" destination="mc"/></Track>'
    inner = daw.track(
        "in",
        "Inner",
        'destination="gc"><Sends><Send destination="fxc" type="pre">'
        '<Volume unit="linear" value="0.25"/></Send></Sends>',
    )
    elsewhere = daw.track("el", "Elsewhere", 'destination="fxc"> ')
    group = daw.track("g", "Group", 'destination="mc"> ', inner + elsewhere, 'contentType="tracks"')
    session = read(xml=daw.project(group + effect + master, ""))
    assert session.master_volume == 0.5
    assert [track.name for track in session.walk()] == ["Group", "Inner", "Elsewhere", "Hall"]
    inside, other = session.tracks[0].children
    assert inside.sends_to_parent
    assert [(s.target, s.gain, s.tap) for s in inside.sends] == [("fx", 0.25, Tap.PRE_FADER)]
    assert not other.sends_to_parent
    assert [(s.target, s.gain, s.tap) for s in other.sends] == [("fx", 1.0, Tap.POST_FADER)]
    assert session.tracks[1].is_bus


def test_sends_that_automation_moves(read):
    send = (
        '<Sends><Send destination="fxc" type="pre"><Enable id="e" value="false"/>'
        '<Pan id="p" unit="normalized" value="0.5"/><Volume id="v" unit="linear" value="0.25"/>'
        "</Send></Sends>"
    )
    effect = '<Track id="fx" name="Hall"><Channel id="fxc" role="effect"/></Track>'
    points = "".join(
        f'<Points><Target parameter="{name}"/>{values}</Points>'
        for name, values in {
            "v": '<RealPoint time="0" value="0" interpolation="linear"/><RealPoint time="4" value="1"/>',
            "p": '<RealPoint time="2" value="1"/>',
            "e": '<BoolPoint time="0" value="false"/><BoolPoint time="2" value="true"/>',
        }.items()
    )
    session = read(
        xml=daw.project(daw.track(channel=f">{send}") + effect, f"{daw.lanes(daw.clip())}{points}")
    )
    assert session.not_honoured == []
    (made,) = session.tracks[0].sends
    assert not made.muted
    found = {one.parameter: [(p.seconds, p.value) for p in one.points] for one in made.envelopes}
    assert found == {
        Parameter.VOLUME: [(0, 0), (2, 1)],
        Parameter.PAN: [(1, 1)],
        Parameter.MUTE: [(0, 1), (1, 0)],
    }
    assert not any(one.relative for one in made.envelopes)


def test_a_track_that_is_not_loaded_is_silent_and_its_devices_do_nothing(read):
    device = '<Vst3Plugin deviceName="Echo" deviceRole="audioFX" loaded="false"/>'
    channel = f"><Devices>{device}</Devices>"
    session = read(xml=daw.project(daw.track(channel=channel, attributes='loaded="false"'), ""))
    (track,) = session.tracks
    assert track.muted
    assert track.plugins == []
    assert session.not_honoured == []


def test_a_track_that_passes_by_its_folder_stands_outside(read):
    master = '<Track id="m"><Channel id="mc" role="master"/></Track>'
    inner = daw.track("in", "Inner", 'destination="mc"> ')
    group = daw.track("g", "Group", 'destination="mc"> <Volume unit="linear" value="0"/>', inner)
    session = read(xml=daw.project(group + master, ""))
    assert [track.name for track in session.tracks] == ["Group", "Inner"]
    assert session.not_honoured == []


@pytest.mark.parametrize(
    ("said", "inside"),
    [
        ("./audio/a b.wav", "audio/a b.wav"),
        ("audio\\a b.wav", "audio/a b.wav"),
        ("audio/a%20b.wav", "audio/a b.wav"),
        ("Audio/A b.WAV", "audio/a b.wav"),
        ("audio/e\u0301.wav", "audio/\u00e9.wav"),
    ],
)
def test_audio_is_found_by_other_spellings_of_its_name(tmp_path, said, inside):
    xml = daw.project(daw.track(), daw.lanes(daw.clip(inner=daw.audio(path=said))))
    path = daw.save(tmp_path / "song.dawproject", xml, {inside: daw.wav(np.ones((1, daw.RATE)))})
    (clip,) = open_session(path).tracks[0].clips
    assert clip.problem == ""
    with MixSource(open_session(path)) as mix:
        assert mix.read(0, 1)[0, 0] == 1


def test_audio_beside_the_project_may_be_a_url(tmp_path):
    made.write(tmp_path / "a b.wav", np.ones((1, 100)))
    audio = daw.audio(path="file:///C:/Users/me/a%20b.wav").replace("<File", '<File external="true"')
    path = daw.save(tmp_path / "song.dawproject", daw.project(daw.track(), daw.lanes(daw.clip(inner=audio))))
    (clip,) = open_session(path).tracks[0].clips
    assert (clip.problem, clip.source.name) == ("", "a b.wav")


def test_markers_and_launcher(read):
    markers = '<Markers><Marker time="4" name="Chorus"/><Marker time="0" name="Verse"/></Markers>'
    scene = f"<Scenes><Scene><ClipSlot>{daw.clip()}</ClipSlot></Scene></Scenes>"
    session = read(xml=daw.project(daw.track(), "", rest=markers, after=scene))
    assert [(m.seconds, m.name) for m in session.markers] == [(0, "Verse"), (2, "Chorus")]
    assert (
        "Project: clips of the launcher (scenes) are left out; the arrangement is read"
        in session.not_honoured
    )


def test_notes_are_kept_for_scores(read):
    notes = (
        '<Notes><Note time="1" duration="9" channel="9" key="36" vel="1"/>'
        '<Note time="6" duration="1" channel="0" key="40"/></Notes>'
    )
    session = read(daw.clip(4, 4, notes))
    (note,) = session.tracks[0].notes
    assert (note.start, note.length, note.pitch, note.velocity, note.channel) == (2.5, 1.5, 36, 127, 9)
    assert session.not_honoured == ["Vox: notes are not played"]


def test_plugins_keep_their_states(read):
    devices = (
        '> <Devices><Vst3Plugin deviceName="Comp" deviceRole="audioFX" '
        'deviceID="{56534542-5653-4542-5653-454256534542}"><Enabled value="true"/>'
        '<State path="plugins/one.vstpreset"/></Vst3Plugin>'
        '<ClapPlugin deviceName="Synth" deviceRole="instrument" deviceID="a.b"><Enabled value="false"/>'
        '</ClapPlugin><Equalizer deviceName="EQ" deviceRole="audioFX">'
        '<Band type="bell"><Freq unit="hertz" value="500"/></Band></Equalizer></Devices>'
    )
    preset = daw.vst3_preset(component=b"abc", controller=b"d")
    session = read(xml=daw.project(daw.track(channel=devices), ""), members={"plugins/one.vstpreset": preset})
    comp, synth, equalizer = session.tracks[0].chain
    assert (comp.name, comp.format, comp.identifier) == ("Comp", "VST3", "56534542" * 4)
    assert (comp.state, comp.controller_state, comp.preset) == (b"abc", b"d", preset)
    assert (synth.format, synth.identifier, synth.bypassed) == ("CLAP", "a.b", True)
    assert equalizer.format == "DAWproject"
    assert b'<Band type="bell">' in equalizer.state
    assert session.tracks[0].plugins == ["Comp", "EQ"]
    assert session.not_honoured == ["Vox: plug-in Comp is left out", "Vox: plug-in EQ is left out"]


@pytest.mark.parametrize("at", [0, 4, 47, 60, -1])
def test_a_damaged_state_is_said_and_the_session_read(read, at):
    devices = (
        '><Devices><Vst3Plugin deviceName="Comp" deviceRole="audioFX">'
        '<State path="p"/></Vst3Plugin></Devices>'
    )
    session = read(
        xml=daw.project(daw.track(channel=devices), ""), members={"p": daw.vst3_preset()[:at] or b"x"}
    )
    assert session.tracks[0].chain[0].preset == b""
    assert any("state of plug-in Comp" in line for line in session.not_honoured)


def test_embedded_audio_is_read_from_the_archive(read):
    noise = made.noise(1.0, seed=3)
    clip = only_clip(read(daw.clip(), members={"audio/a.wav": daw.wav(noise)}))
    source = clip.material.open(48000)
    assert np.array_equal(source.read(100, 500), noise[:, 100:600])
    unpacked = source.info.path
    again = clip.material.open(48000)
    assert again.info.path == unpacked
    source.close()
    del source
    assert unpacked.exists()
    del again
    assert not unpacked.exists()


def test_external_audio_lies_beside_the_project(read, tmp_path):
    made.write(tmp_path / "take.wav", made.noise(1.0))
    inner = daw.audio(path="take.wav").replace(
        '<File path="take.wav"/>', '<File path="take.wav" external="true"/>'
    )
    assert only_clip(read(daw.clip(0, 2, inner))).source == (tmp_path / "take.wav").resolve()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ('<File path="../secret.wav" external="true"/>', "lies outside the project folder"),
        ('<File path="/dev/zero" external="true"/>', "lies outside the project folder"),
        ('<File path="gone.wav" external="true"/>', "is missing"),
        ('<File path="audio/gone.wav"/>', "is missing in the project"),
        ('<File path="../../etc/passwd"/>', "is missing in the project"),
        ('<File path=""/>', "names no file"),
    ],
)
def test_audio_that_cannot_be_played_is_said(read, file, said):
    inner = daw.audio().replace('<File path="audio/a.wav"/>', file)
    session = read(daw.clip(0, 2, inner))
    assert said in session.tracks[0].clips[0].problem
    assert any(said in line for line in session.not_honoured)


def test_audio_that_is_packed_like_a_bomb_is_not_unpacked(read, monkeypatch):
    monkeypatch.setattr(archive, "SMALL_AUDIO", 1000)
    session = read(daw.clip(), members={"audio/a.wav": daw.wav(np.zeros((1, 48000)))})
    clip = session.tracks[0].clips[0]
    assert "is packed more than 200 times" in clip.problem
    with pytest.raises(AudioFileError, match="packed more than"):
        clip.material.open(48000)


BOMBS = {
    "an entity": ('<!DOCTYPE a [<!ENTITY b "cc">]><Project version="&b;"/>', "which no project needs"),
    "depth": ("<Project>" + "<a>" * 300 + "</a>" * 300 + "</Project>", "nested deeper"),
    "cut": ("<Project", "damaged XML"),
    "another root": ("<LiveSet/>", "not a DAWproject"),
    "a week": (daw.project(daw.track(), daw.lanes(daw.clip(9e9, 1))), "must lie within"),
    "a word": (daw.project(daw.track(), daw.lanes(daw.clip("x", 1))), "where a number belongs"),
    "a tempo": (daw.project(daw.track(), "", bpm=0), "a tempo of 0"),
    "loudness": (daw.project(daw.track(channel='><Volume unit="linear" value="1e9"/>'), ""), "a volume of"),
    "itself": (
        daw.project(daw.track(), daw.lanes('<Clip time="0" duration="1"><Lanes id="x"><Clips><Clip time="0" '
        'duration="1" reference="x"/></Clips></Lanes></Clip>')), "one that holds itself",
    ),
    "many repeats": (
        daw.project(daw.track(), daw.lanes(daw.clip(0, 1e6, attributes='loopStart="0" loopEnd="0.002"'))),
        "clips and repeats of loops",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_and_damage_are_one_line(read, bomb, monkeypatch):
    monkeypatch.setattr("plugin_bridge.sessions.dawproject.content.MOST_NOTES", 5000)
    xml, said = BOMBS[bomb]
    with pytest.raises(SessionError, match=said) as error:
        read(xml=xml)
    assert "\n" not in str(error.value)


def test_a_project_without_its_xml_says_so(tmp_path):
    path = tmp_path / "song.dawproject"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other.xml", "<a/>")
    with pytest.raises(SessionError, match=r"holds no project\.xml"):
        open_session(path)


def test_xml_that_is_unpacked_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("plugin_bridge.sessions.xml.MAX_BYTES", 100_000)
    path = daw.save(tmp_path / "song.dawproject", "<Project>" + " " * 1_000_000 + "</Project>")
    with pytest.raises(SessionError, match="larger than 100000 bytes"):
        open_session(path)


def test_what_differs_from_the_schema_is_listed_and_read(read):
    session = read(daw.clip(attributes='shape="odd"'))
    assert session.not_honoured == ["Project: not as DAWproject 1.0 says: <Clip> has no attribute shape"]
    only_clip(session)


FOLDER = '<Track id="{}" name="Drums" contentType="tracks">{}</Track>'
LEADER = (
    '<Track id="lead" name="Drums Master"><Channel id="lc" role="master" solo="true">'
    '<Volume unit="linear" value="0.5" id="lv"/><Mute value="false"/></Channel></Track>'
)


def test_a_folder_without_a_channel_has_that_of_the_master_inside_it(read):
    """As ProjectConverter writes REAPER's folders: with a track for the folder's own fader and items."""
    sends = 'destination="lc"> <Sends><Send destination="lc" type="post"><Volume unit="linear" value="0.25"/>'
    inner = daw.track("in", "Kick")
    outside = daw.track("out", "Room", f"{sends}</Send></Sends>")
    clips = '<Lanes track="lead"><Clips><Clip time="1" duration="2"><Audio channels="1" duration="2" '
    clips += 'sampleRate="48000"><File path="audio/a.wav"/></Audio></Clip></Clips></Lanes>'
    points = '<Points><Target parameter="lv"/><RealPoint time="0" value="0"/></Points>'
    text = daw.project(FOLDER.format("f", LEADER + inner) + outside, f"<Lanes>{clips}{points}</Lanes>")
    session = read(xml=text)
    folder, room = session.tracks
    assert [track.name for track in session.walk()] == ["Drums", "Kick", "Room"]
    assert (folder.identifier, folder.volume, folder.soloed, folder.muted) == ("f", 0.5, True, False)
    assert len(folder.clips) == len(folder.envelopes) == 1
    assert [(send.target, send.gain) for send in room.sends] == [("f", 1.0), ("f", 0.25)]
