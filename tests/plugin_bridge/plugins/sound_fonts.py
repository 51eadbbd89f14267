"""A SoundFont of one looped sine at A4 (RIFF ``sfbk``, SoundFont 2.01), as program 0 and as drums."""

import struct

import numpy as np

RATE = 44100
PERIODS = 100


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(name, *chunks):
    return chunk(b"LIST", name + b"".join(chunks))


def sine_font():
    """The file's bytes."""
    frames = round(PERIODS * RATE / 440)
    sine = np.round(16000 * np.sin(2 * np.pi * PERIODS * np.arange(frames) / frames)).astype("<i2")
    samples = sine.tobytes() + b"\0" * 92
    preset = struct.Struct("<20sHHHIII")
    bag = struct.Struct("<HH")
    generator = struct.Struct("<Hh")
    header = struct.Struct("<20sIIIIIBbHH")
    loops, root, sample, instrument = (54, 1), (58, 69), (53, 0), (41, 0)
    return chunk(
        b"RIFF",
        b"sfbk"
        + listed(
            b"INFO",
            chunk(b"ifil", struct.pack("<HH", 2, 1)),
            chunk(b"isng", b"EMU8000\0"),
            chunk(b"INAM", b"Sine\0\0"),
        )
        + listed(b"sdta", chunk(b"smpl", samples))
        + listed(
            b"pdta",
            chunk(
                b"phdr",
                preset.pack(b"Sine", 0, 0, 0, 0, 0, 0)
                + preset.pack(b"Kit", 0, 128, 1, 0, 0, 0)
                + preset.pack(b"EOP", 0, 0, 2, 0, 0, 0),
            ),
            chunk(b"pbag", bag.pack(0, 0) + bag.pack(1, 0) + bag.pack(2, 0)),
            chunk(b"pmod", b"\0" * 10),
            chunk(b"pgen", generator.pack(*instrument) * 2 + generator.pack(0, 0)),
            chunk(b"inst", struct.pack("<20sH", b"Sine", 0) + struct.pack("<20sH", b"EOI", 1)),
            chunk(b"ibag", bag.pack(0, 0) + bag.pack(3, 0)),
            chunk(b"imod", b"\0" * 10),
            chunk(b"igen", b"".join(generator.pack(*one) for one in (loops, root, sample, (0, 0)))),
            chunk(
                b"shdr",
                header.pack(b"Sine", 0, frames, 0, frames, RATE, 69, 0, 0, 1)
                + header.pack(b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0),
            ),
        ),
    )
