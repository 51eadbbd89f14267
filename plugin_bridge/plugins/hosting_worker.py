"""The child process of :mod:`plugin_bridge.plugins.hosting`: loads one third-party plug-in and runs it.

It reads requests from its standard input and answers on its standard output. A message is a JSON
header on one line, followed by ``channels * frames`` float32 samples if the header has ``frames``.
It ends when its input ends, so it never outlives the process that started it.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

import numpy as np
import pedalboard
from numpy.typing import NDArray

Audio = NDArray[np.float32]
GRACE_SECONDS = 5
"""How much longer than its parent the child itself waits for a plug-in that hangs."""
PROBE_FRAMES = 64
HIDDEN_PREFIX = "midi_ch_"
"""Some plug-in frameworks show thousands of MIDI controllers as parameters."""


class Host:
    """One plug-in, in one instance or in one for each channel."""

    def __init__(self, path: str, plugin_name: str | None) -> None:
        self._load: Callable[[], Any] = lambda: pedalboard.load_plugin(path, plugin_name=plugin_name)
        self._instances: list[Any] = [self._load()]
        if not self._instances[0].is_effect:
            raise ValueError("it is an instrument, which takes no audio")
        self._counts = [channels for channels in (1, 2) if self._takes(channels)]
        self._runs: list[pedalboard.Pedalboard] = []
        self._up_mix = False
        self._spare: Any = None
        """An instance to try states on."""
        self._values_set: dict[str, Any] = {}
        self._pending: dict[str, Any] = {}
        """What was set since the last audio: VST3 parameters reach the state only with the next."""

    def describe(self) -> dict[str, Any]:
        """The channel counts it takes, and its parameter table."""
        table = {}
        for key, row in self._rows():
            kind = row.type.__name__
            table[key] = {
                "kind": kind,
                "minimum": row.min_value if kind == "float" else None,
                "maximum": row.max_value if kind == "float" else None,
                "step": row.approximate_step_size if kind == "float" else None,
                "unit": row.units or "",
                "choices": list(row.valid_values) if kind == "str" else [],
            }
        return {"parameters": table, "channels": self._counts}

    def values(self) -> dict[str, Any]:
        """The present value of every parameter."""
        kinds = {"float": float, "bool": bool, "str": str}
        return {key: kinds[row.type.__name__](getattr(self._instances[0], key)) for key, row in self._rows()}

    def set_values(self, values: dict[str, Any]) -> None:
        """Set parameters, in order, on every instance."""
        for earlier in (self._values_set, self._pending):
            put_last(earlier, values)
        for plugin in self._instances:
            for key, value in values.items():
                setattr(plugin, key, value)

    def state(self) -> str:
        """The plug-in's own state, base64; raises ValueError where the plug-in does not take it back.

        All is tried on an instance of its own, so that a signal under way is not disturbed.
        """
        self._spare = spare = self._spare or self._load()
        _set_state(spare, _state(self._instances[0]))
        for key, value in self._pending.items():
            setattr(spare, key, value)
        data = self._flushed_state(spare)
        self._check_state(data)
        return base64.b64encode(data).decode()

    def set_state(self, state: str) -> None:
        """Set the state on every instance; raises ValueError where the plug-in does not take it."""
        data = base64.b64decode(state, validate=True)
        self._check_state(data)
        for plugin in self._instances:
            _set_state(plugin, data)
        self._values_set.clear()
        self._pending.clear()

    def begin(self, channels: int) -> None:
        """Start a new signal of ``channels`` channels: choose how they go through the plug-in."""
        self._up_mix = False
        if channels in self._counts or (channels > 2 and self._takes(channels)):
            count, width = 1, channels
        elif channels == 1 and 2 in self._counts:
            count, width, self._up_mix = 1, 2, True
        elif 1 in self._counts:
            count, width = channels, 1
        else:
            raise ValueError(
                f"it takes 2 channels (or a mono signal), not {channels}; stems behind a separator "
                "go through it one by one if both stand in one Board"
            )
        while len(self._instances) < count:
            plugin = self._load()
            _set_state(plugin, _state(self._instances[0]))
            for key, value in self._values_set.items():  # some plug-ins take only this, not the state
                setattr(plugin, key, value)
            self._instances.append(plugin)
        self._runs = []
        for plugin in self._instances[:count]:
            plugin.reset()
            run = pedalboard.Pedalboard([])
            # An empty container learns which dimension is the channels before short blocks come.
            run.process(np.zeros((width, width + 1), np.float32), 44100)
            run.append(plugin)
            self._runs.append(run)

    def process(self, audio: Audio, sample_rate: float, buffer_size: int) -> Audio:
        """The next block ``(channels, frames)``; as many frames or, where some are held back, fewer."""
        self._pending.clear()
        if self._up_mix:
            audio = np.repeat(audio, 2, axis=0)
        parts = np.split(audio, len(self._runs))
        outputs = [
            run.process(np.ascontiguousarray(part), sample_rate, buffer_size, reset=False)
            for run, part in zip(self._runs, parts, strict=True)
        ]
        output = np.concatenate(outputs)
        return output.mean(axis=0, keepdims=True) if self._up_mix else output

    def _rows(self) -> Iterator[tuple[str, Any]]:
        for key, row in self._instances[0].parameters.items():
            if not key.startswith(HIDDEN_PREFIX):
                yield key, row

    def _check_state(self, data: bytes) -> None:
        self._spare = spare = self._spare or self._load()
        _set_state(spare, data)
        if self._flushed_state(spare) != data:
            raise ValueError(
                "it does not take this state: it gives back another one; "
                "the state may be damaged, or of another version of the plug-in"
            )

    def _flushed_state(self, plugin: Any) -> bytes:
        if not self._counts:
            raise ValueError("it takes neither mono nor stereo audio")
        plugin.process(np.zeros((self._counts[0], PROBE_FRAMES), np.float32), 44100)
        return _state(plugin)

    def _takes(self, channels: int) -> bool:
        try:
            self._instances[0].process(np.zeros((channels, PROBE_FRAMES), np.float32), 44100)
        except ValueError:
            return False
        return True


def _state(plugin: Any) -> bytes:
    return bytes(plugin.preset_data if hasattr(plugin, "preset_data") else plugin.raw_state)


def _set_state(plugin: Any, data: bytes) -> None:
    try:
        if hasattr(plugin, "preset_data"):
            plugin.preset_data = data
        else:
            plugin.raw_state = data
    except RuntimeError:
        if _state(plugin) != data:  # one without parameters keeps nothing, and says no to its own state
            raise


def put_last(values: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Put ``new`` into ``values`` as the last that was set: some parameters change others."""
    for key, value in new.items():
        values.pop(key, None)
        values[key] = value


