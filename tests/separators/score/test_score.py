"""Scores: reading MIDI files, grouping notes into stems, what is refused."""

import pickle
from dataclasses import replace

import mido
import numpy as np
import pytest

from separators.base import Piece
from separators.errors import ParameterError
from separators.score import Note, Part, Score, chosen_notes
from separators.score.alignment import best_shift
from separators.score.sounds import (
    activity,
    frame_seconds,
    harmonic_comb,
    neighbours,
    sounds_of,
    starting_templates,
)
from separators.spectral import STFT
from tests.separators.score.midi_files import melody, played, save_midi

RATE = 16000


def test_tracks_become_parts_and_equal_names_are_numbered(tmp_path):
    first, second = melody([60, 62]), melody([40], channel=1)
    path = save_midi(tmp_path / "a.mid", {"Keys": first, "Bass": second})
    score = Score.from_text(str(path))
    assert [part.name for part in score.parts] == ["Keys", "Bass"]
    volume = (100 / 127) ** 2  # of General MIDI, where the file says nothing
    assert score.parts[0].notes[1] == Note(
        0.5, pytest.approx(0.4), 62, 100, 0, pytest.approx(volume, rel=1e-3)
    )
    assert score.end == pytest.approx(0.9)
    doubled = Score.of_tracks([("Keys", first), ("Keys", second), ("Empty", [])])
    assert [part.name for part in doubled.parts] == ["Keys", "Keys 2"]


def test_notes_have_the_program_that_their_channel_has_when_they_start(tmp_path):
    path = save_midi(tmp_path / "a.mid", {"Keys": melody([60, 62, 64]), "Bass": melody([40], channel=1)})
    file = mido.MidiFile(path)
    # At 120 beats a minute a second has 960 ticks: between the first note of the track and the second.
    file.tracks.insert(0, mido.MidiTrack([mido.Message("program_change", program=30, time=432)]))
    file.save(path)
    keys, bass = Score.from_text(str(path)).parts
    assert [note.program for note in keys.notes] == [None, 30, 30]
    assert bass.notes[0].program is None


def test_a_single_track_with_several_channels_is_split_by_channel(tmp_path):
    notes = {"a": melody([60]), "b": melody([40], channel=3), "c": melody([36], channel=9)}
    score = Score.from_text(str(save_midi(tmp_path / "a.mid", notes, type=0)))
    assert [part.name for part in score.by_tracks().parts] == ["channel-1", "channel-4", "drums"]


def test_each_note_goes_to_the_first_choice_that_names_it():
    score = Score.of_tracks([("Piano", melody([40, 60, 72])), ("Kit", melody([36, 40], channel=9))])
    chosen = score.by_notes("kick=35+36@10, left=21-59, 60+72")
    found = {part.name: [(note.pitch, note.channel) for note in part.notes] for part in chosen.parts}
    assert found["kick"] == [(36, 9)]
    assert sorted(found["left"]) == [(40, 0), (40, 9)]
    assert found["60+72"] == [(60, 0), (72, 0)]
    with pytest.raises(ParameterError, match="no note for 'high'; it has pitches from 36 to 72"):
        score.by_notes("high=100-110")


@pytest.mark.parametrize("text", ["", "x", "60-", "200", "70-60", "60@17", "=60", "a=60,a=61"])
def test_choices_that_name_no_notes_are_one_clear_line(text):
    with pytest.raises(ParameterError, match=r"^notes: ") as error:
        chosen_notes(text)
    assert "\n" not in str(error.value)


def test_what_is_no_score_is_one_clear_line(tmp_path):
    silent = save_midi(tmp_path / "silent.mid", {"Keys": []})
    noise = tmp_path / "noise.mid"
    noise.write_bytes(bytes(100))
    for path, words in (
        (silent, "holds no notes"),
        (noise, "cannot be read as MIDI"),
        (tmp_path / "none.mid", "No such file"),
    ):
        with pytest.raises(ParameterError, match=words) as error:
            Score.from_text(str(path))
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


def test_equal_notes_have_equal_fingerprints_wherever_they_lie(tmp_path):
    tracks = {"Keys": melody([60, 62])}
    one, other = (Score.from_text(str(save_midi(tmp_path / name, tracks))) for name in ("a.mid", "b.mid"))
    assert one.fingerprint == other.fingerprint
    assert one.shifted(0.1).fingerprint != one.fingerprint
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(Score.from_text(str(tmp_path / "a.mid")))
    assert str(one) == str(tmp_path / "a.mid")


# -- what a score says of a spectrogram ---------------------------------------------------------------


