"""The third-party plug-ins of chains, loaded side by side: each starts a process, and waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_bridge.presets.chains import PluginEntry

if TYPE_CHECKING:
    from plugin_bridge.plugins.hosting import HostedPlugin


@contextmanager
def loading(
    entries: Iterable[PluginEntry], plugin_paths: Sequence[Path], folder: Path
) -> Iterator[Callable[[PluginEntry], HostedPlugin]]:
    """Load all third-party plug-ins of ``entries``; what it gives waits for one of them.

    It raises :class:`PluginError` where that one is not to be had, so that the error comes where the plug-in
    stands in the preset, whichever of them failed first.
    """
    from plugin_bridge.plugins.hosted import SIDE_BY_SIDE

    hosted = [inner for entry in entries for inner in entry.inside() if inner.external is not None]
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    futures = {id(entry): pool.submit(entry.host, plugin_paths, folder) for entry in hosted}
    try:
        yield lambda entry: futures[id(entry)].result()
    finally:
        pool.shutdown(cancel_futures=True)
