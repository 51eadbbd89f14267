"""Automation items: pools in quarter notes, offsets, rates, repeats, what lies beneath; parts of a range."""

import numpy as np
import pytest

from plugin_bridge.errors import SessionError
from plugin_bridge.rendering.envelopes import EnvelopeCurve
from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions import open_session
from plugin_bridge.sessions.curves import SCALES
from plugin_bridge.sessions.model import Scale
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


def words(start, length, offset=0, rate=1, loop=1, muted=0, baseline=0.5, amplitude=1, eased=0.012, top=0):
    return f"1 {start} {length} {offset} {rate} 0 {baseline} {amplitude} {loop} 0 0 1 {muted} 0 {eased} {top}"


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
        ("VOLENV2", [words(0, 1, top=4)]),
        ("VOLENV2", [words(0, 1).rsplit(" ", 1)[0]]),
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


SLOPE = """<POOLEDENV
  ID 1
  NAME slope
  SRCLEN 4
  PPT 0 {0} {2}
  PPT 4 {1} 0
>"""
"""Two seconds at 120 beats a minute."""


@pytest.fixture
def values(tmp_path):
    """What the envelope of a track with items says at some seconds, and the session's notes."""

    def read(name, *lines, ends=(0.25, 0.75), shape="0", points="", voltype=1, seconds=(0, 0.5, 1, 1.5)):
        items = "\n".join(f"POOLEDENVINST {line}" for line in lines)
        strip = f"<{name}\nACT 1 -1\nVOLTYPE {voltype}\n{items}\n{points}\n>"
        text = project(track("T", strip=strip), head=SLOPE.format(*ends, shape))
        session = open_session(save(tmp_path, text))
        assert session.not_honoured == []
        assert [note.partition(" are read as parts")[1] != "" for note in session.notes] == [True]
        (found,) = session.tracks[0].envelopes
        return EnvelopeCurve(found).at(np.array(seconds, np.float64))

    return read


@pytest.mark.parametrize(("top", "highest"), [(0, 0.8528), (1, 0.7162), (4, 1.001), (5, 1.335)])
def test_a_volume_is_a_part_of_its_faders_way(values, top, highest):
    """The fader's way of the range's top, times the part, in quarters of the slope."""
    found = values("VOLENV2", words(0, 2, eased=0, top=top))
    parts = np.array([0.25, 0.375, 0.5, 0.625])
    to_way, _ = SCALES[Scale.REAPER_FADER]
    assert to_way(found) == pytest.approx(parts * highest, rel=2e-3)


def test_a_volume_off_the_fader_is_a_part_of_its_gain(values):
    assert values("VOLENV2", words(0, 2, eased=0), voltype=0) == pytest.approx([0.5, 0.75, 1.0, 1.25])
    assert values("VOLENV", words(0, 2, eased=0, top=1), voltype=0) == pytest.approx(
        [0.25, 0.375, 0.5, 0.625]
    )


def test_pans_count_to_the_left_and_widths_up(values):
    assert values("PANENV2", words(0, 2, eased=0)) == pytest.approx([0.5, 0.25, 0.0, -0.25])
    assert values("WIDTHENV2", words(0, 2, eased=0)) == pytest.approx([-0.5, -0.25, 0.0, 0.25])


def test_an_item_that_is_cut_goes_on_where_its_pool_is(values):
    """From half a second into the pool on, twice as fast, and around its end."""
    found = values("PANENV2", words(0, 2, offset=0.5, rate=2, eased=0), seconds=(0, 0.5, 0.74, 0.76, 1.25))
    assert found == pytest.approx([0.25, -0.25, -0.49, 0.49, 0.0], abs=1e-9)


def test_a_bent_stretch_that_is_cut_keeps_its_bend(values):
    bent = {
        offset: values(
            "PANENV2",
            words(0, 1, offset=offset, eased=0),
            shape="2",
            seconds=np.arange(0.55, 1, 0.1) - offset,
        )
        for offset in (0, 0.5)
    }
    assert bent[0.5] == pytest.approx(bent[0], abs=1e-3)


def test_borders_take_their_time_and_neighbours_join(values):
    """Half of the way after half of the transition; none between items that touch."""
    one, two = words(1, 1, eased=0.1), words(2, 1, eased=0.1)
    seconds = (0.9, 1.05, 1.5, 1.96, 2.96, 3.0)
    found = values("PANENV2", one, two, ends=(1, 1), points="PT 0 0 0", seconds=seconds)
    assert found == pytest.approx([0.0, -0.5, -1.0, -1.0, -0.4, 0.0], abs=1e-9)


def test_beneath_its_items_a_slope_goes_on(values):
    """From 1 to 0 in 4 seconds, with an item from 1 to 2 s."""
    found = values("VOLENV2", words(1, 1, eased=0), ends=(0.5, 0.5), points="PT 0 1 0\nPT 4 0 0", voltype=0,
                   seconds=(0.5, 0.99, 1.5, 2.0, 3.0))  # fmt: skip
    assert found == pytest.approx([0.875, 0.7525, 1.0, 0.5, 0.25])
