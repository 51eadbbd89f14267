"""Runs commands inside the test process, on small noisy stereo files and a preset that un-pans them."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
from click.testing import CliRunner

from plugin_bridge.cli import main
from tests.plugin_bridge import session_helpers

RATE = 8000
write = partial(session_helpers.write, rate=RATE)
UNPAN = 'title = "Un-pan"\npurpose = "tests"\n[separator]\nname = "ica"\n'
MIXING = np.array([[1.0, 0.3], [0.4, 1.0]], np.float32)
STEM_FILES = ["manifest.json", "source-1.wav", "source-2.wav"]


def noise(channels=2, seconds=1.0, seed=0):
    return MIXING[:channels] @ (0.05 * np.random.default_rng(seed).laplace(size=(2, round(seconds * RATE))))


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result


def results_of(stdout):
    """What ``--json`` says in its last line: how all jobs ended."""
    return json.loads(stdout.splitlines()[-1])


def error_of(*arguments, status=1):
    """The only line on standard error that tells of a failure."""
    result = run(*arguments, status=status)
    lines = [line for line in result.stderr.splitlines() if line.startswith(("Error: ", "failed: "))]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
