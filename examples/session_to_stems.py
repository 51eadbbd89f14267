"""From a DAW session to stems that a DAW puts back at their place, in flat memory however long it is.

    python examples/session_to_stems.py [SESSION [FOLDER [TRACKS]]]

TRACKS is a pattern such as "Drum*". `stembridge render` does the same with presets, several tracks at a time,
and skips what is done.
"""

import sys
from contextlib import ExitStack, closing
from pathlib import Path

from plugin_bridge.audio.writer import AudioWriter
from plugin_bridge.rendering.tracks import TrackSource, selected_tracks
from plugin_bridge.sessions import open_session
from separators import NMF
from separators.streaming import separate_blocks


def main(path: Path, folder: Path, pattern: str) -> None:
    session = open_session(path)
    print(
        f"{session.name}: {session.sample_rate} Hz, starts at {session.start:g} s",
        *session.not_honoured,
        sep="\n  ",
    )
    separator = NMF(mode="drums")

    for track in selected_tracks(session, [pattern]):
        with closing(TrackSource(session, track)) as source, ExitStack() as files:
            target = folder / track.name
            target.mkdir(parents=True, exist_ok=True)
            start = round(session.start * source.sample_rate) + source.start_frame
            names = separator.stem_names(source.channels)
            form = {"channels": source.channels, "bit_depth": "float32", "time_reference": start}
            writers = [
                files.enter_context(AudioWriter(target / f"{name}.wav", source.sample_rate, **form))
                for name in names
            ]
            for blocks in separate_blocks(separator, source):
                for writer, block in zip(writers, blocks, strict=True):
                    writer.write(block)
        print(f"{track.name} at {source.position_seconds:.3f} s: {', '.join(names)} in {target}")


if __name__ == "__main__":
    defaults = [Path(__file__).parent / "session", Path("stems/session_to_stems"), "Drum*"]
    session, folder, pattern = sys.argv[1:] + defaults[len(sys.argv) - 1 :]
    main(Path(session), Path(folder), pattern)
