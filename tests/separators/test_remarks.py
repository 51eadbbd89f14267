"""What a separator says reaches the thread that called it, and no other."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from separators import ICA
from separators.errors import SeparatorWarning
from separators.remarks import heard_by, remark

THREADS = 8


def test_without_a_listener_it_is_a_warning():
    with pytest.warns(SeparatorWarning, match="found no drums"):
        remark("nmf: found no drums")


def test_the_listener_nearest_hears_and_is_gone_afterwards():
    outer, inner = [], []
    with heard_by(outer.append):
        with heard_by(inner.append):
            remark("inner")
        remark("outer")
    assert (outer, inner) == (["outer"], ["inner"])
    with pytest.warns(SeparatorWarning):
        remark("nobody listens")


def test_each_thread_hears_its_own():
    everybody = Barrier(THREADS)

    def listen(number):
        lines = []
        with heard_by(lines.append):
            for turn in range(20):
                everybody.wait()
                remark(f"{number}: {turn}")
        return lines

    with ThreadPoolExecutor(THREADS) as threads:
        heard = list(threads.map(listen, range(THREADS)))
    assert heard == [[f"{number}: {turn}" for turn in range(20)] for number in range(THREADS)]


def test_a_thread_without_a_listener_warns_although_another_listens():
    def separate():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ICA().separate(np.random.default_rng(1).standard_normal((2, 20)).astype(np.float32), 8000)
        return [warning.category for warning in caught]

    lines = []
    with heard_by(lines.append), ThreadPoolExecutor(1) as thread:
        assert SeparatorWarning in thread.submit(separate).result()
        assert lines == []
        ICA().separate(np.random.default_rng(1).standard_normal((2, 20)).astype(np.float32), 8000)
    assert len(lines) == 1
    assert "too few" in lines[0]
