import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions.ardour.reader import read_ardour
from plugin_bridge.sessions.ardour.writer import write_stems_snapshot
from plugin_bridge.sessions.placed import PlacedStem
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.ardour_helpers import RATE
from tests.plugin_bridge.session_helpers import noise, write

SUM_TOLERANCE = 1e-6
"""-120 dB: two stems are two roundings more than one track."""


@pytest.fixture
def song(tmp_path):
    """A session with a bus, a send, automation and a plug-in, and what it was read from."""
    audio = noise(2, channels=1)
    write(ardour.media(tmp_path), audio)
    fader = '<Controllable name="gaincontrol" value="0.25"/>'
    strip = (
        f'<Processor id="70" type="intsend" role="Aux" active="1" bitslot="1" target="3">{fader}</Processor>'
        '<Processor id="71" type="lv2" active="1" name="Echo" unique-id="urn:echo"/>'
    )
    to = ["Bus/audio_in 1", "Bus/audio_in 2"]
    routes = [
        ardour.master(),
        ardour.route("Voice", 1, playlist=10, to=to, strip=strip, gain=0.5, pan=0.3, polarity="1", trim=2),
        ardour.route("Bus", 2, channels=2, flags="AudioBus"),
        ardour.route("Echo", 3, channels=2, flags="AudioBus"),
    ]
    routes[2] = routes[2].replace(
        '<Port type="audio" name="Bus/audio_in 1">',
        '<Port type="audio" name="Bus/audio_in 1"><Connection other="Voice/audio_out 1"/>',
    )
    text = ardour.session(
        routes, [ardour.playlist(10, ardour.region(1.0, 1.0, 0.5, ("50",)))], [ardour.source(50)]
    )
    path = ardour.save(tmp_path, text)
    (tmp_path / "plugins" / "71" / "state1").mkdir(parents=True)
    (tmp_path / "plugins" / "71" / "state1" / "state.ttl").write_text("echo")
    part = audio[:, RATE // 2 : RATE // 2 + RATE]
    stems = [
        PlacedStem(name, write(tmp_path / "stems" / f"{name}.wav", level * part), 1.0, 1.0, 1 / gain)
        for name, level, gain in (("voice", 0.5, 1.0), ("rest", 0.75, 0.5))  # behind the trim
    ]
    return path, stems


def rendered(path):
    with MixSource(read_ardour(path)) as source:
        return source.read(0, source.frames)


def test_the_mix_of_the_snapshot_is_that_of_the_session(song):
    path, stems = song
    before = path.read_bytes()
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    assert path.read_bytes() == before
    assert np.abs(rendered(written) - rendered(path)).max() < SUM_TOLERANCE


def test_a_session_that_is_moved_takes_its_stems_along(song, tmp_path_factory):
    path, stems = song
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    media = ardour.media(path.parent).parent
    assert len(list(media.iterdir())) == 3
    write_stems_snapshot(read_ardour(path), {"1": stems}, written)
    assert len(list(media.iterdir())) == 3
    before = rendered(written)
    shutil.rmtree(path.parent / "stems")
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(path.parent, moved)
    session = read_ardour(moved / written.name)
    assert not [line for line in session.not_honoured if "Echo" not in line]
    assert np.array_equal(rendered(moved / written.name), before)


def test_audio_is_never_put_outside_the_session(song, tmp_path_factory):
    path, stems = song
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "media"
    shutil.move(path.parent / "interchange", elsewhere)
    (path.parent / "interchange").mkdir()
    (path.parent / "interchange" / "a").symlink_to(elsewhere / "song")
    write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    assert [file.name for file in (elsewhere / "song" / "audiofiles").iterdir()] == ["a.wav"]
    assert len(list(ardour.media(path.parent).parent.iterdir())) == 2


def test_stems_are_named_coloured_tracks_under_their_muted_source(song):
    path, stems = song
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    bus, _ = read_ardour(written).tracks
    assert [(track.name, track.muted) for track in bus.children] == [
        ("Voice", True),
        ("Voice voice", False),
        ("Voice rest", False),
    ]
    source, *made = bus.children
    for track, stem in zip(made, stems, strict=True):
        assert (track.volume, track.pan, track.inverted) == (0.5, source.pan, True)
        assert track.plugins == ["Echo"]
        assert track.sends == source.sends
        assert track.color.startswith("#")
        (clip,) = track.clips
        assert (clip.position, clip.length, clip.gain) == (1.0, 1.0, stem.gain)
        assert clip.source.samefile(stem.path)


def test_nothing_has_an_id_twice_and_plugin_states_are_copied(song):
    path, stems = song
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    root = ElementTree.parse(written).getroot()
    ids = Counter(element.get("id") for element in root.iter() if element.get("id"))
    assert [one for one, count in ids.items() if count > 1] == []
    assert int(root.get("id-counter")) > max(int(one) for one in ids)
    plugins = [one.get("id") for one in root.iter("Processor") if one.get("type") == "lv2"]
    assert len(plugins) == 3
    for identifier in plugins:
        assert (path.parent / "plugins" / identifier / "state1" / "state.ttl").read_text() == "echo"
    slots = [one.get("bitslot") for one in root.iter("Processor") if one.get("bitslot")]
    assert len(set(slots)) == 3
    orders = [int(info.get("order")) for info in root.iter("PresentationInfo")]
    assert sorted(orders) == list(range(len(orders)))


def test_the_bus_is_connected_to_the_new_ports(song):
    path, stems = song
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    root = ElementTree.parse(written).getroot()
    port = next(one for one in root.iter("Port") if one.get("name") == "Bus/audio_in 1")
    assert {one.get("other") for one in port} == {
        "Voice/audio_out 1",
        "Voice voice/audio_out 1",
        "Voice rest/audio_out 1",
    }


def groups(path):
    found = ElementTree.parse(path).getroot().iterfind("RouteGroups/RouteGroup")
    return {group.get("name"): group.get("routes").split() for group in found}


def test_stems_stay_in_the_group_of_their_source_or_have_one_of_their_own(song):
    path, stems = song
    out = path.with_name("song_stems.ardour")
    ((name, members),) = groups(write_stems_snapshot(read_ardour(path), {"1": stems}, out)).items()
    assert (name, len(members), "1" in members) == ("Voice stems", 2, False)
    shared = '<RouteGroups><RouteGroup id="60" name="Band" mute="1" solo="1" routes="1 3 "/></RouteGroups>'
    path.write_text(path.read_text().replace("</Session>", f"{shared}</Session>"))
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, out)
    ((name, members),) = groups(written).items()
    assert (name, members[:2], len(members)) == ("Band", ["1", "3"], 4)
    routes = {one.get("id"): one.get("name") for one in ElementTree.parse(written).getroot().iter("Route")}
    assert [routes[one] for one in members[2:]] == ["Voice voice", "Voice rest"]
    assert np.abs(rendered(written) - rendered(path)).max() < SUM_TOLERANCE


