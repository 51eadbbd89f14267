"""MIDI regions of Ardour sessions, and tracks that nobody hears."""

import mido
import pytest

from plugin_bridge.sessions.ardour.reader import read_ardour
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.session_helpers import noise, write


def midi_file(path, bpm=120, notes=((0, 60), (480, 62), (960, 64))):
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm))])
    file.tracks.append(track)
    last = 0
    for tick, pitch in notes:
        track.append(mido.Message("note_on", note=pitch, velocity=90, time=tick - last))
        track.append(mido.Message("note_off", note=pitch, time=240))
        last = tick + 240
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)


def playlist(*regions):
    return f'<Playlist id="10" name="p" type="midi">{"".join(regions)}</Playlist>'


def region(length, start="b0", extra=""):
    return f'<Region name="r" type="midi" start="{start}" length="{length}" source-0="1" {extra}/>'


def keys(regions, **values):
    route = ardour.route("Keys", 1, playlist=10, **values).replace("audio-playlist", "midi-playlist")
    source = '<Source name="keys.mid" type="midi" id="1"/>'
    return ardour.session([ardour.master(), route], [playlist(*regions)], [source])


@pytest.fixture
def read(tmp_path):
    def opened(text):
        return read_ardour(ardour.save(tmp_path, text))

    midi_file(tmp_path / "interchange" / "song" / "midifiles" / "keys.mid")
    return opened


BEAT = 1920


@pytest.mark.parametrize(
    ("length", "start", "extra", "expected"),
    [
        # At 120 a beat lasts half a second; the region begins at beat 2.
        (f"b{4 * BEAT}@b{2 * BEAT}", "b0", "", [(1.0, 0.25, 60), (1.5, 0.25, 62), (2.0, 0.25, 64)]),
        # From the file's second beat on, for a beat and a half; the last note is cut.
        (f"b{round(1.25 * BEAT)}@b{2 * BEAT}", f"b{BEAT}", "", [(1.0, 0.25, 62), (1.5, 0.125, 64)]),
        # Version 6: frames, and beats beside them.
        ("96000", "24000", 'position="48000" start-beats="1"', [(1.0, 0.25, 62), (1.5, 0.25, 64)]),
        ("96000", "24000", 'position="48000"', [(1.0, 0.25, 62), (1.5, 0.25, 64)]),
        (f"b{BEAT}@b0", "b0", 'muted="1"', []),
    ],
)
def test_notes_lie_where_their_regions_play_them(read, length, start, extra, expected):
    text = keys([region(length, start, extra)])
    if "position" in extra:
        text = text.replace('version="7002" name="song"', 'version="6002" name="song"')
    session = read(text)
    (track,) = session.tracks
    assert [(note.start, note.length, note.pitch) for note in track.notes] == [
        (pytest.approx(at), pytest.approx(long), pitch) for at, long, pitch in expected
    ]
    assert session.not_honoured == ["Keys: MIDI regions are not played"] * bool(expected)


def test_the_sessions_tempo_plays_the_files_quarters(read, tmp_path):
    midi_file(tmp_path / "interchange" / "song" / "midifiles" / "keys.mid", bpm=90)
    text = keys([region(f"b{4 * BEAT}@b0")]).replace('npm="120" enpm="120"', 'npm="60" enpm="60"')
    assert [note.start for note in read(text).tracks[0].notes] == pytest.approx([0.0, 1.0, 2.0])


def test_a_file_that_is_missing_or_damaged_is_said(read, tmp_path):
    path = tmp_path / "interchange" / "song" / "midifiles" / "keys.mid"
    path.write_bytes(b"MThd")
    assert (
        read(keys([region("b1920@b0")])).not_honoured[0].startswith("Keys: a MIDI region is left out: keys")
    )
    path.unlink()
    said = ["Keys: a MIDI region is left out: keys.mid is missing"]
    assert read(keys([region("b1920@b0")])).not_honoured == said


def test_a_track_that_nobody_hears_is_said(read, tmp_path):
    write(ardour.media(tmp_path), noise(1))
    regions = [ardour.playlist(10, ardour.region())]

    def said(to):
        session = read(
            ardour.session([ardour.master(), ardour.route("Voice", 1, playlist=10, to=to)], regions)
        )
        assert session.not_honoured == []  # Ardour's own export leaves it out, too
        return session.notes

    silent = ", and it is silent in the mix as in Ardour's export"
    assert said("Master") == []
    assert said("") == [f"Voice: its outputs are connected to nothing{silent}"]
    ports = ["system:playback_1", "system:playback_2"]
    assert said(ports) == [f"Voice: its outputs go to system:playback_1, system:playback_2 only{silent}"]
