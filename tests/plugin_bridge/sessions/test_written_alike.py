"""The same session as an Ardour session, a REAPER project and a DAWproject renders to the same samples."""

from dataclasses import replace

import numpy as np
import pytest

from plugin_bridge.rendering.flattening import flattened
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.dawproject.project import write_dawproject
from plugin_bridge.sessions.formats import write_stems
from plugin_bridge.sessions.model import (
    Clip,
    Envelope,
    MidiNote,
    Overlap,
    PanMode,
    Parameter,
    PluginState,
    Point,
    PointShape,
    Scale,
    Send,
    Session,
    Tap,
    Track,
    Vca,
)
from plugin_bridge.sessions.placed import PlacedStem
from plugin_bridge.sessions.rpp.project import project_text
from plugin_bridge.sessions.rpp.writer import write_stems_project
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.session_helpers import RATE, noise, save, write

SAME_DB = -120.0


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def difference_db(one, other):
    frames = min(one.shape[1], other.shape[1])
    assert abs(one.shape[1] - other.shape[1]) <= 1
    one, other = one[:, :frames].astype(float), other[:, :frames]
    return 10 * np.log10(max(np.mean((one - other) ** 2) / np.mean(one**2), 1e-30))


@pytest.fixture
def song(tmp_path):
    """Mono and stereo tracks, a bus, a send, faders, pans, mutes, polarity, regions with gains and fades."""
    folder = tmp_path / "ardour"
    write(ardour.media(folder), noise(2.0))
    write(ardour.media(folder, "b.wav"), noise(2.0, channels=2, seed=1))
    fades = ardour.curve("FadeIn", "fadein", [(0, 0), (0.25, 1)])
    fades += ardour.curve("FadeOut", "fadeout", [(0, 1), (0.5, 0)])
    lead = [
        ardour.region(0.25, 1.0, 0.5, extra='scale-amplitude="0.7"', inner=fades),
        ardour.region(1.5, 0.5, 0.25),
    ]
    wide = [ardour.region(0.5, 1.25, 0.125, ("2", "3"))]
    send = (
        '<Processor type="intsend" role="Aux" active="1" target="4"><PannerShell linked-to-route="1"/>'
        '<Controllable name="gaincontrol" value="0.5"/></Processor>'
    )
    routes = [
        ardour.master(gain=0.9),
        ardour.route("Lead", 1, playlist=10, gain=0.8, pan=0.3, trim=1.25),
        ardour.route("Middle", 5, playlist=12, gain=0.6, polarity="1"),
        ardour.route("Wide", 2, playlist=11, channels=2, pan=0.7, to="Group", strip=send),
        ardour.route("Quiet", 3, playlist=13, muted=1),
        ardour.route("Room", 4, channels=2, flags="AudioBus", gain=0.5),
        ardour.route("Group", 6, channels=2, flags="AudioBus", gain=0.75),
    ]
    playlists = [
        ardour.playlist(10, *lead),
        ardour.playlist(11, *wide),
        ardour.playlist(12, ardour.region(0.0, 0.75)),
        ardour.playlist(13, ardour.region()),
    ]
    sources = [ardour.source(1), ardour.source(2, "b.wav"), ardour.source(3, "b.wav", 1)]
    return open_session(ardour.save(folder, ardour.session(routes, playlists, sources)))


def test_the_same_session_in_three_formats_is_the_same_sound(song, tmp_path):
    said = []
    project = save(tmp_path, project_text(song, tmp_path, said.append))
    assert said == []
    audio = mix(song)
    assert np.abs(audio).max() > 0.1
    again = open_session(project)
    assert again.not_honoured == []
    assert difference_db(audio, mix(again)) < SAME_DB
    assert write_dawproject(song, tmp_path / "song.dawproject") == ["Middle: its polarity is not written"]
    for one in song.tracks:  # which DAWproject has no words for
        one.inverted = False
    again = open_session(tmp_path / "song.dawproject")
    assert again.not_honoured == []
    assert difference_db(mix(song), mix(again)) < SAME_DB


