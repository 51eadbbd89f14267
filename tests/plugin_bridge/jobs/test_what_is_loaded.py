"""What a process loads before it can do a job: each worker pays for it, and whoever waits for one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import soundfile

PRESET = 'title = "Un-pan"\npurpose = "test"\n[separator]\nname = "ica"\n'
NOT_NEEDED = ("torch", "scipy", "av", "rich", "matplotlib", "lxml", "distributed")
"""Each takes a good part of a second to load."""


def test_a_job_of_a_panned_file_loads_no_library_that_it_does_not_need(tmp_path):
    audio = np.random.default_rng(0).laplace(size=(8000, 2)) @ [[0.05, 0.02], [0.01, 0.05]]
    soundfile.write(tmp_path / "a.wav", audio, 8000, "PCM_24")
    (tmp_path / "unpan.toml").write_text(PRESET)
    code = (
        "import sys, plugin_bridge; plugin_bridge.separate('a.wav', 'unpan.toml', 'out')\n"
        f"print(sorted(set({NOT_NEEDED!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert len(list(tmp_path.rglob("source-*.wav"))) == 2
