"""The notes of MIDI items as REAPER plays them: pools, files, repeats, offsets, transposition."""

import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.rpp import midi
from tests.plugin_bridge.session_helpers import item, project, save, track
from tests.separators.score.midi_files import melody, save_midi

BAR = """<SOURCE MIDI
  HASDATA 1 480 QN
  E 0 90 3c 60
  E 240 80 3c 00
  E 720 90 40 60
  E 960 b0 7b 00
  POOLEDEVTS {AA}
>"""
"""Two seconds at 120 beats a minute; its second key is never let go."""


@pytest.fixture
def notes(tmp_path):
    def read(*items, head="", index=0):
        session = open_session(save(tmp_path, project(track("Keys", *items), head=head)))
        return [(note.start, note.length, note.pitch) for note in session.tracks[0].notes]

    return read


def test_a_looped_item_repeats_its_source_and_lets_its_keys_go(notes):
    assert notes(item(1.0, 5.0, source=BAR, extra="LOOP 1")) == [
        (1.0, 0.25, 60),
        (2.0, 1.0, 64),
        (3.0, 0.25, 60),
        (4.0, 1.0, 64),
        (5.0, 0.25, 60),
    ]
    assert notes(item(1.0, 5.0, source=BAR, extra="LOOP 0")) == [(1.0, 0.25, 60), (2.0, 4.0, 64)]


def test_an_item_that_is_longer_by_less_than_a_tick_does_not_repeat(notes):
    assert notes(item(1.0, 2.0004, source=BAR, extra="LOOP 1")) == [(1.0, 0.25, 60), (2.0, 1.0, 64)]
    assert len(notes(item(1.0, 2.02, source=BAR, extra="LOOP 1"))) == 3


def test_repeats_begin_where_the_item_is_offset_and_at_its_rate(notes):
    """An offset is time of the source: at twice the rate a second of it is half a second."""
    extra = "LOOP 1\nSOFFS 1\nPLAYRATE 2 1 0"
    assert notes(item(0.0, 2.0, source=BAR, extra=extra)) == [
        (0.0, 0.5, 64),
        (0.5, 0.125, 60),
        (1.0, 0.5, 64),
        (1.5, 0.125, 60),
    ]


def test_an_offset_is_counted_in_beats_where_the_tempo_changes(notes):
    tempo = "<TEMPOENVEX\nACT 1 -1\nPT 0 120 1 262148 0 1\nPT 1 60 1\n>"
    # The source's second beat is at the item's start; its second key comes one beat later.
    assert notes(item(0.5, 3.0, source=BAR, extra="SOFFS 0.5"), head=tempo) == [(1.0, 2.5, 64)]


def test_items_that_share_a_pool_play_the_events_of_its_owner(notes):
    pooled = "<SOURCE MIDIPOOL\nPOOLEDEVTS {AA}\nGUID {BB}\n>"
    assert notes(item(4.0, 1.0, source=pooled), item(0.0, 1.0, source=BAR)) == [
        (4.0, 0.25, 60),
        (0.0, 0.25, 60),
    ]
    assert notes(item(4.0, 1.0, source=pooled.replace("AA", "CC"))) == []


def test_a_take_transposes(notes):
    assert notes(item(0.0, 1.0, source=BAR, extra="PLAYRATE 1 1 -12")) == [(0.0, 0.25, 48)]
    assert notes(item(0.0, 1.0, source=BAR, extra="PLAYRATE 1 1 100")) == []


def test_muted_items_play_nothing(notes):
    assert notes(item(0.0, 1.0, source=BAR, extra="MUTE 1 0")) == []


def test_midi_files_beside_the_project_follow_its_tempo(tmp_path, notes):
    save_midi(tmp_path / "tune.mid", {"Tune": melody([60, 62])})
    source = '<SOURCE MIDI\nFILE "tune.mid" 1\n>'
    played = notes(item(1.0, 2.9, source=source, extra="LOOP 1"), head="TEMPO 60 4 4")
    # Half a second at the file's 120 is a second at 60; the file is 0.9 s long there, 1.8 s here.
    assert [start for start, _, _ in played] == pytest.approx([1.0, 2.0, 2.8, 3.8])
    assert [length for _, length, _ in played] == pytest.approx([0.8, 0.8, 0.8, 0.1])
    assert [pitch for _, _, pitch in played] == [60, 62, 60, 62]


def test_a_midi_file_that_is_missing_is_said(tmp_path):
    source = '<SOURCE MIDI\nFILE "none.mid" 1\n>'
    session = open_session(save(tmp_path, project(track("Keys", item(source=source)))))
    assert "Keys: a MIDI file is left out: none.mid is missing" in session.not_honoured


def test_endless_repeats_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(midi, "MOST_EVENTS", 1000)
    short = "<SOURCE MIDI\nHASDATA 1 960 QN\nE 1 90 3c 60\n>"
    path = save(tmp_path, project(track("Keys", item(0.0, 1000.0, source=short, extra="LOOP 1"))))
    with pytest.raises(SessionError, match="repeats more than 1000 events; shorten it"):
        open_session(path)
