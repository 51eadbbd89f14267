"""How fast batches are: planning, the engine's own time for each job, resuming, two workers beside one.

    python -m benchmarks.batches [plan] [overhead] [resume] [workers] [workers-longer] [--jobs N]
                                 [--folder DIR]

Makes its own audio. Without names all of them run; `workers` does the fastest jobs that there are,
`workers-longer` some of a second or more. Judged by the wall clock, so that the machine must be quiet: the
load is printed, beside the wall clock's seconds those of the processors, and what other programs took of
them meanwhile. The files lie in DIR: a disk that is slow or busy decides more than the program does, and one
in memory (/dev/shm, which must hold 3 GB) shows the program alone. Ends with status 1 if a figure is short of
what it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.machine import processor
from benchmarks.processes import ENVIRONMENT
from plugin_bridge.audio.files import AudioWriter
from plugin_bridge.engine.batch import run_jobs
from plugin_bridge.engine.contract import Workers
from plugin_bridge.engine.workers import LocalWorkers
from plugin_bridge.jobs.contract import Result, Survey
from plugin_bridge.jobs.progress import Report, Reporter

RATE = 44100
PRESET = 'title = "Un-pan"\npurpose = "benchmark"\n[separator]\nname = "ica"\n'
PLANNING = """
import json, resource, sys, time
import plugin_bridge
begin, before = time.perf_counter(), time.process_time()
planned = plugin_bridge.separate(sys.argv[1], sys.argv[2], sys.argv[3], dry_run=True).jobs
print(json.dumps({
    "jobs": len(planned), "seconds": time.perf_counter() - begin, "cpu": time.process_time() - before,
    "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
}))
"""


def write(path: Path, seconds: float, rate: int = RATE) -> Path:
    sources = 0.05 * np.random.default_rng(0).laplace(size=(2, round(seconds * rate)))
    audio = (np.array([[1, 0.3], [0.4, 1]]) @ sources).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, rate, 2, bit_depth="24") as writer:
        writer.write(audio)
    return path


def copies(folder: Path, count: int, seconds: float, rate: int = RATE) -> Path:
    content = write(folder / "00000.wav", seconds, rate).read_bytes()
    for number in range(1, count):
        (folder / f"{number:05d}.wav").write_bytes(content)
    (folder.parent / "unpan.toml").write_text(PRESET)
    return folder


class Watch:
    """Seconds since it was made: on the clock, of this program's ended children, of everybody else."""

    def __init__(self) -> None:
        self._begin = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        own = time.process_time() + of_children()
        try:
            words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        except OSError:  # no Linux
            return time.perf_counter(), of_children(), 0.0
        user, nice, system, _idle, _waiting, *rest = map(int, words[1:9])
        busy = (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), of_children(), busy - own

    def seconds(self) -> tuple[float, float, float]:
        clock, children, others = (now - begin for now, begin in zip(self._now(), self._begin, strict=True))
        return clock, children, max(others, 0.0)


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# -- planning ----------------------------------------------------------------------------------------


