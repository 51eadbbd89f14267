"""The check of the packages finds what is missing, what does not belong there, and a page's dead links."""

import tarfile
import zipfile

import pytest

from scripts import check_dist

METADATA = (
    "Metadata-Version: 2.4\nName: stembridge\nVersion: {}\nLicense-Expression: GPL-3.0-or-later\n\n{}\n"
)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Makes a wheel of a small checkout, without the files in ``missing``."""
    root = tmp_path / "checkout"
    for folder, place in check_dist.PLACES.items():
        (root / folder).mkdir(parents=True)
        names = [
            name.removeprefix(f"{place}/") for name in check_dist.MUST_HAVE if name.startswith(f"{place}/")
        ]
        for name in names:
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).touch()
    for name in ("shipped_presets", "example_session"):  # a wheel's places, which no checkout has
        for path in sorted((root / "plugin_bridge" / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    monkeypatch.setattr(check_dist, "ROOT", root)

    def make(*missing, more=(), page="See [torch](https://pytorch.org)."):
        path = tmp_path / "stembridge-1.0-py3-none-any.whl"
        info = "stembridge-1.0.dist-info"
        names = {*check_dist.MUST_HAVE, f"{info}/licenses/LICENSE", f"{info}/entry_points.txt", *more} - {
            *missing
        }
        with zipfile.ZipFile(path, "w") as archive:
            for name in sorted(names):
                archive.writestr(name, "")
            archive.writestr(f"{info}/METADATA", METADATA.format("1.0", page))
        return path

    return make


def test_a_whole_wheel_has_no_problems(wheel):
    assert check_dist._wheel_problems(wheel(), "1.0") == []


def test_what_is_missing_or_too_much_in_a_wheel_is_said(wheel):
    weights, licence = (
        "separators/neural/weights/pit.safetensors",
        "stembridge-1.0.dist-info/licenses/LICENSE",
    )
    path = wheel(weights, licence, more=["tests/test_x.py"], page="![x](docs/x.png) and `[x](y)`")
    assert check_dist._wheel_problems(path, "1.0") == [
        f"{weights} is missing",
        "tests/test_x.py does not belong there",
        f"{licence} is missing",
        "its page links to docs/x.png, which a package's page does not have",
        "its page links to y, which a package's page does not have",
    ]


def test_what_is_missing_in_a_source_distribution_is_said(wheel, tmp_path):
    path = tmp_path / "stembridge-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(check_dist.ROOT / "separators", "stembridge-1.0/separators")
        archive.add(check_dist.ROOT / "separators", "stembridge-1.0/tests/__pycache__")
    problems = check_dist._sdist_problems(path)
    assert "LICENSE is missing" in problems
    assert "presets/drum-loop.toml is missing" in problems
    assert "separators/py.typed is missing" not in problems
    assert "tests/__pycache__ does not belong there" in problems


@pytest.mark.parametrize(
    ("line", "right"),
    [("## [1.0] - 2026-11-28", True), ("## [1.0]", False), ("## [1.0.1] - 2026-11-28", False)],
)
def test_a_release_has_a_dated_section_in_the_changelog(wheel, line, right):
    (check_dist.ROOT / "CHANGELOG.md").write_text(f"# Changelog\n\n{line}\n")
    assert (check_dist._changelog_problems("1.0") == []) is right
