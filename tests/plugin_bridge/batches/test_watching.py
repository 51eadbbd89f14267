"""Watched folders: what settles is done once, names, bursts, renames, restarts, sessions."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from plugin_bridge.batches import watching
from plugin_bridge.batches.settling import Settling
from plugin_bridge.batches.watching import Feed, Watched
from plugin_bridge.engine.batch import run_plan
from plugin_bridge.engine.contract import Workers
from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.job import Settings
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.jobs.plan import preset_text
from plugin_bridge.jobs.progress import Reporter
from plugin_bridge.presets.preset import Preset
from tests.plugin_bridge.command_helpers import RATE, STEM_FILES, files, noise, write


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_path_settles_when_it_has_not_changed_for_long_enough_and_once():
    clock = Clock()
    settling = Settling(2.0, clock)
    assert settling.look({"a": 1}) == ([], [])
    clock.now = 1.9
    assert settling.look({"a": 1}) == ([], [])
    clock.now = 2.0
    assert settling.look({"a": 2}) == ([], [])  # still growing
    assert settling.waiting
    clock.now = 4.0
    assert settling.look({"a": 2}) == (["a"], [])
    assert settling.look({"a": 2}) == ([], [])
    assert not settling.waiting
    assert settling.look({"a": 3}, busy={"a"}) == ([], [])
    assert settling.look({}, busy={"a"}) == ([], [])  # what is worked with neither changes nor goes
    assert not settling.waiting
    settling.again("a")
    assert settling.waiting
    assert settling.look({"a": 2}) == (["a"], [])
    assert settling.look({}) == ([], ["a"])
    settling.look({"a": 2})  # it is back
    clock.now = 8.0
    assert settling.look({"a": 2}) == (["a"], [])


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def watched(inbox, preset):
    return _watched(inbox, preset)


def _watched(inbox, preset):
    text = preset_text(Preset.load(preset))
    watched = Watched(inbox, inbox.parent / "out", text, Settings(), 1.0)
    watched.clock = watched._settling._clock = Clock()
    return watched


def settle(watched):
    """Two looks, and what is done after them: labels' last parts -> status."""
    assert watched.due() == []
    watched.clock.now += 1.0
    results = run_plan(watched.due(), Reporter(), Workers())
    watched.finished(results)
    return {result.job.rpartition("/")[2]: result.status for result in results}


def test_files_are_taken_once_and_again_when_they_change(inbox, watched):
    write(inbox / "a.wav", noise(seconds=0.2))
    write(inbox / "deep" / "b.wav", noise(seconds=0.2))
    assert settle(watched) == {"a.wav": "done", "b.wav": "done"}
    assert settle(watched) == {}
    write(inbox / "a.wav", noise(seconds=0.3))
    assert settle(watched) == {"a.wav": "done"}
    out = inbox.parent / "out"
    assert files(out) == [f"{folder}/{name}" for folder in ("a", "deep/b") for name in STEM_FILES]


def test_temporary_names_are_left_alone_and_a_rename_is_a_new_file(inbox, watched):
    written = write(inbox / "other" / "song.wav", noise(seconds=0.2))
    written.rename(inbox / "song.wav.part")
    written.parent.rmdir()
    assert settle(watched) == {}
    (inbox / "song.wav.part").rename(inbox / "song.wav")
    assert settle(watched) == {"song.wav": "done"}
    (inbox / "song.wav").rename(inbox / "better name.wav")
    assert settle(watched) == {"better name.wav": "done"}


def test_a_name_that_is_taken_fails_until_it_is_free(inbox, watched):
    write(inbox / "a.wav", noise(seconds=0.2))
    assert settle(watched) == {"a.wav": "done"}
    write(inbox / "a.aiff", noise(seconds=0.2, seed=1), format="aiff")
    assert settle(watched) == {"a.aiff": "failed"}
    assert settle(watched) == {}
    (inbox / "a.wav").unlink()
    assert settle(watched) == {"a.aiff": "done"}


def test_after_a_restart_names_stay_with_those_whose_results_are_there(inbox, preset):
    write(inbox / "b.wav", noise(seconds=0.2))
    assert settle(_watched(inbox, preset)) == {"b.wav": "done"}
    write(inbox / "b.aiff", noise(seconds=0.2, seed=1), format="aiff")  # comes first by its name
    assert settle(_watched(inbox, preset)) == {"b.wav": "skipped", "b.aiff": "failed"}


