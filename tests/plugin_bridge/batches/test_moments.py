"""When a watched folder is looked at, whatever the system says or fails to say."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest
import watchfiles

from plugin_bridge.batches.moments import moments


def broken(error):
    def watch(*_where, **_how):
        yield {("added", "song.wav")}
        yield set()
        raise error

    return watch


@pytest.mark.parametrize(
    "error", [OSError(28, "no space left on device"), RuntimeError("cannot decode path")]
)
def test_where_the_system_fails_the_folder_is_looked_at_again_and_again(error, monkeypatch):
    slept, pauses = [], iter([0.5, 7.0])
    monkeypatch.setattr(watchfiles, "watch", broken(error))
    monkeypatch.setattr("time.sleep", slept.append)
    seen = list(islice(moments(Path("in"), 0.5, lambda: next(pauses), poll=False), 5))
    assert seen == [True, False, True, True, True]
    assert slept == [0.5, 7.0]  # as long as who looks says


def test_polling_asks_nobody(monkeypatch):
    monkeypatch.setattr(watchfiles, "watch", broken(AssertionError("asked")))
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    assert list(islice(moments(Path("in"), 0.5, lambda: 0.5, poll=True), 3)) == [True] * 3


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every name is text")
def test_a_name_that_is_no_text_ends_nothing(tmp_path):
    seen = moments(tmp_path, 0.1, lambda: 0.1, poll=False)
    assert next(seen) is False  # nothing has come yet
    (tmp_path / os.fsdecode(b"\xff.wav")).touch()
    assert any(islice(seen, 50))
