"""Averages the weights of voice networks that came from one another, which often beats each of them.

    python scripts/average_weights.py start.safetensors trained.safetensors --out average.safetensors

After Izmailov et al. (2018) and Wortsman et al. (2022): weights that lie in one valley of the loss are
better in its middle. The notes are those of the last file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from separators.neural import weights


def main() -> None:
    """Reads the files, writes their average."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    networks = [weights.load(file) for file in options.files]
    if len({network.architecture for network in networks}) > 1:
        parser.error("the files hold networks of different architectures")
    states = [network.state_dict() for network in networks]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    networks[-1].load_state_dict(mean)
    notes = weights.notes(options.files[-1])
    weights.save(networks[-1], options.out, notes | {"average_of": len(networks)})


if __name__ == "__main__":
    main()
