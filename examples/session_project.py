"""The example session as a REAPER project: the same files at the same places, with a mix on top."""

from __future__ import annotations

import uuid

from session_score import BPM, MARKERS, RATE, START, TICKS, Note, events, frames


def guid(name: str) -> str:
    return f"{{{uuid.uuid5(uuid.NAMESPACE_URL, f'stembridge example session {name}')}}}".upper()


def item(
    name: str, bar: float, length: int, *, offset: int = 0, gain: float = 1.0, loop: bool = False,
    fade_in: tuple[int, float] = (0, 0), fade_out: tuple[int, float] = (0, 0), source: str | None = None,
) -> str:  # fmt: skip
    """An item of a REAPER project; lengths and offsets in frames, fades as (shape, seconds)."""
    file = source or f'<SOURCE WAVE\n        FILE "audio/{name}.wav"\n      >'
    return f"""    <ITEM
      POSITION {frames(bar) / RATE:.12f}
      SNAPOFFS 0
      LENGTH {length / RATE:.12f}
      LOOP {loop:d}
      ALLTAKES 0
      FADEIN {fade_in[0]} {fade_in[1]} 0 {fade_in[0]} 0 0 0
      FADEOUT {fade_out[0]} {fade_out[1]} 0 {fade_out[0]} 0 0 0
      MUTE 0 0
      NAME "{name}"
      VOLPAN {gain} 0 1 -1
      SOFFS {offset / RATE:.12f}
      PLAYRATE 1 1 0 -1 0 0.0025
      CHANMODE 0
      {file}
    >
"""


def midi_source(line: list[Note]) -> str:
    """The notes inside the project, as REAPER keeps them: ticks since the event before, bytes in hex."""
    lines = [f"        E {delta} {message.hex().lower()}\n" for delta, message in events(line)]
    rest = 2 * 4 * TICKS - sum(delta for delta, _ in events(line))
    return f"<SOURCE MIDI\n        HASDATA 1 {TICKS} QN\n{''.join(lines)}        E {rest} b0 7b 00\n      >"


def track(
    name: str,
    *items: str,
    volume: float = 1.0,
    pan: float = 0.0,
    muted: bool = False,
    depth: tuple[int, int] = (0, 0),
) -> str:
    """A track of a REAPER project; ``depth`` (1, 1) opens a folder, (2, -1) is its last track."""
    return f"""  <TRACK {guid(name)}
    NAME "{name}"
    VOLPAN {volume} {pan} -1 -1 1
    MUTESOLO {muted:d} 0 0
    IPHASE 0
    ISBUS {depth[0]} {depth[1]}
    NCHAN 2
    TRACKID {guid(name)}
    MAINSEND 1 0
{"".join(items)}  >
"""


def make_project(line: list[Note]) -> str:
    """The same files at the same places as a REAPER project, with a mix on top."""
    half = frames(4) - frames(2)
    last, room = frames(7) - frames(5), frames(2)
    tracks = [
        track("Click", item("Click", 0, frames(7), loop=True), muted=True),
        track("Room", volume=0.9, depth=(1, 1)),
        track("Mic Guitar", item("Mic Guitar", 0, room), pan=-0.4),
        track("Mic Tabla", item("Mic Tabla", 0, room), pan=0.4, depth=(2, -1)),
        track("Rhythm", depth=(1, 1)),
        track("Drums", item("Drums", 2, half), item("Drums", 4, frames(4) - half, offset=half)),
        track(
            "Bass",
            item("Bass", 3, frames(2), gain=0.8, fade_in=(0, 0.01), fade_out=(1, 0.25)),
            item("Bass line", 3, frames(2), source=midi_source(line)),
            depth=(2, -1),
        ),
        track("Duo", item("Duo", 3, frames(2)), volume=0.8),
        track("Guitar", item("Guitar", 5, last, fade_in=(5, 0.02), fade_out=(2, 1.5)), pan=-0.25),
        track("Band", item("Band", 5, last, fade_in=(1, 0.02), fade_out=(0, 1.5))),
        track("Interview", item("Interview", 7, frames(16) - frames(7))),
    ]
    markers = "".join(
        f'  MARKER {number} {frames(bar) / RATE:.12f} "{name}" 0\n'
        for number, (name, bar) in enumerate(MARKERS.items(), 1)
    )
    return f"""<REAPER_PROJECT 0.1 "7.0/linux-x86_64" 0
  PROJOFFS {START / RATE} 0 0
  PANLAW 1
  PANMODE 3
  SAMPLERATE {RATE} 1 0
  TEMPO {BPM} 4 4
{markers}{"".join(tracks)}>
"""
