"""The committed example session says the truth about itself: positions, sums, bleed, licences, size."""

from __future__ import annotations

import json
import re
import struct
import tomllib
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from plugin_bridge.cli import main
from plugin_bridge.rendering.tracks import MixSource, TrackSource, selected_tracks
from plugin_bridge.sessions import open_session

SESSION = Path(__file__).parents[1] / "examples" / "session"
RATE = 44100
BAR_SECONDS = 4 * 60 / 95
START = 3600 * RATE
BARS = {
    "Mic Guitar": (0, 2),
    "Mic Tabla": (0, 2),
    "Drums": (2, 4),
    "Bass": (3, 2),
    "Duo": (3, 2),
    "Guitar": (5, 2),
    "Band": (5, 2),
    "Interview": (7, 9),
    "Click": (0, 0.25),
}
"""Track -> first bar and length in bars."""
SIZE_LIMIT = 8_500_000
ROUNDING = 0.5 + 1e-9
"""A mixture of whole 16-bit steps, rounded to whole steps, is off by half a step at most."""
HIGHEST_PEAK = 10 ** (-5 / 20)
MIDI_TEMPO_STEP = 1e-6
"""A MIDI file keeps whole microseconds a beat, of which there are 631 579 here."""
CLICK_FREE = 10 ** (-60 / 20)
"""A file begins and ends below this."""


def read(path: str) -> np.ndarray:
    """Whole 16-bit steps, ``(frames, channels)``."""
    samples, rate = soundfile.read(SESSION / path, dtype="int16", always_2d=True)
    assert rate == RATE
    return samples.astype(np.int64)


def at(bar: float) -> int:
    return round(bar * BAR_SECONDS * RATE)


def time_reference(path: Path) -> int:
    data = path.read_bytes()
    bext = data.index(b"bext")
    assert bext < data.index(b"data")
    return struct.unpack_from("<Q", data, bext + 8 + 338)[0]


def test_it_holds_the_tracks_it_says():
    assert {path.stem for path in (SESSION / "audio").glob("*.wav")} == set(BARS)


def test_it_is_small_enough_to_be_committed():
    assert sum(path.stat().st_size for path in SESSION.rglob("*") if path.is_file()) <= SIZE_LIMIT


@pytest.mark.parametrize("name", BARS)
def test_time_stamps_and_lengths_are_whole_bars(name):
    path = SESSION / "audio" / f"{name}.wav"
    bar, bars = BARS[name]
    assert time_reference(path) == START + at(bar)
    # A bar is no whole number of frames, so lengths may differ by one from place to place.
    assert abs(soundfile.info(path).frames - at(bars)) <= 1


@pytest.mark.parametrize("name", BARS)
def test_levels_leave_headroom_and_nothing_clicks(name):
    audio, _ = soundfile.read(SESSION / "audio" / f"{name}.wav", always_2d=True)
    assert 0.1 < np.abs(audio).max() < HIGHEST_PEAK
    assert np.abs(audio[0]).max() < CLICK_FREE
    assert np.abs(audio[-1]).max() < CLICK_FREE


@pytest.mark.parametrize(
    ("track", "sources"),
    [
        ("Drums", ["drums-kick", "drums-snare", "drums-hihat"]),
        ("Duo", ["duo-piano", "duo-guitar"]),
        ("Interview", ["interview-woman", "interview-man"]),
    ],
)
def test_known_sources_sum_to_the_track_sample_for_sample(track, sources):
    parts = [read(f"sources/{source}.flac") for source in sources]
    assert all(np.abs(part).max() > 1000 for part in parts)
    np.testing.assert_array_equal(sum(parts), read(f"audio/{track}.wav"))


def test_the_stated_matrix_makes_the_microphones():
    stated = re.findall(
        r"^ *Mic \w+ += ([\d.]+) guitar \+ ([\d.]+) tabla$", (SESSION / "README.md").read_text(), re.MULTILINE
    )
    matrix = np.array(stated, float)
    assert matrix.shape == (2, 2)
    assert matrix[0, 1] > 0.1
    assert matrix[1, 0] > 0.1
    sources = np.stack([read("sources/mic-guitar.flac")[:, 0], read("sources/mic-tabla.flac")[:, 0]])
    microphones = np.stack([read("audio/Mic Guitar.wav")[:, 0], read("audio/Mic Tabla.wav")[:, 0]])
    assert np.abs(matrix @ sources - microphones).max() <= ROUNDING


