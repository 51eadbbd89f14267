"""Progress for programs: one JSON object a line, each an event, as ``docs/events.schema.json`` says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.pace import Pace
from plugin_bridge.jobs.progress import Event, Reporter
from plugin_bridge.terminal import one_line

STEP_SECONDS = 0.1
"""Between two events of the same job and stage, at least."""


class EventReporter(Reporter):
    """Writes events to a stream: ``begin``, ``progress``, ``job``, ``more``, ``log``; callers say ``end``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._pace = Pace()
        self._jobs = self._count = 0
        self._ended: set[str] = set()
        self._said: dict[str, tuple[str, float]] = {}

    def weigh(self, seconds: Mapping[str, float]) -> None:
        """Known before the batch begins."""
        self._pace.weigh(seconds)

    def begin(self, jobs: int) -> None:
        """The event ``begin``."""
        self._jobs, self._count = jobs, 0
        self._ended, self._said = set(), {}
        self._pace.begin(jobs)
        self.write("begin", jobs=jobs, audio_seconds=self._pace.audio_seconds)

    def more(self, seconds: Mapping[str, float]) -> None:
        """The event ``more``."""
        with self._lock:
            self._jobs += len(seconds)
            self._ended -= seconds.keys()
            self._pace.more(seconds)
            self._write("more", jobs=self._jobs, audio_seconds=self._pace.audio_seconds)

    def update(self, event: Event) -> None:
        """The event ``progress``."""
        with self._lock:
            if event.job in self._ended:
                return  # from a worker that is heard late
            self._pace.update(event.job, event.fraction)
            stage, said = self._said.get(event.job, ("", 0.0))
            now = time.monotonic()
            if stage == event.stage and now - said < STEP_SECONDS:
                return
            self._said[event.job] = (event.stage, now)
            self._write(
                "progress",
                job=event.job,
                stage=event.stage,
                fraction=round(event.fraction, 4),
                **self._figures(),
            )

    def end(self, result: Result) -> None:
        """The event ``job``."""
        with self._lock:
            self._ended.add(result.job)
            self._count += 1
            self._said.pop(result.job, None)
            self._pace.update(result.job, 1.0, free=result.status != "done")
            self._write("job", ended=self._count, jobs=self._jobs, **self._figures(), **result.as_json())

    def finish(self, job: str, outcome: str) -> None:
        """Said by :meth:`end` already."""

    def say(self, line: str) -> None:
        """The event ``log``."""
        self.write("log", line=line)

    def write(self, event: str, **values: Any) -> None:
        """Any event."""
        with self._lock:
            self._write(event, **values)

    def _write(self, event: str, **values: Any) -> None:
        text = json.dumps({"event": event, "time": round(time.time(), 3), **values}, ensure_ascii=False)
        self._stream.write(f"{one_line(text)}\n")
        self._stream.flush()

    def _figures(self) -> dict[str, float | None]:
        speed, left = self._pace.times_real_time, self._pace.seconds_left
        return {
            "times_real_time": None if speed is None else round(speed, 2),
            "seconds_left": None if left is None else round(left, 1),
        }
