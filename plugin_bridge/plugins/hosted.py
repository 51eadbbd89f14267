"""What hosted effects and instruments share: a child process, parameters that are read back, states.

States are those of Pedalboard: ``preset_data`` (the bytes of a ``.vstpreset``) and ``raw_state``;
``state`` is the former as text. What was set is set again where a child has to be started anew.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from plugin_bridge import vst_presets
from plugin_bridge.errors import PluginError
from plugin_bridge.plugins import hosting_worker
from plugin_bridge.plugins.folders import find_plugin
from plugin_bridge.plugins.hosted_child import Child
from separators import Audio
from separators.near import did_you_mean

LOAD_SECONDS = 30.0
CALL_SECONDS = 60.0
"""For one request, at most 3 s of audio: no plug-in that works takes so long."""
MEMORY_GB = 4.0
SIDE_BY_SIDE = 4
"""Plug-ins that are loaded at once."""

Value = bool | float | str


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


class WrongKindError(PluginError):
    """A plug-in is an instrument where an effect is meant, or the other way round."""


class Hosted:
    """A third-party plug-in in a child process: finding, starting, parameters and states."""

    _is_instrument = False

    def _open(
        self,
        name: str,
        parameters: Mapping[str, Value] | None,
        state: str | bytes | None,
        plugin_paths: Sequence[Path | str],
        class_id: str,
        load_seconds: float,
        call_seconds: float,
        memory_gb: float,
    ) -> None:
        self._name = name
        self._path = find_plugin(name, plugin_paths)
        self._limits = (load_seconds, call_seconds)
        self._memory_bytes = int(memory_gb * 2**30)
        self._class_id = class_id.upper()
        self._values: dict[str, Value] = {}
        self._state: str | None = None
        self._child: Child | None = None
        self._rows: dict[str, HostedParameter] = {}
        self._channels: list[int] = []
        self._one_of_several = False
        self._begun = 0
        """The channels of the signal that is under way."""
        self._start()
        if state is not None:
            self._take_state([_text(state)])
        self.set(parameters or {})

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return self._name

    @property
    def class_id(self) -> str:
        """The plug-in's class, 32 hexadecimal digits; empty for other formats than VST3."""
        return self._class_id

    @property
    def is_one_of_several(self) -> bool:
        """Whether its file holds other plug-ins, too, so that its name alone does not tell which it is."""
        return self._one_of_several

    @property
    def parameters(self) -> Mapping[str, HostedParameter]:
        """The plug-in's parameters: kind, range, unit, choices."""
        return dict(self._rows)

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel counts that the plug-in itself takes (of an instrument: gives), of those up to 16."""
        return tuple(self._channels)

    @property
    def values(self) -> dict[str, Value]:
        """The parameters that have been set, and what they were set to."""
        return dict(self._values)

    @property
    def memory_bytes(self) -> int:
        """The memory that the child process takes at present; 0 where the system does not say."""
        return self._child.resident_bytes if self._child is not None and self._child.alive else 0

    @property
    def state(self) -> str:
        """The plug-in's present state, base64, checked: the plug-in takes it back unchanged."""
        self._state = str(self._ask("state", set=None, raw=False)["state"])
        return self._state

    @property
    def preset_data(self) -> bytes:
        """The state as the bytes of a ``.vstpreset``; may be set, and then holds before all parameters."""
        return base64.b64decode(self.state)

    @preset_data.setter
    def preset_data(self, data: bytes) -> None:
        self._take_state([_text(data)])
        self._values.clear()

    @property
    def raw_state(self) -> bytes:
        """The state in Pedalboard's own form; may be set, and then holds before all parameters."""
        return base64.b64decode(self._ask("state", set=None, raw=True)["state"])

    @raw_state.setter
    def raw_state(self, data: bytes) -> None:
        self._ask("state", set=[_text(data)], raw=True, strict=True)
        self._values.clear()
        _ = self.state  # remembered for a new child

    def restore(self, preset: bytes) -> bool:
        """Set a state that a DAW kept, as a ``.vstpreset``; whether the plug-in gives it back as it was.

        Unlike ``preset_data`` it may be of another version of the plug-in. Raises :class:`PluginError` where
        the plug-in refuses or ignores it.
        """
        self._values.clear()
        return self._take_state([_text(preset)], strict=False)

    def load_preset(self, path: str | os.PathLike[str]) -> None:
        """Load a ``.vstpreset``, or an ``.fxp`` of the plug-in's VST2 twin; replaces what was set before.

        An ``.fxp`` with values sets the parameters in order; one with a chunk is given to the plug-in as
        its state. Raises :class:`PluginError` where the file is damaged or of another plug-in, or the
        plug-in ignores it.
        """
        file = Path(path)
        data = vst_presets.read(file)
        try:
            if data[:4] != b"CcnK":
                if (theirs := vst_presets.parsed(data).class_id) != self.class_id:
                    raise PluginError(f"it is for another plug-in (class {theirs}, not {self.class_id})")
                self._take_state([_text(data)], strict=False)
            else:
                self._load_program(vst_presets.parsed_fxp(data))
        except PluginError as error:
            raise PluginError(f"{self._name}: {file}: {str(error).removeprefix(f'{self._name}: ')}") from None
        self._values.clear()

    def _load_program(self, program: vst_presets.Fxp) -> None:
        if program.values:
            self._ask("raw values", set=list(program.values))
            _ = self.state
            return
        states = [vst_presets.vst_preset(self.class_id, state) for state in program.component_states()]
        self._take_state([_text(state) for state in states], strict=False)

    def set(self, values: Mapping[str, Value]) -> None:
        """Set parameters, in order; raises :class:`PluginError` where one is not taken."""
        values = {
            key: value.item() if isinstance(value, np.generic) else value for key, value in values.items()
        }
        self.check(values)
        if not values:
            return
        self._check_taken(values, self._ask("values", set=dict(values))["values"])
        hosting_worker.put_last(self._values, values)

    def check(self, values: Mapping[str, Value]) -> None:
        """Raise :class:`PluginError` for a parameter that is not there, and a value out of its range."""
        for key, value in values.items():
            if key not in self._rows:
                near = did_you_mean(key, self._rows)
                raise PluginError(f"{self._name} has no parameter {key!r}{near}; it has: {self._names()}")
            if not self._rows[key].takes(value):
                raise PluginError(f"{self._name}: {key} must be {self._rows[key].allowed}, not {value!r}")

    def _check_taken(self, values: Mapping[str, Value], got: Mapping[str, Value]) -> None:
        for key, value in values.items():
            if not self._rows[key].equal(value, got[key]):
                raise PluginError(
                    f"{self._name}: {key} was set to {value!r}, but the plug-in says {got[key]!r}; "
                    "it may depend on another parameter, which then has to be set before it"
                )

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
        elif name.startswith("_") or name in ("preset_data", "raw_state"):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(f"{self._name} has no parameter {name!r}; it has: {self._names()}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._rows]

    def __repr__(self) -> str:
        values = "".join(f" {key}={value!r}" for key, value in self._values.items())
        return f"<plugin_bridge.{type(self).__name__} {self._name}{values} at {id(self):#x}>"

    def _names(self) -> str:
        names = list(self._rows)
        more = f" and {len(names) - 30} more" if len(names) > 30 else ""
        return (", ".join(names[:30]) or "none") + more

    # -- the child ---------------------------------------------------------------------------

    def _take_state(self, states: Sequence[str], strict: bool = True) -> bool:
        """Set the first of ``states`` that is taken; whether the plug-in gives it back as it was."""
        kept = bool(self._ask("state", set=list(states), raw=False, strict=strict)["kept"])
        self._state = states[0] if len(states) == 1 else self.state
        return kept

    def _ask(self, do: str, **fields: Any) -> dict[str, Any]:
        return self._message(do, None, **fields)[0]

    def _message(self, do: str, audio: Audio | None, **fields: Any) -> tuple[dict[str, Any], Audio | None]:
        goes_on = do in ("process", "play")
        if self._child is None or not (self._child.ours if goes_on else self._child.alive):
            if goes_on:
                self._refuse_to_go_on()
            self._start()
        assert self._child is not None
        return self._child.ask({"do": do, "seconds": self._limits[1], **fields}, audio)

    def _refuse_to_go_on(self) -> NoReturn:
        raise PluginError(f"{self._name} ended between two blocks; start the signal again")

    def _start(self) -> None:
        """Start a child with the parameters and the state that the plug-in had."""
        load_seconds, call_seconds = self._limits
        self.close()
        self._child = child = Child(self._name, self._memory_bytes)
        load = {"do": "load", "path": str(self._path), "class_id": self._class_id, "seconds": load_seconds}
        answer, _ = child.ask(load, None)
        if answer["instrument"] != self._is_instrument:
            self.close()
            what = (
                "an instrument, which takes no audio"
                if answer["instrument"]
                else "an effect, which plays no notes"
            )
            raise WrongKindError(f"{self._name}: it is {what}")
        self._rows = {key: HostedParameter(**row) for key, row in answer["parameters"].items()}
        self._channels = answer["channels"]
        self._class_id = answer["class_id"].upper()
        self._one_of_several = answer["several"]
        if self._state is not None:
            state = {"do": "state", "set": [self._state], "raw": False, "strict": False}
            child.ask({**state, "seconds": call_seconds}, None)
        if self._values:
            child.ask({"do": "values", "set": self._values, "seconds": call_seconds}, None)


def _text(state: str | bytes) -> str:
    return state if isinstance(state, str) else base64.b64encode(state).decode()
