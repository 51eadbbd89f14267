"""All that stands on the page on chains runs, in order, in a folder of the reader's."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from plugin_bridge.cli import main
from plugin_bridge.plugins.folders import installed

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "chains.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PRESETS = {text.partition("\n")[0].removeprefix("# "): text for kind, text in BLOCKS if kind == "toml"}
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name, text in PRESETS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_page_has_a_recipe_for_each_part():
    assert set(PRESETS) == {
        "my-chain.toml", "parallel.toml", "fade.toml", "duck.toml", "podcast.toml", "hall.toml",
    }  # fmt: skip
    assert all(any(f"./{name}" in command for command in COMMANDS) for name in PRESETS)
    assert len(PROGRAMS) == 2
    rows = [line for line in PAGE.splitlines() if re.match(r"\| .* \| \d", line)]
    assert len(rows) == 10


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command, reader, monkeypatch):
    command, _, needs = command.partition("   # ")
    if needs and needs not in installed():
        pytest.skip(f"{needs} is not installed (Debian package zam-plugins)")
    monkeypatch.chdir(reader)
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_every_program_runs(program, reader):
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=reader,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert result.returncode == 0, result.stderr
