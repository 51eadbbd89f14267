"""Which numbers a processor is fast with."""

from __future__ import annotations

import torch


def bfloat16_is_fast() -> bool:
    """Whether this processor multiplies bfloat16 natively; others are a hundred times slower with it."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
