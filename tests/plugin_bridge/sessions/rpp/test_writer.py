import difflib

import numpy as np
import pytest
import rpp

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.model import (
    ChannelMode,
    Clip,
    Fade,
    FadeShape,
    Marker,
    Session,
    TempoChange,
    Track,
)
from plugin_bridge.sessions.placed import PlacedStem
from plugin_bridge.sessions.rpp.project import project_text
from plugin_bridge.sessions.rpp.writer import write_stems_project
from tests.plugin_bridge.session_helpers import RATE, item, noise, project, save, track, write

SUM_TOLERANCE = 1e-6
"""The stems are float32 files whose sum is the track to one rounding each; faders add one more."""


def stems_of(session, part, folder):
    """Two stems that sum to the track before its fader, as files at the track's place."""
    with TrackSource(session, part) as source:
        audio = source.read(0, source.frames)
        share = np.linspace(0.2, 0.9, source.frames, dtype=np.float32)
        first = audio * share
        placed = []
        for name, stem in (("kick", first), ("rest", audio - first)):
            path = write(folder / part.name / f"{name}.wav", stem)
            seconds = source.frames / source.sample_rate
            placed.append(PlacedStem(name, path, source.position_seconds, seconds))
    return placed


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def everything(part):
    return part.name, [everything(child) for child in part.children]


FULL = """<REAPER_PROJECT 0.1 "7.16/linux-x86_64" 1717171717
  <NOTES 0 2
    |Keep   these  blanks and `ticks`
  >
  SAMPLERATE 48000 0 0
  MASTER_VOLUME 0.9 0.1 -1 -1 1
  <TRACK {AAAAAAAA-0000-0000-0000-000000000001}
    NAME Bass
    MUTESOLO 0 0 0
    ISBUS 0 0
    <ITEM
      POSITION 0.5
      LENGTH 1
      <SOURCE WAVE
        FILE "media/bass.wav" 1
      >
    >
  >
  <TRACK {AAAAAAAA-0000-0000-0000-000000000002}
    NAME 'All "drums"'
    PEAKCOL 33521664
    VOLPAN 0.8 0.2 -1 -1 1
    ISBUS 1 1
  >
  <TRACK {AAAAAAAA-0000-0000-0000-000000000003}
    NAME "Kit L"
    VOLPAN 0.5 -0.25 -1 -1 1
    MUTESOLO 0 0 0
    IPHASE 1
    ISBUS 2 -1
    NCHAN 2
    FX 1
    MAINSEND 1 0
    <VOLENV2
      EGUID {BBBBBBBB-0000-0000-0000-000000000001}
      ACT 0 -1
      PT 0 1 0
    >
    <FXCHAIN
      SHOW 0
      BYPASS 1 0 0
      <VST "VST3: Some" some.vst3 0 "" 1{AB} ""
        ZWVtY+5e7f4EAAAA
      >
      FXID {BBBBBBBB-0000-0000-0000-000000000002}
    >
    <ITEM
      POSITION 1.25
      LENGTH 1
      FADEIN 1 0.25 0 1 0 0 0
      VOLPAN 0.5 0 -1 -1
      <SOURCE WAVE
        FILE "media\\kit.wav"
      >
    >
  >
  <TRACK {AAAAAAAA-0000-0000-0000-000000000004}
    NAME Reverb
    MUTESOLO 0 0 0
    ISBUS 0 0
    AUXRECV 2 0 0.5 0 0 0 0 0 0 -1:U 0 -1 ''
    AUXRECV 0 0 0.25 0 0 0 0 0 0 -1:U 0 -1 ''
    <AUXVOLENV
      PT 0 0.5 0
    >
  >
  <EXTENSIONS
  >
>
"""


@pytest.fixture
def full(tmp_path):
    write(tmp_path / "song" / "media" / "bass.wav", noise(1, seed=1))
    write(tmp_path / "song" / "media" / "kit.wav", noise(1, 2, seed=2))
    return open_session(save(tmp_path / "song", FULL, "My Song.rpp"))


def by_name(session):
    return {part.name: part for part in session.walk()}


