import struct

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.errors import AudioFileError, SessionError
from plugin_bridge.rendering.tracks import TrackSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.midi import NotePairs, read_midi
from plugin_bridge.sessions.model import MidiNote, TempoChange
from tests.plugin_bridge.session_helpers import RATE, impulse, noise, write

DEFAULT_VOLUME = (100 / 127) ** 2
"""Of General MIDI, where a file says nothing."""

SECOND = RATE
TICKS = 480


def positions(session):
    return {track.name: track.clips[0].position for track in session.tracks}


def test_files_are_tracks_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "02 Bass.WAV", noise(1))
    write(tmp_path / "01 Kick.flac", noise(0.5), format="flac", bit_depth="16")
    write(tmp_path / "stems" / "old.wav", noise(1))
    (tmp_path / "notes.txt").touch()
    session = open_session(tmp_path)
    assert (session.format, session.name, session.sample_rate, session.start) == (
        "folder",
        tmp_path.name,
        RATE,
        0.0,
    )
    assert [(track.name, track.identifier, track.channels) for track in session.tracks] == [
        ("01 Kick", "01 Kick.flac", 1),
        ("02 Bass", "02 Bass.WAV", 1),
    ]
    assert [track.clips[0].length for track in session.tracks] == [0.5, 1.0]
    assert session.not_honoured == []


