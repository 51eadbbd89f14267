"""Real VST3 plug-ins of the tests' own, good ones and bad ones, built once a run; separators of their own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from separators import registry

SOURCES = Path(__file__).parent / "plugins" / "dpf"
DPF = Path("/usr/share/dpf/distrho")
BUILT = {
    "FaultyGain": ["-DEFFECT_CHANNELS=2"],
    "FaultyQuad": ["-DEFFECT_CHANNELS=4"],
    "SineSynth": ["-DINSTRUMENT"],
}


@pytest.fixture(scope="session")
def own_plugins(tmp_path_factory):
    """A folder with the effects FaultyGain (stereo) and FaultyQuad (four channels), and the SineSynth.

    FaultyPair is a file that holds both effects.
    """
    if not DPF.is_dir() or shutil.which("g++") is None:
        pytest.skip("needs g++ and Debian's dpf-source, to build VST3 plug-ins")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "own-plugins"
    if not folder.exists():
        building = tmp_path_factory.mktemp("building") / "own-plugins"
        for name, options in BUILT.items():
            target = building / f"{name}.vst3" / "Contents" / "x86_64-linux" / f"{name}.so"
            target.parent.mkdir(parents=True)
            subprocess.run(
                [
                    "g++", "-O1", "-w", "-fPIC", "-shared", "-std=gnu++14", "-DDISTRHO_PLUGIN_TARGET_VST3",
                    *options, f"-I{SOURCES}", f"-I{DPF}", SOURCES / "plugin.cpp",
                    DPF / "DistrhoPluginMain.cpp", "-o", target,
                ],
                check=True,
            )  # fmt: skip
        pair = building / "FaultyPair.vst3" / "Contents" / "x86_64-linux" / "FaultyPair.so"
        pair.parent.mkdir(parents=True)
        for name in ("FaultyGain", "FaultyQuad"):
            shutil.copy(building / f"{name}.vst3" / "Contents" / "x86_64-linux" / f"{name}.so", pair.parent)
        subprocess.run(
            [
                "g++", "-O1", "-fPIC", "-shared", "-std=gnu++14", f"-I{DPF / 'src'}", SOURCES / "pair.cpp",
                "-o", pair,
            ],
            check=True,
        )  # fmt: skip
        try:
            building.rename(folder)
        except OSError:  # another worker was quicker
            assert folder.is_dir()
    return folder


@pytest.fixture(scope="module")
def splitters():
    """The separators `bands` and `shares` of splitters.py, for presets and the command line to find."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("bands", "shares"):
            row = registry.BuiltIn(f"tests.plugin_bridge.splitters:{name.title()}", "a test")
            patch.setitem(registry.BUILT_IN, name, row)
        registry._locations.cache_clear()
        yield
    registry._locations.cache_clear()
