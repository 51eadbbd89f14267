"""A plug-in in Python, a tremolo, that stands in boards, racks and streams like Pedalboard's own.

python examples/python_plugin.py
"""

import numpy as np
import pedalboard

from plugin_bridge import Board, PythonPlugin


class Tremolo(PythonPlugin):
    """Turns the level down and up ``rate_hz`` times a second, by ``depth`` (0 to 1)."""

    streams = True  # with reset=False, run continues the signal

    def __init__(self, rate_hz: float = 5.0, depth: float = 0.5) -> None:
        super().__init__()
        self.rate_hz, self.depth, self._frame = rate_hz, depth, 0

    def run(self, audio, sample_rate, buffer_size, reset):
        if reset:
            self.reset()
        seconds = (self._frame + np.arange(audio.shape[1])) / sample_rate
        self._frame += audio.shape[1]
        dip = 0.5 - 0.5 * np.cos(2 * np.pi * self.rate_hz * seconds)
        return audio * (1 - self.depth * dip).astype(np.float32)

    def reset(self):
        super().reset()
        self._frame = 0


if __name__ == "__main__":
    audio = np.full((2, 44100), 0.5, np.float32)
    out = Board([pedalboard.Gain(6.0206), Tremolo(depth=1)])(audio, 44100)
    print(f"from {out.max():.2f} down to {out.min():.2f}")