@pytest.mark.parametrize("pan", [0.5, 0.1, 1.0])
@pytest.mark.parametrize("tap", list(Tap))
def test_sends_and_pans_of_a_mono_track_survive(tmp_path, pan, tap):
    write(tmp_path / "a.wav", noise(1.0))
    one = Track("One", [Clip(tmp_path / "a.wav", 0, 1)], identifier="1", volume=0.5, channels=1, trim=0.5)
    one.pan, one.pan_mode = 2 * pan - 1, PanMode.ARDOUR_MONO
    is_linked = tap is Tap.PRE_PAN
    law = PanMode.ARDOUR_MONO if is_linked else PanMode.BALANCE
    one.sends = [Send("2", 0.7, tap=tap, pan=one.pan if is_linked else 0.0, pan_mode=law)]
    session = Session(tmp_path, "test", RATE, [one, Track("Two", identifier="2", is_bus=True, volume=0.4)])
    said = []
    again = open_session(save(tmp_path, project_text(session, tmp_path, said.append)))
    assert said == []
    assert difference_db(mix(session), mix(again)) < SAME_DB


def envelope(parameter, *values, **options):
    points = (Point(0.2, values[0]), Point(0.8, values[1], PointShape.HOLD), Point(0.9, values[0]))
    return Envelope(parameter, points, **options)


MUTE = Envelope(Parameter.MUTE, (Point(0.3, 1.0, PointShape.HOLD), Point(0.5, 0.0, PointShape.HOLD)))


@pytest.mark.parametrize(
    "envelopes",
    [
        [envelope(Parameter.VOLUME, 1.0, 0.25)],
        [envelope(Parameter.VOLUME, 1.0, 0.25, relative=False, scale=Scale.REAPER_FADER)],
        [envelope(Parameter.VOLUME, 1.0, 0.25, relative=False), envelope(Parameter.PAN, -1.0, 0.5)],
        [envelope(Parameter.PAN, -1.0, 0.5, relative=False), MUTE],
        [envelope(Parameter.PRE_EFFECTS_VOLUME, 1.0, 0.5), envelope(Parameter.TRIM, 0.5, 1.0)],
        [Envelope(Parameter.VOLUME, (Point(0, 1, PointShape.BEZIER, 0.5), Point(1, 0.1)))],
    ],
)
def test_automation_of_strips_clips_sends_and_the_master_survives(tmp_path, envelopes):
    write(tmp_path / "a.wav", noise(1.0, channels=2))
    moves = (envelope(Parameter.VOLUME, 0.5, 1.0), envelope(Parameter.PAN, -0.5, 0.5))
    clip = Clip(tmp_path / "a.wav", 0, 1, envelopes=moves, rate=1.25)
    one = Track("One", [clip], identifier="1", volume=0.5, pan=0.25, envelopes=envelopes)
    one.vcas = ["v"]
    one.trim = 0.8
    one.sends = [Send("2", 0.7, envelopes=(envelope(Parameter.VOLUME, 0.1, 1.0),))]
    two = Track("Two", identifier="2", is_bus=True, pan_mode=PanMode.STEREO, width=0.5, pan=0.2)
    vca = Vca("v", "Lead", 0.6, envelopes=[envelope(Parameter.VOLUME, 1.0, 0.5)])
    session = Session(tmp_path, "test", RATE, [one, two], vcas=[vca], master_envelopes=[moves[1]])
    session.master_volume, session.master_mono = 0.9, True
    said = []
    again = open_session(save(tmp_path, project_text(session, tmp_path, said.append)))
    assert said == []
    assert again.not_honoured == []
    assert difference_db(mix(session), mix(again)) < SAME_DB


ON_FADER = envelope(Parameter.VOLUME, 1.0, 0.25, relative=False, scale=Scale.REAPER_FADER)


