"""Job files: checked whole with line numbers, planned with figures, done, and done again without work."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import plugin_bridge
from plugin_bridge.batches import estimates
from plugin_bridge.batches.job_file import JobFile
from plugin_bridge.batches.planning import plan_of
from plugin_bridge.batches.toml_lines import lines_of
from plugin_bridge.errors import JobError
from plugin_bridge.presets.preset import Preset
from tests.plugin_bridge.command_helpers import STEM_FILES, error_of, files, noise, run, write


@pytest.fixture
def folder(tmp_path, preset):
    for name in ("a.wav", "b.wav", "deep/c.wav", "vox.wav"):
        write(tmp_path / "songs" / name, noise(seconds=0.5, seed=len(name)))
    return tmp_path


def up_to_date(path):
    return json.loads(run("batch", path, "--dry-run", "--json").stdout)["estimate"]["up_to_date"]


def job_file(folder, text):
    path = folder / "jobs.toml"
    path.write_text(text)
    return path


def test_files_that_windows_editors_have_marked_are_read(folder, preset):
    preset.write_bytes(b"\xef\xbb\xbf" + preset.read_bytes())
    path = folder / "jobs.toml"
    path.write_bytes(
        b"\xef\xbb\xbf" + f'[[job]]\ninputs = "songs/a.wav"\npreset = "{preset.name}"\n'.encode()
    )
    assert plugin_bridge.batch(path).jobs[0].status == "done"


def test_lines_are_found_whatever_stands_between():
    text = """# a comment
out = "x"

[[job]]
inputs = [
  "one",  # "two"
  "two",
]
set.speakers = 3
[job.presets]
"*a" = "b"
[[job]]
preset = '''
[[job]]
inputs = "no"
'''
"""
    lines = lines_of(text)
    assert lines["out",] == 2
    assert lines["job", 0] == 4
    assert lines["job", 0, "inputs"] == 5
    assert lines["job", 0, "inputs", 1] in (6, 7)
    assert lines["job", 0, "set", "speakers"] == 9
    assert lines["job", 0, "presets", "*a"] == 11
    assert lines["job", 1, "preset"] == 13
    assert not [place for place in lines if place[:2] == ("job", 2)]


WRONG = {
    'out = "x"\n[[job]\n': "line 2",
    'out = "x"\n': "there is no [[job]]",
    'out = "x\\u0000"\n[[job]]\ninputs = "songs"\npreset = "unpan.toml"\n': "line 1: 'x\\x00': no name holds",
    '[[job]]\ninputs = ["songs", "a\\u0000"]\npreset = "unpan.toml"\n': "line 2: 'a\\x00': no name holds",
    '[[job]]\ninputs = "songs"\npreset = "no such"\n': "line 3: ",
    '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\nlayuot = "files"\n': "line 4: there is no key "
    "'layuot'; did you mean 'layout'?",
    '[[jobs]]\ninputs = "songs"\npreset = "unpan.toml"\n': "there is no key 'jobs'; did you mean 'job'?",
    '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\nexclude = "*"\n': "line 4: exclude leaves nothing of "
    "what 'songs' finds",
    '[[job]]\npreset = "unpan.toml"\n': "line 1: a job needs either inputs or sessions",
    '[[job]]\ninputs = "songs"\n': "line 1: a job needs either preset or presets",
    '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\ntracks = "Drums"\n': "tracks is for sessions",
    '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\n\nbit_depth = 12\n': "line 5: bit_depth: 12: ",
    '[[job]]\ninputs = ["songs",\n "nothing*.wav"]\npreset = "unpan.toml"\n': "line 3: 'nothing*.wav' finds "
    "nothing",
    '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\nset = { seed = "x" }\n': "line 4: ",
    '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\nname = "{stem}"\n': "name template '{stem}' must hold",
    '[[job]]\ninputs = "songs"\npreset = 3\nstems = 4\n': "line 3: preset: 3: input should be a valid string "
    "(and more in lines 4)",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_one_line_with_its_number(folder, text):
    line = error_of("batch", job_file(folder, text))
    assert "jobs.toml: " in line
    assert WRONG[text] in line
    assert not (folder / "stems").exists()


def test_bytes_that_are_no_text_have_a_line(folder):
    path = folder / "jobs.toml"
    path.write_bytes(b'out = "x"\n# \xff\n')
    assert "line 2: not UTF-8" in error_of("batch", path)


def test_presets_by_pattern_trees_and_exclusions(folder):
    text = """[[job]]
