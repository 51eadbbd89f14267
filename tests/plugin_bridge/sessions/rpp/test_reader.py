import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.jobs.inputs import remarks
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.model import ChannelMode, Fade, FadeShape, TempoChange
from plugin_bridge.sessions.tempo import TempoMap
from tests.plugin_bridge.session_helpers import item, noise, project, save, track, write


@pytest.fixture
def song(tmp_path):
    write(tmp_path / "a.wav", noise(1))

    def read(text, **options):
        return open_session(save(tmp_path, text), **options)

    return read


def only_clip(session):
    (clip,) = [clip for part in session.walk() for clip in part.clips]
    return clip


def test_a_project_as_reaper_writes_it(song):
    session = song("""<REAPER_PROJECT 0.1 "7.16/win64" 1717171717
  <NOTES 0 2
    |A note with > and <ITEM in it
  >
  RIPPLE 0
  PANLAW 1
  SAMPLERATE 96000 0 0
  PROJOFFS 3600 0 0
  TEMPO 95.5 3 4
  MASTER_VOLUME 0.5 -0.25 -1 -1 1
  MARKER 1 2.5 "Vers 1" 0 0 1 R {A3E1} 0
  MARKER 2 4 Refrain 1 0 1 R {A3E2} 0
  MARKER 2 8 "" 1
  <TRACK {11111111-2222-3333-4444-555555555555}
    NAME "Lead 'Vox' é"
    PEAKCOL 33521664
    VOLPAN 0.5 -0.25 -1 -1 1
    MUTESOLO 1 2 0
    IPHASE 1
    ISBUS 0 0
    NCHAN 4
    FX 1
    TRACKID {11111111-2222-3333-4444-555555555555}
    MAINSEND 0 0
    <ITEM
      POSITION 1.5
      SNAPOFFS 0
      LENGTH 2.25
      LOOP 1
      ALLTAKES 0
      FADEIN 2 0.75 0 2 0 1 1
      FADEOUT 5.1 0 0.125 5 1 0 0
      MUTE 0 0
      SEL 0
      NAME "take one"
      VOLPAN 0.5 0.5 -0.8 -1
      SOFFS 0.25 0.5
      PLAYRATE 1.25 0 0 -1 0 0.0025
      CHANMODE 3
      <SOURCE WAVE
        FILE "a.wav"
      >
    >
  >
>
""")
    assert (session.format, session.name, session.sample_rate, session.start) == ("rpp", "song", 96000, 3600)
    assert session.tempo == [TempoChange(0.0, 95.5, 3, 4)]
    assert (session.master_volume, session.master_pan) == (0.5, -0.25)
    marks = [(marker.seconds, marker.name, marker.length) for marker in session.markers]
    assert marks == [(2.5, "Vers 1", 0), (4, "Refrain", 4)]
    (vox,) = session.tracks
    assert vox.name == "Lead 'Vox' é"
    assert vox.identifier == "{11111111-2222-3333-4444-555555555555}"
    assert (vox.volume, vox.pan, vox.muted, vox.soloed, vox.inverted) == (0.5, -0.25, True, True, True)
    assert (vox.sends_to_parent, vox.channels, vox.color) == (False, 4, "#0080ff")
    clip = only_clip(session)
    assert clip.source == (session.path.parent / "a.wav").resolve()
    assert (clip.position, clip.length, clip.offset, clip.rate) == (1.5, 2.25, 0.25, 1.25)
    assert (clip.gain, clip.pan) == (-0.4, 0.5)
    assert (clip.loop, clip.muted, clip.channel_mode, clip.name) == (
        True,
        False,
        ChannelMode.LEFT,
        "take one",
    )
    assert clip.fade_in == Fade(0.75, FadeShape.FAST_END, 1.0)
    assert clip.fade_out == Fade(0.125, FadeShape.S_CURVE_STEEP, 0.0)
    assert session.end == 3.75
    assert session.not_honoured == []


@pytest.mark.parametrize(
    ("fields", "fade"),
    [
        ("1 0 0 1 0 0 0", Fade()),
        ("0 0.5", Fade(0.5, FadeShape.LINEAR)),
        ("4 0.5 0", Fade(0.5, FadeShape.FAST_END_STEEP)),
        ("1 0.0333 0 1 0 0 0", Fade(0.0333, FadeShape.FAST_START, 0.0)),
        ("1.1 0.01 0.02 1 1 0 0", Fade(0.02, FadeShape.EQUAL_POWER, 0.0)),
        ("1.1 0.67 0.18 1 1 0 0", Fade(0.18, FadeShape.EQUAL_POWER, 0.0)),
        ("3 0.2 0.3 3 0 -1 -1", Fade(0.2, FadeShape.FAST_START_STEEP, -1.0)),
        ("0 0.9 0 0 0 0.25 0", Fade(0.9, FadeShape.LINEAR, 0.25)),
        ("5 0.4 0 5 0 0 0 1 0 0 1 0 0", Fade(0.4, FadeShape.S_CURVE, 0.0)),
        ("5 0.4 0 5 0 -0.5 -0.5 0 0.25 0.5 1 0 0", Fade(0.4, FadeShape.BEND, -0.25, 0.5)),
    ],
)
def test_fades_in_every_form_that_reaper_has_written(song, fields, fade):
    session = song(project(track("T", item(extra=f"FADEIN {fields}\nFADE_NEW_PARAMETERS"))))
    assert only_clip(session).fade_in == fade


