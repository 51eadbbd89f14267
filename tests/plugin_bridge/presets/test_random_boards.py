"""Random boards through preset files: the same audio, bit by bit.

``STEMBRIDGE_RANDOM_BOARDS=1000 pytest --timeout=0 tests/plugin_bridge/presets/test_random_boards.py`` tries a
thousand.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pedalboard as pb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugin_bridge import (
    Automated,
    Board,
    Curve,
    Follower,
    HostedPlugin,
    SeparatorPlugin,
    StemMix,
    StemRack,
    load_preset,
    sidechains,
)
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.automated import NOT_BY_BLOCKS
from plugin_bridge.plugins.built_ins import built_ins
from plugin_bridge.plugins.folders import installed
from tests.plugin_bridge.splitters import Bands, noise

RATE = 44100
BOARDS = int(os.environ.get("STEMBRIDGE_RANDOM_BOARDS", "15"))
AUDIO = noise(2, 5000)
KEY = noise(1, 5000, seed=1)
HOSTED = {
    "ZamCompX2": {"threshold_db": (-80, 0), "ratio": (1, 20), "makeup_db": (0, 30)},
    "ZaMaximX2": {"release_ms": (1, 100), "output_ceiling_db": (-30, 0)},
    "ZamGateX2": {"threshold_db": (-60, 0)},
}
SEEN: Counter[str] = Counter()


pytestmark = pytest.mark.usefixtures("splitters")


def _value(row, key):
    default = row.defaults[key]
    if isinstance(default, bool):
        return st.booleans()
    if key in row.choices:
        return st.sampled_from(list(row.choices[key].__members__))
    return st.floats(0.5, 1.5, width=32).map(lambda scale: default * scale)


@st.composite
def built_in(draw):
    row = draw(st.sampled_from(list(built_ins().values())))
    keys = draw(st.lists(st.sampled_from(list(row.defaults)), unique=True)) if row.defaults else []
    try:
        plugin = row.create({key: draw(_value(row, key)) for key in keys})
    except PluginError:
        plugin = row.create({})
    SEEN[row.name] += 1
    return plugin


@st.composite
def convolution(draw):
    SEEN["Convolution"] += 1
    frames, rate = draw(st.integers(1, 500)), draw(st.sampled_from([22050, 44100, 48000]))
    response = noise(draw(st.sampled_from([1, 2])), frames, seed=frames)
    return pb.Convolution(response[0] if len(response) == 1 else response, draw(st.floats(0, 1)), rate)


@st.composite
def automated(draw):
    SEEN["Automated"] += 1
    plugin = draw(built_in().filter(lambda made: not isinstance(made, NOT_BY_BLOCKS)))
    row = built_ins()[type(plugin).__name__]
    curves = {}
    for key in row.defaults:
        if key in row.choices or isinstance(row.defaults[key], bool):
            values = [draw(_value(row, key)) for _ in range(2)]
            curve = Curve([0, 0.05], values, "hold")
        elif draw(st.booleans()):
            curve = Curve([0.01, 0.15], [draw(_value(row, key)) for _ in range(2)])
        else:
            track = draw(st.sampled_from(["", "key"]))
            curve = Follower([-60, -6], [draw(_value(row, key)) for _ in range(2)], track=track)
        if draw(st.booleans()):
            curves[key] = curve
    try:
        return Automated(plugin, curves, draw(st.sampled_from([64, 500]))) if curves else plugin
    except PluginError:
        return plugin


@st.composite
def hosted(draw):
    name = draw(st.sampled_from(sorted(set(HOSTED) & set(installed()))))
    SEEN[name] += 1
    rows = HOSTED[name]
    keys = draw(st.lists(st.sampled_from(sorted(rows)), unique=True))
    return HostedPlugin(name, {key: math.floor(draw(st.floats(*rows[key]))) for key in keys})


@st.composite
def rack(draw, inner):
    SEEN["StemRack"] += 1
    stems = draw(st.lists(st.sampled_from(["low", "high"]), unique=True))
    chains = {name: draw(st.lists(inner, max_size=2)) for name in stems}
    return StemRack(Bands(width=draw(st.integers(1, 30))), chains, remix=True)


def single():
    kinds = {"built-in": built_in(), "convolution": convolution(), "automated": automated()}
    names = ["built-in"] * 10 + ["convolution"] + ["automated"] * 3
    if set(HOSTED) & set(installed()):
        kinds["hosted"] = hosted()
        names.append("hosted")
    return st.sampled_from(names).flatmap(kinds.__getitem__)


def nested(inner):
    """What holds others: native containers native ones, the others anything."""
    # With other paths beside it in a native Mix, Pedalboard 0.9.26 reads memory that nobody has written.
    mixed = built_in().filter(lambda made: not isinstance(made, pb.GSMFullRateCompressor))
    paths = st.lists(st.lists(inner, max_size=2), min_size=1, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3).map(Board),
        paths.map(StemMix),
        st.lists(mixed, min_size=1, max_size=3).map(pb.Mix),
        st.lists(built_in(), max_size=3).map(pb.Chain),
        rack(inner),
    )


MEMBERS = st.recursive(single(), nested, max_leaves=6)
ENDS = st.sampled_from([None, None, lambda: SeparatorPlugin(Bands()), lambda: StemRack(Bands(width=3))])


@settings(
    max_examples=BOARDS,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much,
                           HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.lists(MEMBERS, max_size=4), ENDS)
def test_a_random_board_comes_back_with_the_same_audio(members, end):
    board = Board([*members, *([end()] if end else [])])
    with tempfile.TemporaryDirectory() as folder, sidechains(tracks={"key": KEY}):
        board.save(Path(folder) / "board.toml")
        loaded = load_preset(Path(folder) / "board.toml")
        np.testing.assert_array_equal(loaded(AUDIO, RATE), board(AUDIO, RATE))
        for plugin in (board, loaded):
            close(plugin)
    SEEN["boards"] += 1


def close(plugin):
    """End the child processes now, rather than when the garbage is collected."""
    from plugin_bridge.plugins.containers import inside

    for inner, _ in inside([plugin]):
        if isinstance(inner, HostedPlugin):
            inner.close()
        if isinstance(inner, StemRack):
            for chain in inner.chains.values():
                close(chain)


def test_every_kind_was_among_many():
    if SEEN["boards"] < 500:
        pytest.skip("only with STEMBRIDGE_RANDOM_BOARDS=1000")
    kinds = [*built_ins(), "Convolution", "Automated", "StemRack", *HOSTED]
    assert min(SEEN[kind] for kind in kinds) >= 5
    print(dict(SEEN))
