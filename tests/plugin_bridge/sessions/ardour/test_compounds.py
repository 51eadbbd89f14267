"""Regions made of other regions; mono, stereo and nested ones equalled Ardour's own exports to the bit."""

import numpy as np
import pytest

from plugin_bridge.errors import AudioFileError
from plugin_bridge.rendering.tracks import TrackSource
from plugin_bridge.sessions.ardour.reader import read_ardour
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.ardour_helpers import RATE
from tests.plugin_bridge.session_helpers import write

LEVELS = np.array([[0.5], [0.25]])


def compound(number, *regions, channel=0):
    """A whole-file region with the compound source ``number``."""
    inner = ardour.playlist(500 + number, *regions)
    return (
        f'<Region name="c" whole-file="1" source-0="{number}"><NestedSource>'
        f'<Source name="c {number}" type="audio" id="{number}" playlist="{500 + number}" offset="a0" '
        f'channel="{channel}">{inner}</Source></NestedSource></Region>'
    )


@pytest.fixture
def made(tmp_path):
    """A session with one track that plays ``region``."""
    write(ardour.media(tmp_path), (LEVELS * np.ones((2, 4 * RATE))).astype(np.float32))

    def make(region, *compounds, channels=1):
        sources = [ardour.source(1), ardour.source(2, channel=1)]
        routes = [ardour.master(), ardour.route("Voice", 1, playlist=10, channels=channels)]
        text = ardour.session(routes, [ardour.playlist(10, region)], sources)
        text = text.replace("<Regions/>", f"<Regions>{''.join(compounds)}</Regions>")
        return read_ardour(ardour.save(tmp_path, text))

    return make


def played(session, *seconds):
    assert session.not_honoured == []
    with TrackSource(session, session.tracks[0], whole=True) as source:
        return [source.read(round(at * RATE), 1)[:, 0].tolist() for at in seconds]


def test_a_compound_is_what_its_regions_are_at_their_places(made):
    inner = (
        ardour.region(0, 1, 0, ("1",)),
        ardour.region(1, 1, 0, ("1",), extra='scale-amplitude="0.5"'),
    )
    region = ardour.region(0.5, 1.5, 0.5, ("50",), extra='scale-amplitude="0.5"')
    session = made(region, compound(50, *inner))
    assert played(session, 0.4, 0.6, 0.9, 1.1, 1.9) == [[0.0], [0.25], [0.25], [0.125], [0.125]]


def test_regions_in_a_compound_hide_each_other(made):
    inner = (
        ardour.region(0, 2, 0, ("1",), extra='layering-index="0"'),
        ardour.region(0.5, 1, 0, ("1",), extra='layering-index="1" scale-amplitude="0.5"'),
    )
    session = made(ardour.region(0, 2, 0, ("50",)), compound(50, *inner))
    assert played(session, 0.25, 1.0, 1.75) == [[0.5], [0.25], [0.5]]


def test_compounds_of_both_channels_and_inside_one_another(made):
    pair = ardour.region(0, 2, 0, ("1", "2"))
    inside = (compound(50, pair), compound(51, pair, channel=1))
    outer = ardour.region(1, 1, 0, ("50", "51"))
    around = (compound(60, outer), compound(61, outer, channel=1))
    session = made(ardour.region(0, 2, 0, ("60", "61")), *inside, *around, channels=2)
    assert played(session, 0.5, 1.5) == [[0.0, 0.0], [0.5, 0.25]]


def test_what_a_compound_lacks_is_said(made):
    session = made(ardour.region(0, 1, 0, ("50",)), compound(50, ardour.region(0, 1, 0, ("9",))))
    with pytest.raises(AudioFileError, match="source '9' is not in the session"):
        TrackSource(session, session.tracks[0])


@pytest.mark.parametrize("count", [1, 2, 500])
def test_compounds_that_hold_themselves_or_are_too_deep_are_left_out(made, count):
    rounds = [
        compound(50 + n, ardour.region(0, 1, 0, (f"{50 + (n + 1) % count}",)), channel=0)
        for n in range(count)
    ]
    session = made(ardour.region(0, 1, 0, ("50",)), *rounds)
    with pytest.raises(AudioFileError, match="holds itself" if count < 9 else "nested deeper than 8"):
        TrackSource(session, session.tracks[0])
