"""Instruments, which make sound of MIDI: third-party plug-ins (VST3) and SoundFonts, in a child process.

    synth = HostedInstrument("Surge XT", state=preset_bytes)
    audio = synth([mido.Message("note_on", note=60, time=0.5), ...], duration=2.0, sample_rate=48000)

Messages are mido's, or tuples of bytes and seconds; their times are **absolute seconds**. A ``mido.MidiFile``
is taken as it is: its ticks are turned into seconds. The call is Pedalboard's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from plugin_bridge.errors import PluginError
from plugin_bridge.plugins.array_contract import check_call
from plugin_bridge.plugins.hosted import CALL_SECONDS, LOAD_SECONDS, MEMORY_GB, Hosted, Value
from plugin_bridge.plugins.hosted_child import Child
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import Audio

FRAMES_AT_ONCE = 1 << 16
"""In one request."""
BUFFER_FRAMES = 512
"""What an instrument makes at once: some place notes at the start of a buffer."""
LONGEST_SECONDS = 7 * 24 * 3600.0

Timed = tuple[float, bytes]
"""Seconds, and the bytes of a MIDI message."""


def timed(messages: Any) -> list[Timed]:
    """Messages of any of the forms that instruments take, in order of time.

    Raises TypeError for anything else, ValueError for a time that is none.
    """
    if hasattr(messages, "ticks_per_beat"):  # a mido.MidiFile: what it gives are seconds since the one before
        found, now = [], 0.0
        for message in messages:
            now += message.time
            if not message.is_meta:
                found.append((now, bytes(message.bytes())))
    else:
        found = [_timed(message) for message in messages]
    for seconds, _ in found:
        if not 0 <= seconds <= LONGEST_SECONDS:
            raise ValueError(
                f"a MIDI message at {seconds:g} s; times are absolute seconds from 0 to {LONGEST_SECONDS:.0f}"
            )
    return sorted(found, key=lambda message: message[0])  # equal times keep their order


def _timed(message: Any) -> Timed:
    if isinstance(message, tuple) and len(message) == 2:
        data, seconds = message
        return float(seconds), bytes(data)
    if getattr(message, "is_meta", False):
        raise TypeError(f"{message!r} is no message that an instrument hears; pass the MidiFile itself")
    try:
        return float(message.time), bytes(message.bytes())
    except (AttributeError, TypeError):
        raise TypeError(
            f"a MIDI message is a mido.Message or a tuple of bytes and seconds, not {message!r:.80}"
        ) from None


class Instrument(PythonPlugin):
    """What turns MIDI messages into audio; subclasses say how."""

    is_instrument = True
    is_effect = False

    def process(  # type: ignore[override]
        self,
        midi_messages: Any,
        duration: float,
        sample_rate: float,
        num_channels: int = 2,
        buffer_size: int = BUFFER_FRAMES,
        reset: bool = True,
    ) -> Audio:
        """``duration`` seconds of the instrument as ``(num_channels, frames)``.

        With ``reset=False`` it goes on where the last call stopped. Raises :class:`PluginError`.
        """
        if isinstance(midi_messages, np.ndarray):
            self.run(midi_messages, 0, 0, reset)
        rate, size = check_call(sample_rate, buffer_size)
        frames = int(duration * rate)
        if reset:
            self.reset()
        blocks = list(self.blocks(timed(midi_messages), rate, frames, size, num_channels))
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((num_channels, 0), np.float32)

    def __call__(self, *arguments: Any, **named: Any) -> Audio:
        """Alias of :meth:`process`."""
        return self.process(*arguments, **named)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Raises ValueError: an instrument takes no audio."""
        raise ValueError(f"{type(self).__name__} is an instrument, which takes MIDI messages and no audio")

    def blocks(
        self,
        messages: Sequence[Timed],
        sample_rate: float,
        frames: int,
        buffer_size: int = BUFFER_FRAMES,
        channels: int = 2,
    ) -> Iterator[Audio]:
        """Consecutive blocks ``(channels, frames)``, ``frames`` in all."""
        placed = [(int(seconds * sample_rate + 0.5), data.hex()) for seconds, data in messages]
        at_once = max(1, FRAMES_AT_ONCE // buffer_size) * buffer_size
        following = 0
        for start in range(0, frames, at_once):
            count = min(at_once, frames - start)
            first = following
            while following < len(placed) and placed[following][0] < start + count:
                following += 1
            here = [(frame - start, data) for frame, data in placed[first:following]]
            block = self._play(here, sample_rate, buffer_size, count)
            if not np.isfinite(block).all():
                raise PluginError(f"{self._label} gave back NaN or infinity; leave it out, or ask its maker")
            yield as_channels(block, channels)

    def close(self) -> None:
        """End the child process; the next call starts a new one."""
        raise NotImplementedError

    @property
    def _label(self) -> str:
        raise NotImplementedError

    def _play(self, messages: list[tuple[int, str]], sample_rate: float, size: int, frames: int) -> Audio:
        raise NotImplementedError


class HostedInstrument(Hosted, Instrument):
    """A third-party instrument, found by its name and run in a child process, as a ``HostedPlugin`` is.

    ``state`` is a ``.vstpreset``'s bytes, or these as base64; parameters are attributes. Raises
    :class:`PluginError` where it is missing, no instrument, crashes, hangs or eats memory.
    """

    _is_instrument = True

    def __init__(
        self,
        name: str,
        parameters: Mapping[str, Value] | None = None,
        state: str | bytes | None = None,
        plugin_paths: Sequence[Path | str] = (),
        load_seconds: float = LOAD_SECONDS,
        call_seconds: float = CALL_SECONDS,
        memory_gb: float = MEMORY_GB,
        class_id: str = "",
    ) -> None:
        super().__init__()
        self._open(name, parameters, state, plugin_paths, class_id, load_seconds, call_seconds, memory_gb)

    @property
    def _label(self) -> str:
        return self.name

    def reset(self) -> None:
        """All notes stop; parameters stay."""
        super().reset()
        self._ask("silence")
        self._begun = 1

    def _play(self, messages: list[tuple[int, str]], sample_rate: float, size: int, frames: int) -> Audio:
        if not self._begun:
            self.reset()
        header, audio = self._message(
            "play", None, messages=messages, sample_rate=sample_rate, buffer_size=size, count=frames
        )
        assert audio is not None, header
        return audio


class SoundFontInstrument(Instrument):
    """A SoundFont (``.sf2``, ``.sf3``) played by FluidSynth: General MIDI, channel 10 the drums.

    Needs the extra ``soundfont`` and FluidSynth's library (Debian: ``libfluidsynth3``). Raises
    :class:`PluginError` where one of them is missing or the file is no SoundFont.
    """

    settable = ()

    def __init__(
        self,
        path: Path | str,
        load_seconds: float = LOAD_SECONDS,
        call_seconds: float = CALL_SECONDS,
        memory_gb: float = MEMORY_GB,
    ) -> None:
        super().__init__()
        self._path = Path(path)
        if not self._path.is_file():
            raise PluginError(f"{self._path}: there is no such SoundFont")
        self._seconds = (load_seconds, call_seconds)
        self._memory_bytes = int(memory_gb * 2**30)
        self._rate = 0.0
        self._child: Child | None = None
        self._running = RLock()
        self._begin(44100.0)

    @property
    def _label(self) -> str:
        return self._path.name

    def reset(self) -> None:
        """All notes stop, all channels are as at the start."""
        super().reset()
        self._rate = 0.0

    def close(self) -> None:
        """End the child process; the next call starts a new one."""
        if self._child is not None:
            self._child.end()
            self._child = None
        self._rate = 0.0

    def __repr__(self) -> str:
        return f"<plugin_bridge.SoundFontInstrument {self._path.name} at {id(self):#x}>"

    def _begin(self, sample_rate: float) -> None:
        with self._running:
            if self._child is None or not self._child.alive:
                self._child = Child(self._path.name, self._memory_bytes)
            request = {"do": "load sound font", "path": str(self._path), "sample_rate": sample_rate}
            self._child.ask({**request, "seconds": self._seconds[0]}, None)
            self._rate = sample_rate

    def _play(self, messages: list[tuple[int, str]], sample_rate: float, size: int, frames: int) -> Audio:
        if self._rate != sample_rate:
            self._begin(sample_rate)
        assert self._child is not None
        request = {"do": "play", "messages": messages, "sample_rate": sample_rate, "buffer_size": size}
        header, audio = self._child.ask({**request, "count": frames, "seconds": self._seconds[1]}, None)
        assert audio is not None, header
        return audio


def as_channels(block: Audio, channels: int) -> Audio:
    """An instrument's channels as so many: one for all, the mean of them, or the first ones."""
    if len(block) == channels:
        return block
    if channels == 1:
        return np.asarray(block.mean(axis=0, keepdims=True), np.float32)
    if len(block) == 1:
        return np.repeat(block, channels, axis=0)
    if len(block) > channels:
        return block[:channels]
    return np.concatenate([block, np.zeros((channels - len(block), block.shape[1]), np.float32)])
