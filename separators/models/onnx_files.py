"""Any ONNX model of waveforms or complex spectrograms, with a small TOML file that describes it.

    model = "vocals.onnx"               # beside this file
    stems = ["vocals"]                  # what comes out, in order
    sample_rate = 44100
    channels = 2
    segment = 261120                    # frames that the model is given at once
    input = "batch (channels parts) bins times"
    output = "batch (channels parts) bins times"

    [spectrogram]                       # without it the axis is frames, and there are no parts, bins, times
    fft_size = 6144
    hop = 1024
    bins = 3072                         # the lowest ones; what is above belongs to the rest

Axes are batch (of one), stems, channels, frames; of spectrograms parts (real, imaginary), bins and times.
Axes of size one may be left out. ``overlap`` (0.25) says how much of a segment overlaps the next,
``level`` (0.1) at which RMS the model hears a file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separators import regular_files
from separators.base import Audio
from separators.models.files import ModelError, check_file, find, first_line
from separators.models.layout import Layout
from separators.models.onnx_sessions import session
from separators.models.running import in_segments
from separators.neural.devices import CPU
from separators.neural.placement import is_out_of_memory

REQUIRED = {"model": str, "stems": list, "sample_rate": int, "segment": int, "input": str, "output": str}
OPTIONAL = {
    "channels": (int, 2),
    "overlap": (float, 0.25),
    "level": (float, 0.1),
    "spectrogram": (dict, None),
}
RANGES = {
    "sample_rate": (1000, 400_000),
    "channels": (1, 2),
    "segment": (16, 1 << 24),
    "overlap": (0, 0.9),
    "level": (1e-4, 10),
    "fft_size": (16, 1 << 16),
    "hop": (1, 1 << 15),
    "bins": (1, (1 << 15) + 1),
}
LARGEST_DESCRIPTION = 1 << 16
"""Bytes."""


@dataclass(frozen=True)
class Spectrogram:
    """The transform in front of a model, as torch.stft makes it with a centred Hann window."""

    fft_size: int
    hop: int
    bins: int

    def forward(self, audio: Tensor) -> Tensor:
        """``(channels, frames)`` -> ``(channels, parts, bins, times)``."""
        spectrum = torch.stft(audio, self.fft_size, self.hop, window=self._window, return_complex=True)
        return torch.view_as_real(spectrum[:, : self.bins]).permute(0, 3, 1, 2)

    def inverse(self, parts: Tensor, frames: int) -> Tensor:
        """``(stems, channels, parts, bins, times)`` -> ``(stems, channels, frames)``."""
        spectrum = torch.view_as_complex(parts.permute(0, 1, 3, 4, 2).contiguous()).flatten(0, 1)
        full = torch.nn.functional.pad(spectrum, (0, 0, 0, self.fft_size // 2 + 1 - self.bins))
        audio = torch.istft(full, self.fft_size, self.hop, window=self._window, length=frames)
        return audio.reshape(*parts.shape[:2], frames)

    @property
    def _window(self) -> Tensor:
        return torch.hann_window(self.fft_size)


@dataclass(frozen=True)
class ONNXNetwork:
    """A model and what its arrays mean."""

    model: Path
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    segment: int
    overlap: float
    level: float
    input: Layout
    output: Layout
    spectrogram: Spectrogram | None
    halvings: int = 0
    """A model takes segments of one length."""

    def __call__(self, audio: Audio, device: torch.device = CPU, parts: int = 1) -> Audio:
        """See :class:`separators.models.running.Model`; spectrograms are made on the processor."""
        ready = session(self.model, device)
        return in_segments(lambda segment: self._segment(ready, segment), audio, self.segment, self.overlap)

    def _segment(self, ready: Any, audio: Tensor) -> Tensor:
        if self.spectrogram is None:
            return torch.from_numpy(self._run(ready, audio.numpy(), ("channels", "frames")))
        parts = self.spectrogram.forward(audio)
        found = self._run(ready, parts.numpy(), ("channels", "parts", "bins", "times"))
        return self.spectrogram.inverse(torch.from_numpy(found), self.segment)

    def _run(self, ready: Any, array: Audio, names: tuple[str, ...]) -> Audio:
        """The output of the session ``ready`` as ``(stems, ...)`` with the axes of the input."""
        slot = ready.get_inputs()[0]
        kind = np.float16 if slot.type == "tensor(float16)" else np.float32
        try:
            (found,) = ready.run(None, {slot.name: self.input.pack(array, names).astype(kind)})
        except Exception as error:  # onnxruntime's own classes are not public
            if is_out_of_memory(error):
                raise
            raise ModelError(f"onnx: the model cannot be run: {first_line(error)}") from error
        sizes = {"stems": len(self.stems), **dict(zip(names, array.shape, strict=True))}
        return self.output.unpack(found, sizes).astype(np.float32)


def files_of(checkpoint: str) -> list[Path]:
    """The description that ``checkpoint`` stands for, and the model beside it."""
    description = find("onnx", checkpoint, ("{}", "{}.toml"))
    name = PurePosixPath(str(_table(description)["model"]))
    if name.is_absolute() or ".." in name.parts or "\\" in str(name):
        raise ModelError(f"{description}: model must be a file beside this one, not {str(name)!r}")
    model = description.parent / name
    check_file(model, f"{description}: there is no ", "put the model beside its description")
    return [description, model]


def load(description: Path, model: Path) -> ONNXNetwork:
    """The model with its description; raises :class:`ModelError`."""
    table = _table(description)
    transform = Spectrogram(**table["spectrogram"]) if table["spectrogram"] else None
    axes = ("channels", "frames") if transform is None else ("channels", "parts", "bins", "times")
    layouts = {}
    for key, stems in (("input", 1), ("output", len(table["stems"]))):
        known = ("batch", *(("stems",) if key == "output" else ()), *axes)
        try:
            layouts[key] = Layout.parse(table[key], known)
        except ValueError as error:
            raise ModelError(f"{description}: {key}: {error}") from None
        several = [
            *axes[1:],
            *(["channels"] if table["channels"] > 1 else []),
            *(["stems"] if stems > 1 else []),
        ]
        if missing := [axis for axis in several if axis not in layouts[key].axes]:
            raise ModelError(f"{description}: {key}: {table[key]!r} does not name {', '.join(missing)}")
    session(model)  # which shows whether it can be read
    return ONNXNetwork(
        model=model,
        stems=tuple(table["stems"]),
        input=layouts["input"],
        output=layouts["output"],
        spectrogram=transform,
        **{key: table[key] for key in ("sample_rate", "channels", "segment", "overlap", "level")},
    )


def _table(description: Path) -> dict[str, Any]:
    """The description with its defaults, every key checked."""
    try:
        table = tomllib.loads(regular_files.read(description, LARGEST_DESCRIPTION).decode())
    except OSError as error:
        raise ModelError(
            f"{description}: {error.strerror}; give the TOML file that describes a model"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{description} is no TOML file: {first_line(error)}") from error
    if missing := [key for key in REQUIRED if key not in table]:
        raise ModelError(f"{description}: {', '.join(missing)} missing")
    if unknown := [key for key in table if key not in REQUIRED and key not in OPTIONAL]:
        known = ", ".join([*REQUIRED, *OPTIONAL])
        raise ModelError(f"{description}: no key {unknown[0]!r}; there are: {known}")
    types = REQUIRED | {key: kind for key, (kind, _) in OPTIONAL.items()}
    checked = {key: _value(description, key, value, types[key]) for key, value in table.items()}
    checked = {key: default for key, (_, default) in OPTIONAL.items()} | checked
    stems = checked["stems"]
    if (
        not stems
        or len(set(map(str, stems))) != len(stems)
        or not all(isinstance(n, str) and n for n in stems)
    ):
        raise ModelError(f"{description}: stems must be distinct names, not {stems!r}")
    if checked["spectrogram"] is not None:
        checked["spectrogram"] = _spectrogram(description, checked["spectrogram"], checked["segment"])
    return checked


def _spectrogram(description: Path, table: Mapping[str, Any], segment: int) -> dict[str, int]:
    keys = ("fft_size", "hop", "bins")
    if set(table) != set(keys):
        raise ModelError(
            f"{description}: [spectrogram] must hold {', '.join(keys)}, not {', '.join(table) or 'nothing'}"
        )
    values = {key: _value(description, key, table[key], int) for key in keys}
    if values["bins"] > values["fft_size"] // 2 + 1 or values["hop"] > values["fft_size"] // 2:
        raise ModelError(f"{description}: hop and bins do not fit an fft_size of {values['fft_size']}")
    if segment <= values["fft_size"]:
        raise ModelError(f"{description}: segment must be longer than fft_size, not {segment}")
    return values


def _value(description: Path, key: str, value: Any, kind: type) -> Any:
    """``value`` if it is of this kind and in its range."""
    fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    low, high = RANGES.get(key, (None, None))
    if not fits or (low is not None and high is not None and not low <= value <= high):
        names = {str: "text", list: "a list", int: "a whole number", float: "a number", dict: "a table"}
        span = f" from {low} to {high}" if low is not None else ""
        raise ModelError(f"{description}: {key} must be {names[kind]}{span}, not {value!r}")
    return value
