"""Names are safe on every system, templates are closed, collisions are found before any work."""

from __future__ import annotations

import unicodedata
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.errors import JobError
from plugin_bridge.naming import MAXIMUM_BYTES, TakenNames, Template, safe_name

WINDOWS_RESERVED = ["CON", "prn", "Aux.wav", "nul .txt", "COM1", "lpt9.flac", "COM¹", "CONIN$"]


@given(st.text())
def test_a_safe_name_is_one_component_without_anything_a_system_refuses(text):
    name = safe_name(text)
    assert not set(name) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
    assert name == unicodedata.normalize("NFC", name)
    assert name == name.strip()
    assert not name.endswith(".")
    assert not name.startswith(".")
    assert len(name.encode()) <= MAXIMUM_BYTES


@given(st.text())
def test_making_a_safe_name_safe_changes_nothing(text):
    assert safe_name(safe_name(text)) == safe_name(text)


@given(st.from_regex(r"[\w äöü音-]{1,40}", fullmatch=True))
def test_ordinary_names_are_kept(text):
    composed = unicodedata.normalize("NFC", text).strip()
    if composed.casefold() not in {name.casefold() for name in WINDOWS_RESERVED}:
        assert safe_name(text) == composed


@pytest.mark.parametrize("name", WINDOWS_RESERVED)
def test_names_of_windows_devices_are_changed_but_stay_readable(name):
    assert safe_name(name) == "_" + name


def test_a_long_name_is_cut_between_characters():
    assert safe_name("音" * 100) == "音" * (MAXIMUM_BYTES // 3)


def test_composed_and_decomposed_letters_give_one_name():
    assert safe_name("tra\u0300ck") == safe_name("tr\u00e0ck") == "tràck"


def test_a_field_never_makes_a_folder_and_an_empty_one_leaves_none():
    path = Template("{parent}/{track}/{stem}").path(parent="", track="../AC/DC", stem="kick")
    assert path == PurePosixPath("_._AC_DC/kick")


def test_a_track_without_a_name_is_called_untitled():
    assert Template("{track}/{stem}").path(track="  ", stem="kick") == PurePosixPath("untitled/kick")


def test_numbers_sort_like_the_tracks():
    assert [str(Template("{index} {track}").path(index=n, track="a")) for n in (2, 10)] == ["02 a", "10 a"]


def test_braces_in_names_are_only_text():
    assert Template("{track}/{{{stem}}}").path(track="{stem}", stem="a") == PurePosixPath("{stem}/{a}")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{trak}/{stem}", r"no field \{trak\}; there are \{track\}, \{stem\}"),
        ("{track!r}/{stem}", "no field"),
        ("{index:03d}/{stem}", "no field"),
        ("{track.__class__}/{stem}", "no field"),
        ("{track", "brace"),
        ("{stem}", "must hold"),
        ("../{track}/{stem}", "inside the output folder"),
        ("/tmp/{track}/{stem}", "inside the output folder"),
        ("C:/{track}/{stem}", "inside the output folder"),
        ("a\\..\\..\\{track}", "inside the output folder"),
    ],
)
def test_a_template_that_leads_elsewhere_or_knows_other_fields_is_refused(template, complaint):
    with pytest.raises(JobError, match=complaint):
        Template(template)


@pytest.mark.parametrize(
    "pair",
    [
        ("out/Kick.wav", "out/kick.WAV"),
        ("out/tr\u00e0ck.wav", "out/tra\u0300ck.wav"),
        ("out/same.wav", "out/same.wav"),
        ("out/a/../same.wav", "out/same.wav"),
    ],
)
def test_names_that_some_system_takes_for_one_file_are_refused(pair, tmp_path):
    first, second = (tmp_path / name for name in pair)
    names = TakenNames()
    names.take([first], "Drums")
    with pytest.raises(JobError, match=r"for Drums and Drums 2; .*\{index\}"):
        names.take([tmp_path / "other.wav", second], "Drums 2")
    names.take([tmp_path / "other.wav"], "Drums 3")  # what was refused took nothing
    with pytest.raises(JobError, match=r"for Drums twice; .*\{stem\}"):
        TakenNames().take([first, second], "Drums")


def test_different_names_pass_and_the_input_is_never_overwritten(tmp_path):
    for inputs, refused in (([tmp_path / "kick.wav"], False), ([tmp_path / "A" / "Kick.wav"], True)):
        names = TakenNames(inputs)
        names.take([tmp_path / "b" / "kick.wav"], "b")
        with pytest.raises(JobError, match="overwrite the input") if refused else nullcontext():
            names.take([tmp_path / "a" / "kick.wav"], "a")


def test_names_made_from_a_template_can_be_written(tmp_path):
    names = ["CON", "tràck 音.wav", "trailing. .", "a:b*c", "x" * 300, "\x00\x1f", "-rf", "~"]
    for index, name in enumerate(names, 1):
        path = tmp_path / Path(Template("{index} {track}/{stem}").path(index=index, track=name, stem=name))
        path.parent.mkdir()
        path.write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == len(names)