def test_sounds_are_allowed_from_the_tolerance_before_a_note_to_the_release_after_it():
    score = Score((Part("a", (Note(1.0, 0.5, 60, 127),)),))
    body, onset = sounds_of(score, tolerance=0.05, release=0.2)
    seconds = np.arange(0, 3, 0.01)
    found = activity([body, onset], seconds)
    assert found.max() == 1
    for column, last in ((0, 1.75), (1, 1.11)):
        sounding = seconds[found[:, column] > 0]
        assert (sounding[0], sounding[-1]) == (pytest.approx(0.95), pytest.approx(last, abs=0.011))


def test_struck_notes_are_expected_to_die_away_and_all_to_be_quiet_after_their_end():
    note = Note(1.0, 1.0, 60, 127)
    parts = [Part(str(program), (replace(note, program=program),)) for program in (0, 16)]
    piano, _, organ, _ = activity(sounds_of(Score(tuple(parts)), 0.0, 0.2), np.arange(0.95, 2.2, 0.1)).T
    assert piano[[1, 7]] == pytest.approx([0.5 ** (0.05 / 0.6), 0.5 ** (0.65 / 0.6)], rel=1e-3)
    assert np.all(organ[1:11] == 1)
    assert 0 < organ[11] < 0.5


def test_frames_of_a_sample_of_pieces_lie_where_the_pieces_do():
    stft = STFT(1024, 256)
    pieces = [Piece(0, 0, 8000), Piece(8000, 50000, 8000)]
    seconds = frame_seconds(stft, 16000, RATE, pieces)
    centres = stft.centres(16000)
    assert np.array_equal(seconds[centres < 8000], centres[centres < 8000] / RATE)
    assert np.array_equal(seconds[centres >= 8000], (centres[centres >= 8000] + 42000) / RATE)
    # A click lies in the middle of the frame that it is strongest in.
    click = np.zeros((1, 16000), np.float32)
    click[0, 5000] = 1
    loudest = np.abs(stft.forward(click)[0]).sum(axis=0).argmax()
    assert abs(centres[loudest] - 5000) <= stft.hop


def test_starting_templates_are_zero_between_the_overtones_of_instruments_only():
    stft = STFT(4096, 1024)
    comb = harmonic_comb(69, 1.5, stft, RATE)
    hertz = np.arange(stft.bins) * RATE / stft.fft_size
    assert comb[np.abs(hertz - 440).argmin()] == comb.max()
    assert comb[np.abs(hertz - 660).argmin()] == 0
    score = Score((Part("a", (Note(0, 1, 69, 100), Note(0, 1, 36, 100, 9))),))
    W = starting_templates(sounds_of(score, 0.05, 0.2), stft, RATE)
    assert np.allclose(W.sum(axis=1), 1)
    assert [bool((row > 0).all()) for row in W] == [False, True, True, True, True]


def test_distorted_guitars_start_out_brighter_than_clean_ones():
    parts = [Part(str(program), (Note(0, 1, 50, 100, program=program),)) for program in (27, 30)]
    clean, _, distorted, _ = starting_templates(
        sounds_of(Score(tuple(parts)), 0.05, 0.2), STFT(4096, 1024), RATE
    )
    high = slice(len(clean) // 4, None)
    assert distorted[high].sum() > 2 * clean[high].sum()


def test_a_pitch_learns_from_the_others_of_its_part_and_instrument_only():
    notes = [Note(0, 1, 60, 100, program=0), Note(0, 1, 72, 100, program=0), Note(0, 1, 72, 100, program=40)]
    score = Score((Part("a", tuple(notes)), Part("b", (Note(0, 1, 36, 100, 9),))))
    sounds = [sound for sound in sounds_of(score, 0.05, 0.2) if sound.stage == 0]
    assert [(sound.pitch, sound.program) for sound in sounds] == [(60, 0), (72, 0), (72, 40), (36, None)]
    templates = np.zeros((4, 100), np.float32)
    templates[0, 20] = 1
    found = neighbours(templates, sounds)
    assert found[0].argmax() == 20
    assert found[1].argmax() == 40  # an octave higher
    assert found[1].sum() == pytest.approx(1)
    assert not found[2:].any()


@pytest.mark.parametrize("shift", [-3.21, 0.0, 0.45])
def test_the_shift_of_a_score_is_found_to_a_frame(shift):
    rng = np.random.default_rng(0)
    notes = melody(rng.integers(50, 80, 20), step=0.37, start=4.0)
    audio = played(notes, 14, RATE)[None]
    stft = STFT(1024, 256)
    V = np.abs(stft.forward(audio)[0]).T
    seconds = frame_seconds(stft, audio.shape[1], RATE, [Piece(0, 0, audio.shape[1])])
    fit = best_shift(V, stft, RATE, seconds, Score.of_tracks([("a", notes)]).shifted(-shift))
    assert fit.seconds == pytest.approx(shift, abs=0.033)
    assert fit.is_plain
    other = melody(rng.integers(50, 80, 20), step=0.61, start=3.0)
    assert best_shift(V, stft, RATE, seconds, Score.of_tracks([("b", other)])).agreement < fit.agreement / 2
