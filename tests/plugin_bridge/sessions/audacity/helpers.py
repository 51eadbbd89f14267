"""Small Audacity projects, as Audacity writes them."""

import sqlite3
import struct
from contextlib import closing

import numpy as np

FORMATS = {np.dtype("<i2"): 0x20001, np.dtype("<i4"): 0x40001, np.dtype("<f4"): 0x4000F}


def binary(root, encoding=("utf-32-le", 4)):
    """Audacity's binary form of nested ``(tag, attributes, children)``: the dictionary and the document."""
    names, document = {}, bytearray()

    def name(text):
        return struct.pack("<H", names.setdefault(text, len(names)))

    def write(element):
        tag, attributes, children = element
        document.extend(b"\x01" + name(tag))
        for key, value in attributes.items():
            if isinstance(value, bool):
                document.extend(b"\x05" + name(key) + struct.pack("<B", value))
            elif isinstance(value, int):
                document.extend(b"\x07" + name(key) + struct.pack("<q", value))
            elif isinstance(value, float):
                document.extend(b"\x0a" + name(key) + struct.pack("<di", value, -1))
            else:
                data = value.encode(encoding[0])
                document.extend(b"\x03" + name(key) + struct.pack("<i", len(data)) + data)
        for child in children:
            write(child)
        document.extend(b"\x02" + name(tag))

    write(root)
    dictionary = bytes([0, encoding[1]])
    for text, number in names.items():
        data = text.encode(encoding[0])
        dictionary += b"\x0f" + struct.pack("<HH", number, len(data)) + data
    return dictionary, bytes(document)


def clip(blocks, frames, offset=0.0, points=(), **attributes):
    waves = [("waveblock", {"start": start, "blockid": number}, []) for start, number in blocks]
    marks = [("controlpoint", {"t": time, "val": value}, []) for time, value in points]
    return (
        "waveclip",
        {"offset": offset, **attributes},
        [
            ("sequence", {"maxsamples": 262144, "numsamples": frames}, waves),
            ("envelope", {"numpoints": len(marks)}, marks),
        ],
    )


def track(*clips, name="Voice", rate=48000.0, **attributes):
    return ("wavetrack", {"name": name, "rate": rate, **attributes}, list(clips))


def save(path, *tracks, blocks=(), table="project", encoding=("utf-32-le", 4), **attributes):
    """Write a project; ``blocks`` are arrays of samples as they are stored, numbered from 1."""
    root = ("project", {"rate": 48000.0, "version": "1.3.0", **attributes}, list(tracks))
    with closing(sqlite3.connect(path)) as database, database:
        for name in ("project", "autosave"):
            database.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, dict BLOB, doc BLOB)")
        database.execute(
            "CREATE TABLE sampleblocks (blockid INTEGER PRIMARY KEY AUTOINCREMENT, sampleformat INTEGER, "
            "summin REAL, summax REAL, sumrms REAL, summary256 BLOB, summary64k BLOB, samples BLOB)"
        )
        database.execute(f"INSERT INTO {table} VALUES (1, ?, ?)", binary(root, encoding))
        for samples in blocks:
            database.execute(
                "INSERT INTO sampleblocks (sampleformat, samples) VALUES (?, ?)",
                (FORMATS[samples.dtype], samples.tobytes()),
            )
    return path
