"""A project's own play rate: everything faster, with or without the pitch."""

import math

import numpy as np
import pytest
import soundfile

from plugin_bridge import bounce
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.dawproject.project import write_dawproject
from plugin_bridge.sessions.play_rate import at_play_rate
from plugin_bridge.sessions.rpp.project import project_text
from tests.plugin_bridge.session_helpers import RATE, item, project, save, track, write

CENTS = 1.0
"""REAPER's own promise is none; steady tones are held to this."""
TONE = 440.0


def hertz(audio):
    """The frequency of a steady tone, from the middle of it, by the phase of a long window."""
    middle = audio[len(audio) // 4 : len(audio) * 3 // 4].astype(float)
    windowed = middle * np.hanning(len(middle))
    spectrum = np.abs(np.fft.rfft(windowed, 16 * len(middle)))
    top = int(spectrum.argmax())
    left, mid, right = np.log(spectrum[top - 1 : top + 2])
    return (top + (left - right) / (2 * (left - 2 * mid + right))) * RATE / (16 * len(middle))


@pytest.fixture
def opened(tmp_path):
    seconds = np.arange(4 * RATE) / RATE
    write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * TONE * seconds)[None].astype(np.float32))

    def read(*items, rate=1.5, keeps=0, head="", strip=""):
        text = project(track("T", *items, strip=strip), head=f"PLAYRATE {rate} {keeps} 0.25 4\n{head}")
        return open_session(save(tmp_path, text))

    return read


@pytest.mark.parametrize(
    ("keeps", "playing", "semitones"),
    [
        (0, "1 1 0", 12 * math.log2(1.5)),
        (0, "1 0 0", 12 * math.log2(1.5)),
        (1, "1 1 0", 0.0),
        (1, "1 0 0", 0.0),
        (0, "0.8 1 0", 12 * math.log2(1.5)),
        (1, "0.8 0 0", 12 * math.log2(0.8)),
        (0, "0.8 0 0", 12 * math.log2(1.2)),
        (1, "0.8 1 2", 2.0),
    ],
)
def test_recordings_are_faster_with_the_pitch_that_the_project_asks_for(opened, keeps, playing, semitones):
    session = at_play_rate(opened(item(0, 3, extra=f"PLAYRATE {playing} -1 0 0.0025"), keeps=keeps))
    assert session.not_honoured == session.notes == []
    with MixSource(session) as mix:
        assert mix.frames == 2 * RATE
        audio = mix.read(0, mix.frames)[0]
    assert 1200 * abs(math.log2(hertz(audio) / TONE) - semitones / 12) < CENTS


def test_all_of_the_timeline_moves_together(opened):
    fades = "FADEIN 1 0.75 0 1 0 0 0\nFADEOUT 1 0.3 0 1 0 0 0"
    head = "TEMPO 100 4 4\nMARKER 1 1.5 Verse 0"
    strip = "<VOLENV2\nACT 1 -1\nPT 0 1 0\nPT 3 0 0\n>"
    own = opened(item(1.5, 2.25, extra=fades), head=head, strip=strip)
    assert (own.end, own.tempo[0].bpm, own.markers[0].seconds) == (3.75, 100, 1.5)
    assert own.notes == [
        "Project: it plays at 1.5 times its speed; stems lie on its own time, so that they play with it, and "
        "bounce --play-rate writes what it sounds like"
    ]
    fast = at_play_rate(own)
    assert (fast.end, fast.tempo[0].bpm, fast.markers[0].seconds) == (2.5, 150, 1.0)
    (clip,) = fast.tracks[0].clips
    assert (clip.position, clip.length, clip.fade_in.seconds, clip.rate) == (1.0, 1.5, 0.5, 1.5)
    assert clip.fade_out.seconds == pytest.approx(0.2)
    assert [point.seconds for point in fast.tracks[0].envelopes[0].points] == [0.0, 2.0]
    assert at_play_rate(fast) is fast


def test_clicks_and_notes_are_faster_and_keep_their_pitch(opened):
    click = item(0, 3, source="<SOURCE CLICK\nVOL 0.5 0.25\nFREQ 1760 880\n>")
    notes = item(0, 3, source="<SOURCE MIDI\nHASDATA 1 480 QN\nE 480 90 3c 60\nE 480 80 3c 00\n>")
    session = at_play_rate(opened(click, notes, rate=2))
    (note,) = session.tracks[0].notes
    assert (note.start, note.length, note.pitch) == (0.25, 0.25, 60)
    (clip,) = session.tracks[0].clips
    assert [seconds for seconds, _ in clip.material.beats()] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1.25])
    assert clip.material.frequencies == (1760, 880)


def test_a_fresh_reaper_project_has_it_and_a_dawproject_says_that_it_has_not(opened, tmp_path):
    session = opened(item(0, 3), keeps=1)
    (tmp_path / "fresh").mkdir()
    again = open_session(save(tmp_path / "fresh", project_text(session, tmp_path / "fresh")))
    assert (again.play_rate, again.play_rate_keeps_pitch) == (1.5, True)
    said = write_dawproject(session, tmp_path / "song.dawproject")
    assert said == ["Project: its play rate of 1.5 is not written"]


def test_bounce_writes_either(opened, tmp_path):
    path = opened(item(0, 3)).path
    bounce(path, tmp_path / "own")
    assert soundfile.info(tmp_path / "own" / "T.wav").frames == 3 * RATE
    results = bounce(path, tmp_path / "played", play_rate=True, mix=True, strict=True, end="1.5")
    assert soundfile.info(tmp_path / "played" / "song mix.wav").frames == 1.5 * RATE
    assert results.jobs[0].notes == []
