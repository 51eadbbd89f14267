"""A separator of your own: harmonic and percussive sounds apart, by median filters (Fitzgerald 2010).

    python examples/own_separator.py [FOLDER]

To use it by name in presets and on the command line, install it as a package that says:

    [project.entry-points."stembridge.separators"]
    harmonic-percussive = "own_separator:HarmonicPercussive"
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
from scipy.ndimage import median_filter

from separators import Audio, Separator, parameter
from separators.base import Transform
from separators.spectral import STFT, fft_size_for, stems_from_models


class HarmonicPercussive(Separator):
    """Notes are lines along time in a spectrogram, hits are lines along frequency."""

    name = "harmonic-percussive"
    summary = "splits sustained notes from drum hits"
    length: int = parameter(
        default=17, help="Length of the median filters.", unit="bins", minimum=3, maximum=63
    )

    def stem_names(self, channels: int) -> tuple[str, ...]:
        return ("harmonic", "percussive")

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        stft = STFT(fft_size_for(sample_rate))  # nothing to learn from the sample

        def transform(block: Audio) -> Audio:
            spectrum = stft.forward(block)
            loudness = np.abs(spectrum).mean(axis=0)
            notes, hits = (median_filter(loudness, size) for size in ((1, self.length), (self.length, 1)))
            return stems_from_models(spectrum, np.stack([notes, hits]), stft, block.shape[-1], power=2)

        return transform


def main(folder: Path) -> None:
    track = Path(__file__).parent / "session/audio/Mic Tabla.wav"
    audio, rate = soundfile.read(track, dtype="float32")
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in HarmonicPercussive(length=25).separate(audio, rate).items():
        soundfile.write(folder / f"{name}.wav", stem.T, rate, subtype="PCM_24")
        print(folder / f"{name}.wav")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stems/own_separator"))
