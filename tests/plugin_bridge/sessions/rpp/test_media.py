"""Where the media of REAPER projects are looked for, and which project of a folder is opened."""

import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions import open_session
from tests.plugin_bridge.session_helpers import item, noise, project, save, track, write


def only_clip(session):
    (clip,) = [clip for part in session.walk() for clip in part.clips]
    return clip


def test_media_outside_the_folder_need_permission(tmp_path):
    folder, other = tmp_path / "song", tmp_path / "pool"
    folder.mkdir()
    write(other / "b.wav", noise(1))
    (folder / "link.wav").symlink_to(other / "b.wav")
    for name in ("../pool/b.wav", str(other / "b.wav"), "link.wav", "/etc/passwd", "/dev/zero"):
        path = save(folder, project(track("T", item(file=name))))
        session = open_session(path)
        assert "outside the project folder" in only_clip(session).problem
        assert session.not_honoured == [f"T: {only_clip(session).problem}"]
    path = save(folder, project(track("T", item(file="../pool/b.wav"))))
    assert only_clip(open_session(path, media_roots=[other])).problem == ""


def test_missing_and_irregular_media_are_said(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    for name, words in (("no.wav", "is missing"), ("folder.wav", "not a regular"), ("a\\0b", "missing")):
        session = open_session(save(tmp_path, project(track("T", item(file=name)))))
        assert words in only_clip(session).problem
        assert len(session.not_honoured) == 1


def test_windows_names_and_any_letters(tmp_path):
    write(tmp_path / "Médias" / "Grüße 音.wav", noise(1))
    session = open_session(
        save(tmp_path, project(track("T", item(file="Médias\\Grüße 音.wav"))), "Lied 歌.RPP")
    )
    assert only_clip(session).problem == ""
    assert session.name == "Lied 歌"


def test_latin_1_projects_are_read(tmp_path):
    path = tmp_path / "old.rpp"
    path.write_bytes(project(track("Gesäng")).encode("latin-1"))
    assert open_session(path).tracks[0].name == "Gesäng"


def test_a_folder_opens_its_only_project(tmp_path):
    save(tmp_path, project(track("T")), "a.RPP")
    assert open_session(tmp_path).name == "a"
    save(tmp_path, project(), "a_stems.rpp")
    save(tmp_path, project(), "a.rpp-bak")
    assert open_session(tmp_path).name == "a"
    save(tmp_path, project(), "b.rpp")
    with pytest.raises(SessionError, match=r"several REAPER projects; name one of them: a\.RPP, b\.rpp"):
        open_session(tmp_path)


def test_what_is_no_session_is_said(tmp_path):
    (tmp_path / "a.song").touch()
    for path, words in (
        (tmp_path / "a.song", "not a session"),
        (tmp_path / "no.rpp", "no such"),
        (tmp_path, "no audio"),
    ):
        with pytest.raises(SessionError, match=words):
            open_session(path)
