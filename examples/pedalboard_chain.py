"""A separator in a Pedalboard chain: compress the kick and air the hi-hat of a finished loop.

python examples/pedalboard_chain.py [OUTPUT]
"""

import sys
from pathlib import Path

import pedalboard
from pedalboard.io import AudioFile

from plugin_bridge import Board, StemRack
from separators import NMF


def main(output: Path) -> None:
    with AudioFile(str(Path(__file__).parent / "session/audio/Drums.wav")) as file:
        audio, rate = file.read(file.frames), file.samplerate

    board = Board(
        [
            pedalboard.HighpassFilter(30),
            StemRack(
                NMF(mode="drums"),
                chains={
                    "kick": [pedalboard.Compressor(-20, 4), pedalboard.Gain(3)],
                    "hihat": [
                        pedalboard.HighShelfFilter(8000, 4),
                        pedalboard.Reverb(room_size=0.3, wet_level=0.1),
                    ],
                },
                remix=True,  # all stems back into one loop; the snare, without a chain, stays as it was
            ),
            pedalboard.Limiter(-1),
        ]
    )
    processed = board(audio, rate)

    output.parent.mkdir(parents=True, exist_ok=True)
    with AudioFile(str(output), "w", rate, processed.shape[0], bit_depth=24) as file:
        file.write(processed)
    print(output)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stems/pedalboard_chain.wav"))
