"""What is odd in MIDI files and does not concern the score is passed over; damage is one line, soon."""

from __future__ import annotations

import os
import struct
import time

import pytest

from separators.score.midi import MidiError, read_midi
from separators.score.standard_midi_file import MOST_EVENTS, parse

PLAIN = [(0.0, 0.5, 60), (0.5, 0.5, 64)]
END = b"\x00\xff\x2f\x00"


def number(value):
    data = bytes([value & 0x7F])
    while value := value >> 7:
        data = bytes([value & 0x7F | 0x80]) + data
    return data


def track(*events, end=END, length=None):
    data = b"".join(number(delta) + event for delta, event in events) + end
    return b"MTrk" + struct.pack(">I", len(data) if length is None else length) + data


def file(*tracks, type=1, division=480, count=None, more_header=b""):
    counted = len(tracks) if count is None else count
    header = struct.pack(">IHHH", 6 + len(more_header), type, counted, division)
    return b"MThd" + header + more_header + b"".join(tracks)


def on(pitch, velocity=100):
    return bytes([0x90, pitch, velocity])


def off(pitch):
    return bytes([0x80, pitch, 64])


SONG = ((0, on(60)), (480, off(60)), (0, on(64)), (480, off(64)))
TEMPO_120 = (0, b"\xff\x51\x03\x07\xa1\x20")


def notes(folder, data):
    path = folder / "a.mid"
    path.write_bytes(data)
    found = [note for _, own in read_midi(path).tracks for note in own]
    return sorted((round(note.start, 6), round(note.length, 6), note.pitch) for note in found)


def chunk(name, data, order=">I"):
    return name + struct.pack(order, len(data)) + data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(file(track((0, b"\xff\x59\x02\x08\x00"), *SONG)), id="eight sharps"),
        pytest.param(file(track((0, b"\xff\x59\x02\xee\x01"), *SONG)), id="eighteen flats"),
        pytest.param(file(track((0, b"\xff\x59\x02\xfe\xff"), *SONG)), id="neither major nor minor"),
        pytest.param(file(track((0, b"\xff\x58\x02\x03\x02"), *SONG)), id="short time signature"),
        pytest.param(file(track((0, b"\xff\x58\x04\x04\xff\x18\x08"), *SONG)), id="beats too short to be"),
        pytest.param(file(track((0, b"\xff\x51\x02\x01\x02"), *SONG)), id="short tempo"),
        pytest.param(file(track((0, b"\xff\x51\x03\x00\x00\x00"), *SONG)), id="tempo 0"),
        pytest.param(file(track((0, b"\xff\x54\x05\xff\x7f\x7f\x7f\x7f"), *SONG)), id="SMPTE offset"),
        pytest.param(file(track((0, b"\xff\x03\x04\x83\x73\x83\x41"), *SONG)), id="name in Shift-JIS"),
        pytest.param(file(track((0, b"\xff\x7f\x04\x43\x7b\x00\x01"), *SONG)), id="unknown meta event"),
        pytest.param(file(track((0, b"\xf0\x03\x7e\x7f\xf7"), *SONG)), id="system exclusive"),
        pytest.param(file(track((0, b"\xf8"), (0, b"\xf2\x01\x02"), *SONG)), id="system messages"),
        pytest.param(file(track((0, b"\xe0\xff\xff"), *SONG)), id="pitch bend out of range"),
        pytest.param(
            file(track((0, on(60)), (480, bytes([60, 0])), (0, bytes([64, 90])), (480, bytes([64, 0])))),
            id="running status",
        ),
        pytest.param(
            file(track((0, on(60)), (0, b"\xff\x01\x02hi"), (480, bytes([60, 0])), *SONG[2:])),
            id="running status across a meta event",
        ),
        pytest.param(
            file(track((0, on(60)), (0, b"\xf0\x02\x7e\xf7"), (480, bytes([60, 0])), *SONG[2:])),
            id="running status across system exclusive",
        ),
        pytest.param(file(track((0, bytes([0x90, 60, 200])), *SONG[1:])), id="velocity above 127"),
        pytest.param(file(track(*SONG, end=b"")), id="no end mark"),
        pytest.param(file(track(*SONG), more_header=b"\0\0"), id="longer header"),
        pytest.param(file(track(TEMPO_120), chunk(b"XFIH", b"abcd"), track(*SONG)), id="foreign chunk"),
        pytest.param(file(track(TEMPO_120), track(*SONG), count=3), id="fewer tracks than said"),
        pytest.param(file(track(TEMPO_120), track(*SONG), count=1), id="more tracks than said"),
        pytest.param(file(track(*SONG)) + bytes(37), id="zeros behind the last track"),
        pytest.param(file(track(*SONG, length=0)), id="a track's length never filled in"),
        pytest.param(file(track(*SONG, length=0x7FFFFFFF)), id="a track's length too large"),
        pytest.param(file(track(*SONG, length=9), track(TEMPO_120)), id="a track's length too small"),
        pytest.param(
            b"RIFF" + struct.pack("<I", 99) + b"RMID" + chunk(b"data", file(track(*SONG)), "<I"), id="RIFF"
        ),
    ],
)
def test_what_does_not_concern_the_score_is_passed_over(tmp_path, data):
    assert notes(tmp_path, data) == PLAIN


def test_what_follows_the_end_mark_is_no_music(tmp_path):
    assert notes(tmp_path, file(track(*SONG, (0, END[1:]), (0, on(70)), (480, off(70))))) == PLAIN


@pytest.mark.parametrize("cut", [0, 3, 10, 13, 14, 20, 24, 30, 40])
def test_a_file_cut_short_is_an_error_of_one_line(tmp_path, cut):
    with pytest.raises(MidiError, match="cannot be read as MIDI") as caught:
        notes(tmp_path, file(track(*SONG))[:cut])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (file(track((0, b"\x3c\x40"))), "belongs to no event"),
        (file(track((0, b"\x90\xff\x40"))), "255 where 127 is the most"),
        (b"MThd" + struct.pack(">I", 2) + b"\0\0", "header is cut short"),
        (file(b"MTrk" + struct.pack(">I", 209) + b"\x81" * 200 + b"\x01\x90\x3c\x40" + END), "more than 4"),
        (file(b"MTrk" + struct.pack(">I", 1 << 20) + b"\xff" * (1 << 20)), "cannot be read"),
        (file(track((0, on(60)), *[(0x0FFFFFFF, off(60))] * 4), division=1), "must end within 604800 s"),
    ],
)
def test_damage_is_said_in_no_time(tmp_path, data, words):
    started = time.monotonic()
    with pytest.raises(MidiError, match=words):
        notes(tmp_path, data)
    assert time.monotonic() - started < 5


def test_more_events_than_any_score_has_are_refused():
    events = b"\x00\x90\x3c\x40" + b"\x00\x3c\x40" * MOST_EVENTS
    with pytest.raises(MidiError, match="which no score has"):
        parse(file(chunk(b"MTrk", events + END)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_score(tmp_path):
    os.mkfifo(tmp_path / "a.mid")
    with pytest.raises(MidiError, match="not a regular file"):
        read_midi(tmp_path / "a.mid")
    with pytest.raises(MidiError, match="no file can have such a name"):
        read_midi(tmp_path / "a\0.mid")
