"""REAPER projects that are damaged, hostile or very large; text as REAPER quotes it."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.overlaps import gaps
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.rpp.reader import read_rpp
from plugin_bridge.sessions.rpp.text import parse, quoted, split_lines, split_words
from tests.plugin_bridge.session_helpers import item, noise, project, save, track, write


@pytest.fixture
def song(tmp_path):
    write(tmp_path / "a.wav", noise(1))

    def read(text, **options):
        return open_session(save(tmp_path, text), **options)

    return read


@pytest.mark.parametrize("cut", [1, 30, 100, 250, -3])
def test_a_project_cut_in_the_middle_is_one_clear_line(song, cut):
    text = project(track("T", item()), track("U", item()))
    with pytest.raises(SessionError, match=r"song\.rpp: (cut short|not a REAPER)") as caught:
        song(text[:cut])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a REAPER project"),
        ("hello\n", "not a REAPER project"),
        (project(track("T", item("abc"))), r"line \d+: POSITION holds 'abc'"),
        (project(track("T", item("nan"))), "where a number belongs"),
        (project(track("T", item(0, -1))), "-1 s long"),
        (project(track("T", item(1e9, 1))), "must lie within"),
        (project(track("T", item(extra="SOFFS -1e300"))), "must lie within"),
        (project(head="SAMPLERATE 0").replace("SAMPLERATE 48000 0 0", ""), "sample rate of 0"),
        (project(head="TEMPO 0 4 4"), "tempo of 0"),
        ('<REAPER_PROJECT 0.1 "7" 0\n' + "<A\n" * 100, "nested deeper"),
    ],
)
def test_damage_is_one_clear_line(song, text, words):
    with pytest.raises(SessionError, match=words) as caught:
        song(text)
    assert "\n" not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_quoting_is_undone_by_reading(word):
    quotes = sum(quote in word for quote in "\"'`")
    (back,) = split_words(quoted(word))
    assert back == (word if quotes < 3 else word.replace("`", "'"))


@given(st.lists(st.sampled_from(["<A 1", ">", "X 1", "  <B", "\r", "", "|>"]), max_size=30))
def test_any_text_is_read_or_refused(tmp_path_factory, lines):
    text = "<REAPER_PROJECT 0.1\n" + "\n".join(lines)
    parts = split_lines(text)
    assert "".join(parts) == text
    try:
        root = parse(parts, tmp_path_factory.getbasetemp())
    except SessionError as error:
        assert "cut short" in str(error)  # noqa: PT017
    else:
        assert root.last_line > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (project(head="TEMPO 120 1e200 4"), "TEMPO holds 1e\\+200; it must be a whole number"),
        (project(head="TEMPO 1e200 4 4"), "a tempo of 1e\\+200"),
        (project(track("A", strip="NCHAN 1e9")), "a track of 1000000000 channels; at most 128"),
        (project(track("A", strip="PEAKCOL 1e99")), "PEAKCOL holds"),
        (project(track("A", strip="FREEMODE 2\nLANESOLO" + " 1" * 40)), "more than 1024 lanes"),
        *(
            (
                project(track("A", item(extra=f"YPOS {place} 2"), strip="FREEMODE 2\nLANESOLO 1 0")),
                "YPOS holds",
            )
            for place in ("1e300 1e-300", "-1e20 0.5", "-1 0.5")
        ),
        (
            project(track("A", item(source="<SOURCE MIDI\nE 1.7e308 90 3c 60\nE 1.7e308 80 3c 0\n>"))),
            "a MIDI event lies .* s from the start; it must lie within 604800 s",
        ),
        (project(*[track("A", strip="ISBUS 1 1")] * 1000), "folders nested deeper than 64"),
    ],
)
def test_numbers_beyond_all_reason_are_one_clear_line(song, text, words):
    with pytest.raises(SessionError, match=words) as caught:
        song(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", ["0", "-4", "1e-300"])
def test_a_track_without_channels_plays_all_the_same(song, channels):
    strip = f"NCHAN {channels}\nPANMODE 5\nVOLPAN 1 0.5 -1 -1 1\nAUXRECV 1 0 1 0 0 0 0 0 0"
    with MixSource(song(project(track("Bus", strip=strip), track("T", item())))) as source:
        assert np.isfinite(source.read(0, source.frames)).all()


def test_midi_bytes_beyond_eight_bits_are_cut(song):
    source = "<SOURCE MIDI\nHASDATA 1 960 QN\nE 0 1b0 07 40\nE 0 190 3c 60\nE 960 80 3c 00\n>"
    (one,) = song(project(track("T", item(source=source)))).tracks
    assert [note.pitch for note in one.notes] == [60]
    assert [message.data for message in one.messages] == [b"\xb0\x07\x40"]


def test_projects_of_many_tracks_are_read_in_time_that_grows_as_they_do(tmp_path):
    """None of the tracks says its pan mode, which is the project's then."""

    def seconds(count):
        path = save(tmp_path, project(*[track(f"T{number}") for number in range(count)]))
        started = time.process_time()
        assert len(open_session(path).tracks) == count
        return time.process_time() - started

    few = min(seconds(400) for _ in range(3))
    assert seconds(6400) < 5 * 16 * few  # a glance at all for each would take 16 * 16 times as long


def test_a_pipe_is_no_project(tmp_path):
    os.mkfifo(tmp_path / "a.rpp")
    with pytest.raises(SessionError, match="not a regular file"):
        read_rpp(tmp_path / "a.rpp")


@pytest.mark.parametrize("head", ["", "ITEMMIX 2"])
def test_items_of_many_takes_are_opened_and_rendered_in_time_that_grows_as_they_do(song, head):
    """All takes play at once, so that with ``ITEMMIX 2`` each could be asked about each other one."""

    def seconds(count):
        takes = "TAKE SEL\n<SOURCE WAVE\nFILE a.wav\n>\n" * count
        text = project(track("T", item(extra="ALLTAKES 1", source=takes)), head=head)
        started = time.process_time()
        session = song(text)
        found = gaps(session.tracks[0].clips)
        assert len(session.tracks[0].clips) == count
        assert not found  # takes of one item lie on one layer
        return time.process_time() - started

    few = min(seconds(200) for _ in range(3))
    assert seconds(3200) < 5 * 16 * few
