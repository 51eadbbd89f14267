"""``Convolution`` as a preset holds it: its impulse response by a file's name, or in the preset itself."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
from pedalboard.io import AudioFile

from plugin_bridge.errors import PluginError
from separators import regular_files

MAXIMUM_BYTES = 400_000_000
"""Longest file with an impulse response: ten minutes of float32 in stereo, and then some."""
FILE, SAMPLES = "impulse_response_filename", "impulse_response"
KEYS = {FILE: "", SAMPLES: "", "channels": 1, "sample_rate": 44100.0, "mix": 1.0}
"""What may stand beside its name, and the defaults. ``impulse_response`` is base64 of interleaved float32,
least significant byte first."""


def create(values: Mapping[str, Any]) -> pedalboard.Convolution:
    """A new one from what :func:`values_of` gives; raises :class:`PluginError`."""
    for key, value in values.items():
        if key not in KEYS:
            raise PluginError(f"Convolution has no parameter {key!r}; it has: {', '.join(KEYS)}")
        kind = str if isinstance(KEYS[key], str) else int | float
        if not isinstance(value, kind) or isinstance(value, bool):
            raise PluginError(f"Convolution: {key} cannot be {value!r}")
    if (FILE in values) == (SAMPLES in values):
        raise PluginError(f"Convolution needs either {FILE} or {SAMPLES}")
    mix = values.get("mix", 1.0)
    if not 0 <= mix <= 1:
        raise PluginError(f"Convolution: mix must be a number from 0 to 1, not {mix!r}")
    try:
        if FILE in values:
            path = values[FILE]
            if (size := regular_files.check(Path(path)).st_size) > MAXIMUM_BYTES:
                raise PluginError(f"Convolution: {path}: {size} bytes are too long; at most {MAXIMUM_BYTES}")
            with AudioFile(str(path)) as file:  # Convolution itself takes anything, and is silent then
                if not file.frames:
                    raise PluginError(f"Convolution: {path}: holds no audio")
            return pedalboard.Convolution(path, mix)
        return pedalboard.Convolution(_samples(values), mix, float(values.get("sample_rate", 44100)))
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, PluginError):
            raise
        said = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        raise PluginError(f"Convolution: {values.get(FILE, SAMPLES)}: {said}") from None


def values_of(plugin: pedalboard.Convolution) -> dict[str, Any]:
    """What :func:`create` makes an equal of ``plugin`` from."""
    mix = float(str(np.float32(plugin.mix)))
    if plugin.impulse_response_filename is not None:
        return {FILE: str(Path(plugin.impulse_response_filename).absolute()), "mix": mix}
    response = np.atleast_2d(np.asarray(plugin.impulse_response, np.float32))
    # Nothing but its text says at which rate the response was given.
    said = re.search(r"audio at ([\d.e+]+) Hz", repr(plugin))
    if said is None:
        raise PluginError(
            "Convolution does not say its impulse response's rate here; make it from a file, by its name"
        )
    text = base64.b64encode(np.ascontiguousarray(response.T, "<f4").tobytes()).decode()
    return {SAMPLES: text, "channels": len(response), "sample_rate": float(said[1]), "mix": mix}


def _samples(values: Mapping[str, Any]) -> Any:
    rate, channels = values.get("sample_rate", 44100), values.get("channels", 1)
    if not 1000 <= rate <= 1e6:
        raise PluginError(f"Convolution: sample_rate must be from 1000 to 1000000 Hz, not {rate!r}")
    try:
        samples = np.frombuffer(base64.b64decode(values[SAMPLES], validate=True), "<f4").astype(np.float32)
    except (binascii.Error, ValueError):
        samples = np.zeros(0, np.float32)
    if channels not in (1, 2) or not samples.size or samples.size % channels:
        raise PluginError(
            f"Convolution: {SAMPLES} must be base64 of float32 samples of 1 or 2 channels, interleaved"
        )
    if not all(map(math.isfinite, samples.tolist())):
        raise PluginError(f"Convolution: {SAMPLES} holds NaN or infinity")
    response = np.ascontiguousarray(samples.reshape(-1, channels).T)
    return response[0] if channels == 1 else response
