"""What `stembridge doctor` says: all that a report of a fault needs, whatever is broken, nothing secret."""

import json
from pathlib import Path

import pytest
import torch

from plugin_bridge.commands import doctor
from plugin_bridge.diagnosis import machine as diagnosis
from plugin_bridge.version import number
from separators.neural import devices
from tests.plugin_bridge.command_helpers import run
from tests.separators.pretend_gpu import GPU


def test_it_tells_all_that_a_report_needs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.th").write_bytes(b"")
    found = json.loads(run("doctor", "--json").stdout)
    assert found["program"]["stembridge"] == number()
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0] or torch.__version__
    assert found["processor"]["cores"] >= found["processor"]["usable_cores"] >= 1
    assert found["processor"]["memory_gib"] > 0.1
    assert found["torch"]["version"] == torch.__version__
    assert found["gpus"]["auto"] == str(devices.chosen("auto"))
    assert {"pit", "danet", "deep-clustering", "wave-u-net"} <= found["models"].keys()
    assert all(Path(found["models"][name]).expanduser().is_file() for name in ("pit", "wave-u-net"))
    assert "mine.th" in next(iter(found["models"]["folders"].values()))
    assert "wav" in found["formats"]["audio_read"]
    assert "mp3" in found["formats"]["audio_written"]
    assert "REAPER project" in found["formats"]["sessions_read"]
    assert found["disk"]["here"]["free_gib"] > 0
    assert len(found["plug-ins"]) >= 2


def test_the_text_holds_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = run("doctor").stdout.splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings == [f"{name}:" for name in diagnosis.machine()]
    assert f"  stembridge: {number()}" in lines
    assert any(line.startswith("  auto: ") for line in lines)


def test_gpus_are_listed_with_what_is_wrong_with_them(monkeypatch):
    class Properties:
        total_memory = 8 * 2**30

    monkeypatch.setattr(devices, "gpus", lambda: iter([GPU]))
    monkeypatch.setattr(devices, "trouble", lambda device: "" if device == devices.CPU else "too old")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: Properties)
    wanted = {"name": "cuda:0 (Old GPU)", "memory_gib": 8.0, "trouble": "too old"}
    assert diagnosis.machine()["gpus"] == {"cuda:0": wanted, "auto": "cpu"}


def test_what_is_broken_is_said_and_the_rest_still_told(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: 1 / 0)
    found = json.loads(run("doctor", "--json", status=1).stdout)
    assert found["processor"] == {"error": "ZeroDivisionError: division by zero"}
    assert found["program"]["stembridge"] == number()


def test_the_users_name_is_not_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("STEMBRIDGE_MODELS", str(tmp_path / "models"))
    found = diagnosis.machine()
    assert found["environment"]["STEMBRIDGE_MODELS"] == "~/models"
    assert str(tmp_path) not in json.dumps(found)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "not there"), (True, "yes"), (False, "no"), ([], "none"), ([1, "b"], "1, b"), ("", "none")],
)
def test_values_for_people(value, said):
    assert list(doctor._lines({"key": value})) == [f"key: {said}"]
