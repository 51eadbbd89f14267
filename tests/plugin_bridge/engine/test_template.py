"""Workers that are forked: what they find around them, and what happens without a template."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plugin_bridge.engine import template
from plugin_bridge.engine.contract import WorkerLostError
from plugin_bridge.engine.template import Fork
from plugin_bridge.engine.workers import LocalWorkers

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "pidfd_open"), reason="workers are spawned on this system"
)


def surroundings(names):
    """What a worker finds around it."""
    import numpy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "folder": str(Path.cwd()),
        "variables": {name: os.environ.get(name) for name in names},
        "loaded": [name for name in ("plugin_bridge.jobs.separation", "torch") if name in sys.modules],
        "blas": {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"},
        "interrupts": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    }


def squared(name):
    """A network's kind of work in a worker."""
    import torch

    size = 300
    product = torch.ones(size, size) @ torch.ones(size, size)
    return torch.get_num_threads(), float(product.sum()) == size**3


def dies(name):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def pool():
    opened = []

    def make(count, **options):
        opened.append(LocalWorkers(count, lambda event: None, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.stop()
        one.shutdown()


def _template_of(workers):
    assert workers._template is not None
    return workers._template._process


def test_workers_are_forks_of_what_has_loaded_everything(pool):
    workers = pool(1)
    found = workers.submit(surroundings, []).result(60)
    assert found["parent"] == _template_of(workers).pid
    assert found["loaded"] == ["plugin_bridge.jobs.separation"]
    assert found["interrupts"]


def test_a_worker_has_its_parents_folder_and_variables_of_the_moment_it_begins(pool, tmp_path, monkeypatch):
    template.prepare()  # before they are what they are to be
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEMBRIDGE_TESTED", "yes")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    workers = pool(2)
    found = workers.submit(surroundings, ["STEMBRIDGE_TESTED", "OMP_NUM_THREADS"]).result(60)
    share = str(max(1, (os.cpu_count() or 1) // 2))
    assert found["folder"] == str(tmp_path)
    assert found["variables"] == {"STEMBRIDGE_TESTED": "yes", "OMP_NUM_THREADS": share}
    assert found["blas"] == {1}


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_libraries_that_were_loaded_with_one_thread_get_the_workers_share(pool, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    workers = pool(1, separators=["pit", "no such thing"])
    found = workers.submit(surroundings, []).result(60)
    assert found["loaded"] == ["plugin_bridge.jobs.separation", "torch"]
    assert found["blas"] == {os.cpu_count()}
    assert workers.submit(squared, "").result(60) == (os.cpu_count(), True)


def test_a_worker_that_dies_leaves_its_neighbour_and_its_successor_alone(pool):
    workers = pool(2)
    first = workers.submit(surroundings, []).result(60)
    with pytest.raises(WorkerLostError):
        workers.submit(dies, "").result(60)
    pids = {workers.submit(surroundings, []).result(60)["pid"] for _ in range(20)}
    assert len({*pids, first["pid"]}) <= 3
    time.sleep(template.COLLECT_SECONDS + 0.5)
    assert _zombies_of(_template_of(workers).pid) == 0


def _zombies_of(parent):
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, of = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found += state == "Z" and int(of) == parent
    return found


def test_without_its_template_a_pool_goes_on(pool):
    workers = pool(1)
    assert workers.submit(str, "one").result(60) == "one"
    before = workers.submit(surroundings, []).result(60)
    os.kill(_template_of(workers).pid, signal.SIGKILL)
    assert workers.submit(surroundings, []).result(60)["pid"] == before["pid"]
    with pytest.raises(WorkerLostError):
        workers.submit(dies, "").result(60)
    after = workers.submit(surroundings, []).result(60)  # spawned
    assert after["parent"] == os.getpid()


def test_a_template_with_threads_does_not_fork(tmp_path):
    script = tmp_path / "main.py"
    script.write_text(
        "import os, threading, time\n"
        "from plugin_bridge.engine.workers import LocalWorkers\n"
        "threading.Thread(target=time.sleep, args=(120,), daemon=True).start()  # wherever this is imported\n"
        "def parent(name):\n"
        "    return os.getppid()\n"
        "if __name__ == '__main__':\n"
        "    with LocalWorkers(1, print) as workers:\n"
        "        print(workers.submit(parent, '').result(60) == os.getpid())\n"
    )
    assert _run(script) == "True\n"


def test_no_handle_and_no_process_is_left():
    with LocalWorkers(1, lambda event: None) as workers:  # and the resource tracker
        workers.submit(str, "").result(60)
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        workers = LocalWorkers(2, lambda event: None)
        found = [workers.submit(surroundings, []).result(60) for _ in range(4)]
        with pytest.raises(WorkerLostError):
            workers.submit(dies, "").result(60)
        assert workers.submit(str, "again").result(60) == "again"
        workers.shutdown()
        for one in found:
            _wait_for_the_end_of(one["pid"])
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_prepared_template_that_nobody_takes_ends_with_the_program():
    pid = _run(
        "-c", "from plugin_bridge.engine import template as t; t.prepare(); print(t._prepared._process.pid)"
    )
    _wait_for_the_end_of(int(pid))


def _wait_for_the_end_of(pid):
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def _run(*words):
    said = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
    )
    assert said.stderr == ""
    return said.stdout


def test_discarded_it_ends_at_once():
    template.prepare()
    pid = template._prepared._process.pid
    template.discard()
    assert template._prepared is None
    assert not Path(f"/proc/{pid}").exists()


def test_a_fork_is_what_a_process_is():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    fork = Fork(child.pid, os.pidfd_open(child.pid))
    assert fork.is_alive()
    begin = time.monotonic()
    fork.join(0.2)
    assert 0.15 < time.monotonic() - begin < 5
    fork.kill()
    fork.join(10)
    assert not fork.is_alive()
    assert child.wait(10) == -signal.SIGKILL
    fork.kill()  # of one that is gone: nothing
    fork.close()
