"""Any ONNX model, described by a small TOML file."""

from __future__ import annotations

from pathlib import Path

from separators.models import onnx_sessions
from separators.models.onnx_files import files_of, load
from separators.models.running import LocalModel, Model, loaded
from separators.neural.devices import CPU
from separators.neural.placement import Placement
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

    def placement(self, halvings: int = 0) -> Placement:
        """Where onnxruntime runs it, which needs no GPU that PyTorch can use; raises DeviceError."""
        return Placement(self.name, onnx_sessions.chosen(self.device), halvings)

    def particulars(self) -> list[str]:
        """On which device onnxruntime runs the model, if it is a GPU or should have been."""
        device = onnx_sessions.chosen(self.device)
        if onnx_sessions.runs_on(onnx_sessions.session(self.files()[1], device), device):
            return [] if device == CPU else [f"{self.name}: runs on {device}, by onnxruntime"]
        return [f"{self.name}: device {self.device}: onnxruntime could not use {device} and runs on the CPU"]

    def files(self) -> list[Path]:
        """The description and the model."""
        return files_of(self.checkpoint)
