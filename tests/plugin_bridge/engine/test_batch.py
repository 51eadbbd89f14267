"""Batches: one bad job stops no other, killed workers are replaced, a stop leaves nothing behind."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from plugin_bridge.engine.batch import run_jobs
from plugin_bridge.engine.worker import GRACE_SECONDS
from plugin_bridge.engine.workers import LocalWorkers
from plugin_bridge.errors import JobError
from plugin_bridge.jobs.contract import Result, Survey
from plugin_bridge.jobs.plan import Planned
from plugin_bridge.jobs.progress import BarReporter, Event, LineReporter, Reporter, reporter
from tests.plugin_bridge.processes import started


@dataclass(frozen=True)
class Touch:
    """Writes a file through a temporary one, as real jobs do, and misbehaves on request."""

    label: str
    folder: Path
    fault: str = ""

    def run(self, report):
        runs = self.folder / f"{self.label}.runs"
        with runs.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if self.fault == "error":
            raise JobError("the\nvalue is wrong")
        if self.fault == "defect":
            raise ZeroDivisionError("oops")
        if self.fault == "poison" or (self.fault == "killed once" and runs.read_text().count("\n") == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        half = self.folder / f"{self.label}.half"
        half.touch()
        try:
            for step in range(400 if self.fault == "slow" else 2):
                report("working", step / 400)
                time.sleep(0.05 if self.fault == "slow" else 0.001)
            half.rename(self.folder / f"{self.label}.done")
        finally:
            half.unlink(missing_ok=True)
        environment = {"threads": os.environ.get("OMP_NUM_THREADS", "")}
        return Result(self.label, "done", [str(self.folder / f"{self.label}.done")], tracks=[environment])


def _runs(folder, label):
    return (folder / f"{label}.runs").read_text().split()


class Recorder(Reporter):
    def __init__(self):
        self.events = []
        self.ends = []

    def update(self, event):
        self.events.append(event)

    def finish(self, job, outcome):
        self.ends.append(job)


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_are_one_line_and_stop_no_other_job(tmp_path, workers):
    jobs = [
        Touch("a", tmp_path),
        Touch("b", tmp_path, "error"),
        Touch("c", tmp_path, "defect"),
        Touch("d", tmp_path),
    ]
    recorder = Recorder()
    results = run_jobs(jobs, recorder, workers)
    assert [result.job for result in results] == ["a", "b", "c", "d"]
    assert [result.status for result in results] == ["done", "failed", "failed", "done"]
    assert results[1].error == "the value is wrong"
    assert "internal error: ZeroDivisionError: oops" in results[2].error
    assert "run(self, report)" not in results[2].error
    assert 'raise ZeroDivisionError("oops")' in results[2].details
    assert sorted(recorder.ends) == ["a", "b", "c", "d"]
    assert Event("a", "working", 1 / 400) in recorder.events


def test_one_worker_runs_in_this_process_and_two_in_others(tmp_path):
    run_jobs([Touch("a", tmp_path), Touch("b", tmp_path)], Reporter(), 1)
    assert _runs(tmp_path, "a") == _runs(tmp_path, "b") == [str(os.getpid())]
    results = run_jobs([Touch("c", tmp_path), Touch("d", tmp_path)], Reporter(), 2)
    assert str(os.getpid()) not in _runs(tmp_path, "c") + _runs(tmp_path, "d")
    share = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // 2))
    assert [result.tracks[0]["threads"] for result in results] == [share, share]


def test_a_killed_workers_job_runs_again_and_a_poisonous_one_is_told_apart(tmp_path):
    jobs = [Touch(f"good {n}", tmp_path) for n in range(4)]
    jobs[1:1] = [Touch("poison", tmp_path, "poison"), Touch("unlucky", tmp_path, "killed once")]
    results = {result.job: result for result in run_jobs(jobs, Reporter(), 2)}
    assert {job for job, result in results.items() if result.status == "failed"} == {"poison"}
    assert "killed 4 times, the last time while it ran alone" in results["poison"].error
    # In flight when another's worker died, a job may have been lost before it began to run.
    assert 1 <= len(_runs(tmp_path, "poison")) <= 4
    assert 2 <= len(_runs(tmp_path, "unlucky")) <= 3
    assert len(list(tmp_path.glob("*.done"))) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_that_come_while_others_run_are_done_too_and_counted(tmp_path, workers):
    came = [[Touch("late", tmp_path), Touch("a", tmp_path)], [Touch("last", tmp_path, "error")]]
    told = []

    def more(ended):
        told.extend(result.job for result in ended)
        # Not before the first "a" has ended: jobs of one name, which write one file, never run side by side.
        return [Planned(job, Survey()) for job in came.pop(0)] if "a" in told and ended and came else []

    stream = io.StringIO()
    with LineReporter(stream) as lines:
        results = run_jobs([Touch("a", tmp_path), Touch("b", tmp_path)], lines, workers, more=more)
    assert [result.job for result in results] == ["a", "b", "late", "a", "last"]
    assert [result.status for result in results] == ["done"] * 4 + ["failed"]
    assert sorted(told) == ["a", "a", "b", "last", "late"]
    assert len(_runs(tmp_path, "a")) == 2
    assert "(5 of 5)" in stream.getvalue()


def test_any_executor_serves(tmp_path):
    results = run_jobs(
        [Touch("a", tmp_path), Touch("b", tmp_path, "error")], Reporter(), 2, ThreadPoolExecutor
    )
    assert [result.status for result in results] == ["done", "failed"]


def test_workers_without_work_end_at_once_when_they_are_told():
    workers = LocalWorkers(1, lambda event: None)
    assert workers.submit(str, "loaded").result(60) == "loaded"
    begin = time.monotonic()
    workers.shutdown()
    assert time.monotonic() - begin < GRACE_SECONDS


def test_no_jobs_are_no_work():
    assert run_jobs([], Reporter(), 4) == []


class Interrupting(Reporter):
    """Ctrl-C in this process alone, as soon as both jobs are at work."""

    def __init__(self):
        self.seen = set()

    def update(self, event):
        if event.job not in self.seen:
            self.seen.add(event.job)
            if len(self.seen) == 2:
                threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_stops_the_workers_which_clean_up(tmp_path):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([Touch("a", tmp_path, "slow"), Touch("b", tmp_path, "slow")], Interrupting(), 2)
    assert time.monotonic() - start < 15  # the jobs themselves would take 20 s each
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.runs", "b.runs"]
    for label in "ab":
        for worker in _runs(tmp_path, label):
            assert not Path(f"/proc/{worker}").exists()


def test_workers_of_a_killed_parent_clean_up_and_end(tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_batch import Touch; from plugin_bridge.engine.batch import run_jobs\n"
        "from plugin_bridge.jobs.progress import Reporter\n"
        "if __name__ == '__main__':\n"
        "    run_jobs([Touch(n, Path(sys.argv[1]), 'slow') for n in 'ab'], Reporter(), 2)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    out = tmp_path / "out"
    out.mkdir()
    with started(
        [sys.executable, script, out, Path(__file__).parent],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    ):
        _wait_until(lambda: len(list(out.glob("*.half"))) == 2)
    workers = [Path("/proc") / pid for label in "ab" for pid in _runs(out, label)]
    _wait_until(lambda: not any(worker.exists() for worker in workers))
    assert sorted(path.name for path in out.iterdir()) == ["a.runs", "b.runs"]


def _wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_lines_say_each_quarter_once_and_count_the_ends():
    stream = io.StringIO()
    with LineReporter(stream) as lines:
        lines.begin(2)
        for percent in range(0, 100, 5):
            lines.update(Event("a", "separating", percent / 100))
        lines.finish("a", "done in 1.0 s")
        lines.finish("b", "failed: no")
    assert stream.getvalue().splitlines() == [
        "a: separating, 0 %",
        "a: separating, 25 %",
        "a: separating, 50 %",
        "a: separating, 75 %",
        "a: done in 1.0 s (1 of 2)",
        "b: failed: no (2 of 2)",
    ]


def test_what_was_not_begun_with_the_jobs_has_no_count():
    stream = io.StringIO()
    with LineReporter(stream) as lines:
        lines.finish("page to listen", "open index.html")
    assert stream.getvalue() == "page to listen: open index.html\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_bars_and_names_are_never_markup():
    stream = Terminal()
    bars = reporter(stream=stream)
    assert isinstance(bars, BarReporter)
    with bars:
        bars.begin(1)
        bars.update(Event("[red]a[/red]", "separating", 0.5))
        bars.finish("[red]a[/red]", "done in 1.0 s")
    assert "[red]a[/red]: done in 1.0 s" in stream.getvalue()


def test_quiet_shows_nothing_and_a_pipe_gets_lines():
    assert type(reporter(quiet=True, stream=Terminal())) is Reporter
    assert type(reporter(stream=io.StringIO())) is LineReporter


def test_one_job_has_one_bar_and_several_have_one_more():
    for jobs, bars in ((1, 1), (3, 4)):
        reporter = BarReporter(io.StringIO())
        reporter.begin(jobs)
        for number in range(jobs):
            reporter.update(Event(f"job {number}", "separating", 0.5))
        assert len(reporter._progress.tasks) == bars
        reporter.finish("job 0", "done")
        reporter.update(Event("job 0", "writing", 0.9))  # heard late
        assert len(reporter._progress.tasks) == bars - 1
