"""Pans of REAPER's tracks and of its master: modes, laws, widths.

``VOLPAN`` and ``MASTER_VOLUME`` hold a volume, a pan, a law, and the places of the left and the right channel
in dual pan; the last one is the width in stereo pan.
"""

from __future__ import annotations

from collections.abc import Callable

from plugin_bridge.sessions.model import PanMode, Session, Track
from plugin_bridge.sessions.rpp.text import Block, Line

BALANCE = 3
PAN_MODES = {0: PanMode.BALANCE, BALANCE: PanMode.BALANCE, 5: PanMode.STEREO, 6: PanMode.DUAL}
"""REAPER 3's balance; stereo balance and mono pan; stereo pan with its width; dual pan."""
LAWS_KNOWN = (0.5, 1.0, 2.0)
"""Laws that are straight lines, whatever the taper."""
LINEAR = 2
"""The straight one of the tapers that ``PANLAWFLAGS`` names."""


class Pans:
    """Looked up once: what a project says takes going through all of it."""

    def __init__(self, root: Block) -> None:
        self._root = root
        self._mode = root.line("PANMODE").whole_at(0, BALANCE)
        self._law = root.line("PANLAW").number_at(0, 1)
        self._taper = root.line("PANLAWFLAGS").whole_at(0, 0)

    def read_master(self, session: Session) -> None:
        """Fill in the pan of the master."""
        line = self._root.line("MASTER_VOLUME")
        mode = self._root.line("MASTER_PANMODE").whole_at(0, self._mode)
        session.master_pan_mode = PAN_MODES.get(mode, PanMode.BALANCE)
        session.master_width, session.master_dual_pan = _width(line), _dual_pan(line)
        session.master_pan = 0.0 if session.master_pan_mode is PanMode.DUAL else _pan(line)

    def read(self, block: Block, track: Track, remark: Callable[[str], None]) -> None:
        """Fill in that of a track; what is not played as it is goes to ``remark``."""
        line = block.line("VOLPAN")
        mode = block.line("PANMODE").whole_at(0, self._mode)
        track.pan_mode = PAN_MODES.get(mode, PanMode.BALANCE)
        track.width = _width(line) if track.pan_mode is PanMode.STEREO else 1.0
        if track.pan_mode is PanMode.DUAL:
            track.dual_pan = _dual_pan(line)
        else:
            track.pan = _pan(line)
        if mode not in PAN_MODES and (track.pan or _width(line) != 1):
            remark(f"pan mode {mode} is played as balance")
        law = line.number_at(2, -1)
        law = self._law if law < 0 else law
        law = law if 0 < law <= 4 else 1.0
        track.pan_law, track.pan_boosts = (1 / law, True) if law > 1 else (law, False)
        taper = block.line("PANLAWFLAGS").whole_at(0, self._taper)
        if law not in LAWS_KNOWN and taper != LINEAR and 0 < abs(track.pan) < 1:
            remark(f"pan law {law:g} is played with a straight taper")


def _pan(line: Line) -> float:
    return max(-1.0, min(1.0, line.number_at(1, 0)))


def _width(line: Line) -> float:
    return max(-1.0, min(1.0, line.number_at(4, 1)))


def _dual_pan(line: Line) -> tuple[float, float]:
    return max(-1.0, min(1.0, line.number_at(3, -1))), _width(line)
