"""The commands for sessions: what render, bounce and inspect print and write."""

from __future__ import annotations

import json

import numpy as np
import pytest

from plugin_bridge.audio.files import AudioFileSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.dawproject.project import write_dawproject
from plugin_bridge.sessions.picture import SessionPicture
from tests.plugin_bridge import session_helpers as made
from tests.plugin_bridge.command_helpers import (
    MIXING,
    RATE,
    UNPAN,
    error_of,
    files,
    noise,
    results_of,
    run,
    write,
)
from tests.plugin_bridge.session_helpers import read

START = 3600 * RATE
FLOAT = 1e-6


@pytest.fixture
def session(tmp_path):
    """A folder as DAWs export it: two stereo tracks, one of them later, counted from one hour."""
    folder = tmp_path / "My Song"
    write(folder / "Keys.wav", noise(seed=1), time_reference=START)
    write(folder / "Duo.wav", noise(seed=2), time_reference=START + RATE)
    return folder


def test_render_puts_stems_in_place_and_writes_a_project_for_the_daw(session, preset, tmp_path):
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in session.iterdir()}
    result = run("render", session, "-p", preset, "-o", out)
    assert str(out / "My Song_stems.rpp") in result.stdout
    assert {path.name: path.read_bytes() for path in session.iterdir()} == before
    with AudioFileSource(out / "Duo" / "source-1.wav") as stem:
        assert (stem.info.time_reference, stem.frames) == (START + RATE, RATE)
    project = open_session(out / "My Song_stems.rpp", media_roots=[tmp_path])
    tracks = {track.name: track for track in project.walk()}
    assert tracks["Duo"].muted
    assert not tracks["Duo source-1"].muted
    assert tracks["Duo source-1"].clips[0].source == (out / "Duo" / "source-1.wav").resolve()
    assert tracks["Duo source-1"].clips[0].position == pytest.approx(1.0)
    assert (
        np.abs(sum(read(out / "Duo" / f"source-{k}.wav") for k in (1, 2)) - read(session / "Duo.wav")).max()
        < FLOAT
    )


def test_the_mix_of_the_stems_project_is_the_mix_of_the_session(session, preset, tmp_path):
    run("render", session, "-p", preset, "-o", tmp_path / "out", "-q")
    run("bounce", session, "-o", tmp_path / "a", "--mix", "-q")
    run(
        "bounce",
        tmp_path / "out" / "My Song_stems.rpp",
        "-o",
        tmp_path / "b",
        "--mix",
        "-q",
        "--media-root",
        tmp_path,
    )
    first, second = read(tmp_path / "a" / "My Song mix.wav"), read(tmp_path / "b" / "My Song_stems mix.wav")
    assert np.abs(first).max() > 0.1
    assert np.abs(first - second).max() < FLOAT


def test_a_project_that_may_hold_work_is_kept(session, preset, tmp_path):
    out = tmp_path / "out"
    run("render", session, "-p", preset, "-o", out, "-q")
    project = out / "My Song_stems.rpp"
    worked_on = project.read_text().replace('NAME "Duo source-1"', 'NAME "My piano"')
    project.write_text(worked_on)
    run("render", session, "-p", preset, "-o", out, "-q")
    assert project.read_text() == worked_on
    run("render", session, "-p", preset, "-o", out, "-q", "--force")
    assert project.read_text() != worked_on
    assert (out / "My Song_stems.rpp-bak").read_text() == worked_on


def test_tracks_are_chosen_by_pattern_in_any_case(session, preset, tmp_path):
    result = results_of(
        run("render", session, "-p", preset, "-o", tmp_path / "out", "--tracks", "du*", "--json").stdout
    )
    assert [job["job"] for job in result["jobs"]] == ["Duo"]
    complaint = error_of("render", session, "-p", preset, "-o", tmp_path / "out", "--tracks", "Drums")
    assert "no track with audio fits 'Drums'; there are: Duo, Keys" in complaint


