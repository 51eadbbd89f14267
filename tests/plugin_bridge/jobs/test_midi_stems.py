"""Jobs that follow a score: of the session, beside the file, on the command line."""

from functools import partial

import numpy as np
import pytest

from separators.evaluation import si_sdr
from tests.plugin_bridge import session_helpers
from tests.plugin_bridge.command_helpers import error_of, results_of, run
from tests.plugin_bridge.session_helpers import read
from tests.separators.score.midi_files import melody, played, save_midi

RATE = 16000
write = partial(session_helpers.write, rate=RATE)
SECONDS = 4.0
TRACKS = {
    "Lead": melody([76, 79, 81, 84, 79, 76, 81]),
    "Bass": melody([45, 48, 52, 45, 48, 43, 41, 45], step=0.45, channel=1),
}
STEMS = ["Bass.wav", "Lead.wav", "manifest.json", "rest.wav"]
FILTERED = """
title = "Dark bass"
[separator]
name = "nmf-score"
[[stems.Bass]]
plugin = "LowpassFilter"
cutoff_frequency_hz = 500
"""


@pytest.fixture(scope="module")
def sources():
    return {name: played(notes, SECONDS, RATE)[None] for name, notes in TRACKS.items()}


@pytest.fixture
def song(tmp_path, sources):
    return write(tmp_path / "in" / "song.wav", sum(sources.values()))


def assert_separated(folder, sources, level=8):
    assert sorted(path.name for path in folder.iterdir()) == STEMS
    for name, source in sources.items():
        assert si_sdr(source, read(folder / f"{name}.wav")) > level


def test_the_midi_file_beside_the_audio_is_its_score(song, sources, tmp_path):
    save_midi(song.with_suffix(".MID"), TRACKS)
    run("separate", song, "-p", "midi-stems", "-o", tmp_path / "out")
    assert_separated(tmp_path / "out" / "song", sources)


def test_changed_notes_make_new_stems_and_unchanged_ones_do_not(song, tmp_path):
    score = save_midi(tmp_path / "a.mid", TRACKS)
    command = ["separate", song, "-p", "midi-stems", "-o", tmp_path / "out", "--json", "--score"]

    def status(path):
        return results_of(run(*command, path).stdout)["jobs"][0]["status"]

    assert status(score) == "done"
    assert status(score) == "skipped"
    assert status(save_midi(score, {**TRACKS, "Bass": TRACKS["Bass"][1:]})) == "done"


def test_a_sessions_midi_tracks_are_the_score_at_their_place_on_the_timeline(tmp_path, sources):
    """The mix begins two seconds into the session, and so do the notes."""
    folder = tmp_path / "session"
    write(folder / "Click.wav", np.zeros((1, RATE)), time_reference=3600 * RATE)
    write(folder / "Mix.wav", sum(sources.values()), time_reference=3602 * RATE)
    moved = {
        name: [type(note)(note.start + 2, *list(vars(note).values())[1:]) for note in notes]
        for name, notes in TRACKS.items()
    }
    save_midi(folder / "notes.mid", moved)
    result = run("render", folder, "-p", "midi-stems", "--tracks", "Mix", "-o", tmp_path / "out")
    assert "score" not in result.output  # nothing to warn of
    assert_separated(tmp_path / "out" / "Mix", sources)


def test_a_score_that_is_off_is_said_and_align_shifts_it(song, sources, tmp_path):
    late = {
        name: [type(note)(note.start + 1, *list(vars(note).values())[1:]) for note in notes]
        for name, notes in TRACKS.items()
    }
    command = ["separate", song, "-p", "midi-stems", "--score", save_midi(tmp_path / "late.mid", late)]
    assert "s earlier; align (--align)" in run(*command, "-o", tmp_path / "off").stderr
    run(*command, "--align", "-o", tmp_path / "out")
    assert_separated(tmp_path / "out" / "song", sources, level=7)


def test_chains_of_stems_that_only_the_score_names(song, sources, tmp_path):
    preset = tmp_path / "dark.toml"
    preset.write_text(FILTERED)
    save_midi(song.with_suffix(".mid"), TRACKS)
    assert "right" in run("presets", "check", preset).stdout
    run("separate", song, "-p", preset, "-o", tmp_path / "out")
    preset.write_text(FILTERED.replace("Bass", "Tuba"))
    assert "no such stem here; there are: Lead, Bass, rest" in error_of(
        "separate", song, "-p", preset, "-o", tmp_path / "out"
    )


@pytest.mark.usefixtures("splitters")
@pytest.mark.parametrize(
    ("first", "stem", "further", "stems"),
    [
        ("nmf-score", "Bass", "bands", ["Bass/high", "Bass/low", "Lead", "rest"]),
        ("bands", "low", "nmf-score", ["high", "low/Bass", "low/Lead", "low/rest"]),
    ],
)
def test_a_cascade_gives_the_score_to_the_method_that_follows_it(
    first, stem, further, stems, song, sources, tmp_path
):
    preset, out = tmp_path / "cascade.toml", tmp_path / "out"
    preset.write_text(f'title = "T"\n[separator]\nname = "{first}"\n[separate.{stem}]\nname = "{further}"\n')
    assert "right" in run("presets", "check", preset).stdout
    assert "there is no score" in error_of("separate", song, "-p", preset, "-o", out)
    score = save_midi(tmp_path / "in" / "song.mid", TRACKS)
    for number, more in enumerate(([], ["--score", score], ["--align"])):
        folder = tmp_path / f"out {number}"
        run("separate", song, "-p", preset, "-o", folder, *more)
        found = {name: read(folder / "song" / f"{name}.wav") for name in stems}
        assert len(list(folder.rglob("*.wav"))) == len(stems)
        np.testing.assert_allclose(sum(found.values()), read(song), atol=1e-6)
        inner = sum(found[name] for name in stems if name.startswith("Bass"))
        if first == "nmf-score":
            assert si_sdr(sources["Bass"], inner) > 8


def test_a_cascade_that_names_no_stem_of_the_score_is_said(song, tmp_path):
    preset = tmp_path / "cascade.toml"
    preset.write_text(f"{FILTERED.split('[[')[0]}[separate.Tuba]\nname = 'nmf'\n")
    save_midi(song.with_suffix(".mid"), TRACKS)
    said = error_of("separate", song, "-p", preset, "-o", tmp_path / "out")
    assert "nmf-score gives no stem 'Tuba' of 1 channels to separate again; there are: Lead, Bass" in said


def test_what_is_wrong_with_a_score_is_one_line(song, tmp_path):
    def error(*more, status=1, preset="midi-stems"):
        return error_of("separate", song, "-p", preset, "-o", tmp_path / "out", *more, status=status)

    assert "song.wav: there is no score; give one with --score, or put song.mid beside it" in error()
    silent = save_midi(tmp_path / "silent.mid", {"Keys": []})
    assert "holds no notes" in error("--score", silent, status=2)
    damaged = tmp_path / "damaged.mid"
    damaged.write_bytes(b"MThd")
    assert "cannot be read as MIDI" in error("--score", damaged, status=2)
    assert "needs a preset that follows a score, such as midi-stems; blind-4 uses nmf" in error(
        "--align", status=2, preset="blind-4"
    )
    session = tmp_path / "session"
    write(session / "a.wav", read(song))
    assert "no track of this session holds MIDI notes" in error_of(
        "render", session, "-p", "midi-stems", "-o", tmp_path / "out"
    )
