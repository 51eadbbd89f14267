"""What is written as DAWproject: it fits the schema, is read back to the same, and sounds the same."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from defusedxml import ElementTree

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.dawproject.project import write_dawproject
from plugin_bridge.sessions.dawproject.schema import problems
from plugin_bridge.sessions.dawproject.writer import write_stems_project
from plugin_bridge.sessions.formats import write_stems
from plugin_bridge.sessions.model import (
    Clip,
    Envelope,
    Fade,
    Marker,
    Parameter,
    Point,
    PointShape,
    Send,
    Session,
    StretchMarker,
    TempoChange,
    Track,
)
from plugin_bridge.sessions.placed import PlacedStem
from plugin_bridge.sessions.rpp.project import project_text
from tests.plugin_bridge import session_helpers as made
from tests.plugin_bridge.sessions.dawproject import helpers as daw

EQUAL_DB = -120.0


def schema_of(path):
    with zipfile.ZipFile(path) as archive:
        return list(problems(ElementTree.fromstring(archive.read("project.xml"))))


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def difference_db(one, other):
    assert one.shape == other.shape
    error = np.sqrt(np.mean((one.astype(float) - other) ** 2)) / np.sqrt(np.mean(one.astype(float) ** 2))
    return 20 * np.log10(max(error, 1e-15))


@pytest.fixture
def session(tmp_path):
    """Clips with offsets, gains, fades, rates and loops; groups, a bus, sends, automation, tempo, markers."""
    media = [made.write(tmp_path / f"{n}.wav", made.noise(2.0, channels=1 + n % 2, seed=n)) for n in range(3)]
    lead = Track(
        "Lead",
        [
            Clip(media[0], 0.1, 1.0, 0.25, fade_in=Fade(0.2), fade_out=Fade(0.3), name="one"),
            Clip(media[1], 1.5, 0.8, 0.5, gain=0.7, pan=-0.25, name="two"),
            Clip(media[1], 2.6, 0.5, rate=1.5, name="fast"),
        ],
        volume=0.8,
        pan=0.5,
        color="#112233",
        identifier="lead",
    )
    loop = Track(
        "Loop",
        [Clip(media[2], 0.5, 2.2, 0.1, loop=True, section_start=0.3, section_length=0.6, name="loop")],
        muted=False,
        identifier="loop",
        sends=[Send("bus", 0.5)],
    )
    quiet = Track("Muted", [Clip(media[0], 0.0, 1.0, muted=False)], muted=True, identifier="muted")
    group = Track("Group", children=[loop, quiet], volume=0.9, identifier="group")
    bus = Track("Bus", volume=0.6, is_bus=True, identifier="bus")
    lead.envelopes = [
        Envelope(
            Parameter.PAN,
            (Point(0.0, -0.5), Point(2.0, 0.5, PointShape.HOLD), Point(2.5, 0.0)),
            relative=False,
        )
    ]
    return Session(
        tmp_path / "made.rpp",
        "rpp",
        made.RATE,
        [lead, group, bus],
        [TempoChange(0.0, 120.0), TempoChange(1.0, 90.0, 3, 4)],
        [Marker(0.5, "Verse"), Marker(2.0, "Chorus")],
        master_volume=0.9,
    )


def test_a_session_is_read_back_as_it_was_written(session, tmp_path):
    path = tmp_path / "made.dawproject"
    assert write_dawproject(session, path) == []
    assert schema_of(path) == []
    again = open_session(path)
    assert again.not_honoured == []
    assert (again.sample_rate, again.master_volume) == (session.sample_rate, session.master_volume)
    assert again.markers == session.markers
    assert again.tempo == session.tempo
    for one, other in zip(session.walk(), again.walk(), strict=True):
        assert (one.name, one.volume, one.pan, one.muted, one.color, one.is_bus) == (
            other.name, other.volume, other.pan, other.muted, other.color, other.is_bus,
        )  # fmt: skip
        assert one.envelopes == other.envelopes
        assert [send.gain for send in one.sends] == [send.gain for send in other.sends]
    clips = again.tracks[0].clips
    for clip, same in zip(session.tracks[0].clips, clips, strict=True):
        assert (same.keep_pitch, same.name) == (clip.keep_pitch, clip.name)
        assert (same.position, same.length, same.rate, same.offset) == pytest.approx(
            (clip.position, clip.length, clip.rate, clip.offset), abs=1e-9
        )
        assert (same.fade_in.seconds, same.fade_out.seconds) == pytest.approx(
            (clip.fade_in.seconds, clip.fade_out.seconds), abs=1e-9
        )


def test_it_sounds_the_same(session, tmp_path):
    write_dawproject(session, tmp_path / "made.dawproject")
    audio = mix(session)
    assert np.abs(audio).max() > 0.05
    assert difference_db(audio, mix(open_session(tmp_path / "made.dawproject"))) < EQUAL_DB


def test_it_sounds_as_the_same_session_in_reaper(session, tmp_path):
    """Without what a fresh REAPER project does not hold: buses and automation."""
    plain = replace(session, tracks=session.tracks[:2])
    plain.tracks[0].envelopes.clear()
    plain.tracks[1].children[0].sends.clear()
    (tmp_path / "made.rpp").write_text(project_text(plain, tmp_path), encoding="utf-8")
    write_dawproject(plain, tmp_path / "made.dawproject")
    one, other = (mix(open_session(tmp_path / f"made.{kind}")) for kind in ("rpp", "dawproject"))
    frames = min(one.shape[1], other.shape[1])
    assert abs(one.shape[1] - other.shape[1]) <= 1
    assert difference_db(one[:, :frames], other[:, :frames]) < EQUAL_DB


def test_a_stretch_is_read_back(session, tmp_path):
    marks = (StretchMarker(0.0, 0.2), StretchMarker(0.5, 0.6), StretchMarker(1.0, 1.4))
    clip = replace(session.tracks[0].clips[0], offset=0.2, stretch=marks, rate=1.2, keep_pitch=True)
    session.tracks[0].clips = [clip]
    write_dawproject(session, tmp_path / "made.dawproject")
    (again,) = open_session(tmp_path / "made.dawproject").tracks[0].clips
    assert again.keep_pitch
    for mark, same in zip(marks, again.stretch, strict=True):
        assert (same.seconds, same.source) == pytest.approx((mark.seconds, mark.source), abs=1e-9)


def test_what_cannot_be_said_is_said(session, tmp_path):
    clip = session.tracks[0].clips[0]
    session.tracks[0].clips = [replace(clip, reversed=True), replace(clip, problem="a.wav is missing")]
    session.tracks[0].inverted = True
    assert write_dawproject(session, tmp_path / "made.dawproject") == [
        "Lead: its polarity is not written",
        "Lead: one: that it runs backwards is not written",
        "Lead: a clip is not written: a.wav is missing",
    ]


STRIP = (
    'destination="mc" solo="false"><Devices><Vst3Plugin deviceName="Comp" deviceRole="audioFX">'
    '<State path="plugins/a.vstpreset"/></Vst3Plugin></Devices>'
    '<Pan id="pan" unit="normalized" value="0.25"/><Volume id="vol" unit="linear" value="0.5"/>'
)
MASTER = '<Track id="m" name="Master"><Channel id="mc" role="master"/></Track>'
POINTS = (
    '<Lanes track="t1"><Points><Target parameter="vol"/><RealPoint time="0" value="0.5"/>'
    '<RealPoint time="2" value="0.25"/></Points></Lanes>'
)


@pytest.fixture
def project(tmp_path):
    """A project in beats of one track with a strip, automation, a comment and a member of another kind."""
    xml = daw.project(
        daw.track(channel=STRIP, attributes='color="#ff8800"') + MASTER,
        "<!-- kept -->" + daw.lanes(daw.clip(1, 3)) + POINTS,
        bpm=100,
    )
    members = {
        "audio/a.wav": daw.wav(made.noise(2.0)),
        "plugins/a.vstpreset": daw.vst3_preset(),
        "other/bytes.bin": bytes(range(256)),
    }
    return daw.save(tmp_path / "song.dawproject", xml, members)


def halves(session, folder, **values):
    """Two stems of the first track, which sum to it."""
    with TrackSource(session, session.tracks[0]) as source:
        audio = source.read(0, source.frames)
        position, length = source.position_seconds, source.frames / source.sample_rate
    return [
        PlacedStem(name, made.write(folder / f"{name}.wav", share * audio), position, length, **values)
        for name, share in (("vocals", 0.75), ("rest", 0.25))
    ]


def test_stems_take_the_place_of_their_track(project, tmp_path):
    before = project.read_bytes()
    session = open_session(project)
    placed = {"t1": halves(session, tmp_path / "out")}
    path = write_stems(session, placed, tmp_path / "out" / "song_stems.dawproject")
    assert project.read_bytes() == before
    assert schema_of(path) == []
    again = open_session(path)
    assert [track.name for track in again.tracks] == ["Vox", "Vox vocals", "Vox rest"]
    assert [track.muted for track in again.tracks] == [True, False, False]
    assert {track.color for track in again.tracks} == {"#ff8800"}
    for stem in again.tracks[1:]:
        assert (stem.volume, stem.pan) == (0.5, -0.5)
        assert stem.chain == session.tracks[0].chain
        assert stem.envelopes == session.tracks[0].envelopes
        assert stem.clips[0].position == pytest.approx(0.6, abs=1e-9)
    assert difference_db(mix(session), mix(again)) < EQUAL_DB
    with zipfile.ZipFile(path) as archive:
        assert archive.read("other/bytes.bin") == bytes(range(256))
        assert b"<!-- kept -->" in archive.read("project.xml")


def test_a_gain_of_stems_is_undone_and_others_wait_muted(project, tmp_path):
    session = open_session(project)
    stems = halves(session, tmp_path, gain=2.0)
    placed = {"t1": [*stems, replace(stems[0], name="vocals (other)", muted=True)]}
    again = open_session(write_stems_project(session, placed, tmp_path / "x.dawproject"))
    assert [track.muted for track in again.tracks] == [True, False, False, True]
    twice = mix(session) * np.float32(2)
    assert difference_db(twice, mix(again)) < EQUAL_DB
    assert schema_of(tmp_path / "x.dawproject") == []


def test_what_others_send_into_a_track_stays_audible(tmp_path):
    structure = daw.track("t1", "Bus", 'destination="mc"> ') + daw.track("t2", "Voice", 'destination="t1c"> ')
    xml = daw.project(structure + MASTER, daw.lanes(daw.clip(0, 2)) + daw.lanes(daw.clip(1, 2), track="t2"))
    session = open_session(
        daw.save(tmp_path / "song.dawproject", xml, {"audio/a.wav": daw.wav(made.noise(2.0))})
    )
    placed = {"t1": halves(replace(session, tracks=session.tracks[:1]), tmp_path)}
    again = open_session(write_stems_project(session, placed, tmp_path / "x.dawproject"))
    assert not again.tracks[0].muted
    assert all(clip.muted for clip in again.tracks[0].clips)
    assert difference_db(mix(session), mix(again)) < EQUAL_DB


def test_audio_outside_is_still_found_from_another_folder(tmp_path):
    made.write(tmp_path / "in" / "take.wav", made.noise(1.0))
    inner = daw.audio().replace('<File path="audio/a.wav"/>', '<File path="take.wav" external="true"/>')
    xml = daw.project(daw.track(), daw.lanes(daw.clip(0, 2, inner)))
    session = open_session(daw.save(tmp_path / "in" / "song.dawproject", xml))
    (tmp_path / "out").mkdir()
    path = write_stems_project(session, {}, tmp_path / "out" / "song_stems.dawproject")
    again = open_session(path, media_roots=[tmp_path / "in"])
    assert again.tracks[0].clips[0].source == (tmp_path / "in" / "take.wav").resolve()
    assert not again.not_honoured


def test_nothing_is_written_where_it_must_not_be(project, tmp_path):
    session = open_session(project)
    with pytest.raises(SessionError, match="never written to"):
        write_stems_project(session, {}, project)
    with pytest.raises(SessionError, match="no track 'x'"):
        write_stems_project(session, {"x": []}, tmp_path / "y.dawproject")
    with pytest.raises(SessionError, match="cannot be written"):
        write_stems_project(session, {}, tmp_path / "missing" / "y.dawproject")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["song.dawproject"]


def test_stems_of_a_folder_whose_master_is_inside_it(tmp_path):
    leader = (
        '<Track id="lead" name="Drums Master"><Channel id="lc" role="master"><Mute value="false"/>'
        '<Volume unit="linear" value="0.5"/></Channel></Track>'
    )
    folder = f'<Track id="f" name="Drums" contentType="tracks">{leader}{daw.track("in", "Kick")}</Track>'
    xml = daw.project(folder + MASTER, daw.lanes(daw.clip(0, 2), track="in"))
    path = daw.save(tmp_path / "song.dawproject", xml, {"audio/a.wav": daw.wav(made.noise(2.0))})
    session = open_session(path)
    placed = {"f": halves(session, tmp_path / "out")}
    again = open_session(write_stems(session, placed, tmp_path / "out" / "song_stems.dawproject"))
    assert [(track.name, track.muted) for track in again.tracks] == [
        ("Drums", True),
        ("Drums vocals", False),
        ("Drums rest", False),
    ]
    assert [track.volume for track in again.tracks] == [0.5, 0.5, 0.5]
    assert difference_db(mix(session), mix(again)) < EQUAL_DB