@pytest.mark.parametrize("names", [["Bass"], ["Kit L"], ['All "drums"'], ["Bass", "Kit L", 'All "drums"']])
def test_the_mix_with_stems_equals_the_original(full, tmp_path, names):
    parts = by_name(full)
    out = tmp_path / "out"
    placed = {parts[name].identifier: stems_of(full, parts[name], out) for name in names}
    before = full.path.read_bytes()
    path = write_stems_project(full, placed, out / "My Song_stems.rpp")
    again = open_session(path, media_roots=[tmp_path])
    assert np.abs(mix(again) - mix(full)).max() < SUM_TOLERANCE
    assert full.path.read_bytes() == before
    for name in names:
        assert by_name(again)[name].muted
    assert sorted(file.name for file in out.iterdir() if file.is_file()) == ["My Song_stems.rpp"]


def test_stems_follow_their_track_in_its_folder_with_its_strip(full, tmp_path):
    parts = by_name(full)
    placed = {
        part.identifier: stems_of(full, part, tmp_path) for part in parts.values() if part.name != "Reverb"
    }
    again = open_session(write_stems_project(full, placed, tmp_path / "x.rpp"))
    assert [everything(part) for part in again.tracks] == [
        ("Bass", []),
        ("Bass kick", []),
        ("Bass rest", []),
        ('All "drums"', [("Kit L", []), ("Kit L kick", []), ("Kit L rest", [])]),
        ('All "drums" kick', []),
        ('All "drums" rest', []),
        ("Reverb", []),
    ]
    new = by_name(again)
    for name in ("kick", "rest"):
        stem, original = new[f"Kit L {name}"], parts["Kit L"]
        for field in ("volume", "pan", "inverted", "channels", "muted", "soloed", "sends_to_parent"):
            assert getattr(stem, field) == getattr(original, field)
        (clip,) = stem.clips
        assert (clip.position, clip.length) == (1.25, 1.0)
        assert (clip.gain, clip.fade_in, clip.source.name) == (1.0, Fade(), f"{name}.wav")
        assert new[f'All "drums" {name}'].color == parts['All "drums"'].color
    identifiers = [part.identifier for part in again.walk()]
    assert len(set(identifiers)) == len(identifiers)


def test_sends_still_name_their_sources_and_stems_send_too(full, tmp_path):
    kit = by_name(full)["Kit L"]
    path = write_stems_project(full, {kit.identifier: stems_of(full, kit, tmp_path)}, tmp_path / "x.rpp")
    tree = rpp.loads(path.read_text())
    names = [block.find("NAME")[1] for block in tree.findall("TRACK")]
    reverb = tree.findall("TRACK")[-1]
    sends = [(names[int(line[1])], line[2:4]) for line in reverb.findall("AUXRECV")]
    assert sends == [
        ("Kit L kick", ["0", "0.5"]),
        ("Kit L rest", ["0", "0.5"]),
        ("Kit L", ["0", "0.5"]),
        ("Bass", ["0", "0.25"]),
    ]
    # The envelope belongs to the send in front of it.
    lines = path.read_text().splitlines()
    assert lines[lines.index("    <AUXVOLENV") - 1].startswith("    AUXRECV 0 ")


def test_the_volume_before_effects_is_in_the_stems_and_not_on_them(tmp_path):
    write(tmp_path / "a.wav", noise(1))
    strip = "<VOLENV\nACT 1 -1\nPT 0 0.5 0\nPT 1 0.1 0\n>\n<PANENV2\nACT 1 -1\nPT 0 0.5 0\n>"
    session = open_session(save(tmp_path, project(track("T", item(), strip=strip))))
    (one,) = session.tracks
    placed = {one.identifier: stems_of(session, one, tmp_path)}
    again = open_session(write_stems_project(session, placed, tmp_path / "x.rpp"))
    assert np.abs(mix(again) - mix(session)).max() < 1e-6


def test_all_else_of_the_users_project_survives_word_by_word(full, tmp_path):
    kit = by_name(full)["Kit L"]
    folder = full.path.parent
    path = write_stems_project(full, {kit.identifier: stems_of(full, kit, tmp_path)}, folder / "y.rpp")
    text = path.read_text()
    difference = list(difflib.unified_diff(FULL.splitlines(), text.splitlines(), n=0, lineterm=""))[2:]
    assert [line for line in difference if line.startswith("-")] == ["-    MUTESOLO 0 0 0", "-    ISBUS 2 -1"]
    assert "    |Keep   these  blanks and `ticks`" in text
    # Effects and automation come along, without the identities that may exist only once.
    assert text.count("ZWVtY+5e7f4EAAAA") == 3
    assert text.count("EGUID") == text.count("FXID") == 1
    rpp.loads(text)


