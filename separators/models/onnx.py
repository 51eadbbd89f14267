"""Any ONNX model, described by a small TOML file."""

from __future__ import annotations

from pathlib import Path

from separators.models.onnx_files import files_of, load
from separators.models.running import LocalModel, Model, loaded
from separators.parameters import parameter
from separators.registry import BUILT_IN


class ONNXModel(LocalModel):
    """Whatever an ONNX model of the user's own separates, on waveforms or complex spectrograms.

    :mod:`separators.models.onnx_files` shows the description. Needs the extra ``onnx``; nothing is
    downloaded.
    """

    name = "onnx"
    summary = BUILT_IN[name].summary

    checkpoint: str = parameter(default="", help="The TOML file that describes the model beside it.")

    def model(self) -> Model:
        """The model; raises :class:`~separators.models.files.ModelError`."""
        return loaded(load, *self.files())

    def files(self) -> list[Path]:
        """The description and the model."""
        return files_of(self.checkpoint)
