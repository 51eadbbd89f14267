"""A Dask cluster as an executor: the same results, whatever dies."""

from __future__ import annotations

import pytest

from plugin_bridge.engine.batch import run_jobs
from plugin_bridge.engine.contract import Workers
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.progress import Reporter
from tests.plugin_bridge.engine.test_batch import Recorder, Touch

pytest.importorskip("distributed", reason="needs the extra `cluster`")
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own, while it is torn down


def test_an_embedded_cluster_loses_nothing_and_blames_the_guilty(tmp_path):
    jobs = [Touch(f"good {n}", tmp_path) for n in range(3)]
    jobs[1:1] = [Touch("unlucky", tmp_path, "killed once"), Touch("error", tmp_path, "error")]
    recorder = Recorder()
    results = {result.job: result for result in run_jobs(jobs, recorder, Workers(1, "local"))}
    assert {job for job, result in results.items() if result.status == "failed"} == {"error"}
    assert results["error"].error == "the value is wrong"
    assert len(list(tmp_path.glob("*.done"))) == 4
    assert {event.job for event in recorder.events} <= {job.label for job in jobs}
    assert sorted(recorder.ends) == sorted(job.label for job in jobs)


def test_an_address_where_nobody_is_is_said(tmp_path):
    with pytest.raises(JobError, match="no scheduler answers there"):
        run_jobs([Touch("a", tmp_path)], Reporter(), Workers(1, "tcp://127.0.0.1:1"))


def test_memory_is_for_workers_of_our_own():
    with pytest.raises(JobError, match="--memory-limit"):
        Workers.chosen(2, "tcp://host:8786", "4GB")