def main() -> None:
    """Serve requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a plug-in that prints must not write among the answers
    requests: SimpleQueue[tuple[dict[str, Any], Audio | None]] = SimpleQueue()
    Thread(target=_read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    host: Host | None = None
    while True:
        header, audio = requests.get()
        # Ends this process even where the plug-in holds Python's lock and the parent is gone.
        faulthandler.dump_traceback_later(header["seconds"] + GRACE_SECONDS, exit=True)
        answer: dict[str, Any] = {}
        output: Audio | None = None
        try:
            match header["do"]:
                case "load":
                    host = Host(header["path"], header["plugin_name"])
                    answer = host.describe()
                case "values":
                    assert host
                    host.set_values(header["set"])
                    answer = {"values": host.values()}
                case "state":
                    assert host
                    if header["set"] is None:
                        answer = {"state": host.state()}
                    else:
                        host.set_state(header["set"])
                case "begin":
                    assert host
                    host.begin(header["channels"])
                case "process":
                    assert host
                    assert audio is not None
                    output = host.process(audio, header["sample_rate"], header["buffer_size"])
        except Exception as error:
            answer, output = {"error": " ".join(str(error).split()) or type(error).__name__}, None
        faulthandler.cancel_dump_traceback_later()
        write_message(answers, answer, output)


def write_message(stream: IO[bytes], header: dict[str, Any], audio: Audio | None) -> None:
    """Write one message."""
    if audio is not None:
        header = {**header, "channels": audio.shape[0], "frames": audio.shape[1]}
    stream.write(json.dumps(header).encode() + b"\n")
    if audio is not None:
        stream.write(np.ascontiguousarray(audio, np.float32).data)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], Audio | None] | None:
    """Read one message; None where the stream ends."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    if "frames" not in header:
        return header, None
    audio = np.empty((header["channels"], header["frames"]), np.float32)
    rest = memoryview(audio.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    while len(rest):
        count = stream.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            return None
        rest = rest[count:]
    return header, audio


def _read_requests(stream: IO[bytes], requests: SimpleQueue[Any]) -> None:
    while (message := read_message(stream)) is not None:
        requests.put(message)
    os._exit(0)  # the parent is gone; the plug-in may hang, so ask nobody


if __name__ == "__main__":
    main()
