"""Sessions of onnxruntime on the processor or a GPU, which it reaches by providers of its own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from separators.models.files import ModelError, first_line, missing_package
from separators.neural.devices import AUTO, CPU, DeviceError

PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
"""Those of each kind of device; what they cannot run, onnxruntime runs on the processor."""
PACKAGES = {"cuda": "onnxruntime-gpu", "mps": "onnxruntime on a Mac"}


def chosen(name: str) -> torch.device:
    """The device called ``name``; auto takes an NVIDIA GPU that onnxruntime can use, else the processor.

    Raises :class:`~separators.neural.devices.DeviceError`, or ModelError without onnxruntime.
    """
    available = _onnxruntime().get_available_providers()
    if name == AUTO:
        return torch.device("cuda:0") if PROVIDERS["cuda"] in available else CPU
    device = torch.device("cuda:0" if name == "cuda" else name)
    if device != CPU and PROVIDERS[device.type] not in available:
        raise DeviceError(
            f"onnx: device {name}: this onnxruntime has no {PROVIDERS[device.type]}; install "
            f"{PACKAGES[device.type]} in its place, or take auto or cpu"
        )
    return device


def providers() -> list[str]:
    """The providers that onnxruntime has here; none without it."""
    try:
        return list(_onnxruntime().get_available_providers())
    except ModelError:
        return []


def session(model: Path, device: torch.device = CPU) -> Any:
    """``model`` ready to run on ``device``; raises ModelError where the file cannot be read."""
    status = model.stat()
    return _session(model, device, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _session(model: Path, device: torch.device, _state: tuple[int, int]) -> Any:
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != CPU:
        settings = {"device_id": device.index or 0} if device.type == "cuda" else {}
        providers.insert(0, (PROVIDERS[device.type], settings))
    try:
        made = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # onnxruntime's own classes are not public
        raise ModelError(f"onnx: {model} cannot be read: {first_line(error)}") from error
    counts = len(made.get_inputs()), len(made.get_outputs())
    if counts != (1, 1):
        raise ModelError(
            f"onnx: {model} has {counts[0]} inputs and {counts[1]} outputs; one of each can be used"
        )
    return made


def runs_on(session: Any, device: torch.device) -> bool:
    """Whether ``session`` uses ``device``: onnxruntime takes the processor without a word where it fails."""
    return device == CPU or PROVIDERS[device.type] in session.get_providers()


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise missing_package("onnx", "onnxruntime", "onnx") from None
    return onnxruntime
