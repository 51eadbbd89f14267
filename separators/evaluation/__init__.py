"""How good stems are: SI-SDR, SDR, BSS Eval; the floor and the ceiling of any method."""

from separators.evaluation.measures import (
    Report,
    StemScore,
    bss_eval_sdr,
    evaluate,
    evaluate_sources,
    median_sdr,
    sdr,
    si_sdr,
)

__all__ = [
    "Report",
    "StemScore",
    "bss_eval_sdr",
    "evaluate",
    "evaluate_sources",
    "median_sdr",
    "sdr",
    "si_sdr",
]
