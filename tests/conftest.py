"""What all tests share: one thread per process, and a preset file.

Small products on busy cores are many times slower with more threads.
"""

import os
import resource
import signal

import pytest

for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture
def ctrl_c():
    """SIGINT reaches this process and those it starts, also where the suite's shell ignores it (``&``)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def full_disk():
    """``full_disk(size)``: no file of this process grows beyond so many bytes; writing more fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def preset(tmp_path):
    """A preset file that un-pans stereo."""
    # Only now: the libraries that this imports read the number of threads.
    from tests.plugin_bridge.command_helpers import UNPAN

    path = tmp_path / "unpan.toml"
    path.write_text(UNPAN)
    return path
