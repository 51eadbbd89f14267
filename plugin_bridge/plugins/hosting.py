"""Third-party plug-ins (VST3, on macOS Audio Units) in a child process with a time limit.

    comp = HostedPlugin("ZamCompX2", {"threshold_db": -20, "ratio": 4})
    out = comp(audio, sample_rate)

A plug-in that crashes or hangs takes its child process with it and raises
:class:`~plugin_bridge.errors.PluginError` with its name; the next call starts a new child with the
same parameters and state. A plug-in for stereo only gets a mono signal on both sides, and the mean
of its two sides comes back; a plug-in for mono only gets an instance for each channel. What a plug-in
does to its process (some switch denormal numbers off) stays in the child, too.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock, Timer
from typing import Any

import numpy as np

from plugin_bridge.errors import PluginError
from plugin_bridge.plugins import hosting_worker
from plugin_bridge.plugins.block_stages import BlockStage
from plugin_bridge.plugins.folders import find_plugin
from plugin_bridge.plugins.python_plugin import PythonPlugin
from separators import Audio
from separators.near import did_you_mean

LOAD_SECONDS = 30.0
CALL_SECONDS = 60.0
"""For one request, at most 3 s of audio: no plug-in that works takes so long."""
FRAMES_AT_ONCE = 1 << 17
"""In one request."""
PATIENCE_SECONDS = 60
"""A plug-in that gives nothing back for so much audio never will."""

Value = bool | float | str

__all__ = ["HostedParameter", "HostedPlugin", "find_plugin"]


@dataclass(frozen=True)
class HostedParameter:
    """One parameter of a hosted plug-in: ``kind`` is ``float``, ``bool`` or ``str``."""

    kind: str
    minimum: float | None
    maximum: float | None
    step: float | None
    unit: str
    choices: list[str]

    @property
    def allowed(self) -> str:
        """What may be set, in words."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "str":
            return "one of " + ", ".join(self.choices)
        return f"a number from {self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()

    def takes(self, value: Any) -> bool:
        """Whether ``value`` may be set."""
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "str":
            return value in self.choices
        assert self.minimum is not None
        assert self.maximum is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        number = float(value)
        return math.isfinite(number) and self.minimum <= number <= self.maximum

    def equal(self, asked: Any, got: Any) -> bool:
        """Whether ``got`` is what the plug-in makes of ``asked``: numbers may snap to a step."""
        if self.kind != "float":
            return bool(asked == got)
        assert self.minimum is not None
        assert self.maximum is not None
        return abs(float(asked) - float(got)) <= max(self.step or 0.0, 1e-3 * (self.maximum - self.minimum))