def test_the_interview_holds_both_voices_alone_and_at_the_same_time():
    levels = []
    for voice in ("woman", "man"):
        audio = read(f"sources/interview-{voice}.flac")[:, 0] / 32768
        seconds = len(audio) // RATE
        levels.append(np.std(audio[: seconds * RATE].reshape(seconds, RATE), axis=1))
    woman, man = np.array(levels) > 0.005
    assert min(np.sum(woman & ~man), np.sum(man & ~woman), np.sum(woman & man)) >= 3
    loudness = [np.median(level[active]) for level, active in zip(levels, (woman, man), strict=True)]
    assert abs(20 * np.log10(loudness[0] / loudness[1])) < 6


def test_the_duo_is_panned_apart():
    def pan(name: str) -> float:
        left, right = np.std(read(f"sources/{name}.flac"), axis=0)
        return 4 / np.pi * np.arctan2(right, left) - 1

    assert pan("duo-piano") == pytest.approx(-0.6, abs=0.01)
    assert pan("duo-guitar") == pytest.approx(0.6, abs=0.01)


def test_the_bass_plays_the_notes_of_its_score():
    track, _ = soundfile.read(SESSION / "audio" / "Bass.wav")
    pitches = [
        message.note
        for message in mido.MidiFile(SESSION / "sources" / "bass.mid")
        if message.type == "note_on"
    ]
    assert len(pitches) == 16
    for bar in range(2):
        (pitch,) = set(pitches[8 * bar : 8 * bar + 8])
        passage = track[at(bar) : at(bar + 1)]
        spectrum = np.abs(np.fft.rfft(passage * np.hanning(len(passage))))

        def harmonics(pitch: int, spectrum: np.ndarray = spectrum, length: int = len(passage)) -> float:
            bins = 440 * 2 ** ((pitch - 69) / 12) * np.arange(1, 6) * length / RATE
            return sum(spectrum[round(centre) - 2 : round(centre) + 3].max() for centre in bins)

        assert max(range(pitch - 5, pitch + 6), key=harmonics) == pitch


def test_every_file_has_its_line_in_the_readme():
    readme = (SESSION / "README.md").read_text()
    rows = [row.split("|")[1:-1] for row in readme.splitlines() if row.startswith("| `")]
    licensed = {file for row in rows for file in re.findall(r"`([^`]+)`", row[0]) if row[4].strip()}
    files = {str(path.relative_to(SESSION)) for path in SESSION.rglob("*") if path.is_file()}
    assert files - {"README.md", "LICENSES.md"} == licensed


def test_the_licence_texts_stand_beside_it():
    texts = " ".join((SESSION / "LICENSES.md").read_text().split())
    for words in (
        "Carlos Viola Iborra <karuritosu@gmail.com> Permission is hereby granted, free of charge",
        "etc/samples/loop_tabla.flac Copyright: 2015 lezaarth",
        "etc/samples/elec_tick.flac Copyright: 2005 looppool",
        "either version 2 of the License, or (at your option) any later version",
        "Contributors to the Freedoom project. All rights reserved.",
        "MuseScore_General SoundFont (MIT, parts PD or CC0)",
        "Copyright: 2003-2010, Allison Smith",
        "https://creativecommons.org/licenses/by-sa/3.0/legalcode",
        "Copyright: 2012 Carlo Flora",
        "https://creativecommons.org/licenses/by/3.0/legalcode",
    ):
        assert words in texts


def test_the_demo_names_tracks_and_sources_that_are_there():
    jobs = tomllib.loads((SESSION / "demo.toml").read_text())["job"]
    presets = {"drum-loop", "stereo-unpan", "mic-bleed-instant", "two-voices", "blind-4"}
    assert {job["preset"] for job in jobs} == presets
    for job in jobs:
        matching = [name for name in BARS if Path(name).match(job["tracks"])]
        assert matching, job
        sources = job.get("sources", {})
        for source in sources if isinstance(sources, list) else sources.values():
            assert read(source).shape == read(f"audio/{matching[0]}.wav").shape


def clips(session):
    return {track.name: track.clips for track in session.walk() if track.clips}


