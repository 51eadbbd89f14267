"""The child process of :mod:`plugin_bridge.plugins.hosting`: loads one third-party plug-in and runs it.

It reads requests from its standard input and answers on its standard output. A message is a JSON
header on one line, followed by ``channels * frames`` float32 samples if the header has ``frames``.
It ends when its input ends, so it never outlives the process that started it.
"""

from __future__ import annotations

import base64
import ctypes
import faulthandler
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
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
CHANNEL_COUNTS = (*range(1, 9), 10, 12, 16)
"""Those that are tried on a plug-in: mono to 7.1, beds of Atmos, ambisonics of third order."""
DRUM_CHANNEL = 9
CLASS_ID = slice(8, 40)
"""Where a ``.vstpreset`` names the plug-in's class."""
HIDDEN_PREFIX = "midi_ch_"
"""Some plug-in frameworks show thousands of MIDI controllers as parameters."""


class Host:
    """One plug-in, in one instance or, of effects, in one for each channel."""

    def __init__(self, path: str, class_id: str) -> None:
        self._load: Callable[[], Any] = lambda: _load(path, class_id)
        self._instances: list[Any] = [self._load()]
        self._several = path.endswith(".vst3") and len(_names_in(path)) > 1
        self._instrument = bool(self._instances[0].is_instrument)
        self._counts = [channels for channels in CHANNEL_COUNTS if self._takes(channels)]
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
        first = self._instances[0]
        identifier = first.preset_data[CLASS_ID].decode("latin-1") if hasattr(first, "preset_data") else ""
        kind = {"instrument": self._instrument, "class_id": identifier, "several": self._several}
        return {**kind, "parameters": table, "channels": self._counts}

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

    def raw_state(self) -> str:
        """The state in the form that Pedalboard calls raw, base64."""
        self.state()  # brings what is pending into the spare instance
        return base64.b64encode(self._spare.raw_state).decode()

    def set_state(self, states: Sequence[str], raw: bool, strict: bool) -> dict[str, Any]:
        """Set the first of ``states`` that the plug-in takes; says whether it gives the same one back.

        Raises ValueError where it takes none, or ``strict`` and it gives another one back.
        """
        first: Exception | None = None
        for state in states:
            try:
                data = base64.b64decode(state, validate=True)
                kept = self._try_state(data, raw, strict)
            except (ValueError, RuntimeError) as error:
                first = first or error
                continue
            for plugin in self._instances:
                _set_state(plugin, data, raw)
            self._values_set.clear()
            self._pending.clear()
            return {"kept": kept}
        assert first is not None
        raise first

    def set_raw_values(self, values: Sequence[float]) -> None:
        """Set all parameters, in order, each 0..1."""
        rows = list(self._rows())
        if len(values) != len(rows):
            raise ValueError(f"the preset holds {len(values)} parameters, and the plug-in has {len(rows)}")
        for plugin in self._instances:
            for (key, _), value in zip(rows, values, strict=True):
                plugin.parameters[key].raw_value = min(max(value, 0.0), 1.0)
            self._flushed_state(plugin)  # so that the state holds them
        self._values_set.clear()
        self._pending.clear()

    def begin(self, channels: int) -> None:
        """Start a new signal of ``channels`` channels: choose how they go through the plug-in."""
        self._up_mix = False
        if channels in self._counts or self._takes(channels):
            count, width = 1, channels
        elif channels == 1 and 2 in self._counts:
            count, width, self._up_mix = 1, 2, True
        elif 1 in self._counts:
            count, width = channels, 1
        else:
            counts = " or ".join(map(str, self._counts)) or "no"
            mono = " (or a mono signal)" if self._counts == [2] else ""
            raise ValueError(
                f"it takes {counts} channels{mono}, not {channels}; stems behind a separator "
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

    def process_steps(
        self, audio: Audio, sample_rate: float, step: int, changes: Sequence[tuple[int, dict[str, Any]]]
    ) -> tuple[Audio, list[dict[str, Any]]]:
        """:meth:`process` in blocks of ``step`` frames; each change is a frame and its values.

        Returns the values as the plug-in has them after each change, too.
        """
        ends = [frame for frame, _ in changes[1:]] + [audio.shape[1]]
        made, got = [], []
        for (start, values), end in zip(changes, ends, strict=True):
            self.set_values(values)
            now = self._instances[0]
            kinds = {"float": float, "bool": bool, "str": str}
            got.append({key: kinds[now.parameters[key].type.__name__](getattr(now, key)) for key in values})
            made.append(self.process(audio[:, start:end], sample_rate, step))
        return np.concatenate(made, axis=1), got

    def play(self, messages: Sequence[tuple[int, str]], sample_rate: float, size: int, frames: int) -> Audio:
        """The next ``frames`` of an instrument; each message is its frame and its bytes in hex."""
        # In the middle of the frame, so that no rounding moves it to another one.
        timed = [(bytes.fromhex(data), (frame + 0.5) / sample_rate) for frame, data in messages]
        duration = (frames + 0.5) / sample_rate
        plugin = self._instances[0]
        output = plugin.process(timed, duration, sample_rate, self._counts[0], size, False)
        return np.asarray(output, np.float32)

    def silence(self) -> None:
        """An instrument's notes stop."""
        for plugin in self._instances:
            plugin.reset()

    def _rows(self) -> Iterator[tuple[str, Any]]:
        for key, row in self._instances[0].parameters.items():
            if not key.startswith(HIDDEN_PREFIX):
                yield key, row

    def _check_state(self, data: bytes) -> None:
        self._try_state(data, raw=False, strict=True)

    def _try_state(self, data: bytes, raw: bool, strict: bool) -> bool:
        """Whether the spare instance gives ``data`` back; raises ValueError where it plainly ignores it."""
        self._spare = spare = self._spare or self._load()
        before = self._flushed_state(spare)
        _set_state(spare, data, raw)
        after = self._flushed_state(spare)
        if raw:
            kept = bytes(spare.raw_state) == data
        else:  # hosts differ in what they keep beside the component's state
            kept = after == data if strict else _component(after) == _component(data)
        if not kept and (strict or after == before):
            raise ValueError(
                "it does not take this state: it gives back another one; "
                "the state may be damaged, or of another version of the plug-in"
            )
        return kept

    def _flushed_state(self, plugin: Any) -> bytes:
        if not self._counts:
            raise ValueError("it takes neither mono nor stereo audio")
        if self._instrument:
            plugin.process([], (PROBE_FRAMES + 0.5) / 44100, 44100, self._counts[0])
        else:
            plugin.process(np.zeros((self._counts[0], PROBE_FRAMES), np.float32), 44100)
        return _state(plugin)

    def _takes(self, channels: int) -> bool:
        plugin = self._instances[0]
        try:
            if self._instrument:
                plugin.process([], (PROBE_FRAMES + 0.5) / 44100, 44100, channels)
            else:
                plugin.process(np.zeros((channels, PROBE_FRAMES), np.float32), 44100)
        except ValueError:
            return False
        return True


class SoundFont:
    """A SoundFont and the synthesiser that plays it."""

    def __init__(self, path: str, sample_rate: float) -> None:
        try:
            import fluidsynth
        except ImportError:
            raise ValueError(
                "SoundFonts need the extra `soundfont` (pip install 'stembridge[soundfont]') and "
                "FluidSynth's library (Debian: apt install libfluidsynth3)"
            ) from None
        self._synth = fluidsynth.Synth(samplerate=sample_rate, channels=16)
        font = self._synth.sfload(path)
        if font < 0:
            raise ValueError("it is no SoundFont that FluidSynth can read")
        for channel in range(16):
            self._synth.program_select(channel, font, 128 if channel == DRUM_CHANNEL else 0, 0)
        self._write = fluidsynth.cfunc(  # its own reading gives 16 bits
            "fluid_synth_write_float",
            ctypes.c_int,
            ("synth", ctypes.c_void_p, 1),
            ("frames", ctypes.c_int, 1),
            *((name, kind, 1) for side in "lr" for name, kind in _output(side)),
        )

    def play(self, messages: Sequence[tuple[int, str]], frames: int) -> Audio:
        """The next ``frames``; each message is its frame and its bytes in hex."""
        audio = np.zeros((2, frames), np.float32)
        at = 0
        for frame, data in messages:
            self._read(audio, at, frame)
            self._send(bytes.fromhex(data))
            at = frame
        self._read(audio, at, frames)
        return audio

    def _read(self, audio: Audio, start: int, end: int) -> None:
        if end > start:
            left, right = (audio[side, start:end].ctypes.data for side in (0, 1))
            self._write(self._synth.synth, end - start, left, 0, 1, right, 0, 1)

    def _send(self, data: bytes) -> None:
        synth, kind, channel = self._synth, data[0] & 0xF0, data[0] & 0x0F
        if kind == 0x90 and data[2] > 0:
            synth.noteon(channel, data[1], data[2])
        elif kind in (0x80, 0x90):
            synth.noteoff(channel, data[1])
        elif kind == 0xB0:
            synth.cc(channel, data[1], data[2])
        elif kind == 0xC0:
            synth.program_change(channel, data[1])
        elif kind == 0xE0:
            synth.pitch_bend(channel, (data[1] | data[2] << 7) - 8192)


def _output(side: str) -> Iterator[tuple[str, Any]]:
    yield f"{side}out", ctypes.c_void_p
    yield f"{side}off", ctypes.c_int
    yield f"{side}incr", ctypes.c_int


def _load(path: str, class_id: str) -> Any:
    """The plug-in in a file; of several that of the class, or the one that is called like the file."""
    try:
        plugin = pedalboard.load_plugin(path)
    except (ValueError, RuntimeError):  # there may be several
        called = os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 - no import for this alone
        for name in sorted(_names_in(path), key=lambda name: name != called):
            plugin = pedalboard.load_plugin(path, plugin_name=name)
            if class_id in ("", _class_of(plugin)):
                return plugin
        raise
    if class_id and _class_of(plugin) != class_id:
        raise ValueError(
            f"the one that is installed is another plug-in (class {_class_of(plugin)}, not {class_id})"
        )
    return plugin


def _names_in(path: str) -> list[str]:
    return list(pedalboard.VST3Plugin.get_plugin_names_for_file(path))


def _class_of(plugin: Any) -> str:
    return str(plugin.preset_data[CLASS_ID].decode("latin-1")).upper()


def _state(plugin: Any) -> bytes:
    return bytes(plugin.preset_data if hasattr(plugin, "preset_data") else plugin.raw_state)


def _set_state(plugin: Any, data: bytes, raw: bool = False) -> None:
    if not raw and hasattr(plugin, "preset_data"):
        try:
            plugin.preset_data = data
        except RuntimeError:
            if _state(plugin) != data:  # one without parameters keeps nothing, and says no to its own state
                raise
    else:
        plugin.raw_state = data


def _component(preset: bytes) -> bytes:
    """The component's state in a ``.vstpreset``; anything else as it is."""
    try:
        at = int.from_bytes(preset[40:48], "little", signed=True)
        for entry in range(at + 8, at + 8 + 20 * int.from_bytes(preset[at + 4 : at + 8], "little"), 20):
            start, length = (int.from_bytes(preset[entry + k : entry + k + 8], "little") for k in (4, 12))
            if preset[entry : entry + 4] == b"Comp" and length <= len(preset):
                return preset[CLASS_ID] + preset[start : start + length]
    except (ValueError, OverflowError, MemoryError):
        pass
    return preset


def put_last(values: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Put ``new`` into ``values`` as the last that was set: some parameters change others."""
    for key, value in new.items():
        values.pop(key, None)
        values[key] = value


def main() -> None:
    """Serve requests until the input ends."""
    # Pedalboard asks each parameter a thousand times for its text, also thousands of MIDI controllers.
    ignored: set[Any] = getattr(pedalboard._pedalboard, "PARAMETER_NAME_REGEXES_TO_IGNORE", set())
    ignored.add(re.compile(r"^MIDI Ch"))
    _limit_memory(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a plug-in that prints must not write among the answers
    requests: SimpleQueue[tuple[dict[str, Any], Audio | None]] = SimpleQueue()
    Thread(target=_read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    host: Host | None = None
    font: SoundFont | None = None
    while True:
        header, audio = requests.get()
        # Ends this process even where the plug-in holds Python's lock and the parent is gone.
        faulthandler.dump_traceback_later(header["seconds"] + GRACE_SECONDS, exit=True)
        answer: dict[str, Any] = {}
        output: Audio | None = None
        try:
            match header["do"]:
                case "load":
                    host = Host(header["path"], header["class_id"])
                    answer = host.describe()
                case "values":
                    assert host
                    host.set_values(header["set"])
                    answer = {"values": host.values()}
                case "raw values":
                    assert host
                    host.set_raw_values(header["set"])
                case "state":
                    assert host
                    if header["set"] is None:
                        answer = {"state": host.raw_state() if header["raw"] else host.state()}
                    else:
                        answer = host.set_state(header["set"], header["raw"], header["strict"])
                case "load sound font":
                    font = SoundFont(header["path"], header["sample_rate"])
                case "silence":
                    assert host
                    host.silence()
                case "play" if font:
                    output = font.play(header["messages"], header["count"])
                case "play":
                    assert host
                    output = host.play(
                        header["messages"], header["sample_rate"], header["buffer_size"], header["count"]
                    )
                case "begin":
                    assert host
                    host.begin(header["channels"])
                case "process":
                    assert host
                    assert audio is not None
                    if header.get("changes"):
                        output, got = host.process_steps(
                            audio, header["sample_rate"], header["buffer_size"], header["changes"]
                        )
                        answer = {"got": got}
                    else:
                        output = host.process(audio, header["sample_rate"], header["buffer_size"])
        except Exception as error:
            answer, output = {"error": " ".join(str(error).split()) or type(error).__name__}, None
        faulthandler.cancel_dump_traceback_later()
        write_message(answers, answer, output)


def _limit_memory(most_bytes: int) -> None:
    """Let the system refuse memory past ``most_bytes``, where it can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


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
