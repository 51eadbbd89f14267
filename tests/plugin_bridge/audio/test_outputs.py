"""Formats and bit depths stand in one table, which presets, the command line and the writer read."""

from typing import get_args

import click
import pytest

from plugin_bridge.audio.outputs import BIT_DEPTHS, FORMATS, STEM_CODECS, BitDepth, OutputFormat
from plugin_bridge.cli import main
from plugin_bridge.presets.output import Output
from plugin_bridge.presets.preset import Preset


def test_every_format_that_may_be_named_has_its_limits():
    assert list(FORMATS) == list(get_args(OutputFormat))
    assert list(BIT_DEPTHS.values()) == sorted(BIT_DEPTHS.values())
    for limits in FORMATS.values():
        assert set(limits.depths) <= set(BIT_DEPTHS)
        assert bool(limits.why) == (set(limits.depths) < set(BIT_DEPTHS))


def test_presets_name_them():
    schema = Preset.model_json_schema()["$defs"]["Output"]["properties"]
    assert schema["format"]["enum"] == list(FORMATS)
    for name in FORMATS:
        layout = "stem.mp4" if name in STEM_CODECS else "files"
        assert Output(format=name, layout=layout).codec == name
    for depth in get_args(BitDepth):
        assert str(Output(bit_depth=depth).bit_depth) in BIT_DEPTHS


@pytest.mark.parametrize("command", ["separate", "render", "bounce"])
def test_the_command_line_names_them(command):
    choices = {
        option.name: list(option.type.choices)
        for option in main.commands[command].params
        if isinstance(option.type, click.Choice)
    }
    assert choices["format"] == list(FORMATS)
    assert choices["bit_depth"] == list(BIT_DEPTHS)
