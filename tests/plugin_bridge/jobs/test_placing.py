"""A new set of stems takes the old one's place whole: never a mixture of two, and nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.jobs.inputs import FileInput
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.jobs.manifest import Manifest
from tests.plugin_bridge.command_helpers import files, noise, write
from tests.plugin_bridge.session_helpers import read

TWO = 'title = "two"\n[separator]\nname = "ica"\n'
LAYERS = 'title = "layers"\n[separator]\nname = "nmf"\nstems = 3\niterations = 5\n'
CASCADE = LAYERS + '[separate.stem-1]\nname = "nmf"\nstems = 2\niterations = 5\n'
SUM = 1e-6


@pytest.fixture
def song(tmp_path):
    return write(tmp_path / "in" / "a.wav", noise())


def run(path, name, text, **settings):
    out = path.parents[1] / "out"
    part = Part(FileInput(path), out, path.stem)
    job = SeparateJob("a", (part,), PresetText(name, text, name), Settings(**settings))
    return job.run(lambda stage, fraction: None)


def replaced(result):
    """What is said of a set that gave way; a set may have more to say of itself."""
    return [line for line in result.notes if line.startswith("replaces ")]


def audio_in(folder):
    return {name for name in files(folder) if not name.endswith(".json")}


@pytest.mark.parametrize(
    ("first", "second"), [(TWO, LAYERS), (LAYERS, TWO), (CASCADE, TWO), (LAYERS, CASCADE), (CASCADE, LAYERS)]
)
def test_a_second_preset_leaves_its_own_set_alone(song, first, second):
    out = song.parents[1] / "out"
    run(song, "first", first)
    gone = audio_in(out)
    result = run(song, "second", second)
    there = audio_in(out)
    assert there == {Path(path).relative_to(out).as_posix() for path in result.outputs}
    assert np.abs(sum(read(out / name) for name in there) - read(song)).max() < SUM
    assert not [path for path in out.rglob("*") if path.is_dir() and not any(path.iterdir())]
    (line,) = replaced(result)
    assert "preset first" in line
    for name in gone - there:
        assert name.removeprefix("a/") in line
    assert replaced(run(song, "second", second)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "flac"},
        {"layout": "multichannel"},
        {"stems": ("source-2",)},
        {"template": "{track}/{preset} {stem}"},
    ],
    ids=str,
)
def test_other_settings_leave_one_set_for_each_manifest(song, settings):
    out = song.parents[1] / "out"
    run(song, "p", TWO)
    run(song, "p", TWO, **settings)
    listed = set()
    for path in out.rglob("*.json"):
        manifest = Manifest.read(path)
        assert manifest.files_are_there(path)
        listed |= {(path.parent / output.path).relative_to(out).as_posix() for output in manifest.outputs}
    assert audio_in(out) == listed


def test_a_template_with_the_presets_name_keeps_both_sets(song):
    out = song.parents[1] / "out"
    for name, text in (("first", TWO), ("second", LAYERS)):
        assert replaced(run(song, name, text, template="{track}/{preset}/{stem}")) == []
    for name in ("first", "second"):
        stems = [read(path) for path in (out / "a" / name).glob("*.wav")]
        assert np.abs(sum(stems) - read(song)).max() < SUM


def test_a_preset_that_was_edited_replaces_its_own_stems(song):
    out = song.parents[1] / "out"
    run(song, "mine", LAYERS)
    run(song, "mine", LAYERS.replace("stems = 3", "stems = 2"))
    assert audio_in(out) == {"a/stem-1.wav", "a/stem-2.wav"}


def test_what_the_user_has_changed_or_added_stays(song):
    folder = song.parents[1] / "out" / "a"
    run(song, "first", LAYERS)
    changed, added = folder / "stem-1.wav", folder / "notes.txt"
    changed.write_bytes(b"edited")
    added.write_text("mine")
    result = run(song, "second", TWO)
    assert (changed.read_bytes(), added.read_text()) == (b"edited", "mine")
    assert not (folder / "stem-2.wav").exists()
    assert "stem-1.wav" not in replaced(result)[0]


def test_a_manifest_that_points_elsewhere_removes_nothing_there(song, tmp_path):
    folder = song.parents[1] / "out" / "a"
    run(song, "first", LAYERS)
    values = json.loads((folder / "manifest.json").read_text())
    precious = tmp_path / "precious.wav"
    precious.write_bytes((folder / "stem-1.wav").read_bytes())
    link = folder / "link.wav"
    link.symlink_to(precious)
    stolen, paths = values["outputs"][0], ("../../precious.wav", str(precious), "link.wav", "\0")
    values["outputs"] = [{**stolen, "path": path} for path in paths]
    values["pictures"] = ["../../precious.wav"]
    (folder / "manifest.json").write_text(json.dumps(values))
    run(song, "second", TWO)
    assert precious.exists()
    assert link.is_symlink()


@pytest.mark.parametrize("damage", ["[]", '{"key": 1}', "[" * 100_000, "\x00", '{"outputs": {}}', "null"])
def test_a_damaged_manifest_blocks_nothing(song, damage):
    folder = song.parents[1] / "out" / "a"
    run(song, "p", TWO)
    (folder / "manifest.json").write_text(damage)
    assert Manifest.read(folder / "manifest.json") is None
    assert run(song, "p", TWO).status == "done"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", []),
        ("input", {}),
        ("outputs", [{"path": 3}]),
        ("gain", "x"),
        ("pictures", [1]),
        ("track", None),
    ],
)
def test_a_manifest_with_a_field_of_another_type_counts_as_none(song, field, value):
    folder = song.parents[1] / "out" / "a"
    run(song, "p", TWO)
    values = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**values, field: value}))
    assert Manifest.read(folder / "manifest.json") is None
    assert run(song, "p", TWO).status == "done"


def test_another_song_of_the_same_name_does_not_replace_the_first_in_silence(song):
    other = write(song.parents[1] / "other" / "a.wav", noise(seed=9))
    run(song, "p", TWO)
    (line,) = replaced(run(other, "p", TWO))
    assert str(song) in line
    write(other, noise(seed=10))
    assert replaced(run(other, "p", TWO)) == []  # the same file, changed