def test_a_session_is_one_when_all_of_it_has_settled(inbox, watched):
    song = inbox / "song"
    write(song / "media" / "Drums.wav", noise(seconds=0.2))
    write(song / "Loose.wav", noise(seconds=0.2))
    (song / "song.rpp").write_text(
        '<REAPER_PROJECT 0.1 "7.0" 0\n SAMPLERATE 8000 0 0\n<TRACK\n NAME "Drums"\n<ITEM\n POSITION 0\n'
        ' LENGTH 0.2\n <SOURCE WAVE\n FILE "media/Drums.wav"\n >\n >\n>\n>\n'
    )
    assert watched.due() == []
    watched.clock.now += 0.9
    write(song / "media" / "Drums.wav", noise(seconds=0.25))  # its media is still copied
    assert watched.due() == []
    watched.clock.now += 0.9
    assert watched.due() == []
    watched.clock.now += 0.1
    results = run_plan(watched.due(), Reporter(), Workers())
    assert [result.job.rpartition("/")[2] for result in results] == ["song: Drums"]
    (project,) = watched.finished(results)
    out = inbox.parent / "out"
    assert project == out / "song" / "song_stems.rpp"
    assert files(out) == [*(f"song/Drums/{name}" for name in STEM_FILES), "song/song_stems.rpp"]
    assert settle(watched) == {}


class Meanwhile(Reporter):
    """Does something once, when the first job separates."""

    def __init__(self, do):
        self.do = do

    def update(self, event):
        if event.stage == "separating" and self.do:
            do, self.do = self.do, None
            do()


@pytest.fixture
def prompt(inbox, preset, monkeypatch):
    """A watched folder that is looked at between any two jobs, and where all settles at once."""
    monkeypatch.setattr(watching, "LOOKING", 0)
    text = preset_text(Preset.load(preset))
    return Watched(inbox, inbox.parent / "out", text, Settings(), 0.0)


def at_once(watched, do):
    watched.due()
    feed = Feed(watched)
    results = run_plan(watched.due(), Meanwhile(do), Workers(), feed)
    return [(result.job.rpartition("/")[2], result.status) for result in results], feed.projects


def test_what_comes_while_jobs_run_is_done_by_the_same_run(inbox, prompt):
    for name in ("a", "b"):
        write(inbox / f"{name}.wav", noise(seconds=0.2))
    done, _ = at_once(prompt, lambda: write(inbox / "c.wav", noise(seconds=0.2)))
    assert done == [("a.wav", "done"), ("b.wav", "done"), ("c.wav", "done")]
    assert settle_nothing(prompt)


def test_each_end_is_told_before_the_next_job_begins(inbox, prompt):
    write(inbox / "a.wav", noise(seconds=0.2))
    (inbox / "b.wav").write_bytes(b"RIFF")
    write(inbox / "c.wav", noise(seconds=0.2))
    told = []

    class Beginnings(Reporter):
        def update(self, event):
            if event.fraction == 0:
                told.append(f"{Path(event.job).name} begins")

    prompt.due()
    feed = Feed(prompt, lambda result: told.append(f"{Path(result.job).name} {result.status}"))
    run_plan(prompt.due(), Beginnings(), Workers(), feed)
    assert list(dict.fromkeys(told)) == [
        "a.wav begins", "a.wav done", "b.wav failed", "c.wav begins", "c.wav done"
    ]  # fmt: skip


def test_what_changes_while_it_is_worked_with_is_done_again_afterwards(inbox, prompt):
    for name in ("a", "b", "c"):
        write(inbox / f"{name}.wav", noise(seconds=0.2))
    done, _ = at_once(prompt, lambda: write(inbox / "a.wav", noise(seconds=0.7, seed=1)))
    assert [name for name, _ in done] == ["a.wav", "b.wav", "c.wav", "a.wav"]
    assert done[-1] == ("a.wav", "done")
    manifest = Manifest.read(inbox.parent / "out" / "a" / "manifest.json")
    assert manifest.input.frames == 0.7 * RATE


