"""The limit to one thread ends with the last of those who asked for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from separators import blas_threads
from separators.blas_threads import on_one_thread


class Libraries:
    """As threadpoolctl's controller: a limit is set when it is made, and remembers what was before."""

    def __init__(self):
        self.threads = 4

    def limit(self, limits, user_api):
        return Limit(self, limits)


class Limit:
    def __init__(self, libraries, threads):
        self.libraries, self.before = libraries, libraries.threads
        libraries.threads = threads

    def restore_original_limits(self):
        self.libraries.threads = self.before


@pytest.fixture
def libraries(monkeypatch):
    made = Libraries()
    monkeypatch.setattr(blas_threads, "_libraries", lambda: made)
    return made


def test_threads_that_overlap_leave_the_limit_as_it_was(libraries):
    both, first_is_gone = Barrier(2), Event()

    @on_one_thread
    def first():
        both.wait(10)
        return libraries.threads

    @on_one_thread
    def second():
        both.wait(10)
        assert first_is_gone.wait(10)
        return libraries.threads

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(first), threads.submit(second)]
        assert calls[0].result() == 1
        first_is_gone.set()
        assert calls[1].result() == 1
    assert libraries.threads == 4


def test_calls_inside_each_other_and_errors(libraries):
    @on_one_thread
    def inner():
        assert libraries.threads == 1
        raise KeyError

    @on_one_thread
    def outer():
        with pytest.raises(KeyError):
            inner()
        return libraries.threads

    assert outer() == 1
    assert libraries.threads == 4
