"""A limit of memory: who needs more fails alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from plugin_bridge.engine.batch import run_jobs
from plugin_bridge.engine.contract import Workers
from plugin_bridge.engine.memory import can_measure, parse_bytes
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.contract import Result
from plugin_bridge.jobs.progress import Reporter


@dataclass(frozen=True)
class Fill:
    """Holds so many megabytes for a while."""

    label: str
    megabytes: int

    def run(self, report):
        held = []
        for _ in range(self.megabytes // 50):
            held.append(np.ones(50_000_000, np.uint8))
        for _ in range(20 if self.megabytes else 1):
            report("holding", 0.5)
            import time

            time.sleep(0.1)
        return Result(self.label, "done")


@pytest.mark.skipif(not can_measure(), reason="memory cannot be measured here")
def test_a_job_that_needs_too_much_fails_alone():
    jobs = [Fill("small", 0), Fill("large", 3000), Fill("small too", 0)]
    results = run_jobs(jobs, Reporter(), Workers(1, memory_bytes=1_500_000_000))
    assert [result.status for result in results] == ["done", "failed", "done"]
    assert "needed more memory than --memory allows" in results[1].error


@pytest.mark.parametrize("text", ["", "much", "4 GX", "-1GB", "3MB"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(JobError, match=r"write it like 4GB|less than a worker needs"):
        parse_bytes(text)
