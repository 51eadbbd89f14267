"""An Ardour session with all that is read of one."""

from pathlib import Path

from tests.fuzz.session_kinds import read_session
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.sessions.ardour.test_midi import midi_file


def read(path: Path) -> None:
    """Opens a session beside which its MIDI file lies."""
    keys = path.parent / "interchange" / "song" / "midifiles" / "keys.mid"
    if not keys.exists():
        midi_file(keys)
    read_session(path)


def sessions() -> list[bytes]:
    """The seeds."""
    inner = (
        ardour.curve("Envelope", "envelope", [(0, 1), (1, 0.5)], "Exponential")
        + ardour.curve("FadeIn", "fadein", [(0, 0), (0.1, 0.25), (0.2, 1)])
        + ardour.curve("InverseFadeIn", "fadein", [(0, 1), (0.1, 0.75), (0.2, 0)])
        + ardour.curve("FadeOut", "fadeout", [(0, 1), (0.4, 0)])
    )
    send = (
        '<Processor type="intsend" role="Aux" active="1" target="3">'
        '<Controllable name="gaincontrol" value="0.5"/></Processor>'
        '<Processor type="lv2" active="1" name="Echo" unique-id="urn:echo"/>'
    )
    routes = [
        ardour.master(gain=0.5, pan=0.75),
        ardour.route(
            "Voice", 1, playlist=10, to="Bus", strip=send, color=0x11223344, muted=1,
            gain_automation=ardour.automation("gain", [(0, 1), (1, 0.1)]),
        ),
        ardour.route("Bus", 2, channels=2, flags="AudioBus", soloed=1),
        ardour.route("Echo", 3, channels=2, flags="AudioBus"),
        ardour.route("Keys", 4, playlist=11).replace("audio-playlist", "midi-playlist"),
    ]  # fmt: skip
    regions = [
        ardour.region(1.0, 1.0, 0.5, inner=inner, extra='envelope-active="1" layering-index="1"'),
        ardour.region(1.5, 1.0, sources=("1", "2"), extra='layering-index="0" scale-amplitude="0.5"'),
    ]
    sources = [ardour.source(1), ardour.source(2, channel=1)]
    sources.append('<Source name="keys.mid" type="midi" id="3"/>')
    keys = '<Region name="k" type="midi" start="b480" length="b7680@b1920" source-0="3"/>'
    played = f'<Playlist id="11" name="k" type="midi">{keys}</Playlist>'
    fader = '<Controllable name="gaincontrol" value="0.5"/>'
    vca = f'<VCAManager><VCA name="v" number="1">{fader}</VCA></VCAManager>'
    return [ardour.session(routes, [ardour.playlist(10, *regions), played], sources, more=vca).encode()]
