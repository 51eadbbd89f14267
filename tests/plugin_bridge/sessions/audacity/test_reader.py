"""Audacity projects: blocks of samples, trims, stretches, envelopes, stereo, labels; hostile databases."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from plugin_bridge.errors import BridgeError, SessionError
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.audacity import database
from plugin_bridge.sessions.model import Parameter, Scale
from tests.plugin_bridge import session_helpers as made
from tests.plugin_bridge.sessions.audacity import helpers as audacity

NOISE = made.noise(1.0)[0]
WHOLE = [(0, 1), (30000, 2)]
BLOCKS = [NOISE[:30000].astype("<f4"), NOISE[30000:].astype("<f4")]


@pytest.fixture
def read(tmp_path):
    def opened(*tracks, blocks=BLOCKS, **options):
        return open_session(audacity.save(tmp_path / "song.aup3", *tracks, blocks=blocks, **options))

    return opened


def audio_of(session, index=0):
    with TrackSource(session, session.tracks[index]) as source:
        return source.read(0, source.frames)


@pytest.mark.parametrize("encoding", [("utf-8", 1), ("utf-16-le", 2), ("utf-32-le", 4)])
def test_a_clip_plays_its_blocks(read, encoding):
    session = read(audacity.track(audacity.clip(WHOLE, 48000, 0.5), name="Vöx"), encoding=encoding)
    (clip,) = session.tracks[0].clips
    assert (session.tracks[0].name, clip.position, clip.length) == ("Vöx", 0.5, 1.0)
    assert np.array_equal(audio_of(session)[0], NOISE)
    assert not session.not_honoured


@pytest.mark.parametrize(("kind", "scale"), [("<i2", 1 << 15), ("<i4", 1 << 23)])
def test_integer_samples_are_scaled(read, kind, scale):
    stored = np.round(NOISE * scale).astype(kind)
    session = read(audacity.track(audacity.clip([(0, 1)], 48000)), blocks=[stored])
    assert np.array_equal(audio_of(session)[0], (stored / scale).astype(np.float32))


def test_trims_and_silent_blocks(read):
    blocks = [(0, -24000), (24000, 1)]
    session = read(
        audacity.track(audacity.clip(blocks, 54000, 1.0, trimLeft=0.25, trimRight=0.125)), blocks=BLOCKS[:1]
    )
    (clip,) = session.tracks[0].clips
    assert (clip.position, clip.length, clip.offset) == (1.25, 0.75, 0.25)
    expected = np.concatenate([np.zeros(24000), NOISE[:30000]])[12000:48000]
    assert np.array_equal(audio_of(session)[0], expected.astype(np.float32))


def test_two_halves_are_a_stereo_track(read):
    left = audacity.track(audacity.clip([(0, 1)], 30000), linked=1, channel=0, pan=-0.5, gain=0.5, mute=0)
    right = audacity.track(audacity.clip([(0, 2)], 30000), linked=0, channel=1)
    session = read(left, right, audacity.track(audacity.clip(WHOLE, 48000), name="Other", solo=1))
    assert [(one.name, one.channels, one.soloed) for one in session.tracks] == [
        ("Voice", 2, False),
        ("Other", 1, True),
    ]
    assert (session.tracks[0].pan, session.tracks[0].volume) == (-0.5, 0.5)
    stereo = audio_of(session)
    assert np.array_equal(stereo[0], NOISE[:30000])
    assert np.array_equal(stereo[1, :18000], NOISE[30000:])


def test_a_stretched_clip_keeps_its_pitch(read):
    session = read(
        audacity.track(
            audacity.clip(
                WHOLE, 48000, 0.0, clipStretchRatio=2.0, rawAudioTempo=90.0, trimLeft=0.5, centShift=-300
            )
        ),
        time_signature_tempo=60.0,
    )
    (clip,) = session.tracks[0].clips
    assert (clip.length, clip.rate, clip.keep_pitch, clip.pitch) == (2.5, 1 / 3, True, -3)
    assert clip.offset == pytest.approx(0.5 / 3, abs=1e-9)
    assert session.tempo[0].bpm == 60


def test_an_envelope_counts_from_the_untrimmed_start(read):
    session = read(
        audacity.track(audacity.clip(WHOLE, 48000, trimLeft=0.25, points=[(0.25, 1.0), (0.75, 0.01)]))
    )
    (envelope,) = session.tracks[0].clips[0].envelopes
    assert (envelope.parameter, envelope.scale) == (Parameter.VOLUME, Scale.DECIBELS)
    assert [(point.seconds, point.value) for point in envelope.points] == [(0, 1), (0.5, 0.01)]
    audio = audio_of(session)[0]
    assert audio[12000] == pytest.approx(0.1 * NOISE[24000], rel=1e-3)  # half way in decibels


def test_labels_effects_and_time_tracks(read):
    labels = ("labeltrack", {}, [("label", {"t": 1.0, "t1": 3.0, "title": "Verse"}, [])])
    effects = ("effects", {"active": 1}, [("effect", {"id": "Effect_LV2_x_x_Reverb"}, [])])
    voice = audacity.track(audacity.clip(WHOLE, 48000), effects)
    session = read(voice, labels, ("timetrack", {}, []), ("notetrack", {"name": "Keys"}, []))
    assert [(mark.seconds, mark.length, mark.name) for mark in session.markers] == [(1, 2, "Verse")]
    assert session.not_honoured == [
        "Voice: the real-time effect Reverb is left out",
        "Project: a time track, which bends all speeds, is left out",
        "Keys: MIDI tracks are not played",
    ]


def test_a_project_that_was_never_saved_or_not_closed_says_so(read, tmp_path):
    read(audacity.track(audacity.clip(WHOLE, 48000)), table="autosave")
    (tmp_path / "song.aup3-wal").write_bytes(b"x")
    session = open_session(tmp_path / "song.aup3")
    assert [line.split(";")[0] for line in session.not_honoured] == [
        "Project: was never saved",
        "Project: was not closed",
    ]


def test_nothing_is_written_beside_the_project(read, tmp_path):
    path = audacity.save(tmp_path / "wal.aup3", audacity.track(audacity.clip(WHOLE, 48000)), blocks=BLOCKS)
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA journal_mode = WAL")
    before = path.read_bytes()
    session = open_session(path)
    with MixSource(session) as source:
        source.read(0, source.frames)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["wal.aup3"]


def test_a_missing_block_is_left_out_and_said(read):
    session = read(audacity.track(audacity.clip([(0, 7)], 48000)))
    with pytest.raises(Exception, match="block 7 of samples is missing"):
        session.tracks[0].clips[0].material.open(48000).read(0, 10)


def test_a_table_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "LONGEST_SECONDS", 0.2)
    path = tmp_path / "song.aup3"
    with closing(sqlite3.connect(path)) as base:
        base.execute(
            "CREATE VIEW project AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
            "SELECT x AS dict, x AS doc FROM c WHERE x < 0"
        )
        base.commit()
    with pytest.raises(SessionError, match="holds no document"):
        open_session(path)


@pytest.mark.parametrize("part", range(1, 10))
def test_a_project_cut_short_is_one_line(tmp_path, part):
    path = audacity.save(tmp_path / "song.aup3", audacity.track(audacity.clip(WHOLE, 48000)), blocks=BLOCKS)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * part // 10])
    with pytest.raises(BridgeError, match=r"song\.aup3: [^\n]+$"):
        open_session(path).tracks[0].clips[0].material.open(48000).read(0, 48000)


def test_a_schema_whose_names_are_no_text_is_one_line(tmp_path):
    path = audacity.save(tmp_path / "song.aup3", audacity.track(audacity.clip(WHOLE, 48000)), blocks=BLOCKS)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE project", b"CREATE TABLE \xff\x80\xfeject"))
    with pytest.raises(SessionError, match=r"song\.aup3: not a whole Audacity project: [^\n]+$"):
        open_session(path)


@pytest.mark.parametrize("cut", [0, 3, 40, 200])
def test_a_document_cut_short_is_one_line(tmp_path, cut):
    path = audacity.save(tmp_path / "song.aup3", audacity.track(audacity.clip(WHOLE, 48000)))
    with closing(sqlite3.connect(path)) as base:
        base.execute("UPDATE project SET doc = substr(doc, 1, ?)", (cut,))
        base.commit()
    with pytest.raises(SessionError, match=r"song\.aup3: "):
        open_session(path)
