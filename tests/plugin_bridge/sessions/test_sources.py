"""Media are found again: by any spelling beside the project, by name in the folders that the user allowed."""

import os

import pytest

from plugin_bridge.sessions.sources import MediaFolders


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"audio")
    return path


@pytest.mark.parametrize(
    ("lies", "named"),
    [
        ("Media/Kick.WAV", "media/kick.wav"),
        ("kick.wav", "D:\\Music\\Song\\kick.wav"),
        ("kick.wav", "/Users/me/Music/Song/kick.wav"),
        ("kick.wav", "..\\elsewhere\\kick.wav"),
        ("Audio/kick.wav", "C:\\Song\\Audio\\kick.wav"),
        ("Gr\u00fc\u00dfe.wav", "Gru\u0308\u00dfe.wav"),  # composed, and as macOS takes letters apart
        ("Gr\u00fc\u00dfe.wav", "Gr\u00c3\u00bc\u00c3\u009fe.wav"),  # UTF-8 that was read as Latin-1
        ("Gr\u00fc\u00dfe.wav", b"Gr\xfc\xdfe.wav".decode("utf-8", "surrogateescape")),
    ],
)
def test_beside_the_project_by_any_spelling(tmp_path, lies, named):
    path = put(tmp_path / lies)
    media = MediaFolders(tmp_path)
    assert media.find(named) == (path, "")
    assert media.elsewhere == ({} if (tmp_path / named).exists() else {named: path})


def test_in_allowed_folders_by_name_and_the_fitting_folder_wins(tmp_path):
    song, pool = tmp_path / "song", tmp_path / "pool"
    song.mkdir()
    put(pool / "a" / "kick.wav")
    fitting = put(pool / "z" / "Drums" / "kick.wav")
    assert MediaFolders(song).find("X:\\Drums\\kick.wav")[1]
    media = MediaFolders(song, [pool])
    assert media.find("X:\\Drums\\kick.wav") == (fitting, "")
    assert media.elsewhere == {"X:\\Drums\\kick.wav": fitting}


def test_never_outside(tmp_path):
    song, secret = tmp_path / "song", tmp_path / "secret"
    song.mkdir()
    hidden = put(secret / "kick.wav")
    (song / "kick.wav").symlink_to(hidden)
    (song / "linked").symlink_to(secret)
    os.mkfifo(song / "pipe.wav")
    media = MediaFolders(song)
    for name in ("kick.wav", "D:\\kick.wav", "linked/kick.wav", str(hidden), "../secret/kick.wav"):
        assert "outside" in media.find(name)[1] or "missing" in media.find(name)[1]
    assert media.find("/dev/pipe.wav")[1]
    for name in ("", "..", "/", "a\0b", "x" * 5000):
        assert media.find(name)[1]
    assert media.elsewhere == {}