inputs = ["songs/**/*.wav"]
exclude = ["b.wav"]
presets = { "vox*" = "ica-mono", "*" = "unpan.toml" }
"""
    plan = plan_of(JobFile.read(job_file(folder, text))).plan
    made = {planned.job.label.rpartition("/")[2]: planned for planned in plan}
    assert set(made) == {"a.wav", "c.wav", "vox.wav"}
    assert made["vox.wav"].job.preset.name == "ica-mono"
    assert made["a.wav"].job.preset.name == "unpan"
    assert folder / "stems" / "deep" / "c" / "source-1.wav" in made["c.wav"].survey.outputs
    assert made["a.wav"].survey.seconds == pytest.approx(0.5)
    sizes = [path for path in made["a.wav"].survey.outputs if path.suffix == ".wav"]
    assert made["a.wav"].survey.size == len(sizes) * 4000 * 2 * 4  # float32 in, float32 out


def test_a_batch_is_done_and_then_up_to_date_and_a_changed_preset_redoes_what_it_touches(folder, preset):
    other = folder / "other.toml"
    other.write_text(preset.read_text())
    path = job_file(
        folder,
        """out = "results"
[[job]]
inputs = ["songs/a.wav", "songs/b.wav"]
preset = "unpan.toml"
[[job]]
inputs = "songs/deep"
preset = "other.toml"
out = "elsewhere"
""",
    )
    results = plugin_bridge.batch(path)
    assert [result.status for result in results.jobs] == ["done"] * 3
    assert files(folder / "results") == [f"{song}/{name}" for song in "ab" for name in STEM_FILES]
    assert files(folder / "elsewhere") == [f"c/{name}" for name in STEM_FILES]
    assert [result.status for result in plugin_bridge.batch(path).jobs] == ["skipped"] * 3
    other.write_text(
        "# words\ncaution = 'Slow.'\n" + preset.read_text().replace("title = ", "title = 'New' #")
    )
    assert up_to_date(path) == 3  # words for people change no stem
    assert [result.status for result in plugin_bridge.batch(path).jobs] == ["skipped"] * 3
    other.write_text(preset.read_text() + "seed = 7\n")
    assert up_to_date(path) == 2
    again = plugin_bridge.batch(path)
    assert [result.status for result in again.jobs] == ["skipped", "skipped", "done"]


def test_files_for_djs_are_a_layout_of_job_files_too(folder):
    text = """layout = "stem.mp4"
