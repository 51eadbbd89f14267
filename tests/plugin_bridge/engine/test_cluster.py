"""A Dask cluster: scheduler and workers as processes of their own, found by address; and an embedded one."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass

import pytest

from benchmarks.processes import Cluster, processes
from plugin_bridge.engine import cluster as engine_cluster
from plugin_bridge.engine.batch import run_jobs
from plugin_bridge.engine.contract import NoWorkersError, Workers
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.progress import Event, Reporter
from tests.plugin_bridge.command_helpers import STEM_FILES, error_of, files, noise, run, write
from tests.plugin_bridge.engine.test_batch import Interrupting, Recorder, Touch, _runs, _wait_until

pytest.importorskip("distributed", reason="needs the extra cluster")
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own; what these tests assert is elsewhere


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, which are started again when they die, as the scheduler is."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), 2)
    closing = threading.Event()

    def keep():
        while not closing.wait(0.2):
            cluster.keep()

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    yield cluster
    closing.set()
    thread.join()
    cluster.close()


def at(cluster, count=1):
    return Workers(count, cluster.address)


def stems(folder):
    return {name: (folder / name).read_bytes() for name in files(folder) if name.endswith(".wav")}


def test_jobs_run_in_the_clusters_workers_and_tell_how_far_they_are(cluster, tmp_path):
    jobs = [Touch("a", tmp_path), Touch("b", tmp_path, "error"), Touch("c", tmp_path), Touch("c2", tmp_path)]
    recorder = Recorder()
    results = run_jobs(jobs, recorder, at(cluster))
    assert [result.status for result in results] == ["done", "failed", "done", "done"]
    assert results[1].error == "the value is wrong"
    assert sorted(recorder.ends) == ["a", "b", "c", "c2"]
    assert Event("a", "working", 0.0) in recorder.events
    homes = {pid for label in ("a", "b", "c", "c2") for pid in _runs(tmp_path, label)}
    assert str(os.getpid()) not in homes
    assert homes <= {str(pid) for pid in cluster.worker_processes()}


def test_equal_jobs_are_two_jobs(cluster, tmp_path):
    run_jobs([Touch("a", tmp_path), Touch("a", tmp_path)], Reporter(), at(cluster))
    assert len(_runs(tmp_path, "a")) == 2


def test_a_poisonous_job_fails_alone(cluster, tmp_path):
    jobs = [Touch(f"good {n}", tmp_path) for n in range(3)]
    jobs[1:1] = [Touch("poison", tmp_path, "poison"), Touch("unlucky", tmp_path, "killed once")]
    results = {result.job: result for result in run_jobs(jobs, Reporter(), at(cluster))}
    assert {job for job, result in results.items() if result.status == "failed"} == {"poison"}
    assert "the last time while it ran alone" in results["poison"].error
    assert len(list(tmp_path.glob("*.done"))) == 4


class KillingScheduler(Recorder):
    """The scheduler is killed when the first of the jobs is done."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster

    def finish(self, job, outcome):
        super().finish(job, outcome)
        if len(self.ends) == 1:
            self.cluster.kill_scheduler()


