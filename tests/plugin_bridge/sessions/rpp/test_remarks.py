"""What a REAPER project asks for and is not rendered is said, by track; what changes nothing is not."""

import pytest

from plugin_bridge.sessions import open_session
from tests.plugin_bridge.session_helpers import item, noise, project, save, track, write


def envelope(name, *values, active=1):
    points = "".join(f"PT {second} {value} 0\n" for second, value in enumerate(values))
    return f"<{name}\nACT {active} -1\n{points}>"


def in_project(lines):
    return project(track("T", item()), head=lines)


def in_track(lines):
    return project(track("T", item(), strip=lines))


def in_item(lines):
    return project(track("T", item(extra=lines)))


MASTER_EFFECTS = '<MASTERFXLIST\nBYPASS {} 0 0\n<VST "VST: Limiter" x.dll 0 "" 1{{A}} ""\nZWV\n>\n>'
CONTAINER = '<CONTAINER x ""\nBYPASS 0 0 0\n<JS "a" ""\n>\n>'
EFFECTS = f'FX {{}}\n<FXCHAIN\nBYPASS 0 0 0\n{CONTAINER}\nBYPASS 0 1 0\n<AU "off" ""\n>\n>'
TEMPO_CHANGE = "<TEMPOENVEX\nACT 1 -1\nPT 0 120 1 262148 0 1\nPT 2 60 1\n>"
NEW_FADE = "FADE_NEW_PARAMETERS\nFADEIN 5 0.4 0 5 0 -0.5 -0.5 0 0.25 {} 1 0 0"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (in_project("PLAYRATE 0 0 0.25 4"), "Project: its play rate of 0 is left out"),
        (in_project(MASTER_EFFECTS.format(0)), "Master: plug-in VST: Limiter is left out"),
        (
            in_project(envelope("MASTERDUALPANENV2", 0, 0.5)),
            "Master: envelopes are left out: MASTERDUALPANENV2",
        ),
        (
            in_project(envelope("MASTERPLAYSPEEDENV", 1.5)),
            "Master: envelopes are left out: MASTERPLAYSPEEDENV",
        ),
        (in_track(EFFECTS.format(1)), "T: plug-in a is left out"),
        (in_track(envelope("DUALPANENV2", 0, -1)), "T: envelopes are left out: DUALPANENV2"),
        (
            in_track("<MUTEENV\nACT 1 -1\nPOOLEDENVINST 1 0 4 0 1 0 0 0 0\n>"),
            "T: automation items are left out: MUTEENV",
        ),
        (in_track("VOLPAN 1 0.5 0.7071 -1 1"), "T: pan law 0.7071 is played with a straight taper"),
        (in_track("PANMODE 4\nVOLPAN 1 0.5 -1 -1 1"), "T: pan mode 4 is played as balance"),
        (
            project(track("T", item(), strip="VOLPAN 1 0.5 -1 -1 1"), head="PANMODE 4"),
            "T: pan mode 4 is played as balance",
        ),
        (in_item("SPECTRAL_CONFIG 2048\nSPECTRAL_EDIT 0 0.5 0.5"), "T: spectral edits are left out"),
        (
            project(track("T", item(0, 3, extra="BEAT 3"), item(0, 1, extra="BEAT 3")), head=TEMPO_CHANGE),
            "T: items are not stretched with the tempo that changes in them",
        ),
        (
            project(track("T", item(0, 3), item(0, 3, extra="BEAT 0"), strip="BEAT 3"), head=TEMPO_CHANGE),
            "T: items are not stretched with the tempo that changes in them",
        ),
        (
            project(track("S"), track("T", item(), strip="AUXRECV 0 0 1 0 0 0 0 0 1026 -1:U 0 -1 ''")),
            "T: the mono send from S is played on two channels",
        ),
        (in_item('<TAKEFX\nBYPASS 0 0 0\n<JS "a" ""\n>\n>'), "T: effects of takes are left out"),
        (in_item("FADELPF 1"), "T: low-pass fades are played as plain fades"),
        (in_item("MUTE 0 1"), "T: solo of single items is left out"),
        (
            in_item("PLAYRATE 100 0 0 -1"),
            "T: a play rate of 100 is not played; it must lie in 0.015625 to 64",
        ),
        (in_item("CHANMODE 999"), "T: channel mode 999 plays all channels"),
        (in_item("FADEIN 42 0.5 0 42 0 0 0"), "T: fades of the unknown shape 42 are played as linear"),
        (in_item(NEW_FADE.format(-0.5)), "T: fades bent into an inverse S are played without it"),
        (project(track("T", item(file=""))), "T: an item names no file"),
        (in_item("FADEOUT 9 0.5"), "T: fades of the unknown shape 9 are played as linear"),
    ],
)  # fmt: skip
def test_what_is_not_rendered_is_one_line(tmp_path, text, line):
    write(tmp_path / "a.wav", noise(1))
    assert open_session(save(tmp_path, text)).not_honoured == [line]


