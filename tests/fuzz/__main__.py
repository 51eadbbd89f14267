"""``python -m tests.fuzz [KIND ...] [--count N] [--from N]``: mutations of each kind, what they did wrong."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated
from tests.fuzz.running import fuzz

AT_ONCE = 2000
"""Mutations of one process; a crash costs no more than the rest of them."""


def main() -> int:
    """Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all if none is named"
    )
    parser.add_argument("--count", type=int, default=10_000, help="mutations of each kind")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the number of the first mutation")
    parser.add_argument("--keep", type=Path, help="write the mutation --from into this file, and end")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    kinds = options.kinds or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no kind {', '.join(unknown)}; there are: {', '.join(KINDS)}")
    if options.keep:
        seeds = KINDS[kinds[0]].seeds()
        options.keep.write_bytes(mutated(seeds[options.first % len(seeds)], options.first))
        return 0
    if options.here:
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(kinds[0], range(options.first, options.first + options.count), Path(folder))
        print(found, flush=True)
        return int(bool(found.wrong))
    return max(_in_processes(kind, options.first, options.count) for kind in kinds)


def _in_processes(kind: str, first: int, count: int) -> int:
    status = 0
    for start in range(first, first + count, AT_ONCE):
        size = min(AT_ONCE, first + count - start)
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            kind,
            "--here",
            "--from",
            str(start),
            "--count",
            str(size),
        ]
        ended = subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
        if ended not in (0, 1):
            print(f"{kind}: the process that began at mutation {start} died ({ended})", flush=True)
        status = max(status, int(ended != 0))
    return status


if __name__ == "__main__":
    sys.exit(main())
