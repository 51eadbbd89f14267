"""Automation items on mutes: pools in quarter notes, offsets, rates, repeats, what lies beneath."""

import numpy as np
import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.rpp import automation_items
from tests.plugin_bridge.session_helpers import RATE, item, project, save, track, write

POOL = """<POOLEDENV
  ID 1
  NAME gate
  SRCLEN 2
  LFO 0 0 0 0 0 0 0
  PPT 0 1 1
  PPT 0.5 0 1
>"""
"""Heard for the first of its four halves of a quarter note."""


@pytest.fixture
def heard(tmp_path):
    """Where eighths of a second are heard, as a string of ``x`` and ``.``, at 120 beats a minute."""
    write(tmp_path / "a.wav", np.full((1, 4 * RATE), 0.5, np.float32))

    def render(*lines, points="", head="", name="MUTEENV", act="1 -1"):
        envelope = "\n".join(f"POOLEDENVINST {line}" for line in lines)
        strip = f"<{name}\nACT {act}\n{envelope}\n{points}\n>"
        session = open_session(
            save(tmp_path, project(track("T", item(0, 4), strip=strip), head=f"{POOL}\n{head}"))
        )
        assert session.not_honoured == []
        with MixSource(session) as mix:
            audio = mix.read(0, mix.frames)[0]
        middles = audio[RATE // 16 :: RATE // 8]
        return "".join("x" if level > 0.25 else "." for level in middles)

    return render


def words(start, length, offset=0, rate=1, loop=1, muted=0, baseline=0.5, amplitude=1):
    return f"1 {start} {length} {offset} {rate} 0 {baseline} {amplitude} {loop} 0 0 1 {muted} 0 0.012 0"


@pytest.mark.parametrize(
    ("lines", "pattern"),  # a quarter note is four eighths of a second, the pool is eight long
    [
        ([words(0, 4)], "xx......" * 4),
        ([words(0.5, 2)], "xxxxxx......xx......xxxxxxxxxxxx"),
        ([words(0, 4, offset=0.125)], "x......x" + "x......x" * 3),
        ([words(0, 4, rate=2)], "x..." * 8),
        ([words(0, 4, loop=0)], "xx" + "." * 30),
        ([words(0, 1), words(3, 1)], "xx......" + "x" * 16 + "xx......"),
        ([words(0, 4, muted=1)], "x" * 32),
        ([words(0, 4, offset=1.25)], "......xx" * 4),
    ],
)
def test_a_mute_is_played_from_its_pool(heard, lines, pattern):
    assert heard(*lines) == pattern


def test_a_pool_follows_the_tempo(heard):
    tempo = "<TEMPOENVEX\nACT 1 -1\nPT 0 120 1 262148 0 1\nPT 2 60 1\n>"
    assert heard(words(0, 4), head=tempo) == "xx......" * 2 + "xxxx" + "." * 12


def test_between_its_items_the_envelope_goes_on_or_is_bypassed(heard):
    points = "PT 0 0 1\nPT 3.5 1 1"
    beneath = "........" + "xx......" + "............xxxx"
    assert heard(words(1, 1), points=points) == beneath
    bypassed = "xxxxxxxx" + "xx......" + "x" * 16
    assert heard(words(1, 1), points=points, head="POOLEDENVATTACH 4") == bypassed
    assert heard(words(1, 1), points=points, act="1 4") == bypassed
    assert heard(words(1, 1), points=points, head="POOLEDENVATTACH 4", act="1 0") == beneath


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("VOLENV2", [words(0, 1)]),
        ("MUTEENV", [words(0, 2), words(1, 2)]),
        ("MUTEENV", [words(0, 2, baseline=0.25)]),
        ("MUTEENV", [words(0, 2, amplitude=-1)]),
        ("MUTEENV", [words(0, 2).replace("1 0 2", "2 0 2", 1)]),
    ],
)
def test_what_is_not_known_of_items_is_left_out_and_said(tmp_path, name, lines):
    envelope = f"<{name}\nACT 1 -1\n" + "\n".join(f"POOLEDENVINST {line}" for line in lines) + "\nPT 0 1 0\n>"
    session = open_session(save(tmp_path, project(track("T", strip=envelope), head=POOL)))
    assert session.not_honoured == [f"T: automation items are left out: {name}"]


def test_items_of_endless_points_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(automation_items, "MOST_POINTS", 1000)
    envelope = f"<MUTEENV\nACT 1 -1\nPOOLEDENVINST {words(0, 5000)}\n>"
    with pytest.raises(SessionError, match="repeats without end; shorten it"):
        open_session(save(tmp_path, project(track("T", strip=envelope), head=POOL)))
    with pytest.raises(SessionError, match="POOLEDENV holds 1e\\+09 quarter notes"):
        open_session(save(tmp_path, project(head=POOL.replace("SRCLEN 2", "SRCLEN 1e9"))))
