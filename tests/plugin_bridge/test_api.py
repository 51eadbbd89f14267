"""The calls of the front door: what they take, give back and raise; progress, and cancelling by it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pedalboard
import pytest

import plugin_bridge
import separators
from plugin_bridge import (
    Board,
    BridgeError,
    JobError,
    JobsFailedError,
    Preset,
    PresetError,
    Results,
    SessionError,
    StemRack,
    bounce,
    open_session,
    process,
    render,
    save_preset,
    separate,
)
from plugin_bridge.cli import main
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.rendering.tracks import MixSource
from separators import ICA
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.command_helpers import RATE, STEM_FILES, files, noise, write
from tests.plugin_bridge.session_helpers import read

ROOT = Path(__file__).parents[2]
START = 3600 * RATE
SUM = 1e-6


@pytest.fixture
def songs(tmp_path):
    for seed, name in enumerate(("a", "b", "c")):
        write(tmp_path / "songs" / f"{name}.wav", noise(seed=seed))
    return tmp_path / "songs"


@pytest.fixture
def session(tmp_path):
    write(tmp_path / "Song" / "Keys.wav", noise(seed=1), time_reference=START)
    write(tmp_path / "Song" / "Duo.wav", noise(seed=2), time_reference=START + RATE)
    return tmp_path / "Song"


# -- results ---------------------------------------------------------------------------------------


def test_a_session_rendered_gives_stems_manifests_and_a_project(session, preset, tmp_path):
    results = render(session, preset, tmp_path / "out")
    assert isinstance(results, Results)
    assert [track.track for track in results.tracks] == ["Duo", "Keys"]
    for track in results.tracks:
        assert list(track.stems) == ["source-1", "source-2"]
        assert np.abs(sum(map(read, track.stems.values())) - read(session / f"{track.track}.wav")).max() < SUM
        assert Manifest.read(track.manifest).track == track.track
    assert results.tracks[0].start_seconds == 3601
    assert set(open_session(results.project, media_roots=[tmp_path]).tracks[1].name) <= set("Duo source-1")
    assert [job.status for job in render(session, preset, tmp_path / "out").jobs] == ["skipped"] * 2


@pytest.mark.parametrize("kind", ["rpp", "dawproject"])
def test_the_kind_of_the_project_beside_the_stems_can_be_chosen(session, preset, tmp_path, kind):
    results = render(session, preset, tmp_path / "out", session_format=kind)
    assert results.project == tmp_path / "out" / f"Song_stems.{kind}"
    again = open_session(results.project, media_roots=[tmp_path])
    assert (again.format, again.not_honoured) == (kind, [])
    names = ["Duo", "Duo source-1", "Duo source-2", "Keys", "Keys source-1", "Keys source-2"]
    assert [(track.name, track.muted) for track in again.walk()] == [
        (name, "source" not in name) for name in names
    ]
    with MixSource(open_session(session)) as one, MixSource(again) as other:
        assert np.abs(one.read(0, one.frames) - other.read(0, one.frames)).max() < SUM


def test_a_kind_that_cannot_be_written_is_said_before_any_work(session, preset, tmp_path):
    with pytest.raises(SessionError, match="Ardour sessions only; choose rpp or dawproject"):
        render(session, preset, tmp_path / "out", session_format="ardour")
    with pytest.raises(SessionError, match="'flp' is no kind of project that stems"):
        render(session, preset, tmp_path / "out", session_format="flp")
    assert not (tmp_path / "out").exists()


def test_what_the_project_of_another_kind_cannot_hold_is_said(preset, tmp_path):
    write(ardour.media(tmp_path / "s"), noise())
    strip = '<Processor type="lv2" active="1" name="Echo" unique-id="urn:echo"/>'
    routes = [ardour.master(), ardour.route("Voice", 1, playlist=10, strip=strip)]
    text = ardour.session(routes, [ardour.playlist(10, ardour.region())])
    path = ardour.save(tmp_path / "s", text)
    results = render(path, preset, tmp_path / "out", session_format="rpp")
    assert "Voice: plug-in Echo is not written" in results.notes


def test_paths_may_be_texts_and_patterns_one_text(session, preset, tmp_path):
    results = render(str(session), str(preset), str(tmp_path / "out"), tracks="du*")
    assert [track.track for track in results.tracks] == ["Duo"]


def test_files_and_folders_are_separated(songs, preset, tmp_path):
    results = separate(songs / "a.wav", preset, tmp_path / "one")
    assert files(tmp_path / "one") == [f"a/{name}" for name in STEM_FILES]
    assert results.project is None
    assert len(separate([songs, songs / "a.wav"], preset, tmp_path / "all").tracks) == 3


def test_tracks_are_bounced_and_their_sum_is_the_mix(session, tmp_path):
    tracks = bounce(session, tmp_path / "out")
    (mix,) = bounce(session, tmp_path / "out", mix=True).tracks
    assert files(tmp_path / "out") == ["Duo.wav", "Keys.wav", "Song mix.wav"]
    summed = sum(read(track.files[0].path) for track in tracks.tracks)
    assert np.abs(summed - read(mix.files[0].path)).max() < SUM


def test_a_dry_run_says_exactly_what_a_run_writes(session, preset, tmp_path):
    planned = render(session, preset, tmp_path / "out", dry_run=True)
    assert {job.status for job in planned.jobs} == {"planned"}
    assert not (tmp_path / "out").exists()
    render(session, preset, tmp_path / "out")
    outputs = {path.relative_to(tmp_path / "out").as_posix() for job in planned.jobs for path in job.outputs}
    assert outputs | {"Song_stems.rpp"} == set(files(tmp_path / "out"))


def test_what_is_asked_for_goes_before_what_the_preset_says(songs, tmp_path):
    preset = Preset.parse(
        'title = "t"\n[separator]\nname = "ica"\n[output]\nformat = "flac"\nbit_depth = 16\n'
    )
    (track,) = separate(songs / "a.wav", preset, tmp_path / "preset").tracks
    assert (track.files[0].path.suffix, track.bit_depth) == (".flac", "16")
    wanted = {"format": "aiff", "bit_depth": 24, "stems": ["source-2"], "name": "{stem} of {track}"}
    (track,) = separate(songs / "a.wav", preset, tmp_path / "asked", **wanted).tracks
    assert (track.files[0].path.name, track.bit_depth) == ("source-2 of a.aiff", "24")


def test_a_board_and_a_preset_saved_of_it_give_the_same_stems(songs, tmp_path):
    board = Board([pedalboard.Gain(-6), StemRack(ICA(), {"source-1": [pedalboard.HighpassFilter(100)]})])
    save_preset(board, tmp_path / "mine.toml", "Mine", purpose="tests")
    assert Preset.load(tmp_path / "mine.toml").purpose == "tests"
    (first,) = separate(songs / "a.wav", board, tmp_path / "board").tracks
    (second,) = separate(songs / "a.wav", tmp_path / "mine.toml", tmp_path / "file").tracks
    for stem, path in first.stems.items():
        assert np.array_equal(read(path), read(second.stems[stem]))


def test_parameters_go_before_the_presets(songs, tmp_path):
    (track,) = separate(songs / "a.wav", "blind-4", tmp_path, parameters={"stems": 2, "iterations": 3}).tracks
    assert len(track.stems) == 2
    with pytest.raises(PresetError, match="no such parameter"):
        separate(songs / "a.wav", "blind-4", tmp_path, parameters={"stemms": 2})
    with pytest.raises(PresetError, match="stems"):
        separate(songs / "a.wav", "blind-4", tmp_path, parameters={"stems": 0})


@pytest.mark.parametrize("together", [True, "*", ["Keys", "Duo*"]])
def test_tracks_are_taken_together(session, preset, tmp_path, together):
    write(session / "Keys.wav", noise(seed=1)[:1], time_reference=START)
    write(session / "Duo.wav", noise(seed=1)[1:], time_reference=START)
    if isinstance(together, list):  # a recording each, of one microphone
        with pytest.raises(JobError, match="at least two"):
            render(session, preset, tmp_path / "out", together=together)
    else:
        results = render(session, preset, tmp_path / "out", together=together)
        assert [list(track.stems) for track in results.tracks] == [["direct", "bleed"]] * 2


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "complaint"),
    [
        (lambda path: separate(path / "no.wav", "drum-loop"), JobError, "no such file"),
        (lambda path: render(path / "no.rpp", "drum-loop"), JobError, "no such file"),
        (lambda path: render(path, "drum-loop"), SessionError, "no audio files"),
        (lambda path: separate(path, "drum-loop"), JobError, "no audio file"),
        (lambda path: separate(path, "drum-lop"), PresetError, "did you mean 'drum-loop'"),
        (lambda path: separate(path, "drum-loop", format="wave"), PresetError, "format: .*'wave'"),
        (lambda path: separate(path, "drum-loop", bit_depth=8), PresetError, "bit_depth"),
        (lambda path: separate(path, "drum-loop", layout="one"), PresetError, "layout"),
        (lambda path: separate(path, "drum-loop", name="{trak}"), PresetError, "no field {trak}"),
        (lambda path: bounce(path, mix=True, tracks="a"), JobError, "leave out tracks"),
        (lambda path: render(path, "drum-loop", together="a", tracks="a"), JobError, "leave out tracks"),
        (lambda path: process(path, "drum-loop"), PresetError, "it separates; use separate"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(call, error, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=complaint):
        call(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_failure_stops_no_other_job_and_holds_all_results(songs, preset, tmp_path):
    write(songs / "mono.wav", noise(1))
    with pytest.raises(JobsFailedError, match=r"1 of 4 jobs failed: .*mono\.wav: ica needs") as caught:
        separate(songs, preset, tmp_path / "out")
    results = caught.value.results
    assert sorted(job.status for job in results.jobs) == ["done"] * 3 + ["failed"]
    assert [Path(job.job).name for job in results.failed] == ["mono.wav"]
    assert len(results.tracks) == 3
    assert isinstance(caught.value, BridgeError)


# -- progress --------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_tells_job_stage_and_fraction_and_how_each_ends(songs, preset, tmp_path, jobs):
    seen = []
    separate(songs, preset, tmp_path / "out", jobs=jobs, progress=lambda *event: seen.append(event))
    for name in "abc":
        events = [event for event in seen if event[0] == str(songs / f"{name}.wav")]
        fractions = [fraction for _, _, fraction in events]
        assert fractions == sorted(fractions)
        assert events[-1][2] == 1
        assert events[-1][1].startswith("done")
        assert {"reading", "separating"} <= {stage for _, stage, _ in events}


class StopItError(Exception):
    pass


@pytest.mark.parametrize("error", [StopItError, KeyboardInterrupt])
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_progress_raises_comes_out_and_nothing_half_done_stays(songs, preset, tmp_path, jobs, error):
    def stop(job, stage, fraction):
        if stage == "separating":
            raise error("enough")

    out = tmp_path / "out"
    with pytest.raises(error, match="enough"):
        separate(songs, preset, out, jobs=jobs, progress=stop)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    for folder in out.iterdir():  # a job that was faster than the signal
        assert files(folder) == STEM_FILES
    assert {job.status for job in separate(songs, preset, out).jobs} <= {"done", "skipped"}


def test_progress_that_stops_at_the_first_end_leaves_the_rest_undone(songs, preset, tmp_path):
    def stop(job, stage, fraction):
        if stage.startswith("done"):
            raise StopItError

    with pytest.raises(StopItError):
        separate(songs, preset, tmp_path / "out", progress=stop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


# -- the door itself -------------------------------------------------------------------------------


def test_everything_offered_is_there_and_documented():
    for name in plugin_bridge.__all__:
        found = getattr(plugin_bridge, name)
        assert name == "__version__" or inspect.getdoc(found), name
    assert set(plugin_bridge.__all__) == set(dir(plugin_bridge))
    assert plugin_bridge.__version__ == separators.__version__
    assert plugin_bridge.__version__[0].isdecimal()
    with pytest.raises(AttributeError, match="rendr"):
        plugin_bridge.rendr  # noqa: B018


def test_importing_the_door_loads_nothing_heavy():
    code = (
        "import sys, plugin_bridge\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pedalboard', 'soundfile', 'pydantic', 'click', 'separators'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_commands_offer_what_the_calls_take():
    """Every argument of a call can be given on the command line, and the other way round."""
    further = {"quiet", "as_json", "score", "align", "groups", "no_together", "help", "debug"}
    further |= {"assignments", "one_shots", "events"}
    for name in ("render", "separate", "bounce", "batch"):
        offered = {parameter.name for parameter in main.commands[name].params} - further
        taken = set(inspect.signature(getattr(plugin_bridge, name)).parameters) - {"parameters", "progress"}
        assert offered == taken - ({"together"} if name == "render" else set()), name


def test_three_lines_render_the_example_session(tmp_path):
    code = (
        "from plugin_bridge import render\n"
        f"results = render('examples/session', 'drum-loop', {str(tmp_path)!r}, tracks='Drums*')\n"
        "print(*results.tracks[0].stems)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["kick", "snare", "hihat"]
