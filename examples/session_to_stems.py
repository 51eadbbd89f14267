"""From a DAW session to stems that a DAW puts back at their place, in flat memory however long it is.

    python examples/session_to_stems.py [SESSION [FOLDER [TRACKS]]]

TRACKS is a pattern such as "Drum*".
"""

import sys
from pathlib import Path

from plugin_bridge import render

if __name__ == "__main__":
    defaults = [Path(__file__).parent / "session", "stems/session_to_stems", "Drum*"]
    session, folder, tracks = sys.argv[1:] + defaults[len(sys.argv) - 1 :]
    results = render(session, "drum-loop", folder, tracks=tracks)
    for track in results.tracks:
        print(f"{track.track} at {track.start_seconds:.3f} s:", *track.stems.values(), sep="\n  ")
    print("Open in your DAW:", results.project)