def test_a_file_that_goes_while_it_is_worked_with_keeps_its_name_until_then(inbox, prompt):
    for name in ("a", "b", "c"):
        write(inbox / f"{name}.wav", noise(seconds=0.2))
    other = write(inbox.parent / "other.aiff", noise(seconds=0.3, seed=1), format="aiff")

    def replaced():
        (inbox / "a.wav").unlink()
        other.rename(inbox / "a.aiff")

    done, _ = at_once(prompt, replaced)
    assert done == [("a.wav", "done"), ("b.wav", "done"), ("c.wav", "done"), ("a.aiff", "done")]
    assert Manifest.read(inbox.parent / "out" / "a" / "manifest.json").input.path.endswith("a.aiff")


def test_a_session_gets_its_project_when_the_last_of_its_tracks_is_done(inbox, prompt):
    song = inbox / "song"
    tracks = ""
    for name in ("Bass", "Drums"):
        write(song / f"{name}.wav", noise(seconds=0.2))
        tracks += (
            f'<TRACK\n NAME "{name}"\n<ITEM\n POSITION 0\n LENGTH 0.2\n'
            f' <SOURCE WAVE\n FILE "{name}.wav"\n >\n >\n>\n'
        )
    (song / "song.rpp").write_text(f'<REAPER_PROJECT 0.1 "7.0" 0\n SAMPLERATE 8000 0 0\n{tracks}>\n')
    done, projects = at_once(prompt, lambda: write(inbox / "later.wav", noise(seconds=0.2)))
    assert done == [("song: Bass", "done"), ("song: Drums", "done"), ("later.wav", "done")]
    assert projects == [inbox.parent / "out" / "song" / "song_stems.rpp"]


def test_what_a_full_disk_failed_is_done_when_there_is_room(inbox, watched, full_disk, monkeypatch):
    """One is tried every few minutes; when that works, all are."""
    monkeypatch.setattr(watched, "_clock", watched.clock)
    for number in range(3):
        write(inbox / f"{number}.wav", noise(seconds=0.5, seed=number))

    def next_try():
        assert settle_nothing(watched)
        watched.clock.now += watching.RETRY_SECONDS
        results = run_plan(watched.due(), Reporter(), Workers())
        watched.finished(results)
        return {result.job.rpartition("/")[2]: result.status for result in results}

    full_disk(10_000)
    assert settle(watched) == dict.fromkeys(["0.wav", "1.wav", "2.wav"], "failed")
    assert next_try() == {"0.wav": "failed"}
    assert next_try() == {"1.wav": "failed"}  # another one: the first may be what is too large
    full_disk(10_000_000)
    assert next_try() == {"2.wav": "done"}
    results = run_plan(watched.due(), Reporter(), Workers())
    watched.finished(results)
    assert {result.status for result in results} == {"done"}
    assert len(files(watched.out)) == 3 * len(STEM_FILES)
    watched.clock.now += watching.RETRY_SECONDS
    assert settle_nothing(watched)


def test_what_a_network_folder_failed_is_tried_again_and_what_is_broken_is_not(inbox, watched, monkeypatch):
    monkeypatch.setattr(watched, "_clock", watched.clock)
    for name in ("far", "broken"):
        write(inbox / f"{name}.wav", noise(seconds=0.1))
    assert watched.due() == []
    watched.clock.now += 1.0
    errors = {"far": "cannot be read as audio: input/output error", "broken": "cut short or damaged"}
    plan = watched.due()
    watched.finished(
        [Result(one.job.label, "failed", error=errors[Path(one.job.label).stem]) for one in plan]
    )
    assert len(plan) == 2
    assert settle_nothing(watched)
    watched.clock.now += watching.RETRY_SECONDS
    assert [Path(one.job.label).name for one in watched.due()] == ["far.wav"]


def settle_nothing(watched):
    return watched.due() == watched.due() == []


def test_a_burst_of_a_thousand_files_is_planned_in_seconds(inbox, watched):
    first = write(inbox / "0000.wav", noise(seconds=0.05)).read_bytes()
    for number in range(1, 1000):
        (inbox / f"{number:04d}.wav").write_bytes(first)
    start = time.monotonic()
    assert watched.due() == []
    watched.clock.now += 1.0
    plan = watched.due()
    assert len({planned.job.label for planned in plan}) == 1000
    assert len({path for planned in plan for path in planned.survey.outputs}) == 3000
    assert time.monotonic() - start < 60  # a fraction of that, on a machine that does nothing else