def test_jobs_outlive_their_scheduler(cluster, tmp_path):
    jobs = [Touch(f"job {n}", tmp_path) for n in range(8)]
    recorder = KillingScheduler(cluster)
    results = run_jobs(jobs, recorder, at(cluster))
    assert [result.status for result in results] == ["done"] * 8
    assert sorted(recorder.ends) == [f"job {n}" for n in range(8)]  # each ends once
    assert len(list(tmp_path.glob("*.done"))) == 8


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_stops_the_clusters_jobs_which_clean_up(cluster, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_jobs([Touch("a", tmp_path, "slow"), Touch("b", tmp_path, "slow")], Interrupting(), at(cluster))
    _wait_until(lambda: not list(tmp_path.glob("*.half")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.runs", "b.runs"]
    # Who worked for that batch works for the next one.
    assert [result.status for result in run_jobs([Touch("c", tmp_path)], Reporter(), at(cluster))] == ["done"]


def test_files_separated_by_address_are_those_of_a_serial_run(cluster, preset, tmp_path):
    for number in range(4):
        write(tmp_path / "in" / f"{number}.wav", noise(seconds=0.3, seed=number))
    words = ("separate", tmp_path / "in", "-p", preset)
    run(*words, "-o", tmp_path / "serial")
    run(*words, "-o", tmp_path / "out", "--cluster", cluster.address)
    assert files(tmp_path / "out") == [f"{number}/{name}" for number in range(4) for name in STEM_FILES]
    assert stems(tmp_path / "out") == stems(tmp_path / "serial")


class KillingWorker(Recorder):
    """One of the embedded cluster's workers is killed when a job runs in it."""

    killed = 0

    def update(self, event):
        super().update(event)
        if not self.killed:
            self.killed = int(_runs(self.folder, event.job)[0])
            os.kill(self.killed, signal.SIGKILL)


def test_an_embedded_cluster_replaces_a_killed_worker_and_leaves_none_behind(cluster, tmp_path):
    recorder = KillingWorker()
    recorder.folder = tmp_path
    jobs = [Touch(f"job {n}", tmp_path) for n in range(6)]
    results = run_jobs(jobs, recorder, Workers(2, "local"))
    assert [result.status for result in results] == ["done"] * 6
    assert recorder.killed
    assert sum(len(_runs(tmp_path, job.label)) for job in jobs) > len(jobs)  # one ran again
    _wait_until(lambda: not {*processes(os.getpid(), b"spawn_main")} - {*cluster.worker_processes()})


def test_files_separated_by_an_embedded_cluster_are_those_of_a_serial_run(preset, tmp_path):
    for number in range(3):
        write(tmp_path / "in" / f"{number}.wav", noise(seconds=0.3, seed=number))
    words = ("separate", tmp_path / "in", "-p", preset)
    run(*words, "-o", tmp_path / "serial")
    run(*words, "-o", tmp_path / "out", "--cluster", "local", "--jobs", "2")
    assert stems(tmp_path / "out") == stems(tmp_path / "serial")
    assert len(stems(tmp_path / "out")) == 6


# -- what cannot be ----------------------------------------------------------------------------------


def test_nobody_at_the_address_is_one_line(preset, tmp_path):
    song = write(tmp_path / "song.wav", noise(seconds=0.2))
    said = error_of("separate", song, "-p", preset, "-o", tmp_path / "out", "--cluster", "tcp://127.0.0.1:9")
    assert "no scheduler answers there" in said
    assert "dask scheduler" in said


@pytest.mark.parametrize("address", ["foo", "10.0.0.1", "http://10.0.0.1:8786", "tcp://10.0.0.1:x"])
def test_what_is_no_address_is_one_line_at_once(preset, tmp_path, address):
    song = write(tmp_path / "song.wav", noise(seconds=0.2))
    began = time.monotonic()
    said = error_of("separate", song, "-p", preset, "-o", tmp_path / "out", "--cluster", address)
    assert f"--cluster {address}: is no address of a scheduler (" in said
    assert "write it like tcp://10.0.0.1:8786" in said
    assert time.monotonic() - began < 15  # Dask itself waits for 20 s


def test_a_cluster_without_workers_is_given_up_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_cluster, "PATIENCE_SECONDS", 1.0)
    empty = Cluster(tmp_path, 0)
    try:
        _wait_until(lambda: "Scheduler at" in (tmp_path / "dask.log").read_text())
        with pytest.raises(NoWorkersError, match="no worker for 1 s; start some with dask worker ADDRESS"):
            run_jobs([Touch("a", tmp_path)], Reporter(), at(empty))
    finally:
        empty.close()


def test_a_worker_of_another_version_says_so(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_cluster, "program_version", lambda: "stembridge 0.0.1")
    (result,) = run_jobs([Touch("a", tmp_path)], Reporter(), at(cluster))
    assert result.status == "failed"
    assert result.error.endswith("and this is stembridge 0.0.1; install the same")


def test_a_worker_that_does_not_see_the_folder_says_so(cluster, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(engine_cluster.Path, "cwd", lambda: gone)
    (result,) = run_jobs([Touch("a", tmp_path)], Reporter(), at(cluster))
    assert f"does not see the folder {gone}; all machines must see the files alike" in result.error


@dataclass(frozen=True)
class NeedsGpu(Touch):
    @property
    def resources(self):
        return {"GPU": 1.0}


def test_a_job_for_a_gpu_waits_for_a_worker_that_has_one(cluster, tmp_path):
    """Which is told by Dask's resources; this one only pretends."""
    started = []

    class Late(Recorder):
        def finish(self, job, outcome):
            super().finish(job, outcome)
            if job == "plain":
                started.append(cluster.start_worker("--resources", "GPU=1"))

    recorder = Late()
    try:
        results = run_jobs([NeedsGpu("gpu", tmp_path), Touch("plain", tmp_path)], recorder, at(cluster))
        assert [result.status for result in results] == ["done", "done"]
        assert recorder.ends == ["plain", "gpu"]
        (home,) = _runs(tmp_path, "gpu")
        assert int(home) in processes(started[0].pid, b"spawn_main")
    finally:
        for process in started:
            process.terminate()
            process.wait(10)


@pytest.mark.parametrize("where", ["local", "tcp://10.0.0.1:8786"])
def test_a_limit_of_memory_is_for_workers_of_our_own(where):
    if where == "local":
        assert Workers.chosen(2, where, "400MB").memory_bytes == 400_000_000
    else:
        with pytest.raises(JobError, match="start a cluster's with --memory-limit"):
            Workers.chosen(2, where, "400MB")