def test_together_takes_tracks_as_microphones_and_gives_each_its_own_source(preset, tmp_path):
    rng = np.random.default_rng(3)
    levels = rng.uniform(0.2, 1, (2, 32)).repeat(RATE // 8, axis=1)
    own = (0.05 * levels * rng.laplace(size=levels.shape)).astype(np.float32)
    late = RATE // 2
    own[:, :late] = 0  # the second microphone was switched on half a second later
    first, second = MIXING @ own
    folder, out = tmp_path / "Panel", tmp_path / "out"
    write(folder / "Mic A.wav", first[None], time_reference=START)
    write(folder / "Mic B.wav", second[None, late:], time_reference=START + late)
    write(folder / "Music.wav", noise(1, 2.0), time_reference=START)
    run("render", folder, "-p", preset, "-o", out, "--together", "mic*")
    assert files(out) == sorted(
        ["Panel_stems.rpp"]
        + [f"Mic {mic}/{name}" for mic in "AB" for name in ("bleed.wav", "direct.wav", "manifest.json")]
    )
    # At its own level: the plain difference to what the microphone would have heard of its own source.
    for mic, source, heard in (("A", own[0], first), ("B", own[1, late:], second[late:])):
        direct = read(out / f"Mic {mic}" / "direct.wav")[0]
        assert np.linalg.norm(direct - source) < 0.03 * np.linalg.norm(source)
        assert np.abs(direct + read(out / f"Mic {mic}" / "bleed.wav")[0] - heard).max() < FLOAT


def test_a_single_track_of_several_microphones_is_taken_apart(preset, tmp_path):
    """Its channels' stems take no track's place, so that there is no project beside them."""
    folder, out = tmp_path / "session", tmp_path / "out"
    write(folder / "kit.wav", noise())
    preset.write_text("together = true\n" + UNPAN)
    run("render", folder, "-p", preset, "-o", out)
    made = ("bleed.wav", "direct.wav", "manifest.json")
    assert files(out) == sorted(f"kit {number}/{name}" for number in (1, 2) for name in made)


def test_each_pattern_of_together_is_a_recording_of_its_own(preset, tmp_path):
    folder = tmp_path / "Takes"
    for take in (1, 2):
        for mic, audio in zip("ab", noise(seconds=4, seed=take), strict=True):
            write(folder / f"{take} {mic}.wav", audio[None])
    arguments = ["render", folder, "-p", preset, "-o", tmp_path / "out"]
    planned = results_of(run(*arguments, "--together", "1*", "--together", "2*", "--json").stdout)
    assert [job["job"] for job in planned["jobs"]] == ["1 a, 1 b", "2 a, 2 b"]
    assert "would be written for" in error_of(*arguments, "--together", "1*", "--together", "*")
    assert "separated together, at least two, and this is one" in error_of(*arguments, "--together", "1 a")
    for other in (["--tracks", "1*"], ["--no-together"]):
        assert "leave out" in error_of(*arguments, "--together", "1*", *other, status=2)


def test_microphones_that_hold_the_same_are_named_and_a_silent_one_stays_silent(tmp_path):
    preset = tmp_path / "room.toml"
    preset.write_text(UNPAN.replace("Un-pan", "Room") + 'model = "convolutive"\n')
    folder = tmp_path / "Panel"
    first, second = noise(seconds=4)
    write(folder / "a.wav", first[None])
    write(folder / "b.wav", first[None])
    arguments = ["render", folder, "-p", preset, "-o", tmp_path / "out", "--together", "*"]
    assert "a, b: ica: channels 1 and 2 hold the same signal" in error_of(*arguments)
    write(folder / "b.wav", second[None])
    write(folder / "c.wav", np.zeros_like(first[None]))
    run(*arguments)
    assert not read(tmp_path / "out" / "c" / "direct.wav").any()
    assert not read(tmp_path / "out" / "c" / "bleed.wav").any()


def test_bounced_tracks_are_as_long_as_the_session_and_sum_to_the_mix(session, tmp_path):
    out = tmp_path / "out"
    run("bounce", session, "-o", out)
    run("bounce", session, "-o", out, "--mix")
    assert files(out) == ["Duo.wav", "Keys.wav", "My Song mix.wav"]
    tracks = [read(out / name) for name in ("Duo.wav", "Keys.wav")]
    assert np.abs(sum(tracks) - read(out / "My Song mix.wav")).max() < FLOAT
    with AudioFileSource(out / "Duo.wav") as track:
        assert (track.frames, track.info.time_reference) == (2 * RATE, START)
    assert not tracks[0][:, :RATE].any()


def test_post_fader_bounces_pass_the_fader(tmp_path):
    write(tmp_path / "a.wav", noise())
    (tmp_path / "song.rpp").write_text(
        f'<REAPER_PROJECT 0.1 "7.0" 0\n SAMPLERATE {RATE} 0 0\n <TRACK\n NAME "A"\n VOLPAN 0.5 0 -1 -1 1\n'
        ' <ITEM\n POSITION 0\n LENGTH 1\n <SOURCE WAVE\n FILE "a.wav"\n >\n >\n >\n>\n'
    )
    run("bounce", tmp_path / "song.rpp", "-o", tmp_path / "pre")
    run("bounce", tmp_path / "song.rpp", "-o", tmp_path / "post", "--post-fader")
    assert np.array_equal(read(tmp_path / "pre" / "A.wav"), read(tmp_path / "a.wav"))
    assert np.abs(read(tmp_path / "post" / "A.wav") - 0.5 * read(tmp_path / "a.wav")).max() < FLOAT


@pytest.fixture
def odd_session(tmp_path):
    """One track has a plug-in, the other has not."""
    write(tmp_path / "odd" / "a.wav", noise())
    item = '<ITEM\n POSITION 0\n LENGTH 1\n <SOURCE WAVE\n FILE "a.wav"\n >\n >\n'
    effect = '<FXCHAIN\n BYPASS 0 0 0\n <VST "VST3: ReaEq" reaeq.so 0 "" 1<00>\n >\n >\n'
    path = tmp_path / "odd" / "odd.rpp"
    path.write_text(
        f'<REAPER_PROJECT 0.1 "7.0" 0\n SAMPLERATE {RATE} 0 0\n MARKER 1 0.5 "Chorus" 0\n'
        f'<TRACK\n NAME "Plain"\n {item}>\n<TRACK\n NAME "Effect"\n {effect}{item}>\n>\n'
    )
    return path


def test_what_is_not_honoured_is_shown_and_strict_makes_it_a_failure(odd_session, preset, tmp_path):
    out = tmp_path / "out"
    assert (
        "Effect: plug-in VST3: ReaEq is left out"
        in run("render", odd_session, "-p", preset, "-o", out).stdout
    )
    complaint = error_of("render", odd_session, "-p", preset, "-o", out, "--strict", "--force")
    assert complaint.startswith("failed: Effect: ")
    assert complaint.endswith("--strict refuses this")
    run("render", odd_session, "-p", preset, "-o", out, "--strict", "--tracks", "Plain")


def test_inspect_shows_the_session(odd_session):
    text = run("inspect", odd_session).stdout
    for words in (
        "odd (rpp): 8000 Hz, 1.000 s, 120 bpm, 4/4",
        "Plain",
        "Chorus 0.500 s",
        "ReaEq is left out",
    ):
        assert words in text
    values = json.loads(run("inspect", odd_session, "--json").stdout)
    assert [track["name"] for track in values["tracks"]] == ["Plain", "Effect"]
    assert values["tracks"][0]["clips"][0]["length"] == 1.0
    assert f"Plain  |{'=' * 20}" in text
    assert SessionPicture.model_validate(values).model_dump() == values
    schema = json.loads(run("inspect", "--schema").stdout)
    assert schema["title"] == "SessionPicture"
    assert set(schema["properties"]) == set(values)
    run("inspect", odd_session, "--strict", status=1)


def test_inspect_shows_what_the_master_does_and_cuts_long_names(tmp_path):
    made.write(tmp_path / "a.wav", noise())
    head = "MASTERMUTESOLO 5\nMASTER_VOLUME 0.5 -0.25"
    project = made.save(tmp_path, made.project(made.track("x" * 300, made.item()), head=head))
    text = run("inspect", project).stdout
    assert "master: muted, mono, volume 0.5, pan -0.25" in text
    assert max(map(len, text.splitlines())) < 150


def test_tracks_of_one_name_are_told_how_to_be_told_apart(tmp_path):
    made.write(tmp_path / "a.wav", noise())
    text = made.project(made.track("Vox", made.item()), made.track("vox", made.item()))
    project = made.save(tmp_path, text)
    said = error_of("bounce", project, "-o", tmp_path / "out")
    assert said.endswith("tell them apart with {index} in --name")
    run("bounce", project, "-o", tmp_path / "out", "--name", "{index} {track}")
    found = sorted(path.name for path in (tmp_path / "out").glob("*.wav"))
    assert found == ["01 Vox.wav", "02 vox.wav", "Vox.wav"]


def test_a_session_of_notes_alone_says_what_makes_them_heard(tmp_path):
    midi = "<SOURCE MIDI\nHASDATA 1 480 QN\nE 0 90 3c 60\nE 480 80 3c 00\n>"
    path = made.save(tmp_path, made.project(made.track("Keys", made.item(source=midi))))
    said = run("bounce", path, "-o", tmp_path / "out", status=1).stderr
    assert said.strip() == (
        f"Error: {path}: no track holds audio; its notes are heard with --soundfont FILE or --instruments"
    )
    empty = made.save(tmp_path, made.project(made.track("Keys")), "empty.rpp")
    said = run("bounce", empty, "-o", tmp_path / "out", status=1).stderr
    assert said.strip().endswith("no track holds audio; stembridge inspect shows what is there")


def test_inspect_shows_where_notes_sound(tmp_path):
    """A short rest does not show, a long one does."""
    events = ("0 90 3c 60", "480 80 3c 00", "100 90 3e 60", "860 80 3e 00", "2880 90 40 60", "480 80 40 00")
    midi = "<SOURCE MIDI\nHASDATA 1 480 QN\n" + "\n".join(f"E {event}" for event in events) + "\n>"
    path = made.save(tmp_path, made.project(made.track("Keys", made.item(2.0, 8.0, source=midi))))
    lines = run("inspect", path).stdout.splitlines()
    assert lines[0].startswith("song (rpp): 48000 Hz, 7.000 s")
    assert [line.split() for line in lines if line.startswith("1 ")] == [
        ["1", "Keys", "0", "2.000", "7.000", "3"]
    ]
    (row,) = [line for line in lines if line.startswith("Keys")]
    bar = row.partition("|")[2].rstrip("|")
    assert [bar[round(second / 7 * len(bar))] for second in (1, 2.5, 3.2, 4.5, 6.8)] == [
        " ",
        "~",
        "~",
        " ",
        "~",
    ]
    values = json.loads(run("inspect", path, "--json").stdout)
    assert (values["end"], values["end_with_notes"]) == (0, 7)
    assert values["tracks"][0]["note_spans"] == [[2, pytest.approx(3.5)], [6.5, 7]]


# -- several renders into one folder ---------------------------------------------------------------


def stems_in(project, folder):
    """Names of the tracks with audio of the project's own, and whether they are muted."""
    session = open_session(project, media_roots=[folder])
    return {track.name: track.muted for track in session.walk()}


def test_the_project_holds_all_stems_of_the_folder_after_a_second_render(session, preset, tmp_path):
    out = tmp_path / "out"
    for pattern in ("Duo", "Keys", "Duo"):
        run("render", session, "-p", preset, "-o", out, "--tracks", pattern, "-q")
    stems = {f"{track} source-{k}" for track in ("Duo", "Keys") for k in (1, 2)}
    found = stems_in(out / "My Song_stems.rpp", tmp_path)
    assert set(found) == stems | {"Duo", "Keys"}
    assert {name for name, muted in found.items() if muted} == {"Duo", "Keys"}


def test_stems_that_are_gone_from_the_folder_are_gone_from_the_project(session, preset, tmp_path):
    out = tmp_path / "out"
    run("render", session, "-p", preset, "-o", out, "--tracks", "Duo", "-q")
    (out / "Duo" / "source-1.wav").unlink()
    run("render", session, "-p", preset, "-o", out, "--tracks", "Keys", "-q")
    found = stems_in(out / "My Song_stems.rpp", tmp_path)
    assert set(found) == {"Duo", "Keys", "Keys source-1", "Keys source-2"}
    assert not found["Duo"]


def test_of_two_sets_of_a_track_one_is_heard_and_the_mix_stays(session, preset, tmp_path):
    out = tmp_path / "out"
    other = tmp_path / "other.toml"
    other.write_text(UNPAN + "seed = 1\n")
    for chosen in (preset, other):
        run("render", session, "-p", chosen, "-o", out, "--name", "{track}/{preset}/{stem}", "-q")
    found = stems_in(out / "My Song_stems.rpp", tmp_path)
    assert len(found) == 2 * (1 + 2 + 2)
    waiting = {name for name, muted in found.items() if muted} - {"Duo", "Keys"}
    assert waiting == {f"{t} source-{k} ({preset.stem})" for t in ("Duo", "Keys") for k in (1, 2)}
    run("bounce", session, "-o", tmp_path / "a", "--mix", "-q")
    project = out / "My Song_stems.rpp"
    run("bounce", project, "-o", tmp_path / "b", "--mix", "-q", "--media-root", tmp_path)
    first, second = read(tmp_path / "a" / "My Song mix.wav"), read(tmp_path / "b" / "My Song_stems mix.wav")
    assert np.abs(first - second).max() < FLOAT


def test_stems_of_another_session_in_the_same_folder_are_left_out(session, preset, tmp_path):
    other = tmp_path / "Other"
    write(other / "Keys.wav", noise(seed=3), time_reference=START)
    out = tmp_path / "out"
    run("render", other, "-p", preset, "-o", out, "--name", "other/{track}/{stem}", "-q")
    run("render", session, "-p", preset, "-o", out, "--tracks", "Duo", "-q")
    found = stems_in(out / "My Song_stems.rpp", tmp_path)
    assert set(found) == {"Duo", "Keys", "Duo source-1", "Duo source-2"}
    assert (out / "Other_stems.rpp").exists()


def test_the_project_beside_the_stems_is_named_with_who_opens_it(session, preset, tmp_path):
    out = tmp_path / "out"
    said = run("render", session, "-p", preset, "-o", out, "--tracks", "Duo").stdout.splitlines()
    assert said[-1] == f"Open in REAPER: {out / 'My Song_stems.rpp'}"
    exchange = tmp_path / "song.dawproject"
    write_dawproject(open_session(session), exchange)
    said = run("render", exchange, "-p", preset, "-o", out, "--tracks", "Duo").stdout.splitlines()
    assert said[-1] == f"Open in Bitwig, Studio One or Cubase: {out / 'song_stems.dawproject'}"


def test_files_of_another_sample_rate_are_said_to_be_converted(session, preset, tmp_path):
    write(session / "Bass.wav", noise(seed=4), rate=2 * RATE, time_reference=2 * START)
    line = f"Bass: Bass.wav is converted from {2 * RATE} to {RATE} Hz"
    rendered = run("render", session, "-p", preset, "-o", tmp_path / "out")
    assert rendered.stdout.count(line) == 1
    assert line in run("render", session, "-p", preset, "-o", tmp_path / "out").stdout  # up to date
    bounced = run("bounce", session, "-o", tmp_path / "bounced")
    assert bounced.stdout.count("is converted from") == 1
    assert line in run("bounce", session, "-o", tmp_path / "bounced", "--mix").stdout
    run("render", session, "-p", preset, "-o", tmp_path / "out", "--strict")  # it is no fault
