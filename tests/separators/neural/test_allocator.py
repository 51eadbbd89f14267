import platform
import subprocess
import sys

import pytest

from separators.neural.allocator import keep_block_memory, keep_freed_memory

FAULTS = """
import resource
import numpy as np
from separators.neural import allocator

def work():
    return sum(array[0] for array in [np.ones(2_500_000) for _ in range(5)])

allocator.KEEP()
work()
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="nothing is done without glibc")
@pytest.mark.parametrize("keep", [keep_block_memory, keep_freed_memory])
def test_freed_memory_is_used_again(keep):
    """Five arrays of 20 MB are not got from the kernel page by page once more."""
    code = FAULTS.replace("KEEP", keep.__name__)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 10
