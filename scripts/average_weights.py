"""Averages weights of networks, of voices or songs, that came from one another: often better than each.

    python scripts/average_weights.py start.safetensors trained.safetensors --out average.safetensors

After Izmailov et al. (2018) and Wortsman et al. (2022): weights that lie in one valley of the loss are
better in its middle. The notes are those of the last file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from separators.atomic import write_atomically


def main() -> None:
    """Reads the files, writes their average."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    networks = []
    for path in options.files:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            networks.append((file.metadata(), {name: file.get_tensor(name) for name in names}))
    metadata, last = networks[-1]
    if any(
        (other["format"], other["architecture"]) != (metadata["format"], metadata["architecture"])
        for other, _ in networks
    ):
        parser.error("the files hold networks of different architectures")
    mean = {name: torch.stack([state[name].float() for _, state in networks]).mean(0).half() for name in last}
    notes = json.loads(metadata["notes"]) | {"average_of": len(networks)}
    write_atomically(options.out, save(mean, metadata | {"notes": json.dumps(notes)}))


if __name__ == "__main__":
    main()
