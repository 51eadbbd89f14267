"""Many short jobs while workers, scheduler and program are killed: is anything lost, halved or done twice?

    python -m benchmarks.killing --jobs 500 --where local
    python -m benchmarks.killing --jobs 500 --where dask

Makes its own audio. A serial run gives the stems to compare with. Prints what it counted, and
fails if any of it is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.processes import ENVIRONMENT, Cluster, processes, used
from plugin_bridge.audio.files import AudioFileSource, AudioWriter

RATE = 8000
PRESET = 'title = "Un-pan"\npurpose = "benchmark"\n[separator]\nname = "ica"\n'
LOADED_SECONDS = {"local": 0.2, "dask": 1.6}
"""Of a processor: what is still loading is left alone, else a busy machine never has a worker. Local
workers are forks, which load nothing; what they are forked from is killed as well."""


def make_inputs(folder: Path, jobs: int, seconds: float) -> None:
    for number in range(jobs):
        random_numbers = np.random.default_rng(number)
        sources = 0.05 * random_numbers.laplace(size=(2, round(seconds * RATE)))
        audio = (np.array([[1, 0.3], [0.4, 1]]) @ sources).astype(np.float32)
        path = folder / f"{number:04d}.wav"
        path.parent.mkdir(exist_ok=True)
        with AudioWriter(path, RATE, 2, bit_depth="float32") as writer:
            writer.write(audio)


def separate(folder: Path, out: str, *more: str) -> subprocess.Popen:
    words = ("separate", "in", "-p", "unpan.toml", "-o", out, "--json", *more)
    command = [sys.executable, "-m", "plugin_bridge", *words]
    with (folder / f"{out}.log").open("w") as log:
        return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)


def samples(path: Path) -> bytes:
    with AudioFileSource(path) as source:
        return source.read(0, source.frames).tobytes()


def disturb(folder: Path, jobs: int, where: str, every: float, main_kills: int) -> dict[str, float]:
    """Run the batch until it ends by itself, killing all the while; returns what was counted."""
    generator = random.Random(1)
    cluster = Cluster(folder, 2) if where == "dask" else None
    out = folder / "out"
    more = ("--cluster", cluster.address) if cluster else ("--jobs", "2")
    seen: dict[Path, int] = {}
    again: set[Path] = set()
    counts = {"workers killed": 0, "schedulers killed": 0, "programs killed": 0}
    thresholds = [round(jobs * (number + 1) / (main_kills + 2)) for number in range(main_kills)]
    process, last, started = separate(folder, "out", *more), time.monotonic(), time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(0.1)
            if cluster:
                cluster.keep()
            for path in out.glob("*/manifest.json"):
                with suppress(OSError):
                    stamp = path.stat().st_mtime_ns
                    if seen.setdefault(path, stamp) != stamp:
                        again.add(path)
            if time.monotonic() - last > every:
                alive = cluster.worker_processes() if cluster else processes(process.pid, b"spawn_main")
                alive = [pid for pid in alive if used(pid) > LOADED_SECONDS[where]]
                if alive:
                    last = time.monotonic()
                    with suppress(ProcessLookupError):
                        os.kill(generator.choice(alive), signal.SIGKILL)
                        counts["workers killed"] += 1
            if cluster and not counts["schedulers killed"] and len(seen) > jobs * 0.4:
                cluster.kill_scheduler()
                counts["schedulers killed"] += 1
            if thresholds and len(seen) >= thresholds[0]:
                thresholds.pop(0)
                process.kill()
                process.wait()
                counts["programs killed"] += 1
                process = separate(folder, "out", *more)
        status = process.returncode
    finally:
        process.kill()
        if cluster:
            cluster.close()
    for path in seen:
        if path.exists() and path.stat().st_mtime_ns != seen[path]:
            again.add(path)
    return {
        "status": status,
        "seconds": round(time.monotonic() - started, 1),
        **counts,
        "manifests written twice": len(again),
    }


def compare(folder: Path, jobs: int) -> dict[str, int]:
    """What there is beside what there must be."""
    reference = {path.relative_to(folder / "serial"): path for path in (folder / "serial").rglob("*.wav")}
    found = {path.relative_to(folder / "out"): path for path in (folder / "out").rglob("*.wav")}
    different = [
        name for name in reference if name in found and samples(found[name]) != samples(reference[name])
    ]
    hidden = list((folder / "out").rglob(".*"))
    manifests = [json.loads(path.read_text()) for path in (folder / "out").glob("*/manifest.json")]
    return {
        "jobs": jobs,
        "manifests": len(manifests),
        "stems missing": len(reference.keys() - found.keys()),
        "stems too many": len(found.keys() - reference.keys()),
        "stems that differ from the serial run": len(different),
        "temporary files left": len(hidden),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--where", choices=("local", "dask"), default="local")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each input")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills of a worker")
    parser.add_argument("--main-kills", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder / "in", chosen.jobs, chosen.seconds)
        (folder / "unpan.toml").write_text(PRESET)
        if separate(folder, "serial").wait() != 0:
            sys.exit((folder / "serial.log").read_text())
        load = os.getloadavg()[0]
        counted = disturb(folder, chosen.jobs, chosen.where, chosen.every, chosen.main_kills)
        found = compare(folder, chosen.jobs)
        if counted["status"]:
            print((folder / "out.log").read_text()[-2000:])
    for key, value in {"load at the start": round(load, 1), **counted, **found}.items():
        print(f"{key}: {value}")
    wrong = [key for key in found if key not in ("jobs", "manifests") and found[key]]
    if wrong or counted["status"] or counted["manifests written twice"] or found["manifests"] != chosen.jobs:
        sys.exit("not as it must be")


if __name__ == "__main__":
    main()