@pytest.mark.parametrize(
    ("envelopes", "lines", "limit_db"),
    [
        ([envelope(Parameter.VOLUME, 1.0, 0.25)], [], SAME_DB),
        ([envelope(Parameter.VOLUME, 1.0, 0.25, relative=False), MUTE], [], SAME_DB),
        ([envelope(Parameter.PAN, -0.5, 0.5)], [], SAME_DB),
        ([ON_FADER], ["One: an envelope of volume is written in straight lines"], -65.0),
        ([replace(ON_FADER, relative=True)], [], -65.0),
        (
            [envelope(Parameter.TRIM, 1.0, 1.0), envelope(Parameter.WIDTH, 1.0, 1.0)],
            [f"One: its automation of {name} is not written" for name in ("trim", "width")],
            SAME_DB,
        ),
        (
            [envelope(Parameter.VOLUME, 1.0, 1.0), envelope(Parameter.VOLUME, 1.0, 1.0)],
            ["One: its automation of volume is not written"],
            SAME_DB,
        ),
    ],
)
@pytest.mark.parametrize("of", ["strip", "send"])
def test_automation_of_strips_and_sends_survives_in_a_dawproject(tmp_path, envelopes, lines, limit_db, of):
    """On top of faders or in their place; what another scale bends comes in many short lines."""
    write(tmp_path / "a.wav", noise(1.0, channels=2))
    one = Track("One", [Clip(tmp_path / "a.wav", 0, 1)], identifier="1", volume=0.5, pan=0.25)
    one.sends = [Send("2", 0.7, pan=0.2)]
    if of == "strip":
        one.envelopes = envelopes
    else:
        one.sends = [replace(one.sends[0], envelopes=tuple(envelopes))]
        lines = [line.replace("its automation", "a send's automation") for line in lines]
    session = Session(tmp_path, "test", RATE, [one, Track("Two", identifier="2", is_bus=True)])
    assert write_dawproject(session, tmp_path / "song.dawproject") == lines
    again = open_session(tmp_path / "song.dawproject")
    assert again.not_honoured == []
    assert difference_db(mix(session), mix(again)) < limit_db


def test_a_volume_that_moves_keeps_the_loudness_of_its_pan_law(tmp_path):
    write(tmp_path / "a.wav", noise(1.0, channels=2))
    moves = [envelope(Parameter.VOLUME, 1.0, 0.25, relative=False)]
    one = Track("One", [Clip(tmp_path / "a.wav", 0, 1)], identifier="1", pan_law=0.5, envelopes=moves)
    session = Session(tmp_path, "test", RATE, [one])
    assert write_dawproject(session, tmp_path / "song.dawproject") == []
    assert difference_db(mix(session), mix(open_session(tmp_path / "song.dawproject"))) < SAME_DB


@pytest.mark.parametrize("size", [0, 5, 95, 96, 1000])
def test_vst3_plugins_come_along_with_their_states(tmp_path, size):
    write(tmp_path / "a.wav", noise(1.0))
    state = bytes(n % 251 for n in range(size))
    chain = [
        PluginState('Fat "Comp"', "VST3", "0123456789ABCDEF" * 2, state, state[:7], file="Fat Comp.vst3"),
        PluginState("Synth", "VST3", "F" * 32, state, bypassed=True, role="instrument"),
    ]
    one = Track("One", [Clip(tmp_path / "a.wav", 0, 1)], identifier="1", chain=chain)
    session = Session(tmp_path, "test", RATE, [one], master_chain=chain[:1])
    said = []
    again = open_session(save(tmp_path, project_text(session, tmp_path, said.append)))
    assert said == []
    found = again.tracks[0].chain
    assert [(p.identifier, p.state, p.controller_state, p.bypassed, p.file) for p in found] == [
        (p.identifier, p.state, p.controller_state, p.bypassed, p.file) for p in chain
    ]
    assert [(p.name, p.role) for p in found] == [
        ('VST3: Fat "Comp"', "effect"),
        ("VST3i: Synth", "instrument"),
    ]
    assert [p.state for p in again.master_chain] == [state]
    stem = PlacedStem("bass", write(tmp_path / "bass.wav", noise(1.0)), 0.0, 1.0)
    path = write_stems_project(session, {"1": [stem]}, tmp_path / "stems.rpp", said.append)
    source, made = open_session(path).tracks
    assert (source.muted, made.name, made.chain, said) == (True, "One bass", found, [])
    assert path.read_text().count("FXID") == 3  # of the track and of the master; the stem's REAPER makes


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (PanMode.STEREO, []),
        (PanMode.DUAL, ["Master: its dual pan is written as a balance"]),
        (
            PanMode.ARDOUR_STEREO,
            ["Master: its Ardour's equal power stereo panner is written as a balance"],
        ),
    ],
)
def test_the_masters_pan_is_written_or_said(tmp_path, mode, said):
    wide = write(tmp_path / "a.wav", noise(1.0, channels=2))
    track = Track("One", [Clip(wide, 0, 1)])
    session = Session(tmp_path, "test", RATE, [track], master_pan_mode=mode, master_pan=0.25)
    session.master_width, session.master_dual_pan = 0.5, (0.0, 0.5)
    heard = []
    again = open_session(save(tmp_path, project_text(session, tmp_path, heard.append)))
    assert heard == said
    if not said:
        assert difference_db(mix(session), mix(again)) < SAME_DB
    assert [line for line in write_dawproject(session, tmp_path / "a.dawproject") if "Master" in line] == [
        f"Master: its {mode.value} is written as a balance"
    ]


