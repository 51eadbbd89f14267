import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import separators
from separators import registry
from separators.base import Separator
from separators.errors import ParameterError, SeparatorError


class Everything(Separator):
    """What another package might register."""

    name = "everything"
    summary = "one stem: the mixture"

    def stem_names(self, channels):
        return ("mixture",)

    def fit(self, sample, sample_rate):
        return lambda block: block[np.newaxis].copy()


@pytest.fixture
def entry_points(monkeypatch):
    """Pretend that installed packages declare these entry points."""

    def declare(**points):
        group = registry.ENTRY_POINT_GROUP
        found = [EntryPoint(name, value, group) for name, value in points.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: found)
        registry._locations.cache_clear()

    yield declare
    monkeypatch.undo()
    registry._locations.cache_clear()


def test_the_built_in_separators_are_there_sorted():
    assert {"ica", "nmf"} <= set(separators.names())
    assert separators.names() == sorted(separators.names())


@pytest.mark.parametrize("name", separators.names())
def test_every_name_leads_to_its_class(name):
    kind = separators.get(name)
    assert issubclass(kind, Separator)
    assert kind.name == name
    assert type(separators.create(name)) is kind


def test_create_sets_parameters():
    assert separators.create("ica", sources=3).values["sources"] == 3


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ParameterError, match=r"no separator 'magic'; there are: .*ica, .*nmf"):
        separators.create("magic")


def test_another_packages_separator_is_found(entry_points):
    entry_points(everything=f"{__name__}:Everything")
    assert "everything" in separators.names()
    mixture = np.ones((2, 100), np.float32)
    np.testing.assert_allclose(separators.create("everything").separate(mixture, 44100)["mixture"], mixture)


def test_two_separators_of_one_name_are_an_error(entry_points):
    entry_points(ica="elsewhere:ICA")
    with pytest.raises(SeparatorError, match=r"two separators are called 'ica'.*elsewhere:ICA.*uninstall"):
        separators.names()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:Thing", "cannot be loaded.*no_such_module"),
        (f"{__name__}:Missing", "cannot be loaded.*Missing"),
        (f"{__name__}:test_create_sets_parameters", "is not a Separator"),
    ],
)
def test_broken_registrations_are_named(entry_points, value, message):
    entry_points(broken=value)
    with pytest.raises(SeparatorError, match=message) as error:
        separators.create("broken")
    assert "'broken'" in str(error.value)


def test_another_packages_separator_says_itself_what_it_does(entry_points):
    entry_points(everything=f"{__name__}:Everything")
    assert separators.summary("everything") == "one stem: the mixture"
    with pytest.raises(ParameterError, match=r"no separator 'icaa' \(did you mean 'ica'\?\); there are:"):
        separators.summary("icaa")


HEAVY = ("torch", "scipy", "numpy", "pedalboard", "soundfile", "pydantic")


@pytest.mark.parametrize(
    "run",
    [
        "import separators; [separators.summary(name) for name in separators.names()]",
        "from click.testing import CliRunner; from plugin_bridge.cli import main;"
        "result = CliRunner().invoke(main, ['separators', 'list']); assert 'nmf-score' in result.output",
    ],
)
def test_listing_separators_imports_no_heavy_package(run):
    code = f"import sys; {run}; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
