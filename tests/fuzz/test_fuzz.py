"""A slice of ``make fuzz``: the same mutations each time, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")

from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated
from tests.fuzz.running import Findings

ROOT = Path(__file__).parents[2]
COUNT = 200
FEWER = {"aaf": 50}
"""Each is read in a process of its own."""


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused_in_one_line(kind):
    count = FEWER.get(kind, COUNT)
    command = [sys.executable, "-m", "tests.fuzz", kind, "--here", "--count", str(count)]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{kind}: {count} mutations" in ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_seeds_themselves_are_right(kind, tmp_path):
    for number, seed in enumerate(KINDS[kind].seeds()):
        path = tmp_path / f"{number}{KINDS[kind].suffix}"
        path.write_bytes(seed)
        KINDS[kind].read(path)
        assert path.read_bytes() == seed


def test_a_mutation_is_known_by_its_number():
    seed = bytes(range(256)) * 4
    made = [mutated(seed, number) for number in range(200)]
    assert made == [mutated(seed, number) for number in range(200)]
    assert sum(one != seed for one in made) > 150
    assert len(set(made)) > 150


def test_findings_say_each_fault_once():
    found = Findings("midi", 10)
    for number in (3, 5):
        found.add(number, "KeyError at midi.py:7: 'x'")
    assert str(found).splitlines()[1:] == ["  mutation 3 (2 times): KeyError at midi.py:7: 'x'"]
