"""--device: which machine runs the networks, on the command line, in presets and in Python."""

import json

import pytest
import soundfile

import plugin_bridge
from plugin_bridge.errors import PresetError
from separators.neural import devices
from tests.plugin_bridge.command_helpers import RATE, error_of, files, noise, run
from tests.separators.pretend_gpu import GPU, present

VOICES = 'title = "Voices"\npurpose = "tests"\n[separator]\nname = "pit"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voices.toml").write_text(VOICES)
    soundfile.write(tmp_path / "talk.wav", noise().T, RATE, subtype="FLOAT")
    return tmp_path


def manifest(folder):
    return json.loads((folder / "stems/talk/manifest.json").read_text())


def test_the_command_line_chooses_the_device_and_says_which(folder, monkeypatch):
    with present(monkeypatch) as gpu:
        said = run("separate", "talk.wav", "--preset", "voices.toml", "--device", "cuda:0")
    assert gpu.where(GPU)
    assert "talk.wav: pit: runs on cuda:0 (Pretended GPU)" in said.stdout
    assert "pit: runs on cuda:0 (Pretended GPU)" in manifest(folder)["notes"]


def test_another_device_makes_no_stems_again(folder, monkeypatch):
    with present(monkeypatch):
        run("separate", "talk.wav", "--preset", "voices.toml", "--device", "cuda")
    before = files(folder), manifest(folder)
    for device in (["--device", "cpu"], ["--device", "auto"], []):
        assert "up to date" in run("separate", "talk.wav", "--preset", "voices.toml", *device).stdout
    assert (files(folder), manifest(folder)) == before


def test_a_preset_names_a_device(folder, monkeypatch):
    (folder / "gpu.toml").write_text(f'{VOICES}device = "cuda"\n')
    said = error_of("separate", "talk.wav", "--preset", "gpu.toml")
    if devices.chosen("auto") == devices.CPU:
        assert "device cuda: " in said
        assert said.endswith("auto and cpu work everywhere")
    assert "1 done" in run("separate", "talk.wav", "--preset", "gpu.toml", "--device", "cpu").stdout
    (folder / "odd.toml").write_text(f'{VOICES}device = "tpu"\n')
    said = error_of("separate", "talk.wav", "--preset", "odd.toml", status=2)
    assert "device must be auto, cpu, cuda, cuda:NUMBER or mps, not 'tpu'" in said


@pytest.mark.parametrize("command", ["separate", "render"])
@pytest.mark.parametrize(
    ("preset", "device", "said"),
    [
        ("voices.toml", "gpu", "device must be auto, cpu, cuda, cuda:NUMBER or mps, not 'gpu'"),
        ("voices.toml", "cuda:99", "device cuda:99: "),
        ("drum-loop", "cuda", "device cuda: the preset drum-loop has no network"),
    ],
)
def test_what_cannot_be_is_wrong_usage(folder, command, preset, device, said):
    line = error_of(command, ".", "--preset", preset, "--device", device, status=2)
    assert "--device" in line
    assert said in line
    assert not (folder / "stems").exists()


def test_presets_without_networks_run_on_the_processor(folder):
    run("separate", "talk.wav", "--preset", "stereo-unpan", "--device", "auto")
    first = {path: path.read_bytes() for path in (folder / "stems").rglob("*.wav")}
    run("separate", "talk.wav", "--preset", "stereo-unpan", "--device", "cpu", "--force")
    assert first
    assert first == {path: path.read_bytes() for path in (folder / "stems").rglob("*.wav")}


def test_python_chooses_it_too(folder, monkeypatch):
    with present(monkeypatch) as gpu:
        results = plugin_bridge.separate("talk.wav", "voices.toml", "stems", device="cuda")
    assert results.jobs[0].status == "done"
    assert gpu.where(GPU)
    with pytest.raises(PresetError, match="device must be auto"):
        plugin_bridge.separate("talk.wav", "voices.toml", "stems", device="gpu")


def test_cascades_take_the_device_into_all_networks(folder, monkeypatch):
    (folder / "both.toml").write_text(
        'title = "x"\n[separator]\nname = "wave-u-net"\n[separate.vocals]\nname = "pit"\n'
        '[separate.drums]\nname = "nmf"\nmode = "drums"\n'
    )
    with present(monkeypatch):
        notes = run("separate", "talk.wav", "--preset", "both.toml", "--device", "cuda").stdout
    assert "wave-u-net: runs on cuda:0" in notes
    assert "pit: runs on cuda:0" in notes
