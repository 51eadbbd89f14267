"""Checks the wheel and the source distribution in a folder: all files that belong in them, and none besides.

python scripts/check_dist.py dist
"""

from __future__ import annotations

import re
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {
    "separators": "separators",
    "plugin_bridge": "plugin_bridge",
    "presets": "plugin_bridge/shipped_presets",
    "examples/session": "plugin_bridge/example_session",
}
"""Folders of a checkout, and where a wheel has them."""
MUST_HAVE = (
    "separators/py.typed",
    "plugin_bridge/py.typed",
    "separators/neural/weights/pit.safetensors",
    "separators/neural/weights/wave-u-net.safetensors",
    "plugin_bridge/shipped_presets/drum-loop.toml",
    "plugin_bridge/example_session/session.rpp",
    "plugin_bridge/example_session/LICENSES.md",
)
SOURCES = ("LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "pyproject.toml", "tests", "docs")
MOST_WHEEL_BYTES = 100_000_000
"""What PyPI takes."""


def _files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def _wheel_problems(wheel: Path, version: str) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"stembridge-{version}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    expected = {f"{place}/{name}" for folder, place in PLACES.items() for name in _files_below(ROOT / folder)}
    inside = {name for name in names if not name.startswith(f"{info}/")}
    problems = [f"{name} is missing" for name in sorted({*expected, *MUST_HAVE} - inside)]
    problems += [f"{name} does not belong there" for name in sorted(inside - expected)]
    problems += [
        f"{info}/{name} is missing"
        for name in ("licenses/LICENSE", "entry_points.txt")
        if f"{info}/{name}" not in names
    ]
    if wheel.stat().st_size > MOST_WHEEL_BYTES:
        problems.append(f"is larger than {MOST_WHEEL_BYTES / 1e6:.0f} MB")
    return problems + _metadata_problems(metadata, version)


def _metadata_problems(metadata: Message, version: str) -> list[str]:
    problems = []
    for key, value in (("Version", version), ("License-Expression", "GPL-3.0-or-later")):
        if metadata[key] != value:
            problems.append(f"{key} is {metadata[key]}, not {value}")
    page = re.sub(r"^```.*?^```", "", str(metadata.get_payload()), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)]*)\)", page)
    problems += [f"its page links to {link}, which a package's page does not have" for link in links]
    return problems


def _sdist_problems(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names}
    problems = [f"{name} is missing" for name in SOURCES if name not in tops]
    for folder in ("separators", "plugin_bridge", "presets", "examples", "tests", "docs"):
        here = {f"{folder}/{name}" for name in _files_below(ROOT / folder)}
        problems += [f"{name} is missing" for name in sorted(here - names)]
    problems += [f"{name} does not belong there" for name in sorted(names) if "__pycache__" in name]
    return problems


def _changelog_problems(version: str) -> list[str]:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE):
        return []
    return [f"no line '## [{version}] - YYYY-MM-DD'"]


def _main(folder: Path) -> int:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    wheel = folder / f"stembridge-{version}-py3-none-any.whl"
    sdist = folder / f"stembridge-{version}.tar.gz"
    problems = {
        wheel.name: _wheel_problems(wheel, version),
        sdist.name: _sdist_problems(sdist),
        "CHANGELOG.md": _changelog_problems(version),
    }
    for name, lines in problems.items():
        print("\n".join(f"{name}: {line}" for line in lines) or f"{name}: complete")
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