def plan(jobs: int, folder: Path) -> bool:
    """10,000 trivial jobs in under 10 s and under 300 MB."""
    inputs = copies(folder / "in", jobs, 0.01, 8000)
    command = [sys.executable, "-c", PLANNING, inputs, folder / "unpan.toml", folder / "out"]
    said = subprocess.run(
        list(map(str, command)), env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    found = json.loads(said.stdout.splitlines()[-1])
    print(
        f"plan: {found['jobs']} jobs in {found['seconds']:.1f} s ({found['cpu']:.1f} s of the processor), "
        f"{found['mb']:.0f} MB"
    )
    return found["jobs"] == jobs and found["seconds"] < 10 and found["mb"] < 300


# -- the engine's own time ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Nothing:
    """A job that does nothing."""

    label: str

    def run(self, report: Report) -> Result:
        report("working", 0.0)
        return Result(self.label, "done")

    def inputs(self) -> list[Path]:
        return []

    def survey(self) -> Survey:
        return Survey()


def overhead(jobs: int, folder: Path) -> bool:
    """At most 20 ms a job, the workers' share included; their start is not."""
    batch = [Nothing(f"job {number}") for number in range(jobs)]
    pool: list[LocalWorkers] = []

    def started(count: int) -> LocalWorkers:
        pool.append(LocalWorkers(count, lambda event: None))
        return pool[-1]

    first = _Timed()
    begin = time.process_time() + of_children()
    results = run_jobs(batch, first, Workers(2), pools=started)
    seconds = (time.perf_counter() - first.first) / (jobs - 1)
    cpu = (time.process_time() + of_children() - begin) / jobs
    print(
        f"overhead: {1000 * seconds:.2f} ms a job on the clock, {1000 * cpu:.2f} ms of the processors, the "
        f"workers' start among them ({jobs} jobs that do nothing, two workers)"
    )
    return all(result.status == "done" for result in results) and seconds <= 0.02


class _Timed(Reporter):
    first = 0.0

    def finish(self, job: str, outcome: str) -> None:
        self.first = self.first or time.perf_counter()


# -- resuming ----------------------------------------------------------------------------------------


def separate(folder: Path, out: str, *more: str, preset: str = "unpan.toml") -> dict:
    """The last event of a run."""
    words = ["separate", "in", "-p", preset, "-o", out, "--json", "--quiet", *more]
    command = [sys.executable, "-m", "plugin_bridge", *words]
    said = subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(said.stdout)


def resume(jobs: int, folder: Path) -> bool:
    """A finished batch of 1,000 jobs in under 5 s, nothing done again."""
    copies(folder / "in", jobs, 0.05, 8000)
    time.sleep(2.5)  # files that have just been written are read again: their times cannot be trusted yet
    separate(folder, "out")
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*") if path.is_file()}
    watch = Watch()
    said = separate(folder, "out")
    seconds, cpu, _ = watch.seconds()
    same = stamps == {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*") if path.is_file()}
    print(
        f"resume: {said['skipped']} of {jobs} up to date in {seconds:.1f} s ({cpu:.1f} s of the processor), "
        f"files {'untouched' if same else 'CHANGED'}"
    )
    return said["skipped"] == jobs and same and seconds < 5


# -- workers -----------------------------------------------------------------------------------------


def workers(jobs: int, folder: Path, preset: str = "unpan.toml") -> bool:
    """Two workers on two cores do at least 1.8 times as much as one, program and all: start, plan and end.

    The one begins in the program's own process, and the system writes its files by the other core, which two
    have not. Two programs with a half of the files each show what the machine gives.
    """
    copies(folder / "in", jobs, 60)
    os.sync()
    watch = Watch()
    separate(folder, "serial", preset=preset)
    serial, *serial_cpu = watch.seconds()
    shutil.rmtree(folder / "serial")  # else the disk is busy with it meanwhile
    os.sync()
    watch = Watch()
    separate(folder, "parallel", "--jobs", "2", preset=preset)
    parallel, *parallel_cpu = watch.seconds()
    shutil.rmtree(folder / "parallel")
    halves = [folder / "first", folder / "second"]
    for path in sorted((folder / "in").iterdir()):
        target = halves[int(path.stem) % 2] / "in" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    for half in halves:
        (half / "unpan.toml").write_text(PRESET)
    os.sync()
    with ThreadPoolExecutor(2) as pool:
        watch = Watch()
        list(pool.map(lambda half: separate(half, "out", preset=preset), halves))
        alone, *alone_cpu = watch.seconds()

    def of_processors(own: float, others: float) -> str:
        return f"{own:.1f} s of the processors, {others:.1f} by others"

    print(
        f"workers: {jobs} jobs of a minute ({Path(preset).stem}) in {serial:.1f} s by one "
        f"({of_processors(*serial_cpu)}), {parallel:.1f} s by two ({of_processors(*parallel_cpu)}): "
        f"{serial / parallel:.2f} times as fast; two programs that know nothing of each other take "
        f"{alone:.1f} s ({of_processors(*alone_cpu)}) for a half each: {serial / alone:.2f} times as fast"
    )
    return serial / parallel >= 1.8


PARTS = {
    "plan": (plan, 10_000),
    "overhead": (overhead, 1_000),
    "resume": (resume, 1_000),
    "workers": (workers, 40),
    "workers-longer": (partial(workers, preset="ica-mono"), 40),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--jobs", type=int, help="of each, in place of what is asked for")
    parser.add_argument("--folder", type=Path, help="for the files, on the disk that is to be measured")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(PARTS):
        parser.error(f"no {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    good = True
    for name in chosen.names or PARTS:
        part, jobs = PARTS[name]
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            good &= part(chosen.jobs or jobs, Path(folder))
        sys.stdout.flush()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
