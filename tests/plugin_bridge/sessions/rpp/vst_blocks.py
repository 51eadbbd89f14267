"""A plug-in in an effect chain as REAPER writes it: three blobs of base64, each with its own padding."""

import base64
import struct

from plugin_bridge import vst_presets

LETTERS = 128
"""On a line."""


def blob(data):
    text = base64.b64encode(data).decode()
    return "".join(f"        {text[i : i + LETTERS]}\n" for i in range(0, len(text), LETTERS))


def vst3(preset, name="FaultyGain", kind="VST3", channels=2, file=None, instrument=False):
    """The block of a VST3 with the component's state of a ``.vstpreset``."""
    component = vst_presets.parsed(preset).component
    body = struct.pack("<II", len(component), 1) + component + struct.pack("<I", 0)
    pins = b"".join(struct.pack("<Q", 1 << pin) for pin in range(channels))
    inputs = b"" if instrument else pins
    header = struct.pack("<III", 0x12345678, 0xFEED5EEE, len(inputs) // 8) + inputs
    header += struct.pack("<I", channels) + pins + struct.pack("<III", len(body), 1, 0x100000)
    identifier = vst_presets.parsed(preset).class_id
    file = name + ".vst3" if file is None else file
    return (
        f'      <VST "{kind}: {name} (Stembridge tests)" {file} 0 "" 305419896{{{identifier}}} ""\n'
        f"{blob(header)}{blob(body)}{blob(b'Program' + bytes(3))}      >\n"
    )


def chain(*blocks, bypass="0 0 0"):
    lines = "".join(f"      BYPASS {bypass}\n{block}" for block in blocks)
    return f"    <FXCHAIN\n      SHOW 0\n{lines}    >\n"
