"""What the program finds around itself: streams that are closed, libraries that print, signals to end."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""They end the program as Ctrl-C does: running jobs clean up."""


def take_over(debug: bool) -> None:
    """Make the process fit for the program; only for one that is the program's own."""
    _open_streams()
    if not debug:
        _silence_libraries()
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup and shells may have it ignored
            signal.signal(number, _stop)


def _open_streams() -> None:
    """Where standard streams are closed, files opened later would get their numbers and what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+" if number == 0 else "w"))  # noqa: SIM115, PTH123


def _silence_libraries() -> None:
    """What libraries print on their own (decoders, torch) is lost; the program says what is wrong itself."""
    warnings.simplefilter("ignore")
    if sys.stderr is None or sys.stderr.fileno() != 2:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    encoding = sys.stderr.encoding
    sys.stderr = open(kept, "w", buffering=1, encoding=encoding, errors="backslashreplace")  # noqa: SIM115, PTH123
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)


def _stop(number: int, frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # one is enough: cleaning up is not to be cut short
    raise KeyboardInterrupt