def test_without_stems_only_media_names_change(full, tmp_path):
    text = write_stems_project(full, {}, full.path.parent / "z.rpp").read_text()
    assert text == FULL
    text = write_stems_project(full, {}, tmp_path / "z.rpp").read_text()
    assert text == FULL.replace("media/bass.wav", "song/media/bass.wav").replace(
        "media\\kit.wav", "song/media/kit.wav"
    )


def test_line_ends_and_foreign_bytes_survive(tmp_path):
    write(tmp_path / "a.wav", noise(0.1))
    content = project(track("Gesäng", item(length=0.1))).replace("\n", "\r\n").encode("latin-1")
    source = tmp_path / "old.rpp"
    source.write_bytes(content)
    session = open_session(source)
    (part,) = session.tracks
    path = write_stems_project(
        session, {part.identifier: stems_of(session, part, tmp_path)}, tmp_path / "new.rpp"
    )
    new = path.read_bytes()
    assert new.count(b"\n") == new.count(b"\r\n")
    assert b'"Ges\xe4ng"' in new
    assert [one.name for one in open_session(path).tracks] == ["Gesäng", "Gesäng kick", "Gesäng rest"]


def test_a_gain_against_clipping_is_taken_back(tmp_path):
    write(tmp_path / "a.wav", noise(0.2))
    session = open_session(save(tmp_path, project(track("A", item(length=0.2)))))
    quiet = write(tmp_path / "quiet.wav", 0.5 * noise(0.2))
    placed = {session.tracks[0].identifier: [PlacedStem("all", quiet, 0.0, 0.2, gain=2.0)]}
    again = open_session(write_stems_project(session, placed, tmp_path / "x.rpp"))
    assert np.abs(mix(again) - mix(session)).max() < SUM_TOLERANCE


def test_a_soloed_track_hands_its_solo_to_its_stems(tmp_path):
    write(tmp_path / "a.wav", noise(0.2))
    text = project(track("A", item(length=0.2), strip="MUTESOLO 0 1 0"), track("B", item(length=0.2)))
    session = open_session(save(tmp_path, text))
    first = session.tracks[0]
    path = write_stems_project(
        session, {first.identifier: stems_of(session, first, tmp_path)}, tmp_path / "x.rpp"
    )
    again = open_session(path)
    assert [(part.muted, part.soloed) for part in again.tracks] == [
        (True, False),
        (False, True),
        (False, True),
        (False, False),
    ]
    assert np.abs(mix(again) - mix(session)).max() < SUM_TOLERANCE