def test_a_fade_outs_bend_is_mirrored(song):
    session = song(project(track("T", item(extra="FADEOUT 2 0.5 0 2 0 -1 -1"))))
    assert only_clip(session).fade_out == Fade(0.5, FadeShape.FAST_END, 1.0)


TAKES = """    <ITEM
      POSITION 0
      LENGTH 1
      ALLTAKES {all}
      NAME first
      VOLPAN 0.5 0 1 -1
      SOFFS 0
      <SOURCE WAVE
        FILE "a.wav"
      >
      TAKE NULL
      TAKE {sel}
      NAME third
      TAKEVOLPAN 0.25 -2 -1
      SOFFS 0.125
      PLAYRATE 2 0 0
      <SOURCE FLAC
        FILE "b.flac"
      >
    >
"""


def test_the_selected_take_is_played(song, tmp_path):
    write(tmp_path / "b.flac", noise(1), format="flac", bit_depth="16")
    first = only_clip(song(project(track("T", TAKES.format(all=0, sel="")))))
    assert (first.name, first.gain, first.rate) == ("first", 0.5, 1.0)
    third = only_clip(song(project(track("T", TAKES.format(all=0, sel="SEL")))))
    assert (third.name, third.source.name, third.gain, third.pan) == ("third", "b.flac", -1.0, 0.25)
    assert (third.offset, third.rate) == (0.125, 2.0)
    both = song(project(track("T", TAKES.format(all=1, sel=""))))
    assert [clip.name for clip in both.tracks[0].clips] == ["first", "third"]


def test_folders_nest_and_close_several_at_once(song):
    def bus(state, depth):
        return f"ISBUS {state} {depth}"

    session = song(
        project(
            track("A", strip=bus(0, 0)),
            track("Outer", strip=bus(1, 1)),
            track("Inner", strip=bus(1, 1)),
            track("Leaf", strip=bus(0, 0)),
            track("Last", strip=bus(2, -2)),
            track("B"),
        )
    )
    tree = [(part.name, [child.name for child in part.children]) for part in session.walk()]
    assert tree == [
        ("A", []),
        ("Outer", ["Inner"]),
        ("Inner", ["Leaf", "Last"]),
        ("Leaf", []),
        ("Last", []),
        ("B", []),
    ]


def test_sections_and_reversed_sources(song):
    def section(lines):
        return f'<SOURCE SECTION\n{lines}\n<SOURCE WAVE\nFILE "a.wav"\n>\n>'

    session = song(
        project(
            track(
                "T",
                item(source=section("LENGTH 0.5\nSTARTPOS 0.25\nOVERLAP 0.01")),
                item(source=section("LENGTH 0.5\nMODE 2\nSTARTPOS 0.25\nOVERLAP 0.01")),
                item(source=section("LENGTH 0\nMODE 3\nSTARTPOS 0\nOVERLAP 0.01")),
            )
        )
    )
    facts = [(clip.section_start, clip.section_length, clip.reversed) for clip in session.tracks[0].clips]
    assert facts == [(0.25, 0.5, False), (0.25, 0.5, True), (0.0, None, True)]


def test_what_is_not_rendered_is_listed_by_track(song):
    session = song(
        project(
            track("Synth", item(source="<SOURCE MIDI\nHASDATA 1 960 QN\n>"), item(source="<SOURCE MIDI\n>")),
            track(
                "Vox",
                item(extra="PLAYRATE 1.5 1 2 -1\nSM 0 0 + 0.5 0.6"),
                item(source="<SOURCE LTC\nFILE a.mov\n>"),
                strip="""FX 1
    VOLPAN 1 0 0.7071 -1 1
    AUXRECV 0 0 1 0 0 0 0 0 0 -1:U 0 -1 ''
    <VOLENV2
      ACT 1 -1
      PT 0 1 0
      PT 3 0.5 0
    >
    <PANENV2
      ACT 0 -1
      PT 0 1 0
    >
    <MUTEENV
      ACT 1 -1
      PT 0 1 0
    >
    <FXCHAIN
      BYPASS 0 0 0
      <VST "VST3: ReaComp (Cockos)" reacomp.vst3 0 "" 1{ABC} ""
        ZWVtY+5e7f4EAAAA
      >
      BYPASS 1 0 0
      <JS loser/3BandEQ ""
        0 - -
      >
    >""",
            ),
        )
    )
    assert session.not_honoured == [
        "Synth: MIDI items are not played (2 times)",
        "Vox: plug-in VST3: ReaComp (Cockos) is left out",
        "Vox: a source of the kind LTC is not played",
    ]
    assert session.tracks[1].plugins == ["VST3: ReaComp (Cockos)"]


