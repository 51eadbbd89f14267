"""The action for REAPER under plain Lua against a small API, with the real command line behind it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_bridge.daw.installing import install, script_folders, script_text
from tests.plugin_bridge.command_helpers import run
from tests.plugin_bridge.session_helpers import noise, write

LUA = shutil.which("lua5.4") or shutil.which("lua")
HERE = Path(__file__).parent
needs_lua = pytest.mark.skipif(LUA is None, reason="Lua is not installed")


@pytest.fixture
def act(tmp_path):
    """Runs the action with ``before`` in front, and gives what the API then tells."""
    media = write(tmp_path / "a song's band.wav", noise(2, channels=2))

    def go(before):
        (script,) = install("reaper", tmp_path / "scripts")
        text = f"MEDIA, PROJECT = {lua(media)}, {lua(tmp_path)}\ndofile({lua(HERE / 'reaper_api.lua')})\n"
        text += f"{before}\ndofile({lua(script)})\ntell()\n"
        (tmp_path / "run.lua").write_text(text)
        ended = subprocess.run(
            [LUA, str(tmp_path / "run.lua")], capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    return go


def lua(path):
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


@needs_lua
def test_stems_of_selected_items_are_tracks_in_a_folder_in_one_undo_step(act):
    said = act('chosen_preset = "blind-4"\nselected = {add(1, 1.5, 0.25, 1), add(3, 0.5, 0, 2)}')
    assert said[0] == "undo closed"
    names = [line for line in said if line.startswith("track")]
    stems = [f"track stem-{number} depth {-1 if number == 4 else 0}" for number in range(1, 5)]
    assert names == ["track Band depth 0", *["track Band stems depth 1", *stems] * 2]
    assert said.count("  item 1 1.5 from 0.25 rate 1 stem-1.wav") == 1
    assert said.count("  item 3 0.5 from 0 rate 2 stem-4.wav") == 1
    assert said.count("original muted 1") == 2


@needs_lua
def test_of_a_time_selection_only_what_lies_in_it(act):
    said = act('chosen_preset = "blind-4"\nadd(1, 1.5, 0.25, 1)\ntime_from, time_to = 1.5, 2')
    assert said.count("  item 1.5 0.5 from 0.75 rate 1 stem-1.wav") == 1
    assert "original muted 0" in said


@needs_lua
def test_cancel_and_nothing_selected_change_nothing(act):
    assert act("chosen_preset = nil\nselected = {add(1, 1, 0, 1)}") == [
        "undo ",
        "track Band depth 0",
        "original muted 0",
    ]
    assert act("")[0] == "message Select audio items, or a time with audio in it."


@needs_lua
def test_what_goes_wrong_is_said(act):
    said = act('chosen_preset = "no-such-preset"\nselected = {add(1, 1, 0, 1)}')
    assert said[0].startswith("message ")
    assert "no-such-preset" in " ".join(said)
    assert "track Band depth 0" in said


def test_scripts_call_this_program(tmp_path):
    for daw in ("reaper", "ardour"):
        assert sys.executable in script_text(daw)
        assert "@COMMAND@" not in script_text(daw)


def test_the_command_writes_them_where_the_daws_look(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    if sys.platform == "linux":
        run("daw-scripts", "install", status=1)
        (tmp_path / "ardour7").mkdir()
        (tmp_path / "REAPER").mkdir()
        run("daw-scripts", "install")
        assert (tmp_path / "ardour7" / "scripts" / "stembridge_ardour.lua").is_file()
        assert (tmp_path / "REAPER" / "Scripts" / "stembridge_reaper.lua").is_file()
    run("daw-scripts", "install", "reaper", "--to", tmp_path / "x")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["stembridge_reaper.lua"]


def test_folders_on_other_systems(tmp_path):
    (tmp_path / "Library" / "Application Support" / "REAPER").mkdir(parents=True)
    (tmp_path / "Library" / "Preferences" / "Ardour8").mkdir(parents=True)
    assert script_folders("reaper", tmp_path, "darwin", {})[0].name == "Scripts"
    assert script_folders("ardour", tmp_path, "darwin", {})[0].parent.name == "Ardour8"
    assert script_folders("reaper", tmp_path, "win32", {}) == []
