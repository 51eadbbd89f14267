"""A dictionary of your own: a guitar, known from another take, comes out of a band.

python examples/own_dictionary.py [OUTPUT FOLDER]

On the command line:

    stembridge dictionary learn --out guitar.safetensors guitar=examples/session/sources/mic-guitar.flac
    stembridge separate SONG.wav --preset examples/own_dictionary.toml --out stems/
"""

import sys
from pathlib import Path

from plugin_bridge.audio.files import AudioFileSource, AudioWriter
from plugin_bridge.learning.dictionaries import learn_from_files
from separators import NMF
from separators.evaluation import si_sdr

SESSION = Path(__file__).parent / "session"


def read(path: Path):
    with AudioFileSource(path) as file:
        return file.read(0, file.frames), file.sample_rate


def main(folder: Path) -> None:
    # Learned from the opening of the song, used on bars 9 and 10.
    dictionary = folder / "guitar.safetensors"
    print(learn_from_files({"guitar": [SESSION / "sources/mic-guitar.flac"]}, dictionary))

    guitar, rate = read(SESSION / "audio/Guitar.wav")
    band, _ = read(SESSION / "audio/Band.wav")
    song = (guitar + band) / 2  # so that it fits into 24 bits
    separator = NMF(mode="semi-supervised", dictionary=str(dictionary), components=20)
    stems = separator.separate(song, rate)
    for name, audio in stems.items():
        with AudioWriter(folder / f"{name}.wav", rate, len(audio), bit_depth="24") as file:
            file.write(audio)
    print(f"SI-SDR of the guitar in the song: {si_sdr(guitar, song):.1f} dB")
    print(f"SI-SDR of the guitar on its stem: {si_sdr(guitar, stems['guitar']):.1f} dB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stems/own_dictionary"))
