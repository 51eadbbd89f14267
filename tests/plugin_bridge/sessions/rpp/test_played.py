"""What REAPER projects sound like, with values worked out by hand from constant sources."""

import numpy as np
import pytest

from plugin_bridge.rendering.tracks import MixSource, TrackSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.rpp.writer import write_stems_project
from tests.plugin_bridge.session_helpers import RATE, item, project, save, track, write
from tests.plugin_bridge.sessions.rpp.test_writer import stems_of

ROUNDING = 1e-6


@pytest.fixture
def made(tmp_path):
    for name, level in (("a", 0.5), ("b", 0.25), ("c", 0.125)):
        write(tmp_path / f"{name}.wav", np.full((1, 8 * RATE), level, np.float32))
    write(tmp_path / "wide.wav", np.array([[0.5], [0.25], [0.125]]).repeat(8 * RATE, 1))

    def session(text, name="song.rpp"):
        return open_session(save(tmp_path, text, name))

    return session


def mix(session):
    with MixSource(session) as source:
        return source.read(0, source.frames)


def levels(audio, *seconds, channel=0):
    return [pytest.approx(float(audio[channel, round(at * RATE)]), abs=ROUNDING) for at in seconds]


@pytest.mark.parametrize(
    ("head", "own", "heard"),
    [
        ("", "", [0.5, 0.75, 0.5, 0.625, 0.125]),
        ("ITEMMIX 1", "", [0.5, 0.75, 0.5, 0.625, 0.125]),
        ("ITEMMIX 0", "", [0.5, 0.25, 0.5, 0.625, 0.125]),
        ("ITEMMIX 2", "", [0.5, 0.25, 0.5, 0.125, 0.125]),
        ("ITEMMIX 0", "ITEMMIX 1", [0.5, 0.75, 0.5, 0.625, 0.125]),
        ("ITEMMIX 1", "ITEMMIX 0", [0.5, 0.25, 0.5, 0.625, 0.125]),
    ],
)
def test_overlaps_follow_itemmix(made, head, own, heard):
    items = (item(0, 4), item(1, 1, "b.wav", own), item(3, 2, "c.wav"))
    assert levels(mix(made(project(track("T", *items), head=head))), 0.5, 1.5, 2.5, 3.5, 4.5) == heard


def test_items_of_other_heights_and_lanes_do_not_replace_each_other(made):
    places = [f"YPOS {top} 0.5" for top in (0, 0.5)]
    items = (item(0, 4, extra=places[0]), item(1, 1, "b.wav", places[1]), item(2, 1, "b.wav", places[0]))
    for mode in ("FREEMODE 1", "FREEMODE 2"):
        audio = mix(made(project(track("T", *items, strip=mode), head="ITEMMIX 0")))
        assert levels(audio, 0.5, 1.5, 2.5) == [0.5, 0.75, 0.25]
    hiding = "FREEMODE 2\nFIXEDLANES 9 0 0 1 0"
    audio = mix(made(project(track("T", *items[:2], strip=hiding))))
    assert levels(audio, 0.5, 1.5, 2.5) == [0.5, 0.25, 0.5]


def test_what_cannot_be_played_is_left_out_and_the_rest_is_rendered(made):
    bad = (
        item(1, 1, "no.wav"),
        item(1, 1, source="<SOURCE RPP_PROJECT\nFILE no.rpp\n>"),
        item(1, 1, source="<SOURCE LTC\nSTARTTIME 0\n>"),
        item(1, 1, source="<SOURCE VIDEO\nAUDIO 0\nFILE a.wav\n>"),
    )
    whole = made(project(track("T", item(0, 4), *bad), track("U", item(0, 4, "b.wav")), head="ITEMMIX 0"))
    without = made(project(track("T", item(0, 4)), track("U", item(0, 4, "b.wav"))), "other.rpp")
    assert np.array_equal(mix(whole), mix(without))
    assert whole.not_honoured == [
        "T: no.wav is missing",
        "T: no.rpp is missing",
        "T: a source of the kind LTC is not played",
        "T: the sound of a video is switched off",
    ]


