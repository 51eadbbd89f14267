"""AAF files, made by pyaaf2 in the test: edit rates, gains, dissolves, media inside and beside, damage."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

aaf2 = pytest.importorskip("aaf2", reason="pyaaf2 is not installed")

from plugin_bridge.errors import SessionError  # noqa: E402
from plugin_bridge.rendering.tracks import TrackSource  # noqa: E402
from plugin_bridge.sessions import open_session  # noqa: E402
from plugin_bridge.sessions.aaf import facts, reader  # noqa: E402
from plugin_bridge.sessions.model import PointShape  # noqa: E402
from tests.plugin_bridge import session_helpers as made  # noqa: E402
from tests.plugin_bridge.sessions.aaf.helpers import NOISE, RATE, Maker  # noqa: E402

NEAR = 1e-9


@pytest.fixture
def make(tmp_path):
    def run(build, rate=25, name="song.aaf"):
        path = tmp_path / name
        with aaf2.open(str(path), "w") as file:
            build(Maker(file, tmp_path, rate))
        (tmp_path / "essence.wav").unlink()
        return path

    return run


def only(session, index=0):
    (clip,) = session.tracks[index].clips
    return clip


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), RATE])
def test_positions_are_edit_units_of_their_slot(make, rate):
    unit = max(1, int(rate) // 25)
    session = open_session(make(lambda m: m.slot(m.filler(10 * unit), m.clip(5 * unit, 20 * unit)), rate))
    clip = only(session)
    found = (clip.position, clip.length, clip.offset)
    assert found == pytest.approx([float(n * unit / rate) for n in (10, 20, 5)], abs=NEAR)
    assert (session.tracks[0].name, session.sample_rate, clip.name) == ("Vox", RATE, "take")
    assert not session.not_honoured


def test_embedded_audio_is_rendered(make):
    session = open_session(make(lambda m: m.slot(m.filler(25), m.clip(5, 20))))
    with TrackSource(session, session.tracks[0]) as source:
        assert source.start_frame == RATE
        audio = source.read(0, source.frames)[0]
    expected = NOISE[9600 : 9600 + 38400] / np.float32(32768)
    assert np.abs(audio - expected).max() < 1e-6


def test_gains_are_the_clips(make):
    def build(m):
        m.slot(m.operation("Mono Audio Gain", "Amplitude multiplier", 0.5, m.clip(0, 25)))

    assert only(open_session(make(build))).gain == 0.5


def test_a_gain_that_is_held_jumps(make):
    def build(m):
        moves = [(0, 0.25), (0.5, 1)]
        m.slot(m.filler(25), m.operation("Mono Audio Gain", "Amplitude multiplier", moves, m.clip(0, 50)))

    (envelope,) = only(open_session(make(build))).envelopes
    found = [(point.seconds, point.value, point.shape) for point in envelope.points]
    assert found == [(0, 0.25, PointShape.HOLD), (1, 1, PointShape.HOLD)]


def test_a_pan_of_a_clip_is_the_clips_and_of_a_whole_slot_the_tracks(make):
    def build(m):
        m.slot(m.operation("Mono Audio Pan", "Pan value", 0.25, m.clip(0, 25)), m.clip(0, 25))

    session = open_session(make(build))
    assert session.tracks[0].pan == 0
    assert [clip.pan for clip in session.tracks[0].clips] == [-0.5, 0]


def test_a_sequence_in_the_sequence_is_cut_to_its_clip(make):
    def build(m):
        # At another edit rate: two clips of one second each, and a second of silence between them.
        inner = m.sequence(m.clip(0, RATE), m.filler(RATE), m.clip(RATE // 2, RATE), rate=RATE)
        m.slot(m.filler(25), m.operation("Mono Audio Gain", "Amplitude multiplier", 0.5, inner(15, 50)))

    clips = open_session(make(build)).tracks[0].clips
    found = [(clip.position, clip.length, clip.offset, clip.gain) for clip in clips]
    # The clip begins 0.6 s into the sequence and lasts two seconds from second 1 on.
    expected = [(1, 0.4, 0.6, 0.5), (2.4, 0.6, 0.5, 0.5)]
    assert found == [pytest.approx(one, abs=NEAR) for one in expected]


def test_a_clip_of_a_bin_repeats_what_its_composition_does(make):
    def build(m):
        adjusted = m.operation("Mono Audio Gain", "Amplitude multiplier", 0.5, m.clip(5, 40))
        inner = m.sequence(adjusted, usage="Usage_AdjustedClip")
        m.slot(m.operation("Mono Audio Gain", "Amplitude multiplier", 0.5, inner(10, 25)))

    clip = only(open_session(make(build)))
    assert (clip.gain, clip.offset, clip.length) == pytest.approx((0.5, 0.6, 1), abs=NEAR)


def test_of_several_compositions_one_that_plays_is_read(make):
    def build(m):
        m.slot(m.filler(25))
        m.sequence(m.clip(0, 25), usage="Usage_TopLevel")

    session = open_session(make(build))
    assert only(session).length == 1
    assert session.not_honoured == ["Session: of 2 compositions 'inner' is read"]


def test_a_dissolve_overlaps_both_neighbours(make):
    session = open_session(make(lambda m: m.slot(m.clip(0, 25), m.dissolve(5), m.clip(10, 20))))
    first, second = session.tracks[0].clips
    assert (first.position, first.length, first.fade_out.seconds) == (0, 1, pytest.approx(0.2))
    assert (second.position, second.length, second.fade_in.seconds) == pytest.approx((0.8, 0.8, 0.2))


def test_an_effect_that_is_not_known_is_left_out_and_said(make):
    session = open_session(make(lambda m: m.slot(m.operation("Audio EQ", "Frequency", 100, m.clip(0, 25)))))
    assert only(session).length == 1
    assert session.not_honoured == ["Vox: the effect Audio EQ is left out"]


def test_audio_outside_is_found_by_its_name(make, tmp_path):
    path = make(lambda m: m.slot(m.clip(0, 25, outside=True)))
    clip = only(open_session(path))
    assert clip.problem.startswith("my take.wav ")
    made.write(tmp_path / "my take.wav", made.noise(2.0))
    clip = only(open_session(path))
    assert not clip.problem
    assert clip.source == (tmp_path / "my take.wav").resolve()


def test_without_a_composition_it_says_so(make, tmp_path):
    path = tmp_path / "empty.aaf"
    with aaf2.open(str(path), "w"):
        pass
    with pytest.raises(SessionError, match="holds no composition"):
        open_session(path)


def test_without_pyaaf2_it_says_what_to_install(make, monkeypatch):
    path = make(lambda m: m.slot(m.clip(0, 25)))
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    with pytest.raises(SessionError, match=r"pip install 'stembridge\[aaf\]'"):
        open_session(path)


def test_a_child_that_hangs_is_ended(make, monkeypatch):
    path = make(lambda m: m.slot(m.clip(0, 25)))
    monkeypatch.setattr(reader, "LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(reader, "SECONDS_PER_MEGABYTE", 0.0)
    with pytest.raises(SessionError, match="took more than"):
        open_session(path)


def test_names_that_fill_the_memory_are_refused(make, monkeypatch, capsys):
    monkeypatch.setattr(facts, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(facts, "MEMORY", -1)
    path = make(lambda m: m.slot(m.clip(0, 25), name="a" * 1000))
    assert facts.main(["read", str(path)]) == facts.FAILED
    assert capsys.readouterr().out == "what it says is longer than a session can be\n"


@pytest.mark.parametrize("part", range(1, 10))
def test_a_file_cut_short_is_one_line_or_read(make, part):
    path = make(lambda m: m.slot(m.clip(0, 25)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * part // 10])
    ended = subprocess.run(
        [sys.executable, "-I", str(reader.CHILD), "read", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, 3), ended.stderr
    assert ended.stdout.count("\n") == 1
