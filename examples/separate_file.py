"""Separate a file from Python.

    python examples/separate_file.py [FILE [FOLDER]]

FILE defaults to the example session's drums. For files that do not fit into memory see session_to_stems.py.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from separators import NMF

DRUMS = Path(__file__).parent / "session/audio/Drums.wav"


def main(file: Path, folder: Path) -> None:
    audio, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mixture = audio.T  # (channels, frames), as everywhere here and in Pedalboard
    stems = NMF(mode="drums").separate(mixture, rate)

    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem.T, rate, subtype="PCM_24")
        print(f"{folder / name}.wav  peak {20 * np.log10(np.abs(stem).max() + 1e-9):.1f} dB")

    left_over = np.abs(sum(stems.values()) - mixture).max()
    print(f"the stems sum to the mixture, give or take {left_over:.1e}")


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    main(*arguments, *[DRUMS, Path("stems/separate_file")][len(arguments) :])
