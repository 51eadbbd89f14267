"""Demucs and its successors from local checkpoints (Défossez 2021; Rouard, Massa, Défossez 2023)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from separators.models.demucs_files import load, parts
from separators.models.running import LocalModel, Model, loaded
from separators.parameters import parameter
from separators.registry import BUILT_IN


class Demucs(LocalModel):
    """Songs, by a Demucs, Hybrid Demucs or Hybrid Transformer Demucs from the user's own disk.

    The stems are those that the checkpoint names. Needs the extra ``demucs``; nothing is downloaded.
    """

    name = "demucs"
    summary = BUILT_IN[name].summary

    checkpoint: str = parameter(
        default="",
        help="A .th or .safetensors file, a bag's .yaml, or a name to be looked for, like htdemucs_ft.",
    )
    overlap: float = parameter(
        default=0.25,
        help="How much of a segment overlaps the next; more is slower and smoother.",
        minimum=0,
        maximum=0.9,
    )

    def model(self) -> Model:
        """The checkpoint's model; raises :class:`~separators.models.files.ModelError`."""
        return replace(loaded(load, *self.files()), overlap=self.overlap)

    def files(self) -> list[Path]:
        """The checkpoint, or the bag and its checkpoints."""
        return parts(self.checkpoint)