class HostedPlugin(PythonPlugin):
    """A third-party plug-in, found by its name and run in a child process; see the module's text.

    Parameters are attributes, as in Pedalboard; ``parameters`` says what there is. ``state`` is
    the plug-in's own state (base64), set before ``parameters``. Raises :class:`PluginError` where
    the plug-in is missing, crashes, hangs, or does not take a value or state.
    """

    streams = True
    by_stem = True

    def __init__(
        self,
        name: str,
        parameters: Mapping[str, Value] | None = None,
        state: str | None = None,
        plugin_paths: Sequence[Path | str] = (),
        load_seconds: float = LOAD_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        super().__init__()
        self._name = name
        self._path = find_plugin(name, plugin_paths)
        self._limits = (load_seconds, call_seconds)
        self._values: dict[str, Value] = {}
        self._state: str | None = None
        self._child: _Child | None = None
        self._rows: dict[str, HostedParameter] = {}
        self._channels: list[int] = []
        self._begun = 0
        """The channels of the signal that is under way."""
        self._running = RLock()  # as Pedalboard: calls from several threads take turns
        self._start()
        if state is not None:
            self._take_state(state)
        self.set(parameters or {})

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return self._name

    @property
    def parameters(self) -> Mapping[str, HostedParameter]:
        """The plug-in's parameters: kind, range, unit, choices."""
        return dict(self._rows)

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel counts that the plug-in itself takes, of 1 and 2."""
        return tuple(self._channels)

    @property
    def values(self) -> dict[str, Value]:
        """The parameters that have been set, and what they were set to."""
        return dict(self._values)

    @property
    def state(self) -> str:
        """The plug-in's present state, base64, checked: the plug-in takes it back unchanged."""
        self._state = str(self._ask("state", set=None)["state"])
        return self._state

    def set(self, values: Mapping[str, Value]) -> None:
        """Set parameters, in order; raises :class:`PluginError` where one is not taken."""
        values = {
            key: value.item() if isinstance(value, np.generic) else value for key, value in values.items()
        }
        for key, value in values.items():
            if key not in self._rows:
                near = did_you_mean(key, self._rows)
                raise PluginError(f"{self._name} has no parameter {key!r}{near}; it has: {self._names()}")
            if not self._rows[key].takes(value):
                raise PluginError(f"{self._name}: {key} must be {self._rows[key].allowed}, not {value!r}")
        if not values:
            return
        got = self._ask("values", set=dict(values))["values"]
        for key, value in values.items():
            if not self._rows[key].equal(value, got[key]):
                raise PluginError(
                    f"{self._name}: {key} was set to {value!r}, but the plug-in says {got[key]!r}; "
                    "it may depend on another parameter, which then has to be set before it"
                )
        hosting_worker.put_last(self._values, values)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Process ``audio``; a whole signal, or with ``reset=False`` the next block of one."""
        channels, frames = audio.shape

        def call(block: Audio) -> Audio:
            return self._process(block, sample_rate, buffer_size)

        with self._running:
            if reset or self._begun != channels:
                self._begin(channels)
            if not reset:
                at_once = max(1, FRAMES_AT_ONCE // buffer_size) * buffer_size
                blocks = [call(audio[:, i : i + at_once]) for i in range(0, frames, at_once)]
                return np.concatenate(blocks, axis=1) if blocks else audio.copy()
            stage = BlockStage(call, channels, round(PATIENCE_SECONDS * sample_rate), buffer_size)
            try:
                # As in Pedalboard, the plug-in keeps its state: the next call may ask for the tail.
                return np.concatenate([stage.process(audio), stage.flush()], axis=1)
            except BaseException:
                self._begun = 0
                raise

    def reset(self) -> None:
        """Forget the audio of earlier calls; parameters stay."""
        super().reset()
        self._begun = 0

    def close(self) -> None:
        """End the child process; the next call starts a new one."""
        if self._child is not None:
            self._child.end()
            self._child = None
        self._begun = 0

    def __getattr__(self, name: str) -> Any:
        if name in vars(self).get("_rows", {}):
            return self._ask("values", set={})["values"][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("_rows", {}):
            self.set({name: value})
        elif name.startswith("_"):
            super().__setattr__(name, value)
        else:
            raise AttributeError(f"{self._name} has no parameter {name!r}; it has: {self._names()}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._rows]

    def __repr__(self) -> str:
        values = "".join(f" {key}={value!r}" for key, value in self._values.items())
        return f"<plugin_bridge.HostedPlugin {self._name}{values} at {id(self):#x}>"

    def _names(self) -> str:
        names = list(self._rows)
        more = f" and {len(names) - 30} more" if len(names) > 30 else ""
        return (", ".join(names[:30]) or "none") + more

    # -- the child ---------------------------------------------------------------------------

    def _begin(self, channels: int) -> None:
        self._ask("begin", channels=channels)
        self._begun = channels

    def _process(self, block: Audio, sample_rate: float, buffer_size: int) -> Audio:
        header, audio = self._message("process", block, sample_rate=sample_rate, buffer_size=buffer_size)
        assert audio is not None, header
        return audio

    def _take_state(self, state: str) -> None:
        self._ask("state", set=state)
        self._state = state

    def _ask(self, do: str, **fields: Any) -> dict[str, Any]:
        return self._message(do, None, **fields)[0]

    def _message(self, do: str, audio: Audio | None, **fields: Any) -> tuple[dict[str, Any], Audio | None]:
        if self._child is None or not self._child.alive:
            if do == "process":
                raise PluginError(f"{self._name} ended between two blocks; start the signal again")
            self._start()
        assert self._child is not None
        return self._child.ask({"do": do, "seconds": self._limits[1], **fields}, audio)

    def _start(self) -> None:
        """Start a child with the parameters and the state that the plug-in had."""
        load_seconds, call_seconds = self._limits
        self.close()
        self._child = child = _Child(self._name)
        load = {"do": "load", "path": str(self._path), "plugin_name": None, "seconds": load_seconds}
        answer, _ = child.ask(load, None)
        self._rows = {key: HostedParameter(**row) for key, row in answer["parameters"].items()}
        self._channels = answer["channels"]
        if self._state is not None:
            child.ask({"do": "state", "set": self._state, "seconds": call_seconds}, None)
        if self._values:
            child.ask({"do": "values", "set": self._values, "seconds": call_seconds}, None)


class _Child:
    """The child process of one plug-in; it ends with this object, and with this process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parent = os.getpid()
        self._lock = RLock()
        # A script of its own (-P: without its folder on the path), so that starting it imports
        # numpy and pedalboard only.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-P", str(Path(hosting_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self.end = weakref.finalize(self, _end, self._process, os.getpid())

    @property
    def alive(self) -> bool:
        # After a fork its pipes belong to the parent; the fork starts a child of its own.
        return os.getpid() == self._parent and self._process.poll() is None

    def ask(self, request: dict[str, Any], audio: Audio | None) -> tuple[dict[str, Any], Audio | None]:
        """Send a request and wait for its answer, at most ``request["seconds"]``.

        Raises :class:`PluginError` where the plug-in says no, crashes or hangs.
        """
        doing = {"load": "loading", "process": "processing audio"}.get(request["do"], "being set up")
        hung: list[bool] = []

        def give_up() -> None:
            hung.append(True)
            self._process.kill()

        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            timer = Timer(request["seconds"], give_up)
            timer.daemon = True
            timer.start()
            try:
                hosting_worker.write_message(self._process.stdin, request, audio)
                message = hosting_worker.read_message(self._process.stdout)
            except OSError:  # the pipe broke
                message = None
            except BaseException:  # Ctrl-C between question and answer: they no longer belong together
                self.end()
                raise
            finally:
                timer.cancel()
        if message is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # for its own exit status
            self.end()
            if hung:
                what = f"hung while {doing} and was stopped after {request['seconds']:g} s"
            else:
                status = self._process.returncode
                what = f"crashed while {doing} ({f'signal {-status}' if status < 0 else f'status {status}'})"
            raise PluginError(f"{self._name} {what}; leave this plug-in out, or ask its maker")
        header, answer = message
        if "error" in header:
            raise PluginError(f"{self._name}: {header['error']}")
        return header, answer


def _end(process: subprocess.Popen[bytes], parent: int) -> None:
    if os.getpid() != parent:  # a fork of the process that it belongs to
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # what was not yet written is lost with the child
                stream.close()