@pytest.mark.parametrize(
    "text",
    [
        in_project("PANLAW 1"),
        in_project("PANLAW 0.7071"),
        in_project(envelope("MASTERVOLENV2", 1, 0.5)),
        in_track(envelope("PANENV2", 0, -1)),
        in_track(envelope("MUTEENV", 1, 0)),
        in_track("VOLPAN 1 0.5 0.5 -1 1"),
        in_track("PANMODE 5\nVOLPAN 1 0 -1 -1 0.5"),
        in_track("PLAYOFFS 0.25 0"),
        in_track("FIXEDLANES 9 0 0 1 0"),
        in_item("SM 0 0 + 0.5 0.6"),
        in_item(envelope("PITCHENV", 0, 2)),
        in_item("PLAYRATE 2 1 0 -1"),
        in_item("PLAYRATE 1 1 -3 -1"),
        in_project("PLAYRATE 1 0 0.25 4"),
        in_project(MASTER_EFFECTS.format(1)),
        in_project(envelope("MASTERVOLENV2", 1, 1)),
        in_track(EFFECTS.format(0)),
        in_track(envelope("VOLENV2", 1, 0.5, active=0)),
        in_track(envelope("PANENV2", 0, 0)),
        in_track("VOLPAN 1 0.5 1 -1 1"),
        in_track("PANMODE 6\nVOLPAN 1 0.5 -1 -0.5 1"),
        in_track("VOLPAN 1 0.5 0.7071 -1 1\nPANLAWFLAGS 2"),
        project(track("T", item(), strip="VOLPAN 1 0.5 0.7071 -1 1"), head="PANLAWFLAGS 2"),
        in_project("MASTER_PANMODE 5\nMASTER_VOLUME 1 0.5 -1 -1 0.5"),
        in_project("MASTER_PANMODE 6\nMASTER_VOLUME 1 0 -1 0 1"),
        in_project(envelope("MASTERWIDTHENV2", 1, 0.5)),
        in_project("MASTER_FX 0\n" + MASTER_EFFECTS.format(0)),
        in_track("PANMODE 3\nVOLPAN 1 0.5 -1 -1 1"),
        in_track("PLAYOFFS 0 0"),
        in_track("FIXEDLANES 9 0 0 0 0"),
        in_item("FADELPF 0"),
        in_item("MUTE 0 0"),
        in_item(envelope("PITCHENV", 0, 0)),
        in_item("PLAYRATE 1 1 0 -1"),
        in_item(NEW_FADE.format(0.5)),
    ],
)
def test_what_changes_nothing_is_not_said(tmp_path, text):
    write(tmp_path / "a.wav", noise(1))
    assert open_session(save(tmp_path, text)).not_honoured == []


def test_a_way_to_hardware_is_named_and_no_fault(tmp_path):
    write(tmp_path / "a.wav", noise(1))
    session = open_session(save(tmp_path, in_track("HWOUT 2 0 1 0 0 0 0 -1:U -1")))
    assert session.not_honoured == []
    assert session.notes == ["T: its way to hardware outputs 3 and 4 is in no render"]


def test_a_line_that_is_met_often_is_said_once_with_its_number(tmp_path):
    write(tmp_path / "a.wav", noise(1))
    text = project(
        track("T", *[item(place, extra="FADELPF 1") for place in range(3)]),
        track("U", item(extra="FADELPF 1")),
    )
    assert open_session(save(tmp_path, text)).not_honoured == [
        "T: low-pass fades are played as plain fades (3 times)",
        "U: low-pass fades are played as plain fades",
    ]
