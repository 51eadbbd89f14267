"""``python -m separators.training pit --data DIR --out FILE``: trains a network and writes its weights."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path


def main() -> int:
    """Parse the command line and train; errors are one line."""
    parser = argparse.ArgumentParser(prog="python -m separators.training", description=__doc__)
    parser.add_argument("name", help="pit, danet, deep-clustering or wave-u-net")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder per speaker or song, or with manifest.csv"
    )
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.safetensors)")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the run (60)")
    parser.add_argument("--decay", type=float, default=0.2, help="last part over which the rate falls (0.2)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="peak learning rate (0.001)")
    parser.add_argument("--warm-up-steps", type=int, default=300, help="steps until that peak (300)")
    parser.add_argument("--start", type=Path, help="weights to begin with")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint.pt of another run to begin with")
    parser.add_argument("--work", type=Path, help="folder for checkpoints (FILE.training)")
    parser.add_argument("--cache", type=Path, help="folder for decoded recordings (the one of --work)")
    parser.add_argument("--source-weight", action="append", default=[], metavar="SOURCE=WEIGHT")
    parser.add_argument("--patience", type=int, default=0, help="validations without gain before stopping")
    parser.add_argument("--processes", type=int, default=1, help="processes that train together (1)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    # Spinning threads would take the processor from everything else; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    # Asked to end, it saves a checkpoint first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    from separators.errors import SeparatorError
    from separators.training.recipes import train
    from separators.training.trainer import Settings

    settings = Settings(
        minutes=given.minutes,
        decay=given.decay,
        learning_rate=given.learning_rate,
        warm_up_steps=given.warm_up_steps,
        patience=given.patience,
        seed=given.seed,
    )
    pairs = (text.partition("=") for text in given.source_weight)
    try:
        train(
            given.name,
            given.data,
            given.out,
            settings=settings,
            start=given.start,
            checkpoint=given.checkpoint,
            work=given.work,
            cache=given.cache,
            processes=given.processes,
            source_weights={source: float(weight) for source, _, weight in pairs},
        )
    except (SeparatorError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