def test_time_stamps_count_from_the_smallest_if_all_files_have_one(tmp_path):
    write(tmp_path / "a.wav", impulse(1, 0.25), time_reference=3600 * SECOND + 12345)
    write(tmp_path / "b.wav", noise(1, rate=44100), 44100, time_reference=3600 * 44100)
    write(tmp_path / "c.flac", noise(1), format="flac", bit_depth="16", time_reference=3602 * SECOND)
    session = open_session(tmp_path)
    assert session.start == 3600
    assert positions(session) == {"a": pytest.approx(12345 / SECOND), "b": 0, "c": 2}
    with TrackSource(session, session.tracks[0], whole=True) as source:
        audio = source.read(0, source.frames)
    assert list(np.flatnonzero(audio)) == [12345 + SECOND // 4]


def test_without_a_stamp_a_file_starts_at_0_and_the_others_where_they_say(tmp_path):
    write(tmp_path / "a.wav", noise(1), time_reference=2 * SECOND)
    write(tmp_path / "b.wav", noise(1))
    session = open_session(tmp_path)
    assert (session.start, positions(session)) == (0, {"a": 2, "b": 0})
    assert session.not_honoured == ["b: has no time stamp, unlike others; placed at 0"]


def test_a_stamp_of_years_is_not_believed(tmp_path):
    write(tmp_path / "a.wav", noise(1), time_reference=0)
    write(tmp_path / "b.wav", noise(1), time_reference=2**62)
    session = open_session(tmp_path)
    assert positions(session) == {"a": 0, "b": 0}
    assert session.not_honoured == [f"b: its time stamp of {2**62 / SECOND:.0f} s is no music's; placed at 0"]


def test_the_rate_of_most_files_is_the_sessions(tmp_path):
    for name, rate in (("a", 44100), ("b", 48000), ("c", 44100)):
        write(tmp_path / f"{name}.wav", noise(0.1, rate=rate), rate)
    assert open_session(tmp_path).sample_rate == 44100
    write(tmp_path / "d.wav", noise(0.1))
    assert open_session(tmp_path).sample_rate == 48000


def test_one_bad_file_is_one_bad_track(tmp_path):
    write(tmp_path / "good.wav", noise(0.1))
    (tmp_path / "cut.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:-100])
    (tmp_path / "empty.wav").touch()
    outside = write(tmp_path.parent / f"{tmp_path.name}-outside.wav", noise(0.1))
    (tmp_path / "link.wav").symlink_to(outside)
    session = open_session(tmp_path)
    assert [line.partition(":")[0] for line in session.not_honoured] == ["cut", "empty", "link"]
    for track in session.tracks:
        if track.name == "good":
            assert TrackSource(session, track).frames == 4800
        else:
            with pytest.raises(AudioFileError, match=f"^{track.name}: "):
                TrackSource(session, track)


def test_audio_that_is_left_out_is_said(tmp_path):
    write(tmp_path / "good.wav", noise(0.1))
    (tmp_path / "song.m4p").touch()
    (tmp_path / "lost.wav").symlink_to(tmp_path / "nothing.wav")
    (tmp_path / "notes.txt").touch()
    assert open_session(tmp_path).not_honoured == [
        "Session: left out: lost.wav is a link to nothing",
        "Session: left out: song.m4p is audio of a kind that is not read (.m4p); "
        "export it as WAV, AIFF or FLAC",
    ]
    (tmp_path / "good.wav").unlink()
    with pytest.raises(SessionError, match=r"no audio files and no REAPER project .* lost.wav is a link"):
        open_session(tmp_path)


def test_audio_in_folders_below_is_named(tmp_path):
    for number in range(6):
        write(tmp_path / f"Take {number}" / "a.wav", noise(0.1))
    (tmp_path / "Empty").mkdir()
    named = r"audio lies in Take 0, Take 1, Take 2, Take 3 and 2 more below it: name that folder"
    with pytest.raises(SessionError, match=named):
        open_session(tmp_path)


def test_a_folder_without_readable_audio_is_said(tmp_path):
    with pytest.raises(SessionError, match="no audio files and no REAPER project"):
        open_session(tmp_path)
    (tmp_path / "a.wav").touch()
    with pytest.raises(SessionError, match=r"none of the 1 audio files can be read; .*empty"):
        open_session(tmp_path)


def track_of(*messages):
    return mido.MidiTrack(messages)


def meta(kind, time=0, **fields):
    return mido.MetaMessage(kind, time=time, **fields)


def note(on, time, pitch=60, velocity=64, channel=0):
    return mido.Message(
        "note_on" if on else "note_off", note=pitch, velocity=velocity, channel=channel, time=time
    )


def save_midi(path, *tracks, type=1, ticks=TICKS):
    file = mido.MidiFile(type=type, ticks_per_beat=ticks)
    file.tracks.extend(tracks)
    file.save(path)
    return path


def test_a_midi_file_gives_tempo_meter_markers_and_notes(tmp_path):
    """Text is UTF-8, which mido writes and reads as Latin-1."""
    write(tmp_path / "a.wav", noise(1))
    save_midi(
        tmp_path / "Song.MID",
        track_of(
            meta("set_tempo", tempo=500000),
            meta("time_signature", numerator=3, denominator=4),
            meta("marker", text="Vers"),
            meta("marker", 2 * TICKS, text="Refr\xc3\xa4n"),
        ),
        # A tempo change in a later track counts all the same.
        track_of(
            meta("track_name", name="Piano"),
            meta("set_tempo", TICKS, tempo=1000000),
            note(1, 0),
            note(0, TICKS),
        ),
    )
    session = open_session(tmp_path)
    assert session.tempo == [TempoChange(0, 120, 3, 4), TempoChange(0.5, 60, 3, 4)]
    assert [(marker.seconds, marker.name) for marker in session.markers] == [(0, "Vers"), (1.5, "Refrän")]
    piano = session.tracks[-1]
    assert (piano.name, piano.notes, piano.clips) == (
        "Piano",
        [MidiNote(0.5, 1.0, 60, 64, volume=DEFAULT_VOLUME)],
        [],
    )


def test_the_tempo_of_mido_agrees(tmp_path):
    """mido integrates the tempo map on its own when it plays a file."""
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(50):
        messages.append(meta("set_tempo", int(rng.integers(0, 999)), tempo=int(rng.integers(200000, 900000))))
        messages.append(note(1, int(rng.integers(0, 999)), int(rng.integers(20, 100))))
    path = save_midi(tmp_path / "a.mid", track_of(*messages))
    seconds, starts = 0.0, []
    for message in mido.MidiFile(path):
        seconds += message.time
        if message.type == "note_on":
            starts.append(seconds)
    notes = read_midi(path).tracks[0][1]
    assert np.allclose([one.start for one in notes], starts, rtol=0, atol=1e-9)


def test_several_or_damaged_midi_files_do_not_stop_the_session(tmp_path):
    write(tmp_path / "a.wav", noise(0.1))
    (tmp_path / "a.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\1\0")
    session = open_session(tmp_path)
    assert len(session.not_honoured) == 1
    assert "tempo and markers are left out" in session.not_honoured[0]
    (tmp_path / "b.mid").touch()
    assert "a.mid, b.mid" in open_session(tmp_path).not_honoured[0]


def test_a_midi_file_outside_the_folder_is_said_and_not_read(tmp_path):
    folder = tmp_path / "song"
    write(folder / "a.wav", noise(0.1))
    save_midi(tmp_path / "other.mid", track_of(meta("set_tempo", tempo=1000000)))
    (folder / "a.mid").symlink_to(tmp_path / "other.mid")
    session = open_session(folder)
    (line,) = session.not_honoured
    assert line.startswith("Session: a.mid ")
    assert "outside the project folder" in line
    assert session.tempo == open_session(write(tmp_path / "plain" / "a.wav", noise(0.1)).parent).tempo


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as MIDI"),
        (b"RIFF" + bytes(100), "cannot be read as MIDI"),
        (struct.pack(">4sIHHH", b"MThd", 6, 2, 0, 480), "type 2"),
        (struct.pack(">4sIHHH", b"MThd", 6, 1, 0, 0), "division 0"),
        (
            struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, 480, b"MTrk", 4) + b"\x00\x90\xff\x40",
            "cannot be read",
        ),
    ],
)
def test_damaged_midi_is_one_clear_line(tmp_path, content, words):
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    with pytest.raises(SessionError, match=words) as caught:
        read_midi(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("frames", "ticks", "rate"), [(25, 40, 1000.0), (24, 80, 1920.0), (29, 100, 100 * 30000 / 1001)]
)
def test_smpte_time_has_no_tempo(tmp_path, frames, ticks, rate):
    track = (
        b"\x00\xff\x51\x03\x01\x00\x00"
        + b"\x87\x68\x90\x3c\x40"
        + b"\x87\x68\x80\x3c\x00"
        + b"\x00\xff\x2f\x00"
    )
    header = struct.pack(">4sIHHBB", b"MThd", 6, 0, 1, 256 - frames, ticks)
    path = tmp_path / "a.mid"
    path.write_bytes(header + struct.pack(">4sI", b"MTrk", len(track)) + track)
    ((_, (only,)),) = read_midi(path).tracks
    assert only.start == pytest.approx(1000 / rate)
    assert only.length == pytest.approx(1000 / rate)


