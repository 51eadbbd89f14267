"""Ctrl-C within two seconds, whatever a job is doing; a second one at once.

Python raises KeyboardInterrupt between two of its own instructions, and a network's block may take longer
than people wait. So a thread hears of signals by itself, and ends the process when the jobs have not.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from plugin_bridge.jobs.workspace import remove_all

GRACE_SECONDS = 1.6
"""How long jobs may clean up by themselves. Local workers need a little less."""
ENDING = frozenset(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def prompt_stop(status: int, last_words: Callable[[], None]) -> Iterator[None]:
    """Within, a signal to end the program does so soon, with exit status ``status``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, systems = socket.socketpair()
    systems.setblocking(False)
    heard: list[int] = []
    thread = threading.Thread(target=_hear, args=(ours, heard, status, last_words), daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(systems.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        systems.close()
        thread.join()
        ours.close()
        if heard:
            remove_all()  # the signal may have met a job that was doing just that
    if heard:  # and lost: what Python code raises that a library called back goes no further
        raise KeyboardInterrupt


def _hear(ours: socket.socket, heard: list[int], status: int, last_words: Callable[[], None]) -> None:
    """Wait for signals until nobody can send any more; then forget those that there were."""
    timer: threading.Timer | None = None

    def end(clean: bool) -> None:
        if clean:
            remove_all()
        with suppress(Exception):
            last_words()
        os._exit(status)

    while numbers := ours.recv(1):
        number = numbers[0]
        # Asked before anything is done: what is ignored, or has a handler of its own, is not ours.
        if number not in ENDING or signal.getsignal(number) is signal.SIG_DFL:
            continue
        heard.append(number)
        if timer is not None and number == signal.SIGINT:
            end(clean=False)
        if timer is None:
            timer = threading.Timer(GRACE_SECONDS, end, [True])
            timer.daemon = True
            timer.start()
    if timer is not None:
        timer.cancel()
