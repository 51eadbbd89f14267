"""A real Ardour, where one is installed: it makes and exports a session, opens ours, runs our action."""

import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from plugin_bridge.daw.installing import install
from plugin_bridge.daw.rendering import render_by_daw
from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions.ardour.reader import read_ardour
from plugin_bridge.sessions.ardour.writer import write_stems_snapshot
from plugin_bridge.sessions.placed import PlacedStem
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.daw import ardour_window
from tests.plugin_bridge.session_helpers import noise, read, write

LUA, EXPORT = shutil.which("ardour7-lua"), shutil.which("ardour7-export")
pytestmark = pytest.mark.skipif(not (LUA and EXPORT), reason="Ardour 7 is not installed")
SAME = 1e-6
"""-120 dB."""


def in_ardour(folder, text, makes=None):
    script = folder / "script.lua"
    script.write_text(text)
    for _ in range(4):  # it aborts now and then at its end
        if makes:
            shutil.rmtree(makes, ignore_errors=True)  # what it finds it loads, and connects no new track
        ended = subprocess.run([LUA, str(script)], capture_output=True, text=True, check=False, timeout=120)
        if "ALL DONE" in ended.stdout:
            return ended.stdout
    raise AssertionError(ended.stdout[-2000:] + ended.stderr[-2000:])


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """A session that Ardour made, with a faded region, in which nothing but the region was written by us."""
    folder = tmp_path_factory.mktemp("ardour")
    home = folder / "song"
    in_ardour(
        folder,
        f's = create_session("{home}", "song", 48000)\n'
        's:new_audio_track(1, 2, nil, 1, "Voice", ARDOUR.PresentationInfo.max_order, '
        "ARDOUR.TrackMode.Normal, true)\n"
        # A thread of Ardour's own connects new tracks to the master, some time later.
        'local output = s:route_by_name("Voice"):output()\n'
        "local function connected() return output:audio(0):connected() and output:audio(1):connected() end\n"
        "for _ = 1, 1000 do if connected() then break end ARDOUR.LuaAPI.usleep(10000) end\n"
        'assert(connected(), "the track is not connected")\n'
        's:save_state("", false, false, false, false, false)\nclose_session()\nprint("ALL DONE")\nquit()\n',
        makes=home,
    )
    write(ardour.media(home), noise(2))
    path = home / "song.ardour"
    tree = ElementTree.parse(path)
    root = tree.getroot()
    counter = int(root.get("id-counter"))
    fade = [(0, 0), (0.2, 0.7), (0.5, 1)]
    # Its fade-out is the one that Ardour gives regions that say none.
    inner = ardour.curve("FadeIn", "fadein", fade)
    region = ardour.region(0.5, 1.5, 0.25, (str(counter),), f'id="{counter + 1}"', inner)
    region = region.replace('fade-out-active="0"', 'fade-out-active="1"')
    root.find("Sources").append(
        ElementTree.fromstring(ardour.source(counter, extra='flags="" origin="a.wav"'))
    )
    root.find("Playlists/Playlist").append(ElementTree.fromstring(region))
    span = {"name": "session", "start": "a0", "end": ardour.clocks(2.5), "flags": "IsSessionRange"}
    ElementTree.SubElement(root.find("Locations"), "Location", {**span, "id": str(counter + 2)})
    root.set("id-counter", str(counter + 10))
    tree.write(path, encoding="UTF-8", xml_declaration=True)
    return path


@pytest.fixture(scope="module")
def exported(song, tmp_path_factory):
    (file,) = render_by_daw(song, tmp_path_factory.mktemp("export"), mix=True, time_limit=120)
    return read(file)


def test_our_mix_is_ardours_export(song, exported):
    with MixSource(read_ardour(song)) as source:
        assert source.not_honoured == []
        audio = source.read(0, source.frames)
    assert np.abs(exported[:, : audio.shape[1]] - audio).max() < SAME
    assert np.abs(audio).max() > 0.1


def test_ardour_exports_the_snapshot_with_stems_as_it_does_the_session(song, exported, tmp_path):
    session = read_ardour(song)
    (track,) = session.tracks
    with TrackSource(session, track) as source:
        audio = source.read(0, source.frames)
        stems = [
            PlacedStem(
                name,
                write(tmp_path / f"{name}.wav", part),
                source.position_seconds,
                source.frames / source.sample_rate,
            )
            for name, part in (("voice", 0.3 * audio), ("rest", audio - 0.3 * audio))
        ]
    before = song.read_bytes()
    written = write_stems_snapshot(session, {track.identifier: stems}, song.with_name("song_stems.ardour"))
    (file,) = render_by_daw(written, tmp_path, mix=True, time_limit=120)
    written.unlink()
    assert song.read_bytes() == before
    # Stems outside the session's folder are opened by Ardour alone.
    assert np.abs(read(file) - exported).max() < SAME


def test_a_track_that_ardour_renders_is_the_track_before_its_fader(song, tmp_path):
    (file,) = render_by_daw(song, tmp_path, ["voice"], time_limit=120)
    session = read_ardour(song)
    with TrackSource(session, session.tracks[0], whole=True) as source:
        audio = source.read(0, source.frames)
    assert np.abs(read(file)[:, : audio.shape[1]] - audio).max() < SAME
    with pytest.raises(SessionError, match="there are: Voice"):
        render_by_daw(song, tmp_path, ["drums"])