def test_stems_follow_the_vca_of_their_source_from_where_it_stood(song):
    path, stems = song
    fader = '<Controllable name="gaincontrol" id="95" value="0.25"/><Controllable name="solo" self-solo="1"/>'
    stood = '<masters><master id="95" val-ctrl="0.5" val-master="0.5"/></masters>'
    vca = f'<VCAManager><VCA name="v" number="1">{fader}</VCA></VCAManager>'
    text = path.read_text().replace("</Session>", f"{vca}</Session>")
    voice = '<Controllable name="gaincontrol" value="0.5"/>'
    assert text.count(voice) == 1
    text = text.replace(voice, f'<Controllable name="gaincontrol" value="0.5">{stood}</Controllable>')
    first, others = text.split("</Route>", 2)[:2], text.split("</Route>", 2)[2]
    follows = '<Slavable><Master number="1"/></Slavable></Route>'
    path.write_text("</Route>".join(first) + follows + others)
    before = rendered(path)
    written = write_stems_snapshot(read_ardour(path), {"1": stems}, path.with_name("song_stems.ardour"))
    assert np.abs(before).max() > 0.01
    assert np.abs(rendered(written) - before).max() < SUM_TOLERANCE
    (bus, _) = read_ardour(written).tracks
    assert [track.vcas for track in bus.children] == [["1", "1 from 0.5"]] * 3


def test_stems_that_wait_are_muted(song):
    path, (first, second) = song
    waiting = PlacedStem(second.name, second.path, 1.0, 1.0, muted=True)
    out = path.with_name("song_stems.ardour")
    (bus, _) = read_ardour(write_stems_snapshot(read_ardour(path), {"1": [first, waiting]}, out)).tracks
    assert [track.muted for track in bus.children] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "tracks", "version", "said"),
    [
        ("song.ardour", "1", "7002", "never written to"),
        ("elsewhere/song_stems.ardour", "1", "7002", "in its session's folder"),
        ("song_stems.ardour", "99", "7002", "no track '99'"),
        ("song_stems.ardour", "1", "3002", "newer Ardour"),
    ],
)
def test_what_cannot_be_written_is_said(song, name, tracks, version, said):
    path, stems = song
    session = read_ardour(path)
    path.write_text(
        path.read_text().replace('version="7002" name="song"', f'version="{version}" name="song"')
    )
    with pytest.raises(SessionError, match=said):
        write_stems_snapshot(session, {tracks: stems}, path.parent / name)
