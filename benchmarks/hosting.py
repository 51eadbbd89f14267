"""Sixteen hosted plug-ins at once: how long they take to load, one by one and side by side, and their memory.

python -m benchmarks.hosting [NAME]
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from plugin_bridge import HostedPlugin

COUNT = 16


def load(name, at_once):
    """The plug-ins, and the seconds that loading them took."""
    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        plugins = list(pool.map(HostedPlugin, [name] * COUNT))
    return plugins, time.perf_counter() - start


def main(name):
    for at_once in (1, 4):
        plugins, seconds = load(name, at_once)
        memory = sum(plugin.memory_bytes for plugin in plugins) / 2**20
        for plugin in plugins:
            plugin.close()
        print(
            f"{COUNT} x {name}, {at_once} at a time: {seconds:.1f} s, "
            f"{memory:.0f} MB resident in all, {memory / COUNT:.0f} MB each"
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "ZamCompX2")
