"""Sessions written as MIDI files: the same notes, tempo and markers by our reader and by mido."""

import mido
import numpy as np
import pytest

from plugin_bridge import bounce, open_session
from plugin_bridge.sessions.midi import read_midi
from plugin_bridge.sessions.midi_writer import TICKS, midi_bytes
from plugin_bridge.sessions.model import Marker, MidiMessage, Session, TempoChange, Track
from separators.score import Note
from tests.plugin_bridge.session_helpers import item, noise, project, save, track, write

TEMPO = [TempoChange(0.0, 120.0), TempoChange(3.1, 87.5, 3, 4), TempoChange(10.0, 200.0, 7, 8)]
HALF_A_TICK = 0.5 * 60 / 87.5 / TICKS


def session(tempo=TEMPO):
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, 30, 200))
    pitches, velocities = rng.integers(30, 90, 200), rng.integers(1, 128, 200)
    notes = [
        Note(float(start), 0.25, int(pitch), int(velocity), 3, 1.0, 0.5, 40)
        for start, pitch, velocity in zip(starts, pitches, velocities, strict=True)
    ]
    lead = Track("Lead ♪", notes=notes, messages=[MidiMessage(1.0, bytes([0xE3, 0, 80]))])
    quiet = Track("Nothing")
    return Session("song.rpp", "rpp", 48000, [lead, quiet], tempo, [Marker(4.0, "Vers ü"), Marker(12.0, "B")])


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.setattr(Session, "name", "song")
    (tmp_path / "song.mid").write_bytes(midi_bytes(session()))
    return tmp_path / "song.mid"


def test_our_reader_gives_the_same_session_back(written):
    file = read_midi(written)
    ((name, notes),) = file.tracks
    assert name == "Lead ♪"
    ours = session().tracks[0].notes
    for field in ("pitch", "velocity", "channel"):
        assert [getattr(n, field) for n in notes] == [getattr(n, field) for n in ours]
    np.testing.assert_allclose([n.start for n in notes], [n.start for n in ours], atol=1.1 * HALF_A_TICK)
    np.testing.assert_allclose([c.bpm for c in file.tempo], [c.bpm for c in TEMPO], rtol=1e-5)
    assert [(c.numerator, c.denominator) for c in file.tempo] == [(4, 4), (3, 4), (7, 8)]
    np.testing.assert_allclose([c.seconds for c in file.tempo], [c.seconds for c in TEMPO], atol=HALF_A_TICK)
    assert [marker.name for marker in file.markers] == ["Vers ü", "B"]
    np.testing.assert_allclose([m.seconds for m in file.markers], [4.0, 12.0], atol=1.1 * HALF_A_TICK)


def test_mido_hears_the_same_times(written):
    now, starts, bends = 0.0, [], []
    for message in mido.MidiFile(written):
        now += message.time
        if message.type == "note_on" and message.velocity:
            starts.append(now)
        if message.type == "pitchwheel":
            bends.append(now)
    np.testing.assert_allclose(starts, [n.start for n in session().tracks[0].notes], atol=1.1 * HALF_A_TICK)
    np.testing.assert_allclose(bends, [1.0], atol=HALF_A_TICK)


def test_a_tempo_that_moves_becomes_steps_that_keep_the_times(tmp_path, monkeypatch):
    monkeypatch.setattr(Session, "name", "song")
    moving = session([TempoChange(0.0, 60.0, ramp=True), TempoChange(20.0, 180.0)])
    (tmp_path / "song.mid").write_bytes(midi_bytes(moving))
    file = read_midi(tmp_path / "song.mid")
    ((_, notes),) = file.tracks
    tick = 60 / 60 / TICKS
    np.testing.assert_allclose([n.start for n in notes], [n.start for n in moving.tracks[0].notes], atol=tick)
    assert len(file.tempo) > 100
    assert file.tempo[len(file.tempo) // 2].bpm == pytest.approx(140, abs=10)


def test_bounce_writes_it_and_the_folder_is_the_session_again(tmp_path):
    write(tmp_path / "a.wav", noise(1.0))
    events = "        E 0 90 3c 64\n        E 480 80 3c 0\n"
    midi = item(position=0.5, source=f"<SOURCE MIDI\n        HASDATA 1 960 QN\n{events}      >")
    text = project(track("Audio", item()), track("Keys", midi), head="TEMPO 90 4 4")
    results = bounce(save(tmp_path, text), tmp_path / "out", midi=True)
    assert [path.name for job in results.jobs for path in job.outputs] == ["Audio.wav", "song.mid"]
    again = open_session(tmp_path / "out")
    assert again.tempo[0].bpm == pytest.approx(90, rel=1e-5)
    (note,) = [note for one in again.walk() for note in one.notes]
    assert (note.pitch, note.velocity) == (60, 100)
    assert note.start == pytest.approx(0.5, abs=1e-3)
    assert note.length == pytest.approx(480 / 960 / 1.5, abs=1e-3)
