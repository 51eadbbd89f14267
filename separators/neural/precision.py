"""Which numbers a device is fast with."""

from __future__ import annotations

import torch

from separators.neural.devices import CPU


def bfloat16_is_fast(device: torch.device = CPU) -> bool:
    """Whether ``device`` multiplies bfloat16 natively; others are a hundred times slower with it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == CPU and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
