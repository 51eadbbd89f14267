"""Learn how each drum sounds on average: where the drums mode begins.

    python scripts/learn_drum_templates.py DRUMS

DRUMS is a folder of one-shots with a ``manifest.csv`` (columns path, cls, kit, licence). Writes
``separators/nmf/data/drum_templates.safetensors`` and its card, ``drum_templates.md``. The one-shots
in :data:`HELD_OUT` are not learned from: ``benchmarks/drums.py`` plays its loops with them.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent.parent))

from separators.nmf.drum_templates import DRUMS, FRAMES, PATH, RATE, STFT_OF_TEMPLATES
from separators.nmf.one_shots import one_shot

CLASSES = {
    "kick": ("kick",),
    "snare": ("snare",),
    "hihat": ("hihat_closed",),
    "hihat-open": ("hihat_open",),
    "tom": ("tom",),
    "clap": ("clap",),
    "cymbal": ("cymbal",),
    "percussion": ("perc", "rim"),
}
"""Drum -> the manifest's classes."""
HELD_OUT = ("msgm_tr808_", "sonicpi_drum_", "sonicpi_elec_", "sonicpi_bd_haus", "sonicpi_sn_dub")
"""How the names of the one-shots begin that are kept for evaluation."""
CARD = """# drum_templates.safetensors

Magnitude spectrograms of an average {drums}: float32, ({frames} frames, {bins} bins) each, from an STFT of
{size} samples with a hop of {hop} at {rate} Hz; each one-shot counts the same and each
template sums to one. Made by `scripts/learn_drum_templates.py`.

Licence: GPL-3.0-or-later, as the rest of the project, which does not hold the recordings themselves.

## Learned from

{learned}

- msgm: rendered with fluidsynth from the SoundFont MuseScore_General (Debian package
  musescore-general-soundfont-small), MIT licence, parts CC0 or in the public domain; Copyright (c) 2000-2002,
  2008 Frank Wen, (c) 2014-2017 Michael Cowgill, (c) 2018-2021 S. Christian Collins
- sonicpi: Sonic Pi's samples from freesound.org (Debian package sonic-pi-samples), CC0
- audiophob: Hydrogen's drum kit Audiophob (Debian package hydrogen-drumkits), CC0

## Held out for evaluation

{held_out}
"""


def main() -> None:
    """Read the manifest, average, write."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    templates, learned, held_out = {}, [], []
    for drum in DRUMS:
        used = []
        for row in rows:
            if row["cls"] not in CLASSES[drum]:
                continue
            name = Path(row["path"]).stem
            if name.startswith(HELD_OUT):
                held_out.append(name)
                continue
            used.append(name)
            templates.setdefault(drum, []).append(one_shot(folder / row["path"]))
        learned.append(f"- {drum}: {', '.join(used)}")
    PATH.parent.mkdir(exist_ok=True)
    save_file(
        {drum: np.mean(shots, axis=0, dtype=np.float32) for drum, shots in templates.items()},
        PATH,
        {"held_out": " ".join(held_out)},
    )
    stft = STFT_OF_TEMPLATES
    card = CARD.format(
        drums=", ".join(DRUMS),
        frames=FRAMES,
        bins=stft.bins,
        size=stft.fft_size,
        hop=stft.hop,
        rate=RATE,
        learned="\n".join(learned),
        held_out=", ".join(held_out),
    )
    PATH.with_suffix(".md").write_text(card)


if __name__ == "__main__":
    main()
