"""Events for programs: every line fits the published schema, whatever happens to the jobs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import pytest

from plugin_bridge.engine.events import EventReporter
from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.folder_lock import NAME
from plugin_bridge.jobs.progress import Event
from plugin_bridge.jobs.workspace import lock
from tests.plugin_bridge.command_helpers import noise, run, write

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "events.schema.json").read_text())


def events(text):
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        jsonschema.validate(event, SCHEMA)
    return found


@pytest.mark.parametrize("command", ["separate", "batch"])
def test_a_batch_tells_its_beginning_each_job_and_its_end(tmp_path, preset, command):
    write(tmp_path / "in" / "good.wav", noise(seconds=0.5))
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF")
    if command == "batch":
        path = tmp_path / "jobs.toml"
        path.write_text(f'[[job]]\ninputs = "in"\npreset = "{preset.name}"\n')
        said = run("batch", path, "--json", status=1).stdout
    else:
        said = run(
            "separate", tmp_path / "in", "-p", preset, "-o", tmp_path / "out", "--json", status=1
        ).stdout
    found = events(said)
    assert [found[0]["event"], found[-1]["event"]] == ["begin", "end"]
    assert found[0]["jobs"] == 2
    assert found[0]["audio_seconds"] > 0
    ended = {event["job"].rpartition("/")[2]: event["status"] for event in found if event["event"] == "job"}
    assert ended == {"good.wav": "done", "bad.wav": "failed"}
    assert {event["event"] for event in found} >= {"progress"}
    assert (found[-1]["status"], found[-1]["done"]) == ("failed", 1)
    assert found[-1]["failed"][0]["job"].endswith("bad.wav")
    assert {job["job"].rpartition("/")[2]: job["status"] for job in found[-1]["jobs"]} == ended


@pytest.mark.parametrize("command", ["render", "separate", "process", "bounce"])
def test_every_command_that_does_jobs_prints_events_and_quietly_the_last_one(tmp_path, preset, command):
    write(tmp_path / "in" / "song.wav", noise(seconds=0.5))
    chain = tmp_path / "chain.toml"
    chain.write_text('title = "Louder"\npurpose = "tests"\n[[chain]]\nplugin = "Gain"\ngain_db = 6\n')
    chosen = {"process": ("-p", chain), "bounce": ()}.get(command, ("-p", preset))
    words = (command, tmp_path / "in", *chosen, "-o", tmp_path / "out", "--json")
    found = events(run(*words).stdout)
    assert [event["event"] for event in found if event["event"] != "progress"] == ["begin", "job", "end"]
    (quiet,) = events(run(*words, "--quiet").stdout)
    assert quiet["event"] == "end"
    assert [job["job"] for job in quiet["jobs"]] == [job["job"] for job in found[-1]["jobs"]]
    assert {job["status"] for job in quiet["jobs"]} <= {"skipped", "done"}


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_what_keeps_a_run_from_beginning_is_its_end_too(tmp_path, preset, quiet):
    write(tmp_path / "song.wav", noise(seconds=0.2))
    jobs = tmp_path / "jobs.toml"
    jobs.write_text(f'[[job]]\ninputs = "no.wav"\npreset = "{preset.name}"\n')
    (found,) = events(run("batch", jobs, "--json", *quiet, status=1).stdout)
    assert (found["event"], found["status"]) == ("end", "failed")
    assert "line 2" in found["error"]
    words = ("separate", tmp_path / "song.wav", "-p", preset, "-o", tmp_path / "out", "--json", *quiet)
    (tmp_path / "out").mkdir()
    held = (tmp_path / "out" / NAME).open("a+b")
    lock(held)  # by another file handle, as another process would
    (found,) = events(run(*words, status=1).stdout)
    assert (found["event"], found["status"]) == ("end", "failed")
    assert "another run is writing here" in found["error"]
    held.close()


def test_a_stage_is_told_at_once_and_then_not_too_often_and_nothing_after_the_end():
    stream = io.StringIO()
    reporter = EventReporter(stream)
    reporter.begin(1)
    for step in range(1000):
        reporter.update(Event("a", "separating", step / 1000))
    reporter.update(Event("a", "writing", 1.0))
    reporter.end(Result("a", "done"))
    reporter.update(Event("a", "writing", 1.0))  # heard late
    reporter.say("waiting\nfor workers")
    kinds = [(event["event"], event.get("stage")) for event in events(stream.getvalue())]
    assert kinds[-3:] == [("progress", "writing"), ("job", None), ("log", None)]
    assert kinds.count(("progress", "separating")) < 100
