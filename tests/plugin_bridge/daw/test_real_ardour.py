"""A real Ardour, where one is installed: it makes and exports a session, opens ours, runs our action."""

import re
import shutil
import subprocess
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


def test_the_action_makes_a_snapshot_that_ardour_opens(song, tmp_path):
    (script,) = install("ardour", tmp_path)
    text = script.read_text(encoding="utf-8")
    said = in_ardour(
        tmp_path,
        "function ardour() end\n"
        f"{text}\n"
        f'Session = load_session("{song.parent}", "song")\n'
        'local snapshot, why = stembridge_stems("blind-4", {"Voice"})\n'
        'print("SNAPSHOT", snapshot, why)\nclose_session()\n'
        f'local again = load_session("{song.parent}", "song_stems")\n'
        'for route in again:get_routes():iter() do print("ROUTE " .. route:name()) end\n'
        'close_session()\nprint("ALL DONE")\nquit()\n',
    )
    assert "song_stems.ardour" in re.search("SNAPSHOT.*", said).group()
    routes = set(re.findall("ROUTE (.*)", said))
    assert {"Voice", *(f"Voice stem-{number}" for number in range(1, 5))} <= routes