@pytest.mark.parametrize("kind", ["WAVE", "MP3", "FLAC", "VORBIS", "OPUS", "AIFF", "WAVPACK", "VIDEO"])
def test_sources_of_every_kind_that_is_read_are_played(song, kind):
    session = song(project(track("T", item(source=f"<SOURCE {kind}\nFILE a.wav\n>"))))
    assert session.tracks[0].clips[0].problem == ""


def test_lanes_that_do_not_play_are_left_out(song):
    lanes = "FREEMODE 2\n    LANESOLO 2 0 0 0 0 0 0 0"
    session = song(
        project(
            track("T", item(0, extra="YPOS 0 0.5 2"), item(1, extra="YPOS 0.5 0.5 2"), strip=lanes),
        )
    )
    assert [clip.position for clip in session.tracks[0].clips] == [1]


def test_notes_of_midi_items_follow_the_tempo(song):
    midi = """<SOURCE MIDI
        HASDATA 1 480 QN
        E 0 90 3c 60
        <X 100 0 0 1
          /wFIaQ==
        >
        E 380 80 3c 00
        E 480 90 40 40
        Em 10 90 41 40
        E 470 90 40 00
        E 4800 b0 7b 00
      >"""
    envelope = """<TEMPOENVEX
    ACT 1 -1
    PT 0 120 1 262148 0 1
    PT 2 60 1
  >"""
    session = song(project(track("Keys", item(1.0, 3.0, source=midi)), head=envelope))
    notes = [(note.start, note.length, note.pitch, note.velocity) for note in session.tracks[0].notes]
    assert notes == [(1.0, 0.5, 60, 96), (2.0, 1.0, 64, 64)]
    assert session.tempo == [TempoChange(0.0, 120.0), TempoChange(2.0, 60.0)]


def test_notes_of_midi_items_have_the_volume_pan_and_program_of_their_track(song):
    """As in a MIDI file; what an item sets holds on in the next one, but not on other tracks."""

    def midi(*events):
        lines = "\n".join(f"E {event}" for event in events)
        return f"<SOURCE MIDI\nHASDATA 1 480 QN\n{lines}\n>"

    keys = ("0 90 3c 60", "480 80 3c 00")
    first = midi("0 c0 21", "0 b0 07 40", "0 b0 0a 7f", *keys, "480 c0 28", "0 90 40 60", "480 80 40 00")
    # Of the second item the first quarter is cut off; its program holds from the item's start on.
    second = midi("0 c0 05", *keys, "0 90 41 60", "480 80 41 00")
    session = song(
        project(
            track(
                "Bass",
                item(2.0, 3.0, source=second, extra="SOFFS 0.5"),
                item(0.0, 2.0, source=first),
            ),
            track("Keys", item(0.0, 2.0, source=midi(*keys))),
        )
    )
    bass, other = session.tracks
    heard = {(note.start, note.pitch): (note.program, note.volume, note.pan) for note in bass.notes}
    quiet = pytest.approx((64 * 127 / 127**2) ** 2)
    assert heard == {(0.0, 60): (33, quiet, 1.0), (1.0, 64): (40, quiet, 1.0), (2.0, 65): (5, quiet, 1.0)}
    assert [(note.program, note.pan) for note in other.notes] == [(None, pytest.approx(0.5))]


def test_tempo_points_may_ramp_and_may_set_only_the_meter(song):
    envelope = """<TEMPOENVEX
    ACT 1 -1
    PT 0 60 0 262148 0 1
    PT 4 120 1
    PT 8 33 1 524294 0 3
  >"""
    tempo = song(project(head=envelope)).tempo
    assert tempo == [
        TempoChange(0, 60, 4, 4, ramp=True),
        TempoChange(4, 120, 4, 4),
        TempoChange(8, 120, 6, 8),
    ]
    # From 60 to 120 in 4 s is 90 on average: 6 quarters.
    assert TempoMap(tempo).quarters(4.0) == pytest.approx(6.0)


@given(
    st.lists(st.tuples(st.floats(0.01, 50), st.floats(20, 400), st.booleans()), min_size=1, max_size=6),
    st.floats(0, 500),
)
def test_the_tempo_map_is_its_own_inverse(points, seconds):
    changes, at = [], 0.0
    for length, bpm, ramp in points:
        changes.append(TempoChange(at, bpm, ramp=ramp))
        at += length
    tempo = TempoMap(changes)
    assert tempo.seconds(tempo.quarters(seconds)) == pytest.approx(seconds, rel=1e-9, abs=1e-9)


def test_what_is_said_of_a_track_is_found_whatever_the_names_hold(tmp_path):
    chain = '<FXCHAIN\n<VST "VST: Comp"\n>\n>'
    names = ("A", "A: B", "C")
    session = open_session(save(tmp_path, project(*[track(name, strip=f"FX 1\n{chain}") for name in names])))
    assert [remarks(session, one) for one in session.tracks] == [
        ["A: plug-in VST: Comp is left out"],
        ["A: B: plug-in VST: Comp is left out"],
        ["C: plug-in VST: Comp is left out"],
    ]
