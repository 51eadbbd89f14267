"""Other people's models: where they are looked for, that nothing in their files runs, and no network."""

import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import separators
from separators.models import running, safe_pickle
from separators.models.files import VARIABLE, ModelError, find, folders
from separators.models.running import in_segments
from tests.separators.models import tiny_models

SAME = 1e-5
"""Largest difference between two ways to compute the same in float32."""


@pytest.fixture
def models(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


# -- where they are looked for ------------------------------------------------------------------


def test_names_are_found_in_the_users_folders_and_paths_are_taken_as_they_are(models):
    file = models / "a-0123abcd.th"
    file.touch()
    assert find("x", "a", ("{}", "{}-*.th")) == file
    assert find("x", str(file)) == file
    (models.parent / "a").touch()
    assert find("x", "a", ("{}", "{}-*.th")) == Path("a")  # this folder comes first


def test_other_programs_caches_are_looked_into(models, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(models))
    for name in ("TORCH_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    snapshot = models / "huggingface/hub/models--someone--HTDemucs/snapshots/0123"
    snapshot.mkdir(parents=True)
    assert {snapshot, models / "torch/hub/checkpoints"} <= set(folders())


@pytest.mark.parametrize("given", ["nowhere", "a*", "[a]"])
def test_what_is_missing_is_said_with_where_it_was_looked_for(models, given):
    (models / "ab").touch()
    with pytest.raises(ModelError, match=r"docs/big-models\.md") as error:
        find("demucs", given)
    for said in ("demucs", given, str(models), "put the model's file into one of these folders"):
        assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", tiny_models.SEPARATORS)
def test_without_a_model_every_separator_says_what_to_do(name, monkeypatch, models):
    monkeypatch.setattr("importlib.metadata.files", _not_installed)
    if reason := tiny_models.MISSING.get(name):
        pytest.skip(reason)
    for values in ({}, {"checkpoint": "nowhere"}, {"checkpoint": "/no/such/file.th"}):
        with pytest.raises(ModelError) as error:
            separators.create(name, **values).separate(np.ones((2, 100), np.float32), 44100)
        assert "\n" not in str(error.value)
        assert any(
            word in str(error.value) for word in ("set its parameter", "set checkpoint", "pip install")
        )


def _not_installed(name):
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


# -- pickles ------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_what_a_pickle_asks_for_is_not_done(tmp_path):
    made = tmp_path / "made"
    file = tmp_path / "model.th"
    torch.save({"x": torch.ones(3), "y": Calls(exec, f"open({str(made)!r}, 'w')"), "z": Path("x")}, file)
    found = safe_pickle.read(file)
    assert not made.exists()
    assert isinstance(found["y"], safe_pickle.Nothing)
    assert isinstance(found["z"], safe_pickle.Nothing)
    torch.testing.assert_close(found["x"], torch.ones(3))


def test_calls_of_the_system_are_refused_and_not_done(tmp_path):
    made = tmp_path / "made"
    file = tmp_path / "model.th"
    torch.save({"x": Calls(os.system, f"touch {made}")}, file)
    with pytest.raises(ModelError, match="cannot be read") as error:
        safe_pickle.read(file)
    assert not made.exists()
    assert "\n" not in str(error.value)


def test_a_known_name_is_replaced_by_what_is_given_for_it(tmp_path):
    file = tmp_path / "model.th"
    torch.save([Calls(os.path.join, "a", "b")], file)
    assert safe_pickle.read(file, {"posixpath.join": lambda *parts: "+".join(parts)}) == ["a+b"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x80\x02}q\x00.", b"noise" * 999])
def test_damaged_files_are_an_error_of_one_line(tmp_path, content):
    file = tmp_path / "model.th"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.th cannot be read") as error:
        safe_pickle.read(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("old", [False, True])
def test_tensors_larger_than_their_file_are_refused_before_they_cost_memory(tmp_path, old):
    file = tmp_path / "model.pth"
    repeated = torch.ones(1).expand(1 << 16, 1 << 20)  # whose one number torch saves once
    torch.save({"a": [repeated]}, file, _use_new_zipfile_serialization=not old)
    with pytest.raises(ModelError, match=r"it asks for 274877906944 bytes, more than the \d+ that it has"):
        safe_pickle.read(file)


def test_tensors_that_share_their_numbers_are_counted_once(tmp_path):
    file = tmp_path / "model.pth"
    tensor = torch.ones(5000)
    torch.save({str(number): tensor for number in range(9)}, file)
    assert len(safe_pickle.read(file)) == 9


def test_compressed_files_and_tensors_without_numbers_are_refused(tmp_path):
    file, packed = tmp_path / "model.pth", tmp_path / "packed.pth"
    torch.save({"a": torch.zeros(1 << 20)}, file)
    with zipfile.ZipFile(file) as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
        for name in plain.namelist():
            other.writestr(name, plain.read(name))
    assert packed.stat().st_size < 10_000
    with pytest.raises(ModelError, match="it is compressed"):
        safe_pickle.read(packed)
    torch.save({"a": torch.zeros(3).to_sparse()}, file)
    with pytest.raises(ModelError, match="cannot be read"):
        safe_pickle.read(file)


@pytest.mark.parametrize("name", ["demucs", "open-unmix", "onnx", "spleeter"])
def test_devices_and_pipes_and_impossible_names_are_no_models(tmp_path, name):
    if name == "demucs":
        pytest.importorskip("demucs")
    os.mkfifo(tmp_path / "model")
    for given in ("/dev/zero", str(tmp_path / "model")):
        with pytest.raises(ModelError, match=f"{name}: .*not a regular file"):
            separators.create(name, checkpoint=given).stem_names(2)
    for given in ("x" * 1000, "/" + "x" * 1000, "a\0b", "/a\0b"):
        with pytest.raises(ModelError) as error:
            separators.create(name, checkpoint=given).stem_names(2)
        assert "\n" not in str(error.value)


# -- running ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 999, 1000, 1001, 5300])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_segments_join_to_the_whole(frames, overlap):
    audio = np.random.default_rng(0).standard_normal((2, frames)).astype(np.float32)
    stems = in_segments(lambda part: torch.stack([part, -2 * part]), audio, 1000, overlap)
    np.testing.assert_allclose(stems, np.stack([audio, -2 * audio]), atol=SAME)


def test_a_models_bias_at_segment_borders_leaves_no_step():
    # Each segment is given an offset of its own: cross-faded, it never jumps.
    offsets = iter(range(100))
    stems = in_segments(
        lambda part: (part * 0 + next(offsets) % 2)[None], np.zeros((1, 9000), np.float32), 1000
    )
    assert np.abs(np.diff(stems[0, 0])).max() < 0.01


@pytest.mark.parametrize(
    ("name", "values"), [(name, rows[0]) for name, rows in tiny_models.SEPARATORS.items()], ids=str
)
def test_every_model_runs_where_no_network_can_be_reached(name, values, monkeypatch):
    if reason := tiny_models.MISSING.get(name):
        pytest.skip(reason)

    def refuse(*_arguments, **_named):
        raise AssertionError("the network was asked for")

    for call in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, call, refuse)
    running._cached.cache_clear()
    noise = np.random.default_rng(0).standard_normal((2, 20000)).astype(np.float32)
    stems = separators.create(name, **values).separate(noise, 44100)
    np.testing.assert_allclose(stems.array.sum(0), noise, atol=SAME)


def test_rest_must_be_a_stem():
    separator = separators.create("spleeter", checkpoint="tiny-spleeter", rest="drums")
    with pytest.raises(
        separators.ParameterError, match=r"rest must be residual or one of vocals, acc.*'drums'"
    ):
        separator.stem_names(2)
    separator = separators.create("spleeter", checkpoint="tiny-spleeter", rest="residual")
    assert separator.stem_names(2) == ("vocals", "accompaniment", "residual")


def test_a_changed_file_is_loaded_anew(tmp_path):
    folder = tmp_path / "networks"
    folder.mkdir()
    for seed in (0, 1):
        torch.save(tiny_models.spleeter_arrays(seed), folder / f"{seed}.ckpt")
    noise = np.random.default_rng(0).standard_normal((2, 20000)).astype(np.float32)
    separator = separators.create("spleeter", checkpoint=str(folder))
    before = separator.separate(noise, 44100).array
    torch.save(tiny_models.spleeter_arrays(2), folder / "0.ckpt")
    os.utime(folder / "0.ckpt", (1, 1))
    assert np.abs(separator.separate(noise, 44100).array - before).max() > 0.01


def test_stems_of_nan_are_an_error(tmp_path):
    folder = tmp_path / "networks"
    folder.mkdir()
    for seed in (0, 1):
        arrays = tiny_models.spleeter_arrays(seed)
        arrays["up7.0.bias"][:] = np.nan
        torch.save(arrays, folder / f"{seed}.ckpt")
    with pytest.raises(ModelError, match="spleeter: the model gives NaN"):
        separators.create("spleeter", checkpoint=str(folder)).separate(np.ones((2, 9000), np.float32), 44100)


def test_listing_separators_imports_none_of_the_extras():
    import subprocess
    import sys

    code = (
        "import sys, separators\n"
        "for name in separators.names(): separators.create(name)\n"
        "print({'demucs', 'onnxruntime', 'onnx', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
