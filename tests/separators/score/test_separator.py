"""Separation by a score: what it reaches on tones, what it warns of, that it works block by block."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import separators
from separators.base import Piece
from separators.errors import ParameterError, ScoreError, SeparatorWarning
from separators.evaluation import si_sdr
from separators.score import Part, Score
from separators.score.separator import ScoreNMF
from separators.streaming import ArraySource, separate_blocks
from tests.separators.score.midi_files import melody, played, save_midi

RATE = 16000
SECONDS = 6.0
SUM_DB = -120.0

HIGH = melody([76, 79, 81, 84, 79, 76, 81, 83, 88, 84, 79], step=0.5)
LOW = melody([45, 48, None, 52, 45, 48, 43, 41, None, 45, 48, 52, 45], step=0.45, channel=1)
KIT = melody([36, 42, 42, 38, 42] * 2, step=0.55, length=0.2, channel=9)
TRACKS = {"High": HIGH, "Low": LOW, "Kit": KIT}
SCORE = Score.of_tracks(TRACKS.items())


@pytest.fixture(scope="module")
def sources():
    return {
        "High": 0.7 * played(HIGH, SECONDS, RATE),
        "Low": played(LOW, SECONDS, RATE, brightness=0.7),
        "Kit": 2 * played(KIT, SECONDS, RATE),
    }


@pytest.fixture(scope="module")
def mixture(sources):
    return np.sum(list(sources.values()), axis=0)[None]


def quality(sources, stems):
    return {name: si_sdr(source[None], stems[name]) for name, source in sources.items()}


def separated(mixture, **values):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SeparatorWarning)
        return ScoreNMF(**{"score": SCORE, **values}).separate(mixture, RATE)


def test_each_track_of_a_midi_file_becomes_its_stem(sources, mixture, tmp_path):
    stems = separated(mixture, score=str(save_midi(tmp_path / "song.mid", TRACKS)))
    assert list(stems) == ["High", "Low", "Kit", "rest"]
    found = quality(sources, stems)
    assert min(found.values()) > 7, found
    assert np.linalg.norm(stems["rest"]) < 0.1 * np.linalg.norm(mixture)


@pytest.mark.parametrize("shift", [-0.03, 0.03])
def test_a_score_that_is_30_ms_off_costs_little(sources, mixture, shift):
    exact = quality(sources, separated(mixture))
    moved = quality(sources, separated(mixture, score=SCORE.shifted(shift)))
    assert np.mean(list(moved.values())) > np.mean(list(exact.values())) - 1.5


def test_a_score_that_is_a_second_off_is_said_and_align_mends_it(sources, mixture):
    late = SCORE.shifted(1.0)
    with pytest.warns(SeparatorWarning, match=r"fits the audio best (0\.9|1\.0)\d s earlier"):
        ScoreNMF(score=late).separate(mixture, RATE)
    found = quality(sources, separated(mixture, score=late, align=True))
    assert min(found.values()) > 6, found


def test_a_score_of_other_music_is_said(mixture):
    other = Score.of_tracks([("a", melody(np.random.default_rng(3).integers(55, 90, 20), step=0.29))])
    with pytest.warns(SeparatorWarning, match="does not match the audio at any shift"):
        ScoreNMF(score=other).separate(mixture, RATE)


def test_what_is_not_in_the_score_goes_to_the_rest(sources, mixture):
    """With the bass missing from the score, most of it is in `rest` and not in the melody."""
    score = Score(tuple(part for part in SCORE.parts if part.name != "Low"))
    stems = ScoreNMF(score=score, rest_templates=6).separate(mixture, RATE)
    shares = {name: abs(np.vdot(stem, sources["Low"])) for name, stem in stems.items()}
    assert max(shares, key=shares.get) == "rest"
    assert shares["rest"] > 3 * shares["High"]


@pytest.mark.filterwarnings("ignore::separators.errors.SeparatorWarning")
def test_a_part_that_is_silent_where_the_score_is_learned_is_found_elsewhere(sources):
    half = round(SECONDS / 2 * RATE)
    sample = sum(source[None, :half] * (name != "Low") for name, source in sources.items())
    later = sum(source[None, half:] for source in sources.values())
    transform = ScoreNMF(score=SCORE).fit_placed(sample, RATE, [Piece(0, 0, half)])
    low = transform(later, half)[list(sources).index("Low")]
    assert si_sdr(sources["Low"][None, half:], low) > 3


@pytest.mark.filterwarnings("ignore::separators.errors.SeparatorWarning")
def test_where_no_note_sounds_everything_is_rest():
    audio = np.random.default_rng(0).standard_normal((1, 4 * RATE)).astype(np.float32)
    score = Score.of_tracks([("a", melody([60], length=0.5, start=0.5))])
    stems = ScoreNMF(score=score).separate(audio, RATE)
    quiet = slice(2 * RATE, None)
    assert np.linalg.norm(stems["a"][:, quiet]) < 1e-3 * np.linalg.norm(audio)


@pytest.mark.filterwarnings("ignore::separators.errors.SeparatorWarning")
@pytest.mark.parametrize(
    ("length", "words"), [(15.0, "the score ends at 5"), (0.4, "the audio already at 0.4 s")]
)
def test_a_score_of_another_length_is_said(mixture, length, words):
    audio = np.resize(mixture, (1, round(length * RATE)))
    with pytest.warns(SeparatorWarning, match=words):
        ScoreNMF(score=SCORE).separate(audio, RATE)


def test_the_panorama_tells_parts_on_the_same_notes_apart():
    """Each part plays the note alone once; else nothing would say which side is whose."""
    shared = melody([60] * 8)
    notes = [shared + melody([60], start=4.0 + part) for part in (0, 1)]
    sides = np.array([[1.0, 0.1], [0.1, 1.0]])
    images = [
        np.outer(sides[part], played(notes[part], 6, RATE, brightness=1 + part)).astype(np.float32)
        for part in (0, 1)
    ]
    score = Score(tuple(Part(str(part), tuple(notes[part])) for part in (0, 1)))
    stems = ScoreNMF(score=score).separate(images[0] + images[1], RATE)
    for part, image in enumerate(images):
        assert si_sdr(image, stems[str(part)]) > si_sdr(image, images[0] + images[1]) + 3


def test_the_pan_of_the_score_tells_parts_apart_that_always_play_the_same():
    notes = melody([60, 64, 67, 60], length=0.5)
    tone = played(notes, 3, RATE)
    images = [np.outer(side, tone).astype(np.float32) for side in ([1.0, 0.4], [0.4, 1.0])]
    score = Score(
        tuple(Part(str(pan), tuple(replace(note, pan=pan) for note in notes)) for pan in (0.15, 0.85))
    )
    stems = ScoreNMF(score=score).separate(images[0] + images[1], RATE)
    for image, stem in zip(images, stems.values(), strict=False):
        assert si_sdr(image, stem) > si_sdr(image, images[0] + images[1]) + 3


def test_blocks_of_a_long_file_know_their_place_and_pitches_that_the_sample_lacks(sources, mixture):
    """In blocks of two seconds, fitted on half of the audio, each track still comes apart."""
    separator = ScoreNMF(score=SCORE)
    separator.block_seconds, separator.overlap_seconds, separator.fit_seconds = 2.0, 0.5, 4.0
    stems = np.concatenate(list(separate_blocks(separator, ArraySource(mixture, RATE))), axis=2)
    names = separator.stem_names(1)
    found = quality(sources, dict(zip(names, stems, strict=True)))
    assert min(found.values()) > 6, found
    difference = np.linalg.norm(stems.sum(axis=0) - mixture) / np.linalg.norm(mixture)
    assert 20 * np.log10(difference) < SUM_DB


def test_without_a_score_there_are_no_stems():
    separator = ScoreNMF()
    for call in (lambda: separator.stem_names(1), lambda: separator.separate(np.ones((1, 9)), RATE)):
        with pytest.raises(ScoreError, match="there is no score") as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"split": "notes"}, "split notes needs the choices in notes"),
        ({"notes": "60"}, "needs split notes, not split track"),
        ({"split": "notes", "notes": "a=1", "score": SCORE}, "no note for 'a'"),
        ({"score": 3}, "score must be a file, not 3"),
        ({"score": "nowhere.mid"}, "nowhere.mid"),
    ],
)
def test_wrong_parameters_are_one_clear_line(values, words):
    with pytest.raises(ParameterError, match=words) as error:
        ScoreNMF(**values)
    assert "\n" not in str(error.value)


def test_a_track_called_rest_does_not_collide_with_the_rest():
    names = ScoreNMF(score=Score.of_tracks([("rest", HIGH)])).stem_names(1)
    assert names == ("rest", "rest of all")


def test_it_is_registered_and_shows_its_score(tmp_path):
    path = save_midi(tmp_path / "song.mid", TRACKS)
    separator = separators.create("nmf-score", score=str(path))
    assert separator == ScoreNMF(score=Score.from_text(str(path)))
    assert f"{path}: 3 parts, {sum(map(len, TRACKS.values()))} notes" in repr(separator)


def test_sound_after_a_silent_sample_overflows_nothing(mixture):
    transform = ScoreNMF(score=SCORE).fit(np.zeros_like(mixture), RATE)
    with np.errstate(all="raise", under="ignore"):
        stems = transform(mixture)
    assert np.abs(stems.sum(0) - mixture).max() < 1e-5
