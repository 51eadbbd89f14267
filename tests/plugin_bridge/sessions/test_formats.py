"""The table of session formats: what opens, what is refused and what to do instead, what folders hold."""

import os

import pytest

from docs.make_reference import reference
from plugin_bridge.errors import SessionError
from plugin_bridge.sessions import find_sessions, open_session
from plugin_bridge.sessions.formats import FORMATS, format_of, readable
from tests.plugin_bridge import session_helpers as made

UNREAD = [row for row in FORMATS if row.read is None]
PACKAGES = (".logicx", ".band")
"""Projects that are folders."""


def test_no_two_formats_share_a_suffix_and_each_is_read_or_says_what_to_export():
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))
    for row in FORMATS:
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in row.suffixes)
        assert bool(row.read) != bool(row.export), row
        assert (f"{row.project} ({', '.join(row.suffixes)})" in readable()) == bool(row.read)


@pytest.mark.parametrize("row", FORMATS, ids=str)
def test_a_suffix_is_known_in_any_case(row, tmp_path):
    for suffix in row.suffixes:
        assert format_of(tmp_path / f"a{suffix.upper()}") is row
    assert format_of(tmp_path / "a.wav") is None


@pytest.mark.parametrize("row", UNREAD, ids=str)
@pytest.mark.parametrize("inside", [True, False])
def test_a_project_that_no_reader_knows_says_what_to_export(row, inside, tmp_path):
    project = tmp_path / f"song{row.suffixes[0]}"
    project.touch()
    with pytest.raises(SessionError) as error:
        open_session(tmp_path if inside else project)
    said = str(error.value)
    assert said.startswith(f"{tmp_path if inside else project}: ")
    assert f"export the tracks of your {row.project} as audio files ({row.export}) and give their f" in said
    assert row.exchange in said
    assert "\n" not in said


DAMAGED = {
    "empty": b"",
    "zeros": bytes(1000),
    "noise": bytes(range(256)) * 9,
    "text": b"no project\n",
    "zip": b"PK\x03\x04" + bytes(100),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(100),
    "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    "deep": b"<A\n" * 100_000,
}
READERS = [row for row in FORMATS if row.read]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("row", READERS, ids=str)
def test_a_damaged_project_is_one_line_and_left_as_it_is(row, content, tmp_path):
    project = tmp_path / f"song{row.suffixes[0]}"
    project.write_bytes(DAMAGED[content])
    with pytest.raises(SessionError) as error:
        open_session(project)
    assert str(project) in str(error.value)
    assert "\n" not in str(error.value)
    assert project.read_bytes() == DAMAGED[content]
    assert list(tmp_path.iterdir()) == [project]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("row", READERS, ids=str)
def test_only_regular_files_are_read(row, tmp_path):
    project = tmp_path / f"song{row.suffixes[0]}"
    os.mkfifo(project)
    with pytest.raises(SessionError, match="not a regular file"):
        open_session(project)


@pytest.mark.parametrize("suffix", PACKAGES)
def test_a_project_that_is_a_folder_is_one_and_its_media_are_no_session(suffix, tmp_path):
    package = tmp_path / f"song{suffix}"
    made.write(package / "Media" / "Take 1.wav", made.noise(0.1))
    with pytest.raises(SessionError, match="export the tracks of your"):
        open_session(package)
    made.write(tmp_path / "other" / "Vox.wav", made.noise(0.1))
    assert list(find_sessions(tmp_path)) == [tmp_path / "other"]


def test_what_was_exported_beside_a_project_is_the_session(tmp_path):
    (tmp_path / "song.flp").touch()
    made.write(tmp_path / "Vox.wav", made.noise(0.1))
    session = open_session(tmp_path)
    assert [track.name for track in session.tracks] == ["Vox"]
    assert len(session.not_honoured) == 1
    assert session.not_honoured[0].startswith("Session: song.flp is a FL Studio project, which is not read: ")
    assert "File > Export > Wave file, with Split mixer tracks" in session.not_honoured[0]


def test_the_reference_lists_every_format():
    page = reference()
    for row in FORMATS:
        assert f"| {row.project} | " in page
        assert row.export in page