def test_clicks_fall_on_the_beats_of_the_tempo_map(made):
    tempo = "<TEMPOENVEX\nACT 1 -1\nPT 0 120 1 196612 0 1\nPT 3 60 1 0 0 0\n>"  # 4/3 is no meter: 3 << 16
    click = "<SOURCE CLICK\nAUTO 1 0\nVOL 0.5 0.25\nFREQ 1000 500 1\n>"
    audio = mix(made(project(track("T", item(0, 6, source=click)), head="TEMPO 120 4 4\n" + tempo)))
    loud = np.abs(audio[0]) > 1e-3
    onsets = [at for at in np.flatnonzero(loud) if at == 0 or not loud[max(0, at - RATE // 10) : at].any()]
    beat = 0.5 * 4 / 3
    expected = [*(beat * number for number in range(5)), *(3 + 4 / 3 * number for number in range(3))]
    assert [at / RATE for at in onsets] == pytest.approx(expected, abs=0.001)
    peaks = [np.abs(audio[0, at : at + RATE // 50]).max() for at in onsets]
    assert peaks[0] == pytest.approx(0.5, abs=0.02)
    assert peaks[1] == pytest.approx(0.25, abs=0.02)


def test_a_subproject_plays_its_mix_or_its_rendered_audio(made, tmp_path):
    inner = project(track("I", item(0, 4), strip="VOLPAN 0.5 0 -1 -1 1"), head='MARKER 1 1 "=START" 0')
    save(tmp_path, inner, "sub.rpp")
    text = project(track("T", item(1, 2, source="<SOURCE RPP_PROJECT\nFILE sub.rpp\n>")))
    assert levels(mix(made(text)), 0.5, 1.5) == [0.0, 0.25]
    write(tmp_path / "proxy.wav", np.full((2, 4 * RATE), 0.125, np.float32))
    (tmp_path / "proxy.wav").rename(tmp_path / "sub.rpp-PROX")
    assert levels(mix(made(text)), 0.5, 1.5) == [0.0, 0.125]


def test_projects_that_hold_each_other_are_said(made, tmp_path):
    text = project(track("T", item(source="<SOURCE RPP_PROJECT\nFILE {}\n>"), item(0, 1)))
    save(tmp_path, text.format("song.rpp"), "sub.rpp")
    session = made(text.format("sub.rpp"))
    assert levels(mix(session), 0.5) == [1.0]  # its own item and that of the subproject
    assert session.tracks[0].clips[0].session.not_honoured == ["T: song.rpp holds itself"]


def test_a_take_has_its_pitch_markers_and_envelopes(made):
    session = made(
        project(
            track(
                "T",
                item(
                    0,
                    4,
                    extra="SOFFS 0.5\nPLAYRATE 2 1 -3 -1\nSM 0 0.5 + 2 4.5 0.25\n"
                    "<VOLENV\nACT 1 -1\nPT 0 1 0\nPT 2 0 0\n>\n<PANENV\nACT 1 -1\nPT 0 1 0\n>",
                ),
            )
        )
    )
    clip = session.tracks[0].clips[0]
    assert (clip.rate, clip.keep_pitch, clip.pitch) == (2, True, -3)
    assert [(one.seconds, one.source, one.slope) for one in clip.stretch] == [(0, 0.5, 0), (1, 4.5, 0.25)]
    volume, pan = clip.envelopes
    assert [(point.seconds, point.value) for point in volume.points] == [(0, 1), (1, 0)]
    assert [point.value for point in pan.points] == [-1]


@pytest.mark.parametrize(
    ("mode", "heard"),
    [(0, [0.5, 0.25]), (5, [0.125] * 2), (4, [0.25] * 2), (68, [0.25, 0.125]), (1, [0.25, 0.5])],
)
def test_channel_modes_choose_channels(made, mode, heard):
    audio = mix(made(project(track("T", item(0, 1, "wide.wav", f"CHANMODE {mode}")))))
    assert audio[:2, 100] == pytest.approx(heard, abs=ROUNDING)


@pytest.mark.parametrize(
    ("strip", "left", "right"),  # at 2 s, of a source at 0.5
    [
        ("<VOLENV2\nACT 1 -1\nPT 0 1 0\nPT 4 0 0\n>", 0.25, 0.25),
        ("<VOLENV2\nACT 1 -1\nVOLTYPE 0\nPT 0 0.5 1\nPT 4 0 0\n>\nVOLPAN 0.5 0 -1 -1 1", 0.125, 0.125),
        ("AUTOMODE 1\n<VOLENV2\nACT 1 -1\nPT 0 0.25 0\n>\nVOLPAN 0.5 0 -1 -1 1", 0.125, 0.125),
        ("<VOLENV\nACT 1 -1\nPT 0 0.5 0\n>\n<VOLENV3\nACT 1 -1\nPT 0 0.5 0\n>", 0.125, 0.125),
        ("<PANENV2\nACT 1 -1\nPT 0 -1 0\n>", 0.0, 0.5),
        ("<MUTEENV\nACT 1 -1\nPT 0 1 1\nPT 1 0 1\nPT 3 1 1\n>", 0.0, 0.0),
        ("PANMODE 5\nVOLPAN 1 0 -1 -1 0", 0.5, 0.5),
        ("VOLPAN 1 0 0.5 -1 1", 0.25, 0.25),
        ("VOLPAN 1 -1 0.5 -1 1", 0.5, 0.0),
        ("VOLPAN 1 -1 2 -1 1", 1.0, 0.0),
        ("PLAYOFFS 3 0", 0.0, 0.0),
        ("PLAYOFFS 3 1", 0.5, 0.5),
        (f"PLAYOFFS {3 * RATE} 2", 0.0, 0.0),
    ],
)
def test_strips_move_as_their_envelopes_say(made, strip, left, right):
    audio = mix(made(project(track("T", item(0, 8), strip=strip))))
    assert audio[:, 2 * RATE] == pytest.approx([left, right], abs=ROUNDING)


def test_an_envelope_on_the_fader_is_half_way_on_the_fader(made):
    envelope = "<VOLENV2\nACT 1 -1\nVOLTYPE 1\nPT 0 3.98107170553497 0\nPT 4 0 0\n>"
    audio = mix(made(project(track("T", item(0, 8), strip=envelope))))
    half = 10**0.6 / 2 * (0.5**3 + 0.5**6)
    assert audio[0, 2 * RATE] == pytest.approx(0.5 * half, abs=ROUNDING)


@pytest.mark.parametrize(
    ("receive", "heard"),  # of a source at 0.5 whose fader stands at 0.5, in the bus alone
    [
        ("AUXRECV 0 0 1 0 0 0 0 0 0 -1:U 0 -1 ''", 0.25),
        ("AUXRECV 0 1 1 0 0 0 0 0 0 -1:U 0 -1 ''", 0.5),
        ("AUXRECV 0 3 0.5 0 0 0 1 0 0 -1:U 0 -1 ''", -0.25),
        ("AUXRECV 0 0 1 0 1 0 0 0 0 -1:U 0 -1 ''", 0.0),
        ("AUXRECV 0 0 1 0 0 0 0 -1 0 -1:U 0 -1 ''", 0.0),
        ("AUXRECV 0 0 1 0 0 0 0 0 0 -1:U 0 -1 ''\n<AUXVOLENV\nACT 1 -1\nPT 0 0.5 0\n>", 0.125),
    ],
)
def test_sends_and_their_envelopes(made, receive, heard):
    source = track("S", item(0, 4), strip="VOLPAN 0.5 0 -1 -1 1\nMAINSEND 0 0")
    assert levels(mix(made(project(source, track("B", strip=receive)))), 1.0) == [heard]


def test_the_mains_send_and_the_master(made):
    cue = track("T", item(0, 2), strip="MAINSEND 1 2")
    audio = mix(made(project(cue, head="MASTER_NCH 4 2")))
    assert audio[:, 100].tolist() == [0, 0, 0.5, 0.5]
    assert not mix(made(project(cue))).any()
    left = track("T", item(0, 2), strip="VOLPAN 1 -1 -1 -1 1")
    assert mix(made(project(left, head="MASTERMUTESOLO 4")))[:, 100].tolist() == [0.25, 0.25]
    assert not mix(made(project(left, head="MASTERMUTESOLO 1"))).any()
    envelope = "<MASTERVOLENV2\nACT 1 -1\nPT 0 0.5 0\n>"
    assert mix(made(project(left, head=envelope)))[0, 100] == 0.25


def test_vca_groups_solo_defeat(made):
    zeros = " ".join(["0"] * 20)
    leader = track("V", strip=f"VOLPAN 0.5 0 -1 -1 1\nGROUP_FLAGS {zeros} 2 0 0")
    follower = track("F", item(0, 4), strip=f"GROUP_FLAGS {zeros} 0 2 0")
    other = track("O", item(0, 4, "b.wav"), strip=f"GROUP_FLAGS {zeros} 0 4 0")
    assert levels(mix(made(project(leader, follower, other))), 1.0) == [0.25 + 0.25]
    solo = track("S", item(0, 4, "c.wav"), strip="MUTESOLO 0 1 0")
    defeat = track("D", item(0, 4, "b.wav"), strip="MUTESOLO 0 0 1")
    assert levels(mix(made(project(solo, defeat, follower))), 1.0) == [0.375]


def test_groups_share_what_they_saved_and_stems_stay_in_them(made, tmp_path):
    """Words 4 to 7 of the flags lead and follow mutes and solos; each track has what they did to it."""
    leads, follows = "GROUP_FLAGS 0 0 0 0 1 0 1 0", "GROUP_FLAGS 0 0 0 0 0 1 0 1"
    one = track("A", item(0, 4), strip=f"MUTESOLO 1 0 0\n{leads}", guid="{1}")
    two = track("B", item(0, 4, "b.wav"), strip=f"MUTESOLO 1 0 0\n{follows}", guid="{2}")
    three = track("C", item(0, 4, "c.wav"), guid="{3}")
    assert levels(mix(made(project(one, two, three))), 1.0) == [0.125]
    one, two = (text.replace("MUTESOLO 1 0 0", "MUTESOLO 0 1 0") for text in (one, two))
    session = made(project(one, two, three))
    assert levels(mix(session), 1.0) == [0.5 + 0.25]
    part = session.tracks[1]
    placed = {part.identifier: stems_of(session, part, tmp_path)}
    written = write_stems_project(session, placed, tmp_path / "song_stems.rpp")
    assert levels(mix(open_session(written)), 1.0) == [0.5 + 0.25]
    assert written.read_text().count(follows) == 1 + len(placed[part.identifier])


def test_stems_follow_the_vca_of_their_source_and_lead_none(made, tmp_path):
    zeros = " ".join(["0"] * 20)
    leader = track(
        "V", item(0, 4, "c.wav"), strip=f"VOLPAN 0.5 0 -1 -1 1\nGROUP_FLAGS {zeros} 2 0", guid="{1}"
    )
    follower = track("F", item(0, 4), strip=f"GROUP_FLAGS {zeros} 0 2", guid="{2}")
    session = made(project(leader, follower))
    before = 0.5 * 0.125 + 0.5 * 0.5
    assert levels(mix(session), 1.0) == [before]
    placed = {part.identifier: stems_of(session, part, tmp_path) for part in session.tracks}
    written = open_session(write_stems_project(session, placed, tmp_path / "song_stems.rpp"))
    assert mix(written)[0, RATE] == pytest.approx(before, abs=1e-6)


def test_a_backup_opens_when_it_is_named_and_is_no_second_project(made, tmp_path):
    assert levels(mix(made(project(track("T", item(0, 4))), "song.rpp-bak")), 1.0) == [0.5]
    made(project(track("T", item(0, 4, "b.wav"))))
    assert levels(mix(open_session(tmp_path)), 1.0) == [0.25]


@pytest.mark.parametrize("folder", [False, True])
def test_a_track_that_receives_keeps_what_it_receives_beside_its_stems(made, tmp_path, folder):
    source = track("S", item(0, 4), strip="MAINSEND 0 0", guid="{1}")
    receive = "AUXRECV 0 0 0.5 0 0 0 0 0 0 -1:U 0 -1 ''"
    target = track("T", item(0, 4, "b.wav"), strip=f"VOLPAN 0.5 0 -1 -1 1\n{receive}", guid="{2}")
    if folder:
        strip = f"VOLPAN 0.5 0 -1 -1 1\nISBUS 1 1\n{receive}"
        inside = track("In", item(0, 4, "b.wav"), strip="ISBUS 2 -1", guid="{3}")
        target = track("T", strip=strip, guid="{2}") + inside
    session = made(project(source, target))
    assert levels(mix(session), 1.0) == [0.5 * (0.25 + 0.25)]
    part = session.tracks[1]
    with TrackSource(session, part) as made_of:
        assert levels(made_of.read(0, 100), 0.001) == [0.25]
    before = session.path.read_bytes()
    placed = {part.identifier: stems_of(session, part, tmp_path)}
    again = open_session(write_stems_project(session, placed, tmp_path / "song_stems.rpp"))
    assert np.abs(mix(again) - mix(session)).max() < ROUNDING
    assert session.path.read_bytes() == before


def test_dual_pan_moves_each_channel_by_itself(made):
    """0.5 goes to both sides by half, 0.25 to the left by 3/4."""
    wide = item(0, 1, "wide.wav", "CHANMODE 67")
    audio = mix(made(project(track("T", wide, strip="PANMODE 6\nVOLPAN 1 0.9 -1 0 -0.5"))))
    assert [levels(audio, 0.5, channel=side) for side in (0, 1)] == [[0.4375], [0.3125]]


@pytest.mark.parametrize(
    ("head", "left", "right"),
    [
        ("MASTER_PANMODE 5\nMASTER_VOLUME 1 0 -1 -1 0", 0.375, 0.375),
        ("PANMODE 5\nMASTER_VOLUME 1 0 -1 -1 -1", 0.25, 0.5),
        ("MASTER_PANMODE 6\nMASTER_VOLUME 1 0.9 -1 0 -0.5", 0.4375, 0.3125),
        ("MASTER_PANMODE 5\nMASTERAUTOMODE 1\n<MASTERWIDTHENV2\nACT 1 -1\nPT 0 0 0\n>", 0.375, 0.375),
    ],
)
def test_the_master_pans_as_tracks_do(made, head, left, right):
    wide = track("T", item(0, 1, "wide.wav", "CHANMODE 67"), strip="PANMODE 3")
    audio = mix(made(project(wide, head=head)))
    assert audio[:, RATE // 2] == pytest.approx([left, right], abs=ROUNDING)


def test_in_the_mode_read_an_envelope_takes_the_place_of_the_fader(made):
    strip = "AUTOMODE {}\nVOLPAN 0.5 0 -1 -1 1\n<VOLENV2\nACT 1 -1\nPT 0 1 0\nPT 4 1 0\n>"
    for mode, heard in ((0, 0.25), (1, 0.5)):
        assert levels(mix(made(project(track("T", item(0, 1), strip=strip.format(mode))))), 0.5) == [heard]


@pytest.mark.parametrize(
    ("override", "heard"), [("-1", [0.25, 0.125]), ("0", [0.125, 0.125]), ("5", [0.25, 0.25])]
)
def test_one_automation_mode_may_stand_above_those_of_the_tracks(made, override, heard):
    """Both faders are at a half, and their envelopes, too; the first track's is in the mode Read."""
    envelope = "VOLPAN 0.5 0 -1 -1 1\n<VOLENV2\nACT 1 -1\nPT 0 0.5 0\n>"
    tracks = [track(mode, item(0, 1), strip=f"AUTOMODE {mode}\n{envelope}") for mode in "10"]
    session = made(project(*tracks, head=f"GLOBAL_AUTO {override}"))
    for one, level in zip(session.tracks, heard, strict=True):
        with TrackSource(session, one, post_fader=True) as source:
            assert levels(source.read(0, source.frames), 0.5) == [level]