def test_a_masters_pan_that_does_nothing_is_not_said(tmp_path):
    track = Track("One", [Clip(write(tmp_path / "a.wav", noise(1.0, channels=2)), 0, 1)])
    for mode in PanMode:
        session = Session(tmp_path, "test", RATE, [track], master_pan_mode=mode)
        said = []
        project_text(session, tmp_path, said.append)
        assert said + write_dawproject(session, tmp_path / "a.dawproject") == []


def test_what_a_reaper_project_cannot_hold_is_said(tmp_path):
    write(tmp_path / "a.wav", noise(1.0))
    one = Track("One", [Clip(tmp_path / "a.wav", 0, 1, overlap=Overlap.REPLACE, layer=n) for n in (0, 1)])
    one.chain, one.notes = [PluginState("Echo", "LV2")], [MidiNote(0.0, 1.0, 60, 90)]
    one.inverted_channels, one.hardware_outputs = (1,), ["outputs 3 and 4"]
    one.envelopes = [envelope(Parameter.VOLUME, 1.0, 0.5, scale=Scale.ARDOUR_FADER)]
    session = Session(tmp_path, "test", RATE, [one], master_inverted=True, vcas=[Vca("v", "V", muted=True)])
    said = []
    project_text(session, tmp_path, said.append)
    assert said == [
        "V: the mute and solo of a VCA are not written",
        "Master: its polarity is not written",
        "One: its way to outputs 3 and 4 is not written",
        "One: the polarity of single channels is not written",
        "One: plug-in Echo is not written",
        "One: an envelope of volume is written in straight lines",
        "One: its notes are not written",
        "One: its clips that overlap are written as mixed",
    ]


@pytest.mark.parametrize("kind", ["rpp", "dawproject"])
def test_the_layers_of_an_ardour_session_come_along(tmp_path, kind):
    folder = tmp_path / "s"
    write(ardour.media(folder), noise(3.0))
    fades = ardour.curve("FadeIn", "fadein", [(0, 0), (0.1, 1)])
    fades += ardour.curve("FadeOut", "fadeout", [(0, 1), (0.1, 0)])
    regions = [
        ardour.region(0.0, 1.5, 0.25, inner=fades, extra='layering-index="0"'),
        ardour.region(1.0, 1.5, 1.0, inner=fades, extra='layering-index="1"'),
        ardour.region(2.25, 1.0, 0.5, inner=fades, extra='layering-index="2"'),
    ]
    routes = [ardour.master(), ardour.route("Voice", 1, playlist=10, gain=0.5)]
    session = open_session(ardour.save(folder, ardour.session(routes, [ardour.playlist(10, *regions)])))
    said = []
    plain = flattened(session)
    path = write_stems(plain, {}, tmp_path / f"song.{kind}", said.append)
    assert said == []
    assert difference_db(mix(session), mix(open_session(path, media_roots=[tmp_path]))) < SAME_DB
    write_stems(session, {}, tmp_path / f"mixed.{kind}", said.append)
    assert said == ["Voice: its clips that overlap are written as mixed"]
