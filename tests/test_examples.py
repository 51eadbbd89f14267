"""Every script in examples/ runs as its first lines say, and gives what it promises."""

from __future__ import annotations

import importlib.util
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_bridge import StreamedChain
from plugin_bridge.audio.files import read_info
from plugin_bridge.presets.preset import Preset
from separators.evaluation import si_sdr

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
AUDIO = EXAMPLES / "session" / "audio"
NOT_RUN_HERE = {"make_session", "session_project", "session_score"}
"""They make the example session, from Debian packages that need not be here."""
PICTURE_BYTES = 200_000
PICTURE_WIDTHS = range(1000, 1601)
"""Sharp where a README shows it, and no wider than that."""
STEP_24_BIT = 2.0**-23
"""Each stem loses up to one step in a 24-bit file, and the separation itself is float32."""
LEAST_IMPROVEMENT_DB = 6.0
LEAST_IMPROVEMENT_OF_A_GUITAR_DB = 2.0
LIMITER_CEILING = 10 ** (-0.9 / 20)


def run(*arguments: str | Path, python_path: tuple[Path, ...] = ()) -> str:
    """Run Python in a process of its own, where warnings are errors; returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *python_path)))}
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, always_2d=True)[0]


def stems_in(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: read(path) for path in sorted(folder.rglob("*.wav"))}


def test_separate_file(tmp_path):
    print(run(EXAMPLES / "separate_file.py", AUDIO / "Drums.wav", tmp_path))
    stems = stems_in(tmp_path)
    assert {"kick", "snare", "hihat"} <= set(stems)
    assert np.abs(sum(stems.values()) - read(AUDIO / "Drums.wav")).max() < (len(stems) + 1) * STEP_24_BIT


def test_python_plugin():
    assert run(EXAMPLES / "python_plugin.py") == "from 1.00 down to 0.00\n"
    specification = importlib.util.spec_from_file_location("python_plugin", EXAMPLES / "python_plugin.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    audio = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    chain = StreamedChain([module.Tremolo()], 44100, 2)
    blocks = [chain.process(block) for block in np.split(audio, [7000, 20_000], axis=1)]
    out = np.concatenate([*blocks, chain.flush()], axis=1)
    np.testing.assert_allclose(out, module.Tremolo()(audio, 44100), atol=1e-6)


def test_pedalboard_chain(tmp_path):
    run(EXAMPLES / "pedalboard_chain.py", tmp_path / "loop.wav")
    processed, loop = read(tmp_path / "loop.wav"), read(AUDIO / "Drums.wav")
    assert processed.shape == loop.shape
    assert np.abs(processed).max() <= LIMITER_CEILING
    assert np.std(processed - loop) > 0.01 * np.std(loop)


def test_own_preset(tmp_path):
    run(EXAMPLES / "own_preset.py", tmp_path / "loop.flac")
    assert read(tmp_path / "loop.flac").shape == read(AUDIO / "Drums.wav").shape
    saved = (tmp_path / "loop.toml").read_text()
    assert "My loop polish" in saved
    assert "Compressor" in saved


def test_own_dictionary(tmp_path):
    printed = run(EXAMPLES / "own_dictionary.py", tmp_path)
    before, after = (float(word) for word in re.findall(r"(-?[\d.]+) dB", printed))
    assert after > before + LEAST_IMPROVEMENT_OF_A_GUITAR_DB
    song = (read(AUDIO / "Guitar.wav") + read(AUDIO / "Band.wav")) / 2
    assert np.abs(sum(stems_in(tmp_path).values()) - song).max() < 3 * STEP_24_BIT
    # The preset beside it, with the dictionary beside the preset.
    (tmp_path / "own.toml").write_text((EXAMPLES / "own_dictionary.toml").read_text())
    preset = Preset.load(tmp_path / "own.toml")
    assert preset.make_separator().stem_names(1) == ("guitar", "rest")


def test_own_separator(tmp_path):
    run(EXAMPLES / "own_separator.py", tmp_path)
    stems = stems_in(tmp_path)
    assert set(stems) == {"harmonic", "percussive"}
    mixture = read(AUDIO / "Mic Tabla.wav")
    assert np.abs(sum(stems.values()) - mixture).max() < (len(stems) + 1) * STEP_24_BIT


def test_own_separator_tells_notes_from_hits():
    spec = importlib.util.spec_from_file_location("own_separator", EXAMPLES / "own_separator.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rate = 16000
    notes = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * rate) / rate)
    hits = np.zeros(3 * rate)
    for start in range(rate // 4, len(hits), rate // 2):
        hits[start : start + 200] = np.random.default_rng(start).normal(size=200)
    stems = module.HarmonicPercussive().separate((notes + hits).astype(np.float32), rate)
    assert si_sdr(notes, stems["harmonic"][0]) > si_sdr(notes, notes + hits) + LEAST_IMPROVEMENT_DB
    assert si_sdr(hits, stems["percussive"][0]) > si_sdr(hits, notes + hits) + LEAST_IMPROVEMENT_DB


def test_an_own_separator_is_found_by_name_once_its_package_says_so(tmp_path):
    # What pip writes for a package that has the entry point of the example's first lines.
    info = tmp_path / "own_separator-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-separator\nVersion: 1.0\n")
    words = (EXAMPLES / "own_separator.py").read_text().split('"""')[1].splitlines()
    line = next(line.strip() for line in words if line.strip().startswith("harmonic-percussive ="))
    (info / "entry_points.txt").write_text("[stembridge.separators]\n" + line.replace('"', "") + "\n")
    printed = run(
        "-c", 'import separators; print(separators.create("harmonic-percussive", length=31))',
        python_path=(tmp_path, EXAMPLES),
    )  # fmt: skip
    assert printed.strip() == "HarmonicPercussive(length=31)"


def test_session_to_stems(tmp_path):
    printed = run(EXAMPLES / "session_to_stems.py", EXAMPLES / "session", tmp_path, "drums")
    assert "Drums at 3605.053 s" in printed
    stems = stems_in(tmp_path / "Drums")
    assert {"kick", "snare", "hihat"} <= set(stems)
    loop = AUDIO / "Drums.wav"
    assert np.abs(sum(stems.values()) - read(loop)).max() < STEP_24_BIT * len(stems)
    assert {read_info(path).time_reference for path in tmp_path.rglob("*.wav")} == {
        read_info(loop).time_reference
    }


def test_plot_stems(tmp_path):
    pytest.importorskip("matplotlib")
    run(EXAMPLES / "plot_stems.py", tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {"drum-loop.png", "microphones.png", "interview.png"}
    for picture in [*tmp_path.iterdir(), *(ROOT / "docs" / "images" / name for name in drawn)]:
        data = picture.read_bytes()
        assert len(data) <= PICTURE_BYTES
        assert data.startswith(b"\x89PNG")
        assert struct.unpack_from(">I", data, 16)[0] in PICTURE_WIDTHS


def test_every_example_is_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - NOT_RUN_HERE <= tested
