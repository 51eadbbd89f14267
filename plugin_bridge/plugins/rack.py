"""A separator with a chain of plug-ins for each stem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pedalboard

from plugin_bridge.plugins.board import Member, as_board
from plugin_bridge.plugins.processor import (
    SeparatorPlugin,
    describe,
    possible_stems,
    refuse_streaming,
    refuse_unknown_stems,
)
from plugin_bridge.plugins.python_plugin import PythonPlugin, run_python
from plugin_bridge.plugins.sidechains import sidechains
from separators import Audio, Separator


class StemRack(PythonPlugin):
    """A separator with a chain of plug-ins for each stem.

    ``chains`` maps stem names to lists of plug-ins; stems without a chain stay as they are.
    With ``remix`` the result has the input's channels: the sum of the stems, each as its chain makes it. An
    empty rack returns its input, bit by bit.
    Without ``remix`` all stems are passed on as ``(stems * channels, frames)``.
    """

    settable = ("plugin", "chains", "remix")

    def __init__(
        self,
        separator: Separator | SeparatorPlugin,
        chains: Mapping[str, Sequence[Member] | pedalboard.Chain] | None = None,
        remix: bool = False,
    ) -> None:
        super().__init__()
        self.plugin = separator if isinstance(separator, SeparatorPlugin) else SeparatorPlugin(separator)
        self.chains = {name: as_board(chain) for name, chain in (chains or {}).items()}
        self.remix = remix
        if self.chains:
            refuse_unknown_stems(self.separator, self.chains, possible_stems(self.separator))

    @property
    def mono_to_1d(self) -> bool:  # type: ignore[override]
        """As ``remix``: without it, mono becomes several channels."""
        return self.remix

    @property
    def gives_stems(self) -> bool:  # type: ignore[override]
        """Whether the stems are passed on."""
        return not self.remix

    @property
    def separator(self) -> Separator:
        """The separator."""
        return self.plugin.separator

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """The names of the stems for a mixture of ``channels`` channels."""
        return self.separator.stem_names(channels)

    def run(self, audio: Audio, sample_rate: float, buffer_size: int, reset: bool) -> Audio:
        """Separate and run the chains; raises ValueError as the separator does, and for wrong stem names."""
        refuse_streaming(self, reset)
        channels, frames = audio.shape
        names = self.stem_names(channels)
        refuse_unknown_stems(self.separator, self.chains, names)
        chains = {name: chain for name, chain in self.chains.items() if len(chain) or chain.needs_python()}
        if self.remix and not chains:
            return audio.copy()
        separated = run_python(self.plugin, audio, sample_rate, buffer_size, True)
        if separated.shape != (len(names) * channels, frames):
            raise ValueError(
                f"{type(self.plugin).__name__} gave {separated.shape} for {len(names)} stems of "
                f"{(channels, frames)}; a rack needs all stems, one behind the other"
            )
        stems = dict(zip(names, np.split(separated, len(names)), strict=True))
        with sidechains(stems=stems):
            made = {
                name: run_python(chain, stems[name], sample_rate, buffer_size, True)
                for name, chain in chains.items()
            }
        for name, processed in made.items():
            if processed.shape != (channels, frames):
                raise ValueError(
                    f"the chain of stem {name!r} turned {(channels, frames)} into {processed.shape}; "
                    "a stem keeps its channels and frames"
                )
        if not self.remix:
            return np.concatenate([made.get(name, stems[name]) for name in stems])
        # As jobs sum, so that a limiter behind it, which may amplify a lot, gets the same bits from both.
        parts = [made.get(name, stem) for name, stem in stems.items()]
        return np.asarray(np.stack(parts).sum(axis=0, dtype=np.float64), np.float32)

    def reset(self) -> None:
        """Reset every chain."""
        super().reset()
        for chain in self.chains.values():
            chain.reset()

    def __repr__(self) -> str:
        chains = ", ".join(f"{name}: {list(chain)}" for name, chain in self.chains.items())
        return (
            f"<plugin_bridge.StemRack {describe(self.separator)} remix={self.remix} "
            f"chains={{{chains}}} at {id(self):#x}>"
        )
