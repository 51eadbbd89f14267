"""Sixteen hosted plug-ins of a preset: the time to load them one by one and side by side, and their memory.

    python -m benchmarks.hosting [NAME]

What side by side can gain is what processors have to spare: the second figure is the processors' time for all
sixteen, which divided by their number is the least that loading can take.
"""

import resource
import sys
import time

from plugin_bridge import Preset
from plugin_bridge.plugins import hosted

COUNT = 16


def load(preset, at_once):
    """The plug-ins, the seconds that loading them took, and those of all processors for the children."""
    hosted.SIDE_BY_SIDE = at_once
    start = time.perf_counter()
    plugins = list(preset.board())
    seconds = time.perf_counter() - start
    memory = sum(plugin.memory_bytes for plugin in plugins) / 2**20
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for plugin in plugins:
        plugin.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, processor, memory


def main(name):
    preset = Preset.parse('title = "Many"\n' + f'[[chain]]\nexternal = "{name}"\n' * COUNT)
    load(preset, hosted.SIDE_BY_SIDE)  # its files are in the system's memory then
    for at_once in (1, hosted.SIDE_BY_SIDE):
        seconds, processor, memory = load(preset, at_once)
        print(
            f"{COUNT} x {name}, {at_once} at a time: {seconds:.1f} s, {processor:.1f} s of processors, "
            f"{memory:.0f} MB resident in all, {memory / COUNT:.0f} MB each"
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "ZamCompX2")
