"""The documents say what the code does: every command in the README runs, the reference is up to date."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import plugin_bridge
import separators
from docs import make_api
from docs.make_reference import REFERENCE, commands, reference
from plugin_bridge.cli import main
from plugin_bridge.presets.preset import Preset

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()]
COMMANDS = [line.split("  #")[0].strip() for line in SHELL if line.startswith("stembridge ")]
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]
PROGRAMS += re.findall(r"^```python\n(.*?)^```", make_api.HEAD, re.MULTILINE | re.DOTALL)
PRESETS = [text for kind, text in BLOCKS if kind == "toml"]


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory):
    """What a reader of the README has at hand: the examples, a folder of loops, one song."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "loops").mkdir()
    drums, rate = soundfile.read(ROOT / "examples/session/audio/Drums.wav", frames=2 * 44100)
    for name in ("one.wav", "two.wav"):
        soundfile.write(folder / "loops" / name, drums, rate)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (len(drums), 2))
    soundfile.write(folder / "song.wav", np.stack([drums, 0.5 * drums], 1) + noise, rate)
    for preset in PRESETS:
        (folder / "my-preset.toml").write_text(preset, encoding="utf-8")
    return folder


def test_reference_is_what_the_code_says():
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run `make reference`"


def test_the_page_of_the_python_calls_is_what_the_docstrings_say():
    assert make_api.API.read_text(encoding="utf-8") == make_api.page(), "run `make reference`"


def test_the_page_of_the_python_calls_holds_all_that_is_offered():
    shown = [name for names in make_api.CHAPTERS.values() for name in names]
    assert sorted([*shown, "__version__"]) == sorted(plugin_bridge.__all__)
    for name in ("render", "separate", "bounce"):  # every argument is told of
        rows = re.findall(rf"### `{name}`\n.*?(?=\n### )", make_api.page(), re.DOTALL)[0].splitlines()
        assert not [row for row in rows if row.startswith("| `") and row.endswith("|  |")]


def test_readme_has_the_recipes_it_promises():
    assert len(COMMANDS) >= 8
    assert len(PROGRAMS) >= 2
    assert len(PRESETS) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_runs(command, user_folder, monkeypatch):
    monkeypatch.chdir(user_folder)
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_every_program_in_the_readme_runs(program, user_folder):
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=user_folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert result.returncode == 0, result.stderr


def test_make_targets_in_the_readme_exist():
    named = {line.split()[1] for line in SHELL if line.startswith("make ")}
    known = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= known


def test_readme_names_every_separator_and_preset():
    for name in [*separators.names(), *Preset.names()]:
        assert f"`{name}`" in README, name


def test_every_command_and_option_has_help():
    for path, command in commands(main, "stembridge"):
        assert command.help, path
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, f"{path}: {option.name}"


def test_links_in_the_documents_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
