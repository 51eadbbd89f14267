"""A manifest says what was made from what; a job is skipped only if all of that still holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.jobs.inputs import FileInput
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.jobs.manifest import Manifest, SamplesHash, file_hash, samples_hash, separator_key
from plugin_bridge.jobs.workspace import PREFIX, Spool, workspace
from separators import NMF
from separators.streaming import ArraySource
from tests.plugin_bridge.processes import started

RATE = 8000
UNPAN = 'title = "t"\n[separator]\nname = "ica"\n'


@pytest.fixture
def stereo(tmp_path):
    """Two noises, panned: quick to separate, and never silent."""
    sources = np.random.default_rng(1).laplace(size=(RATE, 2)) * 0.05
    path = tmp_path / "in" / "duo.wav"
    path.parent.mkdir()
    soundfile.write(path, sources @ [[1.0, 0.3], [0.4, 1.0]], RATE, "PCM_16")
    return path


def _job(path, text=UNPAN, **settings):
    out = path.parents[1] / "out"
    return SeparateJob(
        "duo", (Part(FileInput(path), out, "duo"),), PresetText("p", text, "p.toml"), Settings(**settings)
    )


def _run(job):
    return job.run(lambda stage, fraction: None)


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_manifest_describes_every_file(stereo):
    result = _run(_job(stereo))
    path = Path(result.tracks[0].manifest)
    manifest = Manifest.read(path)
    assert [output.stems for output in manifest.outputs] == [["source-1"], ["source-2"]]
    for output in manifest.outputs:
        file = path.parent / output.path
        audio, rate = soundfile.read(file)
        assert (file_hash(file), file.stat().st_size) == (output.sha256, output.bytes)
        assert (rate, audio.shape) == (RATE, (RATE, 2))
        assert output.peak == pytest.approx(np.abs(audio).max(), abs=2**-23)
    assert manifest.input.path == str(stereo)
    assert manifest.key["separator"]["name"] == "ica"
    assert manifest.key["output"]["bit_depth"] == "24"
    assert manifest.gain == 1
    assert manifest.residual_db < -120
    assert _names(path.parent) == ["manifest.json", "source-1.wav", "source-2.wav"]
    assert _names(path.parents[1]) == ["duo"]  # no temporary folder is left


def test_what_is_done_is_skipped_and_stays_as_it_is(stereo):
    first = _run(_job(stereo))
    written = [Path(path).stat().st_mtime_ns for path in first.outputs]
    second = _run(_job(stereo))
    assert (first.status, second.status) == ("done", "skipped")
    assert second.outputs == first.outputs
    assert second.tracks == first.tracks
    assert [Path(path).stat().st_mtime_ns for path in first.outputs] == written


def _other_samples(path, out):
    audio, rate = soundfile.read(path, dtype="int16")
    audio[100, 0] += 1
    soundfile.write(path, audio, rate, "PCM_16")


def _other_file_same_samples(path, out):
    audio, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, audio, rate, "PCM_24")


def _stem_deleted(path, out):
    (out / "source-2.wav").unlink()


def _stem_cut(path, out):
    os.truncate(out / "source-1.wav", 1000)


def _manifest_damaged(path, out):
    (out / "manifest.json").write_text('{"format": 1, "outp')


def _manifest_with(key, value):
    def change(path, out):
        values = json.loads((out / "manifest.json").read_text())
        values[key] = value
        (out / "manifest.json").write_text(json.dumps(values))

    return change


def _output_with(key, value):
    def change(path, out):
        values = json.loads((out / "manifest.json").read_text())
        values["outputs"][1][key] = value
        (out / "manifest.json").write_text(json.dumps(values))

    return change


def _manifest_of_brackets(path, out):
    (out / "manifest.json").write_text("[" * 100_000)


def _manifest_is_a_pipe(path, out):
    (out / "manifest.json").unlink()
    os.mkfifo(out / "manifest.json")


def _manifest_of_another_version(path, out):
    values = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(
        json.dumps({**values, "key": {**values["key"], "program": "stembridge 0"}})
    )


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (_other_samples, "done"),
        (_other_file_same_samples, "skipped"),
        (_stem_deleted, "done"),
        (_stem_cut, "done"),
        (_manifest_damaged, "done"),
        (_manifest_with("warnings", 0), "done"),
        (_manifest_with("pictures", 10**30), "done"),
        (_manifest_with("gain", "loud"), "done"),
        (_manifest_with("gain", float("nan")), "done"),
        (_manifest_with("outputs", {"path": "source-1.wav"}), "done"),
        (_output_with("bytes", []), "done"),
        (_output_with("path", "a\0b"), "done"),
        (_output_with("path", "a" * 10_000), "done"),
        (_manifest_of_brackets, "done"),
        (_manifest_is_a_pipe, "done"),
        (_manifest_of_another_version, "done"),
    ],
)
def test_a_change_of_the_files_decides_whether_the_job_runs_again(stereo, change, status):
    result = _run(_job(stereo))
    expected = [Path(path).read_bytes() for path in result.outputs]
    change(stereo, Path(result.tracks[0].manifest).parent)
    assert _run(_job(stereo)).status == status
    found = [Path(path).read_bytes() for path in result.outputs]
    assert (found == expected) == (change is not _other_samples)


@pytest.mark.parametrize(
    "changed",
    [
        {"text": UNPAN + "seed = 1\n"},
        {"text": UNPAN + '[[stems.source-1]]\nplugin = "Gain"\ngain_db = -3.0\n'},
        {"bit_depth": "float32"},
        {"format": "flac"},
        {"stems": ("source-1",)},
        {"layout": "multichannel"},
        {"force": True},
    ],
)
def test_another_preset_or_setting_makes_the_stems_again(stereo, changed):
    _run(_job(stereo))
    assert _run(_job(stereo, **changed)).status == "done"
    if "force" not in changed:
        assert _run(_job(stereo, **changed)).status == "skipped"


def test_a_comment_in_the_preset_changes_nothing(stereo):
    _run(_job(stereo))
    assert _run(_job(stereo, text="# mine\n" + UNPAN)).status == "skipped"


@given(st.lists(st.integers(0, 500), max_size=6), st.integers(1, 3))
def test_the_samples_hash_does_not_see_how_the_audio_is_cut(cuts, channels):
    audio = np.random.default_rng(len(cuts)).normal(size=(channels, 500)).astype(np.float32)
    digest = SamplesHash(RATE, channels)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 500], strict=True):
        digest.update(audio[:, start:end])
    assert digest.hexdigest() == samples_hash(ArraySource(audio, RATE))


def test_the_samples_hash_sees_samples_rate_and_channels():
    audio = np.arange(12, dtype=np.float32).reshape(2, 6)
    variants = [
        ArraySource(audio, RATE),
        ArraySource(audio, RATE + 1),
        ArraySource(audio.reshape(1, 12), RATE),
        ArraySource(audio.reshape(3, 4), RATE),
        ArraySource(audio[::-1], RATE),
    ]
    assert len({samples_hash(variant) for variant in variants}) == len(variants)


def test_a_spool_gives_back_any_part_of_what_went_in(tmp_path):
    audio = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    with Spool(tmp_path / "a.raw", RATE, 3) as spool:
        for start in range(0, 1000, 300):
            spool.write(audio[:, start : start + 300])
        assert spool.frames == 1000
        assert np.array_equal(spool.read(250, 400), audio[:, 250:650])
        assert spool.read(1000, 0).shape == (3, 0)


def test_a_workspace_sweeps_the_dead_and_spares_the_living(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from plugin_bridge.jobs.workspace import workspace\n"
        "with workspace(Path(sys.argv[1])) as work:\n"
        "    (work / 'half').touch(); print(work, flush=True); sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with started(command, **pipes) as dead, started(command, **pipes) as living:
        dead_folder = Path(dead.stdout.readline().strip())
        living_folder = Path(living.stdout.readline().strip())
        dead.kill()
        dead.wait()
        assert (dead_folder / "half").exists()
        with workspace(tmp_path) as mine:
            assert not dead_folder.exists()
            assert (living_folder / "half").exists()
            assert mine.name.startswith(PREFIX)
        assert not mine.exists()
        living.stdin.close()
        living.wait(30)
    assert list(tmp_path.iterdir()) == []


def test_other_one_shots_under_the_same_name_make_the_stems_again(tmp_path):
    keys = []
    for level in (0.5, 0.25):
        soundfile.write(tmp_path / "snare.wav", np.full(1000, level), 8000)
        keys.append(separator_key(NMF(mode="drums", one_shots=str(tmp_path))))
    assert keys[0]["one_shots"] == keys[1]["one_shots"]
    assert keys[0]["files"] != keys[1]["files"]