def test_the_reaper_project_opens_complete():
    session = open_session(SESSION)
    assert session.format == "rpp"
    assert session.sample_rate == RATE
    assert session.start == 3600
    assert set(clips(session)) == set(BARS)
    assert all(clip.source.is_file() for track in clips(session).values() for clip in track)
    assert session.not_honoured == ["Bass: MIDI items are not played"]
    assert session.end == pytest.approx(16 * BAR_SECONDS, abs=1 / RATE)


def test_the_reaper_project_uses_what_a_mix_uses():
    tracks = {track.name: track for track in open_session(SESSION).walk()}
    assert tracks["Click"].muted
    assert tracks["Click"].clips[0].loop
    assert [track.name for track in tracks["Room"].children] == ["Mic Guitar", "Mic Tabla"]
    assert [track.name for track in tracks["Rhythm"].children] == ["Drums", "Bass"]
    assert tracks["Mic Guitar"].pan == pytest.approx(-0.4)
    assert tracks["Duo"].volume == pytest.approx(0.8)
    assert tracks["Bass"].clips[0].gain == pytest.approx(0.8)
    fades = {
        fade.shape
        for track in tracks.values()
        for clip in track.clips
        for fade in (clip.fade_in, clip.fade_out)
        if fade.seconds
    }
    assert len(fades) == 4
    first, second = tracks["Drums"].clips
    assert second.offset == pytest.approx(first.length)
    assert second.position == pytest.approx(first.position + first.length)
    assert [note.pitch for note in tracks["Bass"].notes] == [31] * 8 + [33] * 8


def test_the_plain_export_places_the_tracks_where_the_reaper_project_does():
    plain, reaper = open_session(SESSION / "audio"), open_session(SESSION)
    assert plain.format == "folder"
    assert plain.start == reaper.start
    assert plain.not_honoured == []
    (tempo,), (reaper_tempo,) = plain.tempo, reaper.tempo
    assert tempo.bpm == pytest.approx(reaper_tempo.bpm, rel=MIDI_TEMPO_STEP)
    assert (tempo.numerator, tempo.denominator) == (reaper_tempo.numerator, reaper_tempo.denominator)
    assert [(marker.name, marker.seconds) for marker in plain.markers] == [
        (marker.name, pytest.approx(marker.seconds, rel=MIDI_TEMPO_STEP, abs=1 / RATE))
        for marker in reaper.markers
    ]
    for name, (clip,) in clips(plain).items():
        pieces = clips(reaper)[name]
        assert clip.position == pytest.approx(pieces[0].position, abs=0.1 / RATE), name
        assert clip.source == pieces[0].source
        if name != "Click":  # looped in the project, once in the export
            assert clip.length == pytest.approx(sum(piece.length for piece in pieces), abs=0.1 / RATE), name


def test_the_mix_of_the_reaper_project_does_not_clip():
    mix = MixSource(open_session(SESSION))
    audio = mix.read(0, mix.frames)
    assert audio.shape == (2, at(16))
    assert HIGHEST_PEAK < np.abs(audio).max() < 1
    # Somebody plays in every bar.
    assert all(np.std(audio[:, at(bar) : at(bar + 1)]) > 0.01 for bar in range(16))


def test_the_drums_cut_in_two_items_are_the_file_sample_for_sample():
    session = open_session(SESSION)
    (drums,) = selected_tracks(session, ["Drums"])
    rendered = TrackSource(session, drums)
    audio, _ = soundfile.read(SESSION / "audio" / "Drums.wav", dtype="float32")
    assert rendered.start_frame == at(2)
    np.testing.assert_array_equal(rendered.read(0, rendered.frames)[0], audio)


def test_the_drum_templates_were_not_learned_from_this_kit():
    card = (SESSION.parents[1] / "separators" / "nmf" / "data" / "drum_templates.md").read_text()
    drums = [
        line.split(": ")
        for line in card.splitlines()
        if line.startswith(("- kick: ", "- snare: ", "- hihat: "))
    ]
    kits = {shot.split("_")[0] for _, shots in drums for shot in shots.split(", ")}
    assert len(drums) == 3
    assert kits == {"msgm", "sonicpi", "audiophob"}


def test_the_score_of_the_bass_fits_the_bass(tmp_path):
    """Nothing is said against it; only that rendering does not play it."""
    arguments = ["render", SESSION, "--tracks", "Bass", "-p", "midi-stems", "-o", tmp_path, "--json", "-q"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    (job,) = json.loads(result.stdout)["jobs"]
    assert job["warnings"] == []
