"""A preset of your own, from Python; on the command line it is --preset examples/own_preset.toml.

python examples/own_preset.py [OUTPUT]
"""

import sys
from pathlib import Path

from pedalboard.io import AudioFile

from plugin_bridge import load_preset, save_preset

HERE = Path(__file__).parent


def main(output: Path) -> None:
    board = load_preset(HERE / "own_preset.toml")  # checked: a wrong name or range is one clear line
    print("\n".join(f"  {plugin}" for plugin in board))

    with AudioFile(str(HERE / "session/audio/Drums.wav")) as file:
        audio, rate = file.read(file.frames), file.samplerate
    output.parent.mkdir(parents=True, exist_ok=True)
    with AudioFile(str(output), "w", rate, audio.shape[0], bit_depth=24) as file:
        file.write(board(audio, rate))

    # Any board can be kept as a preset: what comes back gives the same audio.
    save_preset(board, output.with_suffix(".toml"), "My loop polish")
    print(output, output.with_suffix(".toml"), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stems/own_preset.flac"))