def action(folder):
    """The action as it is installed, but that ``blind-4`` is the only preset."""
    real = shlex.join([sys.executable, "-m", "plugin_bridge"])
    command = folder / "command"
    only = '{"presets": [{"name": "blind-4"}]}'
    command.write_text(f'#!/bin/sh\nif [ "$1" = presets ]; then echo \'{only}\'; else exec {real} "$@"; fi\n')
    command.chmod(0o755)
    (script,) = install("ardour", folder)
    text = script.read_text(encoding="utf-8")
    assert real in text
    script.write_text(text.replace(real, str(command)), encoding="utf-8")
    return script


EDITOR = """
Editing = {}
LuaDialog = {MessageType = {}, ButtonType = {}}
function LuaDialog.Message(title, text) print("SAID " .. text); return {run = function() end} end
function LuaDialog.Dialog(title, asked)
  return {run = function() return chosen and {preset = asked[1].default} end}
end
Editor = {}
function Editor:get_selection()
  local all = {iter = function() return Session:get_tracks():iter() end}
  return {tracks = {routelist = function() return all end}}
end
function Editor:do_import(files, _, _, _, _, _, at, _, track)
  for path in files:iter() do print("IMPORT " .. track:name() .. " at " .. at:samples() .. " " .. path) end
end
"""
"""What only the program with a window has."""


def test_the_action_adds_tracks_to_the_running_session(song, tmp_path):
    shutil.copytree(song.parent, tmp_path / "song")
    said = in_ardour(
        tmp_path,
        f"function ardour() end\ndofile('{action(tmp_path)}')\n"
        f'Session = load_session("{tmp_path / "song"}", "song")\n{EDITOR}\n'
        'Session:new_route_group("Band & Co"):add(Session:route_by_name("Voice"))\n'
        # Ardour keeps the compiled function and nothing around it.
        "act = load(string.dump(factory, true))()\n"
        'act()\nprint("ROUTES " .. Session:get_tracks():size())\nchosen = true\nact()\n'
        "ARDOUR.LuaAPI.usleep(500000)  -- faders are moved by another thread\n"
        "for route in Session:get_routes():iter() do\n"
        "  local place, muted = route:presentation_info_ptr():order(), route:mute_control():get_value()\n"
        '  print(("ROUTE %s %d %d"):format(route:name(), place, muted))\nend\n'
        'Session:save_state("", false, false, false, false, false)\nclose_session()\n'
        'print("ALL DONE")\nquit()\n',
    )
    lines = said.splitlines()
    assert "ROUTES 1" in lines  # cancelled
    assert "SAID 4 stems are tracks under their muted sources." in lines
    imported = [line.rsplit(" ", 1) for line in lines if line.startswith("IMPORT")]
    folder = tmp_path / "song" / "stems" / "Voice"
    assert imported == [
        [f"IMPORT Voice stem-{n} at 24000", str(folder / f"stem-{n}.wav")] for n in range(1, 5)
    ]
    routes = sorted((line for line in lines if line.startswith("ROUTE ")), key=lambda line: line[-3:])
    assert routes == [
        "ROUTE Master 0 0",
        "ROUTE Voice 1 1",
        *(f"ROUTE Voice stem-{n} {n + 1} 0" for n in range(1, 5)),
    ]
    # They stay in the group of their source.
    (group,) = (
        ElementTree.parse(tmp_path / "song" / "song.ardour").getroot().iterfind("RouteGroups/RouteGroup")
    )
    assert (group.get("name"), len(group.get("routes").split())) == ("Band & Co", 5)


@pytest.mark.skipif(not ardour_window.is_installed(), reason="Ardour, Xvfb or xdotool is not installed")
def test_the_action_in_ardours_own_window_leaves_a_session_that_sounds_the_same(song, exported, tmp_path):
    shutil.copytree(song.parent, tmp_path / "song")
    path, title = tmp_path / "song" / "song.ardour", "Stembridge: stems"
    with ardour_window.opened(tmp_path, path, action(tmp_path)) as window:
        window.wait("song - Ardour")
        window.press("song - Ardour", "F12")
        window.wait(title)
        window.press(title, "alt+c")
        window.wait(title, gone=True)
        assert not (tmp_path / "song" / "stems").exists()  # cancelled
        window.press("song - Ardour", "F12")
        window.wait(title)
        window.press(title, "alt+o")
        window.wait(title, gone=True)
        window.wait(title)  # what was done
        window.press(title, "alt+c")
        window.wait(title, gone=True)
        window.press("song - Ardour", "ctrl+s")
        window.press("song - Ardour", "ctrl+q")
    session = read_ardour(path)
    assert [track.name for track in session.tracks] == ["Voice", *(f"Voice stem-{n}" for n in range(1, 5))]
    assert [track.muted for track in session.tracks] == [True, *[False] * 4]
    assert [clip.position for track in session.tracks for clip in track.clips] == [0.5] * 5
    (group,) = ElementTree.parse(path).getroot().iterfind("RouteGroups/RouteGroup")
    assert group.get("name") == "Voice stems"
    (file,) = render_by_daw(path, tmp_path, mix=True, time_limit=120)
    assert np.abs(read(file) - exported).max() < SAME
