"""The documents say what the code does: commands in README and recipes run, the reference is up to date."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import click
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
RECIPES = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
QUALITY = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
TASKS = [
    line.split(" | ") for line in README.splitlines() if line.startswith("| ") and "`stembridge " in line
]
"""The rows of the table at the README's top: task, preset, command."""
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", f"{README}\n{RECIPES}", re.MULTILINE | re.DOTALL)
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()]
COMMANDS = [row[2].strip(" |`") for row in TASKS]
COMMANDS += [line.split("  #")[0].strip() for line in SHELL if line.startswith("stembridge ")]
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]
PROGRAMS += re.findall(r"^```python\n(.*?)^```", make_api.HEAD, re.MULTILINE | re.DOTALL)
PRESETS = [text for kind, text in BLOCKS if kind == "toml"]


def makers(command):
    """The earlier commands that write what ``command`` reads: any test may be the first in its process."""
    words = shlex.split(command)
    read = {word for before, word in pairwise(words) if not before.startswith("--")}
    for preset in (ROOT / word for word in words if word.endswith(".toml")):
        if preset.is_file():
            read |= set(re.findall(r'"(\S+)"', preset.read_text(encoding="utf-8")))
    earlier = COMMANDS[: COMMANDS.index(command)]
    return [each for each in earlier if read & {after for _, after in re.findall(r"--(out|to) (\S+)", each)}]


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory):
    """What a reader has at hand: the clone's examples, and for the Python page a folder of loops."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "loops").mkdir()
    drums, rate = soundfile.read(ROOT / "examples/session/audio/Drums.wav", frames=2 * 44100)
    for name in ("one.wav", "two.wav"):
        soundfile.write(folder / "loops" / name, drums, rate)
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


def test_the_readme_opens_with_the_users_tasks():
    assert len(README.splitlines()) <= 130
    assert len(TASKS) >= 7
    assert README.index(TASKS[0][0]) < README.index("\n## ")
    for _, preset, command in TASKS:
        assert f"--preset {preset.strip('`')}" in command
        assert preset.strip("`") in Preset.names()


def test_commands_need_nothing_but_the_clone():
    """Files that a command names lie in the clone, or an earlier command or block of the page makes them."""
    made = {"my-preset.toml", "guitar.safetensors", "stem.mp4"}  # the last is a layout
    for command in COMMANDS:
        for word in shlex.split(command)[1:]:
            path = word.partition("=")[2] or word
            number = path.replace(".", "", 1).isdecimal()
            if "." in path and not number and not path.startswith("--") and path not in made:
                assert (ROOT / path).exists(), f"{command}: {path}"


def test_the_newest_release_in_the_changelog_is_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(project['version'])}\] - \d{{4}}-\d\d-\d\d", headings[1])


def test_a_packages_page_links_to_no_file_that_it_does_not_have():
    """The README as PyPI shows it, by the substitutions in pyproject.toml."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["metadata"]
    page = README
    for rule in build["hooks"]["fancy-pypi-readme"]["substitutions"]:
        page = re.sub(rule["pattern"], rule["replacement"], page)
    assert re.findall(r"\]\((?!https?:)", page) == []
    assert "![" not in page
    for words in ("`drum-loop`", "what is good for what", "[Pedalboard](https://", "make demo"):
        assert words in page


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_readme_and_recipes_runs(command, user_folder, monkeypatch):
    monkeypatch.chdir(user_folder)
    for each in [*makers(command), command]:
        result = CliRunner().invoke(main, shlex.split(each)[1:])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_every_program_in_readme_and_recipes_runs(program, user_folder):
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


def test_the_page_on_quality_names_every_separator_and_preset():
    for name in [*separators.names(), *Preset.names()]:
        assert f"`{name}`" in QUALITY, name


def test_every_command_and_option_has_help():
    for path, command in commands(main, "stembridge"):
        assert command.help, path
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, f"{path}: {option.name}"


def test_links_in_the_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
