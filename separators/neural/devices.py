"""The machines that networks run on: the processor, or a GPU that was tried out before.

Names are PyTorch's: ``cpu``, ``cuda`` (NVIDIA's GPUs, and AMD's in builds for ROCm), ``cuda:1``, ``mps``
(Apple's); ``auto`` is the first GPU that works, else the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch

from separators.errors import SeparatorError
from separators.parameters import Form

CPU = torch.device("cpu")
AUTO = "auto"
NAMES = Form(r"auto|cpu|mps|cuda(:\d{1,3})?", "auto, cpu, cuda, cuda:NUMBER or mps")
TOLERANCE = 1e-3
"""How far a GPU's results may lie from the processor's, as a part of these, when it is tried out."""


class DeviceError(SeparatorError):
    """The device that was asked for is not there, or does not work."""


def chosen(name: str) -> torch.device:
    """The device called ``name``, which is one of :data:`NAMES`; raises :class:`DeviceError`."""
    if name == AUTO:
        return next((device for device in gpus() if not trouble(device)), CPU)
    device = torch.device("cuda:0" if name == "cuda" else name)
    if reason := trouble(device):
        raise DeviceError(f"device {name}: {reason}; auto and cpu work everywhere")
    return device


def gpus() -> Iterator[torch.device]:
    """All GPUs that PyTorch sees, whether they work or not."""
    if torch.cuda.is_available():
        yield from (torch.device("cuda", number) for number in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        yield torch.device("mps")


def called(device: torch.device) -> str:
    """The device with the name of its model: ``cuda:0 (NVIDIA H100)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return {"cpu": "the CPU", "mps": "mps (Apple's GPU)"}.get(device.type, str(device))


def said(owner: str, name: str) -> list[str]:
    """Lines for people on where ``owner`` runs when ``name`` is asked for; none of the plain processor.

    Raises :class:`DeviceError`.
    """
    device = chosen(name)
    if device != CPU:
        return [f"{owner}: runs on {called(device)}"]
    if name != AUTO:
        return []
    return [f"{owner}: runs on the CPU, since {called(gpu)} does not work: {trouble(gpu)}" for gpu in gpus()]


@cache
def trouble(device: torch.device) -> str:
    """Why networks cannot run on ``device``, in words; empty if they can. Tried out once."""
    if device == CPU:
        return ""
    if device.type == "cuda":
        if not (torch.version.cuda or torch.version.hip):
            return f"this PyTorch ({torch.__version__}) was built without CUDA"
        if not torch.cuda.is_available():
            return "no GPU with a driver that works is found"
        if (count := torch.cuda.device_count()) <= (device.index or 0):
            return f"there {'is one GPU' if count == 1 else f'are {count} GPUs'}, numbered from 0"
    elif not torch.backends.mps.is_available():
        return "this machine has no GPU of Apple's that PyTorch can use"
    try:
        right = _tried(CPU)
        far = float((_tried(device) - right).abs().max() / right.abs().max())
    except Exception as error:  # drivers and kernels fail in many ways
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return "" if far < TOLERANCE else "its results are wrong"


def _tried(device: torch.device) -> torch.Tensor:
    """A bit of what networks do: convolution, product of matrices, complex spectra."""
    audio = torch.sin(torch.arange(512, dtype=torch.float32)).to(device)[None]
    heard = torch.nn.functional.conv1d(audio[None], audio[None, :, :9] / 9, padding=4)[0]
    spectrum = torch.stft(heard, 64, window=torch.hann_window(64).to(device), return_complex=True)
    masks = torch.softmax(spectrum.abs().transpose(1, 2) @ spectrum.abs() / 512, -1)
    share = torch.complex(masks.mean(1), torch.zeros_like(masks.mean(1)))
    return torch.istft(share[:, None] * spectrum, 64, window=torch.hann_window(64).to(device)).cpu()
