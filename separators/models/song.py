"""Songs by the best model on this machine: one of the user's own, or the package's small network."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from separators.base import Audio, Separator, Transform
from separators.errors import ParameterError
from separators.models.demucs import Demucs
from separators.models.files import GUIDE, ModelError
from separators.models.spleeter import INSTALL, Spleeter
from separators.neural.placement import NetworkSeparator
from separators.neural.wave_u_net import WaveUNet
from separators.parameters import parameter
from separators.registry import BUILT_IN

DEMUCS_CHECKPOINTS = ("htdemucs", "htdemucs_ft")
"""Names of Demucs' own, in the order in which they are looked for."""
STEMS = {4: ("vocals", "drums", "bass", "other"), 2: ("vocals", "accompaniment")}
LABELS = {
    "demucs": "an HTDemucs checkpoint",
    "spleeter": "Spleeter's networks",
    "wave-u-net": "the small network that comes with Stembridge",
}


class Song(NetworkSeparator):
    """Vocals and accompaniment of a song, or four stems, by the best model that is there.

    The order: an HTDemucs checkpoint; of two stems Spleeter's networks; the Wave-U-Net that comes with
    the package. Which one it was is said with the result. ``model`` pins one of them.
    """

    name = "song"
    summary = BUILT_IN[name].summary

    stems: int = parameter(
        default=2, help="2: vocals, accompaniment. 4: vocals, drums, bass, other.", choices=(2, 4)
    )
    model: str = parameter(
        default="best",
        help="best: the first that is there of demucs, spleeter (two stems) and wave-u-net; or one of them.",
        choices=("best", "demucs", "spleeter", "wave-u-net"),
    )

    # Enough for each of the models.
    block_seconds = WaveUNet.block_seconds
    overlap_seconds = WaveUNet.overlap_seconds
    _sample_seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises ParameterError where the pinned model has no such stems."""
        if self.stems == 4 and self.model == "spleeter":
            raise ParameterError("song: spleeter gives 2 stems, not 4; set model to demucs or wave-u-net")

    @property
    def fit_seconds(self) -> float:
        """Those of the chosen model, whose result depends on how loud its sample is, or what was set."""
        if self._sample_seconds is not None:
            return self._sample_seconds
        try:
            return self.chosen().fit_seconds
        except ModelError:  # which is said when it is to work
            return WaveUNet.fit_seconds

    @fit_seconds.setter
    def fit_seconds(self, seconds: float) -> None:
        self._sample_seconds = seconds

    def chosen(self) -> Separator:
        """The separator that does the work; raises ModelError where a pinned one is missing."""
        missing: ModelError | None = None
        for candidate in self._candidates():
            try:
                candidate.files()
            except ModelError as error:
                missing = missing or error
                continue
            if isinstance(candidate, Demucs) and self.model == "best" and not find_spec("demucs"):
                continue
            return candidate
        assert missing is not None  # without a pinned model the last candidate is always there
        raise missing

    def _candidates(self) -> Iterator[Separator]:
        """In order of preference."""
        if self.model in ("best", "demucs"):
            yield from (Demucs(checkpoint=name, device=self.device) for name in DEMUCS_CHECKPOINTS)
        if self.model in ("best", "spleeter") and self.stems == 2:
            yield Spleeter(device=self.device)
        if self.model in ("best", "wave-u-net"):
            yield WaveUNet(stems=self.stems, device=self.device)

    def files(self) -> list[Path]:
        """Those of the chosen model; raises ModelError where a pinned one is missing."""
        return self.chosen().files()

    def particulars(self) -> list[str]:
        """Which model it is, and how to get a better one."""
        chosen = self.chosen()
        line = f"song: separated by {LABELS[chosen.name]}"
        where = chosen.particulars()
        if self.model != "best" or chosen.name == "demucs":
            return [line, *where]
        better = "an HTDemucs checkpoint"
        if chosen.name == "wave-u-net" and self.stems == 2:
            better = f"Spleeter's networks ({INSTALL}) or {better}"
        return [f"{line}; {better} would be better, {GUIDE}", *where]

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """Vocals and accompaniment, or vocals, drums, bass and other."""
        return STEMS[self.stems]

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Fit the chosen model; its last stem here takes what the others leave."""
        chosen = self.chosen()
        names = chosen.stem_names(len(sample))
        wanted = STEMS[self.stems][:-1]
        absent = [name for name in wanted if name not in names]
        if absent:
            raise ModelError(f"song: {chosen!r} gives no stem {absent[0]}; set model to another ({GUIDE})")
        transform = chosen.fit(sample, sample_rate)
        places = [names.index(name) for name in wanted]

        def separate(block: Audio) -> Audio:
            found = transform(block)[places]
            return np.concatenate([found, (block - found.sum(0))[np.newaxis]])

        return separate
