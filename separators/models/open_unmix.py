"""Open-Unmix from local state files (Stöter, Uhlich, Liutkus, Mitsufuji 2019)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from separators.models.open_unmix_files import files_of, load
from separators.models.running import LocalModel, Model, loaded
from separators.parameters import parameter
from separators.registry import BUILT_IN


class OpenUnmix(LocalModel):
    """Songs, by networks of Open-Unmix from the user's own disk, one for each stem.

    The stems are called as their files are, up to the first hyphen. Nothing is downloaded.
    """

    name = "open-unmix"
    summary = BUILT_IN[name].summary

    checkpoint: str = parameter(
        default="",
        help="Folder of state files (vocals-....pth, ...), one such file, or umx, umxhq, umxl to be looked "
        "for.",
    )
    wiener: bool = parameter(
        default=True, help="Refine the stems by a multichannel Wiener filter; else by plain masks."
    )

    def model(self) -> Model:
        """The networks; raises :class:`~separators.models.files.ModelError`."""
        return replace(loaded(load, *self.files()), wiener=self.wiener)

    def files(self) -> list[Path]:
        """The state files."""
        return files_of(self.checkpoint)
