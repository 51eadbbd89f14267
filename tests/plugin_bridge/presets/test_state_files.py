"""A third-party plug-in's state in a file beside the preset."""

import numpy as np
import pytest

from plugin_bridge import HostedPlugin, Preset, PresetError
from tests.plugin_bridge.splitters import noise

CHAIN = """title = "Loud"
[[chain]]
external = "FaultyGain"
state_file = "loud.vstpreset"
"""


def test_a_state_lies_beside_the_preset_and_parameters_come_after_it(own_plugins, tmp_path):
    state = HostedPlugin("FaultyGain", {"gain": 3}, plugin_paths=[own_plugins]).preset_data
    (tmp_path / "loud.vstpreset").write_bytes(state)
    audio = noise(2, 5000)
    for text, gain in ((CHAIN, 3), (f"{CHAIN}parameters = {{gain = 2}}\n", 2)):
        (tmp_path / "loud.toml").write_text(text)
        preset = Preset.load(tmp_path / "loud.toml")
        np.testing.assert_array_equal(preset.board([own_plugins])(audio, 44100), gain * audio)
    (tmp_path / "loud.vstpreset").write_bytes(state[:-5])
    with pytest.raises(PresetError, match=r"chain\[0\]: FaultyGain: .*loud.vstpreset: .*cut short"):
        preset.board([own_plugins])


@pytest.mark.parametrize("more", ['state = "AAAA"\n', 'plugin = "Gain"\n'])
def test_it_takes_the_place_of_a_state_of_a_third_party_plugin(more):
    with pytest.raises(PresetError, match=r"state_file|either"):
        Preset.parse(CHAIN + more)