def test_overlapping_notes_end_in_turn_and_velocity_0_ends_a_note(tmp_path):
    path = save_midi(
        tmp_path / "a.mid",
        track_of(
            note(1, 0, velocity=10),
            note(1, TICKS, velocity=20),
            note(1, TICKS, velocity=0),
            note(0, TICKS),
            note(0, TICKS),
            note(1, 0, pitch=70),
        ),
        type=0,
    )
    notes = read_midi(path).tracks[0][1]
    assert notes == [
        MidiNote(0, 1.0, 60, 10, volume=DEFAULT_VOLUME),
        MidiNote(0.5, 1.0, 60, 20, volume=DEFAULT_VOLUME),
        MidiNote(2.0, 0.0, 70, 64, volume=DEFAULT_VOLUME),
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 3)), max_size=60))
def test_every_note_that_starts_also_ends(events):
    pairs, starts = NotePairs(), 0
    for second, (is_on, channel, pitch) in enumerate(events):
        if is_on:
            pairs.start(channel, pitch, 64, second)
            starts += 1
        else:
            pairs.stop(channel, pitch, second)
    pairs.stop_all(len(events))
    assert len(pairs.notes) == starts
    assert all(one.length >= 0 for one in pairs.notes)
    assert [one.start for one in pairs.notes] == sorted(one.start for one in pairs.notes)


def test_the_recordings_of_a_project_that_nobody_reads_are_no_tracks(tmp_path):
    write(tmp_path / "Audio Files" / "Kick_01.wav", noise(0.1))
    (tmp_path / "song.ptx").write_bytes(b"x")
    with pytest.raises(SessionError, match="export the tracks of your Pro Tools session") as error:
        open_session(tmp_path)
    assert "Audio Files" not in str(error.value)


def test_a_backup_alone_is_named(tmp_path):
    (tmp_path / "song.rpp-bak").write_text("<REAPER_PROJECT 0.1\n>\n", encoding="utf-8")
    with pytest.raises(SessionError, match=r"song\.rpp-bak is read if it is named itself"):
        open_session(tmp_path)
    assert open_session(tmp_path / "song.rpp-bak").tracks == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("stems.zip", "unpack it first"),
        ("song.mid", "a MIDI file lies beside the audio files of a folder"),
        ("song.wav", "stembridge separate takes it as it is"),
    ],
)
def test_what_is_given_in_place_of_a_session_is_told_where_it_belongs(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SessionError, match=f"not a session; {advice}; give a REAPER project"):
        open_session(tmp_path / name)