def test_a_folder_session_becomes_a_fresh_project(tmp_path):
    stamp = 3600 * RATE
    folder = tmp_path / "export"
    write(folder / "Bass.wav", noise(1, seed=1), time_reference=stamp + RATE // 2)
    write(folder / "Drums ü.wav", noise(2, 2, seed=2), time_reference=stamp)
    session = open_session(folder)
    drums = session.tracks[1]
    out = tmp_path / "stems"
    path = write_stems_project(
        session, {drums.identifier: stems_of(session, drums, out)}, out / "export_stems.rpp"
    )
    again = open_session(path, media_roots=[tmp_path])
    assert [part.name for part in again.tracks] == ["Bass", "Drums ü", "Drums ü kick", "Drums ü rest"]
    assert again.start == 3600
    assert np.abs(mix(again) - mix(session)).max() < SUM_TOLERANCE
    tree = rpp.loads(path.read_text(encoding="utf-8"))
    files = [line[1] for block in tree.iter("SOURCE") for line in block.findall("FILE")]
    assert files == ["../export/Bass.wav", "../export/Drums ü.wav", "Drums ü/kick.wav", "Drums ü/rest.wav"]


def test_a_fresh_project_says_all_that_the_model_holds(tmp_path):
    path = write(tmp_path / "a b.wav", noise(1, 2))
    write(tmp_path / "c.flac", noise(1), format="flac", bit_depth="16")
    fades = [
        Fade(0.1, shape, None if shape is FadeShape.BEND else bend)
        for shape in FadeShape
        for bend in (None, 0.3)
    ]
    clips = [
        Clip(path, 0.25 + index, 0.75, 0.125, -0.5, fade, Fade(0.2, fade.shape, fade.bend), name=f"n{index}")
        for index, fade in enumerate(fades)
    ]
    clips += [
        Clip(path, 30, 1, fade_in=Fade(0.1, FadeShape.BEND, -0.25, 0.5), pan=0.5, muted=True),
        Clip(path, 31, 1, rate=1.5, loop=True, channel_mode=ChannelMode.SWAPPED),
        Clip(path, 32, 1, section_start=0.25, section_length=0.5),
        Clip(path, 33, 1, section_start=0.25, section_length=0.5, reversed=True),
        Clip(tmp_path / "c.flac", 34, 1, reversed=True),
    ]
    inner = Track("Inner", children=[Track("Leaf", clips=clips)])
    tracks = [
        Track("Outer `'\"", children=[inner], color="#0080ff", soloed=True, volume=0.5),
        Track("Plain", clips=clips[:1], pan=-0.25, muted=True, inverted=True, sends_to_parent=False),
    ]
    tempo = [TempoChange(0, 120, 3, 4, ramp=True), TempoChange(4, 90.5, 6, 8)]
    markers = [Marker(1, "Vers"), Marker(2, "Refrain", 2.5)]
    session = Session(tmp_path, "test", RATE, tracks, tempo, markers, 3600.0, 0.5, -0.5)
    again = open_session(save(tmp_path, project_text(session, tmp_path)))
    assert again.not_honoured == []
    assert (again.tempo, again.markers, again.start) == (tempo, markers, 3600.0)
    assert (again.master_volume, again.master_pan, again.sample_rate) == (0.5, -0.5, RATE)
    assert [everything(part) for part in again.tracks] == [
        ("Outer ''\"", [("Inner", [("Leaf", [])])]),
        ("Plain", []),
    ]
    for old, new in zip(session.walk(), again.walk(), strict=True):
        for field in ("volume", "pan", "muted", "soloed", "inverted", "sends_to_parent", "color"):
            assert getattr(old, field) == getattr(new, field)
        for clip, copy in zip(old.clips, new.clips, strict=True):
            for field in (
                "position",
                "length",
                "offset",
                "gain",
                "rate",
                "loop",
                "muted",
                "pan",
                "channel_mode",
            ):
                assert getattr(copy, field) == getattr(clip, field)
            assert (copy.source, copy.name, copy.problem) == (clip.source, clip.name, "")
            section = (clip.section_start, clip.section_length, clip.reversed)
            assert (copy.section_start, copy.section_length, copy.reversed) == section
    with TrackSource(session, inner) as old, TrackSource(again, by_name(again)["Inner"]) as new:
        assert np.array_equal(old.read(0, old.frames), new.read(0, new.frames))


def test_the_same_session_gives_the_same_project(full, tmp_path):
    kit = by_name(full)["Kit L"]
    stems = stems_of(full, kit, tmp_path)
    first = write_stems_project(full, {kit.identifier: stems}, tmp_path / "x.rpp").read_bytes()
    assert write_stems_project(full, {kit.identifier: stems}, tmp_path / "x.rpp").read_bytes() == first


def test_errors_are_clear_and_leave_nothing(full, tmp_path):
    stem = PlacedStem("kick", tmp_path / "kick.wav", 0.0, 1.0)
    with pytest.raises(SessionError, match=r"no track '\{X\}'"):
        write_stems_project(full, {"{X}": [stem]}, tmp_path / "x.rpp")
    with pytest.raises(SessionError, match="never written to"):
        write_stems_project(full, {}, full.path)
    with pytest.raises(SessionError, match="cannot be written: no such file"):
        write_stems_project(full, {}, tmp_path / "missing" / "x.rpp")
    full.path.write_text(FULL.replace("000000000003", "000000000009"))
    with pytest.raises(SessionError, match="has changed since it was read"):
        write_stems_project(full, {}, tmp_path / "x.rpp")
    assert [file.name for file in tmp_path.iterdir()] == ["song"]