[[job]]
inputs = "songs/a.wav"
preset = "blind-4"
format = "aac"
"""
    (planned,) = plan_of(JobFile.read(job_file(folder, text))).plan
    assert (planned.job.settings.layout, planned.job.settings.format) == ("stem.mp4", "aac")
    text = text.replace('format = "aac"', 'format = "flac"')
    assert "line 2: layout stem.mp4 holds alac or aac" in error_of("batch", job_file(folder, text))


def test_one_file_with_two_presets_is_two_jobs_and_a_collision_fails_alone(folder, preset):
    (folder / "other.toml").write_text(preset.read_text())
    job = '[[job]]\ninputs = "songs/a.wav"\npreset = "{}"\nname = "{}"\n'
    names = ("{track}/{preset}/{stem}", "{track}/{preset}/{stem}", "{track}/unpan/{stem}")
    presets = ("unpan.toml", "other.toml", "other.toml")
    path = job_file(folder, "".join(job.format(*pair) for pair in zip(presets, names, strict=True)))
    with pytest.raises(plugin_bridge.JobsFailedError) as caught:
        plugin_bridge.batch(path)
    results = caught.value.results.jobs
    assert [result.status for result in results] == ["done", "done", "failed"]
    assert len({result.job for result in results}) == 3
    assert "would be written for" in results[2].error


def test_sessions_get_a_folder_each_with_a_project(folder):
    for name in ("one", "two"):
        write(folder / "projects" / name / "Drums.wav", noise(seconds=0.5))
        write(folder / "projects" / name / "Vox.wav", noise(seconds=0.5, seed=1))
    path = job_file(
        folder,
        '[[job]]\nsessions = "projects/*"\npresets = { "Drum*" = "unpan.toml" }\n',
    )
    results = plugin_bridge.batch(path)
    assert sorted(result.status for result in results.jobs) == ["done", "done", "left out", "left out"]
    assert [project.parent.name for project in results.projects] == ["one", "two"]
    assert files(folder / "stems" / "one")[:3] == [f"Drums/{name}" for name in STEM_FILES]


def test_a_dry_run_says_time_and_space_and_does_nothing(folder):
    path = job_file(folder, '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\n')
    said = run("batch", path, "--dry-run", "--jobs", 2).stdout
    assert "4 to do, 0 seem up to date" in said
    assert not (folder / "stems").exists()
    plugin_bridge.batch(path)
    (folder / "stems" / "a" / "manifest.json").unlink()
    plan = json.loads(run("batch", path, "--dry-run", "--json").stdout)["estimate"]
    assert (plan["jobs"], plan["up_to_date"]) == (1, 3)
    assert plan["presets"][0]["measured_here"]
    assert plan["seconds"] > 0
    assert plan["enough_space"]


def test_nothing_is_begun_that_the_disk_cannot_hold(folder, monkeypatch):
    class Usage:
        free = 100_000

    monkeypatch.setattr(estimates.shutil, "disk_usage", lambda path: Usage)
    path = job_file(folder, '[[job]]\ninputs = "songs"\npreset = "unpan.toml"\n')
    with pytest.raises(JobError, match=r"need about 256\.0 KB and 100\.0 KB are free; free some space"):
        plugin_bridge.batch(path)
    assert not (folder / "stems").exists()
    assert run("batch", path, "--dry-run", status=1).stdout.count("not enough space") == 1


def test_inputs_that_have_not_changed_are_not_read_again(folder, monkeypatch):
    old = time.time() - 60
    for path in (folder / "songs").rglob("*.wav"):
        os.utime(path, (old, old))
    path = job_file(folder, '[[job]]\ninputs = "songs/a.wav"\npreset = "unpan.toml"\n')
    time.sleep(2.1)  # a file that is younger is not trusted
    plugin_bridge.batch(path)

    def refuse(*arguments):
        raise AssertionError("read again")

    with monkeypatch.context() as patched:
        patched.setattr("plugin_bridge.jobs.run.samples_hash", refuse)
        assert [result.status for result in plugin_bridge.batch(path).jobs] == ["skipped"]
    write(folder / "songs" / "a.wav", noise(seconds=0.5, seed=9))
    os.utime(folder / "songs" / "a.wav", (old, old))  # as old as before, and as long
    assert [result.status for result in plugin_bridge.batch(path).jobs] == ["done"]


def test_the_page_shows_what_estimates_are_made_from():
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    rows = [
        f"| `{preset}` | {row['seconds']} | {row['memory_mb']} MB | {row['disk_mb']} MB |"
        for preset, row in estimates.sizing().items()
    ]
    assert rows
    assert [line for line in page.splitlines() if line.startswith("| `") and line.endswith(" MB |")] == rows


def test_every_preset_that_runs_from_the_package_has_been_measured():
    needs_models = {"music-4-demucs", "vocals-spleeter"}
    assert {*estimates.sizing()} == {*Preset.names()} - needs_models
